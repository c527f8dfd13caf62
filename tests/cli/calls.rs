//! One-shot client commands: what they send, what they print, how they fail.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::program::{finish, run, zonebeat};
use super::responder::{Responder, problem, reply};

/// A URL that nothing listens at.
async fn dead_url() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    format!("http://{}", listener.local_addr().expect("address"))
}

fn search() -> Value {
    json!({ "service": "search", "protos": ["tcp"], "serving": 1, "held": 0, "out": 0, "sites": ["lon"],
        "owned_by": "squad-search", "revision": 9,
        "last_change": { "time": "2026-01-01T00:00:00Z", "text": "a1 registered" } })
}

fn a1() -> Value {
    json!({ "service": "search", "id": "a1", "state": "serving", "since": "2026-01-01T00:00:00Z", "age_seconds": 4.2,
        "proto": "tcp", "port": 8080, "priority": 10, "weight": 100, "addresses": ["192.0.2.7"], "lease_seconds": 15,
        "incarnation": 7, "revision": 9, "names": ["_search._tcp.sd.example.org."] })
}

#[tokio::test]
async fn unreachable_servers_are_all_named_with_their_reasons() {
    let (dead, broken) = (dead_url().await, Responder::start().await);
    let broken = broken.on("GET /v1/services", problem(503, "store-unavailable", "the disk is full"));
    let ended = run(&["services", "--server", &dead, "--server", &broken.url]).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains(&format!("{dead} (connection refused)")), "{}", ended.stderr);
    assert!(
        ended.stderr.contains(&format!("{} (store-unavailable: the disk is full)", broken.url)),
        "{}",
        ended.stderr
    );
    assert_eq!(broken.calls().len(), 2, "two rounds, no more");
}

#[tokio::test]
async fn the_next_server_answers_for_one_that_is_silent() {
    let slow = reply(200, &json!({ "revision": 0, "services": [] })).after(Duration::from_secs(30));
    let silent = Responder::start().await.on("GET /v1/services", slow);
    let good =
        Responder::start().await.on("GET /v1/services", reply(200, &json!({ "revision": 9, "services": [search()] })));
    let start = Instant::now();
    let list = format!("{}, {}", silent.url, good.url);
    let ended = finish(zonebeat(&["services"]).env("ZONEBEAT_SERVER", list)).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.starts_with("SERVICE  PROTO  SERVING  HELD  OUT  SITES  OWNER"), "{}", ended.stdout);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[tokio::test]
async fn refusals_of_policy_are_exit_code_3_and_other_refusals_1() {
    let cases =
        [(401, "unauthorized", 3), (403, "name-owned", 3), (409, "old-incarnation", 3), (422, "address-refused", 3)];
    let others = [(400, "bad-label", 1), (404, "unknown-instance", 1)];
    for (status, word, code) in cases.into_iter().chain(others) {
        let server = Responder::start().await;
        let server = server.on("DELETE /v1/services/search/instances/a1", problem(status, word, "because of \"a1\""));
        let ended = run(&["deregister", "search", "a1", "--server", &server.url]).await;
        assert_eq!(ended.code, Some(code), "{word}: {}", ended.stderr);
        assert!(ended.stderr.contains(&format!("{word}: because of \"a1\"")), "{}", ended.stderr);
        assert_eq!(server.calls().len(), 1, "a refusal is not asked again");
    }
}

#[tokio::test]
async fn deregister_sends_incarnation_reason_and_token() {
    let call = "DELETE /v1/services/search/instances/a1?incarnation=7";
    let server = Responder::start().await.on(call, reply(200, &json!({ "revision": 12, "changed": true })));
    let args = ["deregister", "Search", "a1", "--incarnation", "7", "--reason", "disk größer", "--server", &server.url];
    let ended = finish(zonebeat(&args).env("ZONEBEAT_TOKEN", "zb_secret")).await;
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(0), "search/a1 has left (revision 12)\n"),
        "{}",
        ended.stderr
    );
    let asked = &server.asked()[0];
    assert_eq!(asked.headers["authorization"], "Bearer zb_secret");
    assert_eq!(asked.headers["x-zonebeat-reason"].as_bytes(), "disk größer".as_bytes());
}

