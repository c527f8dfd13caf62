//! Lapses that are made ready behind what the store has: when they count, and what takes them back.

#![allow(clippy::disallowed_methods)] // threads live in real time

use std::time::Duration;

use zonebeat::model::api::Registration;
use zonebeat::registry::Beaten;

use super::gated::{Gated, PATIENCE, wait_until};
use super::support::*;

/// A registration that lapses after two seconds.
fn short() -> Registration {
    Registration { lease_seconds: Some(2), ..facts() }
}

/// A registry in which these have registered with short leases, and the store has a batch with `b1`, whose lease is
/// long; the short leases have run out, and their lapses are compiled behind it.
fn with_lapses_behind(ids: &[&str]) -> (Gated, super::gated::Answered) {
    let gated = Gated::start();
    for id in ids {
        let answered = gated.submit(register("search", id, short()));
        gated.pass(answered);
        gated.arrived.recv_timeout(PATIENCE).expect("its batch came to the store");
    }
    let first = gated.submit_to_the_store("b1");
    let before = gated.calls("prepare");
    gated.wait(3);
    assert_eq!(gated.calls("prepare"), before + 1, "the lapses are compiled once");
    assert!(ids.iter().all(|id| gated.is_serving(id)), "and have not happened");
    (gated, first)
}

fn lapses(gated: &Gated) -> Vec<String> {
    let history = gated.store.history_now().into_iter();
    let lapses = history.filter(|change| change.transition.as_str() == "lapse");
    lapses.map(|change| change.instance.unwrap_or_default().into()).collect()
}

#[test]
fn lapses_count_with_their_own_commit() {
    let (gated, first) = with_lapses_behind(&["a1", "a2"]);
    gated.pass(first);
    gated.arrived.recv_timeout(PATIENCE).expect("the lapses come to the store");
    assert!(gated.is_serving("a1") && gated.is_serving("a2") && lapses(&gated).is_empty());
    assert!(matches!(gated.registry.beat("search", "a1", None), Beaten::Lapsed { .. }), "it is sealed");

    gated.gate.send(()).unwrap();
    wait_until("they lapse", || !gated.is_serving("a1") && !gated.is_serving("a2"));
    let returned = gated.submit(bring_back("search", "a1", None));
    gated.pass(returned);
    assert!(gated.is_serving("a1"));
    assert_eq!(lapses(&gated), ["a1", "a2"]);
    gated.stop();
}

#[test]
fn lapses_behind_a_commit_that_fails_have_not_happened() {
    let (gated, first) = with_lapses_behind(&["a1"]);
    gated.store.fail(true);
    gated.gate.send(()).unwrap();
    gated.answer(first).expect_err("the store did not take it");
    assert!(gated.is_serving("a1"));
    assert!(matches!(gated.registry.beat("search", "a1", None), Beaten::Renewed { .. }), "its lease runs anew");
    gated.wait(3);
    assert!(gated.is_serving("a1") && lapses(&gated).is_empty(), "nothing lapses while the store is away");

    gated.store.fail(false);
    *gated.store.during_commit.lock().unwrap() = None;
    wait_until("the store is back", || {
        gated.clock_passes();
        gated.registry.health().writable
    });
    assert!(gated.is_serving("a1"), "every lease runs full once more");
    wait_until("its lease runs out", || {
        gated.clock_passes();
        !gated.is_serving("a1")
    });
    assert_eq!(lapses(&gated), ["a1"]);
    gated.stop();
}

#[test]
fn lapses_whose_own_commit_fails_have_not_happened() {
    let (gated, first) = with_lapses_behind(&["a1"]);
    gated.pass(first);
    gated.arrived.recv_timeout(PATIENCE).expect("the lapse comes to the store");
    gated.store.fail(true);
    gated.gate.send(()).unwrap();
    wait_until("the store is away", || !gated.registry.health().writable);
    assert!(gated.is_serving("a1") && lapses(&gated).is_empty());
    assert!(matches!(gated.registry.beat("search", "a1", None), Beaten::Renewed { .. }), "it is not sealed any more");
    gated.stop();
}

