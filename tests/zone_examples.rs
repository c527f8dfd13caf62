//! The zones in `zones/`: named-checkzone, kzonecheck and ldns-verify-zone agree with our reading of them.
//!
//! Verdict, serial, number of records, and every record in canonical form: what `named-compilezone` prints is read
//! again and compared with what we print.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use zonebeat::model::{Name, Rtype};
use zonebeat::zone::{Checks, StaticZone, digest, origin_of, parse_text, parse_zone_with};

/// 2026-12-01, within the time of the signatures.
const NOW: u32 = 1_796_083_200;

fn zones() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("zones");
    let mut zones: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("zones").map(|entry| entry.expect("entry").path()).collect();
    zones.sort();
    zones
}

/// Runs a program that has to find nothing wrong.
fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    output
}

/// Our reading, which has nothing to say.
fn ours(path: &str, origin: &Name) -> StaticZone {
    let read = |path: &str| std::fs::read(path).map_err(|error| error.to_string());
    let checks = Checks { now: Some(NOW), ..Checks::default() };
    let (zone, findings) = parse_zone_with(&checks, &read, path, origin).unwrap_or_else(|all| panic!("{all:#?}"));
    assert!(findings.is_empty(), "{findings:#?}");
    zone
}

fn serial(zone: &StaticZone) -> u32 {
    let soa = zone.records.iter().find(|stated| stated.record.rtype == Rtype::SOA).expect("SOA");
    u32::from_be_bytes(soa.record.rdata[soa.record.rdata.len() - 20..][..4].try_into().expect("four octets"))
}

/// The records as lines in canonical form, sorted.
fn lines(zone: &StaticZone) -> Vec<String> {
    let mut lines: Vec<String> = zone.records.iter().map(|stated| stated.to_string()).collect();
    lines.sort();
    lines
}

#[test]
fn bind_knot_and_ldns_agree_with_our_reading() {
    let zones = zones();
    assert!(zones.len() >= 5, "{zones:?}");
    for path in &zones {
        let path = path.to_str().expect("UTF-8");
        let origin = origin_of(path).expect("a zone's name");
        let zone = ours(path, &origin);
        let name = origin.to_string();

        let said = run("named-checkzone", &["-i", "local", "-k", "fail", &name, path]).stdout;
        let said = String::from_utf8(said).expect("UTF-8");
        assert!(said.contains(&format!("loaded serial {}", serial(&zone))), "{path}: {said}");
        let complaints = said.lines().filter(|line| *line != "OK" && !line.contains("loaded serial"));
        assert_eq!(complaints.count(), 0, "{path}: {said}");

        run("kzonecheck", &["-t", &NOW.to_string(), "-o", &name, path]);
        if zone.records.iter().any(|stated| stated.record.rtype == Rtype::RRSIG) {
            run("ldns-verify-zone", &["-t", "20261201000000", path]);
        } else {
            run("ldns-read-zone", &[path]);
        }

        let text = run("named-compilezone", &["-i", "local", "-F", "text", "-o", "-", &name, path]).stdout;
        let theirs = parse_text("BIND", &text, &origin).unwrap_or_else(|findings| panic!("{findings:#?}")).0;
        assert_eq!(lines(&zone), lines(&theirs), "{path}");
        let of = |zone: &StaticZone| digest(&zone.origin, zone.records.iter().map(|stated| &stated.record));
        assert_eq!(of(&zone), of(&theirs), "{path}");
    }
}

/// Signs the example zone anew in a directory, and gives its text.
fn signed(folder: &Path, signer: &[&str]) -> Vec<u8> {
    let zone = "\
$TTL 300
@ SOA ns h 1 3600 900 604800 300
@ NS ns
ns A 192.0.2.1
*.wild A 192.0.2.2
a.b.c TXT x
alias CNAME ns
sub NS ns.sub
ns.sub A 192.0.2.3
x.y NS ns.example.net.
secure NS ns.example.net.
secure DS 60485 13 2 2BB183AF5F22588179A53B0A98631FAD1A292118AD5F6A3B4D7F4C0E1A3D9A4E
";
    std::fs::write(folder.join("zone"), zone).expect("written");
    let in_folder = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(folder).output().expect(program);
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
    };
    let key = in_folder("dnssec-keygen", &["-q", "-a", "ECDSAP256SHA256", "-f", "KSK", "example.org"]);
    if let ["ldns", options @ ..] = signer {
        let times = ["-i", "20260101000000", "-e", "20380101000000", "-o", "example.org", "-f", "signed"];
        in_folder("ldns-signzone", &[&times[..], options, &["zone", &key]].concat());
    } else {
        let dnskey = std::fs::read_to_string(folder.join(format!("{key}.key"))).expect("key");
        std::fs::write(folder.join("zone"), format!("{zone}{dnskey}")).expect("written");
        let times = ["-q", "-z", "-s", "20260101000000", "-e", "20380101000000", "-o", "example.org", "-f", "signed"];
        in_folder("dnssec-signzone", &[&times[..], signer, &["zone", &key]].concat());
    }
    std::fs::read(folder.join("signed")).expect("signed")
}

#[test]
fn zones_that_others_sign_in_any_way_are_right() {
    let ways: [(&[&str], &[&str]); 7] = [
        (&[], &[]),
        (&["-3", "-", "-H", "0"], &[]),
        (&["-3", "-", "-H", "0", "-A"], &[]),
        (&["-3", "aabbccdd", "-H", "10"], &["NSEC3 with 10 iterations costs more"]),
        (&["-3", "aabbccdd", "-H", "150", "-A"], &["NSEC3 with 150 iterations costs more"]),
        (&["ldns"], &[]),
        (&["ldns", "-n", "-p", "-t", "200", "-s", "aabb"], &["NSEC3 with 200 iterations: validators"]),
    ];
    let origin = Name::parse_absolute("example.org").expect("name");
    for (way, expected) in ways {
        let folder = tempfile::tempdir().expect("a directory");
        let text = signed(folder.path(), way);
        let sources = |_: &str| Ok(text.clone());
        let checks = Checks { now: Some(NOW), ..Checks::default() };
        let findings = match parse_zone_with(&checks, &sources, "zone", &origin) {
            Ok((_, findings)) => findings,
            Err(findings) => panic!("{way:?}: {findings:#?}"),
        };
        let as_expected = findings.iter().zip(expected).all(|(found, wanted)| found.message.starts_with(wanted));
        assert!(findings.len() == expected.len() && as_expected, "{way:?}: {findings:#?}");
    }
}
