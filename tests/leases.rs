//! What a million leases of lone instances cost: octets counted by the allocator, and entries that ticks visit.

#![allow(missing_docs)] // a test has no users

use std::sync::Arc;
use std::time::Duration;

use zonebeat::model::Revision;
use zonebeat::registry::Beaten;
use zonebeat::registry::lease::{Leases, TICK};

const PER_SERVICE: usize = 10;
const LEASE_SECONDS: u32 = 15;

/// Names of `number` instances, ten of a service.
fn names(number: usize) -> (Vec<Arc<str>>, Vec<String>) {
    let services = (0..number.div_ceil(PER_SERVICE)).map(|service| format!("service-{service:06}").into()).collect();
    (services, (0..PER_SERVICE).map(|id| format!("i{id}")).collect())
}

/// Leases of `number` instances.
fn leases(number: usize) -> Leases {
    let (services, ids) = names(number);
    let leases = Leases::new();
    leases.advance(Duration::ZERO);
    for at in 0..number {
        leases.start(&services[at / PER_SERVICE], &ids[at % PER_SERVICE], Revision(at as u64), LEASE_SECONDS);
    }
    leases
}

/// Octets per lease, with everything that the table holds.
fn octets_each(number: usize) -> usize {
    let (services, ids) = names(number);
    let mut kept = None;
    let octets = allocation_counter::measure(|| {
        let leases = Leases::new();
        for at in 0..number {
            leases.start(&services[at / PER_SERVICE], &ids[at % PER_SERVICE], Revision(at as u64), LEASE_SECONDS);
        }
        kept = Some(leases);
    });
    assert_eq!(kept.map(|leases| leases.running()), Some(number));
    octets.bytes_current as usize / number
}

#[test]
fn a_million_lone_sessions_take_68_octets_each_also_right_after_growth() {
    let octets = octets_each(1_000_000);
    assert!(octets <= 68, "{octets}");
    // The tables of the index have seven eighths of a power of two when they grow: look on both sides of that.
    for number in [100_000, 220_000, 240_000] {
        let octets = octets_each(number);
        assert!(octets <= 70, "{number}: {octets}");
    }
}

#[test]
fn a_beat_allocates_nothing() {
    let leases = leases(1000);
    let allocated = allocation_counter::measure(|| {
        for at in 0..1000 {
            let (service, id) = (["service-000000", "service-000007"][at % 2], ["i0", "i9"][at / 2 % 2]);
            assert!(matches!(leases.beat(service, id, None), Beaten::Renewed { .. }));
        }
    });
    assert_eq!(allocated.count_total, 0);
}

/// Entries that the ticks of one lease visit when all but `silent` of `number` sessions beat every five seconds.
fn visited(number: usize, silent: usize) -> (u64, usize) {
    let (services, ids) = names(number);
    let leases = leases(number);
    let (mut out, mut now) = (0, Duration::ZERO);
    for tick in 0..LEASE_SECONDS as usize * 10 + 1 {
        now += TICK;
        leases.advance(now);
        out += leases.turn().len();
        for at in (silent..number).skip(tick % 50).step_by(50) {
            leases.beat(&services[at / PER_SERVICE], &ids[at % PER_SERVICE], None);
        }
    }
    (leases.visited(), out)
}

#[test]
fn a_tick_visits_the_leases_that_ran_out_and_no_others_at_any_number() {
    for number in [1000, 10_000, 100_000] {
        assert_eq!(visited(number, 0), (0, 0), "{number}");
        assert_eq!(visited(number, 100), (100, 100), "{number}");
    }
}

#[test]
fn a_tick_over_a_million_sessions_that_beat_visits_none() {
    let leases = leases(1_000_000);
    let mut now = Duration::ZERO;
    for _ in 0..LEASE_SECONDS * 10 {
        now += TICK;
        leases.advance(now);
        assert!(leases.turn().is_empty());
    }
    assert_eq!((leases.visited(), leases.running()), (0, 1_000_000));
    now += TICK;
    leases.advance(now);
    assert_eq!((leases.turn().len(), leases.visited()), (1_000_000, 1_000_000));
}
