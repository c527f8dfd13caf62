//! Serials: a zone that takes registrations counts from its file's serial, and only when its content moves.

use super::support::Setup;
use super::{register, reload, serial, zone};

#[test]
fn rfc1982_the_serial_moves_exactly_when_the_content_moves() {
    const ZONE: &str = "sd.example.org";
    let setup = Setup::bare().config("[[zone]]\nname = \"sd.example.org\"\n[[zone]]\nname = \"other.example.org\"\n");
    let setup = setup.zone_file(ZONE, &zone(1000, "")).zone_file("example.net", &zone(7, "www A 192.0.2.80"));
    let server = setup.start();
    let start = serial(&server, ZONE);
    assert!(start >= 1000, "the file's serial is the base: {start}");
    assert_eq!(serial(&server, "example.net"), 7, "a zone of a file alone has the file's serial");

    register(&server, "search", "a1", "192.0.2.7");
    let first = serial(&server, ZONE);
    assert!(first > start);
    let revision = server.http_json("GET", "/v1/services", None).1["revision"].as_u64().expect("a revision");
    assert_eq!(u64::from(first), 1000 + revision, "base and revision");
    assert_eq!(u64::from(serial(&server, "other.example.org")), revision, "a zone without a file counts from 0");

    register(&server, "search", "a1", "192.0.2.7");
    assert_eq!(server.http_json("POST", "/v1/services/search/instances/a1/heartbeat", None).0, 200);
    assert_eq!(serial(&server, ZONE), first, "beats move nothing");
    let declared = serde_json::json!({"contact": "#search"});
    assert_eq!(server.http_json("PUT", "/v1/services/search", Some(declared)).0, 200);
    let moved = server.http_json("GET", "/v1/services", None).1["revision"].as_u64().expect("a revision") > revision;
    assert!(moved, "a declaration is a change of the registry");

    let before = (serial(&server, ZONE), server.dig(&[ZONE, "AXFR", "+nostats", "+nocmd"]));
    reload(&server, 0);
    assert_eq!(serial(&server, ZONE), before.0, "a reload of the same files moves nothing");
    let server = server.restart();
    let after = (serial(&server, ZONE), server.dig(&[ZONE, "AXFR", "+nostats", "+nocmd"]));
    assert_eq!(after, before, "the same content has the same serial after a restart");
    assert_eq!(serial(&server, "example.net"), 7);

    server.setup().file("zones/sd.example.org.zone", &zone(1000, "mail A 192.0.2.25"));
    reload(&server, 0);
    let edited = serial(&server, ZONE);
    assert!(edited > before.0, "an edited file moves it, also when nobody counted its serial on");
    assert_eq!(serial(&server, "example.net"), 7);
    let server = server.restart();
    assert_eq!(serial(&server, ZONE), edited);
}

#[test]
fn an_edit_while_the_server_is_down_moves_the_serial() {
    const ZONE: &str = "sd.example.org";
    let mut server = Setup::bare().zone_file(ZONE, &zone(5, "")).start();
    register(&server, "search", "a1", "192.0.2.7");
    let before = serial(&server, ZONE);
    assert!(server.stop().success());
    server.setup().file("zones/sd.example.org.zone", &zone(5, "mail A 192.0.2.25"));
    let server = server.setup().clone().start();
    assert!(serial(&server, ZONE) > before);
    assert_eq!(server.dig_short(&["mail.sd.example.org", "A"]), ["192.0.2.25"]);
}
