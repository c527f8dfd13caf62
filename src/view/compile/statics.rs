//! Static records of one zone become entries, and records aside.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::Apexes;
use crate::model::name::parent;
use crate::model::{Name, Record, Rtype};
use crate::view::ZoneSource;
use crate::view::aside::{Aside, Sets};
use crate::view::denial::Denial;
use crate::view::edit::Editor;
use crate::view::rrset::{RrSetBuf, target_at};
use crate::view::shard::{APEX, CUT};
use crate::view::zone::Extras;

/// Names of one zone at which it ends: delegations and DNAMEs.
pub(super) type Cuts = HashSet<Box<[u8]>>;

/// Puts the records of a zone into the table; only the apex when `content` is false. Names that lie in a deeper zone of
/// ours are left to that.
pub(super) fn put_zone(
    editor: &mut Editor<'_>,
    zone: u16,
    source: &ZoneSource,
    content: bool,
    apexes: &Apexes,
    cuts: &Cuts,
) {
    let mut owners: BTreeMap<&Name, Vec<&Record>> = BTreeMap::new();
    owners.entry(&source.apex).or_default();
    let records = source.records.iter().filter(|record| content && !is_apex_soa(source, record));
    for record in records.filter(|record| record.owner.is_within(&source.apex) && !is_hashed(record)) {
        if apexes.zone_of(record.owner.as_wire()) == Some(zone) {
            owners.entry(&record.owner).or_default().push(record);
        }
    }
    for (name, records) in owners {
        let mut flags = 0;
        if *name == source.apex {
            flags |= APEX;
        } else if records.iter().any(|record| record.rtype == Rtype::NS) {
            flags |= CUT;
        }
        editor.put_static(zone, name, sets(&records), flags);
        occlude(editor, zone, source, name, cuts);
    }
}

/// If a delegation or DNAME stands above a name, marks it and what is between them.
fn occlude(editor: &mut Editor<'_>, zone: u16, source: &ZoneSource, name: &Name, cuts: &Cuts) {
    let Some(topmost) = cut_above(name.as_wire(), source.apex.as_wire(), cuts) else { return };
    let mut next = Some(name.as_wire());
    while let Some(hidden) = next.filter(|hidden| hidden.len() > topmost.len()) {
        editor.occlude(zone, hidden);
        next = parent(hidden);
    }
}

/// The topmost name above `name` at which the zone ends.
pub(super) fn cut_above<'n>(name: &'n [u8], apex: &[u8], cuts: &Cuts) -> Option<&'n [u8]> {
    let mut topmost = None;
    let mut next = parent(name);
    while let Some(above) = next.filter(|above| !cuts.is_empty() && above.len() >= apex.len()) {
        if cuts.contains(above) {
            topmost = Some(above);
        }
        next = parent(above);
    }
    topmost
}

/// Names at which a zone ends.
pub(super) fn cuts(source: &ZoneSource) -> Cuts {
    let ends = |record: &&Record| match record.rtype {
        Rtype::NS => record.owner != source.apex,
        Rtype::DNAME => true,
        _ => false,
    };
    source.records.iter().filter(ends).map(|record| record.owner.as_wire().into()).collect()
}

/// What a zone has besides its entries: records aside, and the order of its proofs of absence.
pub(super) fn extras(zone: u16, source: &ZoneSource, apexes: &Apexes) -> Extras {
    let is_aside = |record: &&Record| {
        let ours = record.owner.is_within(&source.apex) && record.owner != source.apex;
        ours && (is_hashed(record) || apexes.zone_of(record.owner.as_wire()) != Some(zone))
    };
    let mut owners: BTreeMap<&Name, Vec<&Record>> = BTreeMap::new();
    for record in source.records.iter().filter(is_aside) {
        owners.entry(&record.owner).or_default().push(record);
    }
    let aside = owners.into_iter().map(|(owner, records)| Aside { owner: owner.clone(), sets: sets(&records) });
    let aside: Arc<[Aside]> = aside.collect();
    let signed = source.is_signed() && !source.is_dynamic();
    let denial = signed.then(|| Denial::of(&source.apex, &source.records, &aside)).flatten();
    let redirects = source.records.iter().any(|record| record.rtype == Rtype::DNAME);
    Extras { signed, redirects, aside, denial: denial.map(Arc::new) }
}

/// The zone keeps its SOA itself, because its serial moves.
fn is_apex_soa(source: &ZoneSource, record: &Record) -> bool {
    record.rtype == Rtype::SOA && record.owner == source.apex
}

/// NSEC3, or its signature: its owner is a hash.
fn is_hashed(record: &Record) -> bool {
    record.rtype == Rtype::NSEC3 || covered(record) == Some(Rtype::NSEC3)
}

/// The type that a signature covers.
fn covered(record: &Record) -> Option<Rtype> {
    let number = record.rdata.first_chunk().filter(|_| record.rtype == Rtype::RRSIG)?;
    Some(Rtype(u16::from_be_bytes(*number)))
}

/// Records of one name as sets: one TTL each, the smallest (RFC 2181 section 5.2), no record twice. Signatures are one
/// set for each type that they cover (RFC 4035 section 2.2).
pub(super) fn sets(records: &[&Record]) -> Sets {
    let mut types: BTreeMap<(Rtype, Option<Rtype>), Vec<&Record>> = BTreeMap::new();
    let mut seen = HashSet::new();
    for record in records {
        let is_whole = record.rtype != Rtype::RRSIG || covered(record).is_some();
        if is_whole && seen.insert((record.rtype, &record.rdata)) {
            types.entry((record.rtype, covered(record))).or_default().push(record);
        }
    }
    let mut sets = Sets::default();
    for ((rtype, covered), records) in types {
        let ttl = records.iter().map(|record| record.ttl).min().unwrap_or_default();
        let mut set = RrSetBuf::new(rtype);
        records.iter().for_each(|record| set.push(ttl, &record.rdata));
        match covered {
            Some(_) => sets.signatures.push(set),
            None if target_at(rtype).is_some() => sets.plain.push(set.following()),
            None => sets.plain.push(set),
        }
    }
    sets
}
