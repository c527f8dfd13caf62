//! `GET /v1/events`: changes as they come.

use serde_json::{Value, json};

use super::support::{Server, http};
use super::{register, reload};

#[test]
fn events_show_changes_live_and_from_a_revision_on() {
    let server = Server::start();
    let mut live = http::events(server.http(), "/v1/events").expect("the stream opens");
    register(&server, "search", "a1", "192.0.2.7");
    let short = json!({"port": 8080, "addresses": ["192.0.2.8"], "lease_seconds": 2});
    assert_eq!(server.http_json("PUT", "/v1/services/search/instances/a2", Some(short)).0, 201);
    assert_eq!(server.http_json("DELETE", "/v1/services/search/instances/a1", None).0, 200);
    let mut next = || -> Value { serde_json::from_str(&live.next().expect("a change comes")).expect("JSON") };
    let mut seen = Vec::new();
    for expected in ["register", "register", "deregister", "hold"] {
        let change = next();
        assert_eq!(change["transition"], expected, "{change}");
        assert_eq!(change["subject"], "search", "{change}");
        seen.push(change["revision"].as_u64().expect("a revision"));
    }
    assert!(seen.is_sorted_by(|one, next| one < next), "revisions grow: {seen:?}");
    assert_eq!(server.http_json("POST", "/v1/services/search/instances/a2/heartbeat", None).0, 200);
    assert_eq!(next()["transition"], "return");

    let mut again = http::events(server.http(), &format!("/v1/events?since={}", seen[0])).expect("the stream opens");
    let replayed: Value = serde_json::from_str(&again.next().expect("a change comes")).expect("JSON");
    assert_eq!(replayed["revision"], seen[1], "what was missed comes first");
}

#[test]
fn a_changed_zone_file_is_an_event() {
    let setup = super::Setup::bare().zone_file("sd.example.org", &super::zone(1, ""));
    let server = setup.start();
    let mut live = http::events(server.http(), "/v1/events").expect("the stream opens");
    server.setup().file("zones/sd.example.org.zone", &super::zone(1, "mail A 192.0.2.25"));
    reload(&server, 0);
    let change: Value = serde_json::from_str(&live.next().expect("a change comes")).expect("JSON");
    assert_eq!((&change["transition"], &change["subject"]), (&json!("static"), &json!("sd.example.org.")), "{change}");
}
