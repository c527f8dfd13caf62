//! Services of very many instances: changes compile to what compiling everything gives, and answers are whole,
//! truncated or the part that the client's prefix chooses. Counts and octets, no times.

#[path = "support/dump.rs"]
mod dump;
#[path = "support/instance.rs"]
mod instance;
#[path = "large_sets/answers.rs"]
mod answers;
#[path = "large_sets/compiled.rs"]
mod compiled;
#[path = "large_sets/served.rs"]
mod served;
#[path = "clients/program.rs"]
mod program;
mod support;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use zonebeat::model::naming::{Naming, Template};
use zonebeat::model::service::ServiceRow;
use zonebeat::model::{Instance, Name, Record, Revision, Rtype, Service};
use zonebeat::registry::Snapshot;
use zonebeat::view::{Compiler, ServerFacts, ZoneSource};

const ZONE: &str = "sd.example.org";
const REVERSE: &str = "2.0.192.in-addr.arpa";

fn name(text: &str) -> Name {
    Name::parse_absolute(text).expect("test name")
}

fn source(apex: &str, registrations: bool) -> ZoneSource {
    let (apex, reverse) = (name(apex), apex.ends_with(".arpa"));
    let mut soa = [name("ns1.example.org").as_wire(), name("hostmaster.example.org").as_wire()].concat();
    soa.extend([0u32, 3600, 600, 86400, 5].iter().flat_map(|number| number.to_be_bytes()));
    let record = |owner: Name, rtype, rdata: &[u8]| Record { owner, rtype, ttl: 300, rdata: rdata.into() };
    let mut records = vec![
        record(apex.clone(), Rtype::SOA, &soa),
        record(apex.clone(), Rtype::NS, name("ns1.example.org").as_wire()),
    ];
    if registrations {
        let alias = apex.child(b"alias").expect("a name");
        records.push(record(alias, Rtype::CNAME, name("_big._tcp.sd.example.org").as_wire()));
    }
    ZoneSource { apex, records, registrations, reverse, updates: false, ttl: 30, readable: true }
}

fn compiler(presets: &[&str]) -> Compiler {
    compiler_with(presets, &[])
}

fn compiler_with(presets: &[&str], extra: &[Template]) -> Compiler {
    let presets: Vec<String> = presets.iter().map(|&preset| preset.to_owned()).collect();
    let naming = Naming::new(&presets, extra).expect("presets");
    let server = ServerFacts { udp_size: 1232, ..ServerFacts::default() };
    Compiler::new(vec![source(ZONE, true), source(REVERSE, false)], naming, server, 7)
}

/// The instance of a number: every one has an IPv6 address of its own, and shares one of 200 IPv4 addresses.
fn numbered(number: u32) -> Instance {
    let v4 = IpAddr::from(Ipv4Addr::new(192, 0, 2, (number % 200) as u8));
    let v6 = IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, (number >> 16) as u16, number as u16));
    instance::instance(&id(number), 8080, &[v4, v6])
}

fn id(number: u32) -> String {
    format!("i{number:05}")
}

fn service(label: &str, instances: impl IntoIterator<Item = Instance>) -> Service {
    let mut service = Service { name: label.into(), row: ServiceRow::default(), ..Service::new(label.into()) };
    instances.into_iter().for_each(|instance| put(&mut service, instance));
    service
}

/// Registers an instance, or what it is now.
fn put(service: &mut Service, instance: Instance) {
    service.instances.insert(&instance);
}

/// Takes an instance out.
fn remove(service: &mut Service, id: &str) -> Option<Instance> {
    let removed = service.instances.get(id);
    service.instances.remove(id);
    removed
}

fn snapshot(revision: u64, services: impl IntoIterator<Item = Service>) -> Snapshot {
    let mut snapshot = Snapshot { revision: Revision(revision), ..Snapshot::default() };
    for service in services {
        snapshot.services.insert(Arc::new(service));
    }
    snapshot
}
