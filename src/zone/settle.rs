//! What becomes of records between reading and checking, exactly as in BIND: those outside the zone are left out, and
//! an RRset gets one TTL.

use std::collections::{HashMap, HashSet};

use super::parse::Draft;
use super::types;
use crate::model::{Finding, Name, Rtype, Severity};

/// Leaves out what is not in the zone and levels the TTLs. `known` is the apex if it does not come from the SOA; a TTL
/// over `max_ttl` is an error.
pub(super) fn settle(drafts: &mut Vec<Draft>, known: Option<&Name>, max_ttl: Option<u32>) -> Vec<Finding> {
    let mut remarks = Vec::new();
    let soa = drafts.iter().find(|draft| draft.stated.record.rtype == Rtype::SOA);
    if let (Some(apex), Some(soa)) = (known, soa)
        && soa.stated.record.owner != *apex
    {
        let message = format!("the SOA record stands at {}; the zone of this file is {apex}", soa.stated.record.owner);
        remarks.push(remark(soa, Severity::Error, message).with_help("configure the file for the zone that it holds"));
        return remarks;
    }
    if let Some(apex) = soa.map(|soa| soa.stated.record.owner.clone()) {
        leave_out(drafts, &apex, &mut remarks);
    }
    level_ttls(drafts, max_ttl, &mut remarks);
    remarks
}

fn remark(draft: &Draft, severity: Severity, message: String) -> Finding {
    Finding::new(severity, draft.stated.place.clone(), message).with_width(draft.width)
}

/// A second SOA elsewhere stays: it is an error that the checks name.
fn leave_out(drafts: &mut Vec<Draft>, apex: &Name, remarks: &mut Vec<Finding>) {
    let mut told: HashSet<Name> = HashSet::new();
    drafts.retain(|draft| {
        let record = &draft.stated.record;
        let stays = record.owner.is_within(apex) || record.rtype == Rtype::SOA;
        if !stays && told.insert(record.owner.clone()) {
            let message = format!("{} is not in the zone {apex}; it is left out", record.owner);
            let finding = remark(draft, Severity::Warning, message);
            remarks.push(finding.with_help("end a name with a dot only if it is complete"));
        }
        stays
    });
}

/// Among lines of one owner that follow each other the first TTL of a set counts, and among several such groups the
/// last group. RRSIG records of different types are different sets. What is too long is so in any group.
fn level_ttls(drafts: &mut [Draft], max_ttl: Option<u32>, remarks: &mut Vec<Finding>) {
    struct Set {
        group: usize,
        first: u32,
        ttl: u32,
    }
    let mut sets: HashMap<_, Set> = HashMap::with_capacity(drafts.len());
    let key = |draft: &'_ Draft| {
        let record = &draft.stated.record;
        let covered = (record.rtype == Rtype::RRSIG).then(|| record.rdata.first_chunk::<2>().copied()).flatten();
        (record.rtype, covered)
    };
    let mut group = 0;
    for (index, draft) in drafts.iter().enumerate() {
        let record = &draft.stated.record;
        if index > 0 && drafts[index - 1].stated.record.owner != record.owner {
            group += 1;
        }
        let fresh = Set { group: usize::MAX, first: record.ttl, ttl: record.ttl };
        let set = sets.entry((&record.owner, key(draft))).or_insert(fresh);
        if set.group != group {
            (set.group, set.ttl) = (group, record.ttl);
            if let Some(max) = max_ttl.filter(|max| record.ttl > *max) {
                let message = format!("TTL {} is over the largest that is allowed, {max}", record.ttl);
                remarks.push(remark(draft, Severity::Error, message));
            }
        }
    }
    let mut changes = Vec::new();
    for (index, draft) in drafts.iter().enumerate() {
        let Set { first, ttl, .. } = sets[&(&draft.stated.record.owner, key(draft))];
        let stated = draft.stated.record.ttl;
        if stated != first {
            let name = types::mnemonic(draft.stated.record.rtype);
            let message =
                format!("TTL {stated} differs from TTL {first} of the first {name} record here; all get {ttl}");
            remarks.push(remark(draft, Severity::Warning, message));
        }
        if stated != ttl {
            changes.push((index, ttl));
        }
    }
    for (index, ttl) in changes {
        drafts[index].stated.record.ttl = ttl;
    }
}
