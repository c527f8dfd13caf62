//! Octets per instance of the view, nanoseconds per query of decode, answer and encode, and microseconds per change of
//! the compiler, without any network or disk: `cargo bench --bench answer -- [INSTANCES]`.
//!
//! The view has INSTANCES instances (20,000 if missing) in services of ten. Queries come in batches of 64, as from the
//! network: all are decoded, all names are looked up, all answers are settled, then all are written. No batch asks what
//! one before it asked, so what a million instances take is not in the processor's caches; each step stands in a
//! column, and a value is the median of the batches. Changes are processor time. At the end stand lines for
//! `benches/scale.py`: name, size, value, unit. `--lookups` leaves the changes out.

#![allow(missing_docs, clippy::print_stdout)] // a program that prints a table
#![allow(clippy::disallowed_methods)] // because time is what it measures

#[path = "support/clock.rs"]
mod clock;
#[path = "../tests/support/instance.rs"]
mod instance;
#[path = "support/zone.rs"]
mod zone;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clock::cpu_time;
use zone::{PER_SERVICE, change, random};
use zonebeat::answer::Transport;
use zonebeat::config::RateLimit;
use zonebeat::model::Name;
use zonebeat::registry::Snapshot;
use zonebeat::view::{Compiler, Size, View};
use zonebeat::wire::Rules;
use zonebeat::wire::batch::{Arrived, BATCH, HandleDatagrams, Step, answer};
use zonebeat::wire::decode::{Decoded, Origin};
use zonebeat::wire::rate::{Rates, Verdict};
use zonebeat::wire::respond::{Datagram, Reply, Silence};

/// Batches of each kind of query.
const BATCHES: usize = 8 * 1024;

fn main() {
    let count = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(20_000);
    let services = (count / PER_SERVICE).max(1);
    let compiler = zone::compiler(&[]);
    let mut held = None;
    let registry = allocation_counter::measure(|| held = Some(zone::snapshot(services, label))).bytes_current;
    let snapshot = held.expect("it was made");
    let start = Instant::now();
    let view = compiler.full(&snapshot, &[]);
    let took = start.elapsed();
    let octets = view.table.size().total();
    println!("{} instances, {} names, compiled in {took:.2?}", services * PER_SERVICE, view.table.names());
    if std::env::args().any(|argument| argument == "--threads") {
        return show_threads(&view, services);
    }
    show_size(view.table.size(), services * PER_SERVICE);
    let each = |octets: f64| octets / (services * PER_SERVICE) as f64;
    println!("octets per instance of the registry: {:.1}\n", each(registry as f64));
    let mut lines = show_answers(&view, services);
    if !std::env::args().any(|argument| argument == "--lookups") {
        lines.extend(show_updates(&compiler, &view, &snapshot, services));
    }
    println!();
    lines.iter().for_each(|(name, value)| println!("{name} {} {value:.1} ns", services * PER_SERVICE));
    for (name, octets) in [("view", octets as f64), ("registry", registry as f64)] {
        println!("octets/{name} {} {:.1} octets", services * PER_SERVICE, each(octets));
    }
}

fn show_size(size: Size, instances: usize) {
    let Size { slots, names, bodies, large, shards } = size;
    println!("\n{:<26}{:>12}", "octets per instance", "");
    let parts = [("slots", slots), ("names", names), ("records", bodies), ("records of large sets", large)];
    for (label, octets) in parts.into_iter().chain([("shards", shards), ("all", size.total())]) {
        println!("{label:<26}{:>12.1}", octets as f64 / instances as f64);
    }
    println!();
}

/// What is measured, and its nanoseconds.
type Line = (String, f64);

/// Makes the packet of a number.
type Make<'m> = &'m dyn Fn(usize) -> Vec<u8>;

