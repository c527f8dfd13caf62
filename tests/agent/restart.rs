//! An agent that ends and is followed by another one: killed, told to hand over, or stopped.

use serde_json::{Value, json};

use super::support::{Server, Staying, eventually};
use super::world::{Home, SRV, Web, quick, service, transitions};

/// A file with one instance of `search`; `a1` would do for all of them.
fn instance(id: &str, port: u16, check: &str) -> String {
    service(port, check).replace("a1", id)
}

const TTL: &str = "[[check]]\nprobe = \"ttl\"\nttl = \"10m\"\n";

/// An instance of each kind: passing, failing, reported well, drained, weighed.
fn prepare(home: &Home, well: &Web, ill: &Web) {
    ill.answer_with(503);
    home.write("a1.toml", &instance("a1", well.port, &quick("http:/", "")));
    home.write("a2.toml", &instance("a2", ill.port, &quick("http:/", "")));
    home.write("a3.toml", &instance("a3", 80, TTL));
    home.write("a4.toml", &instance("a4", 80, ""));
    home.write("a5.toml", &instance("a5", 80, ""));
}

fn order(server: &Server, home: &Home) {
    home.report("a3", "pass", "warm");
    home.await_in_sync();
    eventually("a3 is answered", || answers(server).contains(&"a3".to_owned()));
    assert_eq!(server.client(&["drain", "search", "a4", "--reason", "kernel"]).status.code(), Some(0));
    assert_eq!(server.client(&["weight", "search", "a5", "7", "--for", "1h"]).status.code(), Some(0));
}

/// The ids that are answered, sorted.
fn answers(server: &Server) -> Vec<String> {
    let lines = server.dig_short(&[SRV, "SRV"]);
    let id = |line: &String| line.split([' ', '.']).nth(3).unwrap_or_default().to_owned();
    let mut ids: Vec<String> = lines.iter().map(id).collect();
    ids.sort();
    ids
}

fn await_kept(home: &Home) {
    let kept = || {
        let text = std::fs::read_to_string(home.path("sock.state")).unwrap_or_default();
        let kept: Value = serde_json::from_str(&text).unwrap_or_default();
        kept["published"].as_array().map(Vec::len) == Some(5) && text.contains("warm")
    };
    eventually("it has written what it goes on from", kept);
}

fn assert_unchanged(server: &Server, home: &Home, agent: &Staying, before: &[String], epoch: &Value) {
    agent.await_log("goes on with the session");
    eventually("the new agent is in sync", || {
        assert_eq!(answers(server), ["a1", "a3", "a5"], "all the time");
        home.status()["in_sync"] == true
    });
    eventually("every check has spoken", || home.instance("a2")["checks"][0]["row"].as_u64() > Some(3));
    assert_eq!(transitions(server), before, "history shows nothing of it");
    assert_eq!(&home.status()["epoch"], epoch);
    assert_eq!(home.instance("a3")["state"], "serving", "its report still holds");
    assert_eq!(home.instance("a3")["checks"][0]["detail"], "warm");
    let (_, a4) = server.http_json("GET", "/v1/services/search/instances/a4", None);
    assert_eq!((&a4["state"], &a4["drained"]["reason"]), (&json!("drained"), &json!("kernel")));
    let (_, a5) = server.http_json("GET", "/v1/services/search/instances/a5", None);
    assert_eq!(a5["set_weight"]["weight"], 7);
}

#[test]
fn one_that_is_killed_changes_nothing() {
    let (server, home, well, ill) = (Server::start(), Home::new(), Web::start(), Web::start());
    prepare(&home, &well, &ill);
    let agent = home.lasting_agent(&[&server.url()], &[]);
    order(&server, &home);
    await_kept(&home);
    let (before, epoch) = (transitions(&server), home.status()["epoch"].clone());
    drop(agent);
    let agent = home.lasting_agent(&[&server.url()], &[]);
    assert_unchanged(&server, &home, &agent, &before, &epoch);
}

#[test]
fn one_that_hands_over_changes_nothing() {
    let (server, home, well, ill) = (Server::start(), Home::new(), Web::start(), Web::start());
    prepare(&home, &well, &ill);
    let mut agent = home.lasting_agent(&[&server.url()], &["--drain", "1s"]);
    order(&server, &home);
    let (before, epoch) = (transitions(&server), home.status()["epoch"].clone());
    agent.signal("USR2");
    agent.await_log("begins again");
    assert_unchanged(&server, &home, &agent, &before, &epoch);
    agent.signal("TERM");
    assert!(agent.wait().success(), "it is the same process, and stops as ever");
    assert_eq!(answers(&server), Vec::<String>::new());
}

#[test]
fn one_that_was_stopped_and_started_has_another_session_and_the_reports_and_orders() {
    let (server, home, well, ill) = (Server::start(), Home::new(), Web::start(), Web::start());
    prepare(&home, &well, &ill);
    let mut agent = home.lasting_agent(&[&server.url()], &["--drain", "0s"]);
    order(&server, &home);
    let epoch = home.status()["epoch"].clone();
    agent.signal("TERM");
    assert!(agent.wait().success());
    let agent = home.lasting_agent(&[&server.url()], &[]);
    home.await_in_sync();
    assert_eq!(answers(&server), ["a1", "a3", "a5"]);
    assert_ne!(home.status()["epoch"], epoch);
    let (_, a4) = server.http_json("GET", "/v1/services/search/instances/a4", None);
    assert_eq!((&a4["state"], &a4["drained"]["reason"]), (&json!("drained"), &json!("kernel")));
    assert!(server.dig_short(&[SRV, "SRV"]).contains(&"10 7 80 a5.search.sd.example.org.".to_owned()));
    drop(agent);
}

#[test]
fn a_file_that_is_broken_when_it_starts_again_says_what_it_said() {
    let (server, home) = (Server::start(), Home::new());
    home.write("a1.toml", &instance("a1", 80, ""));
    home.write("a2.toml", &instance("a2", 80, ""));
    let agent = home.lasting_agent(&[&server.url()], &[]);
    home.await_in_sync();
    agent.signal("USR2");
    agent.await_log("goes on with the session");
    home.await_in_sync();
    home.write("a2.toml", "prot = 1");
    eventually("the status says so", || home.status()["findings"].as_array().is_some_and(|list| list.len() == 1));
    drop(agent);
    let agent = home.lasting_agent(&[&server.url()], &[]);
    agent.await_log("did you mean");
    eventually("nothing but the file differs", || {
        home.status()["differs"].as_array().is_some_and(|all| all.len() == 1)
    });
    assert_eq!(answers(&server), ["a1", "a2"]);
    home.remove("a2.toml");
    eventually("a file that is gone takes its instance along", || answers(&server) == ["a1"]);
    assert_eq!(transitions(&server), ["register a1", "register a2", "deregister a2"]);
}
