//! The wall clock jumps by a day, in both directions, while the server or an agent runs, and between two runs.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::faked::Clock;
use super::fleet::{Fleet, assert_answered, changes_since, of_transition, revision, serial, targets};
use super::support::{Server, Setup, Staying, ZONE, dns::rtype, eventually, pass, zonebeat};

const DAY: i64 = 86_400;
const LEASE: Duration = Duration::from_secs(4);
/// The guard would hide what lapses; what says so itself is held.
const CONFIG: &str = "[guard]\nshare = 100\nhold = \"0s\"\n[store]\nhistory = \"1h\"\n";
const HELD: &str = "EDE: 3 (Stale Answer)";

fn put(server: &Server, service: &str, id: &str, lease: u32) {
    server.register(service, id, &json!({"port": 80, "addresses": ["192.0.2.7"], "lease_seconds": lease}));
}

fn instance(server: &Server, service: &str, id: &str) -> Value {
    server.http_json("GET", &format!("/v1/services/{service}/instances/{id}"), None).1
}

/// A cookie as the server answers it to this one.
fn cookie(server: &Server, sent: &str) -> (String, bool) {
    let text = server.dig(&[&format!("+cookie={sent}"), ZONE, "SOA"]);
    assert!(text.contains("status: NOERROR"), "{text}");
    let line = text.lines().find_map(|line| line.strip_prefix("; COOKIE: ")).expect("a cookie");
    let (cookie, verdict) = line.split_once(' ').expect("dig judges it");
    (cookie.to_owned(), verdict == "(good)")
}

/// A server in which something of each kind depends on time: an instance that lapsed, one that is held, one that left
/// its name behind, a weight for some days.
fn with_everything(clock: &Clock, fleet: &Fleet) -> Server {
    let server = clock.start(Setup::new().config(&fleet.network.config(CONFIG)));
    assert_eq!(server.http_json("PUT", "/v1/services/index", Some(json!({"hold": 3600}))).0, 200);
    put(&server, "index", "held", 2);
    put(&server, "web", "lapsed", 2);
    put(&server, "web", "weighed", 600);
    put(&server, "gone", "a1", 600);
    let order = json!({"weight": 7, "for_seconds": 3 * DAY});
    assert_eq!(server.http_json("POST", "/v1/services/web/instances/weighed/weight", Some(order)).0, 200);
    assert_eq!(server.call("DELETE", "/v1/services/gone/instances/a1", None).status, 200);
    eventually("one is held", || instance(&server, "index", "held")["state"] == "held");
    eventually("one has lapsed", || instance(&server, "web", "lapsed")["state"] == "lapsed");
    check_everything(&server);
    server
}

fn check_everything(server: &Server) {
    assert_eq!(instance(server, "index", "held")["state"], "held");
    assert!(server.dig(&[&format!("_index._tcp.{ZONE}"), "SRV"]).contains(HELD));
    assert_eq!(instance(server, "web", "lapsed")["state"], "lapsed");
    assert_eq!(server.dig_short(&[&format!("_web._tcp.{ZONE}"), "SRV"]), [format!("10 7 80 weighed.web.{ZONE}.")]);
    let gone = server.dig(&[&format!("_gone._tcp.{ZONE}"), "SRV"]);
    assert!(gone.contains("status: NOERROR") && gone.contains("EDE: 0"), "a name that was left is known: {gone}");
}

/// Nobody who beats lapses for longer than a lease, and beats are taken.
fn all_stay(server: &Server, all: &[String], from: u64) {
    let until = Instant::now() + LEASE + Duration::from_secs(2);
    while Instant::now() < until {
        assert_answered(server, all, "after a jump");
        pass(Duration::from_millis(200));
    }
    let changes = changes_since(server, from);
    let unwanted: Vec<&str> = ["lapse", "reap", "forget", "release"].into();
    assert!(unwanted.iter().all(|word| of_transition(&changes, word).is_empty()), "{changes:?}");
    let revisions: Vec<u64> =
        changes_since(server, 0).iter().filter_map(|change| change["revision"].as_u64()).collect();
    assert!(revisions.first() == Some(&1) && revisions.windows(2).all(|pair| pair[1] == pair[0] + 1), "{revisions:?}");
}

