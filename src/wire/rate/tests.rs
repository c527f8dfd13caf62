#![allow(clippy::disallowed_methods)] // because these tests read the clock as a worker does

use super::*;

fn client(text: &str) -> IpAddr {
    text.parse().expect("test address")
}

fn rates(settings: RateLimit) -> (Rates, Moment) {
    let rates = Rates::new(&settings, 7).expect("limits are on");
    let now = rates.moment(Instant::now());
    (rates, now)
}

fn charge(rates: &Rates, from: IpAddr, kind: Kind, name: &[u8], now: Moment) -> Verdict {
    match rates.charge_prefix(from, now) {
        Verdict::Pass => rates.charge_name(from, kind, name, now),
        limited => limited,
    }
}

fn passed(rates: &Rates, from: &str, kind: Kind, name: &[u8], now: Moment, tries: usize) -> usize {
    let passes = |_: &usize| charge(rates, client(from), kind, name, now) == Verdict::Pass;
    (0..tries).filter(passes).count()
}

#[test]
fn clients_of_a_prefix_share_accounts_and_others_do_not() {
    let (rates, now) = rates(RateLimit { per_name: 10, ..RateLimit::default() });
    assert_eq!(passed(&rates, "192.0.2.1", Kind::Name, b"\x01a\0", now, 20), 10);
    assert_eq!(passed(&rates, "192.0.2.200", Kind::Name, b"\x01a\0", now, 5), 0);
    assert_eq!(passed(&rates, "192.0.2.1", Kind::Name, b"\x01b\0", now, 5), 5);
    assert_eq!(passed(&rates, "198.51.100.1", Kind::Name, b"\x01a\0", now, 5), 5);
    assert_eq!(passed(&rates, "2001:db8:0:1::1", Kind::Name, b"\x01a\0", now, 20), 10);
    assert_eq!(passed(&rates, "2001:db8:0:1f::9", Kind::Name, b"\x01a\0", now, 5), 0, "the same /56");
    assert_eq!(passed(&rates, "2001:db8:0:100::1", Kind::Name, b"\x01a\0", now, 5), 5);
}

#[test]
fn every_second_suppressed_answer_slips() {
    let (rates, now) = rates(RateLimit { per_name: 4, ..RateLimit::default() });
    passed(&rates, "192.0.2.1", Kind::Name, b"\0", now, 4);
    let verdicts: Vec<_> = (0..4).map(|_| charge(&rates, client("192.0.2.1"), Kind::Name, b"\0", now)).collect();
    assert_eq!(verdicts, [Verdict::Drop, Verdict::Slip, Verdict::Drop, Verdict::Slip]);
}

/// What a resolver with 10,000 names a second asks in ten seconds: each name once, a third of them not there.
#[test]
fn a_resolver_with_ten_thousand_names_a_second_is_not_limited() {
    let (rates, start) = rates(RateLimit::default());
    for n in 0..100_000_u64 {
        let now = Moment(start.0 + n / 64 * 64 * (SECOND / 10_000));
        let (kind, name) = match n % 3 {
            0 => (Kind::NoName, b"zone".to_vec()),
            1 => (Kind::NoData, b"zone".to_vec()),
            _ => (Kind::Name, n.to_be_bytes().to_vec()),
        };
        assert_eq!(charge(&rates, client("192.0.2.1"), kind, &name, now), Verdict::Pass, "query {n}");
    }
}

#[test]
fn distinct_names_beyond_the_rate_of_the_prefix_put_it_in_debt() {
    let (rates, now) = rates(RateLimit::default());
    let from = client("192.0.2.1");
    let passes = |n: &u64| charge(&rates, from, Kind::Name, &n.to_be_bytes(), now) == Verdict::Pass;
    assert_eq!((0..30_000).filter(passes).count(), 20_000);
    assert!(rates.is_in_debt(from, now));
    assert!(!rates.is_in_debt(client("198.51.100.1"), now));
    assert!(!rates.is_in_debt(from, Moment(now.0 + 2 * SECOND)));
}

#[test]
fn zero_is_no_limit_and_exempt_prefixes_have_none() {
    let (rates, now) = rates(RateLimit { per_name: 0, per_prefix: 0, ..RateLimit::default() });
    assert_eq!(passed(&rates, "192.0.2.1", Kind::Name, b"\0", now, 50_000), 50_000);
    assert!(rates.is_exempt(client("127.9.9.9")) && rates.is_exempt(client("::1")));
    assert!(!rates.is_exempt(client("192.0.2.1")) && !rates.is_exempt(client("2001:db8::1")));
    assert!(Rates::new(&RateLimit { enabled: false, ..RateLimit::default() }, 7).is_none());
}

#[test]
fn prefixes_are_shown_as_networks() {
    let (rates, _) = rates(RateLimit::default());
    for (address, network) in [("192.0.2.77", "192.0.2.0/24"), ("2001:db8:0:1f::9", "2001:db8::/56")] {
        assert_eq!(rates.network(rates.prefix(client(address))).to_string(), network);
    }
}
