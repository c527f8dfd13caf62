//! AXFR (RFC 5936): the same records for every client, in as many messages as it takes, for those who may.

use std::process::{Command, Stdio};

use serde_json::json;

use super::support::dns::{Packet, Tcp, rtype};
use super::support::{Server, Setup};
use super::{register, zone};

const ZONE: &str = "sd.example.org";
/// Instances of the large zone: several records each, far more than one message holds.
const CROWD: usize = 3000;
/// The most instances that a session may have.
const SESSION: usize = 1000;

fn start(config: &str) -> Server {
    let setup = Setup::bare().config(&format!("{config}[[zone]]\nname = \"sd.example.org\"\n"));
    let server =
        setup.zone_file(ZONE, &zone(1, "mail A 192.0.2.25\nlong TXT \"a b\" \"c\"\nodd TYPE65400 \\# 2 1234")).start();
    register(&server, "search", "a1", "192.0.2.7");
    register(&server, "search", "a2", "192.0.2.8");
    server
}

/// The records in a client's output, in one form and sorted: owner, TTL, type, data.
fn records(output: &str) -> Vec<String> {
    let lines = output.lines().filter(|line| !line.starts_with(';') && line.split_whitespace().count() > 4);
    let mut records: Vec<String> = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    records.sort();
    records
}

fn drill(server: &Server, args: &[&str]) -> String {
    let mut command = Command::new("drill");
    command.args(["-p", &server.dns().port().to_string()]).args(args).arg(format!("@{}", server.dns().ip()));
    let output = command.stdin(Stdio::null()).output().expect("drill is installed; run `make setup`");
    String::from_utf8(output.stdout).expect("the output is text")
}

#[test]
fn rfc5936_2_2_dig_kdig_and_drill_get_the_same_zone() {
    let server = start("");
    let dig = records(&server.dig(&[ZONE, "AXFR"]));
    assert_eq!(dig, records(&server.kdig(&[ZONE, "AXFR"])));
    assert_eq!(dig, records(&drill(&server, &[ZONE, "AXFR"])));
    let soa = dig.iter().filter(|record| record.contains(" IN SOA ")).count();
    assert_eq!(soa, 2, "the SOA begins and ends it: {dig:#?}");
    for record in [
        "mail.sd.example.org. 300 IN A 192.0.2.25",
        "_search._tcp.sd.example.org. 30 IN SRV 10 100 8080 a2.search.sd.example.org.",
        "a1.search.sd.example.org. 30 IN A 192.0.2.7",
        "odd.sd.example.org. 300 IN TYPE65400 \\# 2 1234",
    ] {
        assert!(dig.iter().any(|line| line == record), "no {record} in {dig:#?}");
    }
}

#[test]
fn every_record_of_a_transfer_is_answered_and_says_the_same() {
    let server = start("");
    for record in records(&server.dig(&[ZONE, "AXFR"])) {
        let words: Vec<&str> = record.splitn(5, ' ').collect();
        let answered = records(&server.dig(&[words[0], words[3], "+norecurse"]));
        assert!(answered.contains(&record), "{record} is not in {answered:?}");
    }
}

#[test]
fn only_configured_prefixes_may_transfer() {
    let server = start("[dns]\ntransfer_from = [\"192.0.2.0/24\"]\n");
    let dig = server.dig(&[ZONE, "AXFR"]);
    assert!(dig.contains("Transfer failed"), "{dig}");
    let mut connection = Tcp::connect(server.dns());
    connection.send(&Packet::query(1, ZONE, rtype::AXFR).0).expect("the server reads");
    let refused = connection.receive().expect("a refusal is an answer");
    assert_eq!((refused.rcode(), refused.count(1)), (5, 0));
    let other = start("[dns]\ntransfer_from = [\"127.0.0.2/32\"]\n");
    assert!(other.dig(&[ZONE, "AXFR"]).contains("Transfer failed"));
    assert!(records(&other.dig(&[ZONE, "AXFR", "-b", "127.0.0.2"])).len() > 10);
    let unknown = other.dig(&["example.net", "AXFR", "-b", "127.0.0.2"]);
    assert!(unknown.contains("Transfer failed"), "{unknown}");
    let below = other.dig(&["search.sd.example.org", "AXFR", "-b", "127.0.0.2"]);
    assert!(below.contains("Transfer failed"), "only whole zones: {below}");
}

#[test]
fn a_large_zone_comes_in_several_messages_from_one_view() {
    let server = Setup::bare().config("[[zone]]\nname = \"sd.example.org\"\n").start();
    for session in 0..CROWD / SESSION {
        let instance = |n: usize| {
            let registration = json!({"port": 8080, "addresses": [format!("198.51.{}.{}", n / 250, n % 250 + 1)]});
            json!({"service": format!("s{}", n / 100), "id": format!("i{n}"), "registration": registration})
        };
        let instances: Vec<_> = (session * SESSION..(session + 1) * SESSION).map(instance).collect();
        let body = json!({"epoch": "1", "lease_seconds": 600, "instances": instances});
        let (status, reply) = server.http_json("PUT", &format!("/v1/sessions/host-{session}"), Some(body));
        assert!(status < 300, "{status} {}", reply["detail"]);
    }

    let mut connection = Tcp::connect(server.dns());
    connection.send(&Packet::query(9, ZONE, rtype::AXFR).0).expect("the server reads");
    let (mut messages, mut soas, mut hosts) = (0, 0, 0);
    while soas < 2 {
        let response = connection.receive().expect("the transfer goes on until the second SOA");
        assert_eq!((response.id(), response.rcode()), (9, 0));
        let message = response.message();
        messages += 1;
        soas += message.answers.iter().filter(|record| u16::from(record.record_type()) == rtype::SOA).count();
        hosts += message.answers.iter().filter(|record| u16::from(record.record_type()) == rtype::SRV).count();
        if messages == 1 {
            register(&server, "late", "l1", "192.0.2.99");
        }
    }
    assert!(messages >= 3, "{messages} messages");
    assert_eq!(hosts, 2 * CROWD, "every instance at its service and at its own name, and nothing of a later view");

    let all = |output: String| records(&output);
    let dig = all(server.dig(&[ZONE, "AXFR"]));
    assert_eq!(dig.len(), all(server.kdig(&[ZONE, "AXFR"])).len());
    assert!(dig.iter().any(|record| record.starts_with("l1.late.sd.example.org.")), "the next transfer has it");
}
