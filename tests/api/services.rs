//! What is registered, and what owners declare.

use serde_json::json;

use crate::harness::Server;

const DECLARATION: &str =
    r##"{"owner":"squad-search","contact":"#search","min":2,"answer_limit":20,"tiers":[["lon"],["sto"]]}"##;

#[tokio::test]
async fn a_service_is_declared_listed_and_given_up() {
    let server = Server::start().await;
    let reason = [("x-zonebeat-reason", "new owner")];
    let declared = server.send("PUT", "/v1/services/search", DECLARATION, &reason).await;
    assert_eq!((declared.status, &declared.json["changed"]), (200, &json!(true)), "{declared:?}");
    let again = server.call("PUT", "/v1/services/search", DECLARATION).await;
    assert_eq!((&again.json["revision"], &again.json["changed"]), (&declared.json["revision"], &json!(false)));

    let shown = server.get("/v1/services/search").await;
    assert_eq!(shown.json["declaration"]["owner"], "squad-search");
    assert_eq!(shown.json["declaration"]["answer_limit"], 20);
    assert_eq!(shown.json["last_change"]["text"], "declared");
    let change = server.get("/v1/changes").await.json["changes"][0].clone();
    assert_eq!((&change["reason"], &change["transition"]), (&json!("new owner"), &json!("declare")));

    server.call("PUT", "/v1/services/search/instances/a1", r#"{"port":80}"#).await;
    let refused = server.call("DELETE", "/v1/services/search", "").await;
    assert_eq!((refused.status, refused.word()), (409, "in-use"));
    let refused = server.call("DELETE", "/v1/services/search/instances/a1", "").await;
    assert_eq!((refused.status, refused.word()), (409, "guard"), "it is below its min already");
    server.call("DELETE", "/v1/services/search/instances/a1?force=true", "").await;
    let given_up = server.call("DELETE", "/v1/services/search", "").await;
    assert_eq!((given_up.status, &given_up.json["changed"]), (200, &json!(true)));
}

#[tokio::test]
async fn the_list_shows_counts_and_comes_in_pages() {
    let server = Server::start().await;
    for (service, id, site) in [("index", "b1", "lon"), ("search", "a1", "lon"), ("search", "a2", "sto")] {
        let body = json!({"port": 80, "site": site, "addresses": ["192.0.2.7"]}).to_string();
        server.call("PUT", &format!("/v1/services/{service}/instances/{id}"), &body).await;
    }
    let list = server.get("/v1/services").await;
    assert_eq!(list.json["revision"], server.revision());
    let search = &list.json["services"][1];
    assert_eq!(search["service"], "search");
    assert_eq!((&search["serving"], &search["held"], &search["out"]), (&json!(2), &json!(0), &json!(0)));
    assert_eq!((&search["sites"], &search["protos"]), (&json!(["lon", "sto"]), &json!(["tcp"])));
    assert_eq!(search["last_change"]["text"], "a2 registered");

    let page = server.get("/v1/services?limit=1").await;
    assert_eq!((&page.json["services"][0]["service"], &page.json["next"]), (&json!("index"), &json!("index")));
    let page = server.get("/v1/services?limit=1&after=index").await;
    assert_eq!((&page.json["services"][0]["service"], page.json.get("next")), (&json!("search"), None));
    let none = server.get("/v1/services/nobody").await;
    assert_eq!((none.status, none.word()), (404, "unknown-service"));
}
