//! Many beats in one call.

use serde_json::{Value, json};

use crate::harness::Server;

const MANY: &str = "/v1/heartbeats";
const TYPE: &str = "https://zonebeat.example.org/problems/";

async fn register(server: &Server, service: &str, id: &str, lease_seconds: u32) -> u64 {
    let body = json!({"port": 80, "addresses": ["192.0.2.7"], "lease_seconds": lease_seconds}).to_string();
    let reply = server.call("PUT", &format!("/v1/services/{service}/instances/{id}"), &body).await;
    reply.json["incarnation"].as_u64().expect("incarnation")
}

async fn register_session(server: &Server) -> Value {
    let instance = json!({"service": "index", "id": "b1", "registration": {"port": 80, "addresses": ["192.0.2.8"]}});
    let set = json!({"epoch": "e1", "lease_seconds": 15, "instances": [instance]}).to_string();
    server.call("PUT", "/v1/sessions/host-17", &set).await.json["hash"].clone()
}

/// The word of an item's problem, or `renewed`, or `returned`.
fn word(item: &Value) -> &str {
    match item["problem"]["type"].as_str() {
        Some(kind) => kind.strip_prefix(TYPE).expect("a type of ours"),
        None if item["returned"] == true => "returned",
        None => "renewed",
    }
}

fn words(reply: &Value) -> Vec<&str> {
    reply["beats"].as_array().expect("beats").iter().map(word).collect()
}

