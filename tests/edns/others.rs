//! Idle timeouts (RFC 7828), options that are not answered, and all options at once.

use std::time::{Duration, Instant};

use zonebeat::answer::Transport;

use super::padding::{answer, view};
use super::support::dns::{self, Packet, Response, Tcp, rtype};
use super::support::{Server, Setup, ZONE};
use super::{COOKIE, EDE, EXPIRE, FORMERR, KEEPALIVE, NSID, PADDING, ZONE_VERSION, ask, option, options};

const CLIENT_SUBNET: u16 = 8;

fn asks_timeout() -> Vec<u8> {
    ask(ZONE, rtype::SOA, KEEPALIVE, &[])
}

/// The timeout in a response, in units of 100 milliseconds.
fn timeout(response: &Response) -> Option<u16> {
    let data = options(response).1.remove(&KEEPALIVE)?;
    Some(u16::from_be_bytes(data.try_into().expect("two octets")))
}

fn over(connection: &mut Tcp, packet: &[u8]) -> Response {
    connection.send(packet).expect("the server reads");
    connection.receive().expect("the server answers")
}

#[test]
fn rfc7828_3_3_2_the_timeout_that_is_told_is_kept() {
    let server = Setup::new().config("[dns.tcp]\nidle = \"1200ms\"\n").start();
    let mut connection = Tcp::connect(server.dns());
    let quiet_since = Instant::now();
    assert_eq!(timeout(&over(&mut connection, &asks_timeout())), Some(12));
    assert!(connection.receive().is_err(), "the server closes");
    let quiet = quiet_since.elapsed();
    assert!((Duration::from_millis(1100)..Duration::from_secs(5)).contains(&quiet), "{quiet:?}");
}

#[test]
fn rfc7828_3_3_1_the_timeout_is_told_over_tcp_to_who_asks() {
    let server = Server::start();
    assert_eq!(timeout(&dns::tcp(server.dns(), &asks_timeout())), Some(100));
    assert_eq!(timeout(&dns::udp(server.dns(), &asks_timeout())), None, "UDP has none");
    let with_timeout = ask(ZONE, rtype::SOA, KEEPALIVE, &[0, 100]);
    assert_eq!(u16::from(dns::tcp(server.dns(), &with_timeout).rcode()), FORMERR);
    assert_eq!(dns::udp(server.dns(), &with_timeout).rcode(), 0, "ignored");
    let without = Packet::query(1, ZONE, rtype::SOA).edns(1232, 0, &[]).0;
    assert_eq!(timeout(&dns::tcp(server.dns(), &without)), None);
    let dig = server.dig(&[ZONE, "SOA", "+tcp", "+keepalive"]);
    assert!(dig.contains("TCP KEEPALIVE: 10.0 secs"), "{dig}");
}

#[test]
fn rfc7828_3_4_clients_are_asked_to_leave_when_connections_become_scarce() {
    let server = Setup::new().config("[dns.tcp]\nconnections = 10\n").start();
    let mut connections: Vec<Tcp> = (0..8).map(|_| Tcp::connect(server.dns())).collect();
    for connection in &mut connections {
        assert_eq!(timeout(&over(connection, &asks_timeout())), Some(100));
    }
    let mut ninth = Tcp::connect(server.dns());
    assert_eq!(timeout(&over(&mut ninth, &asks_timeout())), Some(0));
    assert_eq!(timeout(&over(&mut ninth, &asks_timeout())), Some(0), "asked, not made to");
}

#[test]
fn rfc6891_6_1_2_options_that_say_nothing_to_us_are_not_echoed() {
    let server = Server::start();
    for (code, data) in
        [(CLIENT_SUBNET, &b"\0\x01\x18\0\xc0\0\x02"[..]), (65_001, b"abc"), (PADDING, &[0; 100]), (14, b"\0\x01")]
    {
        let response = dns::udp(server.dns(), &ask(ZONE, rtype::SOA, code, data));
        let (rcode, options) = options(&response);
        assert_eq!((rcode, options.len(), response.count(1)), (0, 0, 1), "option {code}");
    }
    let dig = server.dig(&[ZONE, "SOA", "+subnet=192.0.2.0/24"]);
    assert!(dig.contains("NOERROR") && !dig.contains("CLIENT-SUBNET"), "{dig}");
}

#[test]
fn all_options_fit_into_the_smallest_answer_with_the_longest_name() {
    let config = format!("[server]\nid = \"{}\"\n", "n".repeat(63));
    let server = Setup::new().config(&config).start();
    let asked = [NSID, EXPIRE, KEEPALIVE, PADDING, ZONE_VERSION].map(|code| option(code, &[])).concat();
    let asked = [asked, option(COOKIE, b"abcdefgh")].concat();
    let long = format!("{0}.{0}.{0}.{1}.{ZONE}", "a".repeat(63), "a".repeat(46));
    let packet = Packet::query(1, &long, rtype::A).edns(512, 0, &asked).0;
    assert_eq!(packet.len(), 12 + 255 + 4 + 11 + asked.len(), "the longest name there is");
    let response = dns::udp(server.dns(), &packet);
    let (rcode, options) = options(&response);
    let lengths: Vec<_> = options.iter().map(|(code, data)| (*code, data.len())).collect();
    assert_eq!((rcode, lengths), (3, vec![(NSID, 63), (COOKIE, 24), (ZONE_VERSION, 6)]));
    assert!(!response.truncated() && response.0.len() <= 512, "{} octets", response.0.len());
}

#[test]
fn rfc8914_3_an_extended_error_goes_before_an_answer_is_truncated() {
    let mut view = view(&[100, 1120, 1230]);
    view.stale = true;
    let asked = |size: usize| {
        let packet = ask(&format!("t{size}.sd.example.org"), rtype::TXT, COOKIE, b"abcdefgh");
        let response = answer(&view, &packet, Transport::Udp);
        (response.truncated(), options(&response).1.into_keys().collect::<Vec<_>>())
    };
    assert_eq!(asked(100), (false, vec![COOKIE, EDE]), "there is room for both");
    assert_eq!(asked(1120), (false, vec![COOKIE]), "the reason is worth less than the answer");
    assert_eq!(asked(1230), (true, vec![COOKIE, EDE]), "the answer does not fit in any case");
}
