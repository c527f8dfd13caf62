//! Real programs that ask us, from Debian packages, on free ports: secondaries, a resolver, a load balancer, tools with
//! a key. Each test goes the whole way, from a registration over HTTP to what the program does with it, and through a
//! change.
//!
//! A program that is missing fails its test; `make setup` installs it.

#[path = "clients/balancer.rs"]
mod balancer;
#[path = "clients/program.rs"]
mod program;
#[path = "clients/resolver.rs"]
mod resolver;
#[path = "clients/secondaries.rs"]
mod secondaries;
#[path = "clients/signed.rs"]
mod signed;
mod support;

use support::{Server, Setup, ZONE};

/// A server whose zone has a file and takes registrations, of loopback addresses too.
fn server(records: &str) -> Server {
    configured(records, signed::KEYS)
}

/// The same with more configuration.
fn configured(records: &str, more: &str) -> Server {
    let head = "$TTL 60\n@ SOA ns1 hostmaster 1 3600 600 86400 5\n@ NS ns1\nns1 A 192.0.2.53\nns1 AAAA 2001:db8::53\n";
    let config = format!("[[zone]]\nname = \"{ZONE}\"\n[policy]\nallow_addresses = [\"127.0.0.0/8\"]\n{more}");
    Setup::bare().config(&config).zone_file(ZONE, &format!("{head}{records}")).start()
}

/// Registers an instance of `web` with a lease that outlives the test.
fn register(server: &Server, id: &str, addresses: &str, port: u16) {
    let body = format!(r#"{{"port":{port},"addresses":[{addresses}],"metadata":{{"v":"1"}},"lease_seconds":3600}}"#);
    let reply = server.call("PUT", &format!("/v1/services/web/instances/{id}"), Some(&body));
    assert_eq!(reply.status, 201, "{}", reply.text());
}

fn deregister(server: &Server, id: &str) {
    let reply = server.call("DELETE", &format!("/v1/services/web/instances/{id}"), None);
    assert!(matches!(reply.status, 200 | 204), "{}", reply.text());
}
