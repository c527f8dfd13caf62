//! Bad input against a real server: each is refused with a problem document that says what was wrong and what would be
//! right, and nothing changes: not the registry's revision, not its lists, not one record of the zone.

mod support;

use serde_json::{Value, json};
use support::{Reply, Server, Setup, Shared, http};

const A1: &str = "/v1/services/search/instances/a1";
const BEAT: &str = "/v1/services/search/instances/a1/heartbeat";

const ZONE_FILE: &str = "$TTL 300
@    SOA ns1 hostmaster 1 1h 10m 1w 5
     NS  ns1
ns1  A   192.0.2.53
mail A   192.0.2.25
lab  NS  ns.example.net.
www  CNAME mail
";

/// A server with a static zone, an instance of somebody, a site, and no token.
static OPEN: Shared = Shared::new(|| {
    let server = setup().start();
    assert_eq!(server.call("PUT", A1, Some(&body("\"site\":\"lon\""))).status, 201);
    let session = r#"{"epoch":"1","lease_seconds":600,"instances":[{"service":"index","id":"b1","registration":{"port":1,
                      "addresses":["192.0.2.9"]}}]}"#;
    assert_eq!(server.call("PUT", "/v1/sessions/host-17", Some(session)).status, 200);
    server
});

fn setup() -> Setup {
    Setup::bare().zone_file("sd.example.org", ZONE_FILE)
}

/// A good registration with the fields of `more` in place of its own.
fn body(more: &str) -> String {
    let mut fields = json!({"port": 8080, "addresses": ["192.0.2.7"], "lease_seconds": 600});
    let more: Value = serde_json::from_str(&format!("{{{more}}}")).expect("fields of JSON");
    for (field, value) in more.as_object().expect("fields") {
        fields[field] = value.clone();
    }
    fields.to_string()
}

/// Everything that bad input must not change.
fn state(server: &Server) -> String {
    let lists = ["/v1/services", "/v1/changes?limit=1000"].map(|path| server.call("GET", path, None).text().to_owned());
    let zone = server.dig(&["sd.example.org", "AXFR", "+nostats", "+nocmd", "+nocomments"]);
    assert!(zone.lines().filter(|line| line.contains("SOA")).count() == 2, "a whole transfer: {zone}");
    format!("{}\n{zone}", lists.join("\n"))
}

fn assert_problem(what: &str, reply: &Reply, status: u16, word: &str, parts: &[&str]) {
    let text = reply.text();
    assert_eq!(reply.status, status, "{what}: {text}");
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{what}: {text}");
    assert_eq!(reply.word(), word, "{what}: {text}");
    let document = reply.json();
    assert_eq!(document["status"], status, "{what}: {text}");
    let detail = document["detail"].as_str().unwrap_or_default();
    for part in parts {
        assert!(detail.contains(part), "{what}: no {part:?} in {detail:?}");
    }
}

/// One call and how it must be refused: method, path, body, status, word, parts of the detail.
type Case<'c> = (&'c str, &'c str, String, u16, &'c str, &'c [&'c str]);

fn check(server: &Server, cases: &[Case<'_>]) {
    let before = state(server);
    for (method, path, body, status, word, parts) in cases {
        let reply = server.call(method, path, Some(body).filter(|body| !body.is_empty()).map(String::as_str));
        assert_problem(&format!("{method} {path} {body}"), &reply, *status, word, parts);
    }
    assert_eq!(state(server), before, "bad input changed something");
}

fn put<'c>(path: &'c str, body: String, status: u16, word: &'c str, parts: &'c [&'c str]) -> Case<'c> {
    ("PUT", path, body, status, word, parts)
}

/// A registration of `a9` with these fields.
fn with<'c>(more: &str, status: u16, word: &'c str, parts: &'c [&'c str]) -> Case<'c> {
    put("/v1/services/search/instances/a9", body(more), status, word, parts)
}

