//! How much fits: 512 octets without EDNS, 1232 at most, more for some prefixes, everything over TCP; the additional
//! section goes first, then the whole answer. And what only many answers show: rotation and constant TTLs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::support::dns::{self, Packet, Response, rtype};
use crate::support::{Server, Setup, Shared};

/// Instances whose SRV records alone fit into 1232 octets.
const SOME: usize = 25;
/// Instances that fit into 8192 octets with their addresses, and not into 1232 at all.
const MANY: usize = 100;
/// Instances that need a TCP answer beyond the reach of compression pointers.
const CROWD: usize = 450;

/// Clients at 127.0.0.2 may have 8192 octets.
static SHARED: Shared = Shared::new(start);

fn start() -> Server {
    let config = "[[zone]]\nname = \"sd.example.org\"\n[[dns.udp_max_for]]\nprefix = \"127.0.0.2/32\"\nsize = 8192\n";
    let server = Setup::bare().config(config).start();
    for (service, count) in [("pair", 2), ("some", SOME), ("many", MANY), ("crowd", CROWD)] {
        let instance = |n: usize| {
            let registration = json!({"port": 8000 + n, "addresses": [format!("198.51.{}.{}", n / 250, n % 250 + 1)]});
            json!({"service": service, "id": format!("i{n:03}"), "registration": registration})
        };
        let instances: Vec<_> = (0..count).map(instance).collect();
        let body = json!({"epoch": "1", "lease_seconds": 600, "instances": instances});
        let (status, reply) = server.http_json("PUT", &format!("/v1/sessions/{service}"), Some(body));
        assert!(status < 300, "{reply}");
    }
    server
}

fn counts(output: &str) -> (usize, usize) {
    let of = |name: &str| {
        let rest = output.split(name).nth(1).unwrap_or_else(|| panic!("no {name} in {output}"));
        rest.split([',', '\n']).next().and_then(|n| n.trim().parse().ok()).expect("a count follows")
    };
    (of("ANSWER: "), of("ADDITIONAL: "))
}

fn is_truncated(output: &str) -> bool {
    output.lines().any(|line| line.starts_with(";; flags:") && line.contains(" tc"))
}

fn ask(server: &Server, name: &str, rtype: u16, size: Option<u16>) -> Response {
    let packet = Packet::query(1, name, rtype);
    let packet = size.into_iter().fold(packet, |packet, size| packet.edns(size, 0, &[]));
    dns::udp(server.dns(), &packet.0)
}

#[test]
fn rfc2181_9_the_additional_section_goes_first() {
    let server = SHARED.get();
    let output = server.dig(&["_some._tcp.sd.example.org", "SRV", "+ignore"]);
    assert!(!is_truncated(&output), "{output}");
    assert_eq!(counts(&output), (SOME, 1), "only OPT is left in additional: {output}");
    let whole = server.dig(&["_some._tcp.sd.example.org", "SRV", "+tcp"]);
    assert_eq!(counts(&whole), (SOME, SOME + 1), "{whole}");
}

#[test]
fn rfc2181_9_then_nothing_is_left_and_tc_is_set() {
    let server = SHARED.get();
    let output = server.dig(&["_many._tcp.sd.example.org", "SRV", "+ignore"]);
    assert!(is_truncated(&output) && output.contains("aa"), "{output}");
    assert_eq!(counts(&output), (0, 1), "{output}");
}

#[test]
fn rfc7766_5_dig_comes_back_over_tcp_and_gets_everything() {
    let server = SHARED.get();
    for (name, count) in [("_many._tcp.sd.example.org", MANY), ("_crowd._tcp.sd.example.org", CROWD)] {
        let output = server.dig(&[name, "SRV"]);
        assert!(output.contains("Truncated, retrying in TCP mode"), "{output}");
        assert_eq!(counts(&output), (count, count + 1), "{output}");
        let targets: BTreeSet<_> = output.lines().filter(|line| line.contains("\tSRV\t")).collect();
        assert_eq!(targets.len(), count, "every instance has its own target");
        let kdig = server.kdig(&[name, "SRV", "+tcp"]);
        assert!(kdig.contains(&format!("ANSWER: {count}; AUTHORITY: 0; ADDITIONAL: {count}")), "{kdig}");
    }
}

