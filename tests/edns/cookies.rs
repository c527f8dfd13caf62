//! Cookies (RFC 7873, RFC 9018), up to those that BIND and Knot make.

use std::net::SocketAddr;
use std::time::Duration;

use super::program::{Place, Program, free_port};
use super::support::dns::{self, Packet, Response, rtype};
use super::support::{Server, Setup, ZONE, eventually};
use super::{BADCOOKIE, COOKIE, FORMERR, NOERROR, ask, option, options};

const CLIENT: &[u8; 8] = b"abcdefgh";
const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";
const OTHER_SECRET: &str = "445536bcd2513298075a5d379663c962";

fn soa(cookie: &[u8]) -> Vec<u8> {
    ask(ZONE, rtype::SOA, COOKIE, cookie)
}

/// A query without a question.
fn cookie_alone(cookie: &[u8]) -> Vec<u8> {
    let header = Packet(vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    header.edns(1232, 0, &option(COOKIE, cookie)).0
}

/// The rcode and the cookie of a response.
fn cookie(response: &Response) -> (u16, Vec<u8>) {
    let (rcode, options) = options(response);
    let cookie = options.get(&COOKIE).cloned().unwrap_or_default();
    assert!(cookie.is_empty() || cookie.len() == 24, "{cookie:02x?}");
    (rcode, cookie)
}

/// A full cookie from a server.
fn fetch(server: SocketAddr) -> Vec<u8> {
    let (_, cookie) = cookie(&dns::udp(server, &soa(CLIENT)));
    assert_eq!(cookie[..8], CLIENT[..], "the client's part comes back");
    assert_eq!(cookie[8..12], [1, 0, 0, 0], "version 1 of RFC 9018");
    cookie
}

/// What a server that requires cookies says to this one.
fn verdict(server: SocketAddr, sent: &[u8]) -> u16 {
    cookie(&dns::udp(server, &soa(sent))).0
}

fn damaged(cookie: &[u8]) -> Vec<u8> {
    let mut damaged = cookie.to_vec();
    damaged[23] ^= 1;
    damaged
}

fn with_cookies(keys: &str) -> Setup {
    Setup::new().config(&format!("[dns.cookies]\n{keys}\n"))
}

fn requiring(secrets: &[&str]) -> Server {
    with_cookies(&format!("require = true\nsecrets = {secrets:?}")).start()
}

fn counted(server: &Server, outcome: &str) -> u64 {
    let reply = server.call("GET", "/metrics", None);
    let sample = format!("zonebeat_dns_cookies_total{{outcome=\"{outcome}\"}} ");
    let line = reply.text().lines().find_map(|line| line.strip_prefix(&sample)).expect("the metric is there");
    line.parse().expect("a number")
}

#[test]
fn rfc7873_5_2_every_answer_has_a_cookie_if_the_query_had_one() {
    let server = Server::start();
    let first = fetch(server.dns());
    let again = dns::udp(server.dns(), &soa(&first));
    assert_eq!((again.count(1), cookie(&again)), (1, (NOERROR, first.clone())), "a good one stays");
    let (rcode, other) = cookie(&dns::udp(server.dns(), &soa(&damaged(&first))));
    assert_eq!((rcode, &other[..8]), (NOERROR, &first[..8]), "a bad one is as none: answered, with a good one");
    assert_ne!(other, damaged(&first));
    for (name, rcode) in [("nope.sd.example.org", 3), ("example.net", 5)] {
        assert_eq!(cookie(&dns::udp(server.dns(), &ask(name, rtype::A, COOKIE, &first))), (rcode, first.clone()));
    }
    assert_eq!(cookie(&dns::tcp(server.dns(), &soa(&first))), (NOERROR, first.clone()), "over TCP too");
    assert!(cookie(&dns::udp(server.dns(), &Packet::query(1, ZONE, rtype::SOA).edns(1232, 0, &[]).0)).1.is_empty());
    assert_eq!(["new", "valid", "bad", "renewed"].map(|outcome| counted(&server, outcome)), [1, 4, 1, 0]);
    let dig = server.dig(&[ZONE, "SOA"]);
    assert!(dig.contains("(good)"), "{dig}");
    let kdig = server.kdig(&[ZONE, "SOA", "+cookie"]);
    assert!(kdig.contains("NOERROR") && kdig.contains("COOKIE"), "{kdig}");
}

#[test]
fn rfc7873_5_2_2_a_malformed_cookie_is_formerr() {
    let server = Server::start();
    for length in [0, 1, 7, 9, 15, 41] {
        let response = dns::udp(server.dns(), &soa(&vec![7; length]));
        assert_eq!(u16::from(response.rcode()), FORMERR, "{length} octets");
    }
    for length in [16, 23, 25, 40] {
        assert_eq!(verdict(server.dns(), &vec![7; length]), NOERROR, "{length} octets: of another server");
    }
}

#[test]
fn rfc7873_5_2_3_a_required_cookie_is_asked_for_over_udp_only() {
    let server = requiring(&[]);
    let first = dns::udp(server.dns(), &soa(CLIENT));
    let (rcode, given) = cookie(&first);
    assert_eq!((rcode, first.count(0), first.count(1), first.flags()), (BADCOOKIE, 1, 0, 0x8007), "no data, no TC");
    assert_eq!(verdict(server.dns(), &given), NOERROR);
    assert_eq!(verdict(server.dns(), &damaged(&given)), BADCOOKIE);
    assert_eq!(cookie(&dns::tcp(server.dns(), &soa(CLIENT))).0, NOERROR, "TCP has shown the address");
    let plain = dns::udp(server.dns(), &Packet::query(1, ZONE, rtype::SOA).0);
    assert_eq!((plain.rcode(), plain.count(1)), (0, 1), "who knows no cookies is answered");
    let dig = server.dig(&[ZONE, "SOA", "+norecurse"]);
    assert!(dig.contains("BADCOOKIE, retrying") && dig.contains("status: NOERROR"), "{dig}");
}

#[test]
fn rfc7873_5_4_a_cookie_can_be_asked_for_alone() {
    let server = Server::start();
    let first = dns::udp(server.dns(), &cookie_alone(CLIENT));
    let (rcode, given) = cookie(&first);
    assert_eq!((rcode, first.count(0), first.count(1)), (NOERROR, 0, 0));
    assert_eq!(cookie(&dns::udp(server.dns(), &cookie_alone(&given))), (NOERROR, given.clone()));
    assert_eq!(cookie(&dns::udp(server.dns(), &cookie_alone(&damaged(&given)))).0, BADCOOKIE);
    assert_eq!(cookie(&dns::tcp(server.dns(), &cookie_alone(CLIENT))).0, NOERROR);
    let off = with_cookies("enabled = false").start();
    assert_eq!(u16::from(dns::udp(off.dns(), &cookie_alone(CLIENT)).rcode()), FORMERR);
    assert_eq!(cookie(&dns::udp(off.dns(), &soa(CLIENT))), (NOERROR, vec![]), "switched off");
}

#[test]
fn rfc9018_5_servers_with_one_secret_take_each_others_cookies() {
    let one = requiring(&[SECRET, OTHER_SECRET]);
    let two = requiring(&[OTHER_SECRET, SECRET]);
    let stranger = requiring(&[]);
    let (of_one, of_two) = (fetch(one.dns()), fetch(two.dns()));
    assert_ne!(of_one, of_two);
    assert_eq!([verdict(two.dns(), &of_one), verdict(one.dns(), &of_two)], [NOERROR; 2]);
    assert_eq!(verdict(stranger.dns(), &of_one), BADCOOKIE);
    assert_eq!(counted(&two, "renewed"), 1, "a cookie of a secret that leaves is replaced");
}

#[test]
fn rfc9018_5_secrets_of_a_file_are_replaced_at_a_hangup() {
    let setup = Setup::new();
    let file = setup.file("cookies", &format!("{SECRET} # of last year\n"));
    let config = format!("[dns.cookies]\nrequire = true\nsecret_file = {:?}\n", file.display().to_string());
    let server = setup.config(&config).start();
    let old = fetch(server.dns());
    std::fs::write(&file, format!("{OTHER_SECRET}\n{SECRET}\n")).expect("file can be written");
    server.signal("HUP");
    eventually("the new secret makes cookies", || {
        let (rcode, cookie) = cookie(&dns::udp(server.dns(), &soa(&old)));
        rcode == NOERROR && cookie != old
    });
    let new = fetch(server.dns());
    std::fs::write(&file, "not a secret\n").expect("file can be written");
    server.signal("HUP");
    let line = server.await_log("secrets of cookies not loaded");
    assert!(line.contains("cookies:1") && !line.contains("not a secret"), "{line}");
    assert_eq!([verdict(server.dns(), &new), verdict(server.dns(), &old)], [NOERROR; 2], "those before stay");
    std::fs::write(&file, format!("{OTHER_SECRET}\n")).expect("file can be written");
    server.signal("HUP");
    eventually("the old secret is forgotten", || verdict(server.dns(), &old) == BADCOOKIE);
    assert_eq!(verdict(server.dns(), &new), NOERROR);
}

#[test]
fn secrets_that_are_none_stop_the_start_and_are_not_shown() {
    for keys in ["secrets = [\"e5e973\"]", "secrets = \"e5e973\"", "secret_file = \"/nonexistent/e5e973\""] {
        let mut server = with_cookies(keys).spawn();
        assert_eq!(server.wait().code(), Some(2), "{keys}");
        eventually("it says what is wrong", || server.log().contains("secret") || server.log().contains("nonexistent"));
        assert!(keys.contains("file") || !server.log().contains("e5e973"), "{}", server.log());
    }
}

const OTHERS_ZONE: &str = "$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 5\n@ NS ns\nns A 192.0.2.53\n";

#[test]
fn rfc9018_our_cookies_are_bind_s_and_bind_s_are_ours() {
    exchanges_cookies(|port| {
        let place = Place::new();
        std::fs::write(place.path().join("zone"), OTHERS_ZONE).expect("file can be written");
        let config = format!(
            "options {{ directory \"{{dir}}\"; pid-file none; session-keyfile \"{{dir}}/key\"; recursion no;\n\
             listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; dnssec-validation no;\n\
             cookie-algorithm siphash24; cookie-secret \"{SECRET}\"; require-server-cookie yes; }};\ncontrols {{ }};\n\
             zone \"{ZONE}\" {{ type primary; file \"zone\"; }};\n"
        );
        place.start("named", &["-g", "-n", "1", "-c", "{dir}/config"], &config)
    });
}

#[test]
fn rfc9018_our_cookies_are_knot_s_and_knot_s_are_ours() {
    exchanges_cookies(|port| {
        let place = Place::new();
        std::fs::write(place.path().join("zone"), OTHERS_ZONE).expect("file can be written");
        let config = format!(
            "server:\n    listen: 127.0.0.1@{port}\n    rundir: {{dir}}\n    udp-workers: 1\n    tcp-workers: 1\n\
             database:\n    storage: {{dir}}\nlog:\n  - target: stderr\n    any: info\n\
             mod-cookies:\n  - id: shared\n    badcookie-slip: 1\n    secret: 0x{SECRET}\n\
             template:\n  - id: default\n    storage: {{dir}}\n    global-module: mod-cookies/shared\n\
             zone:\n  - domain: {ZONE}\n    file: zone\n"
        );
        place.start("knotd", &["-c", "{dir}/config"], &config)
    });
}

#[test]
fn rfc9018_nsd_s_cookies_are_ours() {
    let place = Place::new();
    std::fs::write(place.path().join("zone"), OTHERS_ZONE).expect("file can be written");
    let port = free_port();
    let config = format!(
        "server:\n  ip-address: 127.0.0.1@{port}\n  username: \"\"\n  server-count: 1\n  zonesdir: {{dir}}\n\
         \x20 database: \"\"\n  pidfile: {{dir}}/pid\n  xfrdfile: {{dir}}/xfrd\n  zonelistfile: {{dir}}/zones\n\
         \x20 xfrdir: {{dir}}\n  answer-cookie: yes\n  cookie-secret: {SECRET}\n  cookie-secret-file: \"\"\n\
         remote-control:\n  control-enable: no\nzone:\n  name: {ZONE}\n  zonefile: zone\n"
    );
    let _running = place.start("nsd", &["-d", "-c", "{dir}/config"], &config);
    let nsd = SocketAddr::from(([127, 0, 0, 1], port));
    await_answers(nsd);
    let ours = requiring(&[SECRET]);
    let of_nsd = fetch(nsd);
    assert_eq!([verdict(ours.dns(), &of_nsd), verdict(ours.dns(), &damaged(&of_nsd))], [NOERROR, BADCOOKIE]);
}

fn await_answers(server: SocketAddr) {
    eventually("the other server answers", || {
        dns::try_udp(server, &Packet::query(1, ZONE, rtype::SOA).0, Duration::from_millis(200)).is_some()
    });
}

/// Both servers have the same secret and answer only clients with a good cookie.
fn exchanges_cookies(start: impl Fn(u16) -> Program) {
    let ours = requiring(&[SECRET]);
    let port = free_port();
    let _running = start(port);
    let other = SocketAddr::from(([127, 0, 0, 1], port));
    await_answers(other);
    let (of_ours, of_other) = (fetch(ours.dns()), fetch(other));
    assert_eq!([verdict(other, CLIENT), verdict(ours.dns(), CLIENT)], [BADCOOKIE; 2], "both require them");
    assert_eq!(verdict(other, &of_ours), NOERROR, "the other server takes ours");
    assert_eq!(verdict(ours.dns(), &of_other), NOERROR, "we take the other's");
    assert_eq!([verdict(other, &damaged(&of_ours)), verdict(ours.dns(), &damaged(&of_other))], [BADCOOKIE; 2]);
}
