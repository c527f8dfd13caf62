//! The server restarts, in order or not, while everybody goes on beating.

use std::time::{Duration, Instant};

use serde_json::json;

use super::fleet::{Fleet, assert_answered, changes_since, of_transition, revision, serial, targets};
use super::support::{Server, Setup, ZONE, eventually, pass};

const AGENTS: usize = 150;
const LEASE: Duration = Duration::from_secs(4);
const HELD: &str = "EDE: 3 (Stale Answer)";
const INDEX: &str = "_index._tcp.sd.example.org";

/// Everybody is answered for longer than a lease, whenever one looks.
fn all_stay(server: &Server, before: &[String]) {
    let until = Instant::now() + LEASE + Duration::from_secs(2);
    while Instant::now() < until {
        assert_answered(server, before, "after a restart");
        pass(Duration::from_millis(100));
    }
}

fn lone(server: &Server, service: &str, lease: u32) {
    let body = json!({"port": 80, "addresses": ["192.0.2.7"], "lease_seconds": lease});
    server.register(service, "a1", &body);
}

#[test]
fn nobody_lapses_who_beats_and_what_was_held_or_released_stays_so() {
    // Only what says so itself is held: a lapse of others would show.
    let fleet = Fleet::new();
    let mut server = Setup::new().config(&fleet.network.config("[guard]\nshare = 100\nhold = \"0s\"\n")).start();
    let fleet = fleet.join(&server, AGENTS, LEASE);
    for service in ["index", "web"] {
        assert_eq!(server.http_json("PUT", &format!("/v1/services/{service}"), Some(json!({"hold": 600}))).0, 200);
        lone(&server, service, 2);
    }
    eventually("both are held", || {
        server.http_json("GET", "/v1/held", None).1["instances"].as_array().is_some_and(|held| held.len() == 2)
    });
    assert_eq!(server.client(&["release", "web"]).status.code(), Some(0));
    let (all, from) = (targets(&server), revision(&server));
    for kill in [false, true, false] {
        let before = serial(&server);
        server = if kill { server.kill().start() } else { server.restart() };
        fleet.network.lead_to(server.http());
        assert!(serial(&server) >= before, "the serial of {ZONE} went back");
        assert!(server.dig(&[INDEX, "SRV"]).contains(HELD), "held, from the first answer on");
        all_stay(&server, &all);
        assert!(server.dig(&[INDEX, "SRV"]).contains(HELD));
        let (_, list) = server.http_json("GET", "/v1/held", None);
        assert_eq!(list["instances"].as_array().map(Vec::len), Some(1), "{list}");
        assert!(server.dig(&["_web._tcp.sd.example.org", "SRV"]).contains("ANSWER: 0"), "released, and stays so");
    }
    let changes = changes_since(&server, from);
    assert_eq!(of_transition(&changes, "lapse"), [""; 0]);
    lone(&server, "index", 600);
    assert!(!server.dig(&[INDEX, "SRV"]).contains("EDE"), "it is back");
}
