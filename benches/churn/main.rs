//! What queries and acknowledgements feel of changes: `cargo bench --bench churn -- [OPTIONS]`.
//!
//! Starts a real server with `--instances` instances (ten of a service, registered by sessions of 200, or a copy of the
//! prepared data directory `--data`), then makes `--rate` transitions per second for `--seconds` through HTTP:
//! registrations, changes of address, deregistrations, lapses (leases of two seconds that nobody beats for) and
//! returns. `--mix hosts` makes them as agents do, by sessions of ten instances; `--mix lone` is the worst case, a
//! request for each instance and a few sets of sessions in which one instance changes. Meanwhile dnsperf asks at a
//! fixed rate. It reports
//!
//! - acknowledgements: from the request to its reply, which means durable and published;
//! - answers: from the request to the first UDP answer that shows the change, for a sample, and how many did not show
//!   it
//!   right after their acknowledgement (must be none);
//! - at the end, how many of the changed instances answer otherwise than their last acknowledgement says (must be
//!   none);
//! - queries per second and processor time per query, quiet and under churn, and how many queries were lost;
//! - processor time of the server by thread, and what it wrote.
//!
//! UDP has one worker, on core 0; the rest of the server and the loads have core 1 (`--pin none`: as the system likes).
//! `--hot` adds a service of 10,000 instances of which 100 change each second. `--json` prints the report as JSON.

#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr)] // a program that prints a report
#![allow(clippy::disallowed_methods)] // measurements live in real time

mod ask;
mod hosts;
mod ledger;
mod load;
mod lone;
mod process;
mod queries;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use ledger::{Ledger, latencies};
use load::{Load, Mix};
use process::{Server, Usage};

/// Who changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Hosts with an agent: sessions of ten instances.
    Hosts,
    /// Instances that speak for themselves: a request for each.
    Lone,
}

/// What the command line asks for.
#[derive(Debug, Clone, clap::Parser)]
pub(crate) struct Options {
    /// Instances that are there before.
    #[arg(long, default_value_t = 100_000)]
    instances: usize,
    /// A prepared data directory with those instances; copied.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Lease of those instances, in seconds, which nobody beats for: 20 makes them all lapse during the churn.
    #[arg(long, default_value_t = 3600)]
    lease: u32,
    /// Who changes.
    #[arg(long, value_enum, default_value_t = Kind::Hosts)]
    mix: Kind,
    /// Transitions per second.
    #[arg(long, default_value_t = 10_000)]
    rate: usize,
    /// Seconds of churn with queries at a fixed rate.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Seconds of each measurement of saturated queries; 0 leaves them out.
    #[arg(long, default_value_t = 5)]
    saturated: u64,
    /// Queries per second beside the churn.
    #[arg(long, default_value_t = 20_000)]
    queries: usize,
    /// Kept connections that make changes.
    #[arg(long, default_value_t = 512)]
    connections: usize,
    /// A service of 10,000 instances of which 100 change each second.
    #[arg(long)]
    hot: bool,
    /// `split`: UDP on core 0, everything else on core 1; `none`.
    #[arg(long, default_value = "split")]
    pin: String,
    /// Another server than the one of this build.
    #[arg(long)]
    server: Option<PathBuf>,
    /// Seconds of `perf record` on the server in the middle of the churn, into `perf.data`.
    #[arg(long, default_value_t = 0)]
    perf: u64,
    /// The report as JSON.
    #[arg(long)]
    json: bool,
    /// What `cargo bench` passes.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let options: Options = clap::Parser::parse();
    let server = Server::start(&options);
    let mut report = json!({ "instances": options.instances, "rate": options.rate });
    report["preload"] = preload(&options, &server);
    server.pin(&options.pin);
    let asked = queries::file(server.directory(), options.instances);
    if options.saturated > 0 {
        report["quiet"] = queries::saturate(&server, &asked, options.saturated, 0);
        report["quiet_at_rate"] = queries::saturate(&server, &asked, options.saturated, options.queries);
    }
    let load = Load::start(&options, server.http(), server.dns());
    eprintln!("churn has begun");
    report["churn"] = churn(&options, &server, &load, &asked);
    if options.saturated > 0 {
        report["saturated"] = queries::saturate(&server, &asked, options.saturated, 0);
        let quiet = report["quiet"]["queries_per_second"].as_f64().unwrap_or(f64::NAN);
        let eighty = (quiet * 0.8) as usize;
        report["at_80_percent"] = queries::saturate(&server, &asked, options.saturated, eighty);
    }
    report["after"] = load.stop(server.dns());
    report["resident_mib"] = json!(server.resident_mib());
    report["file_mib"] = json!(server.file_mib());
    if options.json { println!("{report:#}") } else { ledger::print(&report) }
}

