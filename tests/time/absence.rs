//! Everybody is gone at once for ten minutes, and comes back.
//!
//! The suite has the story with times a 25th as long. `make absence` has it with the default settings, for 22
//! minutes.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::fleet::{EACH, Fleet, assert_answered, changes_since, of_transition, revision, target, targets};
use super::support::{Server, Setup, Staying, ZONE, dns::rtype, eventually, faults::ede, pass};

/// Sessions in this process; two more are processes.
const AGENTS: usize = 300;
/// Agents of the first services that never come back: all of the first two, one of each of the next ten.
const NEVER_BACK: [usize; 16] = [0, 1, 2, 3, 4, 5, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33];

/// How long everything takes.
struct Times {
    lease: Duration,
    absence: Duration,
    hold: Duration,
    /// The configuration that says so.
    config: &'static str,
}

const SHORT: Times = Times {
    lease: Duration::from_secs(2),
    absence: Duration::from_secs(24),
    hold: Duration::from_secs(20),
    config: "[guard]\nhold = \"20s\"\nfleet_hold = \"144s\"\n",
};

const DEFAULT: Times = Times {
    lease: Duration::from_secs(15),
    absence: Duration::from_secs(600),
    hold: Duration::from_secs(600),
    config: "",
};

fn processes(url: &str, lease: Duration) -> [Staying; 2] {
    let lease = format!("{}s", lease.as_secs());
    ["b1", "b2"].map(|id| {
        Staying::start(
            &[url],
            &["register", "shop", "--id", id, "--port", "80", "--address", "192.0.2.7", "--lease", &lease],
        )
    })
}

fn is_held_as_a_whole(server: &Server) -> bool {
    server.http_json("GET", "/v1/held", None).1["fleet"] != Value::Null
}

/// Whether these all serve, and were heard of within their lease.
fn are_alive(server: &Server, lease: Duration, wanted: &BTreeSet<String>) -> bool {
    let (_, list) = server.http_json("GET", "/v1/services", None);
    let names = list["services"].as_array().cloned().unwrap_or_default();
    let alive = names.iter().flat_map(|service| {
        let name = service["service"].as_str().unwrap_or_default();
        let (_, list) = server.http_json("GET", &format!("/v1/services/{name}/instances"), None);
        let heard = |one: &&Value| one["beat_age_seconds"].as_f64().is_some_and(|age| age <= lease.as_secs_f64());
        let all = list["instances"].as_array().cloned().unwrap_or_default();
        let alive = all.iter().filter(|one| one["state"] == "serving").filter(heard);
        alive.map(|one| format!("{}.{name}.{ZONE}.", one["id"].as_str().unwrap_or_default())).collect::<Vec<_>>()
    });
    let alive: BTreeSet<String> = alive.collect();
    wanted.is_subset(&alive)
}

fn play(times: &Times) {
    let fleet = Fleet::new();
    let server = Setup::new().config(&fleet.network.config(times.config)).start();
    let fleet = fleet.join(&server, AGENTS, times.lease);
    let _processes = processes(&fleet.network.url(), times.lease);
    eventually("the processes are registered", || targets(&server).len() == AGENTS + 2);
    pass(times.lease); // beats spread
    let (all, from) = (targets(&server), revision(&server));
    let ghosts: BTreeSet<String> = NEVER_BACK.into_iter().map(target).collect();
    let survivors: BTreeSet<String> = all.iter().filter(|one| !ghosts.contains(*one)).cloned().collect();

    let cut = Instant::now();
    fleet.network.set_whole(false);
    NEVER_BACK.into_iter().for_each(|number| fleet.kill(number));
    let mut was_held = false;
    while cut.elapsed() < times.absence {
        assert_answered(&server, &all, &format!("{:?} after the cut", cut.elapsed()));
        was_held |= is_held_as_a_whole(&server);
        let answer = server.ask(&format!("_s50._tcp.{ZONE}."), rtype::SRV);
        assert_eq!(
            (answer.answers.len(), ede(&answer)),
            (EACH, if is_held_as_a_whole(&server) { vec![3] } else { vec![] })
        );
        pass(Duration::from_millis(500));
    }
    assert!(was_held && is_held_as_a_whole(&server));

    let back = Instant::now();
    fleet.network.set_whole(true);
    while !are_alive(&server, times.lease, &survivors) {
        assert!(back.elapsed() < Duration::from_secs(60), "all are alive within a minute");
        let answered: BTreeSet<String> = targets(&server).into_iter().collect();
        assert!(answered.is_superset(&survivors), "{:?} after the return", back.elapsed());
        pass(Duration::from_millis(200));
    }
    eprintln!("all were alive {:?} after the return", back.elapsed());
    let deadline = Instant::now() + times.hold + 2 * times.lease + Duration::from_secs(20);
    loop {
        let answered: BTreeSet<String> = targets(&server).into_iter().collect();
        assert!(answered.is_superset(&survivors), "{:?}", back.elapsed());
        if answered == survivors {
            break;
        }
        assert!(Instant::now() < deadline, "ghosts: {:?}", answered.difference(&survivors));
        pass(Duration::from_millis(500));
    }
    eprintln!("no ghost was left {:?} after the return", back.elapsed());
    let changes = changes_since(&server, from);
    let lapsed: BTreeSet<String> = of_transition(&changes, "lapse").into_iter().collect();
    let expected = NEVER_BACK.map(|number| format!("s{}/i{number}", number / EACH));
    assert_eq!(lapsed, expected.into_iter().collect(), "nobody else lapsed");
    assert!(!is_held_as_a_whole(&server));
}

#[test]
fn everybody_who_was_gone_at_once_comes_back_to_the_same_names() {
    play(&SHORT);
}

#[test]
#[ignore = "takes 22 minutes: `make absence`"]
fn everybody_who_was_gone_for_ten_minutes_comes_back_to_the_same_names() {
    play(&DEFAULT);
}

#[test]
fn a_service_that_falls_silent_alone_is_held_for_its_time_and_then_empty() {
    let server = Setup::new().config("[guard]\nhold = \"20s\"\n").start();
    let fleet = Fleet::new().join(&server, 60, Duration::from_secs(2));
    (0..EACH).for_each(|number| fleet.kill(number));
    let asked = || server.ask(&format!("_s0._tcp.{ZONE}."), rtype::SRV);
    eventually("the last one is held", || asked().answers.len() == 1 && ede(&asked()) == [3]);
    let held = Instant::now();
    eventually("it is held no more", || asked().answers.is_empty());
    assert!((18..26).contains(&held.elapsed().as_secs()), "{:?}", held.elapsed());
    assert_eq!(ede(&asked()), [0]);
    assert_eq!(targets(&server).len(), 57, "and nobody else");
}