#[tokio::test]
async fn each_beat_is_answered_in_its_place_as_its_own_call_would_be() {
    let server = Server::start().await;
    let incarnation = register(&server, "search", "a1", 15).await;
    let hash = register_session(&server).await;
    let revision = server.revision();
    let body = json!({"beats": [
        {"service": "search", "id": "a1"},
        {"service": "Search", "id": "A1", "incarnation": incarnation},
        {"service": "search", "id": "a9"},
        {"service": "search", "id": "a1", "incarnation": incarnation + 7},
        {"session": "host-17", "epoch": "e1", "hash": hash},
        {"session": "host-17", "epoch": "e0"},
        {"session": "host-18", "epoch": "e1"},
        {"service": "index", "id": "b1"},
        {"service": "search", "session": "host-17"},
        {},
        {"service": "search", "id": "a1", "hash": "0"},
        {"session": "host-17", "epoch": "e1"},
    ]});
    let reply = server.call("POST", MANY, &body.to_string()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let expected = [
        "renewed",
        "renewed",
        "unknown-instance",
        "old-incarnation",
        "renewed",
        "out-of-sync",
        "unknown-session",
        "unknown-instance",
        "bad-value",
        "bad-value",
        "bad-value",
        "renewed",
    ];
    assert_eq!(words(&reply.json), expected, "{reply:?}");
    assert_eq!(reply.json["beats"][0]["lease_seconds"], 15);
    assert!((4.5..5.5).contains(&reply.json["beats"][0]["heartbeat_seconds"].as_f64().expect("number")));
    assert_eq!(reply.json["servers"], json!(["http://192.0.2.53:8053"]));
    assert_eq!(server.revision(), revision, "beats move no revision");
    let single = server.call("POST", "/v1/services/search/instances/a9/heartbeat", "").await;
    assert_eq!(reply.json["beats"][2]["problem"], single.json, "the same problem as from its own call");
}

#[tokio::test]
async fn lapsed_ones_come_back_together() {
    let server = Server::start().await;
    for id in ["a1", "a2", "a3"] {
        register(&server, "search", id, 2).await;
    }
    let lapsed = async || {
        let list = server.get("/v1/services/search/instances").await.json;
        list["instances"].as_array().expect("list").iter().all(|one| one["state"] == "lapsed")
    };
    server.until(lapsed).await;
    let revision = server.revision();
    let item = |id: &str| json!({"service": "search", "id": id});
    let body = json!({"beats": [item("a1"), item("a9"), item("a2"), item("a3")]}).to_string();
    let reply = server.call("POST", MANY, &body).await;
    assert_eq!(words(&reply.json), ["returned", "unknown-instance", "returned", "returned"], "{reply:?}");
    assert_eq!(server.revision(), revision + 3);
    let one = server.get("/v1/services/search/instances/a2").await;
    assert_eq!(one.json["state"], "serving");
}

#[tokio::test]
async fn a_call_is_bounded_and_strict() {
    let server = Server::start().await;
    let beats = |number: usize| json!({"beats": vec![json!({"session": "h", "epoch": "e"}); number]}).to_string();
    let reply = server.call("POST", MANY, &beats(1000)).await;
    assert_eq!((reply.status, words(&reply.json).len()), (200, 1000));
    let reply = server.call("POST", MANY, &beats(1001)).await;
    assert_eq!((reply.status, reply.word()), (400, "bad-value"));
    assert!(reply.detail().contains("1001"), "{reply:?}");
    for (body, status, word) in [
        (String::new(), 400, "bad-request"),
        ("{}".into(), 400, "bad-value"),
        (r#"{"beats":[{"instance":"a1"}]}"#.into(), 400, "unknown-field"),
        (r#"{"beats":[{"service":7}]}"#.into(), 400, "bad-value"),
        (json!({"beats": [{"service": "x".repeat(512_000)}]}).to_string(), 413, "too-large"),
    ] {
        let reply = server.call("POST", MANY, &body).await;
        assert_eq!((reply.status, reply.word()), (status, word), "{reply:?}");
    }
    assert_eq!(server.call("POST", MANY, r#"{"beats":[]}"#).await.json["beats"], json!([]));
}

/// A thousand beats fit whatever the labels are; other calls keep to the limit of all bodies.
#[tokio::test]
async fn a_body_holds_a_thousand_beats_of_the_longest_labels() {
    let server = Server::start().await;
    let (instance, service) = ("i".repeat(63), "s".repeat(62));
    register(&server, &service, &instance, 15).await;
    let lone = json!({"service": service, "id": instance});
    let session = json!({"session": "h".repeat(128), "epoch": "e".repeat(64), "hash": "0".repeat(32)});
    let beats: Vec<&Value> = [&lone, &session].into_iter().cycle().take(1000).collect();
    let body = json!({"beats": beats}).to_string();
    assert!(body.len() > 200_000, "{} octets", body.len());
    let reply = server.call("POST", MANY, &body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let words = words(&reply.json);
    let of = |wanted: &str| words.iter().filter(|word| **word == wanted).count();
    assert_eq!((of("renewed"), of("unknown-session"), words.len()), (500, 500, 1000));
    for (octets, status) in [(512_000, 200), (512_001, 413)] {
        let padded = format!("{body}{}", " ".repeat(octets - body.len()));
        let reply = server.call("POST", MANY, &padded).await;
        assert_eq!(reply.status, status, "{octets} octets");
        assert!(status == 200 || reply.detail().contains("at most 512000 octets"), "{reply:?}");
    }
    let reply = server.call("POST", "/v1/sessions/host-17/heartbeat", &body).await;
    assert_eq!((reply.status, reply.word()), (413, "too-large"));
}

#[tokio::test]
async fn every_beat_is_allowed_on_its_own() {
    let server = Server::start().await;
    let token = async |name: &str, scope: Value, by: &str| {
        let headers = [("authorization", by)];
        let body = json!({"name": name, "scope": scope}).to_string();
        let reply = server.send("POST", "/v1/tokens", &body, if by.is_empty() { &[] } else { &headers }).await;
        format!("Bearer {}", reply.json["secret"].as_str().expect("secret"))
    };
    let admin = token("ops", json!({"admin": true}), "").await;
    let search = token("squad-search", json!({"services": ["search*"]}), &admin).await;
    for (service, by) in [("search", &search), ("mail", &admin)] {
        let path = format!("/v1/services/{service}/instances/a1");
        let body = r#"{"port":80,"addresses":["192.0.2.7"]}"#;
        assert_eq!(server.send("PUT", &path, body, &[("authorization", by)]).await.status, 201);
    }
    let body = json!({"beats": [{"service": "mail", "id": "a1"}, {"service": "search", "id": "a1"}]}).to_string();
    let reply = server.send("POST", MANY, &body, &[("authorization", &search)]).await;
    assert_eq!(words(&reply.json), ["forbidden", "renewed"], "{reply:?}");
    let reply = server.send("POST", MANY, &body, &[("authorization", &admin)]).await;
    assert_eq!(words(&reply.json), ["renewed", "renewed"], "{reply:?}");
    let reply = server.call("POST", MANY, &body).await;
    assert_eq!((reply.status, reply.word()), (401, "unauthorized"));
}
