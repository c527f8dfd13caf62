//! What a signed zone proves absence with: its NSEC or NSEC3 chain, sorted for the search.
//!
//! The chain comes from the zone file, made by whoever signed the zone; nothing is made here but the order. A search
//! finds the record that is *at* a name or, failing that, the one that *covers* it: the last one before it, where the
//! first name has the last one before it. A file whose chain has a hole gives a proof that does not prove; that is the
//! signer's to find (`ldns-verify-zone` does).

use sha1::{Digest, Sha1};

use super::aside::Aside;
use super::rrset::RrSetBuf;
use crate::model::name::canonical_cmp;
use crate::model::{Name, Record, Rtype};

/// SHA-1, the only hash of NSEC3 (RFC 5155 section 11).
const SHA1: u8 = 1;
/// The most iterations that any key may have (RFC 5155 section 10.3): more would let queries take all our time.
const MAX_ITERATIONS: u16 = 2500;
/// Octets of RDATA before the salt, in NSEC3PARAM and NSEC3 alike: algorithm, flags, iterations, salt length.
const PARAM_HEAD: usize = 5;

/// The chain of one zone.
#[derive(Debug)]
pub enum Denial {
    /// Owners of NSEC records, in canonical order (RFC 4034 section 6.1).
    Nsec(Box<[Name]>),
    /// Hashed owners (RFC 5155).
    Nsec3(Nsec3Chain),
}

/// Hashes in their order, and how names are hashed.
#[derive(Debug)]
pub struct Nsec3Chain {
    iterations: u16,
    salt: Box<[u8]>,
    /// The hash, and the place of its record in the zone's list of records aside.
    hashes: Box<[([u8; 20], u32)]>,
}

/// A record of a chain, as the search found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link<T> {
    /// Where the record is.
    pub at: T,
    /// Whether it is the name's own; otherwise it covers the name.
    pub matches: bool,
}

impl Denial {
    /// The chain of a zone with these records; `aside` has its NSEC3 records. NSEC3 counts when the apex says that its
    /// chain is whole (RFC 5155 section 4), NSEC otherwise.
    pub(crate) fn of(apex: &Name, records: &[Record], aside: &[Aside]) -> Option<Self> {
        let mut at_apex = records.iter().filter(|record| record.owner == *apex);
        let parameters = at_apex.find_map(|record| parameters(record).filter(|_| record.rtype == Rtype::NSEC3PARAM));
        let chain = parameters.map(|(iterations, salt)| Nsec3Chain::of(iterations, salt, aside));
        if let Some(chain) = chain.filter(|chain| !chain.hashes.is_empty()) {
            return Some(Self::Nsec3(chain));
        }
        let owners = records.iter().filter(|record| record.rtype == Rtype::NSEC);
        let mut owners: Vec<Name> = owners.map(|record| record.owner.clone()).collect();
        owners.sort();
        owners.dedup();
        (!owners.is_empty()).then(|| Self::Nsec(owners.into()))
    }
}

/// The owner of the NSEC record at a name, or of the one that covers it.
pub fn nsec<'c>(owners: &'c [Name], name: &[u8]) -> Option<Link<&'c Name>> {
    let found = owners.binary_search_by(|owner| canonical_cmp(owner.as_wire(), name));
    let at = last_before(found, owners.len())?;
    Some(Link { at: &owners[at], matches: found.is_ok() })
}

/// The place that a search found, or the one before it, in a ring of `count`.
fn last_before(found: Result<usize, usize>, count: usize) -> Option<usize> {
    found.ok().or_else(|| found.err()?.checked_sub(1)).or_else(|| count.checked_sub(1))
}

