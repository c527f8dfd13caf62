//! Who may write: nobody's machine but this one until there is a token, then tokens within their scopes.

use std::process::Output;

use serde_json::json;

use super::support::{Server, Staying};

const A1: &str = "/v1/services/search/instances/a1";
const BODY: &str = r#"{"port":8080,"addresses":["192.0.2.7"],"site":"lon","lease_seconds":600}"#;

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn secret(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", err(output));
    String::from_utf8(output.stdout.clone()).expect("text").trim().to_owned()
}

fn create(server: &Server, admin: &str, args: &[&str]) -> String {
    secret(&server.client(&[&["token", "create", "--token", admin][..], args].concat()))
}

fn assert_refused(reply: &super::support::Reply, status: u16, word: &str) {
    assert_eq!((reply.status, reply.word().as_str()), (status, word), "{}", reply.text());
}

#[test]
fn the_first_token_is_an_admin_and_ends_anonymous_writes() {
    let server = Server::start();
    assert_eq!(server.call("PUT", A1, Some(BODY)).status, 201, "from loopback while there is no token");
    let scoped = server.client(&["token", "create", "squad", "--service", "search"]);
    assert_eq!(scoped.status.code(), Some(1), "{}", err(&scoped));
    assert!(err(&scoped).contains("the first token must be an admin token"), "{}", err(&scoped));
    let created = server.client(&["token", "create", "ops"]);
    let admin = secret(&created);
    assert!(admin.starts_with("zb_") && !admin.contains(char::is_whitespace), "alone on standard output: {admin:?}");
    assert!(err(&created).contains("It is the first token and so an admin"), "{}", err(&created));

    let reply = server.call("PUT", A1, Some(BODY));
    assert_refused(&reply, 401, "unauthorized");
    assert!(reply.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")));
    assert_refused(&server.call("POST", &format!("{A1}/heartbeat"), None), 401, "unauthorized");
    assert_refused(&server.call("DELETE", A1, None), 401, "unauthorized");
    assert_refused(&server.call("GET", "/v1/tokens", None), 401, "unauthorized");
    assert_refused(&server.call_as("zb_0a1b2c3d_wrong", "PUT", A1, Some(BODY)), 401, "unauthorized");
    assert_eq!(server.call("GET", "/v1/services", None).status, 200, "reading needs no token");
    assert_eq!(server.call_as(&admin, "PUT", A1, Some(BODY)).status, 200);
}

#[test]
fn a_scope_limits_services_sites_and_addresses() {
    let server = Server::start();
    let admin = create(&server, "", &["ops", "--admin"]);
    let args = ["squad", "--service", "search*", "--site", "lon", "--address", "192.0.2.0/24"];
    let squad = create(&server, &admin, &args);
    assert_eq!(server.call_as(&squad, "PUT", A1, Some(BODY)).status, 201);
    assert_eq!(server.call_as(&squad, "POST", &format!("{A1}/heartbeat"), None).status, 200);
    let body = |site: &str, address: &str| json!({"port": 8080, "site": site, "addresses": [address]}).to_string();
    for (path, body, part) in [
        ("/v1/services/index/instances/b1", body("lon", "192.0.2.7"), "index"),
        (A1, body("sto", "192.0.2.7"), "sto"),
        (A1, body("lon", "198.51.100.7"), "198.51.100.7"),
    ] {
        let reply = server.call_as(&squad, "PUT", path, Some(&body));
        assert_refused(&reply, 403, "forbidden");
        assert!(reply.text().contains(part) && reply.text().contains("squad"), "{}", reply.text());
    }
    let own = json!({"name": "mine", "scope": {"admin": true}}).to_string();
    assert_refused(&server.call_as(&squad, "POST", "/v1/tokens", Some(&own)), 403, "forbidden");
    let output = server.client(&[
        "deregister",
        "search",
        "a1",
        "--token",
        &create(&server, &admin, &["other", "--service", "x"]),
    ]);
    assert_eq!(output.status.code(), Some(3), "refused by policy: {}", err(&output));
}

#[test]
fn a_name_belongs_to_the_first_token_until_it_is_revoked() {
    let server = Server::start();
    let admin = create(&server, "", &["ops", "--admin"]);
    let first = create(&server, &admin, &["first"]);
    let second = create(&server, &admin, &["second"]);
    assert_eq!(server.call_as(&first, "PUT", A1, Some(BODY)).status, 201);
    let other = "/v1/services/SEARCH/instances/a2";
    for (method, path, body) in
        [("PUT", other, Some(BODY)), ("DELETE", A1, None), ("PUT", "/v1/services/search", Some("{\"owner\":\"me\"}"))]
    {
        let reply = server.call_as(&second, method, path, body);
        assert_refused(&reply, 403, "name-owned");
        assert!(reply.text().contains("first"), "it says whose it is: {}", reply.text());
    }
    assert_refused(&server.call_as(&second, "POST", &format!("{A1}/heartbeat"), None), 403, "name-owned");
    let mut running = Staying::start(
        &[&server.url()],
        &["register", "search", "--port", "80", "--address", "192.0.2.9", "--token", &second],
    );
    assert_eq!(running.wait().code(), Some(3));
    running.await_log("name-owned");

    let list = server.client(&["token", "list", "--token", &admin]);
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(list.lines().any(|line| line.contains("first") && line.contains("every service")), "{list}");
    assert!(!list.contains(&first), "secrets are not shown");
    let revoked = server.client(&["token", "revoke", "first", "--token", &admin]);
    assert_eq!(revoked.status.code(), Some(0), "{}", err(&revoked));
    assert_refused(&server.call_as(&first, "PUT", A1, Some(BODY)), 401, "unauthorized");
    assert_eq!(server.call_as(&second, "PUT", other, Some(BODY)).status, 201, "the name is free again");
    assert_refused(&server.call_as(&second, "DELETE", "/v1/tokens/ops", None), 403, "forbidden");
}

#[test]
fn tokens_survive_a_restart_and_only_their_hash_is_stored() {
    let server = Server::start();
    let admin = create(&server, "", &["ops", "--admin"]);
    let server = server.restart();
    assert_refused(&server.call("PUT", A1, Some(BODY)), 401, "unauthorized");
    assert_eq!(server.call_as(&admin, "PUT", A1, Some(BODY)).status, 201);
    let data = server.setup().data_path();
    let secret = admin.rsplit('_').next().expect("a secret has parts").as_bytes().to_owned();
    for file in std::fs::read_dir(data).expect("the data directory is there") {
        let octets = std::fs::read(file.expect("an entry").path()).expect("a file");
        assert!(!octets.windows(secret.len()).any(|window| window == secret), "the secret is on disk");
    }
    assert!(!server.log().contains(&admin), "the secret is in the log");
}
