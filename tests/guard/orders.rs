//! An instance that is out, drained or weighed, and a site.

use serde_json::json;

use super::support::Server;
use super::{SRV, json_of, put, run, targets};

const A1: &str = "/v1/services/search/instances/a1";

#[test]
fn what_is_out_is_not_answered_and_keeps_its_record() {
    let server = Server::start();
    let reply = put(&server, "search", "a1", json!({}));
    assert_eq!(reply["ttl_seconds"], 30, "{reply}");
    put(&server, "search", "a2", json!({}));
    let again = put(&server, "search", "a1", json!({"out": "GET /health answered 503, 3 times"}));
    assert_eq!(again["incarnation"], reply["incarnation"]);
    assert_eq!(targets(&server, SRV), ["a2"]);
    let (_, a1) = server.http_json("GET", A1, None);
    assert_eq!((&a1["state"], &a1["reason"]), (&json!("out"), &json!("GET /health answered 503, 3 times")));
    let table = run(&server, &["instances", "search"]);
    assert!(table.contains("GET /health answered 503, 3 times"), "{table}");
    let (_, service) = server.http_json("GET", "/v1/services/search", None);
    assert_eq!((&service["serving"], &service["out"]), (&json!(1), &json!(1)), "{service}");
    assert!(run(&server, &["show", "search"]).contains("update a1"));
    put(&server, "search", "a2", json!({"out": "stopping"}));
    let empty = server.dig(&[SRV, "SRV"]);
    for part in ["status: NOERROR", "EDE: 0", "a2 is out since", "stopping"] {
        assert!(empty.contains(part), "no {part:?} in {empty}");
    }
    put(&server, "search", "a1", json!({}));
    assert_eq!(targets(&server, SRV), ["a1"]);
    let (status, left) = server.http_json("DELETE", A1, None);
    assert_eq!((status, &left["ttl_seconds"]), (200, &json!(30)), "{left}");
}

#[test]
fn a_drained_instance_leaves_at_once_and_stays_out_until_it_is_undrained() {
    let server = Server::start();
    put(&server, "search", "a1", json!({}));
    put(&server, "search", "a2", json!({}));
    let said = run(&server, &["drain", "search", "a1", "--reason", "kernel"]);
    assert!(said.contains("search/a1 is drained (revision ") && said.contains("safe to stop in 31 s"), "{said}");
    assert_eq!(targets(&server, SRV), ["a2"]);
    put(&server, "search", "a1", json!({"metadata": {"version": "2"}}));
    assert_eq!(targets(&server, SRV), ["a2"], "registering does not undrain");
    let server = server.restart();
    assert_eq!(targets(&server, SRV), ["a2"], "neither does a restart");
    let (_, a1) = server.http_json("GET", A1, None);
    assert_eq!((&a1["state"], &a1["drained"]["reason"]), (&json!("drained"), &json!("kernel")), "{a1}");
    assert_eq!(a1["reason"], "drained by anonymous: kernel");
    assert!(run(&server, &["show", "search"]).contains("drain a1"));
    let json = json_of(&server, &["drain", "search", "a1", "--json"]);
    assert_eq!((&json["changed"], &json["ttl_seconds"]), (&json!(false), &json!(30)), "{json}");
    let said = run(&server, &["undrain", "search", "a1"]);
    assert!(said.contains("search/a1 is serving"), "{said}");
    assert_eq!(targets(&server, SRV), ["a1", "a2"]);
    let unknown = server.client(&["drain", "search", "a9"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert_eq!(server.client(&["drain", "search"]).status.code(), Some(2));
}

#[test]
fn waiting_ends_when_every_cache_has_forgotten_it() {
    let server = Server::start();
    assert_eq!(server.http_json("PUT", "/v1/services/search", Some(json!({"ttl": 1}))).0, 200);
    put(&server, "search", "a1", json!({}));
    let began = std::time::Instant::now();
    let said = run(&server, &["drain", "search", "a1", "--wait"]);
    assert!(said.contains("safe to stop in 2 s") && said.ends_with("safe to stop\n"), "{said}");
    assert!(began.elapsed().as_secs() >= 2);
    let again = run(&server, &["drain", "search", "a1", "--wait"]);
    assert!(again.contains("; safe to stop\n"), "it is safe already: {again}");
    run(&server, &["undrain", "search", "a1"]);
    let waited = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| server.client(&["drain", "search", "a1", "--wait"]));
        super::support::eventually("it is drained", || server.dig_short(&[SRV, "SRV"]).is_empty());
        run(&server, &["undrain", "search", "a1"]);
        waiting.join().expect("it ends")
    });
    let told = String::from_utf8_lossy(&waited.stderr);
    assert_eq!(waited.status.code(), Some(1), "{told}");
    assert!(told.contains("search/a1 is serving") && told.contains("not safe to stop"), "{told}");
}

#[test]
fn a_weight_is_answered_for_its_time() {
    let server = Server::start();
    put(&server, "search", "a1", json!({"weight": 100}));
    let said = run(&server, &["weight", "search", "a1", "7", "--for", "1h", "--reason", "cold"]);
    assert!(said.contains("search/a1 has weight 7 for 1h"), "{said}");
    assert_eq!(server.dig_short(&[SRV, "SRV"]), ["10 7 8080 a1.search.sd.example.org."]);
    assert!(run(&server, &["instances", "search"]).contains("7 (100)"));
    run(&server, &["weight", "search", "a1", "9", "--for", "2s"]);
    let server = server.restart();
    assert_eq!(server.dig_short(&[SRV, "SRV"]), ["10 9 8080 a1.search.sd.example.org."]);
    super::support::eventually("the registered weight counts again", || {
        server.dig_short(&[SRV, "SRV"]) == ["10 100 8080 a1.search.sd.example.org."]
    });
    run(&server, &["weight", "search", "a1", "5"]);
    run(&server, &["weight", "search", "a1", "registered"]);
    assert_eq!(server.dig_short(&[SRV, "SRV"]), ["10 100 8080 a1.search.sd.example.org."]);
    assert_eq!(server.client(&["weight", "search", "a1", "70000"]).status.code(), Some(2));
}

