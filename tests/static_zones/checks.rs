//! `zonebeat check --server` beside a running server: what an operator sees before a reload.

use std::path::Path;
use std::process::Output;

use super::support::{Setup, zonebeat};
use super::{register, reload, zone};

const SERVICES: &str = "sd.example.org";
const STATIC: &str = "example.net";

/// Exit code, standard output and standard error.
fn check(server: &str, folder: &Path) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        zonebeat().args(["check", "--server", server]).arg(folder).output().expect("it starts");
    let text = |octets| String::from_utf8(octets).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn a_check_beside_the_server_says_what_secondaries_will_see() {
    let setup = Setup::bare().config("[[zone]]\nname = \"sd.example.org\"\n");
    let setup = setup.zone_file(SERVICES, &zone(100, "")).zone_file(STATIC, &zone(7, "www A 192.0.2.80"));
    let server = setup.start();
    register(&server, "search", "a1", "192.0.2.7");
    let (url, zones) = (server.url(), server.setup().file("zones/example.net.zone", &zone(7, "www A 192.0.2.80")));
    let zones = zones.parent().expect("a folder");

    let (code, out, err) = check(&url, zones);
    assert_eq!((code, err.as_str()), (Some(0), ""), "registrations are no difference: {out}");
    assert_eq!(out.matches(", unchanged\n").count(), 2, "{out}");

    server.setup().file("zones/example.net.zone", &zone(7, "www A 192.0.2.81"));
    server.setup().file("zones/sd.example.org.zone", &zone(100, "mail A 192.0.2.25"));
    let (code, out, err) = check(&url, zones);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("and the serial is 7 in both") && err.matches("warning:").count() == 1, "{err}");
    assert!(out.contains("changed; the server counts the serial on"), "{out}");

    server.setup().file("zones/example.net.zone", &zone(8, "www A 192.0.2.81"));
    assert!(check(&url, zones).1.contains("serial moves on from 7"));
    reload(&server, 0);
    let (code, out, _) = check(&url, zones);
    assert_eq!((code, out.matches(", unchanged\n").count()), (Some(0), 2), "the reload took the files: {out}");

    server.setup().file("zones/example.net.zone", &zone(7, "www A 192.0.2.81"));
    let (code, _, err) = check(&url, zones);
    assert_eq!(code, Some(1));
    assert!(err.contains("error: serial 7 is lower than 8") && err.contains("write 9 or more"), "{err}");
}

#[test]
fn a_server_that_does_not_reply_is_a_failure() {
    let folder = tempfile::tempdir().expect("a directory");
    std::fs::write(folder.path().join("example.net.zone"), zone(7, "")).expect("written");
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address").to_string();
    drop(socket);
    let (code, _, err) = check(&address, folder.path());
    assert_eq!(code, Some(1));
    assert!(err.contains(&address) && err.contains("is `zonebeat serve` running there?"), "{err}");
}
