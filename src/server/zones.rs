//! What `GET /v1/zones` shows: serials of the published view, and facts of the zone files that are in force.
//!
//! The facts are made when files have been read, at start and at a reload, and swapped as a whole. A view that is
//! published between a reload and the swap shows its serials beside the facts before; the next call shows both.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::health::Freshness;
use super::statics::SharedHolders;
use crate::answer::explain::target;
use crate::answer::{Answer, CLASS_IN, Content, Part, Query, QueryName, Transport, answer};
use crate::api;
use crate::model::api::ZoneInfo;
use crate::model::explanation::Said;
use crate::model::{Name, Rtype};
use crate::registry::StaticNames;
use crate::registry::explain::{Answers, Explains};
use crate::view::{View, Zone};
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
    holders: SharedHolders,
    facts: Arc<ArcSwap<HashMap<Name, Facts>>>,
}

impl SharedZones {
    pub(super) fn new(freshness: Arc<Freshness>, holders: SharedHolders, zones: &[StaticZone]) -> Self {
        Self { freshness, holders, facts: Arc::new(ArcSwap::from_pointee(facts(zones))) }
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

impl Answers for SharedZones {
    fn said(&self, name: &Name, rtype: Rtype) -> Option<Said> {
        let view = self.freshness.published().load();
        Some(said(&view, name, rtype))
    }

    fn explains(&self, name: &Name) -> Option<Explains> {
        let view = self.freshness.published().load();
        let to = view.explain_to.iter().map(ToString::to_string).collect();
        target(&view, name).map(|target| Explains { target, to })
    }

    fn static_record(&self, name: &Name) -> Option<String> {
        self.holders.holder(name.as_wire())
    }
}

/// What a client of this host hears over TCP.
fn said(view: &View, name: &Name, rtype: Rtype) -> Said {
    let question = [name.as_wire(), &rtype.0.to_be_bytes(), &CLASS_IN.to_be_bytes()].concat();
    let query = Query {
        id: 0,
        flags: 0,
        question: &question,
        name: QueryName::new(name.as_wire()),
        rtype,
        class: CLASS_IN,
        edns: None,
        transport: Transport::Tcp,
        client: Ipv4Addr::LOCALHOST.into(),
        verified: true,
        rotation: 0,
    };
    let answer = answer(view, &query);
    let ede = answer.ede.map(|ede| ede.text.to_owned());
    Said { rcode: answer.rcode.to_string(), records: records(&answer), ede }
}

fn records(answer: &Answer<'_>) -> usize {
    let of = |part: &Part<'_>| match part {
        Part::Set { set, .. } => set.count as usize,
        Part::Synthesized { .. } | Part::Soa(..) => 1,
    };
    match &answer.content {
        Content::Empty | Content::Negative(_) | Content::Explanation => 0,
        Content::Set(set) => set.count as usize,
        Content::Composed(composed) => composed.answer.iter().map(of).sum(),
        Content::Soa(_) | Content::Identity(_) | Content::Any => 1,
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
