//! How a server is, on one page.

use serde_json::json;

use crate::support::{Server, Setup, ZONE};
use crate::text;

#[test]
fn a_page_says_how_the_server_is() {
    let server = Server::start();
    for id in ["a1", "a2"] {
        let body = json!({"port": 8080, "addresses": ["192.0.2.7"]});
        server.http_json("PUT", &format!("/v1/services/search/instances/{id}"), Some(body));
    }
    text(server.client(&["drain", "search", "a2"]), 0);
    let page = text(server.client(&["status"]), 0);
    for line in [
        "ready     yes",
        "instances 1 serving, 0 held, 0 out, 1 drained, 0 lapsed",
        "guard     holds nothing",
        "backup    none since this server was started",
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
    assert!(page.contains(&format!("{ZONE}.  registrations")) && page.contains("store     embedded "), "{page}");
    let status: serde_json::Value = serde_json::from_str(&text(server.client(&["status", "--json"]), 0)).unwrap();
    assert_eq!(status["servers"].as_array().unwrap().len(), 1);
    assert_eq!((&status["servers"][0]["id"], &status["servers"][0]["sessions"]), (&status["id"], &json!(2)));
    assert_eq!((&status["version"], &status["ready"]), (&json!(env!("CARGO_PKG_VERSION")), &json!(true)));
    assert_eq!(status["zones"][0]["serial"], status["revision"]);
}

#[test]
fn a_server_without_data_is_not_ready() {
    let setup = Setup::new();
    std::fs::create_dir_all(setup.data_path()).unwrap();
    std::fs::write(setup.data_path().join("registry.redb"), "no store").unwrap();
    let mut server = setup.spawn();
    server.await_ready();
    let page = text(server.client(&["status"]), 1);
    assert!(page.contains("ready     no: the registry has not been loaded"), "{page}");
    assert!(page.contains("store     not opened, takes no writes: "), "{page}");
    let status: serde_json::Value = serde_json::from_str(&text(server.client(&["status", "--json"]), 1)).unwrap();
    assert_eq!((&status["ready"], &status["store"]["writable"]), (&json!(false), &json!(false)));
    let refused = text(server.client(&["backup", "-"]), 1);
    assert!(refused.contains("not-ready"), "{refused}");
}