fn show_answers(view: &View, services: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    println!("{:<26}{:>12}   decode     find   settle    write   octets", "query", "ns/query");
    let mixed = |number| mixed(services, number);
    let kinds: [(&str, Make<'_>); 6] = [
        ("a  A of an instance", &|number| host(services, number)),
        ("b  A of a service", &|number| addresses(services, number)),
        ("c  SRV of a service", &|number| srv(services, number)),
        ("d  mixed", &mixed),
        ("no such name", &missing),
        ("no such type", &|number| question(&format!("svc{}", random(number) % services), 16, false)),
    ];
    for (label, make) in kinds {
        let each = show(label, view, make, &Rules::default());
        lines.push((format!("lookup/{}", label.split("  ").next().unwrap_or(label).replace(' ', "-")), each));
    }
    show("d  charged to accounts", view, &mixed, &charging());
    lines
}

/// Rules with accounts that nobody exhausts.
fn charging() -> Rules {
    let most = 1 << 20;
    let settings = RateLimit { per_name: most, per_zone: most, per_prefix: most, ..RateLimit::default() };
    Rules { rates: Rates::new(&settings, 7).map(Arc::new), ..Rules::default() }
}

/// Whether threads hinder each other: each answers batches of its own, over and over.
fn show_threads(view: &View, services: usize) {
    const ROUNDS: usize = 7;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let rules = charging();
    let batch = |number: usize| (number * BATCH..(number + 1) * BATCH).map(|query| mixed(services, query)).collect();
    let batches: Vec<Vec<Vec<Vec<u8>>>> =
        (0..cores).map(|thread| (thread * 512..(thread + 1) * 512).map(batch).collect()).collect();
    println!("{:<26}{:>16}{:>16}", "threads", "answers/s", "of one thread's");
    let mut one = f64::NAN;
    for threads in 1..=cores {
        let mut rates: Vec<f64> = (0..ROUNDS).map(|_| answers_per_second(view, &rules, &batches[..threads])).collect();
        rates.sort_unstable_by(f64::total_cmp);
        let rate = rates[ROUNDS / 2];
        if threads == 1 {
            one = rate;
        }
        println!("{threads:<26}{rate:>16.0}{:>16.2}", rate / one);
    }
}

/// Answers per second of a thread for each list of batches, all at the same time for half a second.
fn answers_per_second(view: &View, rules: &Rules, of_threads: &[Vec<Vec<Vec<u8>>>]) -> f64 {
    let until = Instant::now() + Duration::from_millis(500);
    let work = |batches: &[Vec<Vec<u8>>]| {
        let (start, mut answered) = (Instant::now(), 0);
        for (number, packets) in batches.iter().enumerate().cycle() {
            black_box(time_batch(view, packets, rules, number));
            answered += packets.len();
            if Instant::now() >= until {
                break;
            }
        }
        answered as f64 / start.elapsed().as_secs_f64()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = of_threads.iter().map(|batches| scope.spawn(|| work(batches))).collect();
        threads.into_iter().map(|thread| thread.join().expect("it does not panic")).sum()
    })
}

/// Prints what a query takes, and what its steps take; returns the nanoseconds.
fn show(label: &str, view: &View, make: Make<'_>, rules: &Rules) -> f64 {
    let mut octets = 0;
    let mut times: Vec<Times> = (0..BATCHES)
        .map(|batch| {
            let packets: Vec<Vec<u8>> = (batch * BATCH..(batch + 1) * BATCH).map(make).collect();
            let (times, length) = time_batch(view, &packets, rules, batch);
            octets += length;
            times
        })
        .collect();
    let mut median = |step: fn(&Times) -> Duration| {
        let (_, median, _) = times.select_nth_unstable_by_key(BATCHES / 2, step);
        step(median).as_nanos() as f64 / BATCH as f64
    };
    let all = median(|times| times.decode + times.find + times.settle + times.write);
    print!("{label:<26}{all:>12.0}");
    let steps: [fn(&Times) -> Duration; 4] =
        [|times| times.decode, |times| times.find, |times| times.settle, |times| times.write];
    for step in steps {
        print!("{:>9.0}", median(step));
    }
    println!("{:>9}", octets / (BATCHES * BATCH));
    all
}

/// How long one batch took.
struct Times {
    decode: Duration,
    find: Duration,
    settle: Duration,
    write: Duration,
}