#[test]
fn labels() {
    let long = "a".repeat(63);
    let paths = [
        "/v1/services/sea_rch/instances/a1",
        "/v1/services/-search/instances/a1",
        "/v1/services/search-/instances/a1",
        "/v1/services/search/instances/a.1",
        "/v1/services/search/instances/%2A",
        "/v1/services/%20/instances/a1",
        "/v1/services/s%C3%B6k/instances/a1",
        &format!("/v1/services/{long}/instances/a1"),
    ];
    let mut cases: Vec<Case<'_>> =
        paths.iter().map(|path| put(path, body(""), 400, "bad-label", &["letters, digits"])).collect();
    cases.extend([
        with("\"site\":\"lon don\"", 400, "bad-label", &["site", "lon don"]),
        with("\"proto\":\"_tcp\"", 400, "bad-label", &["_tcp"]),
        with("\"tags\":[\"ok\",\"not ok\"]", 400, "bad-label", &["tag", "not ok"]),
        put("/v1/services/_acme-challenge/instances/a1", body(""), 400, "bad-label", &["_acme-challenge"]),
    ]);
    check(&OPEN.get(), &cases);
}

#[test]
fn reserved_and_held_names() {
    let file = OPEN.get().setup().data_path().with_file_name("zones").join("sd.example.org.zone");
    let (mail, lab) = (format!("{}:5", file.display()), format!("{}:6", file.display()));
    let (mail, lab) = ([mail.as_str(), "mail.sd.example.org."], [lab.as_str(), "lab.sd.example.org."]);
    check(
        &OPEN.get(),
        &[
            put("/v1/services/localhost/instances/a1", body(""), 422, "reserved-name", &["localhost"]),
            put("/v1/services/WPAD/instances/a1", body(""), 422, "reserved-name", &["wpad"]),
            put("/v1/services/search/instances/isatap", body(""), 422, "reserved-name", &["isatap"]),
            with("\"site\":\"localhost\"", 422, "reserved-name", &["localhost"]),
            put("/v1/services/mail/instances/a1", body(""), 409, "static-name", &mail),
            put("/v1/services/lab/instances/a1", body(""), 409, "static-name", &lab),
            put("/v1/services/mail", "{}".into(), 409, "static-name", &mail),
            put("/v1/services/lon/instances/a1", body(""), 409, "site-label", &["lon"]),
            put("/v1/services/lon", "{}".into(), 409, "site-label", &["lon"]),
            with("\"site\":\"index\"", 409, "site-label", &["index"]),
        ],
    );
}

#[test]
fn numbers() {
    const PORTS: &[&str] = &["1 to 65535"];
    const LEASES: &[&str] = &["lease_seconds", "2 to 86400"];
    check(
        &OPEN.get(),
        &[
            with("\"port\":0", 400, "bad-port", PORTS),
            with("\"port\":65536", 400, "bad-port", &["65536", "1 to 65535"]),
            with("\"port\":-1", 400, "bad-port", PORTS),
            with("\"port\":80.5", 400, "bad-port", PORTS),
            with("\"port\":\"80\"", 400, "bad-port", PORTS),
            with("\"port\":1e99", 400, "bad-port", PORTS),
            with("\"lease_seconds\":0", 400, "bad-lease", LEASES),
            with("\"lease_seconds\":31536000", 400, "bad-lease", LEASES),
            with("\"lease_seconds\":-5", 400, "bad-lease", LEASES),
            with("\"weight\":65536", 400, "bad-value", &["weight", "65535"]),
            with("\"priority\":-1", 400, "bad-value", &["priority", "65535"]),
            with("\"port\":null", 400, "bad-port", PORTS),
            put(A1, "{}".into(), 400, "bad-value", &["port"]),
        ],
    );
}

