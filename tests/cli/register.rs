//! `zonebeat register`: the command that stays.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::UdpSocket;

use super::program::Running;
use super::responder::{Reply, Responder, problem, reply};

const INSTANCE: &str = "/v1/services/search/instances/a1";

fn registered(incarnation: u64) -> Reply {
    let names = ["_search._tcp.sd.example.org.", "search.sd.example.org.", "a1.search.sd.example.org."];
    reply(
        201,
        &json!({ "service": "search", "id": "a1", "incarnation": incarnation, "revision": incarnation,
        "lease_seconds": 15, "heartbeat_seconds": 0.1, "names": names }),
    )
}

fn beaten(servers: &[&str]) -> Reply {
    reply(200, &json!({ "lease_seconds": 15, "heartbeat_seconds": 0.1, "servers": servers, "returned": false }))
}

/// A server that takes one instance; replies that a test adds before these come first.
fn taking(server: Responder) -> Responder {
    server
        .on(&format!("PUT {INSTANCE}"), registered(7))
        .on(&format!("POST {INSTANCE}/heartbeat"), beaten(&[]))
        .on(&format!("DELETE {INSTANCE}?incarnation=7"), reply(200, &json!({ "revision": 8, "changed": true })))
}

fn start(server: &Responder, more: &[&str]) -> Running {
    let args = ["register", "search", "--port", "8080", "--id", "a1", "--server", &server.url];
    Running::start(&[&args, more].concat())
}

