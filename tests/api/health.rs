//! Process, data, metrics, the document; and calls that do not exist.

use std::sync::Arc;

use serde_json::{Value, json};
use zonebeat::api::Limits;
use zonebeat::registry::store::embedded::EmbeddedStore;
use zonebeat::registry::{Store, StoreError};

use crate::harness::Server;

#[tokio::test]
async fn a_loaded_server_is_ready() {
    let server = Server::start().await;
    let alive = server.get("/healthz").await;
    assert_eq!((alive.status, &alive.json["version"]), (200, &json!(env!("CARGO_PKG_VERSION"))));
    let ready = server.get("/readyz").await;
    assert_eq!((ready.status, &ready.json["ready"], &ready.json["writable"]), (200, &json!(true), &json!(true)));
    *server.parts.stale.lock().expect("lock") = Some("the store is away".into());
    let stale = server.get("/readyz").await;
    assert_eq!((stale.status, &stale.json["ready"]), (503, &json!(false)));
    assert!(stale.json["reasons"][0].as_str().is_some_and(|why| why.contains("the store is away")), "{stale:?}");
}

#[tokio::test]
async fn without_data_nothing_is_answered_as_if_it_were_empty() {
    let server = Server::without_data().await;
    assert_eq!(server.get("/healthz").await.status, 200);
    let ready = server.get("/readyz").await;
    assert_eq!((ready.status, &ready.json["loaded"]), (503, &json!(false)));
    for (method, path, body) in [
        ("GET", "/v1/services", ""),
        ("GET", "/v1/services/search", ""),
        ("GET", "/v1/services/search/instances", ""),
        ("GET", "/v1/services/search/instances/a1", ""),
        ("GET", "/v1/changes", ""),
        ("GET", "/v1/events", ""),
        ("GET", "/v1/tokens", ""),
        ("PUT", "/v1/services/search/instances/a1", r#"{"port":80}"#),
        ("POST", "/v1/services/search/instances/a1/heartbeat", ""),
        ("POST", "/v1/sessions/host-17/heartbeat", r#"{"epoch":"e"}"#),
    ] {
        let reply = server.call(method, path, body).await;
        assert_eq!((reply.status, reply.word()), (503, "not-ready"), "{method} {path}");
        assert_eq!(reply.headers["retry-after"], "1");
    }
    let token = [("authorization", "Bearer zb_00000000_0")];
    let reply = server.send("DELETE", "/v1/services/search/instances/a1", "", &token).await;
    assert_eq!((reply.status, reply.word()), (503, "not-ready"), "whether the token is known cannot be said");
}

#[tokio::test]
async fn metrics_and_the_document_are_served() {
    let server = Server::start().await;
    let metrics = server.get("/metrics").await;
    assert_eq!(metrics.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert!(metrics.text.contains("zonebeat_up 1"));
    let document = server.get("/v1/openapi.json").await;
    assert_eq!(document.headers["content-type"], "application/json");
    assert_eq!(document.json, serde_json::to_value(zonebeat::api::openapi::document()).expect("plain data"));
}

#[tokio::test]
async fn what_does_not_exist_is_a_problem_too() {
    let server = Server::start().await;
    for path in ["/", "/v1", "/v1/service", "/v1/services/", "/v1//services", "/v2/services"] {
        let reply = server.get(path).await;
        assert_eq!((reply.status, reply.word()), (404, "unknown-call"), "{path}");
    }
    let reply = server.call("PATCH", "/v1/services", "").await;
    assert_eq!((reply.status, reply.word()), (405, "unknown-call"));
    assert_eq!(reply.headers["allow"], "GET,HEAD");
    let reply = server.call("HEAD", "/v1/services", "").await;
    assert_eq!((reply.status, reply.text.as_str()), (200, ""));
    assert_eq!(server.call("HEAD", "/v1/services/nobody", "").await.status, 404);
}

#[tokio::test]
async fn every_operation_is_routed_and_nothing_else() {
    let server = Server::start().await;
    let document: Value = server.get("/v1/openapi.json").await.json;
    for (template, item) in document["paths"].as_object().expect("paths") {
        let path = template.replace("{service}", "x").replace("{id}", "y").replace("{session}", "z");
        for method in ["get", "put", "post", "delete", "patch"] {
            let described = item.get(method).is_some();
            let response = server.request(&method.to_uppercase(), &path).send().await.expect("a response");
            assert_eq!(response.status() == 405, !described, "{method} {template}");
        }
    }
}

#[tokio::test]
async fn the_observer_hears_of_every_call() {
    let server = Server::start().await;
    server.call("PUT", "/v1/services/search/instances/a1", r#"{"port":80}"#).await;
    server.call("POST", "/v1/services/search/instances/a1/heartbeat", "").await;
    server.call("HEAD", "/v1/services", "").await;
    server.get("/nothing").await;
    let heard = server.parts.calls.lock().expect("lock").clone();
    let expected = [("register", 201), ("beat", 200), ("list_services", 200), ("unknown", 404)];
    assert_eq!(heard, expected.map(|(call, status)| (call.to_owned(), status)));
}

#[tokio::test]
async fn while_the_store_is_read_the_server_is_not_ready_and_says_why() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().to_owned();
    let (release, held) = std::sync::mpsc::sync_channel::<()>(1);
    let open = move || -> Result<Arc<dyn Store>, StoreError> {
        let _ = held.recv(); // until the test lets go, or has ended
        Ok(Arc::new(EmbeddedStore::open(&path)?))
    };
    let server = Server::with(directory, Limits::default(), Box::new(open)).await;
    let ready = server.get("/readyz").await;
    assert_eq!((ready.status, &ready.json["loaded"]), (503, &json!(false)));
    assert!(ready.json["reasons"][0].as_str().is_some_and(|why| why.contains("store")), "{ready:?}");
    let reply = server.get("/v1/services").await;
    assert_eq!((reply.status, reply.word()), (503, "not-ready"));
    drop(release);
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while server.get("/readyz").await.status != 200 {
        assert!(tokio::time::Instant::now() < deadline, "it is never ready");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
