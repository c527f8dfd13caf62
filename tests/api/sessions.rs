//! An agent that beats once for all its instances.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::Server;

const HOST: &str = "/v1/sessions/host-17";

fn set(epoch: &str, ids: &[&str]) -> String {
    let registration = json!({"port": 80, "addresses": ["192.0.2.7"]});
    let one = |id: &&str| json!({"service": "search", "id": id, "registration": registration});
    let instances: Vec<Value> = ids.iter().map(one).collect();
    json!({"epoch": epoch, "lease_seconds": 15, "instances": instances}).to_string()
}

/// The hash as `docs/http.md` describes it.
fn hash(stored: &Value) -> String {
    let line = |one: &Value| format!("{}/{}@{}\n", text(&one["service"]), text(&one["id"]), one["incarnation"]);
    let mut lines: Vec<String> = stored["instances"].as_array().expect("instances").iter().map(line).collect();
    lines.sort();
    let digest = Sha256::digest(lines.concat().as_bytes());
    digest.iter().map(|octet| format!("{octet:02x}")).collect::<String>()[..32].to_owned()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

#[tokio::test]
async fn a_set_is_stored_and_beaten_for() {
    let server = Server::start().await;
    let stored = server.call("PUT", HOST, &set("e1", &["a1", "a2"])).await;
    assert_eq!(stored.status, 200, "{stored:?}");
    assert_eq!((&stored.json["session"], &stored.json["epoch"]), (&json!("host-17"), &json!("e1")));
    assert_eq!(text(&stored.json["hash"]), hash(&stored.json));
    let revision = server.revision();
    let path = format!("{HOST}/heartbeat");
    for body in [json!({"epoch": "e1"}), json!({"epoch": "e1", "hash": stored.json["hash"]})] {
        let reply = server.call("POST", &path, &body.to_string()).await;
        assert_eq!((reply.status, &reply.json["returned"]), (200, &json!(false)), "{reply:?}");
    }
    assert_eq!(server.revision(), revision);
    let member = server.get("/v1/services/search/instances/a1").await;
    assert_eq!(member.json["session"], "host-17");
    let alone = server.call("POST", "/v1/services/search/instances/a1/heartbeat", "").await;
    assert_eq!((alone.status, alone.word()), (404, "unknown-instance"));
    assert!(alone.detail().contains("/v1/sessions/host-17/heartbeat"), "{alone:?}");
}

#[tokio::test]
async fn what_a_session_beats_for_is_listed_as_it_stands() {
    let server = Server::start().await;
    let unknown = server.get(HOST).await;
    assert_eq!((unknown.status, unknown.word()), (404, "unknown-session"));
    server.call("PUT", HOST, &set("e1", &["a2", "a1"])).await;
    let drained = server.call("POST", "/v1/services/search/instances/a2/drain", r#"{"force":true}"#).await;
    assert_eq!(drained.status, 200, "{drained:?}");
    let listed = server.get(HOST).await;
    let of = |at: usize, field: &str| text(&listed.json["instances"][at][field]).to_owned();
    assert_eq!((of(0, "id"), of(0, "state")), ("a1".into(), "serving".into()), "{listed:?}");
    assert_eq!((of(1, "id"), of(1, "state")), ("a2".into(), "drained".into()), "{listed:?}");
}

#[tokio::test]
async fn another_epoch_or_hash_asks_for_the_full_set() {
    let server = Server::start().await;
    let path = format!("{HOST}/heartbeat");
    let unknown = server.call("POST", &path, r#"{"epoch":"e1"}"#).await;
    assert_eq!((unknown.status, unknown.word()), (404, "unknown-session"));
    server.call("PUT", HOST, &set("e1", &["a1"])).await;
    let zeros = "0".repeat(32);
    for body in [json!({"epoch": "e0"}), json!({"epoch": "e1", "hash": zeros})] {
        let reply = server.call("POST", &path, &body.to_string()).await;
        assert_eq!((reply.status, reply.word()), (409, "out-of-sync"), "{body}");
    }
}

#[tokio::test]
async fn a_set_replaces_the_one_before_and_is_applied_whole_or_not_at_all() {
    let server = Server::start().await;
    server.call("PUT", HOST, &set("e1", &["a1", "a2"])).await;
    let revision = server.revision();
    let bad = server.call("PUT", HOST, &set("e1", &["a1", "a3", "no_label"])).await;
    assert_eq!((bad.status, bad.word()), (400, "bad-label"), "{bad:?}");
    assert_eq!(server.revision(), revision);
    server.call("PUT", HOST, &set("e1", &["a1"])).await;
    assert_eq!(server.get("/v1/services/search/instances/a2").await.status, 404);
    let ended = server.call("DELETE", HOST, "").await;
    assert_eq!((ended.status, &ended.json["changed"]), (200, &json!(true)));
    assert_eq!(server.get("/v1/services/search/instances/a1").await.status, 404);
    let again = server.call("DELETE", HOST, "").await;
    assert_eq!((again.status, again.word()), (404, "unknown-session"));
}

/// A thousand instances as agents name them, ten of each service, fit without any configuration.
#[tokio::test]
async fn a_session_of_a_thousand_instances_registers_in_one_call() {
    let server = Server::start().await;
    let one = |number: usize| {
        json!({"service": format!("service-{:05}", number / 10), "id": format!("i-{number:07}"), "registration": {
            "port": 8080 + number % 100, "addresses": [format!("192.0.2.{}", number % 250)], "site": "lon",
            "tags": ["canary"], "metadata": {"version": "2.4.1", "commit": "9fceb02d0ae598e95dc970b74767f19372d61af8"}}})
    };
    let set = |count: usize| json!({"epoch": "7c2f", "instances": (0..count).map(one).collect::<Vec<_>>()}).to_string();
    let body = set(1000);
    assert!(body.len() > 200_000, "{} octets", body.len());
    let stored = server.call("PUT", HOST, &body).await;
    assert_eq!(stored.status, 200, "{stored:?}");
    assert_eq!(stored.json["instances"].as_array().map(Vec::len), Some(1000));
    assert_eq!(text(&stored.json["hash"]), hash(&stored.json));
    let last = server.get("/v1/services/service-00099").await;
    assert_eq!((&last.json["serving"], last.status), (&json!(10), 200));

    let reply = server.call("PUT", HOST, &set(1001)).await;
    assert_eq!((reply.status, reply.word()), (400, "bad-value"), "{reply:?}");
    for (octets, status) in [(512_000, 200), (512_001, 413)] {
        let padded = format!("{body}{}", " ".repeat(octets - body.len()));
        let reply = server.call("PUT", HOST, &padded).await;
        assert_eq!(reply.status, status, "{octets} octets");
        assert!(status == 200 || reply.detail().contains("at most 512000 octets"), "{reply:?}");
    }
}

#[tokio::test]
async fn a_beat_after_the_lease_brings_all_back() {
    let server = Server::start().await;
    server.call("PUT", HOST, &set("e1", &["a1", "a2"]).replace("\"lease_seconds\":15", "\"lease_seconds\":2")).await;
    let serving = async || server.get("/v1/services/search").await.json["serving"].clone();
    server.until(async || serving().await == 0).await;
    let reply = server.call("POST", &format!("{HOST}/heartbeat"), r#"{"epoch":"e1"}"#).await;
    assert_eq!((reply.status, &reply.json["returned"]), (200, &json!(true)), "{reply:?}");
    assert_eq!(serving().await, 2);
}
