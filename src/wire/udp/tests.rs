#![allow(clippy::disallowed_methods)] // because this test waits for a real thread

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use allocation_counter::measure;

use super::own::OwnAddresses;
use super::{Answerer, Later, socket, worker};
use crate::config::RateLimit;
use crate::metrics::dns::DnsCounters;
use crate::model::naming::Naming;
use crate::model::service::ServiceRow;
use crate::model::{Endpoint, Instance, Name, Service};
use crate::registry::Snapshot;
use crate::view::{Compiler, Published, ServerFacts, ZoneSource};
use crate::wire::rate::Rates;
use crate::wire::rotation::Rotation;
use crate::wire::rules::Rules;
use crate::zone::parse_text;

const ZONE: &str =
    "$TTL 30\n@ SOA ns hostmaster 1 3600 600 86400 5\n@ NS ns\nns A 192.0.2.53\nwww A 192.0.2.1\nwww A 192.0.2.2\n";
/// Bursts of queries, and what a thread may allocate at its start: buffers, and what belongs to a thread.
const BURSTS: usize = 400;
const START: u64 = 16;
/// Queries for an address, for a service's SRV set, for a name that is not there, and a packet that is none.
const PACKETS: [&[u8]; 4] = [
    b"\x12\x34\0\0\0\x01\0\0\0\0\0\0\x03www\x07example\x03org\0\0\x01\0\x01",
    b"\x12\x34\0\0\0\x01\0\0\0\0\0\x01\x07_search\x04_tcp\x07example\x03org\0\0\x21\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0",
    b"\x12\x34\0\0\0\x01\0\0\0\0\0\0\x02no\x07example\x03org\0\0\x01\0\x01",
    b"\x12\x34\0\0\0\x02\0\0\0\0\0\0\0\0",
];

fn published() -> Published {
    let apex = Name::parse_absolute("example.org").unwrap();
    let (zone, _) = parse_text("example.org.zone", ZONE.as_bytes(), &apex).unwrap();
    let records = zone.records.into_iter().map(|record| record.record).collect();
    let source =
        ZoneSource { apex, records, registrations: true, reverse: false, updates: false, ttl: 30, readable: true };
    let naming = Naming::new(&["plain".into()], &[]).unwrap();
    let mut snapshot = Snapshot::default();
    let instances = (1..=10).map(instance).collect();
    snapshot.services.insert(Arc::new(Service { name: "search".into(), row: ServiceRow::default(), instances }));
    Published::new(Compiler::new(vec![source], naming, ServerFacts::default(), 7).full(&snapshot, &[]))
}

fn instance(number: u8) -> Arc<Instance> {
    let endpoint = Endpoint::Addresses([IpAddr::from([192, 0, 2, number])].into());
    Arc::new(Instance { endpoint, ..Instance::example(&format!("a{number}")) })
}

/// Sends bursts and takes their answers.
fn ask(server: SocketAddr, bursts: usize) {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    client.connect(server).unwrap();
    let mut buffer = [0; 1232];
    for _ in 0..bursts {
        PACKETS.iter().for_each(|packet| assert_eq!(client.send(packet).unwrap(), packet.len()));
        PACKETS.iter().for_each(|_| assert!(client.recv(&mut buffer).unwrap() >= 12));
    }
}

/// What the thread of a worker allocates from its start to its end.
fn allocations(address: &str, rates: Option<RateLimit>, bursts: usize) -> u64 {
    let socket = socket::bind(address.parse().unwrap()).unwrap();
    let rates = rates.map(|limits| Arc::new(Rates::new(&limits, 7).unwrap()));
    let local = socket.local_addr().unwrap();
    let counters = DnsCounters::default();
    let later = Later { socket: socket.try_clone().unwrap(), counters: counters.block("udp") };
    let mut answerer = Answerer {
        published: published(),
        rules: Arc::new(Rules { rates, ..Rules::default() }),
        own: Arc::new(OwnAddresses::new(vec![local])),
        later: Arc::new(later),
        counters: counters.block_of_one("udp"),
        rotation: Arc::new(Rotation::new()),
        started: None,
        failing: false,
    };
    let stop = Arc::new(AtomicBool::new(false));
    let (stopped, with_destination) = (stop.clone(), local.ip().is_unspecified());
    let worker = thread::spawn(move || {
        measure(|| worker::serve(&socket, with_destination, &stopped, &mut answerer)).count_total
    });
    ask(SocketAddr::from(([127, 0, 0, 1], local.port())), bursts);
    stop.store(true, Ordering::Relaxed);
    worker.join().unwrap()
}

#[test]
fn a_worker_allocates_at_its_start_and_never_again() {
    let limits = RateLimit { exempt: Vec::new(), ..RateLimit::default() };
    for address in ["127.0.0.1:0", "0.0.0.0:0"] {
        for rates in [None, Some(limits.clone())] {
            let count = allocations(address, rates.clone(), BURSTS);
            assert!((1..=START).contains(&count), "{count} at {address}, limited: {}", rates.is_some());
        }
    }
}
