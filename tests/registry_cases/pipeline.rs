//! One batch with the store, the next one made ready behind it: the order of publishing, and what a failure takes
//! along.

#![allow(clippy::disallowed_methods)] // threads live in real time

use std::time::Duration;

use zonebeat::model::api::Registration;
use zonebeat::model::{Revision, Word};

use super::gated::{Answered, Gated, PATIENCE, wait_until};
use super::support::*;

#[test]
fn a_batch_is_published_with_its_own_commit_and_not_with_the_one_before() {
    let gated = Gated::start();
    let first = gated.submit_to_the_store("a1");
    let second = gated.submit_behind(register("search", "a2", facts()));
    let third = gated.submit_behind(register("search", "a3", facts()));
    assert_eq!((gated.calls("prepare"), gated.calls("close"), gated.calls("publish")), (3, 1, 1));
    assert!(!first.is_finished() && !second.is_finished() && !gated.published("a1"));

    gated.gate.send(()).unwrap();
    gated.answer(first).expect("stored");
    gated.arrived.recv_timeout(PATIENCE).expect("the second batch comes to the store");
    assert!(gated.published("a1") && !gated.published("a2") && !second.is_finished());
    assert!(gated.registry.snapshot().service("search").unwrap().instance("a2").is_none());

    gated.gate.send(()).unwrap();
    for answered in [second, third] {
        gated.answer(answered).expect("stored");
    }
    assert!(gated.published("a2") && gated.published("a3"));
    assert_eq!((gated.calls("close"), gated.calls("publish")), (2, 3), "one of them when it was loaded");
    gated.stop();
}

#[test]
fn a_command_is_judged_by_those_before_it_and_answered_with_them() {
    let gated = Gated::start();
    let first = gated.submit_to_the_store("a1");
    let leave = gated.submit_behind(deregister("search", "a1", None));
    let again = gated.submit(deregister("search", "a1", None));
    std::thread::sleep(Duration::from_millis(20)); // time in which a fault would show
    assert!(!leave.is_finished() && !again.is_finished(), "what they were judged by is not durable");
    gated.gate.send(()).unwrap();
    gated.gate.send(()).unwrap();
    gated.answer(first).expect("stored");
    gated.answer(leave).expect("stored");
    assert_eq!(gated.answer(again).expect_err("it has left").word, Word::UnknownInstance);
    gated.stop();
}

#[test]
fn a_failed_commit_takes_the_batch_behind_it_along() {
    let gated = Gated::start();
    let before = gated.registry.snapshot();
    let first = gated.submit_to_the_store("a1");
    let behind = gated.submit_behind(register("search", "a2", facts()));
    let on_top = gated.submit_behind(deregister("search", "a1", None));
    let wrong = gated.submit(register("search", "a3", Registration { port: 0, ..facts() }));
    gated.store.fail(true);
    gated.gate.send(()).unwrap();

    let words = [first, behind, on_top, wrong].map(|answered| gated.answer(answered).expect_err("refused").word);
    let gone = Word::StoreUnavailable;
    assert_eq!(words, [gone, gone, Word::UnknownInstance, Word::BadPort], "judged by what is committed");
    assert_eq!(gated.registry.snapshot().revision, before.revision);
    assert_eq!((gated.store.history_now().len() as u64, gated.calls("publish")), (before.revision.0, 1));
    assert_eq!(gated.calls("discard"), 1);
    assert!(gated.stage.lock().unwrap().stale && !gated.published("a1"));

    gated.store.fail(false);
    *gated.store.during_commit.lock().unwrap() = None;
    wait_until("the store is back", || {
        gated.clock_passes();
        gated.registry.health().writable
    });
    gated.answer(gated.submit(register("search", "a2", facts()))).expect("stored");
    assert_eq!(gated.registry.snapshot().revision, Revision(before.revision.0 + 1));
    assert!(gated.published("a2") && !gated.published("a1"));
    gated.stop();
}

#[test]
fn a_service_that_changes_all_the_time_holds_nobody_up() {
    let gated = Gated::start();
    let first = gated.submit_to_the_store("a1");
    let busy: Vec<_> = (0..300).map(|at| gated.submit(register("hot", &format!("h{at}"), facts()))).collect();
    let other = gated.submit(register("quiet", "q1", facts()));
    (0..400).for_each(|_| gated.gate.send(()).unwrap());
    gated.answer(other).expect("stored");
    [first].into_iter().chain(busy).for_each(|answered| drop(gated.answer(answered).expect("stored")));
    let commits = gated.store.commits.load(std::sync::atomic::Ordering::SeqCst);
    assert!(commits < 100, "{commits} commits for 302 changes that waited together");
    gated.stop();
}

#[test]
fn what_waits_behind_a_store_that_hangs_is_bounded() {
    let gated = Gated::start();
    let first = gated.submit_to_the_store("a1");
    let beat = |_| register("search", "a1", facts());
    let change = |at| register("search", &format!("b{at}"), facts());
    let (beats, changes): (Vec<Answered>, Vec<Answered>) = (
        (0..12_000).map(|at| gated.submit(beat(at))).collect(),
        (0..12_000).map(|at| gated.submit(change(at))).collect(),
    );
    let answered = || beats.iter().chain(&changes).filter(|answered| answered.is_finished()).count();
    // The groups and the queue have 11,000 at most.
    wait_until("those beyond the bound are refused", || answered() >= 13_000);
    assert!(!first.is_finished());
    (0..100).for_each(|_| gated.gate.send(()).unwrap());
    gated.answer(first).expect("stored");
    let (mut done, mut busy) = (0, 0);
    for answered in beats.into_iter().chain(changes) {
        match gated.answer(answered) {
            Ok(_) => done += 1,
            Err(refusal) => {
                assert_eq!(refusal.word, Word::Busy, "{refusal}");
                busy += 1;
            }
        }
    }
    assert!(done >= 4096 && busy >= 13_000, "{done} done, {busy} refused");
    gated.stop();
}
