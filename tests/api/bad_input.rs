//! Bad input: each with a clear problem document, and nothing changed.

use serde_json::json;

use crate::harness::Server;

const A1: &str = "/v1/services/search/instances/a1";

async fn refused(server: &Server, method: &str, path: &str, body: &str, status: u16, word: &str, says: &str) {
    let revision = server.revision();
    let reply = server.call(method, path, body).await;
    let what = format!("{method} {path} {body}: {reply:?}");
    assert_eq!((reply.status, reply.word()), (status, word), "{what}");
    assert!(reply.detail().contains(says), "{what} does not say {says}");
    assert_eq!(server.revision(), revision, "{what} changed something");
}

#[tokio::test]
async fn registrations_with_bad_values() {
    let server = Server::start().await;
    let year = 365 * 24 * 3600;
    for (body, status, word, says) in [
        (json!({"port": 0}), 400, "bad-port", "port 0"),
        (json!({"port": 65536}), 400, "bad-port", "65535"),
        (json!({"port": -1}), 400, "bad-port", "-1"),
        (json!({"port": "http"}), 400, "bad-port", "string \"http\""),
        (json!({}), 400, "bad-value", "\"port\" is missing"),
        (json!({"port": 80, "prot": "tcp"}), 400, "unknown-field", "unknown field \"prot\"; known fields: port, proto"),
        (json!({"port": 80, "lease_seconds": 0}), 400, "bad-lease", "lease_seconds 0"),
        (json!({"port": 80, "lease_seconds": year}), 400, "bad-lease", "31536000"),
        (json!({"port": 80, "weight": 65536}), 400, "bad-value", "weight 65536"),
        (json!({"port": 80, "priority": -1}), 400, "bad-value", "priority -1"),
        (json!({"port": 80, "site": "no_site"}), 400, "bad-label", "no_site"),
        (json!({"port": 80, "proto": "_tcp"}), 400, "bad-label", "_tcp"),
        (json!({"port": 80, "tags": ["a.b"]}), 400, "bad-label", "a.b"),
        (json!({"port": 80, "tags": "canary"}), 400, "bad-value", "a list is accepted"),
        (json!({"port": 80, "addresses": ["192.0.2.300"]}), 400, "bad-value", "192.0.2.300"),
        (json!({"port": 80, "addresses": ["169.254.169.254"]}), 422, "address-refused", "169.254.169.254"),
        (json!({"port": 80, "addresses": ["::ffff:192.0.2.7"]}), 422, "address-refused", "192.0.2.7"),
        (json!({"port": 80, "addresses": ["224.0.0.1"]}), 422, "address-refused", "224.0.0.1"),
        (json!({"port": 80, "addresses": ["0.0.0.0"]}), 422, "address-refused", "0.0.0.0"),
        (json!({"port": 80, "metadata": {"a=b": "c"}}), 400, "bad-value", "a=b"),
    ] {
        refused(&server, "PUT", A1, &body.to_string(), status, word, says).await;
    }
}

#[tokio::test]
async fn bodies_that_are_no_json_objects() {
    let server = Server::start().await;
    for (body, says) in [
        ("{\"port\": 80,\n \"site\" \"lon\"}", "line 2 column"),
        ("{\"port\": 80", "EOF"),
        ("port=80", "not JSON"),
        ("[80]", "not an object"),
        ("", "empty"),
        ("{\"port\": 80} {}", "trailing characters"),
    ] {
        refused(&server, "PUT", A1, body, 400, "bad-request", says).await;
    }
    let body = reqwest::Body::from(&b"{\"port\": 80, \"site\": \"\xff\"}"[..]);
    let response = server.request("PUT", A1).body(body).send().await.expect("a response");
    assert_eq!(response.status(), 400);
    assert!(response.text().await.expect("text").contains("not UTF-8"));
}

