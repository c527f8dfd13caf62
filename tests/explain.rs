//! Why a name answers as it does, asked over DNS: what those whom the operator lists see, and that others see nothing.
//! Real processes, real dig.

#[path = "explain/extended.rs"]
mod extended;
#[path = "explain/listed.rs"]
mod listed;
#[path = "explain/others.rs"]
mod others;
mod support;

use serde_json::{Value, json};

use self::support::{Server, Setup};

/// Explains to one address of this host, and not to the others.
const CONFIG: &str = "[dns]\nexplain_to = [\"127.0.0.1/32\"]\n";

fn start() -> Server {
    Setup::new().config(CONFIG).start()
}

/// Registers an instance of a service at an address of its own.
fn put(server: &Server, service: &str, id: &str, mut body: Value) {
    body["port"] = json!(8080);
    if body.get("addresses").is_none() {
        body["addresses"] = json!(["192.0.2.7"]);
    }
    if body.get("lease_seconds").is_none() {
        body["lease_seconds"] = json!(600);
    }
    let (status, reply) = server.http_json("PUT", &format!("/v1/services/{service}/instances/{id}"), Some(body));
    assert!(status == 201 || status == 200, "{reply}");
}

/// The lines that explain a name, as dig shows them.
fn lines(server: &Server, name: &str) -> Vec<String> {
    let shown = server.dig_short(&[name, "TXT"]);
    shown.iter().map(|line| line.replace("\" \"", "").trim_matches('"').replace("\\\"", "\"")).collect()
}

/// The only line that begins so.
fn line(lines: &[String], begins: &str) -> String {
    let found: Vec<_> = lines.iter().filter(|line| line.starts_with(begins)).collect();
    assert_eq!(found.len(), 1, "lines that begin with {begins:?} in {lines:#?}");
    found[0].clone()
}
