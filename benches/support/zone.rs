//! The zone that benches measure: services of ten instances with one address each, as in `benches/workload.py`.
#![allow(dead_code)] // each of the programs uses a part

use std::net::Ipv4Addr;
use std::sync::Arc;

use zonebeat::model::naming::Naming;
use zonebeat::model::service::ServiceRow;
use zonebeat::model::{Instance, Name, Record, Revision, Rtype, Service};
use zonebeat::registry::{Snapshot, Touched};
use zonebeat::view::{Compiler, ServerFacts, ZoneSource};

/// Instances of a service.
pub(crate) const PER_SERVICE: usize = 10;

/// A zone with nothing but SOA and NS, which takes registrations or has the PTR records of their addresses.
pub(crate) fn source(apex: &str, registrations: bool) -> ZoneSource {
    let apex = Name::parse_absolute(apex).expect("a name");
    let mut soa = [apex.as_wire(), apex.as_wire()].concat();
    soa.extend([0u32, 3600, 600, 86400, 5].iter().flat_map(|number| number.to_be_bytes()));
    let record = |rtype, rdata: &[u8]| Record { owner: apex.clone(), rtype, ttl: 3600, rdata: rdata.into() };
    let records = vec![record(Rtype::SOA, &soa), record(Rtype::NS, apex.as_wire())];
    ZoneSource { apex, records, registrations, reverse: !registrations, updates: false, ttl: 30, readable: true }
}

/// A compiler for `sd.test` and these reverse zones.
pub(crate) fn compiler(reverse: &[&str]) -> Compiler {
    let sources = [("sd.test", true)].into_iter().chain(reverse.iter().map(|apex| (*apex, false)));
    let sources = sources.map(|(apex, registrations)| source(apex, registrations)).collect();
    let server = ServerFacts { udp_size: 1232, identity: Some("ns1.example.org".into()), version: None };
    Compiler::new(sources, Naming::plain(), server, 7)
}

/// Services of ten instances, under the labels that `label` gives them.
pub(crate) fn snapshot(services: usize, label: impl Fn(usize) -> String) -> Snapshot {
    let mut snapshot = Snapshot { revision: Revision(1), ..Snapshot::default() };
    for number in 0..services {
        let instances = (0..PER_SERVICE).map(|id| instance(id, number * PER_SERVICE + id)).collect();
        let service = Service { name: label(number).into(), row: ServiceRow::default(), instances };
        snapshot.services.insert(Arc::new(service));
    }
    snapshot
}

/// The instance of that place in its service, and of that number among all.
fn instance(id: usize, number: usize) -> Instance {
    let port = 20000 + (number % 20000) as u16;
    Instance { priority: 0, weight: 1, ..crate::instance::instance(&format!("i{id}"), port, &[address(number).into()]) }
}

/// An address of 198.18.0.0/15, which is for benchmarks (RFC 2544).
pub(crate) fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::from(0xC612_0000 | (number as u32 & 0x1_FFFF))
}

/// Changes the port of one instance of a service.
pub(crate) fn change(snapshot: &mut Snapshot, service: String, number: usize) -> Touched {
    let name: Arc<str> = service.into();
    let entry = Arc::make_mut(snapshot.services.get_mut(&name).expect("it is there"));
    let mut instance = entry.instances.iter().nth(number % PER_SERVICE).expect("it is there");
    instance.port ^= 0x4000;
    entry.instances.insert(&instance);
    Touched { service: name, instance: Some(instance.id), revision: Revision(number as u64 + 2) }
}

/// Numbers in an order that no cache foresees, the same in every run (splitmix64).
pub(crate) fn random(number: usize) -> usize {
    let mut bits = (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((bits ^ (bits >> 31)) >> 8) as usize
}
