//! What stands in which section of an answer to a query with DO (RFC 4035 section 3.1, RFC 5155 section 7.2).

use super::signed_in;
use super::signing::{self, Style};
use super::support::{Server, Setup};

/// Records of an answer as `section owner type`, signatures as `section owner RRSIG type`; sorted. Hashed owners are
/// shown as `hash`.
fn sections(server: &Server, args: &[&str]) -> Vec<String> {
    let output = server.dig(&[args, &["+noall", "+comments", "+answer", "+authority", "+additional"]].concat());
    let (mut section, mut lines) = (String::new(), Vec::new());
    for line in output.lines() {
        if let Some((name, _)) = line.strip_prefix(";; ").and_then(|rest| rest.split_once(" SECTION:")) {
            section = name.to_lowercase();
            continue;
        }
        let fields: Vec<&str> = line.split_whitespace().collect();
        if let [owner, _, "IN", rtype, data, ..] = fields[..] {
            let owner = if owner.len() > 32 { "hash" } else { owner.trim_end_matches("example.org.") };
            let covered = if rtype == "RRSIG" { data } else { "" };
            lines.push(format!("{section} {owner} {rtype} {covered}").trim_end().to_owned());
        }
    }
    lines.sort();
    lines
}

fn expect(server: &Server, args: &[&str], expected: &[&str]) {
    let mut expected: Vec<String> = expected.iter().map(|line| (*line).to_owned()).collect();
    expected.sort();
    assert_eq!(sections(server, args), expected, "{args:?}");
}

#[test]
fn rfc4035_3_1_signatures_stand_beside_what_they_sign_and_only_with_do() {
    let (_signed, server) = signed_in(Style::Nsec);
    expect(&server, &["mail.example.org", "A"], &["answer mail. A"]);
    expect(&server, &["mail.example.org", "A", "+dnssec"], &["answer mail. A", "answer mail. RRSIG A"]);
    let mx = ["answer  MX", "answer  RRSIG MX", "additional mail. A", "additional mail. RRSIG A"];
    expect(&server, &["example.org", "MX", "+dnssec"], &mx);
    expect(&server, &["nope.example.org", "A"], &["authority  SOA"]);
    let renamed = [
        "answer old. DNAME",
        "answer old. RRSIG DNAME",
        "answer a.old. CNAME",
        "answer a.new. A",
        "answer a.new. RRSIG A",
    ];
    expect(&server, &["a.old.example.org", "A", "+dnssec"], &renamed);
}

#[test]
fn rfc4035_3_1_3_nsec_proves_what_is_not_there() {
    let (_signed, server) = signed_in(Style::Nsec);
    let soa = ["authority  SOA", "authority  RRSIG SOA"];
    let no = |args: &[&str], proof: &[&str]| expect(&server, &[args, &["+dnssec"]].concat(), &[&soa, proof].concat());
    no(&["mail.example.org", "AAAA"], &["authority mail. NSEC", "authority mail. RRSIG NSEC"]);
    no(&["er.example.org", "TXT"], &["authority dangling. NSEC", "authority dangling. RRSIG NSEC"]);
    let nope = ["authority a.new. NSEC", "authority a.new. RRSIG NSEC", "authority  NSEC", "authority  RRSIG NSEC"];
    no(&["nope.example.org", "A"], &nope);
    no(&["lab.example.org", "DS"], &["authority lab. NSEC", "authority lab. RRSIG NSEC"]);
    no(&["plain.example.org", "DS"], &["authority plain. NSEC", "authority plain. RRSIG NSEC"]);
    let wild = ["authority *.wild. NSEC", "authority *.wild. RRSIG NSEC"];
    let other = ["authority sub.wild. NSEC", "authority sub.wild. RRSIG NSEC"];
    no(&["x.wild.example.org", "AAAA"], &[wild, other].concat());
    let expanded = ["answer x.wild. A", "answer x.wild. RRSIG A"];
    expect(&server, &["x.wild.example.org", "A", "+dnssec"], &[expanded, other].concat());
    let signatures = ["answer mail. RRSIG A", "answer mail. RRSIG NSEC"];
    expect(&server, &["mail.example.org", "RRSIG"], &signatures);
    expect(&server, &["mail.example.org", "NSEC"], &["answer mail. NSEC"]);
}

#[test]
fn rfc4035_3_1_4_a_referral_says_whether_the_child_is_signed() {
    let (_signed, server) = signed_in(Style::Nsec);
    let glue = |label: &str| [format!("authority {label}. NS"), format!("additional ns.{label}. A")];
    let refer = |args: &[&str], label: &str, rest: &[&str]| {
        let glue = glue(label);
        let glue: Vec<&str> = glue.iter().map(String::as_str).collect();
        expect(&server, args, &[&glue, rest].concat());
    };
    refer(&["host.safe.example.org", "A"], "safe", &[]);
    let ds = ["authority safe. DS", "authority safe. RRSIG DS"];
    refer(&["host.safe.example.org", "A", "+dnssec"], "safe", &ds);
    let proof = ["authority lab. NSEC", "authority lab. RRSIG NSEC"];
    refer(&["host.lab.example.org", "A", "+dnssec"], "lab", &proof);
    expect(&server, &["safe.example.org", "DS", "+dnssec"], &["answer safe. DS", "answer safe. RRSIG DS"]);
    expect(&server, &["sub.example.org", "DS", "+dnssec"], &["answer sub. DS", "answer sub. RRSIG DS"]);
    expect(&server, &["sub.example.org", "TYPE65400"], &["authority sub. SOA"]);
}

