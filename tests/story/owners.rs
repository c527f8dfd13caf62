//! Who answers for a service: declared, found with dig, handed over.

use std::process::Output;

use serde_json::{Value, json};

use super::support::Server;

fn out(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_owner_declares_bit_by_bit_and_dig_shows_it() {
    let server = Server::start();
    let args =
        ["declare", "search", "--owner", "squad-search", "--contact", "#search", "--tier", "1", "--reason", "new"];
    assert!(out(&server.client(&args)).starts_with("search is declared (revision "));
    let args = ["declare", "search", "--dependency", "index", "--runbook", "https://runbooks.example.org/search"];
    out(&server.client(&args));
    assert!(out(&server.client(&["declare", "search", "--tier", "1"])).contains("was declared so already"));
    let facts = [
        r#""owner=squad-search""#,
        r##""contact=#search""##,
        r#""runbook=https://runbooks.example.org/search""#,
        r#""deps=index""#,
        r#""tier=1""#,
    ]
    .join(" ");
    for name in ["_search._tcp.sd.example.org", "search.sd.example.org"] {
        assert_eq!(server.dig_short(&[name, "TXT"]), [facts.clone()], "{name}");
    }
    let page = out(&server.client(&["show", "search"]));
    for line in ["owner          squad-search", "tier           1 (0 is the most important)", "dependencies   index"] {
        assert!(page.contains(line), "{page}");
    }
    out(&server.client(&["declare", "search", "--clear", "runbook", "--clear", "contact"]));
    let facts = r#""owner=squad-search" "deps=index" "tier=1""#;
    assert_eq!(server.dig_short(&["search.sd.example.org", "TXT"]), [facts]);
    let wrong = server.client(&["declare", "search", "--tier", "lon"]);
    assert_eq!(wrong.status.code(), Some(2), "{}", err(&wrong));
    assert!(out(&server.client(&["undeclare", "search"])).contains("its name is free"));
    assert!(server.dig(&["search.sd.example.org", "TXT"]).contains("NXDOMAIN"));
}

#[test]
fn dependencies_are_printed_as_a_tree() {
    let server = Server::start();
    out(&server.client(&["declare", "web", "--dependency", "search", "--dependency", "index", "--owner", "squad-web"]));
    out(&server.client(&["declare", "search", "--dependency", "index", "--dependency", "web"]));
    let down = out(&server.client(&["deps", "web"]));
    let expected = "\
SERVICE      SERVING  TIER  OWNER      NOTE
web          0              squad-web
├─ index                               unknown: neither declared nor registered
└─ search    0
   ├─ index                            unknown: neither declared nor registered
   └─ web    0              squad-web  cycle: it stands above itself
";
    assert_eq!(down, expected);
    let up = out(&server.client(&["deps", "index", "--reverse"]));
    assert!(up.lines().any(|line| line.starts_with("└─ web")), "{up}");
    let tree: Value =
        serde_json::from_str(&out(&server.client(&["deps", "index", "--reverse", "--json"]))).expect("JSON");
    assert_eq!((&tree["reverse"], &tree["services"][0]["known"]), (&json!(true), &json!(false)));
    let unknown = server.client(&["deps", "nothing"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(err(&unknown).contains("unknown-service"), "{}", err(&unknown));
}

#[test]
fn a_service_is_handed_over_from_token_to_token() {
    let server = Server::start();
    let secret = |args: &[&str]| out(&server.client(args)).trim().to_owned();
    let ops = secret(&["token", "create", "ops"]);
    let first = secret(&["token", "create", "first", "--token", &ops]);
    let second = secret(&["token", "create", "second", "--token", &ops]);
    let declare = |token: &str| server.client(&["declare", "search", "--min", "1", "--token", token]);
    out(&declare(&first));
    let refused = declare(&second);
    assert_eq!(refused.status.code(), Some(3), "{}", err(&refused));
    assert!(err(&refused).contains("zonebeat grant search second"), "{}", err(&refused));
    let granted = out(&server.client(&["grant", "search", "second", "--token", &first]));
    assert!(granted.starts_with("token second may write search (revision "), "{granted}");
    out(&declare(&second));
    let moved = ["transfer", "search", "second", "--reason", "team split", "--token", &first];
    assert!(out(&server.client(&moved)).starts_with("search belongs to token second;"));
    let revoked = out(&server.client(&["revoke", "search", "first", "--token", &second]));
    assert!(revoked.starts_with("token first may no longer write search"), "{revoked}");
    assert_eq!(declare(&first).status.code(), Some(3));
    let page = out(&server.client(&["show", "search"]));
    assert!(page.contains("name owned by  token second") && page.contains("team split"), "{page}");
    assert!(page.contains("transfer second") && page.contains("revoke first"), "{page}");
    let server = server.restart();
    let (status, shown) = server.http_json("GET", "/v1/services/search", None);
    assert_eq!((status, &shown["owned_by"]), (200, &json!("second")));
}

#[test]
fn services_without_an_owner_are_listed_and_counted() {
    let server = Server::start();
    assert!(out(&server.client(&["services", "--unowned"])).contains("every service has a declared owner"));
    out(&server.client(&["declare", "search", "--contact", "#search"]));
    out(&server.client(&["declare", "index", "--owner", "squad-index"]));
    let table = out(&server.client(&["services", "--unowned"]));
    assert!(table.contains("search") && !table.contains("index") && !table.contains("zonebeat"), "{table}");
    let reply = server.call("GET", "/metrics", None);
    let metrics = reply.text();
    assert!(metrics.lines().any(|line| line == "zonebeat_registry_unowned_services 1"), "{metrics}");
}