async fn until_called(server: &Responder, call: &str, times: usize) {
    let waiting = async {
        while server.calls().iter().filter(|asked| asked.ends_with(call)).count() < times {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let called = tokio::time::timeout(super::program::BOUND, waiting).await;
    called.unwrap_or_else(|_| panic!("{call} was not called {times} times: {:?}", server.calls()));
}

#[tokio::test]
async fn it_registers_beats_and_leaves_on_either_signal() {
    for signal in ["TERM", "INT"] {
        let server = taking(Responder::start().await);
        let more = ["--address", "192.0.2.7", "--site", "lon", "--tag", "canary", "--meta", "version=2.4.1"];
        let mut running = start(&server, &more);
        let line = running.line_with("registered search/a1").await;
        assert!(line.contains("names: _search._tcp.sd.example.org. search.sd.example.org."), "{line}");
        until_called(&server, "/heartbeat", 2).await;
        running.signal(signal).await;
        running.line_with("search/a1 has left").await;
        assert_eq!(running.end().await, (Some(0), String::new()));

        let asked = server.asked();
        let body = json!({ "port": 8080, "proto": "tcp", "addresses": ["192.0.2.7"], "site": "lon", "tags": ["canary"],
            "metadata": { "version": "2.4.1" }, "lease_seconds": 15 });
        let mut first = asked[0].body.clone();
        let epoch = first.as_object_mut().expect("an object").remove("epoch");
        assert!(epoch.is_some_and(|epoch| epoch.as_str().is_some_and(|text| text.len() > 16)), "{:?}", asked[0].body);
        assert_eq!(first, body);
        assert_eq!(asked[1].body, json!({ "incarnation": 7 }));
        assert_eq!(asked.last().expect("calls").call, format!("DELETE {INSTANCE}?incarnation=7"));
    }
}

#[tokio::test]
async fn json_lines_are_objects() {
    let server = taking(Responder::start().await);
    let mut running = start(&server, &["--json"]);
    let line: Value = serde_json::from_str(&running.line_with("registered").await).expect("JSON");
    assert_eq!((&line["service"], &line["id"], &line["incarnation"]), (&json!("search"), &json!("a1"), &json!(7)));
    running.signal("TERM").await;
    let line: Value = serde_json::from_str(&running.line_with("left").await).expect("JSON");
    assert_eq!(line["event"], "left");
}

#[tokio::test]
async fn a_forgotten_instance_registers_again() {
    let server = Responder::start().await;
    let forgotten = problem(404, "unknown-instance", "no such instance; register it");
    let server = taking(server.on(&format!("POST {INSTANCE}/heartbeat"), forgotten));
    let mut running = start(&server, &[]);
    running.line_with("registering again").await;
    running.line_with("registered search/a1 again").await;
    until_called(&server, "/heartbeat", 2).await;
    running.signal("TERM").await;
    assert_eq!(running.end().await.0, Some(0));
}

#[tokio::test]
async fn another_process_with_its_id_ends_it() {
    let server = Responder::start().await;
    let replaced = problem(409, "old-incarnation", "incarnation 7 was replaced by 9");
    let server = taking(server.on(&format!("POST {INSTANCE}/heartbeat"), replaced));
    let (code, stderr) = start(&server, &[]).end().await;
    assert_eq!(code, Some(3));
    assert!(stderr.contains("another process has registered this id"), "{stderr}");
    assert!(stderr.contains("incarnation 7 was replaced by 9"), "{stderr}");
    assert!(!server.calls().iter().any(|call| call.starts_with("DELETE")), "it is not its own to delete");
}

#[tokio::test]
async fn a_refused_registration_is_exit_code_3() {
    let owned = problem(403, "name-owned", "the name \"search\" belongs to token \"squad-search\"");
    let server = Responder::start().await.on(&format!("PUT {INSTANCE}"), owned);
    let (code, stderr) = start(&server, &[]).end().await;
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("belongs to token \"squad-search\""), "{stderr}");
}

#[tokio::test]
async fn beats_go_to_servers_that_the_reply_named() {
    let second = taking(Responder::start().await);
    let first = Responder::start()
        .await
        .on(&format!("PUT {INSTANCE}"), registered(7))
        .on(&format!("POST {INSTANCE}/heartbeat"), beaten(&[&second.url]))
        .on(&format!("POST {INSTANCE}/heartbeat"), problem(503, "not-ready", "stopping"));
    let running = start(&first, &[]);
    until_called(&second, "/heartbeat", 2).await;
    running.signal("TERM").await;
    assert_eq!(running.end().await, (Some(0), String::new()));
    assert!(second.calls().last().expect("calls").starts_with("DELETE"), "it leaves where it beats");
}

#[tokio::test]
async fn it_waits_for_a_server_and_stops_when_told() {
    let server = Responder::start().await.on(&format!("PUT {INSTANCE}"), problem(503, "not-ready", "loading"));
    let mut running = start(&server, &[]);
    let line = running.line_with("no server answered").await;
    assert!(line.contains("not-ready: loading") && line.contains("trying on"), "{line}");
    until_called(&server, INSTANCE, 2).await;
    running.signal("INT").await;
    assert_eq!(running.end().await, (Some(0), String::new()));
}

/// Answers the first query with NXDOMAIN and those that follow with the instance's SRV record.
async fn answer_dns(socket: UdpSocket) {
    let mut query = [0; 512];
    for count in 0.. {
        let (len, peer) = socket.recv_from(&mut query).await.expect("query");
        let mut answer = query[..len - 11].to_vec();
        answer[2..4].copy_from_slice(if count == 0 { &[0x84, 3] } else { &[0x84, 0] });
        answer[11] = 0;
        if count > 0 {
            answer[7] = 1;
            let target = b"\x02a1\x06search\x02sd\x07example\x03org\0";
            answer.extend_from_slice(&[0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 30, 0, 6 + target.len() as u8, 0, 10, 0, 100]);
            answer.extend_from_slice(&8080u16.to_be_bytes());
            answer.extend_from_slice(target);
        }
        socket.send_to(&answer, peer).await.expect("answer");
    }
}

#[tokio::test]
async fn wait_tells_when_dns_answers_and_goes_on_beating() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("bind");
    let port = socket.local_addr().expect("address").port();
    tokio::spawn(answer_dns(socket));
    let wildcard = registered(7).header("x-zonebeat-dns", format!("0.0.0.0:{port}"));
    let server = taking(Responder::start().await.on(&format!("PUT {INSTANCE}"), wildcard));
    let mut running = start(&server, &["--wait"]);
    running.line_with("answered as _search._tcp.sd.example.org.").await;
    let beats = server.calls().len();
    until_called(&server, "/heartbeat", beats).await;
    running.signal("TERM").await;
    assert_eq!(running.end().await, (Some(0), String::new()));
}

#[tokio::test]
async fn wait_without_a_known_dns_server_leaves_and_says_so() {
    let server = taking(Responder::start().await);
    let (code, stderr) = start(&server, &["--wait"]).end().await;
    assert_eq!(code, Some(1));
    assert!(stderr.contains("--dns IP:PORT"), "{stderr}");
    assert!(server.calls().last().expect("calls").starts_with("DELETE"), "{:?}", server.calls());
}