#[test]
fn rfc5155_7_2_nsec3_proofs_have_as_many_records_as_they_need() {
    for (style, cases) in [
        (
            Style::Nsec3,
            [("lab", "DS", 1), ("host.lab", "A", 1), ("nope", "A", 3), ("er", "TXT", 1), ("x.wild", "A", 1)],
        ),
        (
            Style::OptOut,
            [("lab", "DS", 2), ("host.lab", "A", 2), ("nope", "A", 3), ("er", "TXT", 1), ("x.wild", "A", 1)],
        ),
    ] {
        let (_signed, server) = signed_in(style);
        for (label, rtype, most) in cases {
            let lines = sections(&server, &[&format!("{label}.example.org"), rtype, "+dnssec"]);
            let count = |what: &str| lines.iter().filter(|line| *line == what).count();
            let (records, signatures) = (count("authority hash NSEC3"), count("authority hash RRSIG NSEC3"));
            assert_eq!(records, signatures, "{label} {rtype}: {lines:?}");
            assert!((1..=most).contains(&records), "{label} {rtype} in {style:?}: {lines:?}");
        }
    }
}

#[test]
fn rfc5155_7_2_8_hashed_owners_are_no_names() {
    let (signed, server) = signed_in(Style::Nsec3);
    let line = signed.zones[0].1.lines().find(|line| line.contains("NSEC3\t") || line.contains("NSEC3 "));
    let owner = line.and_then(|line| line.split_whitespace().next()).expect("an NSEC3 record");
    let owner = owner.trim_end_matches(".example.org.").to_owned() + ".example.org.";
    for rtype in ["A", "NSEC3", "RRSIG"] {
        let output = server.dig(&[&owner, rtype, "+dnssec"]);
        assert!(output.contains("status: NXDOMAIN"), "{output}");
    }
}

#[test]
fn rfc8482_4_1_any_of_a_signed_zone_is_one_signed_set() {
    let (_signed, server) = signed_in(Style::Nsec);
    expect(&server, &["mail.example.org", "ANY", "+dnssec", "+notcp"], &["answer mail. A", "answer mail. RRSIG A"]);
    expect(&server, &["mail.example.org", "ANY", "+notcp"], &["answer mail. HINFO"]);
}

#[test]
fn rfc4035_3_1_6_cd_is_copied_and_ad_is_never_set() {
    let (_signed, server) = signed_in(Style::Nsec);
    let output = server.dig(&["mail.example.org", "A", "+dnssec", "+cdflag", "+adflag"]);
    assert!(output.contains(";; flags: qr aa rd cd;"), "{output}");
}

#[test]
fn rfc4035_3_1_1_signatures_of_addresses_go_before_the_addresses() {
    let (_signed, server) = signed_in(Style::Nsec);
    let all = server.dig(&["example.org", "NS", "+dnssec", "+bufsize=1232"]);
    assert!(all.contains("RRSIG\tAAAA"), "{all}");
    for size in (512..700).step_by(8) {
        let output = server.dig(&["example.org", "MX", "+dnssec", &format!("+bufsize={size}"), "+ignore"]);
        let has = |part: &str| output.contains(part);
        assert!(!has(";; flags: qr aa tc") && has("RRSIG\tMX"), "{size}: {output}");
    }
    let (_signed, server) = signed_in(Style::Nsec3);
    let short = server.dig(&["nope.example.org", "A", "+dnssec", "+bufsize=512", "+ignore"]);
    assert!(short.contains(";; flags: qr aa tc"), "a proof that does not fit is fetched over TCP: {short}");
}

#[test]
fn rfc4035_3_1_3_a_zone_of_ours_without_delegation_makes_no_names_that_cannot_be_proved() {
    let signed = signing::sign(Style::Nsec);
    let below = "$TTL 300\n@ SOA ns h 1 3600 600 604800 60\n@ NS ns\nns A 192.0.2.70\nwww A 192.0.2.71\n";
    let zones = signed.zones.iter().fold(Setup::bare(), |setup, (name, text)| setup.zone_file(name, text));
    let server = zones.zone_file("x.deep.wild.example.org", below).start();
    let proof = ["authority *.wild. NSEC", "authority *.wild. RRSIG NSEC"];
    let deep = ["answer deep.wild. A", "answer deep.wild. RRSIG A"];
    expect(&server, &["deep.wild.example.org", "A", "+dnssec"], &[deep, proof].concat());
    let beside = ["answer y.deep.wild. A", "answer y.deep.wild. RRSIG A"];
    expect(&server, &["y.deep.wild.example.org", "A", "+dnssec"], &[beside, proof].concat());
    expect(&server, &["www.x.deep.wild.example.org", "A", "+dnssec"], &["answer www.x.deep.wild. A"]);
    expect(&server, &["nope.x.deep.wild.example.org", "A"], &["authority x.deep.wild. SOA"]);
}
