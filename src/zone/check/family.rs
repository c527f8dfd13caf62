//! Zones beside each other: a delegation in one file and the zone that it leads to in another, and targets in other
//! zones that are aliases there. Whether such a target exists at all is not asked: its zone may take registrations.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::model::{Finding, Name, Rtype};
use crate::zone::{StaticRecord, StaticZone};

/// The records of a zone by owner and type.
type Index<'z> = HashMap<(&'z Name, Rtype), Vec<&'z StaticRecord>>;

/// Compares name servers and glue above a delegation with what the zone below says, where both are known; and looks for
/// targets of NS, MX and SRV records that are aliases in another zone. Zones that nothing leads to are told when `all`
/// could be read: what is broken may lead to them.
pub(in crate::zone) fn family(zones: &[StaticZone], all: bool) -> Vec<Finding> {
    let apexes: HashMap<&Name, &StaticZone> = zones.iter().map(|zone| (&zone.origin, zone)).collect();
    let mut indexes: HashMap<&Name, Index<'_>> = HashMap::new();
    let mut findings = Vec::new();
    for below in zones {
        let above = std::iter::successors(below.origin.parent(), Name::parent).find_map(|name| apexes.get(&name));
        if let Some(above) = above {
            let known = indexes.entry(&above.origin).or_insert_with(|| index(above));
            delegation(known, below, &mut findings);
            findings.extend(lost(known, above, below).filter(|_| all));
        }
    }
    for zone in zones {
        let mut told: HashSet<(Rtype, Name)> = HashSet::new();
        for stated in &zone.records {
            let Some((rtype, target)) = target(stated) else { continue };
            let of = std::iter::successors(Some(target.clone()), Name::parent).find_map(|name| apexes.get(&name));
            let Some(other) = of.filter(|other| other.origin != zone.origin) else { continue };
            let known = indexes.entry(&other.origin).or_insert_with(|| index(other));
            if known.contains_key(&(&target, Rtype::CNAME)) && told.insert((rtype, target.clone())) {
                let message = format!("{rtype} target {target} is an alias in the zone {}", other.origin);
                findings.push(Finding::warning(stated.place.clone(), message));
            }
        }
    }
    findings
}

/// The host that an NS, MX or SRV record names.
fn target(stated: &StaticRecord) -> Option<(Rtype, Name)> {
    let record = &stated.record;
    let before = match record.rtype {
        Rtype::NS => 0,
        Rtype::MX => 2,
        Rtype::SRV => 6,
        _ => return None,
    };
    Some((record.rtype, Name::from_wire(record.rdata.get(before..)?).ok()?))
}

fn index(zone: &StaticZone) -> Index<'_> {
    let mut index = Index::new();
    for stated in &zone.records {
        index.entry((&stated.record.owner, stated.record.rtype)).or_default().push(stated);
    }
    index
}

/// Whether no NS record above leads to a zone.
fn lost(known: &Index<'_>, above: &StaticZone, below: &StaticZone) -> Option<Finding> {
    let on_the_way = std::iter::successors(Some(below.origin.clone()), Name::parent);
    let mut names = on_the_way.take_while(|name| *name != above.origin);
    if names.any(|name| known.contains_key(&(&name, Rtype::NS))) {
        return None;
    }
    let soa = below.records.iter().find(|stated| stated.record.rtype == Rtype::SOA)?;
    let message =
        format!("no NS record of the zone {} leads to {}: resolvers do not find it", above.origin, below.origin);
    let help = format!("delegate it there: NS records of {}, with glue", below.origin);
    Some(Finding::warning(soa.place.clone(), message).with_help(help))
}

fn delegation(above: &Index<'_>, zone: &StaticZone, findings: &mut Vec<Finding>) {
    let below = index(zone);
    let Some(ns) = above.get(&(&zone.origin, Rtype::NS)) else { return };
    let servers = |records: &[&StaticRecord]| -> BTreeSet<Name> {
        records.iter().filter_map(|stated| Name::from_wire(&stated.record.rdata).ok()).collect()
    };
    let list = |names: &BTreeSet<Name>| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let named = servers(ns);
    let own = servers(below.get(&(&zone.origin, Rtype::NS)).map_or(&[], Vec::as_slice));
    if named != own {
        let (named, own) = (list(&named), list(&own));
        let message = format!("the delegation of {} names {named}; that zone itself says {own}", zone.origin);
        findings.push(Finding::warning(ns[0].place.clone(), message));
    }
    for server in named.iter().filter(|name| name.is_within(&zone.origin)) {
        for rtype in [Rtype::A, Rtype::AAAA] {
            let Some(glue) = above.get(&(server, rtype)) else { continue };
            let data = |records: &[&StaticRecord]| -> BTreeSet<Box<[u8]>> {
                records.iter().map(|stated| stated.record.rdata.clone()).collect()
            };
            if data(glue) != data(below.get(&(server, rtype)).map_or(&[], Vec::as_slice)) {
                let message = format!("the {rtype} glue of {server} is not what the zone {} says", zone.origin);
                findings.push(Finding::warning(glue[0].place.clone(), message));
            }
        }
    }
}
