//! DNSKEY records: what a validator finds the zone's signatures with (RFC 4034 section 2).

use std::collections::HashSet;

use crate::model::{Finding, Rtype};
use crate::zone::check::draft::DNSKEY;
use crate::zone::check::index::Zone;
use crate::zone::parse::Draft;

/// The flag of a key that signs zones (RFC 4034 section 2.1.1).
const ZONE_KEY: u16 = 0x0100;

/// The algorithms of RSA keys.
const RSA: [u8; 5] = [1, 5, 7, 8, 10];

/// The keys of a zone by tag and algorithm.
pub(super) struct Keys {
    known: HashSet<(u16, u8)>,
}

impl Keys {
    /// Whether there is a key of that tag and algorithm. Without any key one cause is told: that there is none.
    pub(super) fn has(&self, tag: u16, algorithm: u8) -> bool {
        self.known.is_empty() || self.known.contains(&(tag, algorithm))
    }

    /// Tells that a signed zone has no key.
    pub(super) fn told_missing(&self, zone: &Zone<'_>, remarks: &mut Vec<Finding>) {
        if let Some(soa) = zone.at_apex(Rtype::SOA).next().filter(|_| self.known.is_empty()) {
            remarks.push(soa.warning(format!("the zone is signed and {} has no DNSKEY record", zone.apex)));
        }
    }
}

/// The keys at the apex; what is wrong with them is told.
pub(super) fn keys(zone: &Zone<'_>, remarks: &mut Vec<Finding>) -> Keys {
    let mut known = HashSet::new();
    for draft in zone.at_apex(DNSKEY) {
        let [flag1, flag2, protocol, algorithm, ..] = *draft.record().rdata else { continue };
        known.insert((tag(&draft.record().rdata), algorithm));
        if protocol != 3 {
            remarks.push(draft.warning(format!("a DNSKEY record has protocol 3; this one has {protocol}")));
        }
        if u16::from_be_bytes([flag1, flag2]) & ZONE_KEY == 0 {
            remarks.push(draft.warning("this DNSKEY record has no zone flag, so it signs nothing here".to_owned()));
        }
        if let Some(why) = deprecated(algorithm) {
            remarks.push(draft.warning(format!("DNSKEY of algorithm {algorithm}: {why}")));
        }
        if RSA.contains(&algorithm) && exponent(&draft.record().rdata) == Some(&[3]) {
            let message = format!("the RSA key {} has the exponent 3, which is weak", tag(&draft.record().rdata));
            remarks.push(draft.warning(message).with_help("make a new key; 65537 is the usual exponent"));
        }
    }
    Keys { known }
}

/// The exponent of an RSA key (RFC 3110 section 2).
fn exponent(rdata: &[u8]) -> Option<&[u8]> {
    match rdata.get(4..)? {
        [0, high, low, key @ ..] => key.get(..usize::from(u16::from_be_bytes([*high, *low]))),
        [length, key @ ..] => key.get(..usize::from(*length)),
        [] => None,
    }
}

/// SIG and NXT, which no validator has read since 2005 (RFC 3755); told once.
pub(super) fn obsolete(zone: &Zone<'_>, remarks: &mut Vec<Finding>) {
    const OBSOLETE: [Rtype; 2] = [Rtype(24), Rtype(30)];
    if let Some(draft) = zone.drafts.iter().find(|draft| OBSOLETE.contains(&draft.rtype())) {
        let message = "SIG and NXT records are of a DNSSEC that nobody uses any more (RFC 3755)".to_owned();
        remarks.push(draft.warning(message));
    }
}

/// DS records of algorithms that validators no longer take.
pub(super) fn delegation_signers(zone: &Zone<'_>, remarks: &mut Vec<Finding>) {
    for draft in zone.drafts.iter().filter(|draft| draft.rtype() == Rtype::DS && draft.owner() != zone.apex) {
        if let Some((algorithm, why)) = algorithm_of(draft).and_then(|number| Some((number, deprecated(number)?))) {
            remarks.push(draft.warning(format!("DS of a key of algorithm {algorithm}: {why}")));
        }
    }
}

fn algorithm_of(ds: &Draft) -> Option<u8> {
    ds.record().rdata.get(2).copied()
}

/// Why an algorithm is no longer of use (RFC 8624, RFC 9905).
fn deprecated(algorithm: u8) -> Option<&'static str> {
    match algorithm {
        1 | 3 | 6 | 12 => Some("validators treat it as unsigned (RFC 8624); use 13, ECDSAP256SHA256"),
        5 | 7 => Some("it uses SHA-1, which validators give up (RFC 9905); use 13, ECDSAP256SHA256"),
        _ => None,
    }
}

/// The key tag (RFC 4034 appendix B).
pub(super) fn tag(rdata: &[u8]) -> u16 {
    if rdata.get(3) == Some(&1) && rdata.len() >= 7 {
        return u16::from_be_bytes([rdata[rdata.len() - 3], rdata[rdata.len() - 2]]);
    }
    let octets = rdata.iter().enumerate();
    let sum: u32 = octets.map(|(at, octet)| if at % 2 == 0 { u32::from(*octet) << 8 } else { u32::from(*octet) }).sum();
    ((sum + (sum >> 16 & 0xffff)) & 0xffff) as u16
}

#[cfg(test)]
mod tests {
    use super::tag;

    #[test]
    fn tags_are_those_of_the_rfc() {
        // RFC 4034 section 5.4: the key of dskey.example.com has the tag 60485.
        let key = "AQOeiiR0GOMYkDshWoSKz9XzfwJr1AYtsmx3TGkJaNXVbfi/2pHm822aJ5iI9BMzNXxeYCmZDRD99WYwYqUSdjMmmAphXdvx\
                   egXd/M5+X7OrzKBaMbCVdFLUUh6DhweJBjEVv5f2wwjM9XzcnOf+EPbtG9DMBmADjFDc2w/rljwvFw==";
        let key = data_encoding::BASE64.decode(key.as_bytes()).expect("base 64");
        assert_eq!(tag(&[&[1, 0, 3, 5], &key[..]].concat()), 60485);
    }
}
