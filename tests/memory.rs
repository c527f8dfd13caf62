//! What registered instances take in memory, in the parts that grow with them: registry, leases and view
//! together, counted by the allocator.
//!
//! Here they come batch by batch, as from clients; what a start takes from the store is weighed beside its code
//! (`registry/load.rs`, `view/size.rs`, `tests/leases.rs`). `benches/million.py` judges the whole process at a million.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use zonebeat::model::naming::Naming;
use zonebeat::model::{Instance, Name, Record, Revision, Rtype, Service};
use zonebeat::registry::lease::Leases;
use zonebeat::registry::{Snapshot, Touched};
use zonebeat::view::{Compiler, ServerFacts, View, ZoneSource};

#[path = "support/instance.rs"]
mod support;

const SERVICES: usize = 2000;
const PER_SERVICE: usize = 10;
const BATCH: usize = 200;
const LEASE_SECONDS: u32 = 15;
/// What the lists of all shards take, whatever is in them.
const LISTS: usize = 65_536 * 42;

/// Everything that grows with the instances.
struct Whole {
    snapshot: Snapshot,
    view: View,
    leases: Leases,
}

fn compiler() -> Compiler {
    let apex = Name::parse_absolute("sd.example.org").expect("a name");
    let mut soa = [apex.as_wire(), apex.as_wire()].concat();
    soa.extend([0u32, 3600, 600, 86400, 5].iter().flat_map(|number| number.to_be_bytes()));
    let record = |rtype, rdata: &[u8]| Record { owner: apex.clone(), rtype, ttl: 3600, rdata: rdata.into() };
    let records = vec![record(Rtype::SOA, &soa), record(Rtype::NS, apex.as_wire())];
    let zone =
        ZoneSource { apex, records, registrations: true, reverse: false, updates: false, ttl: 30, readable: true };
    let server = ServerFacts { udp_size: 1232, ..ServerFacts::default() };
    Compiler::new(vec![zone], Naming::new(&["plain".into()], &[]).expect("a preset"), server, 7)
}

/// The instances that come at that time: one after the other in services that lie far apart.
fn comes(time: usize) -> (Arc<str>, Instance) {
    let (service, id) = (time * 7919 % SERVICES, time / SERVICES);
    let address = Ipv4Addr::from(0xC612_0000 + time as u32); // 198.18.0.0/15, for benchmarks (RFC 2544)
    let instance = support::instance(&format!("i{id}"), 20_000, &[address.into()]);
    let since = Revision(1_000_000 + time as u64);
    (format!("svc{service:05}").into(), Instance { incarnation: since, revision: since, ..instance })
}

/// Registers an instance, as the writer does.
fn register(snapshot: &mut Snapshot, leases: &Leases, time: usize) -> Touched {
    let (name, instance) = comes(time);
    if !snapshot.services.contains(&name) {
        snapshot.services.insert(Arc::new(Service::new(name.clone())));
    }
    let service = Arc::make_mut(snapshot.services.get_mut(&name).expect("it has just been put there"));
    service.instances.insert(&instance);
    let (name, revision) = (service.name.clone(), instance.revision);
    leases.start(&name, &instance.id, instance.incarnation, LEASE_SECONDS);
    snapshot.revision = revision;
    Touched { service: name, instance: Some(instance.id), revision }
}

fn registered(compiler: &Compiler, count: usize) -> Whole {
    let snapshot = Snapshot::default();
    let leases = Leases::new();
    leases.advance(Duration::ZERO);
    let mut whole = Whole { view: compiler.full(&snapshot, &[]), snapshot, leases };
    for start in (0..count).step_by(BATCH) {
        let before = whole.snapshot.clone();
        let touched: Vec<_> =
            (start..start + BATCH).map(|time| register(&mut whole.snapshot, &whole.leases, time)).collect();
        whole.view = compiler.update(&whole.view, &before, &whole.snapshot, &touched).0;
    }
    whole
}

#[test]
fn an_instance_that_was_registered_takes_few_octets() {
    let compiler = compiler();
    let count = SERVICES * PER_SERVICE;
    let mut kept = None;
    let used = allocation_counter::measure(|| kept = Some(registered(&compiler, count)));
    let whole = kept.expect("it was built");
    assert!(whole.view.table.names() > 2 * count && whole.leases.running() == count);
    let (all, view) = (used.bytes_current as usize, whole.view.table.size().total());
    let [all, view, most] = [all, view, used.bytes_max as usize].map(|octets| (octets - LISTS) / count);
    eprintln!("octets per instance: {all}, of them in the view {view}; at most {most}");
    assert!(view <= 320, "{view} octets in the view");
    assert!(all <= 420, "{all} octets");
    assert!(most <= all + 100, "{most} octets while they were registered");
}
