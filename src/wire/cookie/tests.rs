//! Against the examples of RFC 9018 appendix A, and with clocks that the tests wind.

use std::sync::Arc;

use super::*;
use crate::answer::{Edns, Query, Transport};
use crate::wire::decode::{Origin, decode};

fn hex<const N: usize>(text: &str) -> [u8; N] {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap()
}

fn options(secrets: &[&str]) -> CookieOptions {
    CookieOptions { secrets: secrets.iter().map(|text| hex(text)).collect(), ..CookieOptions::default() }
}

/// A query from `client`, or with `asks` false one without a question, with this COOKIE option.
fn packet(cookie: &[u8], asks: bool) -> Vec<u8> {
    let question: &[u8] = if asks { b"\x07example\x03org\0\0\x01\0\x01" } else { b"" };
    let length = |more: usize| ((cookie.len() + more) as u16).to_be_bytes();
    let header = [0x12, 0x34, 0, 0, 0, u8::from(asks), 0, 0, 0, 0, 0, 1];
    [&header, question, b"\0\0\x29\x04\xd0\0\0\0\0", &length(4), b"\0\x0a", &length(0), cookie].concat()
}

/// What a packet became.
struct Checked {
    outcome: Option<CookieOutcome>,
    verified: bool,
    rcode: Option<Rcode>,
    told: Option<[u8; 24]>,
}

fn check(cookies: &Cookies, packet: &[u8], client: &str, transport: Transport, now: u32) -> Checked {
    let mut decoded = decode(packet, Origin { transport, client: client.parse().unwrap() });
    let outcome = cookies.check_at(&mut decoded, || now);
    let told = |edns: Option<Edns>| {
        let edns = edns.expect("there is an OPT record");
        let both = [&edns.cookie?.client[..], &edns.told.cookie?].concat();
        both.try_into().ok()
    };
    match decoded {
        Decoded::Query(Query { verified, edns, .. }) => Checked { outcome, verified, rcode: None, told: told(edns) },
        Decoded::Error(ErrorReply { rcode, edns, .. }) => {
            Checked { outcome, verified: false, rcode: Some(rcode), told: told(edns) }
        }
        Decoded::Drop(reason) => panic!("dropped: {reason:?}"),
        Decoded::Signed(_) => panic!("signed"),
    }
}

/// The cookie that `cookies` gives to a client, and what it thinks of it `age` seconds later.
fn later(cookies: &Cookies, age: i32) -> Checked {
    let made = 1_700_000_000_u32;
    let first = check(cookies, &packet(b"abcdefgh", true), CLIENT, Transport::Udp, made);
    assert_eq!(first.outcome, Some(CookieOutcome::New));
    check(cookies, &packet(&first.told.unwrap(), true), CLIENT, Transport::Udp, made.wrapping_add_signed(age))
}

const CLIENT: &str = "192.0.2.7";

#[test]
fn rfc9018_a_1_a_new_cookie() {
    let cookies = Cookies::new(&options(&["e5e973e5a6b2a43f48e7dc849e37bfcf"]));
    let sent: [u8; 8] = hex("2464c4abcf10c957");
    let got = check(&cookies, &packet(&sent, true), "198.51.100.100", Transport::Udp, 1_559_731_985);
    assert_eq!(got.told, Some(hex("2464c4abcf10c957010000005cf79f111f8130c3eee29480")));
    assert_eq!((got.outcome, got.verified, got.rcode), (Some(CookieOutcome::New), false, None));
}

#[test]
fn rfc9018_a_2_the_same_client_later() {
    let cookies = Cookies::new(&options(&["e5e973e5a6b2a43f48e7dc849e37bfcf"]));
    let sent: [u8; 24] = hex("2464c4abcf10c957010000005cf79f111f8130c3eee29480");
    let got = check(&cookies, &packet(&sent, true), "198.51.100.100", Transport::Udp, 1_559_734_385);
    assert_eq!(got.told, Some(hex("2464c4abcf10c957010000005cf7a871d4a564a1442aca77")));
    assert_eq!((got.outcome, got.verified), (Some(CookieOutcome::Renewed), true));
}