#[test]
fn nobody_is_taken_below_min_without_force() {
    let server = Server::start();
    assert_eq!(server.http_json("PUT", "/v1/services/search", Some(json!({"min": 2}))).0, 200);
    put(&server, "search", "a1", json!({}));
    put(&server, "search", "a2", json!({}));
    for args in [["drain", "search", "a1"], ["deregister", "search", "a1"]] {
        let refused = server.client(&args);
        assert_eq!(refused.status.code(), Some(3), "{args:?}");
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(text.contains("guard: service search needs at least 2"), "{text}");
    }
    assert_eq!(targets(&server, SRV), ["a1", "a2"]);
    run(&server, &["drain", "search", "a1", "--force"]);
    run(&server, &["deregister", "search", "a2", "--force"]);
    assert_eq!(targets(&server, SRV), Vec::<String>::new());
    let refused = server.call("DELETE", "/v1/services/search/instances/a1?force=maybe", None);
    assert_eq!((refused.status, refused.word().as_str()), (400, "bad-value"));
}

#[test]
fn a_site_is_drained_where_nobody_is_left_with_too_few() {
    let server = Server::start();
    for (service, id, site) in [("search", "a1", "lon"), ("search", "a2", "sto"), ("index", "b1", "lon")] {
        put(&server, service, id, json!({"site": site}));
    }
    let refused = server.client(&["drain", "--site", "lon"]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{text}");
    assert!(text.contains("index (0 of 1)") && !text.contains("search ("), "{text}");
    assert_eq!(targets(&server, SRV), ["a1", "a2"], "nothing has changed");
    put(&server, "index", "b2", json!({"site": "sto"}));
    let said = run(&server, &["drain", "--site", "lon", "--reason", "power work"]);
    assert!(said.contains("2 instances of lon drained, 0 were so already") && said.contains("in 31 s"), "{said}");
    assert_eq!(
        (targets(&server, SRV), targets(&server, "_index._tcp.sd.example.org")),
        (vec!["a2".into()], vec!["b2".into()])
    );
    let forced = json_of(&server, &["drain", "--site", "sto", "--force", "--json"]);
    assert_eq!((&forced["instances"], &forced["site"]), (&json!(2), &json!("sto")), "{forced}");
    let said = run(&server, &["undrain", "--site", "lon"]);
    assert!(said.contains("2 instances of lon undrained"), "{said}");
    assert_eq!(targets(&server, SRV), ["a1"]);
    assert_eq!(server.client(&["drain", "--site", "nowhere"]).status.code(), Some(1));
}

#[test]
fn a_large_site_is_drained_by_one_command_and_by_repeated_calls() {
    let server = Server::start();
    let (sessions, each) = (26, 200);
    for session in 0..sessions {
        let instances: Vec<_> = (0..each)
            .map(|number| {
                let registration = json!({"port": 80, "addresses": ["192.0.2.7"], "site": "lon"});
                json!({"service": format!("s{session}"), "id": format!("i{number}"), "registration": registration})
            })
            .collect();
        let set = json!({"epoch": "e", "lease_seconds": 600, "instances": instances});
        let (status, reply) = server.http_json("PUT", &format!("/v1/sessions/host-{session}"), Some(set));
        assert_eq!(status, 200, "{reply}");
    }
    let said = run(&server, &["drain", "--site", "lon", "--force"]);
    assert!(said.contains("5200 instances of lon drained, 0 were so already") && said.contains("in 31 s"), "{said}");
    let (_, first) = server.http_json("POST", "/v1/sites/lon/undrain", None);
    assert_eq!((&first["instances"], &first["left"]), (&json!(5000), &json!(200)), "{first}");
    let (_, second) = server.http_json("POST", "/v1/sites/lon/undrain", None);
    assert_eq!((&second["instances"], &second["left"], &second["already"]), (&json!(200), &json!(0), &json!(5000)));
    assert_eq!(targets(&server, "_s25._tcp.sd.example.org").len(), each);
}

#[test]
fn only_what_is_drained_is_called_safe_to_stop() {
    let server = Server::start();
    put(&server, "search", "a1", json!({"lease_seconds": 2}));
    put(&server, "search", "a2", json!({"out": "GET /health answered 503, 3 times"}));
    put(&server, "search", "a3", json!({}));
    assert!(run(&server, &["drain", "search", "a1"]).contains("; safe to stop in 31 s"));
    super::support::eventually("it lapses", || {
        json_of(&server, &["instances", "search", "--json"]).to_string().contains("lapsed")
    });
    let lapsed = run(&server, &["undrain", "search", "a1"]);
    assert!(lapsed.starts_with("search/a1 is lapsed (revision ") && !lapsed.contains("safe"), "{lapsed}");
    run(&server, &["drain", "search", "a2"]);
    let out = run(&server, &["undrain", "search", "a2"]);
    assert!(out.starts_with("search/a2 is out (revision ") && !out.contains("safe"), "{out}");
}
