//! Metrics: promtool has nothing to say about them, and docs/metrics.md lists exactly what is shown.

#![allow(clippy::disallowed_methods)] // processes and clocks of the machine take their time
#![allow(clippy::unwrap_used)] // a test helper may stop the test

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use zonebeat::metrics::Metrics;
use zonebeat::metrics::dns::{DnsCollector, DnsCounters};
use zonebeat::metrics::encrypted::Handshake;
use zonebeat::model::{Name, Revision, Serial, State, Timestamp, Transition};

const DOCS: &str = include_str!("../docs/metrics.md");
/// Metrics of a server in which everything has happened once.
fn touched() -> Metrics {
    let metrics = Metrics::new();
    let zone = Name::parse_absolute("sd.example.org").unwrap();
    let took = Duration::from_millis(3);
    metrics.registry().transition(Transition::Register);
    metrics.registry().beats().renewed.inc();
    metrics.registry().set_instances(State::Serving, 7);
    metrics.registry().set_instances(State::Lapsed, 2);
    metrics.registry().set_services(4);
    metrics.registry().set_sessions(5);
    metrics.registry().set_revision(Revision(42));
    metrics.store().committed(took, 20);
    metrics.store().failed();
    metrics.store().set_writable(true);
    metrics.store().set_journal(4096);
    metrics.view().compiled(took);
    metrics.view().published(Revision(41), 30, 9000);
    metrics.view().set_serial(&zone, Serial(u32::MAX));
    metrics.api().answered("GET /v1/services", 200, took);
    let counters = Arc::new(DnsCounters::default());
    counters.encrypted.certificate(Timestamp(1_800_000_000_999));
    counters.encrypted.reloaded(true);
    counters.encrypted.handshake("tls", Handshake::Done);
    counters.encrypted.refused(404);
    counters.encrypted.connected();
    let worker = counters.block("udp");
    worker.answered(0, 33);
    worker.observe(took, 1);
    metrics.register(Box::new(DnsCollector::new(counters).unwrap())).unwrap();
    metrics
}

/// Type and labels.
type Kind = (String, BTreeSet<String>);

/// Every metric of the exposition.
fn shown(text: &str) -> BTreeMap<String, Kind> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, kind)| (name.to_owned(), (kind.to_owned(), labels(text, name)))).collect()
}

/// The labels of a metric's first sample, apart from those that its type brings.
fn labels(text: &str, name: &str) -> BTreeSet<String> {
    let sample = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    let inside = sample.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).unwrap_or_default().0;
    let names = inside.split("\",").filter_map(|pair| pair.split_once('='));
    names.map(|(name, _)| name.to_owned()).filter(|name| name != "le").collect()
}

/// The first three columns of the tables.
fn documented() -> BTreeMap<String, Kind> {
    let rows = DOCS.lines().filter(|line| line.starts_with("| `"));
    let columns = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    let labels = |text: &str| text.split(", ").filter(|label| !label.is_empty()).map(bare).collect();
    columns.map(|columns| (bare(columns[1]), (columns[2].to_owned(), labels(columns[3])))).collect()
}

fn bare(text: &str) -> String {
    text.trim_matches('`').to_owned()
}

