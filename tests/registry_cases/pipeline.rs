//! One batch with the store, the next one made ready behind it: the order of publishing, and what a failure takes along.

#![allow(clippy::disallowed_methods)] // threads live in real time

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use zonebeat::model::api::Registration;
use zonebeat::model::clock::SystemClock;
use zonebeat::model::{Refusal, Revision, Word};
use zonebeat::registry::{Action, Outcome, Registry, Store};

use super::support::*;

const PATIENCE: Duration = Duration::from_secs(10);

/// A started registry whose store takes a batch only when it is let.
struct Gated {
    registry: Registry,
    store: Arc<MemoryStore>,
    stage: Arc<Mutex<Stage>>,
    thread: JoinHandle<()>,
    runtime: tokio::runtime::Runtime,
    gate: Sender<()>,
    arrived: Receiver<()>,
}

type Answered = tokio::task::JoinHandle<Result<Outcome, Refusal>>;

impl Gated {
    fn start() -> Self {
        let (store, stage): (Arc<MemoryStore>, Arc<Mutex<Stage>>) = Default::default();
        let opened = store.clone();
        let (registry, thread) = Registry::start(
            options(),
            Box::new(move || Ok(opened.clone() as Arc<dyn Store>)),
            Box::new(Recorder(stage.clone())),
            Arc::new(Statics::default()),
            Arc::new(SystemClock::new()),
            Arc::new(()),
        );
        wait_until("it is loaded", || registry.health().loaded);
        let (gate, opens) = channel();
        let (arrive, arrived) = channel();
        let hook = move || {
            let _ = arrive.send(());
            opens.recv_timeout(PATIENCE).expect("the test lets the batch pass");
        };
        *store.during_commit.lock().unwrap() = Some(Box::new(hook));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        Self { registry, store, stage, thread, runtime, gate, arrived }
    }

    fn submit(&self, action: Action) -> Answered {
        let (registry, command) = (self.registry.clone(), command(&anonymous(), action));
        self.runtime.spawn(async move { registry.submit(command).await })
    }

    /// Registers an instance; returns when its batch is with the store.
    fn submit_to_the_store(&self, id: &str) -> Answered {
        let answered = self.submit(register("search", id, facts()));
        self.arrived.recv_timeout(PATIENCE).expect("the batch comes to the store");
        answered
    }

    /// Registers an instance; returns when it is compiled behind what the store has.
    fn submit_behind(&self, action: Action) -> Answered {
        let before = self.calls("prepare");
        let answered = self.submit(action);
        wait_until("it is compiled", || self.calls("prepare") > before);
        answered
    }

    fn calls(&self, name: &str) -> usize {
        self.stage.lock().unwrap().calls.iter().filter(|call| *call == name).count()
    }

    fn answer(&self, answered: Answered) -> Result<Outcome, Refusal> {
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, answered).await }).expect("in time").unwrap()
    }

    fn published(&self, id: &str) -> bool {
        let published = self.stage.lock().unwrap().published.clone().unwrap_or_default();
        published.service("search").is_some_and(|service| service.instance(id).is_some())
    }

    fn stop(self) {
        *self.store.during_commit.try_lock().expect("nothing is being committed") = None;
        self.registry.stop();
        self.thread.join().unwrap();
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

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
    wait_until("the store is back", || gated.registry.health().writable);
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
