//! Instances over HTTP, as with curl: they come, lapse, return and leave, and dig sees it.

use std::time::{Duration, Instant};

use serde_json::json;

use super::SRV;
use super::support::{Server, Setup, eventually, pass};

const A1: &str = "/v1/services/search/instances/a1";
const A2: &str = "/v1/services/search/instances/a2";
const LEASE: Duration = Duration::from_secs(2);

fn two_instances(server: &Server) {
    let first = json!({"port": 8080, "addresses": ["192.0.2.7"], "lease_seconds": LEASE.as_secs()});
    let second = json!({"port": 8081, "addresses": ["192.0.2.8", "2001:db8::8"], "lease_seconds": 600});
    assert_eq!(server.http_json("PUT", A1, Some(first)).0, 201);
    assert_eq!(server.http_json("PUT", A2, Some(second)).0, 201);
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

fn serial(server: &Server) -> u32 {
    let soa = server.dig_short(&["sd.example.org", "SOA"]);
    soa[0].split(' ').nth(2).and_then(|serial| serial.parse().ok()).expect("an SOA has a serial")
}

#[test]
fn an_instance_is_answered_until_it_lapses_or_leaves() {
    let server = Server::start();
    let began = Instant::now();
    two_instances(&server);

    let srv = server.dig(&[SRV, "SRV"]);
    for part in [
        "flags: qr aa rd; QUERY: 1, ANSWER: 2, AUTHORITY: 0, ADDITIONAL: 4",
        "10 100 8080 a1.search.sd.example.org.",
        "10 100 8081 a2.search.sd.example.org.",
        "a1.search.sd.example.org. 30\tIN\tA\t192.0.2.7",
        "a2.search.sd.example.org. 30\tIN\tA\t192.0.2.8",
        "a2.search.sd.example.org. 30\tIN\tAAAA\t2001:db8::8",
    ] {
        assert!(srv.contains(part), "no {part:?} in {srv}");
    }
    assert_eq!(sorted(server.dig_short(&["search.sd.example.org", "A"])), ["192.0.2.7", "192.0.2.8"]);
    let types = server.dig_short(&["_services._dns-sd._udp.sd.example.org", "PTR"]);
    assert_eq!(types, ["_search._tcp.sd.example.org."]);

    eventually("the silent one lapses", || server.dig_short(&["search.sd.example.org", "A"]) == ["192.0.2.8"]);
    let silent = began.elapsed();
    assert!(silent > LEASE - Duration::from_millis(200), "it lapsed after {silent:?}");
    assert!(silent < LEASE * 3, "it lapsed after {silent:?} only");
    assert!(server.dig(&["a1.search.sd.example.org", "A"]).contains("status: NXDOMAIN"));

    assert_eq!(server.http_json("DELETE", A2, None).0, 200);
    let empty = server.dig(&[SRV, "SRV"]);
    for part in ["status: NOERROR", "ANSWER: 0, AUTHORITY: 1", "\t5\tIN\tSOA\t", "EDE: 0", "nobody serves search"] {
        assert!(empty.contains(part), "gone at once: no {part:?} in {empty}");
    }
}

#[test]
fn a_beat_keeps_an_instance_and_brings_it_back() {
    let server = Server::start();
    two_instances(&server);
    let before = serial(&server);
    let began = Instant::now();
    while began.elapsed() < LEASE * 3 / 2 {
        let (status, beat) = server.http_json("POST", &format!("{A1}/heartbeat"), None);
        assert_eq!((status, &beat["returned"]), (200, &json!(false)), "{beat}");
        pass(LEASE / 8);
    }
    assert_eq!(server.dig_short(&[SRV, "SRV"]).len(), 2);
    assert_eq!(serial(&server), before, "heartbeats do not move the serial");

    eventually("it lapses", || server.dig_short(&[SRV, "SRV"]).len() == 1);
    let lapsed = serial(&server);
    assert!(lapsed > before, "a lapse moves the serial");
    let (_, instance) = server.http_json("GET", A1, None);
    assert_eq!(instance["state"], "lapsed", "its record stays: {instance}");
    let (_, beat) = server.http_json("POST", &format!("{A1}/heartbeat"), None);
    assert_eq!(beat["returned"], true, "{beat}");
    assert_eq!(server.dig_short(&[SRV, "SRV"]).len(), 2, "back with the next beat");
    assert!(serial(&server) > lapsed);
}

#[test]
fn a_session_beats_for_all_its_instances() {
    let server = Setup::new().config("[guard]\nhold = \"0s\"\n").start();
    let instance = |service: &str, id: &str, port: u16| json!({"service": service, "id": id, "registration": {"port": port, "addresses": ["192.0.2.7"]}});
    let set = |instances| json!({"epoch": "7c2f", "lease_seconds": 2, "instances": instances});
    let both = set(vec![instance("search", "a1", 8080), instance("index", "b1", 9090)]);
    let (status, reply) = server.http_json("PUT", "/v1/sessions/host-17", Some(both));
    assert_eq!(status, 200, "{reply}");
    assert_eq!(server.dig_short(&["_index._tcp.sd.example.org", "SRV"]), ["10 100 9090 b1.index.sd.example.org."]);

    let beat = json!({"epoch": "7c2f", "hash": reply["hash"]});
    let began = Instant::now();
    while began.elapsed() < LEASE * 5 / 4 {
        assert_eq!(server.http_json("POST", "/v1/sessions/host-17/heartbeat", Some(beat.clone())).0, 200);
        pass(LEASE / 8);
    }
    assert_eq!(server.dig_short(&[SRV, "SRV"]).len(), 1);
    let other = json!({"epoch": "another"});
    let refused = server.call("POST", "/v1/sessions/host-17/heartbeat", Some(&other.to_string()));
    assert_eq!((refused.status, refused.word().as_str()), (409, "out-of-sync"));

    let one = set(vec![instance("index", "b1", 9090)]);
    assert_eq!(server.http_json("PUT", "/v1/sessions/host-17", Some(one)).0, 200);
    assert!(server.dig_short(&[SRV, "SRV"]).is_empty(), "what the set does not name leaves at once");
    eventually("the session lapses", || server.dig_short(&["index.sd.example.org", "A"]).is_empty());
}

#[test]
fn a_restart_loses_nothing_and_gives_everybody_a_full_lease() {
    let server = Server::start();
    two_instances(&server);
    let before = serial(&server);
    pass(LEASE / 2);
    let server = server.restart();
    let began = Instant::now();
    assert_eq!(serial(&server), before, "the serial stays");
    assert_eq!(server.dig_short(&[SRV, "SRV"]).len(), 2);
    eventually("the silent one lapses", || server.dig_short(&[SRV, "SRV"]).len() == 1);
    let silent = began.elapsed();
    assert!(silent > LEASE / 2, "its lease was full again: {silent:?}");
}

#[test]
fn the_server_registers_itself() {
    let config = "[[zone]]\nname = \"sd.example.org\"\n[server]\nid = \"ns7\"\n\
                  [policy]\nallow_addresses = [\"127.0.0.0/8\"]\n";
    let server = Setup::bare().config(config).start();
    let port = server.http().port();
    let srv = server.dig(&["_zonebeat._tcp.sd.example.org", "SRV"]);
    assert!(srv.contains(&format!("10 100 {port} ns7.zonebeat.sd.example.org.")), "{srv}");
    assert!(srv.contains("ns7.zonebeat.sd.example.org. 30\tIN\tA\t127.0.0.1"), "{srv}");
    server.await_log("_zonebeat._tcp.sd.example.org SRV");

    let reserved = Server::start();
    assert!(reserved.dig(&["_zonebeat._tcp.sd.example.org", "SRV"]).contains("status: NXDOMAIN"));
    reserved.await_log("does not register itself");
    assert!(!reserved.log().contains("_zonebeat._tcp"), "what has no answer is not named as the first thing to try");
}