#[test]
fn what_happened_is_shown() {
    let text = touched().encode();
    for line in [
        "zonebeat_registry_transitions_total{transition=\"register\"} 1",
        "zonebeat_registry_transitions_total{transition=\"lapse\"} 0",
        "zonebeat_registry_beats_total{result=\"renewed\"} 1",
        "zonebeat_registry_beats_total{result=\"out-of-sync\"} 0",
        "zonebeat_registry_instances{state=\"serving\"} 7",
        "zonebeat_registry_instances{state=\"lapsed\"} 2",
        "zonebeat_registry_services 4",
        "zonebeat_registry_sessions 5",
        "zonebeat_registry_revision 42",
        "zonebeat_store_commit_seconds_bucket{le=\"0.005\"} 1",
        "zonebeat_store_commit_seconds_bucket{le=\"0.0025\"} 0",
        "zonebeat_store_commit_changes_sum 20",
        "zonebeat_store_commit_failures_total 1",
        "zonebeat_store_writable 1",
        "zonebeat_store_journal_bytes 4096",
        "zonebeat_view_revision 41",
        "zonebeat_view_names 30",
        "zonebeat_view_bytes 9000",
        "zonebeat_view_compile_seconds_count 1",
        "zonebeat_zone_serial{zone=\"sd.example.org.\"} 4294967295",
        "zonebeat_http_requests_total{call=\"GET /v1/services\",status=\"200\"} 1",
        "zonebeat_http_request_seconds_count{call=\"GET /v1/services\"} 1",
        "zonebeat_tls_certificate_expiry_seconds 1800000000",
        "zonebeat_tls_handshakes_total{result=\"done\",transport=\"tls\"} 1",
        "zonebeat_quic_connections 1",
        concat!("zonebeat_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
    }
}

#[test]
fn a_zone_that_is_not_served_has_no_serial() {
    let metrics = touched();
    let zone = Name::parse_absolute("sd.example.org").unwrap();
    metrics.view().forget_serial(&zone);
    metrics.view().forget_serial(&zone);
    assert!(!metrics.encode().contains("zonebeat_zone_serial{"));
}

#[test]
fn the_age_of_the_view_counts_from_its_publication() {
    let metrics = touched();
    let age = || -> f64 {
        let text = metrics.encode();
        let line = text.lines().find_map(|line| line.strip_prefix("zonebeat_view_age_seconds ")).unwrap().to_owned();
        line.parse().unwrap()
    };
    std::thread::sleep(Duration::from_millis(30));
    assert!(age() >= 0.03);
    let begun = Instant::now();
    metrics.view().published(Revision(42), 30, 9000);
    assert!(age() <= begun.elapsed().as_secs_f64());
}

#[test]
fn clones_count_together_and_servers_apart() {
    let one = touched();
    let (same, other) = (one.clone(), Metrics::new());
    same.store().failed();
    assert!(one.encode().contains("zonebeat_store_commit_failures_total 2"));
    assert!(other.encode().contains("zonebeat_store_commit_failures_total 0"));
}

#[test]
fn a_collector_of_another_part_is_shown_and_a_taken_name_refused() {
    let metrics = touched();
    let counter = prometheus::IntCounter::new("zonebeat_dns_test_total", "Of another part.").unwrap();
    metrics.register(Box::new(counter.clone())).unwrap();
    assert!(metrics.encode().contains("zonebeat_dns_test_total 0"));
    assert!(metrics.register(Box::new(counter)).is_err());
}

#[test]
fn names_are_ours_or_the_process_s_and_documented() {
    let shown = shown(&touched().encode());
    assert!(shown.len() > 20);
    for name in shown.keys() {
        assert!(name.starts_with("zonebeat_") || name.starts_with("process_"), "{name}");
    }
    assert_eq!(shown, documented(), "shown on the left, docs/metrics.md on the right");
}

#[test]
fn promtool_has_no_complaint() {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool (Debian package prometheus) is missing");
    promtool.stdin.take().unwrap().write_all(touched().encode().as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

/// The rules of Prometheus in docs/operations.md.
fn rules() -> String {
    let lines = include_str!("../docs/operations.md").lines();
    let block = lines.skip_while(|line| *line != "    groups:").take_while(|line| line.starts_with("    "));
    block.map(|line| format!("{}\n", &line[4..])).collect()
}

/// The guard's alerts go off when they should and not before.
const STORY: &str = "
rule_files: [rules.yml]
evaluation_interval: 1m
tests:
- interval: 1m
  input_series:
  - {series: zonebeat_guard_fleet_hold, values: '0 1 0 0 0'}
  - {series: zonebeat_guard_held_instances, values: '0 3 3 3 0'}
  - {series: zonebeat_store_went_back_total, values: '0 0 1 1 1'}
  alert_rule_test:
  - {eval_time: 1m, alertname: ZonebeatStoreWentBack}
  - eval_time: 2m
    alertname: ZonebeatStoreWentBack
    exp_alerts:
    - exp_annotations: {summary: 'an older copy of the store seems to be in its place'}
  - {eval_time: 0m, alertname: ZonebeatFleetHeld}
  - {eval_time: 2m, alertname: ZonebeatFleetHeld}
  - eval_time: 1m
    alertname: ZonebeatFleetHeld
    exp_alerts:
    - exp_annotations: {summary: 'many sessions fell silent together; the lapses of the whole fleet are held'}
  - {eval_time: 2m, alertname: ZonebeatInstancesHeld}
  - {eval_time: 4m, alertname: ZonebeatInstancesHeld}
  - eval_time: 3m
    alertname: ZonebeatInstancesHeld
    exp_alerts:
    - exp_annotations: {summary: '3 silent instances are still answered; see zonebeat held'}
";

#[test]
fn the_alerts_of_the_operations_page_go_off() {
    let dir = tempfile::tempdir().unwrap();
    let (rules, story) = (rules(), dir.path().join("story.yml"));
    let used = rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")?.split(' ').next());
    let known = documented();
    assert!(used.clone().count() > 2 && used.clone().all(|name| known.contains_key(name)), "{rules}");
    std::fs::write(dir.path().join("rules.yml"), &rules).unwrap();
    std::fs::write(&story, STORY).unwrap();
    let output = Command::new("promtool").args(["test", "rules"]).arg(&story).output();
    let output = output.expect("promtool (Debian package prometheus) is missing");
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{said}");
}
