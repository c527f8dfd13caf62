//! Our answers against those of BIND, Knot and NSD, section by section, on the same generated zone files.
//!
//! Each run starts the three servers (Debian: bind9, knot, nsd) and ours in temporary folders on free loopback ports,
//! gives them a batch of generated zones and asks all four the same questions near the boundaries of those zones.
//! Compared are rcode, flags, the answer section (sets in the order of the chain, records of a set in any order), the
//! authority and the additional section, TTLs included. A difference has to be explained by a line of
//! `differential/explained.rs`, which names the RFC; every other one fails the test and prints the seed.
//!
//! | module | what it does |
//! | --- | --- |
//! | `zones`, `shapes` | make zones from a seed |
//! | `queries` | choose questions about a zone |
//! | `peers`, `exchange` | start the servers, ask them |
//! | `message`, `compare` | take answers apart, compare them |
//! | `transfers` | compares our AXFR of each zone with BIND's |
//! | `explained` | differences that are no fault, with their RFC |
//!
//! `cargo test` runs a short form from a fixed seed. `make differential` runs the long one: DIFFERENTIAL_ZONES zones in
//! batches, from DIFFERENTIAL_SEED or a random seed. DIFFERENTIAL_ZONE_TEXT=1 prints the zone with each difference.

#[path = "differential/compare.rs"]
mod compare;
#[path = "differential/exchange.rs"]
mod exchange;
#[path = "differential/explained.rs"]
mod explained;
#[path = "differential/message.rs"]
mod message;
#[path = "differential/name.rs"]
mod name;
#[path = "differential/peers.rs"]
mod peers;
#[allow(dead_code)] // the tests of clients use more of it
#[path = "clients/program.rs"]
mod program;
#[path = "differential/queries.rs"]
mod queries;
#[path = "differential/rng.rs"]
mod rng;
#[path = "differential/shapes.rs"]
mod shapes;
#[path = "differential/sign.rs"]
mod sign;
mod support;
#[path = "differential/transfers.rs"]
mod transfers;
#[path = "differential/types.rs"]
mod types;
#[path = "differential/zones.rs"]
mod zones;

use compare::Outcome;
use peers::Servers;
use zones::Batch;

/// Zones that one process of each server serves at once.
const BATCH: usize = 150;
const PER_ZONE: usize = 40;

/// What the environment asks for: seed and number of zones.
fn wanted() -> (u64, usize) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    (number("DIFFERENTIAL_SEED").unwrap_or(3), number("DIFFERENTIAL_ZONES").map_or(BATCH, |zones| zones as usize))
}

/// Compares all four servers on generated zones, batch by batch; returns the summary.
fn compare(signed: bool) -> String {
    let (seed, zones) = wanted();
    let mut outcome = Outcome::default();
    for number in 0..zones.div_ceil(BATCH) as u64 {
        let seed = seed.wrapping_add(number);
        let batch = Batch::generate(seed, zones.min(BATCH), signed);
        let servers = Servers::start(&batch);
        outcome.add(compare::run(&batch, &servers, seed, PER_ZONE));
        outcome.unexplained.extend(transfers::compare(&batch, &servers));
    }
    outcome.assert_explained(seed);
    outcome.summary()
}

#[test]
fn unsigned_zones_are_answered_as_by_others() {
    println!("unsigned: {}", compare(false));
}

#[test]
fn signed_zones_are_answered_as_by_others() {
    println!("signed: {}", compare(true));
}
