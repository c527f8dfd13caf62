//! The server is stopped for a minute while everybody goes on trying; agents are stopped for less than their lease.

use std::time::{Duration, Instant};

use super::fleet::{Fleet, assert_answered, changes_since, of_transition, revision, targets};
use super::support::{Setup, Staying, eventually, pass};

/// The guard would hide what lapses.
const UNGUARDED: &str = "[guard]\nshare = 100\nhold = \"0s\"\n";

#[test]
fn a_minute_in_which_the_server_does_not_run_lapses_nobody() {
    let server = Setup::new().config(UNGUARDED).start();
    let lease = Duration::from_secs(15);
    let _fleet = Fleet::new().join(&server, 150, lease);
    let url = server.url();
    let _process = Staying::start(
        &[&url],
        &["register", "search", "--id", "a1", "--port", "80", "--address", "192.0.2.7", "--lease", "15s"],
    );
    eventually("the process is registered", || targets(&server).len() == 151);
    let (all, from) = (targets(&server), revision(&server));
    server.signal("STOP");
    pass(Duration::from_secs(60));
    server.signal("CONT");
    let until = Instant::now() + 2 * lease;
    while Instant::now() < until {
        assert_answered(&server, &all, "after the stall");
        pass(Duration::from_millis(200));
    }
    let changes = changes_since(&server, from);
    assert_eq!(
        (of_transition(&changes, "lapse"), of_transition(&changes, "deregister")),
        (vec![], vec![]),
        "{changes:?}"
    );
}

#[test]
fn an_agent_that_is_stopped_for_less_than_its_lease_does_not_lapse_and_for_more_it_returns() {
    let server = Setup::new().config(UNGUARDED).start();
    let url = server.url();
    let lease = ["--lease", "6s"];
    let own = ["register", "search", "--id", "a1", "--port", "80", "--address", "192.0.2.7"];
    let process = Staying::start(&[&url], &[&own[..], &lease].concat());
    eventually("it is registered", || targets(&server).len() == 1);
    let from = revision(&server);
    for _ in 0..3 {
        process.signal("STOP");
        // It beats every two seconds: four seconds more than that are left of its lease at least.
        pass(Duration::from_millis(3500));
        process.signal("CONT");
        pass(Duration::from_millis(2500));
        assert_eq!(targets(&server).len(), 1);
    }
    assert_eq!(changes_since(&server, from).len(), 0);
    process.signal("STOP");
    eventually("it lapses", || targets(&server).is_empty());
    process.signal("CONT");
    eventually("it returns", || targets(&server).len() == 1);
    let changes = changes_since(&server, from);
    assert_eq!(
        (of_transition(&changes, "lapse").len(), of_transition(&changes, "return").len()),
        (1, 1),
        "{changes:?}"
    );
}
