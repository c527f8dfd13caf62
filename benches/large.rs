//! Microseconds per change in services of 10 to 100,000 instances, and nanoseconds per answer that is a part of them:
//! `cargo bench --bench large`. Without network and disk.

#![allow(missing_docs, clippy::print_stdout)] // a program that prints a table
#![allow(clippy::disallowed_methods)] // because time is what it measures

#[path = "../tests/support/instance.rs"]
mod instance;
#[path = "support/zone.rs"]
mod zone;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use zonebeat::answer::{Edns, Query, QueryName, Transport, answer};
use zonebeat::model::service::ServiceRow;
use zonebeat::model::{Declaration, Instance, Name, Revision, Rtype, Service};
use zonebeat::registry::{Snapshot, Touched};
use zonebeat::view::{Compiler, View};
use zonebeat::wire::encode::encode;

const CHANGES: usize = 200;
const QUERIES: usize = 2000;
const ROUNDS: usize = 5;

fn main() {
    println!(
        "{:>10}{:>14}{:>12}{:>14}{:>12}{:>14}",
        "instances", "us/change", "SRV tcp ns", "answers", "limit 20 ns", "octets/inst"
    );
    for count in [10, 100, 1000, 10_000, 100_000] {
        let compiler = zone::compiler(&[]);
        let (all, limited) = (snapshot(count, None), snapshot(count, Some(20)));
        let view = compiler.full(&all, &[]);
        let change = show_changes(&compiler, &view, &all, count);
        let (tcp, answers) = time_answers(&view, Transport::Tcp, 65_535);
        let (udp, _) = time_answers(&compiler.full(&limited, &[]), Transport::Udp, 1232);
        let octets = view.table.size().total() / count;
        println!("{count:>10}{change:>14.1}{tcp:>12.0}{answers:>14}{udp:>12.0}{octets:>14}");
    }
}

/// Microseconds per change of one port, each compiled alone.
fn show_changes(compiler: &Compiler, view: &View, all: &Snapshot, count: usize) -> f64 {
    let pairs: Vec<(Snapshot, Touched)> = (0..20).map(|turn| change(all, turn * 7919 % count)).collect();
    let time = || {
        let start = Instant::now();
        for turn in 0..CHANGES {
            let (after, touched) = &pairs[turn % pairs.len()];
            black_box(compiler.update(view, all, after, std::slice::from_ref(touched)));
        }
        start.elapsed()
    };
    best(time).as_nanos() as f64 / 1e3 / CHANGES as f64
}

fn change(before: &Snapshot, number: usize) -> (Snapshot, Touched) {
    let mut after = before.clone();
    let mut service = Service::clone(before.service("big").expect("it is there"));
    let mut changed = service.instances.get(&id(number)).expect("it is there");
    changed.port ^= 0x8000;
    service.instances.insert(&changed);
    let touched = Touched { service: "big".into(), instance: Some(changed.id), revision: Revision(2) };
    after.services.insert(Arc::new(service));
    (after, touched)
}

/// Nanoseconds per answer and encoding, each for another prefix, and how many records the last one has.
fn time_answers(view: &View, transport: Transport, limit: usize) -> (f64, u16) {
    let mut question = Name::parse_absolute("_big._tcp.sd.test").expect("a name").as_wire().to_vec();
    question.extend([0, 33, 0, 1]);
    let mut out = vec![0; 65_535];
    let mut time = || {
        let start = Instant::now();
        for number in 0..QUERIES {
            let query = Query {
                id: 1,
                flags: 0,
                question: &question,
                name: QueryName::new(&question[..question.len() - 4]),
                rtype: Rtype::SRV,
                class: 1,
                edns: Some(Edns { udp_size: 1232, ..Edns::default() }),
                transport,
                verified: false,
                client: IpAddr::from(Ipv4Addr::from((number as u32) << 8)),
                rotation: number as u32,
            };
            black_box(encode(view, &query, &answer(view, &query), limit, &mut out));
        }
        start.elapsed()
    };
    let best = (0..ROUNDS).map(|_| time()).min().expect("there are rounds");
    (best.as_nanos() as f64 / QUERIES as f64, u16::from_be_bytes([out[6], out[7]]))
}

fn best(time: impl Fn() -> Duration) -> Duration {
    (0..ROUNDS).map(|_| time()).min().expect("there are rounds")
}

fn snapshot(count: usize, answer_limit: Option<u32>) -> Snapshot {
    let instances = (0..count).map(instance).collect();
    let declaration =
        answer_limit.map(|limit| Declaration { answer_limit: Some(limit), ..Declaration::default() }).map(Arc::new);
    let row = ServiceRow { declaration, ..ServiceRow::default() };
    let mut snapshot = Snapshot { revision: Revision(1), ..Snapshot::default() };
    snapshot.services.insert(Arc::new(Service { name: "big".into(), row, instances }));
    snapshot
}

fn id(number: usize) -> String {
    format!("i{number:06}")
}

fn instance(number: usize) -> Instance {
    instance::instance(&id(number), 20_000, &[zone::address(number).into()])
}
