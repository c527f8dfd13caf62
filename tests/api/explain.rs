//! Why a name answers as it does.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::Server;

async fn with_instances(server: &Server, instances: &[(&str, &str, Value)]) {
    for (service, id, body) in instances {
        let reply = server.call("PUT", &format!("/v1/services/{service}/instances/{id}"), &body.to_string()).await;
        assert_eq!(reply.status, 201, "{reply:?}");
    }
}

fn body(site: &str, address: &str) -> Value {
    json!({"port": 80, "site": site, "addresses": [address], "tags": ["canary"]})
}

/// Ids of the instances, with whether the name answers with them.
fn shown(explanation: &Value) -> Vec<(&str, bool)> {
    let rows = explanation["instances"].as_array().map_or(&[][..], Vec::as_slice);
    rows.iter().map(|row| (row["id"].as_str().unwrap_or_default(), row["in"] == json!(true))).collect()
}

#[tokio::test]
async fn each_kind_of_name_is_read() {
    let server = Server::start().await;
    let two = [("search", "a1", body("lon", "192.0.2.7")), ("search", "a2", body("sto", "192.0.2.8"))];
    with_instances(&server, &two).await;
    let both = vec![("a1", true), ("a2", true)];
    let cases = [
        ("_search._tcp.sd.example.org", "SRV", both.clone()),
        ("_Search._TCP.lon.sd.example.org.", "SRV", vec![("a1", true)]),
        ("search.sd.example.org", "A", both.clone()),
        ("search.sto.sd.example.org", "A", vec![("a2", true)]),
        ("a1.search.sd.example.org", "A", vec![("a1", true)]),
        ("a2._search._tcp.sd.example.org", "SRV", vec![("a2", true)]),
        ("_canary._sub._search._tcp.sd.example.org", "PTR", both),
        ("_blue._sub._search._tcp.sd.example.org", "PTR", vec![]),
        ("a3.search.sd.example.org", "A", vec![]),
        ("search.example.net", "A", vec![]),
    ];
    for (name, rtype, instances) in cases {
        let reply = server.get(&format!("/v1/explain?name={name}")).await;
        assert_eq!(reply.status, 200, "{name}: {reply:?}");
        assert_eq!((reply.json["type"].as_str(), shown(&reply.json)), (Some(rtype), instances), "{name}");
    }
}

#[tokio::test]
async fn what_lapsed_comes_first_with_reason_and_advice() {
    let server = Server::start().await;
    let mut silent = body("lon", "192.0.2.9");
    silent["lease_seconds"] = json!(2);
    let three = [
        ("search", "a1", body("lon", "192.0.2.7")),
        ("search", "a4", silent),
        ("search", "a5", body("lon", "192.0.2.8")),
    ];
    with_instances(&server, &three).await;
    let state = || async { server.get("/v1/services/search/instances/a4").await.json["state"].clone() };
    for _ in 0..100 {
        if state().await == "lapsed" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let reply = server.get("/v1/explain?name=_search._tcp.sd.example.org").await;
    assert_eq!(shown(&reply.json), [("a4", false), ("a1", true), ("a5", true)]);
    let row = &reply.json["instances"][0];
    assert!(row["why"].as_str().is_some_and(|why| why.contains("no beat for its lease of 2 s")), "{row}");
    assert!(row["advice"].as_str().is_some_and(|advice| advice.contains("zonebeat deregister search a4")), "{row}");
    assert_eq!(reply.json["summary"], "2 of 3 instances of search are in the answers of _search._tcp.sd.example.org");
    let cut = server.get("/v1/explain?name=_search._tcp.sd.example.org&limit=1").await;
    assert_eq!((shown(&cut.json), &cut.json["omitted"]), (vec![("a4", false)], &json!(2)));
}

#[tokio::test]
async fn a_site_outside_the_preferred_tier_is_out() {
    let server = Server::start().await;
    server.call("PUT", "/v1/services/search", r#"{"tiers":[["lon"],["sto"]],"min":1}"#).await;
    let two = [("search", "a1", body("lon", "192.0.2.7")), ("search", "a2", body("sto", "192.0.2.8"))];
    with_instances(&server, &two).await;
    let reply = server.get("/v1/explain?name=_search._tcp.sd.example.org").await;
    assert_eq!(shown(&reply.json), [("a2", false), ("a1", true)]);
    assert_eq!(reply.json["instances"][0]["why"], "serving at sto, but the name answers with the tier lon");
    for whole in ["_search._tcp.all.sd.example.org", "_search._tcp.sto.sd.example.org"] {
        let reply = server.get(&format!("/v1/explain?name={whole}")).await;
        assert!(shown(&reply.json).contains(&("a2", true)), "{whole}: {}", reply.text);
    }
}

#[tokio::test]
async fn names_that_do_not_exist_are_answered_with_near_ones() {
    let server = Server::start().await;
    let two = [("search", "a1", body("lon", "192.0.2.7")), ("billing", "b1", body("lon", "192.0.2.8"))];
    with_instances(&server, &two).await;
    let reply = server.get("/v1/explain?name=_serach._tcp.sd.example.org").await;
    assert_eq!(reply.json["nearest"], json!(["_search._tcp.sd.example.org."]));
    assert!(reply.json["summary"].as_str().is_some_and(|text| text.starts_with("there is no service serach")));
    let reply = server.get("/v1/explain?name=example.net").await;
    assert!(reply.json["summary"].as_str().is_some_and(|text| text.contains("no name that a registration can have")));
}

#[tokio::test]
async fn what_is_wrong_with_a_question_is_said() {
    let server = Server::start().await;
    for (query, said) in [
        ("", "name is missing"),
        ("?name=a..b", "is no name"),
        ("?name=a.example.org&type=FROG", "give one such as SRV"),
        ("?name=a.example.org&limit=0", "limit"),
    ] {
        let reply = server.get(&format!("/v1/explain{query}")).await;
        assert_eq!((reply.status, reply.word()), (400, "bad-value"), "{query}");
        assert!(reply.json["detail"].as_str().is_some_and(|detail| detail.contains(said)), "{query}: {}", reply.text);
    }
}

#[tokio::test]
async fn who_drained_an_instance_and_why_a_check_fails_are_said() {
    let server = Server::start().await;
    let mut failing = body("lon", "192.0.2.9");
    failing["out"] = json!("GET /health answered 503, 3 times");
    let three = [
        ("search", "a1", body("lon", "192.0.2.7")),
        ("search", "a2", body("lon", "192.0.2.8")),
        ("search", "a3", failing),
    ];
    with_instances(&server, &three).await;
    let drained = server.call("POST", "/v1/services/search/instances/a2/drain", r#"{"reason":"kernel"}"#).await;
    assert_eq!(drained.status, 200, "{drained:?}");
    let reply = server.get("/v1/explain?name=search.sd.example.org").await;
    assert_eq!(shown(&reply.json), [("a2", false), ("a3", false), ("a1", true)]);
    let text = |row: usize, field: &str| reply.json["instances"][row][field].as_str().unwrap_or_default().to_owned();
    assert!(text(0, "why").starts_with("drained by ") && text(0, "why").contains("\"kernel\""), "{}", text(0, "why"));
    assert_eq!((text(0, "state"), text(0, "advice")), ("drained".into(), "zonebeat undrain search a2".into()));
    assert!(text(1, "why").contains("GET /health answered 503, 3 times"), "{}", text(1, "why"));
    assert_eq!(text(1, "state"), "out");
}