impl Nsec3Chain {
    fn of(iterations: u16, salt: &[u8], aside: &[Aside]) -> Self {
        let mut hashes = Vec::new();
        for (place, known) in aside.iter().enumerate() {
            let set = known.sets.plain.iter().find(|set| set.rtype == Rtype::NSEC3.0);
            let ours = |set: &&RrSetBuf| {
                let mut records = set.as_set(known.owner.as_wire()).records();
                records.any(|record| split(record.rdata) == Some((iterations, salt)))
            };
            let hash = known.owner.labels().next().and_then(decode);
            hashes.extend(set.filter(ours).and(hash).map(|hash| (hash, place as u32)));
        }
        hashes.sort_unstable();
        Self { iterations, salt: salt.into(), hashes: hashes.into() }
    }

    /// The place, in the zone's records aside, of the NSEC3 record at a name, or of the one that covers it.
    pub fn find(&self, name: &[u8]) -> Option<Link<usize>> {
        let hash = self.hash(name);
        let found = self.hashes.binary_search_by(|(known, _)| known.cmp(&hash));
        let at = last_before(found, self.hashes.len())?;
        Some(Link { at: self.hashes[at].1 as usize, matches: found.is_ok() })
    }

    /// RFC 5155 section 5.
    fn hash(&self, name: &[u8]) -> [u8; 20] {
        let mut hash: [u8; 20] = Sha1::new_with_prefix(name).chain_update(&self.salt).finalize().into();
        for _ in 0..self.iterations {
            hash = Sha1::new_with_prefix(hash).chain_update(&self.salt).finalize().into();
        }
        hash
    }
}

/// Iterations and salt of an NSEC3PARAM record that says a chain is there, which we are ready to search.
fn parameters(record: &Record) -> Option<(u16, &[u8])> {
    let flags = record.rdata.get(1)?;
    split(&record.rdata).filter(|(iterations, _)| *flags == 0 && *iterations <= MAX_ITERATIONS)
}

/// Iterations and salt of NSEC3 or NSEC3PARAM data with a hash that is known.
fn split(rdata: &[u8]) -> Option<(u16, &[u8])> {
    let (head, rest) = rdata.split_at_checked(PARAM_HEAD)?;
    let salt = rest.get(..head[4] as usize)?;
    (head[0] == SHA1).then(|| (u16::from_be_bytes([head[2], head[3]]), salt))
}

/// The hash that a label stands for: base 32 with extended hex alphabet (RFC 4648 section 7).
fn decode(label: &[u8]) -> Option<[u8; 20]> {
    data_encoding::BASE32HEX_NOPAD.decode(&label.to_ascii_uppercase()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse_absolute(text).expect("test name")
    }

    #[test]
    fn rfc5155_appendix_a_hashes() {
        let chain = Nsec3Chain { iterations: 12, salt: [0xAA, 0xBB, 0xCC, 0xDD].into(), hashes: [].into() };
        for (owner, hash) in [
            ("example", "0P9MHAVEQVM6T7VBL5LOP2U3T2RP3TOM"),
            ("a.example", "35MTHGPGCU1QG68FAB165KLNSNK3DPVL"),
            ("x.y.w.example", "2VPTU5TIMAMQTTGL4LUU9KG21E0AOR3S"),
        ] {
            assert_eq!(decode(hash.as_bytes()), Some(chain.hash(name(owner).as_wire())), "{owner}");
        }
    }

    #[test]
    fn the_last_name_covers_what_is_before_the_first() {
        let owners = [name("example"), name("b.example"), name("d.example")];
        let at = |text: &str| nsec(&owners, name(text).as_wire()).map(|link| (link.at.to_string(), link.matches));
        assert_eq!(at("b.example"), Some(("b.example.".into(), true)));
        assert_eq!(at("x.b.example"), Some(("b.example.".into(), false)));
        assert_eq!(at("c.example"), Some(("b.example.".into(), false)));
        assert_eq!(at("z.example"), Some(("d.example.".into(), false)));
        let hashes = [([1; 20], 5), ([7; 20], 2)].into();
        let chain = Nsec3Chain { iterations: 0, salt: [].into(), hashes };
        assert_eq!(chain.find(name("example").as_wire()), Some(Link { at: 2, matches: false }));
        assert_eq!(nsec(&[], &[0]), None);
    }
}