#[test]
fn addresses() {
    let refused = |address: &str| {
        let fields = format!("\"addresses\":[\"192.0.2.7\",\"{address}\"]");
        with(&fields, 422, "address-refused", &["policy.allow_addresses"])
    };
    let list = [
        "127.0.0.1",
        "::1",
        "169.254.1.2",
        "169.254.169.254",
        "fe80::1",
        "224.0.0.251",
        "ff02::fb",
        "0.0.0.0",
        "::",
        "::ffff:192.0.2.1",
        "255.255.255.255",
        "fd00:ec2::254",
    ];
    let mut cases: Vec<Case<'_>> = list.iter().map(|address| refused(address)).collect();
    cases.extend([
        with("\"addresses\":[\"192.0.2.256\"]", 400, "bad-value", &["192.0.2.256"]),
        with("\"addresses\":[]", 400, "bad-value", &["empty"]),
        with("\"addresses\":\"192.0.2.7\"", 400, "bad-value", &["addresses"]),
        with("\"addresses\":null", 422, "address-refused", &["the caller's address 127.0.0.1"]),
        with("\"target\":\"host.example.net\"", 400, "bad-value", &["target", "addresses"]),
        with("\"addresses\":null,\"target\":\"localhost\"", 422, "address-refused", &["localhost"]),
        with("\"addresses\":null,\"target\":\"192.0.2.7\"", 400, "bad-value", &["addresses"]),
    ]);
    let alias = "\"addresses\":null,\"target\":\"WWW.sd.example.org.\"";
    cases.push(with(alias, 422, "address-refused", &["sd.example.org.zone:7", "CNAME"]));
    check(&OPEN.get(), &cases);
}

#[test]
fn bodies() {
    let large = body(&format!("\"metadata\":{{\"k\":\"{}\"}}", "x".repeat(64 * 1024)));
    check(
        &OPEN.get(),
        &[
            with("\"prot\":\"tcp\"", 400, "unknown-field", &["prot", "proto"]),
            put(A1, "{\"port\":8080".into(), 400, "bad-request", &[]),
            put(A1, "port=8080".into(), 400, "bad-request", &[]),
            put(A1, "[8080]".into(), 400, "bad-request", &["object"]),
            put(A1, "{\"port\":8080} x".into(), 400, "bad-request", &[]),
            put(A1, String::new(), 400, "bad-request", &["empty"]),
            put(A1, "{\"port\":8080,\"port\":8081}".into(), 400, "bad-request", &["port", "twice"]),
            put(A1, large, 413, "too-large", &["65536"]),
            with("\"metadata\":{\"a=b\":\"c\"}", 400, "bad-value", &["a=b"]),
            with("\"metadata\":{\"k\":1}", 400, "bad-value", &["metadata"]),
            put("/v1/services/search", "{\"owners\":\"x\"}".into(), 400, "unknown-field", &["owners", "owner"]),
            ("GET", "/v1/services?limits=1", String::new(), 400, "unknown-field", &["limits", "limit"]),
            ("GET", "/v1/services?limit=many", String::new(), 400, "bad-value", &["limit"]),
        ],
    );
}

#[test]
fn octets_that_are_no_text() {
    let server = OPEN.get();
    let before = state(&server);
    let rubbish: &[u8] = b"{\"port\":8080,\"site\":\"\xff\xfe\"}";
    let reply = http::request(server.http(), "PUT", A1, &[], Some(rubbish)).expect("the server answers");
    assert_problem("UTF-8 rubbish in a body", &reply, 400, "bad-request", &["UTF-8"]);
    let path = "/v1/services/%FF%FE/instances/a1";
    assert_eq!(server.call("PUT", path, Some(&body(""))).status, 400, "UTF-8 rubbish in a path");
    assert_eq!(state(&server), before, "bad input changed something");
}

