//! Changes, past and live.

use std::time::Duration;

use serde_json::{Value, json};
use zonebeat::api::Limits;

use crate::harness::Server;

async fn register(server: &Server, id: &str) {
    let reply = server.call("PUT", &format!("/v1/services/search/instances/{id}"), r#"{"port":80}"#).await;
    assert!(reply.status < 300, "{reply:?}");
}

/// Reads events until there are `count`; with id, event and data of each.
async fn events(response: &mut reqwest::Response, count: usize) -> Vec<(u64, String, Value)> {
    let mut text = String::new();
    let deadline = Duration::from_secs(10);
    while text.matches("\ndata: ").count() < count || !text.ends_with("\n\n") {
        let chunk = tokio::time::timeout(deadline, response.chunk()).await.expect("in time").expect("open");
        text.push_str(std::str::from_utf8(&chunk.expect("more events")).expect("text"));
    }
    let field = |event: &str, name: &str| {
        event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
    };
    let parse = |event: &str| {
        let data = serde_json::from_str(&field(event, "data")?).expect("JSON");
        Some((field(event, "id")?.parse().expect("number"), field(event, "event")?, data))
    };
    text.split("\n\n").filter_map(parse).collect()
}

async fn stream(server: &Server, path: &str, last: Option<u64>) -> reqwest::Response {
    let mut request = server.request("GET", path);
    if let Some(last) = last {
        request = request.header("Last-Event-ID", last.to_string());
    }
    let response = request.send().await.expect("a response");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response
}

#[tokio::test]
async fn history_is_read_in_pages() {
    let server = Server::start().await;
    for id in ["a1", "a2", "a3"] {
        register(&server, id).await;
    }
    let all = server.get("/v1/changes").await;
    let revisions: Vec<u64> = all.json["changes"]
        .as_array()
        .expect("changes")
        .iter()
        .map(|c| c["revision"].as_u64().expect("number"))
        .collect();
    assert_eq!((revisions.len(), &all.json["more"]), (3, &json!(false)));
    let first = &all.json["changes"][0];
    assert_eq!((&first["author"], &first["source"]), (&json!("anonymous"), &json!("127.0.0.1")));
    assert_eq!((&first["transition"], &first["instance"]), (&json!("register"), &json!("a1")));
    let page = server.get("/v1/changes?limit=2").await;
    assert_eq!((&page.json["next"], &page.json["more"]), (&json!(revisions[1]), &json!(true)));
    let page = server.get(&format!("/v1/changes?since={}", revisions[1])).await;
    assert_eq!(page.json["changes"][0]["revision"], revisions[2]);
    let end = server.get(&format!("/v1/changes?since={}", revisions[2])).await;
    assert_eq!((&end.json["changes"], &end.json["next"]), (&json!([]), &json!(revisions[2])));
    for path in ["/v1/changes?since=99", "/v1/events?since=99"] {
        let ahead = server.get(path).await;
        assert_eq!((ahead.status, ahead.word()), (410, "unknown-revision"), "{path}");
    }
}

#[tokio::test]
async fn an_empty_history_is_an_empty_page() {
    let server = Server::start().await;
    for path in ["/v1/changes", "/v1/changes?since=0"] {
        let page = server.get(path).await;
        assert_eq!((page.status, &page.json["changes"], &page.json["next"]), (200, &json!([]), &json!(0)), "{path}");
    }
}

#[tokio::test]
async fn events_go_on_where_a_client_stopped() {
    let server = Server::start().await;
    register(&server, "a1").await;
    register(&server, "a2").await;
    let mut response = stream(&server, "/v1/events?since=0", None).await;
    register(&server, "a3").await;
    let seen = events(&mut response, 3).await;
    assert_eq!(seen.iter().map(|(_, event, _)| event.as_str()).collect::<Vec<_>>(), ["register"; 3]);
    assert_eq!(seen[2].2["instance"], "a3");
    assert!(seen.iter().all(|(id, _, change)| change["revision"] == *id));
    drop(response);

    register(&server, "a4").await;
    server.call("DELETE", "/v1/services/search/instances/a4", "").await;
    let mut response = stream(&server, "/v1/events?since=0", Some(seen[2].0)).await;
    register(&server, "a5").await;
    let more = events(&mut response, 3).await;
    let all: Vec<u64> = seen.iter().chain(&more).map(|(id, _, _)| *id).collect();
    assert_eq!(all, (1..=6).collect::<Vec<u64>>());
    assert_eq!(more[1].1, "deregister");
}

#[tokio::test]
async fn events_without_a_start_are_those_to_come_and_many_are_not_lost() {
    let server = Server::start().await;
    register(&server, "a0").await;
    let mut response = stream(&server, "/v1/events", None).await;
    let instances: Vec<Value> = (0..600)
        .map(|n| json!({"service": "bulk", "id": format!("b{n}"), "registration": {"port": 80, "addresses": ["192.0.2.7"]}}))
        .collect();
    for chunk in instances.chunks(300) {
        let body = json!({"epoch": "e", "instances": chunk}).to_string();
        assert_eq!(
            server.call("PUT", &format!("/v1/sessions/{}", chunk[0]["id"].as_str().expect("id")), &body).await.status,
            200
        );
    }
    let seen = events(&mut response, 600).await;
    assert_eq!(seen.iter().map(|(id, _, _)| *id).collect::<Vec<_>>(), (2..=601).collect::<Vec<u64>>());
}

#[tokio::test]
async fn the_stream_ends_with_the_server() {
    let mut server = Server::start().await;
    let mut response = stream(&server, "/v1/events", None).await;
    response.chunk().await.expect("open").expect("the first comment");
    server.shutdown.cancel();
    let end = tokio::time::timeout(Duration::from_secs(5), response.chunk()).await.expect("in time");
    assert!(end.expect("a clean end").is_none());
    tokio::time::timeout(Duration::from_secs(5), &mut server.task).await.expect("in time").expect("server");
}

#[tokio::test]
async fn one_stream_too_many_is_refused_until_another_ends() {
    let server = Server::bounded(Limits { streams: 2, ..Limits::default() }).await;
    let first = stream(&server, "/v1/events", None).await;
    let _second = stream(&server, "/v1/events", None).await;
    let third = server.get("/v1/events").await;
    assert_eq!((third.status, third.word()), (503, "busy"), "{third:?}");
    assert_eq!(third.headers["retry-after"], "1");
    assert_eq!(server.get("/v1/changes").await.status, 200);
    drop(first);
    server.until(async || server.request("GET", "/v1/events").send().await.expect("a response").status() == 200).await;
}
