//! `zonebeat register`: in the foreground, through restarts and lost servers.

use std::net::TcpListener;
use std::time::Duration;

use super::SRV;
use super::support::{Server, Setup, Staying, eventually, pass};

const ARGS: [&str; 9] = ["register", "search", "--port", "8080", "--id", "a1", "--address", "192.0.2.7", "--lease=2s"];

/// The lease of [`ARGS`].
const LEASE: Duration = Duration::from_secs(2);

fn register(servers: &[&str], more: &[&str]) -> Staying {
    Staying::start(servers, &[&ARGS[..], more].concat())
}

fn is_answered(server: &Server) -> bool {
    server.dig_short(&[SRV, "SRV"]) == ["10 100 8080 a1.search.sd.example.org."]
}

/// A port of this machine that nobody listens on.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it has an address").to_string()
}

#[test]
fn it_waits_for_the_answer_beats_and_leaves() {
    let server = Server::start();
    let mut running = register(&[&server.url()], &["--wait", "--site", "lon", "--tag", "canary"]);
    let line = running.await_log("answered as");
    assert!(line.contains("_search._tcp.sd.example.org."), "{line}");
    assert!(is_answered(&server), "when the line comes, dig has it");
    assert_eq!(server.dig_short(&["search.lon.sd.example.org", "A"]), ["192.0.2.7"]);
    pass(LEASE * 13 / 10);
    assert!(is_answered(&server), "it beats");
    let (_, changes) = server.http_json("GET", "/v1/changes?limit=1000", None);
    let changes = changes["changes"].as_array().expect("a list");
    assert_eq!(changes.iter().filter(|change| change["subject"] == "search").count(), 1, "{changes:?}");
    running.signal("TERM");
    assert!(running.wait().success());
    assert!(running.log().contains("search/a1 has left"), "{}", running.log());
    assert!(!is_answered(&server));
    assert!(server.dig(&[SRV, "SRV"]).contains("status: NOERROR"));
}

#[test]
fn a_restart_that_overlaps_keeps_the_name() {
    let server = Server::start();
    let mut old = register(&[&server.url()], &["--wait"]);
    old.await_log("answered as");
    let mut new = register(&[&server.url()], &["--wait"]);
    new.await_log("answered as");
    old.signal("TERM");
    old.wait();
    assert!(is_answered(&server), "the goodbye of the old process does not take out the new one: {}", old.log());
    pass(LEASE * 13 / 10);
    assert!(is_answered(&server), "the new one beats");
    new.signal("TERM");
    assert!(new.wait().success());
    assert!(!is_answered(&server));
}

#[test]
fn a_killed_one_lapses() {
    let server = Setup::new().config("[guard]\nhold = \"0s\"\n").start();
    let running = register(&[&server.url()], &["--wait"]);
    running.await_log("answered as");
    drop(running);
    eventually("it lapses", || !is_answered(&server));
    let (_, instance) = server.http_json("GET", "/v1/services/search/instances/a1", None);
    assert_eq!(instance["state"], "lapsed");
}

#[test]
fn it_goes_on_to_the_next_server_when_one_is_dead() {
    let server = Server::start();
    let dead = format!("http://{}", free_address());
    let mut running = register(&[&dead, &server.url()], &["--wait"]);
    let line = running.await_log("registered search/a1");
    assert!(line.contains(&server.url()), "{line}");
    running.await_log("answered as");
    assert!(is_answered(&server));
    running.signal("INT");
    assert!(running.wait().success());
    assert!(!is_answered(&server));
}

#[test]
fn it_survives_a_restart_and_the_loss_of_all_data() {
    let http = free_address();
    let setup = Setup::new().arg("--http").arg(&http);
    let server = setup.start();
    let url = format!("http://{http}");
    let mut running = register(&[&url], &[]);
    running.await_log("registered search/a1");
    let incarnation = |server: &Server| {
        let (_, instance) = server.http_json("GET", "/v1/services/search/instances/a1", None);
        instance["incarnation"].clone()
    };
    let before = incarnation(&server);

    let server = server.kill().start();
    pass(LEASE * 13 / 10);
    assert!(is_answered(&server), "it went on beating: {}", running.log());
    assert_eq!(incarnation(&server), before, "the restarted server knew it");

    let setup = server.kill();
    std::fs::remove_dir_all(setup.data_path()).expect("the data directory can be removed");
    let server = setup.start();
    running.await_log("registered search/a1 again");
    assert!(is_answered(&server));
    running.signal("TERM");
    assert!(running.wait().success());
    assert!(!is_answered(&server));
}

#[test]
fn a_refusal_ends_it() {
    let server = Server::start();
    let args = ["register", "search", "--port", "8080", "--address", "127.0.0.1"];
    let mut running = Staying::start(&[&server.url()], &args);
    assert_eq!(running.wait().code(), Some(3));
    running.await_log("address-refused");
}