#[test]
fn every_target_has_its_own_address_wherever_the_set_starts() {
    let server = SHARED.get();
    for count in [SOME, MANY, CROWD] {
        let service = match count {
            SOME => "some",
            MANY => "many",
            _ => "crowd",
        };
        let expected: BTreeMap<String, String> = (0..count)
            .map(|n| (format!("i{n:03}.{service}.sd.example.org."), format!("198.51.{}.{}", n / 250, n % 250 + 1)))
            .collect();
        for _ in 0..20 {
            let packet = Packet::query(1, &format!("_{service}._tcp.sd.example.org"), rtype::SRV);
            let message = dns::tcp(server.dns(), &packet.0).message();
            let addresses = message.additionals.iter().map(|record| (record.name.to_string(), record.data.to_string()));
            assert_eq!(addresses.collect::<BTreeMap<_, _>>(), expected);
        }
    }
}

#[test]
fn rfc1035_4_2_1_without_edns_512_octets_are_the_most() {
    let server = SHARED.get();
    for (name, rtype) in [("_some._tcp.sd.example.org", rtype::SRV), ("some.sd.example.org", rtype::A)] {
        let response = ask(&server, name, rtype, None);
        assert!(response.0.len() <= 512, "{} octets", response.0.len());
    }
    let srv = ask(&server, "_some._tcp.sd.example.org", rtype::SRV, None);
    assert!(srv.truncated() && srv.count(1) == 0 && srv.count(3) == 0, "{:?}", srv.message());
    let a = ask(&server, "some.sd.example.org", rtype::A, None);
    assert!(!a.truncated() && usize::from(a.count(1)) == SOME, "{:?}", a.message());
}

#[test]
fn rfc6891_6_2_5_the_smaller_of_both_limits_counts() {
    let server = SHARED.get();
    for (size, fits) in [(0, false), (512, false), (1100, false), (1232, true), (4096, true), (65_535, true)] {
        let response = ask(&server, "_some._tcp.sd.example.org", rtype::SRV, Some(size));
        assert_eq!(!response.truncated(), fits, "at {size}: {} octets", response.0.len());
        assert!(response.0.len() <= usize::from(size.clamp(512, 1232)), "at {size}: {} octets", response.0.len());
        let edns = response.message().edns.expect("EDNS is answered with EDNS");
        assert_eq!(edns.max_payload(), 1232, "the server's own limit");
    }
    assert!(ask(&server, "_many._tcp.sd.example.org", rtype::SRV, Some(65_535)).truncated());
}

#[test]
fn a_prefix_may_have_larger_answers() {
    let server = SHARED.get();
    let args = ["_many._tcp.sd.example.org", "SRV", "+ignore"];
    let large = server.dig(&[&args[..], &["-b", "127.0.0.2", "+bufsize=8192"]].concat());
    assert_eq!((is_truncated(&large), counts(&large)), (false, (MANY, MANY + 1)), "{large}");
    let modest = server.dig(&[&args[..], &["-b", "127.0.0.2", "+bufsize=1232"]].concat());
    assert!(is_truncated(&modest), "what the client takes counts as well: {modest}");
    let other = server.dig(&[&args[..], &["-b", "127.0.0.3", "+bufsize=8192"]].concat());
    assert!(is_truncated(&other), "{other}");
}

