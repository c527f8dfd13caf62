//! What is put right before a zone is used: records outside it, records that stand twice, TTLs that differ.

use std::collections::{HashMap, HashSet};

use crate::model::{Finding, Name, Place, Record, Rtype};
use crate::zone::parse::Draft;
use crate::zone::{fields, types};

/// Types whose names DNSSEC compares without case (RFC 4034 section 6.2, RFC 6840 section 5.1).
const FOLDED: [u16; 24] = [2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15, 17, 18, 21, 24, 26, 30, 33, 35, 36, 38, 39, 46];

/// The largest TTL (RFC 2181 section 8).
const MAX_TTL: u32 = 0x7fff_ffff;

/// Removes records outside the zone, as BIND does: they are told once per owner.
pub(super) fn drop_outside(apex: &Name, drafts: &mut Vec<Draft>, remarks: &mut Vec<Finding>) {
    let mut told: HashSet<Name> = HashSet::new();
    drafts.retain(|draft| {
        let inside = draft.owner().is_within(apex);
        if !inside && told.insert(draft.owner().clone()) {
            let message = format!("{} is not in the zone {apex}; it is left out", draft.owner());
            remarks.push(draft.warning(message).with_help("end a name with a dot only if it is complete"));
        }
        inside
    });
}

/// Where a record stands first, and the ways in which it is written.
type Earlier = (Place, Vec<Box<[u8]>>);

/// Removes records that stand twice, and tells those that only DNSSEC tells apart.
pub(super) fn drop_repeated(drafts: &mut Vec<Draft>, remarks: &mut Vec<Finding>) {
    let mut first: HashMap<(Name, Rtype, Vec<u8>), Earlier> = HashMap::with_capacity(drafts.len());
    drafts.retain(|draft| {
        let record = draft.record();
        let folded = fields::canonical(record.rtype, &record.rdata);
        let exact = match FOLDED.contains(&record.rtype.0) {
            true => folded.clone().into(),
            false => record.rdata.clone(),
        };
        let key = (record.owner.clone(), record.rtype, folded);
        let name = types::mnemonic(record.rtype);
        let Some((earlier, known)) = first.get_mut(&key) else {
            first.insert(key, (draft.place().clone(), vec![exact]));
            return true;
        };
        if known.contains(&exact) {
            remarks.push(draft.warning(format!("this {name} record stands at {earlier} already; it is used once")));
            return false;
        }
        let message =
            format!("this {name} record is the one at {earlier} in another case; only DNSSEC tells them apart");
        remarks.push(draft.warning(message));
        known.push(exact);
        true
    });
}

/// Gives every record of an RRset the set's smallest TTL (RFC 2181 section 5.2).
pub(super) fn level_ttls(drafts: &mut [Draft], max: Option<u32>, remarks: &mut Vec<Finding>) {
    let mut sets: HashMap<_, (u32, u32)> = HashMap::with_capacity(drafts.len());
    for draft in drafts.iter() {
        let ttl = draft.record().ttl;
        let (low, _) = sets.entry(set_of(draft)).or_insert((ttl, ttl));
        *low = ttl.min(*low);
    }
    for draft in drafts.iter_mut() {
        let (low, first) = sets[&set_of(draft)];
        let (name, ttl) = (types::mnemonic(draft.rtype()), draft.record().ttl);
        if ttl != first {
            remarks.push(draft.warning(format!(
                "TTL {ttl} differs from TTL {first} of the first {name} record here; all get the smallest, {low}"
            )));
        }
        if max.is_some_and(|max| ttl > max) {
            remarks.push(
                draft.error(format!("TTL {ttl} is over the largest that is allowed, {}", max.unwrap_or(MAX_TTL))),
            );
        }
        draft.stated.record.ttl = low;
    }
}

/// What tells one RRset from another: RRSIG records belong to the type that they cover.
fn set_of(draft: &Draft) -> (Name, Rtype, Option<Rtype>) {
    let Record { owner, rtype, .. } = draft.record();
    (owner.clone(), *rtype, draft.covered())
}
