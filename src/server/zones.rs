//! What `GET /v1/zones` shows: serials of the published view, and facts of the zone files that are in force.
//!
//! The facts are made when files have been read, at start and at a reload, and swapped as a whole. A view that is
//! published between a reload and the swap shows its serials beside the facts before; the next call shows both.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::health::Freshness;
use crate::api;
use crate::model::Name;
use crate::model::api::ZoneInfo;
use crate::view::Zone;
use crate::zone::{StaticZone, digest};

/// What is known of a zone's own records.
#[derive(Debug)]
struct Facts {
    names: usize,
    records: usize,
    digest: String,
}

/// What is published, and facts of the zone files that are in force.
#[derive(Clone)]
pub(super) struct SharedZones {
    freshness: Arc<Freshness>,
    facts: Arc<ArcSwap<HashMap<Name, Facts>>>,
}

impl SharedZones {
    pub(super) fn new(freshness: Arc<Freshness>, zones: &[StaticZone]) -> Self {
        Self { freshness, facts: Arc::new(ArcSwap::from_pointee(facts(zones))) }
    }

    /// Puts other zone files in force.
    pub(super) fn replace(&self, zones: &[StaticZone]) {
        self.facts.store(Arc::new(facts(zones)));
    }
}

impl api::Zones for SharedZones {
    fn zones(&self) -> Vec<ZoneInfo> {
        let (view, facts) = (self.freshness.published().load(), self.facts.load());
        view.zones.iter().map(|zone| info(zone, facts.get(&zone.apex))).collect()
    }
}

fn facts(zones: &[StaticZone]) -> HashMap<Name, Facts> {
    let of = |zone: &StaticZone| {
        let records = zone.records.iter().map(|stated| &stated.record);
        let owners: HashSet<&Name> = records.clone().map(|record| &record.owner).collect();
        Facts { names: owners.len(), records: zone.records.len(), digest: digest(&zone.origin, records) }
    };
    zones.iter().map(|zone| (zone.origin.clone(), of(zone))).collect()
}

fn info(zone: &Zone, facts: Option<&Facts>) -> ZoneInfo {
    let facts = facts.filter(|_| zone.readable);
    let kind = match (zone.dynamic, crate::config::is_reverse(&zone.apex)) {
        (false, _) => "static",
        (true, false) => "registrations",
        (true, true) => "reverse",
    };
    ZoneInfo {
        name: zone.apex.to_string(),
        kind: kind.to_owned(),
        serial: zone.serial.0,
        base_serial: zone.base_serial().0,
        ready: zone.ready,
        readable: zone.readable,
        names: facts.map_or(0, |facts| facts.names),
        records: facts.map_or(0, |facts| facts.records),
        digest: facts.map(|facts| facts.digest.clone()),
    }
}