/// Registers what is there before.
fn preload(options: &Options, server: &Server) -> Value {
    let started = Instant::now();
    let used = server.usage();
    if options.data.is_none() {
        load::preload(server.http(), options.instances, options.lease);
    }
    if options.hot {
        load::preload_hot(server.http());
    }
    let seconds = started.elapsed().as_secs_f64();
    let cpu = server.usage().total() - used.total();
    json!({ "seconds": seconds, "per_second": options.instances as f64 / seconds, "cpu_seconds": cpu })
}

/// The long measurement: changes, and queries at a fixed rate.
fn churn(options: &Options, server: &Server, load: &Load, asked: &std::path::Path) -> Value {
    std::thread::sleep(Duration::from_secs(3)); // until the first leases have lapsed
    let (before, revision, written) = (server.usage(), server.revision(), server.written());
    load.clear();
    let started = Instant::now();
    let perf = (options.perf > 0).then(|| server.perf(options.perf));
    let queries = queries::saturate(server, asked, options.seconds, options.queries);
    let seconds = started.elapsed().as_secs_f64();
    let (after, ledger) = (server.usage(), load.take());
    if let Some(mut perf) = perf {
        let _ = perf.wait(); // what it recorded is in its file
    }
    let changes = server.revision() - revision;
    let mut value = describe(&ledger, &before, &after, changes, seconds);
    value["written_octets_per_change"] = json!((server.written() - written) as f64 / changes as f64);
    value["queries"] = queries;
    value
}

fn describe(ledger: &Ledger, before: &Usage, after: &Usage, changes: u64, seconds: f64) -> Value {
    let threads: serde_json::Map<String, Value> =
        after.since(before).into_iter().map(|(name, used)| (name, json!(used / changes as f64 * 1e6))).collect();
    json!({
        "transitions_per_second": changes as f64 / seconds,
        "behind_ms": ledger.behind.as_secs_f64() * 1e3,
        "refused": ledger.refused,
        "first_refusal": ledger.first_refusal,
        "acknowledged_ms": latencies(&ledger.acknowledged),
        "acknowledged_p99_ms_by_second": ledger.by_second(),
        "sessions_ms": latencies(&ledger.sessions),
        "hot_ms": latencies(&ledger.hot),
        "answered_ms": latencies(&ledger.answered),
        "not_shown_at_acknowledgement": ledger.not_shown,
        "cpu_us_per_transition": threads,
    })
}

/// The zone of everything.
pub(crate) const ZONE: &str = "sd.test";

/// Label of a service; the width is that of the last one, as `benches/workload.py` writes them.
pub(crate) fn service(number: usize, instances: usize) -> String {
    let services = (instances / 10).max(1);
    let width = (services - 1).to_string().len().max(4);
    format!("svc{:0width$}", number % services)
}

/// Where the server listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) dns: SocketAddr,
    pub(crate) http: SocketAddr,
}

impl Options {
    fn mix(&self) -> Mix {
        Mix { kind: self.mix, instances: self.instances, rate: self.rate, connections: self.connections, hot: self.hot }
    }
}
