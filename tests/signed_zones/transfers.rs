//! A signed zone goes to secondaries whole: NSEC3 records and what it says of zones below it are in it.

use super::signing::{Style, run};
use super::support::Server;
use super::{Signed, serve, signed_in};

fn transfer(server: &Server, zone: &str) -> String {
    server.dig(&[zone, "AXFR", "+onesoa"])
}

fn has(transfer: &str, owner: &str, rtype: &str) -> bool {
    let is_it = |fields: Vec<&str>| fields.first() == Some(&owner) && fields.get(3) == Some(&rtype);
    transfer.lines().any(|line| is_it(line.split_whitespace().collect()))
}

#[test]
fn rfc5936_3_what_is_transferred_verifies() {
    for style in [Style::Nsec, Style::Nsec3, Style::OptOut] {
        let (_signed, server) = signed_in(style);
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        for zone in ["example.org", "sub.example.org"] {
            std::fs::write(folder.path().join("zone"), transfer(&server, zone)).expect("file can be written");
            run(folder.path(), "dnssec-verify", &["-q", "-o", zone, "zone"]);
        }
    }
}

#[test]
fn rfc5936_3_5_the_parent_has_the_delegation_and_its_glue_and_the_child_only_itself() {
    let (signed, server) = signed_in(Style::Nsec);
    let parent = transfer(&server, "example.org");
    let child = transfer(&server, "sub.example.org");
    for (owner, rtype) in [
        ("sub.example.org.", "NS"),
        ("sub.example.org.", "DS"),
        ("sub.example.org.", "NSEC"),
        ("ns.sub.example.org.", "A"),
        ("plain.example.org.", "NS"),
        ("ns.plain.example.org.", "A"),
    ] {
        assert!(has(&parent, owner, rtype), "{owner} {rtype}:\n{parent}");
    }
    assert!(!has(&parent, "www.sub.example.org.", "A") && !has(&parent, "sub.example.org.", "SOA"), "{parent}");
    assert!(has(&child, "www.sub.example.org.", "A") && !has(&child, "sub.example.org.", "DS"), "{child}");
    let records = |text: &str| text.lines().filter(|line| line.contains("\tIN\t")).count();
    let alone = serve(&Signed { zones: vec![signed.zones[0].clone()], key: String::new() });
    assert_eq!(records(&parent), records(&transfer(&alone, "example.org")), "the same without the zones below");
}
