//! The commands that look: tables for people, JSON for programs, exit codes for scripts.

use std::process::Output;

use serde_json::{Value, json};

use super::SRV;
use super::support::{Server, Shared};

static SHARED: Shared = Shared::new(start);

fn start() -> Server {
    let server = Server::start();
    let body = json!({"owner": "squad-search", "min": 1, "runbook": "https://runbook.example.org/search"});
    assert_eq!(server.http_json("PUT", "/v1/services/search", Some(body)).0, 200);
    for (id, site, address) in [("a1", "lon", "192.0.2.7"), ("a2", "sto", "192.0.2.8")] {
        put(&server, "search", id, json!({"site": site, "addresses": [address], "tags": ["canary"]}));
    }
    server
}

fn put(server: &Server, service: &str, id: &str, mut body: Value) {
    body["port"] = json!(8080);
    body["lease_seconds"] = json!(600);
    let (status, reply) = server.http_json("PUT", &format!("/v1/services/{service}/instances/{id}"), Some(body));
    assert_eq!(status, 201, "{reply}");
}

fn out(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn json_of(output: &Output) -> Value {
    serde_json::from_str(&out(output)).expect("--json prints JSON")
}

/// The words of the line that begins with `first`.
fn row<'t>(text: &'t str, first: &str) -> Vec<&'t str> {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(first));
    line.unwrap_or_else(|| panic!("no row {first} in:\n{text}")).split_whitespace().collect()
}

#[test]
fn services_is_a_table_or_json() {
    let server = SHARED.get();
    let table = out(&server.client(&["services"]));
    let expected = ["SERVICE", "PROTO", "SERVING", "HELD", "OUT", "SITES", "OWNER", "LAST", "CHANGE"];
    assert_eq!(row(&table, "SERVICE"), expected);
    assert_eq!(row(&table, "search")[..8], ["search", "tcp", "2", "0", "0", "lon", "sto", "squad-search"]);
    let json = json_of(&server.client(&["services", "--json"]));
    let search = json["services"].as_array().and_then(|list| list.iter().find(|one| one["service"] == "search"));
    assert_eq!(search.expect("listed")["serving"], 2, "{json}");
}

#[test]
fn instances_is_a_table_or_json() {
    let server = SHARED.get();
    let table = out(&server.client(&["instances", "search"]));
    let a2 = row(&table, "a2");
    assert_eq!(a2[1], "serving", "{table}");
    for word in ["tcp", "192.0.2.8:8080", "sto", "10", "100", "canary"] {
        assert!(a2.contains(&word), "no {word} in {table}");
    }
    let json = json_of(&server.client(&["instances", "search", "--json"]));
    assert_eq!(json["instances"][0]["id"], "a1", "{json}");
    let unknown = server.client(&["instances", "nobody"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("unknown-service"), "{unknown:?}");
}

#[test]
fn show_tells_everything_of_a_service() {
    let server = SHARED.get();
    let text = out(&server.client(&["show", "search"]));
    for part in ["squad-search", "2 serving", "_search._tcp.lon.sd.example.org.", "register a1", "declare", "127.0.0.1"]
    {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
    let json = json_of(&server.client(&["show", "search", "--json"]));
    assert_eq!(json["service"]["declaration"]["owner"], "squad-search", "{json}");
    assert!(json["changes"].as_array().is_some_and(|changes| changes.len() >= 3), "{json}");
}

#[test]
fn deregister_applies_at_once_and_says_the_revision() {
    let server = Server::start();
    put(&server, "search", "a1", json!({"addresses": ["192.0.2.7"]}));
    put(&server, "search", "a2", json!({"addresses": ["192.0.2.8"]}));
    let text = out(&server.client(&["deregister", "search", "a1", "--reason", "disk replaced"]));
    assert!(text.contains("search/a1 has left (revision "), "{text}");
    assert_eq!(server.dig_short(&[SRV, "SRV"]), ["10 100 8080 a2.search.sd.example.org."]);
    assert!(out(&server.client(&["show", "search"])).contains("disk replaced"));
    let json = json_of(&server.client(&["deregister", "search", "a2", "--json"]));
    assert_eq!(json["changed"], true, "{json}");
    assert!(server.dig_short(&[SRV, "SRV"]).is_empty());
    let again = server.client(&["deregister", "search", "a1"]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert!(String::from_utf8_lossy(&again.stderr).contains("unknown-instance"), "{again:?}");
}

#[test]
fn no_server_is_said_with_its_reason() {
    let mut command = super::support::zonebeat();
    command.args(["services", "--server", "http://127.0.0.1:1"]);
    let output = command.output().expect("the binary starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("http://127.0.0.1:1 (connection refused)"), "{text}");
}
