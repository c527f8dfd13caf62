//! What falls silent and is held, one by one or with the whole fleet.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{Server, Setup, eventually, http, pass};
use super::{SRV, json_of, put, run, targets};

const HELD: &str = "EDE: 3 (Stale Answer)";

#[test]
fn the_last_silent_instance_is_answered_as_stale_until_it_is_released() {
    let server = Server::start();
    put(&server, "search", "a1", json!({"lease_seconds": 2, "site": "lon"}));
    put(&server, "index", "b1", json!({}));
    assert!(!server.dig(&[SRV, "SRV"]).contains("EDE"));
    eventually("it is held", || server.dig(&[SRV, "SRV"]).contains(HELD));
    let held = server.dig(&[SRV, "SRV"]);
    assert!(held.contains("10 100 8080 a1.search.sd.example.org.") && held.contains("a1 is silent and held"), "{held}");
    for (name, rtype) in [
        ("search.sd.example.org", "A"),
        ("search.lon.sd.example.org", "A"),
        ("a1.search.sd.example.org", "A"),
        ("a1.search.sd.example.org", "AAAA"),
        ("a1._search._tcp.sd.example.org", "TXT"),
    ] {
        assert!(server.dig(&[name, rtype]).contains(HELD), "{name} {rtype}");
    }
    assert!(!server.dig(&["_index._tcp.sd.example.org", "SRV"]).contains("EDE"), "the others are sure");
    let serial = server.dig_short(&["sd.example.org", "SOA"]);
    let list = json_of(&server, &["held", "--json"]);
    assert_eq!((&list["instances"][0]["id"], &list["instances"][0]["state"]), (&json!("a1"), &json!("held")), "{list}");
    let table = run(&server, &["held"]);
    assert!(table.contains("no beat for its lease of 2 s, held by the guard"), "{table}");
    let services = run(&server, &["services"]);
    assert!(services.contains("a1 held"), "{services}");
    assert_eq!(server.metric("zonebeat_guard_held_instances"), "1");
    assert_eq!(server.metric("zonebeat_registry_instances{state=\"held\"}"), "1");
    let (_, beat) = server.http_json("POST", "/v1/services/search/instances/a1/heartbeat", None);
    assert_eq!(beat["returned"], true, "{beat}");
    assert!(!server.dig(&[SRV, "SRV"]).contains("EDE"), "a beat ends it");
    assert_eq!(server.dig_short(&["sd.example.org", "SOA"]), serial, "the content was the same all the while");
    eventually("it is held again", || server.dig(&[SRV, "SRV"]).contains(HELD));
    let said = run(&server, &["release", "search", "a1", "--reason", "its host is gone"]);
    assert!(said.contains("released (revision "), "{said}");
    let gone = server.dig(&[SRV, "SRV"]);
    assert!(gone.contains("ANSWER: 0") && gone.contains("EDE: 0") && gone.contains("its host is gone"), "{gone}");
    assert!(run(&server, &["show", "search"]).contains("release a1"));
    assert!(run(&server, &["release", "search"]).contains("nothing of it was held"));
    assert_eq!(run(&server, &["held"]), "nothing is held\n");
}

#[test]
fn an_alias_that_leads_to_it_says_so_too() {
    let zone = "$ORIGIN sd.example.org.\n@ 60 SOA ns1 hostmaster 1 60 60 60 5\n@ 60 NS ns1\nns1 60 A 192.0.2.53\n\
                www 60 CNAME search\n";
    let server = Setup::new().zone_file("sd.example.org", zone).start();
    put(&server, "search", "a1", json!({"lease_seconds": 2, "site": "lon"}));
    put(&server, "search", "a2", json!({"lease_seconds": 600, "site": "sto"}));
    eventually("its site keeps it", || server.dig(&["search.lon.sd.example.org", "A"]).contains(HELD));
    assert_eq!(targets(&server, SRV), ["a2"], "the service has better");
    assert!(!server.dig(&["www.sd.example.org", "A"]).contains("EDE"));
    let site = run(&server, &["instances", "search"]);
    assert!(site.contains("held by the guard for its site"), "{site}");
    put(&server, "search", "a2", json!({"lease_seconds": 2, "site": "sto"}));
    eventually("it is held everywhere", || server.dig(&["www.sd.example.org", "A"]).contains(HELD));
    assert_eq!(targets(&server, SRV), ["a2"]);
}

