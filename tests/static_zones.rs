//! Zone files of a real server: what people wrote, beside what registers; SIGHUP; serials; transfers; live events.

#[path = "static_zones/checks.rs"]
mod checks;
#[path = "static_zones/events.rs"]
mod events;
#[path = "static_zones/files.rs"]
mod files;
#[path = "static_zones/serials.rs"]
mod serials;
mod support;
#[path = "static_zones/transfers.rs"]
mod transfers;

use serde_json::json;
use support::{Server, Setup};

/// A zone file with this serial and these records after its SOA and NS.
fn zone(serial: u32, records: &str) -> String {
    format!("$TTL 300\n@ SOA ns1 hostmaster {serial} 1h 10m 1w 5\n  NS ns1\nns1 A 192.0.2.53\n{records}\n")
}

/// Registers an instance of `service` for ten minutes.
fn register(server: &Server, service: &str, id: &str, address: &str) {
    let body = json!({"port": 8080, "addresses": [address], "lease_seconds": 600});
    let (status, reply) = server.http_json("PUT", &format!("/v1/services/{service}/instances/{id}"), Some(body));
    assert!(status < 300, "{reply}");
}

fn serial(server: &Server, zone: &str) -> u32 {
    let soa = server.dig_short(&[zone, "SOA"]);
    let serial = soa.first().and_then(|soa| soa.split(' ').nth(2)).and_then(|serial| serial.parse().ok());
    serial.unwrap_or_else(|| panic!("{zone} has no SOA: {soa:?}"))
}

/// SIGHUP, and waits until the log tells the end of the reload; `times` it has been done before.
fn reload(server: &Server, times: usize) {
    server.signal("HUP");
    support::eventually("the files are loaded again", || {
        server.log().matches("zone files loaded again").count() > times
    });
}
