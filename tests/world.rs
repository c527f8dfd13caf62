//! A world of one server and many sessions, under churn, kills, stalls and 30 % packet loss, and a ledger that compares
//! what should be answered with what DNS answers: nothing lapses that lives, what was killed is gone in time, and real
//! programs follow. docs/testing.md tells how it is made and what it promises.
//!
//! The test makes two network namespaces and runs itself again in that of the server ([`namespaces`]). There [`story`]
//! is what happens, [`acts`] the violent and [`churn`] the ordinary part of it; [`population`] is everybody, of whom
//! [`hosts`] are real processes and [`fleet`] is one process with all others. [`ledger`] knows what should be,
//! [`observer`] looks, [`pulse`] measures how late this machine is, [`followers`] are HAProxy, Prometheus and Unbound,
//! and [`report`] tells.
//!
//! `ZONEBEAT_WORLD_SECONDS` and `ZONEBEAT_WORLD_SESSIONS` make it longer and larger (`make world`),
//! `ZONEBEAT_WORLD_SEED` makes another one.

#![allow(clippy::disallowed_methods)] // real processes live in real time
#![allow(clippy::print_stdout)] // figures are told

#[path = "world/acts.rs"]
mod acts;
#[path = "world/churn.rs"]
mod churn;
#[path = "world/fleet.rs"]
mod fleet;
#[path = "world/followers.rs"]
mod followers;
#[path = "world/hosts.rs"]
mod hosts;
#[path = "world/ledger.rs"]
mod ledger;
#[path = "world/namespaces.rs"]
mod namespaces;
#[path = "world/observer.rs"]
mod observer;
#[path = "world/population.rs"]
mod population;
#[path = "clients/program.rs"]
mod program;
#[path = "world/pulse.rs"]
mod pulse;
#[path = "world/report.rs"]
mod report;
#[path = "differential/rng.rs"]
#[allow(dead_code)] // it is another test's, which uses more of it
mod rng;
#[path = "world/story.rs"]
mod story;
mod support;

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fleet::Fleet;
use followers::Followers;
use hosts::Access;
use ledger::Ledger;
use namespaces::{ADDRESS, Lab, Made, SERVER};
use observer::Observer;
use population::Population;
use pulse::Pulse;
use rng::Rng;
use story::World;
use support::{Server, Setup, ZONE, pass};

/// The service that real hosts have, and that the programs follow; and one with a single instance.
const SERVICE: &str = "web";
const LAST: &str = "last";
const TTL: Duration = Duration::from_secs(3);
/// What is promised: how soon the end of a process is reported, and how soon a host that died is gone.
const REPORTED: Duration = Duration::from_secs(2);
const LEASE: Duration = Duration::from_secs(15);
const GONE: Duration = Duration::from_secs(LEASE.as_secs() + 1);

/// The environment variables that say which role this binary plays, and in which namespaces.
const ROLE: &str = "ZONEBEAT_WORLD_ROLE";
const LAB: &str = "ZONEBEAT_WORLD_LAB";

#[test]
fn what_lives_is_answered_and_what_died_is_gone_in_time() {
    let made = Made::new();
    let mut plain = play_command();
    plain.env(ROLE, "world").env(LAB, made.0.prefix());
    let status = made.0.enter(SERVER, &plain).status().expect("this binary starts again");
    assert!(status.success(), "see above");
}

/// Not a test of its own: what the other runs in its namespaces.
#[test]
fn plays_its_part() {
    match std::env::var(ROLE).as_deref() {
        Ok(fleet::FLEET) => fleet::play(),
        Ok("world") => world(Lab::of(std::env::var(LAB).expect("a role has a lab"))),
        _ => {}
    }
}

fn play_command() -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this binary has a path"));
    command.args(["--exact", "--nocapture", "plays_its_part"]);
    command
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

fn serve() -> Server {
    let config = format!(
        "[[zone]]\nname = \"{ZONE}\"\nttl = \"{}s\"\n[[dns.udp_max_for]]\nprefix = \"127.0.0.0/8\"\nsize = 8192\n",
        TTL.as_secs()
    );
    let addresses = ["--listen", "127.0.0.1:53", "--http", &format!("{ADDRESS}:8053")].map(str::to_owned);
    addresses.into_iter().fold(Setup::bare().config(&config), Setup::arg).start()
}

fn world(lab: Lab) {
    let time = Duration::from_secs(number("ZONEBEAT_WORLD_SECONDS", 60));
    let sessions = number("ZONEBEAT_WORLD_SESSIONS", 50) as usize;
    let seed = number("ZONEBEAT_WORLD_SEED", 1);
    println!("a world of {sessions} sessions for {} s, seed {seed}", time.as_secs());
    let server = serve();
    let token = server.client(&["token", "create", "world"]);
    let token = String::from_utf8(token.stdout).expect("text").trim().to_owned();
    let access = Access { lab: lab.clone(), server: format!("http://{ADDRESS}:8053"), token: token.clone() };
    let mut rng = Rng::new(seed);
    let all = Population::new(sessions, &access, &mut rng);
    let ledger = Arc::new(Mutex::new(Ledger::new(Pulse::start(), TTL)));
    let mut world = World {
        fleet: Fleet::start(&lab, &access.server, &token),
        access,
        all,
        rng,
        doomed: Default::default(),
        stalled: Default::default(),
        tally: Default::default(),
        followers: Followers::start(),
        lapses: Default::default(),
        server: Some(server),
        ledger: ledger.clone(),
        later: Vec::new(),
        pace: Duration::from_secs(30) / sessions as u32,
    };
    let services = world.all.services();
    let observer = Observer::start(ledger, services, ([127, 0, 0, 1], 53).into(), world.followers.unbound);
    let began = Instant::now();
    world.begin();
    world.turn(time);
    let counts = observer.stop();
    report::tell(&world, &counts, sessions, began.elapsed());
}