#[test]
fn rfc9018_a_3_reserved_octets_are_hashed_as_they_came() {
    let cookies = Cookies::new(&options(&["e5e973e5a6b2a43f48e7dc849e37bfcf"]));
    let sent: [u8; 24] = hex("fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5");
    let got = check(&cookies, &packet(&sent, true), "203.0.113.203", Transport::Udp, 1_559_730_000);
    assert_eq!((got.outcome, got.verified), (Some(CookieOutcome::Renewed), true));
    assert_eq!(got.told.unwrap()[8..12], [1, 0, 0, 0], "ours have none");
}

#[test]
fn rfc9018_a_4_another_secret_over_ipv6() {
    let [old, new] = ["dd3bdf9344b678b185a6f5cb60fca715", "445536bcd2513298075a5d379663c962"];
    let cookies = Cookies::new(&options(&[new, old]));
    let sent: [u8; 24] = hex("22681ab97d52c298010000005cf7c57926556bd0934c72f8");
    let client = "2001:db8:220:1:59de:d0f4:8769:82b8";
    let got = check(&cookies, &packet(&sent, true), client, Transport::Udp, 1_559_741_961);
    assert_eq!(got.told, Some(hex("22681ab97d52c298010000005cf7c609a6bb79d16625507a")));
    assert_eq!((got.outcome, got.verified), (Some(CookieOutcome::Renewed), true), "by the secret before");
    let forgotten = Cookies::new(&options(&[new]));
    let got = check(&forgotten, &packet(&sent, true), client, Transport::Udp, 1_559_741_961);
    assert_eq!((got.outcome, got.verified), (Some(CookieOutcome::Bad), false));
}

#[test]
fn rfc9018_4_3_cookies_age() {
    let cookies = Cookies::default();
    for (age, outcome) in [
        (0, CookieOutcome::Valid),
        (1800, CookieOutcome::Valid),
        (1801, CookieOutcome::Renewed),
        (3600, CookieOutcome::Renewed),
        (3601, CookieOutcome::Bad),
        (-300, CookieOutcome::Valid),
        (-301, CookieOutcome::Bad),
    ] {
        let got = later(&cookies, age);
        assert_eq!((got.outcome, got.verified), (Some(outcome), outcome != CookieOutcome::Bad), "{age} s");
        assert_eq!(got.rcode, None, "answered all the same");
    }
}

#[test]
fn rfc9018_5_secrets_rotate_and_the_one_before_verifies() {
    let cookies = Cookies::default();
    let given = check(&cookies, &packet(b"abcdefgh", true), CLIENT, Transport::Udp, 7).told.unwrap();
    let again = || check(&cookies, &packet(&given, true), CLIENT, Transport::Udp, 8).outcome;
    assert_eq!(again(), Some(CookieOutcome::Valid));
    cookies.rotate();
    assert_eq!(again(), Some(CookieOutcome::Renewed));
    cookies.rotate();
    assert_eq!(again(), Some(CookieOutcome::Bad));
    cookies.replace(&[]);
    assert_eq!(later(&cookies, 1).outcome, Some(CookieOutcome::Valid), "there is always a secret");
}

#[tokio::test(start_paused = true)]
async fn a_random_secret_is_replaced_by_itself() {
    const DAY: Duration = Duration::from_secs(86_400);
    let cookies = Arc::new(Cookies::default());
    let given = check(&cookies, &packet(b"abcdefgh", true), CLIENT, Transport::Udp, 7).told.unwrap();
    let rotating = cookies.clone();
    let rotating = tokio::spawn(async move { rotating.keep_rotating(DAY).await });
    let outcomes = [CookieOutcome::Valid, CookieOutcome::Renewed, CookieOutcome::Bad];
    for outcome in outcomes {
        let got = check(&cookies, &packet(&given, true), CLIENT, Transport::Udp, 8);
        assert_eq!(got.outcome, Some(outcome));
        tokio::time::sleep(DAY + Duration::from_secs(1)).await;
    }
    rotating.abort();
}

