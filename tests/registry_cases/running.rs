//! The started registry: thread, queue, events, history, stop.

#![allow(clippy::disallowed_methods)] // a disk that is slow

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Poll;
use std::time::Duration;

use zonebeat::model::clock::SystemClock;
use zonebeat::model::{Change, Revision, Transition, Word};
use zonebeat::registry::{Beaten, Observer, Outcome, Registry, Store};

use super::support::*;

const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Counter {
    changes: AtomicUsize,
    beats: AtomicUsize,
}

impl Observer for Counter {
    fn committed(&self, changes: &[Arc<Change>], _took: Duration) {
        self.changes.fetch_add(changes.len(), Ordering::SeqCst);
    }

    fn beat(&self, _beaten: Beaten) {
        self.beats.fetch_add(1, Ordering::SeqCst);
    }
}

struct Started {
    registry: Registry,
    store: Arc<MemoryStore>,
    counter: Arc<Counter>,
    thread: std::thread::JoinHandle<()>,
}

fn start() -> Started {
    start_with(Stage::default())
}

fn start_with(stage: Stage) -> Started {
    let store: Arc<MemoryStore> = Arc::default();
    let counter: Arc<Counter> = Arc::default();
    let opened = store.clone();
    let (registry, thread) = Registry::start(
        options(),
        Box::new(move || Ok(opened.clone() as Arc<dyn Store>)),
        Box::new(Recorder(Arc::new(Mutex::new(stage)))),
        Arc::new(Statics::default()),
        Arc::new(SystemClock::new()),
        counter.clone(),
    );
    Started { registry, store, counter, thread }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn it_is_loaded_only_when_its_names_answer() {
    let registry: Arc<OnceLock<Registry>> = Arc::default();
    let (seen, seen_before) = std::sync::mpsc::sync_channel(1);
    let asked = registry.clone();
    let look = move || seen.send(asked.wait().health().loaded).unwrap();
    let mut stage = Stage::default();
    stage.before_publish = Some(Box::new(look));
    let started = start_with(stage);
    registry.set(started.registry.clone()).ok().unwrap();
    assert!(!seen_before.recv_timeout(PATIENCE).unwrap(), "loaded, but nothing was published yet");
    let deadline = std::time::Instant::now() + PATIENCE;
    while !started.registry.health().loaded {
        assert!(std::time::Instant::now() < deadline, "it is never loaded");
        std::thread::sleep(Duration::from_millis(5));
    }
    started.registry.stop();
    started.thread.join().unwrap();
}

#[test]
fn commands_from_many_tasks_are_grouped_and_all_answered() {
    let Started { registry, store, counter, thread } = start();
    runtime().block_on(async {
        let mut events = registry.subscribe();
        let tasks: Vec<_> = (0..500)
            .map(|n| {
                let registry = registry.clone();
                let command = command(&anonymous(), register("search", &format!("a{n}"), facts()));
                tokio::spawn(async move { registry.submit(command).await })
            })
            .collect();
        for task in tasks {
            let outcome = task.await.unwrap().expect("registered");
            let Outcome::Instance { instance, .. } = outcome else { panic!("{outcome:?}") };
            assert!(registry.snapshot().service("search").unwrap().instance(&instance.id).is_some());
            assert!(matches!(registry.beat("search", &instance.id, None), Beaten::Renewed { .. }));
        }
        let first = events.recv().await.unwrap();
        assert!(matches!(first.transition, Transition::Register | Transition::Static));
        let page = registry.history(Revision(0), 100).await.expect("history");
        assert_eq!((page.changes.len(), page.more), (100, true));
        let last = registry.change(registry.snapshot().revision).await.expect("history").expect("kept");
        assert_eq!(last.transition, Transition::Register);
        assert_eq!(registry.change(Revision(9999)).await.expect("history"), None);
    });
    assert!(store.commits.load(Ordering::SeqCst) <= 501);
    assert_eq!(counter.changes.load(Ordering::SeqCst), store.history_now().len());
    assert_eq!(counter.beats.load(Ordering::SeqCst), 500);
    registry.stop();
    thread.join().unwrap();
}

#[test]
fn a_lapse_comes_by_itself() {
    let Started { registry, thread, .. } = start();
    runtime().block_on(async {
        let short = zonebeat::model::api::Registration { lease_seconds: Some(2), ..facts() };
        registry.submit(command(&anonymous(), register("search", "a1", short))).await.expect("registered");
        let mut events = registry.subscribe();
        let change = tokio::time::timeout(Duration::from_secs(10), events.recv()).await.expect("in time").unwrap();
        assert_eq!(change.transition, Transition::Lapse);
    });
    registry.stop();
    thread.join().unwrap();
}

#[test]
fn stopping_finishes_what_is_queued_and_refuses_the_rest() {
    let Started { registry, store, thread, .. } = start();
    let (open, gate) = std::sync::mpsc::channel::<()>();
    *store.during_commit.lock().unwrap() = Some(Box::new(move || gate.recv().unwrap_or_default()));
    runtime().block_on(async {
        let mut waiting = Vec::new();
        for n in 0..50 {
            let command = command(&anonymous(), register("search", &format!("a{n}"), facts()));
            let mut submitted = Box::pin(registry.submit(command));
            let queued = std::future::poll_fn(|context| Poll::Ready(submitted.as_mut().poll(context))).await;
            assert!(queued.is_pending(), "no commit passes the gate");
            waiting.push(submitted);
        }
        registry.stop();
        drop(open);
        for submitted in waiting {
            submitted.await.expect("queued before the stop");
        }
        thread.join().unwrap();
        let refusal =
            registry.submit(command(&anonymous(), register("search", "b1", facts()))).await.expect_err("stop");
        assert_eq!(refusal.word, Word::NotReady);
    });
    assert_eq!(registry.census().serving(), 50);
}

#[test]
fn a_full_queue_is_said_to_be_busy() {
    let Started { registry, store, thread, .. } = start();
    *store.during_commit.lock().unwrap() = Some(Box::new(|| std::thread::sleep(Duration::from_millis(300))));
    let busy = runtime().block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..8000 {
            let registry = registry.clone();
            let command = command(&anonymous(), register("search", &format!("a{n}"), facts()));
            tasks.spawn(async move { registry.submit(command).await });
        }
        let answers = tasks.join_all().await;
        answers.iter().filter(|answer| answer.as_ref().is_err_and(|refusal| refusal.word == Word::Busy)).count()
    });
    assert!(busy > 0);
    assert_eq!(registry.census().serving(), 8000 - busy);
    registry.stop();
    thread.join().unwrap();
}

#[test]
fn the_thread_ends_with_the_last_handle() {
    let Started { registry, thread, .. } = start();
    drop(registry);
    thread.join().unwrap();
}

#[test]
fn heartbeats_are_spread_around_a_third_of_the_lease() {
    let world = World::new();
    let seconds: Vec<f64> = (0..1000).map(|_| world.registry.heartbeat_seconds(15)).collect();
    assert!(seconds.iter().all(|seconds| (4.5..=5.5).contains(seconds)));
    assert!(seconds.iter().any(|seconds| *seconds < 4.7) && seconds.iter().any(|seconds| *seconds > 5.3));
}