#[tokio::test]
async fn names_that_cannot_be_registered() {
    let server = Server::start().await;
    server.call("PUT", A1, r#"{"port":80,"site":"lon"}"#).await;
    for (path, status, word, says) in [
        ("/v1/services/no_label/instances/a1", 400, "bad-label", "no_label"),
        ("/v1/services/_acme-challenge/instances/a1", 400, "bad-label", "_acme-challenge"),
        ("/v1/services//instances/a1", 400, "bad-label", "is empty"),
        ("/v1/services/*/instances/a1", 400, "bad-label", "*"),
        ("/v1/services/search/instances/a.b", 400, "bad-label", "a.b"),
        ("/v1/services/search/instances/a%2Fb", 400, "bad-label", "a/b"),
        ("/v1/services/search/instances/%ff", 400, "bad-label", ""),
        ("/v1/services/wpad/instances/a1", 422, "reserved-name", "wpad"),
        ("/v1/services/localhost/instances/a1", 422, "reserved-name", "localhost"),
        ("/v1/services/lon/instances/a1", 409, "site-label", "lon"),
        ("/v1/services/www/instances/a1", 409, "static-name", "zones/sd.example.org.zone:7"),
    ] {
        refused(&server, "PUT", path, r#"{"port":80}"#, status, word, says).await;
    }
    let long = format!("/v1/services/{}/instances/a1", "x".repeat(63));
    refused(&server, "PUT", &long, r#"{"port":80}"#, 400, "bad-label", "63 octets").await;
    refused(&server, "PUT", A1, r#"{"port":80,"site":"search"}"#, 409, "site-label", "search").await;
}

#[tokio::test]
async fn bodies_that_are_too_large() {
    let server = Server::start().await;
    let body = format!(r#"{{"port":80,"site":"{}"}}"#, "x".repeat(64 * 1024));
    refused(&server, "PUT", A1, &body, 413, "too-large", "65536").await;
    let huge = format!(r#"{{"port":80,"site":"{}"}}"#, "x".repeat(900 * 1024));
    refused(&server, "PUT", A1, &huge, 413, "too-large", "65536").await;
    let space = " ".repeat(64 * 1024 - 11);
    assert_eq!(server.call("PUT", A1, &format!("{{\"port\":80{space}}}")).await.status, 201, "just the limit");
}

#[tokio::test]
async fn queries_and_headers() {
    let server = Server::start().await;
    server.call("PUT", A1, r#"{"port":80}"#).await;
    for (method, path, word, says) in [
        ("GET", "/v1/services?limt=1", "unknown-field", "known parameters: after, limit"),
        ("GET", "/v1/services?limit=0", "bad-value", "1 to 10000"),
        ("GET", "/v1/changes?since=x", "bad-value", "since"),
        ("GET", "/v1/changes?since=18446744073709551615", "bad-value", "since"),
        ("GET", "/v1/events?since=-1", "bad-value", "since"),
        ("GET", "/healthz?x=1", "unknown-field", "none"),
        ("DELETE", "/v1/services/search/instances/a1?forced=true", "unknown-field", "incarnation"),
        ("DELETE", "/v1/services/search/instances/a1?incarnation=x", "bad-value", "incarnation"),
        ("POST", "/v1/services/search/instances/a1/heartbeat?x=1", "unknown-field", "x"),
    ] {
        refused(&server, method, path, "", 400, word, says).await;
    }
    let long = "x".repeat(501);
    let reply = server.send("DELETE", A1, "", &[("x-zonebeat-reason", long.as_str())]).await;
    assert_eq!((reply.status, reply.word()), (400, "bad-request"));
    let reply = server.send("GET", "/v1/events", "", &[("last-event-id", "x")]).await;
    assert_eq!((reply.status, reply.word()), (400, "bad-request"));
    let reply = server.send("PUT", A1, r#"{"port":80}"#, &[("content-encoding", "gzip")]).await;
    assert_eq!((reply.status, reply.word()), (400, "bad-request"));
}

#[tokio::test]
async fn beats_for_nobody() {
    let server = Server::start().await;
    let beat = "/v1/services/search/instances/a9/heartbeat";
    refused(&server, "POST", beat, "", 404, "unknown-instance", "PUT /v1/services/search/instances/a9").await;
    refused(&server, "POST", beat, r#"{"incarnaton":1}"#, 400, "unknown-field", "incarnation").await;
    refused(&server, "POST", "/v1/sessions/host-9/heartbeat", "", 400, "bad-request", "empty").await;
    refused(&server, "PUT", "/v1/sessions/a%20b", r#"{"epoch":"e","instances":[]}"#, 400, "bad-value", "a b").await;
    refused(&server, "DELETE", "/v1/sessions/a%20b", "", 400, "bad-value", "a b").await;
}

#[tokio::test]
async fn sessions_and_declarations_with_bad_values() {
    let server = Server::start().await;
    let registration = json!({"port": 80, "addresses": ["192.0.2.7"]});
    let one = |with: serde_json::Value| {
        json!({"epoch": "e", "instances": [{"service": "search", "id": "a1", "registration": with}]}).to_string()
    };
    let host = "/v1/sessions/host-17";
    let mut lease = registration.clone();
    lease["lease_seconds"] = json!(15);
    refused(&server, "PUT", host, &one(lease), 400, "bad-lease", "leave it out").await;
    let mut extra = registration.clone();
    extra["prt"] = json!(1);
    refused(&server, "PUT", host, &one(extra), 400, "unknown-field", "instances[0].registration").await;
    refused(&server, "PUT", host, r#"{"epoch":"","instances":[]}"#, 400, "bad-value", "epoch").await;
    let service = "/v1/services/search";
    refused(&server, "PUT", service, r#"{"ttl":99999999}"#, 400, "bad-value", "ttl").await;
    refused(&server, "PUT", service, r#"{"min":-1}"#, 400, "bad-value", "\"min\" is integer -1").await;
    refused(&server, "PUT", service, r#"{"tiers":["lon"]}"#, 400, "bad-value", "tiers[0]").await;
    refused(&server, "PUT", service, r#"{"answer_limit":0}"#, 400, "bad-value", "answer_limit 0 is out of range").await;
    refused(&server, "PUT", service, r#"{"answer_limit":"20"}"#, 400, "bad-value", "answer_limit").await;
    refused(&server, "DELETE", service, "", 404, "unknown-service", "search").await;
}
