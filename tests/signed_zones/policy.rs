//! A signed zone takes no registrations: they would break its signatures.

use super::signing::{Style, sign};
use super::support::{Setup, eventually, zonebeat};

const DECLARED: &str = "[[zone]]\nname = \"example.org\"\n";

#[test]
fn the_only_zone_file_takes_no_registrations_when_it_is_signed() {
    let signed = sign(Style::Nsec);
    let (name, text) = &signed.zones[0];
    let server = Setup::bare().zone_file(name, text).start();
    let body = r#"{"port":8080,"addresses":["192.0.2.7"]}"#;
    let reply = server.call("PUT", "/v1/services/search/instances/a1", Some(body));
    assert!(reply.status >= 400 && reply.text().contains("no-zone"), "{} {}", reply.status, reply.text());
    assert!(server.log().contains("takes no registrations"), "{}", server.log());
    assert_eq!(server.dig_short(&["example.org", "SOA"])[0].split(' ').nth(2), Some("7"), "the serial of the file");
}

#[test]
fn a_declared_zone_refuses_a_signed_file_and_says_what_to_do() {
    let signed = sign(Style::Nsec);
    let (name, text) = &signed.zones[0];
    let server = Setup::bare().config(DECLARED).zone_file(name, text).start();
    let output = server.dig(&["mail.example.org", "A"]);
    assert!(output.contains("status: SERVFAIL") && output.contains("EDE: 14"), "{output}");
    let log = server.log();
    assert!(log.contains("takes registrations and is signed") && log.contains("registrations = false"), "{log}");
    let declined = format!("{DECLARED}registrations = false\n");
    let server = Setup::bare().config(&declined).zone_file(name, text).start();
    assert_eq!(server.dig_short(&["mail.example.org", "A"]), ["192.0.2.25"]);
}

#[test]
fn check_says_it_before_the_server_does() {
    let signed = sign(Style::Nsec);
    let (name, text) = &signed.zones[0];
    let setup = Setup::bare().zone_file(name, text);
    let zones = setup.file("zones/x", "").parent().expect("it has a directory").display().to_string();
    for (more, code) in [("", 1), ("registrations = false\n", 0)] {
        let config = setup.file("check.toml", &format!("zones_dir = \"{zones}\"\n{DECLARED}{more}"));
        let output = zonebeat().args(["check", "--config"]).arg(config).output().expect("the binary starts");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert_eq!(text.contains("takes registrations and is signed"), code == 1, "{text}");
    }
}

#[test]
fn a_file_that_becomes_signed_is_refused_and_the_last_good_one_stays() {
    let signed = sign(Style::Nsec);
    let (name, text) = &signed.zones[0];
    let plain = "@ 300 SOA ns1 hostmaster 1 3600 600 604800 60\n@ 300 NS ns1\nns1 300 A 192.0.2.53\n";
    let server = Setup::bare().zone_file(name, plain).start();
    server.setup().file(&format!("zones/{name}.zone"), text);
    server.signal("HUP");
    eventually("the files are loaded again", || server.log().contains("zone files loaded again"));
    assert!(server.log().contains("takes registrations and is signed"), "{}", server.log());
    assert_eq!(server.dig_short(&["ns1.example.org", "A"]), ["192.0.2.53"]);
    assert!(server.dig_short(&["mail.example.org", "A"]).is_empty(), "the signed file is not in force");
}

#[test]
fn a_signed_zone_is_explained_to_those_alone_who_want_no_signatures() {
    let signed = sign(Style::Nsec);
    let (name, text) = &signed.zones[0];
    let server = Setup::bare().config("[dns]\nexplain_to = [\"127.0.0.0/8\"]\n").zone_file(name, text).start();
    let asked = ["mail._explain.example.org", "TXT"];
    assert!(server.dig_short(&asked)[0].contains("mail.example.org is a static record"));
    for transport in ["+notcp", "+tcp"] {
        let proven = server.dig(&[&asked[..], &["+dnssec", transport]].concat());
        assert!(proven.contains("status: NXDOMAIN") && proven.contains("NSEC") && proven.contains("RRSIG"), "{proven}");
        assert!(!proven.contains("static record"), "{proven}");
    }
}