#[test]
fn sets_start_at_another_record_from_answer_to_answer() {
    let server = SHARED.get();
    for (name, rtype, count) in [("_pair._tcp.sd.example.org", rtype::SRV, 2), ("some.sd.example.org", rtype::A, SOME)]
    {
        let mut firsts = BTreeMap::new();
        for _ in 0..20 * count {
            let message = ask(&server, name, rtype, Some(1232)).message();
            *firsts.entry(message.answers[0].data.to_string()).or_insert(0) += 1;
        }
        assert_eq!(firsts.len(), count, "every record came first once: {firsts:?}");
        assert!(firsts.values().all(|times| (5..=60).contains(times)), "about equally often: {firsts:?}");
    }
}

#[test]
fn successive_answers_start_with_another_record_whichever_worker_gives_them() {
    let server = SHARED.get();
    let first = || ask(&server, "pair.sd.example.org", rtype::A, Some(1232)).message().answers[0].data.to_string();
    let firsts: Vec<String> = (0..20).map(|_| first()).collect();
    assert!(firsts.windows(2).all(|pair| pair[0] != pair[1]), "{firsts:?}");
}

#[test]
fn ttls_are_constant() {
    let server = SHARED.get();
    let ttls = |_| {
        let message = ask(&server, "_pair._tcp.sd.example.org", rtype::SRV, Some(1232)).message();
        message.answers.iter().chain(&message.additionals).map(|record| record.ttl).collect::<BTreeSet<_>>()
    };
    let seen: BTreeSet<u32> = (0..20).flat_map(ttls).collect();
    assert_eq!(seen, BTreeSet::from([30]));
}

#[test]
fn rfc7766_6_2_1_queries_of_one_connection_are_all_answered() {
    let server = SHARED.get();
    let mut connection = dns::Tcp::connect(server.dns());
    for id in 0..50 {
        connection.send(&Packet::query(id, "_many._tcp.sd.example.org", rtype::SRV).0).expect("the server reads");
    }
    let ids: BTreeSet<u16> = (0..50).map(|_| connection.receive().expect("an answer each").id()).collect();
    assert_eq!(ids.len(), 50);
}

#[test]
fn rfc1035_4_1_4_a_referral_to_thirteen_servers_fits_without_edns() {
    let servers: Vec<char> = ('a'..='m').collect();
    let mut text = String::from("$TTL 300\n@ SOA a.gtld-servers.test. nstld 1 1h 10m 1w 5\n@ NS ns.example.net.\n");
    for (n, server) in servers.iter().enumerate() {
        text += &format!("com NS {server}.gtld-servers.net\n{server}.gtld-servers.net A 192.0.2.{n}\n");
        text += &format!("{server}.gtld-servers.net AAAA 2001:db8::{n}\n");
    }
    let server = Setup::bare().config("[[zone]]\nname = \"sd.example.org\"\n").zone_file("root", &text).start();
    let response = dns::udp(server.dns(), &Packet::query(1, "www.example.com.root", rtype::A).0);
    assert!(!response.truncated() && response.0.len() <= 512, "{} octets", response.0.len());
    assert_eq!(usize::from(response.count(2)), servers.len(), "{:?}", response.message());
    assert!(response.count(3) >= 10, "as many addresses as fit: {:?}", response.message());
}

#[test]
fn rfc9471_3_glue_below_the_delegation_fits_or_tc_is_set() {
    let mut text = String::from("$TTL 300\n@ SOA ns hostmaster 1 1h 10m 1w 5\n@ NS ns.example.net.\n");
    for n in 0..20 {
        text += &format!("lab NS ns{n}.lab\nns{n}.lab AAAA 2001:db8::{n}\n");
    }
    let server = Setup::bare().config("[[zone]]\nname = \"sd.example.org\"\n").zone_file("example", &text).start();
    let packet = Packet::query(1, "www.lab.example", rtype::A);
    let response = dns::udp(server.dns(), &packet.0);
    assert!(response.truncated(), "{:?}", response.message());
    let whole = dns::tcp(server.dns(), &packet.0);
    assert_eq!((whole.count(2), whole.count(3)), (20, 20));
}
