//! Response rate limiting as clients see it: what is limited together, what slips, and who is not limited.

#![allow(clippy::disallowed_methods)] // real processes live in real time
#![allow(clippy::unwrap_used)] // a test helper may stop the test

mod support;

use std::collections::HashMap;
use std::net::UdpSocket;
use std::time::Duration;

use support::dns::{Packet, Response, rtype, tcp};
use support::{Server, Setup, ZONE, eventually};

const ZONE_FILE: &str = "$TTL 300
@ SOA ns1 hostmaster 1 1h 10m 1w 5
 NS ns1
ns1 A 192.0.2.53
www A 192.0.2.80
alias CNAME www
*.wild TXT \"any\"
old DNAME new
sub NS ns1.sub
ns1.sub A 192.0.2.54
";

/// What ten a second allow at once; a little more when sending takes a while.
const ABOUT_TEN: std::ops::RangeInclusive<usize> = 10..=14;

/// After so much silence nothing more is on its way, on a busy machine either.
const QUIET: Duration = Duration::from_secs(1);

/// A server that limits clients of loopback too, to a few answers of each kind.
fn serve(more: &str) -> Server {
    let config = format!(
        "[dns.rate_limit]\nexempt = []\nper_name = 10\nper_zone = 10\nreferrals = 10\nerrors = 10\nwindow = \"2s\"\n{more}"
    );
    Setup::bare().config(&config).zone_file(ZONE, ZONE_FILE).start()
}

/// What came back for queries sent at once from one address of loopback: by id.
fn burst(server: &Server, from: &str, queries: &[Vec<u8>]) -> HashMap<u16, Response> {
    let socket = UdpSocket::bind((from, 0)).unwrap();
    socket.set_read_timeout(Some(QUIET)).unwrap();
    queries.iter().for_each(|query| assert_eq!(socket.send_to(query, server.dns()).unwrap(), query.len()));
    let mut room = [0; 4096];
    let answers = std::iter::from_fn(|| socket.recv(&mut room).ok().map(|len| Response(room[..len].to_vec())));
    answers.map(|answer| (answer.id(), answer)).collect()
}

fn queries(number: u16, name: impl Fn(u16) -> String, rtype: u16) -> Vec<Vec<u8>> {
    (0..number).map(|id| Packet::query(id, &name(id), rtype).edns(1232, 0, &[]).0).collect()
}

/// How many came back whole, and how many truncated.
fn count(answers: &HashMap<u16, Response>) -> (usize, usize) {
    let truncated = answers.values().filter(|answer| answer.truncated()).count();
    (answers.len() - truncated, truncated)
}

#[test]
fn answers_about_one_name_are_limited_and_every_second_slips() {
    let server = serve("");
    let asked = queries(50, |_| format!("www.{ZONE}"), rtype::A);
    let answers = burst(&server, "127.0.0.1", &asked);
    let (whole, truncated) = count(&answers);
    assert!(ABOUT_TEN.contains(&whole), "{whole} of ten a second");
    assert!((17..=20).contains(&truncated), "{truncated} of {} slip", 50 - whole);
    for (id, answer) in answers.iter().filter(|(_, answer)| answer.truncated()) {
        let query = &asked[usize::from(*id)];
        assert!(answer.0.len() <= query.len(), "{} octets for {}", answer.0.len(), query.len());
        assert_eq!((answer.rcode(), answer.count(0), answer.count(1)), (0, 1, 0));
        assert_eq!(answer.0[12..query.len() - 11], query[12..query.len() - 11], "the question comes back");
    }
    let others = burst(&server, "127.0.1.1", &queries(5, |_| format!("www.{ZONE}"), rtype::A));
    assert_eq!(count(&others), (5, 0), "another /24 is not concerned");
    for _ in 0..20 {
        assert_eq!(tcp(server.dns(), &asked[0]).count(1), 1, "who comes by TCP has shown its address");
    }
    let metrics = server.call("GET", "/metrics", None);
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    for (outcome, number) in [("dropped", 50 - whole - truncated), ("slipped", truncated), ("log-only", 0)] {
        let line = format!("{{outcome=\"{outcome}\"}} {number}");
        assert!(metrics.contains(&format!("zonebeat_dns_rate_limited_total{line}")), "{line} is not in\n{metrics}");
    }
    server.await_log("answers over UDP are being limited");
}