#[test]
fn a_cookie_belongs_to_one_address_and_one_client() {
    let cookies = Cookies::default();
    let mut given = check(&cookies, &packet(b"abcdefgh", true), CLIENT, Transport::Udp, 7).told.unwrap();
    let by = |given: &[u8], client| check(&cookies, &packet(given, true), client, Transport::Udp, 7).outcome;
    assert_eq!(by(&given, CLIENT), Some(CookieOutcome::Valid));
    assert_eq!(by(&given, "192.0.2.8"), Some(CookieOutcome::Bad));
    assert_eq!(by(&given, "::ffff:192.0.2.7"), Some(CookieOutcome::Bad));
    for at in 0..24 {
        given[at] ^= 1;
        assert_eq!(by(&given, CLIENT), Some(CookieOutcome::Bad), "octet {at}");
        given[at] ^= 1;
    }
    assert_eq!(by(&given[..16], CLIENT), Some(CookieOutcome::Bad), "shorter than ours");
    assert_eq!(by(&[&given[..], &[0; 16]].concat(), CLIENT), Some(CookieOutcome::Bad), "longer than ours");
}

#[test]
fn rfc7873_5_2_3_a_required_cookie_is_given_with_badcookie_over_udp_only() {
    let cookies = Cookies::new(&CookieOptions { require: true, ..CookieOptions::default() });
    let first = check(&cookies, &packet(b"abcdefgh", true), CLIENT, Transport::Udp, 7);
    assert_eq!((first.outcome, first.rcode), (Some(CookieOutcome::New), Some(Rcode::BADCOOKIE)));
    let next = check(&cookies, &packet(&first.told.unwrap(), true), CLIENT, Transport::Udp, 7);
    assert_eq!((next.outcome, next.rcode, next.verified), (Some(CookieOutcome::Valid), None, true));
    let old = check(&cookies, &packet(&first.told.unwrap(), true), CLIENT, Transport::Udp, 7000);
    assert_eq!((old.outcome, old.rcode), (Some(CookieOutcome::Bad), Some(Rcode::BADCOOKIE)));
    let tcp = check(&cookies, &packet(b"abcdefgh", true), CLIENT, Transport::Tcp, 7);
    assert_eq!((tcp.outcome, tcp.rcode), (Some(CookieOutcome::New), None));
    let plain = b"\x12\x34\0\0\0\x01\0\0\0\0\0\x01\x07example\x03org\0\0\x01\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0";
    let plain = check(&cookies, plain, CLIENT, Transport::Udp, 7);
    assert_eq!((plain.outcome, plain.rcode), (None, None), "clients without cookies are answered");
}

#[test]
fn rfc7873_5_4_a_query_for_nothing_but_a_cookie() {
    let cookies = Cookies::default();
    let first = check(&cookies, &packet(b"abcdefgh", false), CLIENT, Transport::Udp, 7);
    assert_eq!((first.outcome, first.rcode), (Some(CookieOutcome::New), Some(Rcode::NOERROR)));
    let given = first.told.unwrap();
    let good = check(&cookies, &packet(&given, false), CLIENT, Transport::Udp, 7);
    assert_eq!((good.outcome, good.rcode), (Some(CookieOutcome::Valid), Some(Rcode::NOERROR)));
    let bad = check(&cookies, &packet(&given, false), "192.0.2.8", Transport::Udp, 7);
    assert_eq!((bad.outcome, bad.rcode), (Some(CookieOutcome::Bad), Some(Rcode::BADCOOKIE)));
    assert!(bad.told.is_some_and(|told| told[..8] == given[..8] && told != given));
}

#[test]
fn switched_off_cookies_are_neither_read_nor_given() {
    let cookies = Cookies::new(&CookieOptions { enabled: false, require: true, ..CookieOptions::default() });
    let got = check(&cookies, &packet(b"abcdefgh", true), CLIENT, Transport::Udp, 7);
    assert_eq!((got.outcome, got.rcode, got.told), (None, None, None));
    let got = check(&cookies, &packet(b"abcdefgh", false), CLIENT, Transport::Udp, 7);
    assert_eq!((got.outcome, got.rcode, got.told), (None, Some(Rcode::FORMERR), None));
}

#[test]
fn secrets_are_never_shown() {
    let options = options(&["e5e973e5a6b2a43f48e7dc849e37bfcf"]);
    let shown = format!("{options:?} {:?}", Cookies::new(&options));
    assert!(!shown.contains("229") && !shown.contains("e5") && !shown.contains("secrets"), "{shown}");
}
