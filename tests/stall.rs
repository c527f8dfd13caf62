//! Time that the server itself lost is nobody else's silence: stalls and restarts.

#![allow(clippy::disallowed_methods)] // real processes live in real time
#![allow(clippy::unwrap_used)] // a test helper may stop the test

mod support;

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::faults::{Kept, srv_in};
use support::{Server, Setup, ZONE, dns::rtype, eventually};

/// The lease of every instance here.
const LEASE: Duration = Duration::from_secs(2);
/// How often those beat that do.
const BEAT: Duration = Duration::from_millis(500);
/// A tick, a commit and a slow machine.
const SLACK: Duration = Duration::from_millis(1500);

fn body(number: usize) -> Value {
    json!({ "port": 8000 + number, "addresses": ["192.0.2.7"], "lease_seconds": LEASE.as_secs() })
}

fn register(server: &Server, ids: std::ops::Range<usize>) {
    for number in ids {
        server.register("search", &format!("i{number}"), &body(number));
    }
}

fn answered(server: &Server) -> usize {
    srv_in(&server.ask(&format!("_search._tcp.{ZONE}."), rtype::SRV)).len()
}

fn beat(connection: &mut Kept, number: usize) -> Value {
    let path = format!("/v1/services/search/instances/i{number}/heartbeat");
    let reply = connection.call("POST", &path, None).expect("the server answers");
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

fn lapses(server: &Server) -> usize {
    let (_, page) = server.http_json("GET", "/v1/changes?limit=1000", None);
    page["changes"].as_array().unwrap().iter().filter(|change| change["transition"] == "lapse").count()
}

#[test]
fn a_stopped_process_lapses_nobody_who_goes_on_beating() {
    let server = start();
    register(&server, 0..10);
    server.signal("STOP");
    thread::sleep(3 * LEASE);
    server.signal("CONT");
    let mut connection = Kept::connect(server.http()).unwrap();
    let until = Instant::now() + 2 * LEASE;
    while Instant::now() < until {
        assert_eq!(answered(&server), 10);
        for number in 0..10 {
            assert_eq!(beat(&mut connection, number)["returned"], json!(false));
        }
        thread::sleep(BEAT);
    }
    assert_eq!(lapses(&server), 0);
}

/// A server whose guard lets everything lapse.
fn start() -> Server {
    Setup::new().config("[guard]\nshare = 100\nhold = \"0s\"\n").start()
}

#[test]
fn silence_after_a_stall_lapses_within_a_lease_and_a_beat_brings_it_back() {
    let server = start();
    register(&server, 0..3);
    let registered = Instant::now();
    server.signal("STOP");
    thread::sleep(3 * LEASE);
    server.signal("CONT");
    let went_on = Instant::now();
    assert_eq!(answered(&server), 3, "nothing lapses at once");
    eventually("silence lapses all the same", || answered(&server) == 0);
    let silent = went_on.elapsed();
    assert!(silent < LEASE + SLACK, "{silent:?}");
    assert!(registered.elapsed() > 4 * LEASE - SLACK);

    let mut connection = Kept::connect(server.http()).unwrap();
    beat(&mut connection, 1);
    eventually("a beat brings an instance back", || answered(&server) == 1);
    assert_eq!(lapses(&server), 3);
}

#[test]
fn after_a_restart_every_lease_is_full() {
    let server = start();
    register(&server, 0..5);
    thread::sleep(LEASE - Duration::from_millis(800)); // most of the lease is over
    let server = server.restart();
    let started = Instant::now();
    assert_eq!(answered(&server), 5);
    let mut connection = Kept::connect(server.http()).unwrap();
    while started.elapsed() < LEASE - Duration::from_millis(300) {
        assert_eq!(answered(&server), 5, "after {:?}", started.elapsed());
        beat(&mut connection, 0);
        thread::sleep(Duration::from_millis(100));
    }
    eventually("the silent ones lapse, not at once and not never", || {
        beat(&mut connection, 0);
        answered(&server) == 1
    });
    let lasted = started.elapsed();
    assert!(lasted < LEASE + SLACK, "{lasted:?}");
    assert_eq!(lapses(&server), 4);
}

#[test]
fn a_lapsed_instance_stays_lapsed_over_a_restart_until_it_beats() {
    let server = start();
    register(&server, 0..2);
    eventually("both lapse", || answered(&server) == 0);
    let server = server.kill().start();
    assert_eq!(answered(&server), 0);
    let mut connection = Kept::connect(server.http()).unwrap();
    assert_eq!(beat(&mut connection, 1)["returned"], json!(true));
    eventually("it is answered again", || answered(&server) == 1);
}
