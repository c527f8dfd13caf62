//! Queries near the boundaries of a zone: at, above, below and beside what stands in it.

use std::collections::BTreeSet;

use crate::name::Name;
use crate::rng::Rng;
use crate::types;
use crate::zones::Zone;

/// One question and how it is asked.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    /// The name as it is sent, some of its letters in upper case.
    pub(crate) qname: Vec<u8>,
    pub(crate) name: Name,
    pub(crate) rtype: u16,
    /// RD, CD.
    pub(crate) flags: u16,
    /// UDP size and the DO bit.
    pub(crate) edns: Option<(u16, bool)>,
    pub(crate) tcp: bool,
}

/// Types that are asked whether they stand there or not.
const ASKED: &[&str] = &[
    "A",
    "A",
    "AAAA",
    "NS",
    "NS",
    "SOA",
    "DS",
    "DS",
    "CNAME",
    "DNAME",
    "MX",
    "TXT",
    "SRV",
    "ANY",
    "RRSIG",
    "NSEC",
    "DNSKEY",
    "NSEC3PARAM",
    "TYPE65280",
    "SVCB",
    "HTTPS",
    "PTR",
    "NAPTR",
];

impl Query {
    /// The message.
    pub(crate) fn packet(&self, id: u16) -> Vec<u8> {
        let mut packet = id.to_be_bytes().to_vec();
        packet.extend(self.flags.to_be_bytes());
        packet.extend([0, 1, 0, 0, 0, 0, 0, u8::from(self.edns.is_some())]);
        packet.extend(self.question());
        if let Some((size, dnssec_ok)) = self.edns {
            packet.extend([0, 0, 41]);
            packet.extend(size.to_be_bytes());
            packet.extend([0, 0, u8::from(dnssec_ok) << 7, 0, 0, 0]);
        }
        packet
    }

    /// The question section.
    pub(crate) fn question(&self) -> Vec<u8> {
        [&self.qname[..], &self.rtype.to_be_bytes(), &[0, 1]].concat()
    }

    /// The largest answer that may come.
    pub(crate) fn limit(&self) -> usize {
        if self.tcp { 65_535 } else { self.edns.map_or(512, |(size, _)| usize::from(size).max(512)) }
    }

    /// As words for dig.
    pub(crate) fn dig(&self) -> String {
        let edns = match self.edns {
            None => "+noedns".to_owned(),
            Some((size, dnssec_ok)) => format!("+bufsize={size}{}", if dnssec_ok { " +dnssec" } else { "" }),
        };
        let rd = if self.flags & 0x100 != 0 { "+rec" } else { "+norec" };
        let tcp = if self.tcp { " +tcp" } else { "" };
        format!("{} {} {rd} {edns}{tcp}", self.name, types::mnemonic(self.rtype))
    }
}

/// `count` different questions about a zone.
pub(crate) fn about(rng: &mut Rng, zone: &Zone, count: usize, signed: bool) -> Vec<Query> {
    let names: Vec<Name> = names(zone).into_iter().collect();
    let mut asked = BTreeSet::new();
    let mut queries = Vec::with_capacity(count);
    for _ in 0..count * 3 {
        let name = rng.pick(&names);
        let rtype = rtype(rng, zone, name);
        if queries.len() < count && asked.insert((name, rtype)) {
            queries.push(query(rng, name, rtype, signed));
        }
    }
    queries
}

fn query(rng: &mut Rng, name: &Name, rtype: u16, signed: bool) -> Query {
    let mut qname = name.wire();
    if rng.chance(15) {
        qname.make_ascii_uppercase(); // lengths are below 64 and are no letters
    }
    let flags = if rng.chance(20) { 0x100 } else { 0 };
    let size = *rng.pick(&[512, 1232, 4096, 4096]);
    let edns = match signed {
        false => rng.chance(65).then(|| (size, rng.chance(30))),
        true => rng.chance(95).then(|| (size, rng.chance(90))),
    };
    Query { qname, name: name.clone(), rtype, flags, edns, tcp: rng.chance(10) }
}

fn rtype(rng: &mut Rng, zone: &Zone, name: &Name) -> u16 {
    let present: Vec<&str> = zone.types_at(name).collect();
    if !present.is_empty() && rng.chance(45) {
        return types::number(rng.pick::<&str>(&present));
    }
    types::number(rng.pick::<&str>(ASKED))
}

/// Names worth asking.
fn names(zone: &Zone) -> BTreeSet<Name> {
    let mut names = BTreeSet::new();
    for owner in zone.owners() {
        let mut above = owner.parent();
        while let Some(name) = above.filter(|name| name.is_within(&zone.apex)) {
            above = name.parent();
            names.extend(name.child(b"nothing"));
            names.insert(name);
        }
        names.extend(beside(&owner));
        names.extend(owner.child(b"x"));
        names.extend(owner.child(b"*"));
        names.extend(owner.child(b"x").and_then(|child| child.child(b"y")));
        names.extend(owner.child(&b"p".repeat(60)).and_then(|child| child.child(&b"q".repeat(60))));
        if owner.is_wildcard() {
            let encloser = owner.parent().unwrap_or_else(|| owner.clone());
            names.extend(encloser.child(b"any"));
            names.extend(encloser.child(b"any").and_then(|name| name.child(b"more")));
            names.extend(encloser.child(b"deep").and_then(|name| name.child(b"any")));
        }
        names.insert(owner);
    }
    names.extend(zone.apex.parent());
    names
}

/// The same name with another first label: a little longer, and a little shorter.
fn beside(owner: &Name) -> Vec<Name> {
    let (Some(label), Some(parent)) = (owner.0.first(), owner.parent()) else { return Vec::new() };
    let longer = [label.as_slice(), b"0"].concat();
    let shorter = label[..label.len() - 1].to_vec();
    let labels = [longer, shorter].into_iter().filter(|label| (1..64).contains(&label.len()));
    labels.filter_map(|label| parent.child(&label)).collect()
}
