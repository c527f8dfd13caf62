//! Out, drained, held: what operators and DNS clients see of it. Real processes, real dig.

#[path = "guard/held.rs"]
mod held;
#[path = "guard/orders.rs"]
mod orders;
mod support;

use serde_json::{Value, json};

use self::support::Server;

/// The name that the tests ask for.
const SRV: &str = "_search._tcp.sd.example.org";

/// Registers an instance of a service at an address of its own.
fn put(server: &Server, service: &str, id: &str, mut body: Value) -> Value {
    body["port"] = json!(8080);
    if body.get("addresses").is_none() {
        body["addresses"] = json!(["192.0.2.7"]);
    }
    if body.get("lease_seconds").is_none() {
        body["lease_seconds"] = json!(600);
    }
    let (status, reply) = server.http_json("PUT", &format!("/v1/services/{service}/instances/{id}"), Some(body));
    assert!(status == 201 || status == 200, "{reply}");
    reply
}

/// What a command prints; it must succeed.
fn run(server: &Server, args: &[&str]) -> String {
    let output = server.client(args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn json_of(server: &Server, args: &[&str]) -> Value {
    serde_json::from_str(&run(server, args)).expect("--json prints JSON")
}

/// The targets of the SRV answer, sorted.
fn targets(server: &Server, name: &str) -> Vec<String> {
    let mut targets: Vec<String> = server
        .dig_short(&[name, "SRV"])
        .iter()
        .map(|line| {
            let target = line.rsplit(' ').next().unwrap_or_default();
            target.split('.').next().unwrap_or_default().to_owned()
        })
        .collect();
    targets.sort();
    targets
}
