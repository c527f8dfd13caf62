//! A started registry whose store takes a batch only when the test lets it.

#![allow(clippy::disallowed_methods)] // threads live in real time

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use zonebeat::model::clock::ManualClock;
use zonebeat::model::{Refusal, Timestamp};
use zonebeat::registry::{Action, Outcome, Registry, Store};

use super::support::*;

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A started registry whose store takes a batch only when it is let.
pub(crate) struct Gated {
    pub(crate) registry: Registry,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) stage: Arc<Mutex<Stage>>,
    thread: JoinHandle<()>,
    runtime: tokio::runtime::Runtime,
    clock: Arc<ManualClock>,
    pub(crate) gate: Sender<()>,
    pub(crate) arrived: Receiver<()>,
}

pub(crate) type Answered = tokio::task::JoinHandle<Result<Outcome, Refusal>>;

impl Gated {
    pub(crate) fn start() -> Self {
        let (store, stage): (Arc<MemoryStore>, Arc<Mutex<Stage>>) = Default::default();
        let opened = store.clone();
        let clock = Arc::new(ManualClock::new(Timestamp(1_790_000_000_000)));
        let (registry, thread) = Registry::start(
            options(),
            Box::new(move || Ok(opened.clone() as Arc<dyn Store>)),
            Box::new(Recorder(stage.clone())),
            Arc::new(Statics::default()),
            clock.clone(),
            Arc::new(()),
        );
        wait_until("it is loaded", || registry.health().loaded);
        let (gate, opens) = channel();
        let (arrive, arrived) = channel();
        let hook = move || {
            let _ = arrive.send(()); // the test may have seen enough
            opens.recv_timeout(PATIENCE).expect("the test lets the batch pass");
        };
        *store.during_commit.lock().unwrap() = Some(Box::new(hook));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        Self { registry, store, stage, thread, runtime, clock, gate, arrived }
    }

    pub(crate) fn submit(&self, action: Action) -> Answered {
        let (registry, command) = (self.registry.clone(), command(&anonymous(), action));
        self.runtime.spawn(async move { registry.submit(command).await })
    }

    /// Registers an instance; returns when its batch is with the store.
    pub(crate) fn submit_to_the_store(&self, id: &str) -> Answered {
        let answered = self.submit(register("search", id, facts()));
        self.arrived.recv_timeout(PATIENCE).expect("the batch comes to the store");
        answered
    }

    /// Registers an instance; returns when it is compiled behind what the store has.
    pub(crate) fn submit_behind(&self, action: Action) -> Answered {
        let before = self.calls("prepare");
        let answered = self.submit(action);
        wait_until("it is compiled", || self.calls("prepare") > before);
        answered
    }

    pub(crate) fn calls(&self, name: &str) -> usize {
        self.stage.lock().unwrap().calls.iter().filter(|call| *call == name).count()
    }

    pub(crate) fn answer(&self, answered: Answered) -> Result<Outcome, Refusal> {
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, answered).await }).expect("in time").unwrap()
    }

    pub(crate) fn published(&self, id: &str) -> bool {
        let published = self.stage.lock().unwrap().published.clone().unwrap_or_default();
        published.service("search").is_some_and(|service| service.instance(id).is_some())
    }

    /// Lets the next batch pass, and waits until it is answered.
    pub(crate) fn pass(&self, answered: Answered) {
        self.gate.send(()).unwrap();
        self.answer(answered).expect("stored");
    }

    /// Lets seconds pass on the leases' clock.
    pub(crate) fn wait(&self, seconds: u32) {
        (0..2 * seconds).for_each(|_| self.clock_passes());
    }

    /// Lets half a second pass, the most that one tick moves the leases' clock. Ticks come by themselves.
    pub(crate) fn clock_passes(&self) {
        self.clock.advance(Duration::from_millis(500));
        std::thread::sleep(Duration::from_millis(120));
    }

    /// Lets timers of an hour be due; leases see no more of it than of any pause.
    pub(crate) fn an_hour_passes(&self) {
        self.clock.advance(Duration::from_secs(3601));
    }

    pub(crate) fn is_serving(&self, id: &str) -> bool {
        let snapshot = self.registry.snapshot();
        snapshot.service("search").and_then(|service| service.instance(id)).is_some_and(|found| found.is_serving())
    }

    pub(crate) fn stop(self) {
        *self.store.during_commit.try_lock().expect("nothing is being committed") = None;
        self.registry.stop();
        self.thread.join().unwrap();
    }
}

pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
