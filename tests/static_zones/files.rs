//! Loading: $INCLUDE, SIGHUP, broken files.

use std::fs;

use serde_json::{Value, json};

use super::support::{Server, Setup};
use super::{register, reload, zone};

const BOTH: &str = "[[zone]]\nname = \"sd.example.org\"\n";

/// Texts of the log's lines of one level.
fn logged(server: &Server, level: &str) -> Vec<String> {
    let log = server.log();
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let events = events.filter(|event| event["level"] == level);
    events.map(|event| event["message"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn rfc1035_5_1_a_file_includes_others() {
    let setup = Setup::bare();
    setup.file("zones/hosts.inc", "mail A 192.0.2.25\n$INCLUDE deeper/more.inc sub\n");
    setup.file("zones/deeper/more.inc", "host A 192.0.2.26\n");
    let text = zone(1, "$INCLUDE hosts.inc\n$ORIGIN other.sd.example.org.\n$TTL 60\nhost A 192.0.2.27");
    let server = setup.zone_file("sd.example.org", &text).start();
    assert_eq!(server.dig_short(&["mail.sd.example.org", "A"]), ["192.0.2.25"]);
    assert_eq!(server.dig_short(&["host.sub.sd.example.org", "A"]), ["192.0.2.26"]);
    let ttl = server.dig(&["host.other.sd.example.org", "A"]);
    assert!(ttl.contains("host.other.sd.example.org. 60\tIN\tA\t192.0.2.27"), "{ttl}");
    register(&server, "search", "a1", "192.0.2.7");
    assert_eq!(server.dig_short(&["search.sd.example.org", "A"]), ["192.0.2.7"], "the only file takes registrations");
}

#[test]
fn sighup_takes_what_is_right_and_keeps_the_last_good_data_of_what_is_broken() {
    let setup = Setup::bare().config(BOTH);
    let setup = setup.zone_file("sd.example.org", &zone(1, "mail A 192.0.2.25"));
    let setup = setup.zone_file("example.net", &zone(2026, "www A 192.0.2.80"));
    let server = setup.start();
    register(&server, "search", "a1", "192.0.2.7");

    let path = server.setup().file("zones/example.net.zone", &zone(2027, "www A 192.0.2.300\nnew A 192.0.2.82"));
    server.setup().file("zones/sd.example.org.zone", &zone(1, "mail A 192.0.2.26"));
    reload(&server, 0);
    assert_eq!(server.dig_short(&["mail.sd.example.org", "A"]), ["192.0.2.26"], "the good file is taken");
    assert_eq!(server.dig_short(&["search.sd.example.org", "A"]), ["192.0.2.7"], "registrations stay");
    assert_eq!(server.dig_short(&["www.example.net", "A"]), ["192.0.2.80"], "the last good data stay");
    assert!(server.dig(&["new.example.net", "A"]).contains("NXDOMAIN"), "a broken file is refused whole");
    assert_eq!(super::serial(&server, "example.net"), 2026);
    let errors = logged(&server, "ERROR").join("\n");
    let warnings = logged(&server, "WARN").join("\n");
    assert!(warnings.contains("the last good data of their zones"), "{warnings}");
    let place = format!("{}:5:7", path.display());
    for part in [place.as_str(), "www A 192.0.2.300", "^", "192.0.2.300"] {
        assert!(errors.contains(part), "no {part:?} in {errors}");
    }

    fs::write(&path, zone(2027, "www A 192.0.2.81")).expect("the file can be written");
    reload(&server, 1);
    assert_eq!(server.dig_short(&["www.example.net", "A"]), ["192.0.2.81"]);
    assert_eq!(super::serial(&server, "example.net"), 2027);

    fs::remove_file(&path).expect("the file can be removed");
    server.setup().file("zones/example.com.zone", &zone(3, "www A 192.0.2.90"));
    reload(&server, 2);
    assert!(server.dig(&["www.example.net", "A"]).contains("REFUSED"), "a removed file takes its zone with it");
    assert_eq!(server.dig_short(&["www.example.com", "A"]), ["192.0.2.90"], "a new file brings one");
    let reply = server.call("GET", "/metrics", None);
    let metrics = reply.text();
    assert!(metrics.contains("zonebeat_zone_serial{zone=\"example.com.\"} 3"), "{metrics}");
    assert!(!metrics.contains("zone=\"example.net.\""), "a zone that left has no serial: {metrics}");
}

#[test]
fn a_file_that_is_broken_at_start_is_servfail_and_the_others_answer() {
    let setup = Setup::bare().config(BOTH);
    let setup = setup.zone_file("sd.example.org", &zone(1, "")).zone_file("example.net", &zone(1, "www A nonsense"));
    let path = setup.file("zones/example.net.zone", &zone(1, "www A nonsense"));
    let server = setup.start();
    for name in ["www.example.net", "example.net", "any.thing.example.net"] {
        let output = server.dig(&[name, "A"]);
        assert!(output.contains("status: SERVFAIL") && output.contains("EDE: 14"), "{output}");
        assert!(!output.contains("flags: qr aa"), "no authority over what is not known: {output}");
        assert!(output.contains("the zone's file has an error"), "it is not the registry that is missing: {output}");
    }
    assert_eq!(server.http_json("GET", "/readyz", None).0, 200, "what is registered answers");
    register(&server, "search", "a1", "192.0.2.7");
    assert_eq!(server.dig_short(&["search.sd.example.org", "A"]), ["192.0.2.7"]);
    let errors = logged(&server, "ERROR").join("\n");
    assert!(errors.contains(&format!("{}:5:7", path.display())), "{errors}");

    fs::write(&path, zone(1, "www A 192.0.2.80")).expect("the file can be written");
    reload(&server, 0);
    assert_eq!(server.dig_short(&["www.example.net", "A"]), ["192.0.2.80"]);
}

#[test]
fn without_its_file_a_zone_that_takes_registrations_is_not_ready() {
    let setup = Setup::bare().config(BOTH).zone_file("sd.example.org", &zone(1, "www A nonsense"));
    let server = setup.start();
    let (status, ready) = server.http_json("GET", "/readyz", None);
    assert_eq!((status, ready["ready"].as_bool()), (503, Some(false)), "{ready}");
    assert!(ready.to_string().contains("zone sd.example.org. has no content"), "{ready}");
}

#[test]
fn a_file_that_takes_a_registered_name_wins_and_says_so() {
    let setup = Setup::bare().config(BOTH).zone_file("sd.example.org", &zone(1, ""));
    let server = setup.start();
    register(&server, "search", "a1", "192.0.2.7");
    server.setup().file("zones/sd.example.org.zone", &zone(1, "search A 192.0.2.9"));
    reload(&server, 0);
    assert_eq!(server.dig_short(&["search.sd.example.org", "A"]), ["192.0.2.9"]);
    let warnings = logged(&server, "WARN").join("\n");
    assert!(warnings.contains("a static record took a registered name"), "{warnings}");
}

#[test]
fn check_finds_the_same_without_a_server() {
    let setup = Setup::bare();
    let path = setup.file("zones/example.net.zone", &zone(1, "www A 192.0.2.300"));
    let mut command = super::support::zonebeat();
    let output = command.arg("check").arg(&path).output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains(&format!("{}:5:7", path.display())) && text.contains('^'), "{text}");
}

#[test]
fn a_registration_that_collides_is_told_file_and_line_also_after_a_reload() {
    let setup = Setup::bare().zone_file("sd.example.org", &zone(1, "mail A 192.0.2.25"));
    let server = setup.start();
    let body = json!({"port": 25, "addresses": ["192.0.2.7"]}).to_string();
    let path = server.setup().file("zones/sd.example.org.zone", &zone(1, "mail A 192.0.2.25"));
    let collide = |service: &str, line: u32| {
        let reply = server.call("PUT", &format!("/v1/services/{service}/instances/a1"), Some(&body));
        assert_eq!((reply.status, reply.word().as_str()), (409, "static-name"), "{}", reply.text());
        let place = format!("{}:{line} ", path.display());
        assert!(reply.text().contains(&place), "no {place} in {}", reply.text());
    };
    collide("mail", 5);
    fs::write(&path, zone(1, "; moved\n\nnews A 192.0.2.26")).expect("the file can be written");
    reload(&server, 0);
    collide("news", 7);
    register(&server, "mail", "a1", "192.0.2.7");
    assert_eq!(server.dig_short(&["mail.sd.example.org", "A"]), ["192.0.2.7"], "the name is free now");

    fs::write(&path, zone(1, "mail A 192.0.2.25")).expect("the file can be written");
    reload(&server, 1);
    assert_eq!(server.dig_short(&["mail.sd.example.org", "A"]), ["192.0.2.25"], "a static record wins");
}
