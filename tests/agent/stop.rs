//! An agent that is told to stop: out of the answers, a wait for caches, deregistered.

use std::time::{Duration, Instant};

use serde_json::json;

use super::support::{Server, eventually};
use super::world::{Home, Web, answered, free_port, quick, service, transitions};

#[test]
fn sigterm_takes_out_waits_and_deregisters() {
    let (server, home) = (Server::start(), Home::new());
    home.write("a.toml", &service(80, ""));
    let mut agent = home.agent(&[&server.url()], &["--drain", "2s"]);
    home.await_in_sync();
    let began = Instant::now();
    agent.signal("TERM");
    eventually("it is out of the answers", || answered(&server) == 0);
    assert!(began.elapsed() < Duration::from_secs(2), "at once: {:?}", began.elapsed());
    assert_eq!(home.status()["phase"], "draining");
    assert!(agent.wait().success());
    assert!(began.elapsed() >= Duration::from_millis(1900), "it waits for caches: {:?}", began.elapsed());
    agent.await_log("deregistered");
    assert_eq!(server.call("GET", "/v1/services/search/instances/a1", None).status, 404);
    assert!(!home.path("sock").exists(), "the socket goes away");
}

#[test]
fn it_waits_for_the_longest_ttl_that_was_given_out() {
    let (server, home) = (Server::start(), Home::new());
    let (status, _) = server.http_json("PUT", "/v1/services/search", Some(json!({ "ttl": 2 })));
    assert_eq!(status, 200);
    home.write("a.toml", &service(80, ""));
    let mut agent = home.agent(&[&server.url()], &["--drain", "1h"]);
    home.await_in_sync();
    let began = Instant::now();
    agent.signal("TERM");
    assert!(agent.wait().success());
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(1900) && took < Duration::from_secs(15), "{took:?}");
}

#[test]
fn what_checks_say_while_it_stops_is_nobody_s_affair() {
    let (server, home, web) = (Server::start(), Home::new(), Web::start());
    home.write("a.toml", &service(web.port, &quick("http:/", "")));
    let mut agent = home.agent(&[&server.url()], &["--drain", "2s"]);
    home.await_in_sync();
    agent.signal("TERM");
    agent.await_log("out of the answers");
    web.answer_with(503);
    eventually("the check fails", || home.instance("a1")["checks"][0]["state"] == "failing");
    assert!(agent.wait().success());
    assert_eq!(transitions(&server), ["register a1", "update a1", "deregister a1"]);
}

#[test]
fn the_second_sigterm_deregisters_at_once() {
    let (server, home) = (Server::start(), Home::new());
    home.write("a.toml", &service(80, ""));
    let mut agent = home.agent(&[&server.url()], &["--drain", "1h"]);
    home.await_in_sync();
    agent.signal("TERM");
    agent.await_log("out of the answers");
    agent.signal("TERM");
    assert!(agent.wait().success());
    assert_eq!(server.call("GET", "/v1/services/search/instances/a1", None).status, 404);
}

#[test]
fn without_a_server_it_stops_all_the_same() {
    let home = Home::new();
    home.write("a.toml", &service(80, ""));
    let mut agent = home.agent(&[&format!("http://127.0.0.1:{}", free_port())], &[]);
    agent.await_log("no server answered");
    let began = Instant::now();
    agent.signal("TERM");
    assert!(agent.wait().success());
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[test]
fn two_agents_do_not_share_a_socket() {
    let (server, home) = (Server::start(), Home::new());
    let _agent = home.agent(&[&server.url()], &[]);
    eventually("it answers", || home.status()["session"] == "host-17");
    let mut second = home.agent(&[&server.url()], &[]);
    assert_eq!(second.wait().code(), Some(1));
    second.await_log("another agent listens at");
}

#[test]
fn sigusr1_is_a_slip_and_no_end() {
    let (server, home) = (Server::start(), Home::new());
    home.write("a.toml", &service(80, ""));
    let mut agent = home.agent(&[&server.url()], &[]);
    home.await_in_sync();
    agent.signal("USR1");
    agent.await_log("SIGUSR1 means nothing to an agent");
    home.await_in_sync();
    assert_eq!(answered(&server), 1);
    agent.signal("TERM");
    agent.signal("TERM");
    assert!(agent.wait().success());
}
