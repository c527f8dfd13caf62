//! Seconds and memory that compiling everything takes, and microseconds per transition on top of it, without network
//! and disk: `cargo bench --bench compile -- [INSTANCES] [--reverse]`.
//!
//! Services have ten instances of one address each, as in `benches/workload.py`. With `--reverse` the addresses have a
//! reverse zone, so that there is one more name for each. Resident memory is the process's: before compiling, after,
//! and the most that it ever was until then; the registry is a part of all three.

#![allow(missing_docs, clippy::print_stdout)] // a program that prints a table
#![allow(clippy::disallowed_methods)] // because time is what it measures

#[path = "support/allocator.rs"]
mod allocator;
#[path = "../tests/support/instance.rs"]
mod instance;
#[path = "support/zone.rs"]
mod zone;

use std::time::Instant;

use zone::{PER_SERVICE, change, random};
use zonebeat::registry::Snapshot;
use zonebeat::view::{Compiler, View};

/// Zones of all addresses.
const REVERSE: [&str; 2] = ["18.198.in-addr.arpa", "19.198.in-addr.arpa"];
/// Transitions that are timed for each size of a batch.
const TRANSITIONS: usize = 4000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let count = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(100_000);
    let reverse = arguments.iter().any(|argument| argument == "--reverse");
    let services = (count / PER_SERVICE).max(1);
    let compiler = zone::compiler(if reverse { &REVERSE } else { &[] });
    let snapshot = zone::snapshot(services, label);
    let before = resident("VmRSS:");
    let (start, used) = (Instant::now(), cpu_seconds());
    let view = compiler.full(&snapshot, &[]);
    let (took, used) = (start.elapsed(), cpu_seconds() - used);
    let (after, most) = (resident("VmRSS:"), resident("VmHWM:"));
    let (names, octets) = (view.table.names(), view.table.size().total());
    let instances = services * PER_SERVICE;
    println!("{instances} instances, {names} names: compiled in {:.3} s, {used:.2} s of CPU", took.as_secs_f64());
    println!("view: {octets} octets, {} per instance", octets / instances);
    println!(
        "resident: {before:.1} MiB before, {after:.1} after, {most:.1} at most; {:.2} octets at the peak for each octet of the view",
        (most - before) * 1_048_576.0 / octets as f64
    );
    show_transitions(&compiler, view, snapshot, services);
}

/// Each transition changes the port of one instance; what was compiled before is dropped, as in the server.
fn show_transitions(compiler: &Compiler, mut view: View, mut snapshot: Snapshot, services: usize) {
    println!("{:<26}{:>14}{:>14}", "us/transition, at once:", "least", "median");
    let mut number = 0;
    for batch in [1, 10, 100, 1000] {
        let mut spent = Vec::new();
        for _ in 0..TRANSITIONS / batch {
            let mut after = snapshot.clone();
            let touched: Vec<_> = (0..batch)
                .map(|_| {
                    number += 1;
                    change(&mut after, label(random(number) % services), number)
                })
                .collect();
            let start = Instant::now();
            view = compiler.update(&view, &snapshot, &after, &touched).0;
            spent.push(start.elapsed().as_nanos());
            snapshot = after;
        }
        spent.sort_unstable();
        let microseconds = |nanoseconds: u128| nanoseconds as f64 / 1e3 / batch as f64;
        println!("{batch:<26}{:>14.1}{:>14.1}", microseconds(spent[0]), microseconds(spent[spent.len() / 2]));
    }
}

fn label(service: usize) -> String {
    format!("svc{service:05}")
}

/// Processor time of the whole process so far: its 14th and 15th value, in hundredths of a second.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("there is a /proc");
    let rest = stat.rsplit(')').next().expect("a name stands between parentheses");
    let ticks = rest.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().expect("a number"));
    ticks.sum::<f64>() / 100.0
}

/// MiB that the process's status says of itself.
fn resident(key: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("there is a /proc");
    let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("the kernel tells it");
    line.split_whitespace().next().and_then(|number| number.parse::<f64>().ok()).expect("a number of KiB") / 1024.0
}
