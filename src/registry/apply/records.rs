//! Static records that UPDATE writes: who may have which name, and what a message makes of its records.
//!
//! Zone files and registrations come first. A record that is written where one of them is would be hidden, or would
//! hide it, so such a name is refused; what was written before a file took the name can still be deleted.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::draft::Draft;
use super::super::explain::readings;
use super::super::follow::readers;
use super::super::store::Write;
use super::super::update::{Edit, Look, Update};
use super::super::{Outcome, TouchedName};
use super::Caller;
use crate::model::name::is_within;
use crate::model::{Item, Name, Refusal, Rtype, Transition, Word, Written, WrittenData, WrittenSet};

/// Records at one name: BIND takes no more of one type, and nobody needs more of all.
const MOST_RECORDS: usize = 100;
/// Names of one zone.
const MOST_NAMES: usize = 10_000;
/// Edits of one message.
const MOST_EDITS: usize = 1000;
/// A week, in seconds: what caches keep at most.
const LONGEST_TTL: u32 = 604_800;

/// What is below these labels and a zone is about all its services (RFC 6763 sections 9 and 11).
const BROWSING: &[u8] = b"\x07_dns-sd\x04_udp";

/// Does what a message asks, or nothing of it.
pub(super) fn update(
    draft: &mut Draft,
    caller: &Caller<'_>,
    view: &dyn Look,
    update: &Update,
) -> Result<Outcome, Refusal> {
    if let Some(unmet) = update.prerequisites.iter().find_map(|prerequisite| prerequisite.unmet(view)) {
        return Ok(Outcome::Unmet(unmet));
    }
    if update.edits.len() > MOST_EDITS {
        let detail = format!("the message has {} updates; at most {MOST_EDITS} are taken", update.edits.len());
        return Err(Refusal::new(Word::TooLarge, detail));
    }
    let mut names: BTreeMap<&Name, Vec<WrittenSet>> = BTreeMap::new();
    for edit in &update.edits {
        let name = edit.name();
        let written = draft.state.snapshot.written(&update.zone, name);
        let sets = names.entry(name).or_insert_with(|| written.map(|row| row.sets.clone()).unwrap_or_default());
        match edit {
            Edit::Add(_, rtype, ttl, record) => {
                check_name(draft, view, &update.zone, name)?;
                check_record(draft, *rtype, *ttl, record)?;
            }
            _ if sets.is_empty() && written.is_none() => check_deleted(draft, view, &update.zone, name)?,
            _ => {}
        }
        apply(sets, edit);
        if sets.iter().map(|set| set.records.len()).sum::<usize>() > MOST_RECORDS {
            let detail = format!("{name} would have more than {MOST_RECORDS} records; split them over several names");
            return Err(Refusal::new(Word::TooLarge, detail));
        }
    }
    commit(draft, caller, &update.zone, names)
}

/// One edit (RFC 2136 section 3.4.2): an alias and other records at one name do not come together, and the later of
/// them is ignored.
fn apply(sets: &mut Vec<WrittenSet>, edit: &Edit) {
    match edit {
        Edit::Add(_, rtype, ttl, record) => {
            let is_alias = *rtype == Rtype::CNAME;
            if sets.iter().any(|set| (set.rtype == Rtype::CNAME) != is_alias) {
                return;
            }
            if is_alias {
                sets.clear();
            }
            add(sets, *rtype, *ttl, record);
        }
        Edit::DeleteSet(_, rtype) => sets.retain(|set| set.rtype != *rtype),
        Edit::DeleteName(_) => sets.clear(),
        Edit::DeleteRecord(_, rtype, key) => {
            if let Some(set) = sets.iter_mut().find(|set| set.rtype == *rtype) {
                set.records.retain(|record| record.key() != &**key);
            }
            sets.retain(|set| !set.records.is_empty());
        }
    }
}

fn add(sets: &mut Vec<WrittenSet>, rtype: Rtype, ttl: u32, record: &WrittenData) {
    let at = sets.partition_point(|set| set.rtype < rtype);
    if sets.get(at).is_none_or(|set| set.rtype != rtype) {
        sets.insert(at, WrittenSet { rtype, ttl, records: Vec::new() });
    }
    let set = &mut sets[at];
    set.ttl = ttl;
    match set.records.iter_mut().find(|known| known.key() == record.key()) {
        Some(known) => *known = record.clone(),
        None => set.records.push(record.clone()),
    }
}

