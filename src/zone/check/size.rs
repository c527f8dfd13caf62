//! Sets that are too large: for BIND, or for any message.

use std::collections::BTreeMap;

use crate::model::{Finding, Name, Rtype};
use crate::zone::parse::Draft;
use crate::zone::types;

/// The most octets that a message has, and that BIND keeps of one set.
const MAX_OCTETS: usize = 65_535;
/// Header and question of a message, without the name (RFC 1035 section 4.1).
const HEAD: usize = 16;
/// A record's own octets with a compressed owner: pointer, type, class, TTL, length.
const RECORD: usize = 12;
/// How many records of one set BIND 9.18 takes by default.
const BIND_RECORDS: usize = 100;

/// Each set that is too large, at its first record.
pub(super) fn sizes(owners: &[(&Name, Vec<&Draft>)], remarks: &mut Vec<Finding>) {
    for (owner, all) in owners {
        let mut sets: BTreeMap<(Rtype, Option<Rtype>), Vec<&Draft>> = BTreeMap::new();
        for draft in all {
            sets.entry((draft.rtype(), draft.covered())).or_default().push(draft);
        }
        remarks.extend(sets.values().filter_map(|set| size(owner, set)));
    }
}

fn size(owner: &Name, set: &[&Draft]) -> Option<Finding> {
    let first = set.first()?;
    let name = types::mnemonic(first.rtype());
    let data: usize = set.iter().map(|draft| draft.record().rdata.len()).sum();
    let (kept, sent) = (data + 2 * set.len(), HEAD + owner.as_wire().len() + data + RECORD * set.len());
    if kept > MAX_OCTETS {
        let message = format!("the {name} set of {owner} has {kept} octets of data; at most {MAX_OCTETS} are allowed");
        Some(first.error(message))
    } else if sent > MAX_OCTETS {
        let message = format!("the {name} set of {owner} needs an answer of {sent} octets; a message has {MAX_OCTETS}");
        Some(first.warning(message))
    } else if set.len() > BIND_RECORDS {
        let message =
            format!("the {name} set of {owner} has {} records; BIND takes {BIND_RECORDS} by default", set.len());
        Some(first.warning(message).with_help("a BIND secondary needs max-records-per-type, or refuses the zone"))
    } else {
        None
    }
}
