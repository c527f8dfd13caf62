//! Who answers for a service, who may write it, and what it needs.

use serde_json::{Value, json};

use crate::harness::{Reply, Server};

async fn token(server: &Server, by: &str, name: &str, scope: Value) -> String {
    let body = json!({"name": name, "scope": scope}).to_string();
    let created = as_token(server, by, "POST", "/v1/tokens", &body).await;
    assert_eq!(created.status, 201, "{created:?}");
    created.json["secret"].as_str().expect("secret").to_owned()
}

async fn as_token(server: &Server, secret: &str, method: &str, path: &str, body: &str) -> Reply {
    let bearer = format!("Bearer {secret}");
    let headers = [("authorization", bearer.as_str()), ("x-zonebeat-reason", "team split")];
    server.send(method, path, body, if secret.is_empty() { &headers[1..] } else { &headers }).await
}

#[tokio::test]
async fn a_declaration_is_amended_and_tier_and_tiers_are_told_apart() {
    let server = Server::start().await;
    let path = "/v1/services/search";
    let first = server.call("PATCH", path, r#"{"owner":"squad-search","tier":1,"tiers":[["lon"]]}"#).await;
    assert_eq!((first.status, &first.json["changed"]), (200, &json!(true)), "{first:?}");
    server.call("PATCH", path, r#"{"runbook":"https://runbooks.example.org/search","tiers":null}"#).await;
    let declared = server.get(path).await.json["declaration"].clone();
    let expected = json!({"owner": "squad-search", "tier": 1, "runbook": "https://runbooks.example.org/search"});
    assert_eq!(declared, expected);
    for method in ["PUT", "PATCH"] {
        let mixed = server.call(method, path, r#"{"tier":[["lon"]]}"#).await;
        assert_eq!((mixed.status, mixed.word()), (400, "bad-value"));
        assert!(mixed.detail().contains("importance") && mixed.detail().contains("\"tiers\""), "{}", mixed.detail());
        let mixed = server.call(method, path, r#"{"tiers":1}"#).await;
        assert!(mixed.detail().contains("sites") && mixed.detail().contains("\"tier\""), "{}", mixed.detail());
        let unknown = server.call(method, path, r#"{"onwer":"x"}"#).await;
        assert_eq!((unknown.status, unknown.word()), (400, "unknown-field"));
    }
}

#[tokio::test]
async fn a_service_is_granted_revoked_and_transferred() {
    let server = Server::start().await;
    let admin = token(&server, "", "ops", json!({"admin": true})).await;
    let first = token(&server, &admin, "first", json!({})).await;
    let second = token(&server, &admin, "second", json!({})).await;
    let (a1, a2) = ("/v1/services/search/instances/a1", "/v1/services/search/instances/a2");
    let grants = "/v1/services/search/grants";
    assert_eq!(as_token(&server, &first, "PUT", a1, r#"{"port":80}"#).await.status, 201);
    let refused = as_token(&server, &second, "PUT", a2, r#"{"port":80}"#).await;
    assert_eq!((refused.status, refused.word()), (403, "name-owned"));
    let refused = as_token(&server, &second, "POST", grants, r#"{"token":"second"}"#).await;
    assert_eq!((refused.status, refused.word()), (403, "name-owned"));
    assert_eq!(as_token(&server, &first, "POST", grants, r#"{"token":"second"}"#).await.status, 200);
    assert_eq!(as_token(&server, &second, "PUT", a2, r#"{"port":80}"#).await.status, 201);
    assert_eq!(as_token(&server, &second, "POST", &format!("{a1}/heartbeat"), "").await.status, 200);
    let shown = server.get("/v1/services/search").await.json;
    assert_eq!((&shown["owned_by"], &shown["granted"]), (&json!("first"), &json!(["second"])));

    let unknown = as_token(&server, &first, "POST", grants, r#"{"token":"third"}"#).await;
    assert_eq!((unknown.status, unknown.word()), (404, "unknown-token"));
    let moved = as_token(&server, &first, "POST", "/v1/services/search/transfer", r#"{"token":"second"}"#).await;
    assert_eq!((moved.status, &moved.json["changed"]), (200, &json!(true)));
    let shown = server.get("/v1/services/search").await.json;
    assert_eq!((&shown["owned_by"], &shown["granted"]), (&json!("second"), &json!(["first"])));
    assert_eq!(shown["last_change"]["text"], "transferred: token second");
    assert_eq!(as_token(&server, &first, "POST", &format!("{a1}/heartbeat"), "").await.status, 200);
    let revoked = as_token(&server, &second, "DELETE", &format!("{grants}/first"), "").await;
    assert_eq!((revoked.status, &revoked.json["changed"]), (200, &json!(true)));
    let refused = as_token(&server, &first, "POST", &format!("{a1}/heartbeat"), "").await;
    assert_eq!((refused.status, refused.word()), (403, "name-owned"));

    let changes = server.get("/v1/changes?limit=1000").await.json["changes"].as_array().expect("list").clone();
    let told: Vec<_> = changes.iter().filter(|change| change.get("token").is_some()).collect();
    assert_eq!(told.len(), 3);
    assert_eq!((&told[0]["transition"], &told[0]["token"]), (&json!("grant"), &json!("second")));
    assert_eq!((&told[1]["author"], &told[1]["reason"]), (&json!("token first"), &json!("team split")));
    assert_eq!((&told[2]["transition"], &told[2]["author"]), (&json!("revoke"), &json!("token second")));
}

#[tokio::test]
async fn unowned_services_are_listed_in_pages() {
    let server = Server::start().await;
    for service in ["a", "b", "c", "d"] {
        server.call("PUT", &format!("/v1/services/{service}"), r##"{"contact":"#ops"}"##).await;
    }
    server.call("PATCH", "/v1/services/b", r#"{"owner":"squad-b"}"#).await;
    let page = server.get("/v1/services?unowned=true&limit=2").await.json;
    let labels = |page: &Value| -> Vec<String> {
        let list = page["services"].as_array().expect("list").iter();
        list.map(|service| service["service"].as_str().expect("label").to_owned()).collect()
    };
    assert_eq!((labels(&page), &page["next"]), (vec!["a".into(), "c".into()], &json!("c")));
    let page = server.get("/v1/services?unowned=true&limit=2&after=c").await.json;
    assert_eq!((labels(&page), page.get("next")), (vec!["d".to_owned()], None));
    assert_eq!(labels(&server.get("/v1/services?unowned=false").await.json).len(), 4);
    let refused = server.get("/v1/services?unowned=yes").await;
    assert_eq!((refused.status, refused.word()), (400, "bad-value"));
}

#[tokio::test]
async fn dependencies_are_a_tree_in_both_directions() {
    let server = Server::start().await;
    for (service, needs) in [("web", json!(["search"])), ("search", json!(["index", "web"]))] {
        let body = json!({"dependencies": needs, "owner": format!("squad-{service}"), "tier": 2}).to_string();
        assert_eq!(server.call("PUT", &format!("/v1/services/{service}"), &body).await.status, 200);
    }
    let tree = server.get("/v1/services/Web/dependencies").await.json;
    let places = |tree: &Value| -> Vec<(u64, String, bool, bool)> {
        let list = tree["services"].as_array().expect("list").iter();
        let (number, flag) = (|value: &Value| value.as_u64().expect("number"), |value: &Value| value == &json!(true));
        list.map(|place| {
            let name = place["service"].as_str().expect("label").to_owned();
            (number(&place["depth"]), name, flag(&place["known"]), flag(&place["cycle"]))
        })
        .collect()
    };
    let expected = |list: &[(u64, &str, bool, bool)]| -> Vec<(u64, String, bool, bool)> {
        list.iter().map(|(depth, name, known, cycle)| (*depth, (*name).to_owned(), *known, *cycle)).collect()
    };
    let down =
        [(0, "web", true, false), (1, "search", true, false), (2, "index", false, false), (2, "web", true, true)];
    assert_eq!(places(&tree), expected(&down));
    assert_eq!((&tree["services"][0]["owner"], &tree["services"][0]["tier"]), (&json!("squad-web"), &json!(2)));
    let tree = server.get("/v1/services/index/dependencies?reverse=true").await.json;
    let up =
        [(0, "index", false, false), (1, "search", true, false), (2, "web", true, false), (3, "search", true, true)];
    assert_eq!(places(&tree), expected(&up));
    for path in ["/v1/services/index/dependencies", "/v1/services/nothing/dependencies?reverse=true"] {
        let unknown = server.get(path).await;
        assert_eq!((unknown.status, unknown.word()), (404, "unknown-service"));
    }
}