/// Puts into the draft what differs.
fn commit(
    draft: &mut Draft,
    caller: &Caller<'_>,
    zone: &Name,
    names: BTreeMap<&Name, Vec<WrittenSet>>,
) -> Result<Outcome, Refusal> {
    let revision = draft.next();
    let (mut before, mut after, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for (name, sets) in names {
        let known = draft.state.snapshot.written(zone, name);
        if known.map_or(&[][..], |row| &row.sets) == sets {
            continue;
        }
        let row = (!sets.is_empty()).then(|| Arc::new(Written { sets, revision }));
        before.extend(known.iter().flat_map(|row| row.lines(name)));
        after.extend(row.iter().flat_map(|row| row.lines(name)));
        rows.push((name.clone(), row));
    }
    if rows.is_empty() {
        return Ok(Outcome::Applied { revision: draft.state.snapshot.revision, changed: false });
    }
    check_count(draft, zone, &rows)?;
    for (name, row) in rows {
        if draft.state.snapshot.written(zone, &name).is_some() != row.is_some() {
            let touched: Vec<_> = readers(draft.options(), &draft.state.snapshot, &name, revision).collect();
            draft.touched.extend(touched);
        }
        draft.state.change_written(zone, &name, row.clone());
        draft.touched_names.push(TouchedName { zone: zone.clone(), name: name.clone(), revision });
        draft.writes.push(Write::Records(zone.clone(), name, row));
    }
    let item = |records: Vec<String>| (!records.is_empty()).then_some(Item::Records { records });
    let subject: Arc<str> = zone.to_string().into();
    draft.record(&caller.by, Transition::Records, subject, None, item(before), item(after));
    Ok(Outcome::Applied { revision, changed: true })
}

fn check_count(draft: &Draft, zone: &Name, rows: &[(Name, Option<Arc<Written>>)]) -> Result<(), Refusal> {
    let new = rows.iter().filter(|(name, row)| row.is_some() && draft.state.snapshot.written(zone, name).is_none());
    match draft.state.written_names(zone) + new.count() > MOST_NAMES {
        true => {
            let detail = format!("zone {zone} has {MOST_NAMES} names from UPDATE already; delete some first");
            Err(Refusal::new(Word::TooLarge, detail))
        }
        false => Ok(()),
    }
}

/// Refuses a name that is not one for records from UPDATE.
fn check_name(draft: &Draft, view: &dyn Look, zone: &Name, name: &Name) -> Result<(), Refusal> {
    if name == zone {
        let detail = format!("{name} is the apex of the zone; its records stand in the zone file or the configuration");
        return Err(Refusal::new(Word::ReservedName, detail));
    }
    if name.labels().any(|label| label == b"*") {
        let detail = format!("{name} has a wildcard label; wildcards belong into the zone file");
        return Err(Refusal::new(Word::ReservedName, detail));
    }
    check_browsing(draft, zone, name)?;
    check_deleted(draft, view, zone, name)
}

/// Refuses to change what a zone file or a registration has.
fn check_deleted(draft: &Draft, view: &dyn Look, zone: &Name, name: &Name) -> Result<(), Refusal> {
    if let Some(place) = draft.statics.holder(name.as_wire()) {
        let detail = format!("{name} cannot be updated: {place} has it in a static record; change it there");
        return Err(Refusal::new(Word::StaticName, detail));
    }
    if let Some(detail) = view.refusal(zone, name) {
        return Err(Refusal::new(Word::ReservedName, detail));
    }
    for reading in readings(draft.options(), &draft.state.snapshot, name) {
        let Some(service) = &reading.service else { continue };
        let is_taken = match reading.instance_label() {
            Some(id) => service.instances.find(id).is_some(),
            None => service.is_known(),
        };
        if is_taken {
            let detail = format!("{name} cannot be updated: it is a name of service {}", service.name);
            return Err(Refusal::new(Word::NameOwned, detail));
        }
    }
    match draft.state.snapshot.written(zone, name).is_none() && view.find(name).registered {
        true => {
            let detail = format!("{name} cannot be updated: registrations publish it");
            Err(Refusal::new(Word::NameOwned, detail))
        }
        false => Ok(()),
    }
}

fn check_browsing(draft: &Draft, zone: &Name, name: &Name) -> Result<(), Refusal> {
    let browsing = Name::from_wire(&[BROWSING, zone.as_wire()].concat());
    let is_below = browsing.is_ok_and(|browsing| is_within(name.as_wire(), browsing.as_wire()));
    match is_below && draft.options().zones.contains(zone) {
        true => {
            let detail = format!("{name} cannot be updated: what is below _dns-sd._udp lists the services of the zone");
            Err(Refusal::new(Word::ReservedName, detail))
        }
        false => Ok(()),
    }
}

/// Refuses types that are not a matter of single names, addresses that policy does not let into DNS, and TTLs that no
/// cache would keep.
fn check_record(draft: &Draft, rtype: Rtype, ttl: u32, record: &WrittenData) -> Result<(), Refusal> {
    if let Some(what) = refused_type(rtype) {
        let detail = format!("records of type {rtype} cannot be updated: {what}; they belong into the zone file");
        return Err(Refusal::new(Word::BadValue, detail));
    }
    if ttl > LONGEST_TTL {
        return Err(Refusal::new(Word::BadValue, format!("TTL {ttl} is above {LONGEST_TTL}, a week")));
    }
    match (rtype, &*record.data) {
        (Rtype::A, &[a, b, c, d]) => draft.options().policy.check_address([a, b, c, d].into()),
        (Rtype::AAAA, data) => match <[u8; 16]>::try_from(data) {
            Ok(octets) => draft.options().policy.check_address(octets.into()),
            Err(_) => Ok(()),
        },
        _ => Ok(()),
    }
}

fn refused_type(rtype: Rtype) -> Option<&'static str> {
    match rtype.0 {
        2 | 6 | 39 | 63 => Some("they shape the zone"),
        24 | 25 | 30 | 43 | 46..=48 | 50 | 51 | 59 | 60 | 62 => Some("they are part of DNSSEC"),
        _ => None,
    }
}
