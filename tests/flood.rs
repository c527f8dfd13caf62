//! A flood from one /24, at the highest rate that this machine gives, does nobody else any harm: clients of other
//! prefixes lose less than one query in a thousand, and no more octets go back to the /24 than came from it.
//!
//! Nor do packets that are malformed or forged ([`hostile`]).
//!
//! Server, flood and client live in network namespaces that the test makes and removes ([`namespaces`]); what runs in
//! them is this binary again ([`roles`]).

#![allow(clippy::disallowed_methods)] // real processes live in real time
#![allow(clippy::unwrap_used)] // a test helper may stop the test
#![allow(clippy::print_stdout)] // figures are told, and parts tell theirs

#[path = "flood/hostile.rs"]
mod hostile;
#[path = "flood/namespaces.rs"]
mod namespaces;
#[path = "flood/roles.rs"]
mod roles;
mod support;

use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use namespaces::{FLOOD, Lab};
use roles::{Kind, NAMES, ZONE};
use support::{Server, Setup, pass};

/// How long the flood lasts.
const LASTS: Duration = Duration::from_secs(5);
/// How often losses are measured at most.
const ATTEMPTS: u32 = 3;
/// Floods share the two cores of a small machine badly.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A service of ten, and names enough that a flood over them repeats none within a second's worth of a name.
fn zone_file() -> String {
    let mut text = String::from("$TTL 300\n@ SOA ns1 hostmaster 1 1h 10m 1w 5\n NS ns1\nns1 A 192.0.2.1\n");
    for n in 0..10 {
        writeln!(text, "_search._tcp SRV 10 60 {} i{n}\ni{n} A 192.0.2.{}", 8000 + n, 100 + n).unwrap();
    }
    (0..NAMES).for_each(|n| writeln!(text, "h{n:06} TXT \"a name that exists\"").unwrap());
    text
}

fn serve(lab: &Lab, config: &str) -> Server {
    let setup = Setup::bare().config(config).zone_file(ZONE, &zone_file()).arg("--listen").arg(namespaces::SERVER);
    let command = lab.command(namespaces::MIDDLE, &setup.command());
    let mut server = setup.spawn_by(command);
    server.await_ready();
    server
}

/// What came of one flood.
#[derive(Debug)]
struct Outcome {
    flooded: u64,
    asked: u64,
    lost: u64,
    received: u64,
    returned: u64,
}

/// Floods with one kind of query while another prefix asks a thousand times a second.
fn measure(kind: Kind) -> Outcome {
    let lab = Lab::new();
    let server = serve(&lab, "");
    let before = lab.octets(FLOOD);
    let client = lab.play(namespaces::CLIENT, &format!("client {}", LASTS.as_millis() + 3000));
    pass(Duration::from_secs(1));
    let flood = lab.play(FLOOD, &format!("{kind:?} {}", LASTS.as_millis()));
    let flooded = flood.result()[0];
    let [asked, lost] = client.result()[..] else { panic!("the client tells two numbers") };
    let after = lab.octets(FLOOD);
    assert!(server.log().contains("a flood: answers over UDP are being limited"), "{}", server.log());
    let (received, returned) = (after.received - before.received, after.sent - before.sent);
    Outcome { flooded, asked, lost, received, returned }
}

/// Floods, and compares with what is promised. The queues hold a tenth of a second of such a flood, so a
/// machine that gives the server no processor for that long at its beginning spoils the figure of losses, and
/// only that: then it is measured again.
fn flood(kind: Kind) {
    let _alone = alone();
    for attempt in 1..=ATTEMPTS {
        let outcome = measure(kind);
        println!("{kind:?}, attempt {attempt}: {outcome:?}, {} a second", outcome.flooded / LASTS.as_secs());
        let Outcome { flooded, asked, lost, received, returned } = outcome;
        assert!(flooded > 20_000 * LASTS.as_secs(), "this is no flood: {flooded} queries");
        assert!(asked > 7_000, "{asked} queries in eight seconds");
        assert!(returned <= received, "{returned} octets went back for {received}");
        if lost * 1000 < asked {
            return;
        }
        assert!(attempt < ATTEMPTS, "{lost} of {asked} queries of another prefix were lost");
    }
}

#[test]
fn one_name_with_a_large_answer() {
    flood(Kind::OneName);
}

#[test]
fn random_names_that_do_not_exist() {
    flood(Kind::NoName);
}

#[test]
fn many_names_that_exist() {
    flood(Kind::ManyNames);
}

#[test]
fn a_prefix_is_answered_again_soon_after_its_flood() {
    let _alone = alone();
    let lab = Lab::new();
    let server = serve(&lab, "[dns.rate_limit]\nwindow = \"1s\"\n");
    let probe = |time: Duration| lab.play(FLOOD, &format!("probe {}", time.as_millis())).result()[0];
    assert_eq!(probe(Duration::from_secs(1)), 100, "all are answered before");
    lab.play(FLOOD, "ManyNames 1000").result();
    assert!(probe(Duration::from_millis(300)) < 20, "the flood is remembered");
    pass(Duration::from_secs(3));
    assert_eq!(probe(Duration::from_secs(1)), 100, "the filter is gone, and the debt forgotten");
    drop(server);
}

/// Not a test of its own: what the others run in their namespaces.
#[test]
fn plays_its_part() {
    roles::play();
}
