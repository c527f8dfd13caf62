//! Queries beside the churn: dnsperf, and what it says.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::process::Server;
use super::{ZONE, service};

const QUERIES: usize = 100_000;

/// Writes mix d: 60 % SRV, 30 % A, 10 % names that do not exist.
pub(crate) fn file(directory: &Path, instances: usize) -> PathBuf {
    let mut text = String::new();
    let mut chance = super::load::Chance::new(7);
    for _ in 0..QUERIES {
        let name = service(chance.below(instances.max(1)), instances);
        match chance.below(100) {
            0..60 => writeln!(text, "_{name}._tcp.{ZONE} SRV"),
            60..75 => writeln!(text, "i{}.{name}.{ZONE} A", chance.below(10)),
            75..90 => writeln!(text, "{name}.{ZONE} A"),
            _ => writeln!(text, "nope{name}.{ZONE} A"),
        }
        .expect("a String takes every write");
    }
    let path = directory.join("queries.txt");
    std::fs::write(&path, text).expect("the queries can be written");
    path
}

/// Asks as fast as answers come, or at a rate; with processor time per query of the UDP worker.
pub(crate) fn saturate(server: &Server, asked: &Path, seconds: u64, rate: usize) -> Value {
    let before = server.usage();
    let mut value = run(server, asked, seconds, rate);
    let used = server.usage().queries() - before.queries();
    value["udp_us_per_query"] = json!(used * 1e6 / value["completed"].as_f64().unwrap_or(f64::NAN));
    value
}

/// Runs dnsperf; a rate of 0 has no limit.
fn run(server: &Server, asked: &Path, seconds: u64, rate: usize) -> Value {
    let mut command = Command::new("dnsperf");
    command.args(["-s", "127.0.0.1", "-p", &server.dns().port().to_string(), "-e", "-c", "4", "-q", "100"]);
    command.args(["-l", &seconds.to_string(), "-d"]).arg(asked);
    if rate > 0 {
        command.args(["-Q", &rate.to_string()]);
    }
    let output = command.output().expect("dnsperf is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    let find = |key: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(key));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok())
    };
    json!({
        "queries_per_second": find("Queries per second:"),
        "completed": find("Queries completed:"),
        "lost": find("Queries lost:"),
        "latency_max_ms": text.split("max ").nth(1).and_then(|rest| rest.split(')').next()?.parse::<f64>().ok()).map(|s| s * 1e3),
    })
}