/// The time of the last change, in seconds from the real time.
fn last_change(server: &Server) -> i64 {
    let last = changes_since(server, 0).pop().expect("a change");
    let time = last["time"].as_str().expect("a time").parse::<jiff::Timestamp>().expect("RFC 3339");
    time.as_second() - jiff::Timestamp::now().as_second()
}

#[test]
fn a_server_whose_clock_jumps_lapses_forgets_and_ends_nothing() {
    let (clock, fleet) = (Clock::new(), Fleet::new());
    let mut server = with_everything(&clock, &fleet);
    let fleet = fleet.join(&server, 60, LEASE);
    let (all, from) = (targets(&server), revision(&server));
    for offset in [DAY, 0, -DAY, 0] {
        let before = serial(&server);
        let (known, _) = cookie(&server, "0102030405060708");
        clock.set(offset);
        let (next, good) = cookie(&server, &known);
        assert!(good && next[16..] != known[16..], "an old cookie is replaced");
        assert_eq!(cookie(&server, &next).0, next, "a new one lasts");
        all_stay(&server, &all, from);
        put(&server, "new", &format!("a{}", revision(&server)), 600);
        assert!((last_change(&server) - offset).abs() < 20, "history has the time of the clock");
        check_everything(&server);
        assert!(serial(&server) > before);
        server = server.restart();
        fleet.network.lead_to(server.http());
        check_everything(&server);
        all_stay(&server, &all, from);
        assert!(serial(&server) > before, "nor does the serial go back with the next start");
    }
}

#[test]
fn a_server_that_starts_with_a_wrong_clock_lapses_and_forgets_nothing() {
    let (clock, fleet) = (Clock::new(), Fleet::new());
    let mut server = with_everything(&clock, &fleet);
    let fleet = fleet.join(&server, 60, LEASE);
    let (all, from) = (targets(&server), revision(&server));
    for offset in [-DAY, 365 * DAY, -20_000 * DAY, 0] {
        let before = serial(&server);
        let setup = server.kill();
        clock.set(offset);
        server = setup.start();
        fleet.network.lead_to(server.http());
        assert!(serial(&server) >= before);
        all_stay(&server, &all, from);
        assert_eq!(instance(&server, "index", "held")["state"], "held");
        assert_eq!(instance(&server, "web", "lapsed")["state"], "lapsed");
        put(&server, "new", &format!("a{}", revision(&server)), 600);
        assert!(serial(&server) > before);
    }
}

#[test]
fn agents_whose_clock_jumps_go_on_beating() {
    let server = Setup::new().config(CONFIG).start();
    let clock = Clock::new();
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let folder = dir.path().join("services.d");
    std::fs::create_dir(&folder).expect("a folder can be made");
    let file =
        "id = \"a1\"\nport = 80\naddresses = [\"192.0.2.7\"]\n[[check]]\nprobe = \"exec:true\"\ninterval = \"200ms\"\n";
    std::fs::write(folder.join("search.toml"), file).expect("a file can be written");
    let config = dir.path().join("agent.toml");
    std::fs::write(&config, "lease = \"3s\"\n").expect("a file can be written");
    let text = |path: &std::path::Path| path.display().to_string();
    let url = server.url();
    let start = |args: &[&str]| Staying::start_by(clock.of(zonebeat()), &[&url], args);
    let agent = start(&[
        "agent",
        "--config",
        &text(&config),
        "--services-dir",
        &text(&folder),
        "--socket",
        &text(&dir.path().join("sock")),
    ]);
    let lone = start(&["register", "shop", "--id", "b1", "--port", "80", "--address", "192.0.2.7", "--lease", "3s"]);
    eventually("both are registered", || targets(&server).len() == 2);
    let (all, from) = (targets(&server), revision(&server));
    for offset in [DAY, -DAY, 0] {
        clock.set(offset);
        all_stay(&server, &all, from);
    }
    assert_eq!(changes_since(&server, from).len(), 0, "not one of them noticed");
    let answer = server.ask(&format!("_search._tcp.{ZONE}."), rtype::SRV);
    assert_eq!(answer.answers.len(), 1);
    drop((agent, lone));
}