#[test]
fn a_beat_before_its_batch_goes_to_the_store_takes_a_lapse_back() {
    let (gated, first) = with_lapses_behind(&["a1", "a2"]);
    let beside = gated.submit_behind(register("search", "c1", facts()));
    assert!(matches!(gated.registry.beat("search", "a1", None), Beaten::Renewed { .. }));
    gated.pass(first);
    gated.arrived.recv_timeout(PATIENCE).expect("the other lapse comes to the store");
    assert_eq!(gated.calls("discard"), 1, "what was compiled with the lapse is dropped");
    gated.pass(beside);
    assert!(gated.is_serving("a1") && !gated.is_serving("a2") && gated.is_serving("c1"));
    assert_eq!(lapses(&gated), ["a2"]);
    gated.stop();
}

#[test]
fn a_lapse_waits_for_a_batch_that_renews_its_lease() {
    let gated = Gated::start();
    let answered = gated.submit(register("search", "a1", short()));
    gated.pass(answered);
    gated.arrived.recv_timeout(PATIENCE).expect("its batch came to the store");
    let update = gated.submit(register("search", "a1", Registration { port: 8081, ..short() }));
    gated.arrived.recv_timeout(PATIENCE).expect("the update comes to the store");
    let before = gated.calls("prepare");
    gated.wait(4);
    assert_eq!(gated.calls("prepare"), before, "no lapse is made ready");
    gated.pass(update);
    std::thread::sleep(Duration::from_millis(300)); // time in which a lapse would come
    assert!(gated.is_serving("a1") && lapses(&gated).is_empty());
    gated.gate.send(()).unwrap();
    gated.wait(3);
    wait_until("it lapses after one more lease", || !gated.is_serving("a1"));
    gated.stop();
}

#[test]
fn an_empty_session_whose_lease_runs_out_behind_a_batch_ends_unless_it_beats() {
    let gated = Gated::start();
    for session in ["host-1", "host-2"] {
        gated.answer(gated.submit(short_session(session))).expect("it needs no store");
    }
    let first = gated.submit_to_the_store("b1");
    gated.wait(3);
    assert_eq!(gated.registry.beat_session("host-1", "e1", None), Beaten::Renewed { lease_seconds: 2 });
    gated.pass(first);
    wait_until("the silent one ends", || gated.registry.census().sessions == 2);
    assert_eq!(gated.registry.beat_session("host-1", "e1", None), Beaten::Renewed { lease_seconds: 2 });
    assert_eq!(gated.registry.beat_session("host-2", "e1", None), Beaten::Unknown);
    gated.stop();
}

/// A session without instances that lapses after two seconds.
fn short_session(session: &str) -> zonebeat::registry::Action {
    match session_set(session, "e1", &[]) {
        zonebeat::registry::Action::SetSession { session, mut set } => {
            set.lease_seconds = Some(2);
            zonebeat::registry::Action::SetSession { session, set }
        }
        other => other,
    }
}

#[test]
fn the_end_of_records_waits_behind_the_store_and_comes_again_when_that_fails() {
    let (gated, first) = with_lapses_behind(&["a1", "a2"]);
    gated.pass(first);
    gated.arrived.recv_timeout(PATIENCE).expect("the lapses come to the store");
    gated.gate.send(()).unwrap();
    wait_until("they lapse", || !gated.is_serving("a1") && !gated.is_serving("a2"));

    let next = gated.submit_to_the_store("b2");
    let before = gated.calls("prepare");
    gated.an_hour_passes();
    wait_until("their end is compiled", || gated.calls("prepare") > before);
    assert!(gated.published("a1") && gated.published("a2"), "and has not happened");
    gated.store.fail(true);
    gated.gate.send(()).unwrap();
    gated.answer(next).expect_err("the store did not take it");
    assert!(gated.published("a1") && gated.published("a2"));

    gated.store.fail(false);
    *gated.store.during_commit.lock().unwrap() = None;
    wait_until("their records end", || {
        gated.clock_passes();
        gated.registry.health().writable && !gated.published("a1") && !gated.published("a2")
    });
    assert!(gated.is_serving("b1"));
    gated.stop();
}
