//! The NSEC3 chain: one record for the hash of each name, empty non-terminals among them (RFC 5155 section 7.1).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sha1::{Digest, Sha1};

use super::{Node, bitmap, difference};
use crate::model::{Finding, Name, Rtype};
use crate::zone::check::draft::{NSEC3, NSEC3PARAM};
use crate::zone::check::index::Zone;
use crate::zone::parse::Draft;

/// The only hash algorithm, SHA-1 (RFC 5155 section 11).
const SHA1: u8 = 1;
/// Delegations without DS may be left out (RFC 5155 section 6).
const OPT_OUT: u8 = 1;
/// More iterations make validators treat the zone as unsigned (RFC 9276 section 3.2).
const MANY: u16 = 150;
/// With more iterations the chain is not compared: a zone file must not occupy a processor for minutes.
const TOO_MANY: u16 = 500;

type Hash = [u8; 20];

/// How names are hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Params {
    algorithm: u8,
    iterations: u16,
    salt: Vec<u8>,
}

impl Params {
    fn of(draft: &Draft) -> Option<Self> {
        let rdata = &draft.record().rdata;
        let salt = rdata.get(5..5 + usize::from(*rdata.get(4)?))?.to_vec();
        Some(Self { algorithm: *rdata.first()?, iterations: u16::from_be_bytes([rdata[2], rdata[3]]), salt })
    }

    fn hash(&self, name: &[u8]) -> Hash {
        let mut hash: Hash = Sha1::new().chain_update(name).chain_update(&self.salt).finalize().into();
        for _ in 0..self.iterations {
            hash = Sha1::new().chain_update(hash).chain_update(&self.salt).finalize().into();
        }
        hash
    }
}

/// A name that needs a record.
#[derive(Default)]
struct Needed {
    name: Option<Name>,
    types: BTreeSet<Rtype>,
    /// Types that have been told, and are not compared.
    told: BTreeSet<Rtype>,
    /// Nothing at the name is signed, which has been told.
    is_unsigned: bool,
    /// An opt-out record may cover it instead.
    may_be_covered: bool,
}

/// The records of the chain by their hash.
type Chain<'d> = BTreeMap<Hash, &'d Draft>;

/// Names without their NSEC3 record, records without a name, and records that say something else than the zone has.
pub(super) fn chain(zone: &Zone<'_>, nodes: &[Node<'_, '_>], remarks: &mut Vec<Finding>) {
    let Some(params) = params(zone, nodes, remarks) else { return };
    let records = records(nodes, &params, remarks);
    if records.is_empty() {
        return;
    }
    let needed = needed(zone, nodes, &params);
    let missing = missing(zone, &records, &needed, remarks);
    let mut following = records.keys().skip(1).chain(records.keys().take(1));
    for (hash, draft) in &records {
        match needed.get(hash) {
            Some(wanted) => {
                let name = wanted.name.as_ref().unwrap_or(draft.owner());
                if let Some(difference) = difference(&bitmap(draft), &wanted.types, &wanted.told) {
                    let message = format!("the NSEC3 record of {name} lists other types than there are: {difference}");
                    remarks.push(draft.warning(message));
                }
            }
            None => remarks.push(draft.warning("this NSEC3 record is of no name in the zone".to_owned())),
        }
        let (next, after) = (next(draft), following.next());
        if next.as_ref() != after && !next.is_some_and(|next| missing.contains(&next)) {
            let shown = after.map(text).unwrap_or_default();
            let message = format!("the NSEC3 record leads to another hash than that of the next record, {shown}");
            remarks.push(draft.warning(message));
        }
    }
}

/// What the zone says of its chain, whether it has one or not.
pub(super) fn parameters(zone: &Zone<'_>, remarks: &mut Vec<Finding>) {
    let Some((param, params)) = zone.at_apex(NSEC3PARAM).next().and_then(|param| Some((param, Params::of(param)?)))
    else {
        return;
    };
    if param.record().rdata.get(1).is_some_and(|flags| *flags != 0) {
        remarks.push(param.warning("the flags of an NSEC3PARAM record are 0 (RFC 5155 section 4.1.2)".to_owned()));
    }
    if params.algorithm != SHA1 {
        let message = format!("NSEC3 hash algorithm {} is not known; 1 is SHA-1", params.algorithm);
        remarks.push(param.warning(message));
        return;
    }
    let iterations = params.iterations;
    let help = "RFC 9276 section 3.1: use 0 iterations and no salt";
    match iterations {
        0 => {}
        1..=MANY => {
            let message = format!("NSEC3 with {iterations} iterations costs more and protects nothing");
            remarks.push(param.warning(message).with_help(help));
        }
        _ => {
            let message = format!("NSEC3 with {iterations} iterations: validators treat the zone as unsigned, or fail");
            remarks.push(param.warning(message).with_help(help));
        }
    }
}

/// The parameters that the zone says it uses; `None` when the chain cannot be compared.
fn params(zone: &Zone<'_>, nodes: &[Node<'_, '_>], remarks: &mut Vec<Finding>) -> Option<Params> {
    let first = nodes.iter().find_map(|node| node.first(NSEC3));
    let Some(param) = zone.at_apex(NSEC3PARAM).next() else {
        let draft = first?;
        remarks.push(draft.warning(format!("there are NSEC3 records, and {} has no NSEC3PARAM record", zone.apex)));
        return None;
    };
    let params = Params::of(param)?;
    if first.is_none() {
        remarks.push(param.warning("there is an NSEC3PARAM record and no NSEC3 record".to_owned()));
        return None;
    }
    (params.algorithm == SHA1 && params.iterations <= TOO_MANY).then_some(params)
}