/// How long the queries of one batch take, and how long the answers are together. The time is that of the wall: whoever
/// reads the processor's asks the kernel, and the median leaves out the batches that somebody interrupted.
fn time_batch(view: &View, packets: &[Vec<u8>], rules: &Rules, batch: usize) -> (Times, usize) {
    let client = IpAddr::from(Ipv4Addr::new(198, 51, (batch % 256) as u8, 1));
    let moment = rules.rates.as_ref().map(|rates| rates.moment(Instant::now()));
    let datagram = moment.map(|now| Datagram { now, len: 64, client, prefix: Verdict::Pass });
    let origin = Origin { transport: Transport::Udp, client };
    let mut out = vec![0; 8192];
    let start = Instant::now();
    let mut turn = Turn { packets, rules, origin, datagram, out: &mut out, octets: 0, reached: [start; 3] };
    answer(view, rules, packets.len(), &mut turn);
    let Turn { octets, reached: [decoded, located, settled], .. } = turn;
    let times =
        Times { decode: decoded - start, find: located - decoded, settle: settled - located, write: settled.elapsed() };
    (times, octets)
}

/// One batch, and when its steps were done.
struct Turn<'t, 'p> {
    packets: &'p [Vec<u8>],
    rules: &'t Rules,
    origin: Origin,
    datagram: Option<Datagram>,
    out: &'t mut [u8],
    octets: usize,
    reached: [Instant; 3],
}

impl<'p> HandleDatagrams<'p> for Turn<'_, 'p> {
    fn decode(&mut self, index: usize, arrived: &mut Arrived<'p>) -> bool {
        self.rules.decode_into(&self.packets[index], self.origin, &mut arrived.decoded);
        if let Decoded::Query(query) = &mut arrived.decoded {
            query.rotation = index as u32;
        }
        arrived.datagram = self.datagram;
        true
    }

    fn buffer(&mut self) -> &mut [u8] {
        self.out
    }

    fn answered(&mut self, _arrived: &Arrived<'p>, outcome: Result<Reply, Silence>) {
        self.octets += outcome.expect("every query is answered").len;
    }

    fn reached(&mut self, step: Step) {
        self.reached[step as usize] = Instant::now();
    }
}

/// Changes the port of one instance per change, in batches of several sizes.
fn show_updates(compiler: &Compiler, view: &View, before: &Snapshot, services: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    println!("\n{:<26}{:>12}", "changes compiled at once", "us/change");
    for batch in [1, 10, 100, 1000] {
        let batch = batch.min(services * PER_SERVICE);
        let mut after = before.clone();
        let touched: Vec<_> =
            (0..batch).map(|number| change(&mut after, label(random(number) % services), number)).collect();
        let time = || {
            let start = cpu_time();
            black_box(compiler.update(view, before, &after, &touched));
            cpu_time() - start
        };
        let best = (0..20).map(|_| time()).min().expect("there are rounds");
        let each = best.as_nanos() as f64 / batch as f64;
        println!("{batch:<26}{:>12.1}", each / 1e3);
        lines.push((format!("transition/{batch}"), each));
    }
    lines
}

fn label(service: usize) -> String {
    format!("svc{service}")
}

fn host(services: usize, number: usize) -> Vec<u8> {
    let random = random(number);
    question(&format!("i{}.svc{}", random % PER_SERVICE, random / PER_SERVICE % services), 1, false)
}

fn addresses(services: usize, number: usize) -> Vec<u8> {
    question(&format!("svc{}", random(number) % services), 1, false)
}

fn srv(services: usize, number: usize) -> Vec<u8> {
    question(&format!("_svc{}._tcp", random(number) % services), 33, true)
}

/// Mix d: 60 % SRV, 30 % A of instances and services, 10 % names that do not exist.
fn mixed(services: usize, number: usize) -> Vec<u8> {
    match number % 10 {
        0..6 => srv(services, number),
        6..9 if number.is_multiple_of(2) => host(services, number),
        6..9 => addresses(services, number),
        _ => missing(number),
    }
}

fn missing(number: usize) -> Vec<u8> {
    question(&format!("nope{}", random(number)), 1, false)
}

/// A query for a name in the zone.
fn question(name: &str, rtype: u16, edns: bool) -> Vec<u8> {
    let name = Name::parse_absolute(&format!("{name}.sd.test")).expect("a name");
    let mut packet = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)];
    packet.extend_from_slice(name.as_wire());
    packet.extend([rtype, 1].iter().flat_map(|word: &u16| word.to_be_bytes()));
    if edns {
        packet.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    }
    packet
}