#[tokio::test]
async fn a_deregistration_whose_reply_got_lost_is_done() {
    let call = "DELETE /v1/services/search/instances/a1";
    let server = Responder::start().await.on(call, problem(500, "internal", "oops"));
    let server = server.on(call, problem(404, "unknown-instance", "no such instance"));
    let ended = run(&["deregister", "search", "a1", "--server", &server.url]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[tokio::test]
async fn empty_lists_say_what_to_do() {
    let server = Responder::start()
        .await
        .on("GET /v1/services", reply(200, &json!({ "revision": 0, "services": [] })))
        .on("GET /v1/services/search/instances", reply(200, &json!({ "revision": 0, "instances": [] })))
        .on("GET /v1/tokens", reply(200, &json!({ "tokens": [] })));
    for (args, hint) in [
        (&["services"][..], "no services yet; register one: zonebeat register search --port 8080"),
        (&["instances", "search"], "no instances of search; register one: zonebeat register search --port 8080"),
        (&["token", "list"], "zonebeat token create ops --admin"),
    ] {
        let ended = run(&[args, &["--server", &server.url]].concat()).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stdout.contains(hint), "{}", ended.stdout);
    }
}

#[tokio::test]
async fn json_is_the_servers_own() {
    let body = json!({ "revision": 9, "services": [search()], "of_a_later_version": true });
    let server = Responder::start().await.on("GET /v1/services", reply(200, &body));
    let ended = run(&["services", "--json", "--server", &server.url]).await;
    assert_eq!(ended.stdout, format!("{body}\n"));
}

#[tokio::test]
async fn lists_of_several_pages_are_whole() {
    let page = |id: &str, next: Option<&str>| {
        let mut info = a1();
        info["id"] = id.into();
        let mut page = json!({ "revision": 9, "instances": [info] });
        next.into_iter().for_each(|next| page["next"] = next.into());
        reply(200, &page)
    };
    let server = Responder::start()
        .await
        .on("GET /v1/services/search/instances", page("a1", Some("a1")))
        .on("GET /v1/services/search/instances?after=a1", page("a2", Some("a2")))
        .on("GET /v1/services/search/instances?after=a2", page("a3", None));
    let ended = run(&["instances", "search", "--server", &server.url]).await;
    let ids: Vec<_> = ended.stdout.lines().map(|line| line.split(' ').next().expect("word")).collect();
    assert_eq!(ids, ["ID", "a1", "a2", "a3"]);
    let ended = run(&["instances", "search", "--json", "--server", &server.url]).await;
    let whole: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!((whole["instances"].as_array().map(Vec::len), &whole["next"]), (Some(3), &Value::Null));
}

#[tokio::test]
async fn show_has_everything_of_a_service() {
    let change = |revision: u64, subject: &str| {
        json!({ "revision": revision, "time": "2026-01-01T00:00:00Z", "author": "token ops", "source": "192.0.2.9",
            "reason": "first", "transition": "register", "subject": subject, "instance": "a1" })
    };
    let page = json!({ "changes": [change(8, "other"), change(9, "search")], "next": 9, "more": false, "oldest": 3 });
    let server = Responder::start()
        .await
        .on("GET /v1/services/search", reply(200, &search()))
        .on("GET /v1/services/search/instances", reply(200, &json!({ "revision": 9, "instances": [a1()] })))
        .on("GET /v1/changes?limit=1", reply(200, &json!({ "changes": [], "next": 3, "more": true, "oldest": 3 })))
        .on("GET /v1/changes?since=2&limit=500", reply(200, &page));
    let ended = run(&["show", "search", "--server", &server.url]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for part in ["name owned by  token squad-search", "192.0.2.7:8080", "_search._tcp.sd.example.org.", "register a1"] {
        assert!(ended.stdout.contains(part), "{part}: {}", ended.stdout);
    }
    assert_eq!(ended.stdout.matches("token ops").count(), 1, "changes of others are left out: {}", ended.stdout);
    let ended = run(&["show", "search", "--json", "--server", &server.url]).await;
    let all: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!((&all["service"], &all["instances"][0], &all["changes"][0]["revision"]), (&search(), &a1(), &json!(9)));
}

#[tokio::test]
async fn show_does_without_history_that_is_no_longer_kept() {
    let server = Responder::start()
        .await
        .on("GET /v1/services/search", reply(200, &search()))
        .on("GET /v1/services/search/instances", reply(200, &json!({ "revision": 9, "instances": [] })))
        .on("GET /v1/changes?limit=1", problem(410, "unknown-revision", "no longer kept"));
    let ended = run(&["show", "search", "--server", &server.url]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

fn created(admin: bool) -> Value {
    let scope = json!({ "services": [], "sites": [], "addresses": [], "admin": admin });
    json!({ "id": "k3", "name": "ops", "scope": scope, "secret": "zb_k3_secret" })
}

#[tokio::test]
async fn the_first_token_is_an_admin_and_its_secret_stands_alone() {
    let server = Responder::start()
        .await
        .on("GET /v1/tokens", reply(200, &json!({ "tokens": [] })))
        .on("POST /v1/tokens", reply(201, &created(true)));
    let ended = run(&["token", "create", "ops", "--server", &server.url]).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "zb_k3_secret\n"), "{}", ended.stderr);
    assert!(ended.stderr.contains("first token and so an admin"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("zb_k3_secret"), "the secret is on standard error");
    assert_eq!(server.asked()[1].body, json!({ "name": "ops", "scope": created(true)["scope"] }));
}

#[tokio::test]
async fn later_tokens_are_what_was_asked_for() {
    let server = Responder::start()
        .await
        .on("GET /v1/tokens", problem(403, "forbidden", "for administrators"))
        .on("POST /v1/tokens", reply(201, &created(false)));
    run(&["token", "create", "ops", "--server", &server.url]).await;
    assert_eq!(server.asked()[1].body["scope"]["admin"], false);
    let scoped =
        ["token", "create", "s", "--service", "search*", "--site", "lon", "--address", "192.0.2.0/24", "--json"];
    let ended = run(&[&scoped[..], &["--server", &server.url]].concat()).await;
    assert_eq!(ended.stdout, format!("{}\n", created(false)));
    let scope = json!({ "services": ["search*"], "sites": ["lon"], "addresses": ["192.0.2.0/24"], "admin": false });
    assert_eq!(server.asked()[2].body["scope"], scope);
    assert_eq!(server.calls().len(), 3, "a scope needs no look at the list");
}

#[tokio::test]
async fn a_token_is_never_created_twice() {
    let server = Responder::start().await.on("POST /v1/tokens", problem(500, "internal", "oops"));
    let other = Responder::start().await;
    let args = ["token", "create", "ops", "--admin", "--server", &server.url, "--server", &other.url];
    let ended = run(&args).await;
    assert_eq!(ended.code, Some(1));
    assert_eq!((server.calls().len(), other.calls().len()), (1, 0));
}

#[tokio::test]
async fn tokens_are_revoked_by_any_name() {
    let server = Responder::start().await;
    let server = server.on("DELETE /v1/tokens/squad%20search", reply(200, &json!({ "revision": 4, "changed": true })));
    let ended = run(&["token", "revoke", "squad search", "--server", &server.url]).await;
    assert_eq!(ended.stdout, "token squad search is revoked (revision 4)\n", "{}", ended.stderr);
}