#[test]
fn what_is_not_there() {
    check(
        &OPEN.get(),
        &[
            (
                "POST",
                "/v1/services/search/instances/nobody/heartbeat",
                String::new(),
                404,
                "unknown-instance",
                &["nobody", "PUT"],
            ),
            ("POST", "/v1/services/nobody/instances/a1/heartbeat", String::new(), 404, "unknown-instance", &["nobody"]),
            ("DELETE", "/v1/services/search/instances/nobody", String::new(), 404, "unknown-instance", &["nobody"]),
            ("POST", "/v1/sessions/nobody/heartbeat", "{\"epoch\":\"1\"}".into(), 404, "unknown-session", &["nobody"]),
            ("GET", "/v1/services/nobody", String::new(), 404, "unknown-service", &["nobody"]),
            ("DELETE", "/v1/services/search", String::new(), 409, "in-use", &["search"]),
            ("DELETE", "/v1/tokens/nobody", String::new(), 404, "unknown-token", &["nobody"]),
            ("GET", "/v1/changes?since=999999", String::new(), 410, "unknown-revision", &["999999"]),
            ("GET", "/v1/nothing", String::new(), 404, "unknown-call", &["/v1/nothing"]),
            ("GET", "/", String::new(), 404, "unknown-call", &[]),
            ("POST", A1, body(""), 405, "unknown-call", &["POST"]),
            ("PATCH", BEAT, String::new(), 405, "unknown-call", &["PATCH"]),
            ("POST", BEAT, "{\"incarnation\":999999}".into(), 409, "old-incarnation", &["incarnation"]),
            (
                "DELETE",
                "/v1/services/search/instances/a1?incarnation=999999",
                String::new(),
                409,
                "old-incarnation",
                &["999999"],
            ),
            with("\"incarnation\":999999", 409, "old-incarnation", &["999999"]),
        ],
    );
    let reply = OPEN.get().call("POST", A1, Some(&body("")));
    assert!(reply.header("allow").is_some_and(|methods| methods.contains("PUT")), "{:?}", reply.headers);
}

#[test]
fn one_bad_instance_refuses_the_whole_set_of_a_session() {
    let set = r#"{"epoch":"1","lease_seconds":600,"instances":[
        {"service":"index","id":"b2","registration":{"port":1,"addresses":["192.0.2.9"]}},
        {"service":"index","id":"b3","registration":{"port":0,"addresses":["192.0.2.9"]}}]}"#;
    check(&OPEN.get(), &[put("/v1/sessions/host-17", set.into(), 400, "bad-port", &["index/b3", "1 to 65535"])]);
}

#[test]
fn tokens_that_are_missing_wrong_or_of_somebody_else() {
    let server = setup().start();
    let create = |secret: &str, name: &str, scope: Value| {
        let body = json!({"name": name, "scope": scope}).to_string();
        let reply = server.call_as(secret, "POST", "/v1/tokens", Some(&body));
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.json()["secret"].as_str().expect("a secret").to_owned()
    };
    let first = json!({"name": "ops", "scope": {"admin": true}}).to_string();
    let admin = server.call("POST", "/v1/tokens", Some(&first)).json()["secret"].as_str().expect("a secret").to_owned();
    let owner = create(&admin, "squad-search", json!({}));
    let other = create(&admin, "squad-other", json!({"services": ["other", "search"]}));
    assert_eq!(server.call_as(&owner, "PUT", A1, Some(&body(""))).status, 201);
    let before = state(&server);
    let wrong = format!("{}x", &admin[..admin.len() - 1]);
    for (who, token, status, word, part) in [
        ("a token that never was", "zb_00000000_nothing", 401, "unauthorized", "token"),
        ("a wrong secret", wrong.as_str(), 401, "unauthorized", "token"),
        ("no secret at all", "", 401, "unauthorized", "zb_"),
        ("another token", other.as_str(), 403, "name-owned", "squad-search"),
    ] {
        for (method, path, body) in
            [("PUT", A1, body("")), ("DELETE", A1, String::new()), ("POST", BEAT, String::new())]
        {
            let reply = server.call_as(token, method, path, Some(body.as_str()).filter(|body| !body.is_empty()));
            assert_problem(&format!("{who}: {method} {path}"), &reply, status, word, &[part]);
        }
    }
    let reply = server.call("PUT", A1, Some(&body("")));
    assert_problem("no token", &reply, 401, "unauthorized", &["Authorization: Bearer"]);
    let reply = server.call_as(&other, "PUT", "/v1/services/third/instances/c1", Some(&body("")));
    assert_problem("outside of the scope", &reply, 403, "forbidden", &["third"]);
    assert_eq!(state(&server), before, "bad input changed something");
}