#[test]
fn random_names_share_the_account_of_what_answers_them() {
    let cases: [(&str, u16); 6] = [
        ("", rtype::A),        // no such name
        ("wild.", rtype::TXT), // a wildcard
        ("wild.", rtype::A),   // a wildcard without the type
        ("sub.", rtype::A),    // a referral
        ("old.", rtype::TXT),  // DNAME
        ("", rtype::AAAA),     // the same as the first: the type does not count
    ];
    for (parent, rtype) in cases {
        let server = serve("slip = 0\n");
        let names = queries(60, |id| format!("r{id}.{parent}{ZONE}"), rtype);
        let answers = burst(&server, "127.0.0.1", &names);
        assert!(ABOUT_TEN.contains(&answers.len()), "{} for {parent:?} {rtype}", answers.len());
    }
}

#[test]
fn errors_share_one_account_whatever_was_asked() {
    let server = serve("slip = 0\n");
    let mut asked = queries(30, |id| format!("r{id}.example.net"), rtype::A);
    asked.extend((30..60).map(|id| Packet::query(id, ZONE, rtype::A).count(1, 7).0));
    let answers = burst(&server, "127.0.0.1", &asked);
    assert!(ABOUT_TEN.contains(&answers.len()), "{}", answers.len());
    assert!(answers.values().all(|answer| matches!(answer.rcode(), 1 | 5)));
}

#[test]
fn a_prefix_in_debt_gets_nothing_but_what_slips_and_recovers() {
    let server = serve("per_prefix = 20\n");
    let names = |id: u16| format!("{}.{ZONE}", if id.is_multiple_of(2) { "www" } else { "ns1" });
    let first = burst(&server, "127.0.0.1", &queries(400, names, rtype::A));
    assert!(count(&first).0 <= 24, "{:?}: more than what one second allows", count(&first));
    assert!(count(&first).1 > 0, "some slip");
    eventually("the debt is forgotten", || count(&burst(&server, "127.0.0.1", &queries(1, names, rtype::A))) == (1, 0));
}

#[test]
fn limits_can_be_tried_out_and_switched_off() {
    let asked = queries(50, |_| format!("www.{ZONE}"), rtype::A);
    let server = serve("log_only = true\n");
    assert_eq!(count(&burst(&server, "127.0.0.1", &asked)), (50, 0));
    let metrics = server.call("GET", "/metrics", None);
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    let line = "zonebeat_dns_rate_limited_total{outcome=\"log-only\"} ";
    let counted: usize = metrics.split_once(line).unwrap().1.split_whitespace().next().unwrap().parse().unwrap();
    assert!((36..=40).contains(&counted), "{counted}");
    assert_eq!(count(&burst(&serve("enabled = false\n"), "127.0.0.1", &asked)), (50, 0));
    let exempt = Setup::bare().config("[dns.rate_limit]\nper_name = 10\n").zone_file(ZONE, ZONE_FILE).start();
    assert_eq!(count(&burst(&exempt, "127.0.0.1", &asked)), (50, 0), "loopback is exempt by default");
}

#[test]
fn one_second_of_ten_thousand_names_is_answered_by_default() {
    let hosts: String = (0..3000).map(|n| format!("h{n} A 192.0.2.1\n")).collect();
    let setup = Setup::bare().config("[dns.rate_limit]\nexempt = []\n");
    let server = setup.zone_file(ZONE, &format!("{ZONE_FILE}{hosts}")).start();
    let name = |id: u16| format!("{}{}.{ZONE}", if id.is_multiple_of(3) { "x" } else { "h" }, id % 3000);
    let all = queries(9000, name, rtype::A);
    let mut answered = 0;
    for part in all.chunks(100) {
        let answers = burst_until(&server, part);
        assert_eq!(count(&answers).1, 0, "none is truncated");
        answered += answers.len();
    }
    assert_eq!(answered, all.len());
}

/// The same as [`burst`], but ends with the last answer.
fn burst_until(server: &Server, queries: &[Vec<u8>]) -> HashMap<u16, Response> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    queries.iter().for_each(|query| assert_eq!(socket.send_to(query, server.dns()).unwrap(), query.len()));
    let mut room = [0; 4096];
    let answers = std::iter::from_fn(|| socket.recv(&mut room).ok().map(|len| Response(room[..len].to_vec())));
    answers.take(queries.len()).map(|answer| (answer.id(), answer)).collect()
}