/// The records of the zone's own chain; records with other parameters are told once.
fn records<'d>(nodes: &[Node<'_, 'd>], params: &Params, remarks: &mut Vec<Finding>) -> Chain<'d> {
    let mut records = Chain::new();
    let mut other: Option<(&Draft, usize)> = None;
    let drafts = nodes.iter().flat_map(|node| node.all.iter().copied());
    for draft in drafts.filter(|draft| draft.rtype() == NSEC3) {
        match owner_hash(draft).filter(|_| Params::of(draft).as_ref() == Some(params)) {
            Some(hash) => {
                records.insert(hash, draft);
            }
            None => other = Some(other.map_or((draft, 1), |(first, count)| (first, count + 1))),
        }
    }
    if let Some((first, count)) = other {
        let message =
            format!("{count} NSEC3 records have other parameters than the NSEC3PARAM record, or no hash as owner");
        remarks.push(first.warning(message));
    }
    records
}

/// The hashes of all names that count, and of the empty names between them and the apex.
fn needed(zone: &Zone<'_>, nodes: &[Node<'_, '_>], params: &Params) -> HashMap<Hash, Needed> {
    let mut names: HashMap<Vec<u8>, Needed> = HashMap::new();
    for node in nodes.iter().filter(|node| !node.is_hash()) {
        let (mut types, may_be_covered) = (node.types(), node.is_insecure_cut());
        if !may_be_covered {
            types.insert(Rtype::RRSIG);
        }
        let (name, told) = (Some(node.name.clone()), node.half_signed());
        let needed = Needed { name, types, told, is_unsigned: node.is_unsigned(), may_be_covered };
        names.insert(node.name.as_wire().to_vec(), needed);
    }
    for node in nodes.iter().filter(|node| !node.is_hash()) {
        let covered = node.is_insecure_cut();
        let mut above = crate::model::name::parent(node.name.as_wire());
        while let Some(wire) = above.filter(|wire| wire.len() > zone.apex.as_wire().len()) {
            let empty = names.entry(wire.to_vec()).or_insert_with(|| Needed {
                name: Some(Name::from_trusted(wire)),
                may_be_covered: true,
                ..Needed::default()
            });
            empty.may_be_covered &= covered || !empty.types.is_empty();
            above = crate::model::name::parent(wire);
        }
    }
    names.into_iter().map(|(wire, needed)| (params.hash(&wire), needed)).collect()
}

/// Tells the names that have no record and are not covered by opt-out; returns the hashes that are not there.
fn missing(
    zone: &Zone<'_>,
    records: &Chain<'_>,
    needed: &HashMap<Hash, Needed>,
    remarks: &mut Vec<Finding>,
) -> BTreeSet<Hash> {
    let missing: BTreeMap<&Hash, &Needed> = needed.iter().filter(|(hash, _)| !records.contains_key(*hash)).collect();
    for (hash, wanted) in &missing {
        let before = records.range::<Hash, _>(..*hash).next_back().or(records.iter().next_back());
        let opts_out =
            before.is_some_and(|(_, draft)| draft.record().rdata.get(1).is_some_and(|flags| flags & OPT_OUT != 0));
        let is_told = wanted.is_unsigned || (wanted.may_be_covered && opts_out);
        let Some(name) = wanted.name.as_ref().filter(|_| !is_told) else { continue };
        let message = match wanted.may_be_covered {
            true => format!("{name} has no NSEC3 record, and no NSEC3 record with opt-out covers it"),
            false => format!("{name} has no NSEC3 record"),
        };
        let at = zone.at(name.as_wire()).next().or_else(|| zone.at_apex(NSEC3PARAM).next());
        remarks.extend(at.map(|draft| draft.warning(message).with_help(format!("its hash is {}", text(hash)))));
    }
    missing.into_keys().copied().collect()
}

/// The hash that an NSEC3 record belongs to: the first label of its owner.
fn owner_hash(draft: &Draft) -> Option<Hash> {
    let label = draft.owner().labels().next()?.to_ascii_uppercase();
    data_encoding::BASE32HEX_NOPAD.decode(&label).ok()?.try_into().ok()
}

/// The hash that an NSEC3 record leads to.
fn next(draft: &Draft) -> Option<Hash> {
    let rdata = &draft.record().rdata;
    let at = 5 + usize::from(*rdata.get(4)?);
    rdata.get(at + 1..at + 1 + usize::from(*rdata.get(at)?))?.try_into().ok()
}

fn text(hash: &Hash) -> String {
    data_encoding::BASE32HEX_NOPAD.encode(hash).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_rfc() {
        let params = Params { algorithm: SHA1, iterations: 12, salt: vec![0xaa, 0xbb, 0xcc, 0xdd] };
        let hash = |name: &str| text(&params.hash(Name::parse_absolute(name).expect("name").as_wire()));
        assert_eq!(hash("example"), "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom", "RFC 5155 appendix A");
        assert_eq!(hash("ns1.example"), "2t7b4g4vsa5smi47k61mv5bv1a22bojr");
    }
}
