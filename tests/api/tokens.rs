//! Who may write what.

use serde_json::json;

use crate::harness::{Reply, Server};

const A1: &str = "/v1/services/search/instances/a1";
const BODY: &str = r#"{"port":80,"addresses":["192.0.2.7"]}"#;

async fn with(server: &Server, token: &str, method: &str, path: &str, body: &str) -> Reply {
    server.send(method, path, body, &[("authorization", &format!("Bearer {token}"))]).await
}

/// A server with an administrator, and his secret.
async fn administered() -> (Server, String) {
    let server = Server::start().await;
    let reply = server.call("POST", "/v1/tokens", r#"{"name":"ops","scope":{"admin":true}}"#).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let secret = reply.json["secret"].as_str().expect("secret").to_owned();
    (server, secret)
}

async fn token(server: &Server, admin: &str, name: &str, scope: serde_json::Value) -> String {
    let body = json!({"name": name, "scope": scope}).to_string();
    let reply = with(server, admin, "POST", "/v1/tokens", &body).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.json["secret"].as_str().expect("secret").to_owned()
}

#[tokio::test]
async fn with_the_first_token_every_write_needs_one() {
    let server = Server::start().await;
    assert_eq!(server.call("PUT", A1, BODY).await.status, 201);
    let scoped = server.call("POST", "/v1/tokens", r#"{"name":"squad-search"}"#).await;
    assert_eq!((scoped.status, scoped.word()), (400, "bad-value"), "the first one must be an administrator's");
    let created = server.call("POST", "/v1/tokens", r#"{"name":"ops","scope":{"admin":true}}"#).await;
    let secret = created.json["secret"].as_str().expect("secret");
    for (method, path, body) in [
        ("PUT", A1, BODY),
        ("POST", "/v1/services/search/instances/a1/heartbeat", ""),
        ("DELETE", A1, ""),
        ("PUT", "/v1/sessions/host-17", r#"{"epoch":"e","instances":[]}"#),
        ("POST", "/v1/sessions/host-17/heartbeat", r#"{"epoch":"e"}"#),
        ("DELETE", "/v1/sessions/host-17", ""),
        ("POST", "/v1/heartbeats", r#"{"beats":[]}"#),
        ("PUT", "/v1/services/search", "{}"),
        ("DELETE", "/v1/services/search", ""),
        ("POST", "/v1/tokens", r#"{"name":"x"}"#),
        ("GET", "/v1/tokens", ""),
        ("DELETE", "/v1/tokens/ops", ""),
    ] {
        let reply = server.call(method, path, body).await;
        assert_eq!((reply.status, reply.word()), (401, "unauthorized"), "{method} {path}");
        assert_eq!(reply.headers["www-authenticate"], "Bearer realm=\"zonebeat\"");
        for wrong in ["nonsense", &format!("{secret}0"), "zb_00000000_0"] {
            let reply = with(&server, wrong, method, path, body).await;
            assert_eq!((reply.status, reply.word()), (401, "unauthorized"), "{method} {path} {wrong}");
        }
    }
    assert_eq!(server.get(A1).await.status, 200, "reads need no token");
    assert_eq!(with(&server, secret, "PUT", A1, BODY).await.status, 200);
}

#[tokio::test]
async fn a_web_page_is_no_local_caller() {
    let server = Server::start().await;
    let origin = [("origin", "https://page.example.org"), ("content-type", "text/plain")];
    let reply = server.send("POST", "/v1/tokens", r#"{"name":"ops","scope":{"admin":true}}"#, &origin).await;
    assert_eq!((reply.status, reply.word()), (401, "unauthorized"));
    assert_eq!(server.revision(), 0);
}

#[tokio::test]
async fn a_name_belongs_to_the_first_token_and_a_scope_is_kept_to() {
    let (server, admin) = administered().await;
    let search =
        token(&server, &admin, "squad-search", json!({"services": ["search*"], "addresses": ["192.0.2.0/24"]})).await;
    let other = token(&server, &admin, "squad-other", json!({})).await;
    let first = with(&server, &search, "PUT", A1, BODY).await;
    assert_eq!(first.status, 201, "{first:?}");
    assert_eq!(server.get("/v1/services/search").await.json["owned_by"], "squad-search");
    for (method, path) in [("PUT", A1), ("DELETE", A1), ("POST", "/v1/services/search/instances/a1/heartbeat")] {
        let body = if method == "PUT" { BODY } else { "" };
        let reply = with(&server, &other, method, path, body).await;
        assert_eq!((reply.status, reply.word()), (403, "name-owned"), "{method} {path}");
        assert!(reply.detail().contains("squad-search"), "{reply:?}");
    }
    let outside = with(&server, &search, "PUT", "/v1/services/mail/instances/a1", BODY).await;
    assert_eq!((outside.status, outside.word()), (403, "forbidden"));
    let address = with(&server, &search, "PUT", A1, r#"{"port":80,"addresses":["198.51.100.7"]}"#).await;
    assert_eq!((address.status, address.word()), (403, "forbidden"));
    let list = with(&server, &search, "GET", "/v1/tokens", "").await;
    assert_eq!((list.status, list.word()), (403, "forbidden"));
    assert_eq!(with(&server, &search, "POST", "/v1/services/search/instances/a1/heartbeat", "").await.status, 200);
    assert_eq!(with(&server, &admin, "PUT", A1, BODY).await.status, 200);
    let author = server.get("/v1/changes").await.json["changes"][3]["author"].clone();
    assert_eq!(author, "token squad-search");
}

#[tokio::test]
async fn a_revoked_token_is_refused_and_its_names_are_free() {
    let (server, admin) = administered().await;
    let search = token(&server, &admin, "squad-search", json!({})).await;
    with(&server, &search, "PUT", A1, BODY).await;
    let list = with(&server, &admin, "GET", "/v1/tokens", "").await;
    let listed = &list.json["tokens"][1];
    assert_eq!((&listed["name"], &listed["owns"]), (&json!("squad-search"), &json!(1)));
    assert!(!list.text.contains(&search) && !list.text.contains("hash"), "{list:?}");
    let revoked = with(&server, &admin, "DELETE", "/v1/tokens/squad-search", "").await;
    assert_eq!((revoked.status, &revoked.json["changed"]), (200, &json!(true)));
    let refused = with(&server, &search, "PUT", A1, BODY).await;
    assert_eq!((refused.status, refused.word()), (401, "unauthorized"));
    assert!(server.get("/v1/services/search").await.json.get("owned_by").is_none());
    let again = with(&server, &admin, "DELETE", "/v1/tokens/squad-search", "").await;
    assert_eq!((again.status, again.word()), (404, "unknown-token"));
}

#[tokio::test]
async fn a_session_is_beaten_for_by_those_who_may_write_all_its_services() {
    const BEAT: &str = "/v1/sessions/host-17/heartbeat";
    let (server, admin) = administered().await;
    let index = token(&server, &admin, "squad-index", json!({"services": ["index"]})).await;
    let search = token(&server, &admin, "squad-search", json!({"services": ["search"]})).await;
    let both = token(&server, &admin, "squad-host", json!({})).await;
    let registration = json!({"port": 80, "addresses": ["192.0.2.7"]});
    let one = |service: &str| json!({"service": service, "id": "a1", "registration": registration});
    let set = json!({"epoch": "e1", "instances": [one("index")]}).to_string();
    assert_eq!(with(&server, &index, "PUT", "/v1/sessions/host-17", &set).await.status, 200);
    let beat = json!({"epoch": "e1"}).to_string();
    let other = with(&server, &both, "POST", BEAT, &beat).await;
    assert_eq!((other.status, other.word()), (403, "name-owned"), "{other:?}");
    assert_eq!(with(&server, &index, "POST", BEAT, &beat).await.status, 200);
    let set = json!({"epoch": "e1", "instances": [one("index"), one("search")]}).to_string();
    assert_eq!(with(&server, &admin, "PUT", "/v1/sessions/host-17", &set).await.status, 200);
    for secret in [&index, &search, &both] {
        assert_eq!(with(&server, secret, "POST", BEAT, &beat).await.status, 403);
    }
    assert_eq!(with(&server, &admin, "POST", BEAT, &beat).await.status, 200);
    assert_eq!(
        with(&server, &both, "PUT", "/v1/sessions/host-18", r#"{"epoch":"e1","instances":[]}"#).await.status,
        200
    );
    assert_eq!(with(&server, &both, "POST", "/v1/sessions/host-18/heartbeat", &beat).await.status, 200);
}