#[test]
fn a_service_may_rather_be_empty_and_another_instance_takes_over() {
    let server = Server::start();
    assert_eq!(server.http_json("PUT", "/v1/services/search", Some(json!({"hold": 0}))).0, 200);
    put(&server, "search", "a1", json!({"lease_seconds": 2}));
    put(&server, "index", "b1", json!({"lease_seconds": 2}));
    eventually("the one lapses", || targets(&server, SRV).is_empty());
    let index = "_index._tcp.sd.example.org";
    eventually("the other is held", || server.dig(&[index, "SRV"]).contains(HELD));
    put(&server, "index", "b2", json!({}));
    assert_eq!(targets(&server, index), ["b2"], "nobody needs the silent one any more");
    assert!(!server.dig(&[index, "SRV"]).contains("EDE"));
}

/// A session of one instance, of a service of its own.
fn session(server: &Server, number: usize) {
    let registration = json!({"port": 8080, "addresses": ["192.0.2.7"]});
    let instances =
        json!([{"service": format!("s{}", number / 2), "id": format!("i{number}"), "registration": registration}]);
    let set = json!({"epoch": "e", "lease_seconds": 4, "instances": instances});
    assert_eq!(server.http_json("PUT", &format!("/v1/sessions/host-{number}"), Some(set)).0, 200);
}

#[test]
fn a_fleet_that_falls_silent_is_answered_and_forgotten_when_it_is_released() {
    let server = Setup::new().config("[guard]\nhold = \"1h\"\n").start();
    (0..40).for_each(|number| session(&server, number));
    put(&server, "search", "a1", json!({}));
    eventually("they are held", || server.dig(&["_s0._tcp.sd.example.org", "SRV"]).contains(HELD));
    pass(Duration::from_secs(5));
    let answered = |number: usize| targets(&server, &format!("_s{number}._tcp.sd.example.org")).len();
    assert!((0..20).all(|number| answered(number) == 2), "nobody left");
    let list = json_of(&server, &["held", "--json"]);
    assert_eq!(
        (&list["fleet"]["silent"], list["instances"].as_array().map(Vec::len)),
        (&json!(40), Some(40)),
        "{list}"
    );
    assert!(run(&server, &["held"]).starts_with("the lapses of the whole fleet are held: 40 of 41 sessions"));
    assert_eq!(server.metric("zonebeat_guard_fleet_hold"), "1");
    assert_eq!(server.metric("zonebeat_guard_fleet_held_sessions"), "40");
    (0..20).for_each(|number| {
        let beat =
            server.http_json("POST", &format!("/v1/sessions/host-{number}/heartbeat"), Some(json!({"epoch": "e"})));
        assert_eq!((beat.0, &beat.1["returned"]), (200, &json!(false)), "{beat:?}");
    });
    run(&server, &["release", "--fleet", "--reason", "we know"]);
    eventually("the silent ones lapse but for the last of each", || (10..20).all(|number| answered(number) == 1));
    let changes: Value = server.http_json("GET", "/v1/changes?limit=1000", None).1;
    let fleet = changes["changes"].as_array().into_iter().flatten().filter(|change| change["subject"] == "*");
    let words: Vec<String> = fleet.map(|change| change["transition"].to_string()).collect();
    assert_eq!(words, ["\"hold\"", "\"release\""], "{changes}");
}

#[test]
fn a_hold_and_its_end_are_live_events() {
    let server = Server::start();
    let mut events = http::events(server.http(), "/v1/events").expect("a stream");
    put(&server, "search", "a1", json!({"lease_seconds": 2}));
    let mut next = |transition: &str| {
        let wanted = format!("\"transition\":\"{transition}\"");
        events.find(|event| event.contains(&wanted)).unwrap_or_else(|| panic!("no {transition}"))
    };
    let held = next("hold");
    assert!(held.contains("\"instance\":\"a1\"") && held.contains("but nobody else serves search"), "{held}");
    run(&server, &["release", "search", "a1", "--reason", "its host is gone"]);
    let released = next("release");
    assert!(released.contains("its host is gone"), "{released}");
    put(&server, "search", "a1", json!({"lease_seconds": 2}));
    next("hold");
    run(&server, &["release", "search", "a1"]);
    let why = server.dig(&[SRV, "SRV"]);
    assert!(why.contains("when it was released") && !why.contains(", )"), "a release may have no reason: {why}");
}
