//! Static records of one zone become entries.

use std::collections::BTreeMap;

use crate::model::{Name, Record, Rtype};
use crate::view::ZoneSource;
use crate::view::edit::Editor;
use crate::view::rrset::RrSetBuf;
use crate::view::shard::{APEX, CUT, OCCLUDED};

/// Puts the records of a zone into the table; only the apex when `content` is false. `nested` tells names that lie in
/// a deeper zone of ours, whose records win.
pub(super) fn put_zone(
    editor: &mut Editor<'_>,
    zone: u16,
    source: &ZoneSource,
    content: bool,
    nested: impl Fn(&Name) -> bool,
) {
    let mut owners: BTreeMap<&Name, Vec<&Record>> = BTreeMap::new();
    owners.entry(&source.apex).or_default();
    let records = source.records.iter().filter(|record| content && !is_apex_soa(source, record));
    for record in records.filter(|record| record.owner.is_within(&source.apex)) {
        if record.owner == source.apex || !nested(&record.owner) {
            owners.entry(&record.owner).or_default().push(record);
        }
    }
    let cuts: Vec<Name> = cuts(source).collect();
    for (name, records) in owners {
        let mut flags = 0;
        if *name == source.apex {
            flags |= APEX;
        } else if records.iter().any(|record| record.rtype == Rtype::NS) {
            flags |= CUT;
        }
        if cuts.iter().any(|cut| name != cut && name.is_within(cut)) {
            flags |= OCCLUDED;
        }
        editor.put_static(zone, name, sets(&records), flags);
    }
}

/// Names at which a zone ends: delegations and DNAMEs.
pub(super) fn cuts(source: &ZoneSource) -> impl Iterator<Item = Name> {
    let ends = |record: &&Record| match record.rtype {
        Rtype::NS => record.owner != source.apex,
        Rtype::DNAME => true,
        _ => false,
    };
    source.records.iter().filter(ends).map(|record| record.owner.clone())
}

/// The zone keeps its SOA itself, because its serial moves.
fn is_apex_soa(source: &ZoneSource, record: &Record) -> bool {
    record.rtype == Rtype::SOA && record.owner == source.apex
}

/// Records of one name as sets: one TTL each, the smallest (RFC 2181 section 5.2), no record twice.
fn sets(records: &[&Record]) -> Vec<RrSetBuf> {
    let mut types: BTreeMap<Rtype, Vec<&Record>> = BTreeMap::new();
    for record in records {
        let set = types.entry(record.rtype).or_default();
        if !set.iter().any(|other| other.rdata == record.rdata) {
            set.push(record);
        }
    }
    let sets = types.into_iter().map(|(rtype, records)| {
        let ttl = records.iter().map(|record| record.ttl).min().unwrap_or_default();
        let mut set = RrSetBuf::new(rtype);
        records.iter().for_each(|record| set.push(ttl, &record.rdata));
        match rtype {
            Rtype::NS | Rtype::MX | Rtype::SRV => set.following(),
            _ => set,
        }
    });
    sets.collect()
}
