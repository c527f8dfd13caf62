//! What generated zones are made of.

use crate::name::{MAX_NAME, Name};
use crate::rng::Rng;
use crate::zones::Zone;

const LABELS: &[&[u8]] = &[b"a", b"b", b"c", b"d", b"www", b"mail", b"_tcp", b"ns", b"xn--bcher-kva"];
/// Labels that have to be escaped, or that look like something else.
const ODD_LABELS: &[&[u8]] = &[
    b"a.b",
    b"two words",
    b"\xc3\xbc\xff",
    b"\x00\x01",
    b"quo\"te",
    b"back\\slash",
    b"@",
    b"$ttl",
    b";c",
    b"(",
    b"*a",
    b"**",
    b"a*",
];
/// Types that are only handed through, each with data that all four servers read: not all know each by its name.
const EXOTIC: &[(&str, &str)] = &[
    ("TYPE19", "\\# 13 0c333131303631373030393536"),
    ("TYPE20", "\\# 20 0f31353038363230323830303332313703303034"),
    ("TYPE22", "\\# 20 47000580005a0000000001e133ffffff00016100"),
    ("TYPE27", "\\# 23 082d33322e36383832083131362e383635320431302e30"),
    ("CAA", "0 issue \"ca.example.net\""),
    ("HINFO", "\"PDP-11\" \"UNIX\""),
    ("SSHFP", "1 1 0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f"),
    ("TLSA", "3 1 1 0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"),
    ("SMIMEA", "3 1 1 0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"),
    ("LOC", "52 22 23.000 N 4 53 32.000 E -2m 0.00m 10000m 10m"),
    ("TYPE4242", "\\# 0"),
    ("SPF", "\"v=spf1 -all\""),
    ("EUI48", "00-00-5e-00-53-2a"),
    ("EUI64", "00-00-5e-ef-10-00-00-2a"),
    ("CERT", "PKIX 1 RSASHA256 MTIzNA=="),
    ("URI", "10 1 \"https://www.example.org/\""),
    ("APL", "1:192.0.2.0/24 !2:2001:db8::/32"),
    ("IPSECKEY", "10 1 2 192.0.2.38 AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ=="),
    ("DHCID", "AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA="),
    ("OPENPGPKEY", "AQNRU3mG7TVT"),
    ("CSYNC", "66 3 A NS AAAA"),
    ("NID", "10 1014:4fff:ff20:ee64"),
    ("L32", "10 192.0.2.1"),
    ("L64", "10 2001:1db8:1140:1000"),
    ("ZONEMD", "1 240 240 e2d523f654b9422a96c5a8f44607bbee0a0a0a0a"),
    ("CDS", "1 13 2 abababababababababababababababababababababababababababababababab"),
];
/// How many of them, the first ones, not all servers know by name: X25, ISDN, NSAP, GPOS.
const OLD_TYPES: usize = 4;
const TTLS: &[u32] = &[0, 5, 60, 300, 3600, 86_400];

/// One zone; `apexes` are those of all zones of its batch.
pub(crate) fn zone(rng: &mut Rng, apex: &Name, apexes: &[Name], signed: bool) -> Zone {
    let zone = Zone::new(apex.clone(), rng.next(), rng.chance(10));
    let hides = rng.chance(5);
    let mut maker = Maker { zone, rng, apexes, hides, signed };
    let has_relatives = apexes.iter().any(|other| other != apex && (other.is_within(apex) || apex.is_within(other)));
    if !has_relatives && maker.rng.chance(4) {
        maker.redirected_apex();
        return maker.zone;
    }
    maker.apex();
    for _ in 0..5 + maker.rng.below(12) {
        maker.shape();
    }
    if maker.rng.chance(60) {
        maker.delegate_children();
    }
    maker.zone
}

struct Maker<'r> {
    zone: Zone,
    rng: &'r mut Rng,
    apexes: &'r [Name],
    /// Whether it has data where a zone below it is served, besides its delegation and its name server.
    hides: bool,
    signed: bool,
}

impl Maker<'_> {
    fn add(&mut self, owner: &Name, rtype: &str, rdata: impl Into<String>) {
        let ttl = *self.rng.pick(TTLS);
        let too_long = self.signed && owner.wire_len() > MAX_NAME - 2;
        if !self.is_elsewhere(owner, rtype) && !too_long {
            self.zone.add(owner, rtype, ttl, rdata);
        }
    }

    /// Whether a zone below this one has the name, and the record is not what a parent says of its child.
    fn is_elsewhere(&self, owner: &Name, rtype: &str) -> bool {
        let is_child = |apex: &&Name| **apex != self.zone.apex && apex.is_within(&self.zone.apex);
        let mut children = self.apexes.iter().filter(is_child);
        children.any(|apex| match rtype {
            "NS" | "DS" if owner == apex => false,
            "A" | "AAAA" if *owner == below(apex, b"ns1") => false,
            "CNAME" if owner == apex => true,
            _ => owner.is_within(apex) && !self.hides,
        })
    }

    fn apex(&mut self) {
        let apex = self.zone.apex.clone();
        let minimum = *self.rng.pick(&[0, 5, 60, 7200]);
        let serial = self.rng.below(99);
        self.add(&apex, "SOA", format!("ns1.{apex} hostmaster.{apex} {serial} 3600 600 86400 {minimum}"));
        self.add(&apex, "NS", format!("ns1.{apex}"));
        let server = below(&apex, b"ns1");
        self.addresses(&server);
        match self.rng.below(4) {
            0 => self.add(&apex, "NS", "ns.example.net."),
            1 => {
                let other = self.rng.pick(self.apexes).clone();
                // A name server inside this zone has to have an address here, or BIND refuses the zone.
                if !other.is_within(&apex) {
                    self.add(&apex, "NS", format!("ns1.{other}"));
                }
            }
            _ => {}
        }
    }

    /// A DNAME at the apex; below it there may be nothing, so that the name server is elsewhere.
    fn redirected_apex(&mut self) {
        let apex = self.zone.apex.clone();
        self.add(&apex, "SOA", "ns.example.net. hostmaster.example.net. 1 3600 600 86400 60");
        self.add(&apex, "NS", "ns.example.net.");
        let target = self.target();
        self.add(&apex, "DNAME", target.to_string());
        self.service(&apex);
        self.host(&apex);
    }

    fn shape(&mut self) {
        let name = self.name();
        match self.rng.below(15) {
            0 => self.host(&name),
            1 => self.wildcard(),
            2 => self.empty_non_terminal(),
            3 | 4 => self.delegation(&name),
            5 => self.alias(&name),
            6 => self.loop_of_aliases(),
            7 => self.chain(&name),
            8 => self.redirect(&name),
            9 | 10 => self.service(&name),
            11 => self.exotic(&name),
            12 => self.odd_name(),
            13 => self.long_name(),
            _ => self.big_set(&name),
        }
    }

    /// A name of one to three labels below the apex.
    fn name(&mut self) -> Name {
        let mut name = self.zone.apex.clone();
        for _ in 0..1 + self.rng.below(3) {
            let label = if self.rng.chance(4) { &b"*"[..] } else { *self.rng.pick(LABELS) };
            name = below(&name, label);
        }
        name
    }

    fn existing(&mut self) -> Name {
        let owners = self.zone.owners();
        self.rng.pick(&owners).clone()
    }

    /// Where something leads: to what exists, to what does not, into other zones, nowhere.
    fn target(&mut self) -> Name {
        match self.rng.below(12) {
            0..=3 => self.existing(),
            4 | 5 => self.name(),
            6 => below(&self.existing(), b"x"),
            7 | 8 => {
                let other = self.rng.pick(self.apexes).clone();
                let label = *self.rng.pick(&["ns1", "a", "www", "nothing"]);
                below(&other, label.as_bytes())
            }
            9 => self.rng.pick(self.apexes).clone(),
            10 => Name::of("host.example.net"),
            _ => Name::of("www.example.org"),
        }
    }

    fn addresses(&mut self, owner: &Name) {
        let (v4, v6) = (self.rng.chance(80), self.rng.chance(50));
        for _ in 0..1 + self.rng.below(3) {
            let number = self.rng.below(255);
            if v4 || !v6 {
                self.add(owner, "A", format!("192.0.2.{number}"));
            }
            if v6 {
                self.add(owner, "AAAA", format!("2001:db8::{number:x}"));
            }
        }
    }

    fn host(&mut self, name: &Name) {
        self.addresses(name);
        if self.rng.chance(40) {
            self.add(name, "TXT", r#""a host" "with two strings""#);
        }
    }

    fn wildcard(&mut self) {
        let mut parent = if self.rng.chance(40) { self.zone.apex.clone() } else { self.name() };
        for _ in 0..1 + self.rng.below(2) {
            let wildcard = below(&parent, b"*");
            match self.rng.below(6) {
                0 => {
                    let target = self.target();
                    self.add(&wildcard, "CNAME", target.to_string());
                }
                1 => self.service(&wildcard),
                2 => self.add(&wildcard, "TXT", "\"any\""),
                _ => self.addresses(&wildcard),
            }
            if self.rng.chance(30) {
                let under = below(&wildcard, b"under");
                self.host(&under);
            }
            parent = below(&parent, b"deep");
        }
    }

    fn empty_non_terminal(&mut self) {
        let name = self.name();
        let deep = below(&below(&below(&name, b"empty"), b"e"), b"leaf");
        self.host(&deep);
    }

    fn delegation(&mut self, cut: &Name) {
        for number in 0..1 + self.rng.below(3) {
            let server = match self.rng.below(7) {
                0 | 1 => below(cut, format!("ns{number}").as_bytes()),
                2 => below(&below(cut, b"deep"), b"ns"),
                3 => cut.clone(),
                _ => self.target(),
            };
            self.add(cut, "NS", server.to_string());
            if self.rng.chance(70) && server != self.zone.apex {
                self.addresses(&server);
            }
        }
        if self.rng.chance(30) {
            let digest = "ab".repeat(32);
            let tag = self.rng.below(65_536);
            self.add(cut, "DS", format!("{tag} 13 2 {digest}"));
        }
        self.occluded(cut);
    }

    /// Data at and below a delegation, which nobody may see.
    fn occluded(&mut self, cut: &Name) {
        if self.rng.chance(20) {
            self.add(cut, "TXT", "\"hidden at the cut\"");
        }
        let inside = below(cut, b"hidden");
        match self.rng.below(8) {
            0 => self.host(&inside),
            1 => self.add(&inside, "NS", below(&inside, b"ns").to_string()),
            2 => self.add(&below(cut, b"*"), "A", "192.0.2.99"),
            3 => {
                let target = self.target();
                self.add(&inside, "CNAME", target.to_string());
            }
            _ => {}
        }
    }

    fn delegate_children(&mut self) {
        let apex = self.zone.apex.clone();
        let children = self.apexes.iter().filter(|child| **child != apex && child.is_within(&apex));
        let children: Vec<Name> = children.cloned().collect();
        for child in children {
            self.add(&child, "NS", format!("ns1.{child}"));
            if self.rng.chance(50) {
                let server = below(&child, b"ns1");
                self.addresses(&server);
            }
            if self.rng.chance(40) {
                self.add(&child, "DS", format!("1 13 2 {}", "cd".repeat(32)));
            }
        }
    }

    fn alias(&mut self, name: &Name) {
        let target = self.target();
        self.add(name, "CNAME", target.to_string());
    }

    fn loop_of_aliases(&mut self) {
        let names: Vec<Name> = (0..1 + self.rng.below(3)).map(|_| self.name()).collect();
        for (number, name) in names.iter().enumerate() {
            self.add(name, "CNAME", names[(number + 1) % names.len()].to_string());
        }
    }

    /// A chain of aliases, sometimes longer than anybody follows.
    fn chain(&mut self, name: &Name) {
        let length = *self.rng.pick(&[2, 3, 5, 8, 12]);
        for step in 0..length {
            let this = below(name, format!("c{step}").as_bytes());
            let next = below(name, format!("c{}", step + 1).as_bytes());
            let target = if step + 1 == length { self.target() } else { next };
            self.add(&this, "CNAME", target.to_string());
        }
    }

    /// A DNAME; not at or above another zone, where NSD would take it for that zone's own.
    fn redirect(&mut self, name: &Name) {
        if self.apexes.iter().any(|apex| apex.is_within(name)) {
            return;
        }
        let target = match self.rng.below(5) {
            0 => below(name, b"deeper"),
            1 => long(&self.zone.apex, 200),
            _ => self.target(),
        };
        self.add(name, "DNAME", target.to_string());
        if self.rng.chance(30) {
            self.host(name);
        }
    }

    fn service(&mut self, name: &Name) {
        for _ in 0..1 + self.rng.below(3) {
            let target = if self.rng.chance(6) { Name(Vec::new()) } else { self.target() };
            let number = self.rng.below(30);
            match self.rng.below(7) {
                0 => self.add(name, "MX", format!("{number} {target}")),
                1 => self.add(name, "SRV", format!("{number} 5 8080 {target}")),
                2 => self.add(name, "SVCB", format!("{} {target} port=8443 ipv4hint=192.0.2.1", number + 1)),
                3 => self.add(name, "SVCB", format!("0 {target}")),
                4 => self.add(name, "HTTPS", format!("{} {target} alpn=h2", number + 1)),
                5 => {
                    let flags = *self.rng.pick(&["s", "a", "u", ""]);
                    self.add(name, "NAPTR", format!("{number} 10 \"{flags}\" \"SIP+D2U\" \"\" {target}"));
                }
                _ => self.add(name, "PTR", target.to_string()),
            }
        }
    }

    fn exotic(&mut self, name: &Name) {
        let target = self.target();
        let number = self.rng.below(200);
        let (rtype, rdata) = match self.rng.below(EXOTIC.len() + 7) {
            0 => ("RP", format!("{target} {target}")),
            1 => ("AFSDB", format!("1 {target}")),
            2 => ("KX", format!("1 {target}")),
            3 => ("RT", format!("1 {target}")),
            4 => ("MINFO", format!("{target} {target}")),
            5 => ("LP", format!("1 {target}")),
            6 => ("TYPE65280", format!("\\# 4 00ff10{number:02x}")),
            other => {
                // dnssec-signzone writes their names, which not all know.
                let types = if self.signed { &EXOTIC[OLD_TYPES..] } else { EXOTIC };
                let (rtype, rdata) = types[(other - 7) % types.len()];
                (rtype, rdata.to_owned())
            }
        };
        self.add(name, rtype, rdata);
    }

    fn odd_name(&mut self) {
        let label = *self.rng.pick(ODD_LABELS);
        let parent = if self.rng.chance(50) { self.zone.apex.clone() } else { self.existing() };
        let name = below(&parent, label);
        match self.rng.below(4) {
            0 => self.alias(&name),
            1 => self.service(&name),
            _ => self.host(&name),
        }
    }

    fn long_name(&mut self) {
        let longest = if self.signed { MAX_NAME - 2 } else { MAX_NAME }; // dnssec-signzone puts a wildcard below each
        let length = *self.rng.pick(&[130, 240, longest - 1, longest]);
        let apex = self.zone.apex.clone();
        let name = long(&apex, length);
        match self.rng.below(4) {
            0 => self.alias(&name),
            1 => self.delegation(&name),
            _ => self.host(&name),
        }
    }

    /// A set that does not fit into a small datagram, or into none.
    fn big_set(&mut self, name: &Name) {
        let count = *self.rng.pick(&[3, 20, 40]);
        let kind = self.rng.below(3);
        for number in 0..count {
            match kind {
                0 => self.add(name, "A", format!("198.51.100.{number}")),
                1 => self.add(name, "TXT", format!("\"{number} {}\"", "text ".repeat(20))),
                _ => {
                    let target = below(name, format!("h{number}").as_bytes());
                    self.add(name, "SRV", format!("{number} 1 80 {target}"));
                    self.add(&target, "A", format!("203.0.113.{number}"));
                }
            }
        }
    }
}

/// A child, or the name itself when there is no room.
pub(crate) fn below(name: &Name, label: &[u8]) -> Name {
    name.child(label).unwrap_or_else(|| name.clone())
}

/// A name of a length in octets below another one.
fn long(apex: &Name, length: usize) -> Name {
    let mut name = apex.clone();
    while name.wire_len() + 2 <= length {
        let room = (length - name.wire_len() - 1).min(63);
        let room = if length - name.wire_len() - 1 - room == 1 { room - 1 } else { room };
        name = below(&name, &b"l".repeat(room));
    }
    name
}
