//! What a million instances cost the embedded store: seconds to commit, close, open, load, and open after a crash; the
//! size of its file: `cargo bench --bench store -- [THOUSANDS]`. With a directory that holds a copy of a store: seconds
//! to open, read and close that one, `cargo bench --bench store -- DIRECTORY`; with a number too, what a change costs
//! in commits of that many, as hosts that come, move and leave make them: `cargo bench --bench store -- DIRECTORY
//! CHANGES`.

#![allow(missing_docs, clippy::print_stdout)] // a program that prints a table
#![allow(clippy::disallowed_methods)] // because time is what it measures
#![allow(clippy::unwrap_used)] // a disk that fails ends the measurement

#[path = "../tests/support/instance.rs"]
mod instance;
#[allow(dead_code, unreachable_pub)] // it also serves the tests of stores
#[path = "../tests/support/store.rs"]
mod support;

#[path = "store/churn.rs"]
mod churn;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use zonebeat::model::service::ServiceRow;
use zonebeat::model::{Name, PackedInstance, Revision, SessionRow, Token, Written};
use zonebeat::registry::store::embedded::EmbeddedStore;
use zonebeat::registry::store::{Batch, Load, Store, Write, ZoneRow};

fn main() {
    let number: Option<u64> = std::env::args().find_map(|argument| argument.parse().ok());
    let directory = std::env::args().skip(1).map(PathBuf::from).find(|argument| argument.is_dir());
    match (directory, number) {
        (Some(directory), Some(changes)) => churn::run(&directory, changes),
        (Some(directory), None) => start(&directory),
        (None, thousands) => thousand_by_thousand(thousands.unwrap_or(1000)),
    }
}

fn thousand_by_thousand(thousands: u64) {
    let [whole, crashed] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let file = whole.path().join("registry.redb");
    let store = EmbeddedStore::open(whole.path()).unwrap();
    let ((), committing) = timed(|| (0..thousands).for_each(|n| store.commit(&thousand_instances(n)).unwrap()));
    store.history(Revision(u64::MAX), 1).unwrap(); // waits until nothing is being written
    for entry in fs::read_dir(whole.path()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, crashed.path().join(path.file_name().unwrap())).unwrap();
    }
    let ((), closing) = timed(|| drop(store));
    let (store, opening) = timed(|| EmbeddedStore::open(whole.path()).unwrap());
    let (loaded, loading) = timed(|| store.load().unwrap());
    assert_eq!(loaded.instances.len() as u64, thousands * 1000);
    let (_, repairing) = timed(|| EmbeddedStore::open(crashed.path()).unwrap());
    println!("{} instances, file of {} MiB", thousands * 1000, fs::metadata(file).unwrap().len() >> 20);
    let steps = [("commit, 1000 each", committing), ("close", closing), ("open", opening), ("load", loading)];
    for (step, took) in steps.into_iter().chain([("open after a crash", repairing)]) {
        println!("{step:<20}{:>10.3} s", took.as_secs_f64());
    }
}

/// Opens and reads the store of a directory, which is written to; `registry.redb` there should be a copy.
fn start(directory: &Path) {
    let (store, opening) = timed(|| EmbeddedStore::open(directory).unwrap());
    let mut counter = Counter::default();
    let ((), reading) = timed(|| store.read(&mut counter).unwrap());
    let ((), closing) = timed(|| drop(store));
    println!("{} services, {} instances", counter.services, counter.instances);
    for (step, took) in [("open", opening), ("read", reading), ("close", closing)] {
        println!("{step:<20}{:>10.3} s", took.as_secs_f64());
    }
}

/// What there is, and nothing of it.
#[derive(Default)]
struct Counter {
    services: usize,
    instances: usize,
}

impl Load for Counter {
    fn revision(&mut self, _revision: Revision) {}

    fn service(&mut self, _name: &str, _row: ServiceRow) {
        self.services += 1;
    }

    fn instance(&mut self, _service: &str, _instance: PackedInstance<'_>) {
        self.instances += 1;
    }

    fn token(&mut self, _token: Token) {}

    fn zone(&mut self, _name: Name, _row: ZoneRow) {}

    fn records(&mut self, _zone: Name, _name: Name, _row: Written) {}

    fn session(&mut self, _name: &str, _row: SessionRow) {}
}

fn thousand_instances(thousand: u64) -> Batch {
    let mut batch = Batch { expected: Revision(thousand * 1000), ..Batch::default() };
    for revision in thousand * 1000 + 1..=thousand * 1000 + 1000 {
        let id = format!("i{revision}");
        let row = Arc::new(support::instance(&id, revision));
        batch.writes.push(Write::Instance(format!("s{}", revision % 100_000).into(), row));
        batch.changes.push(support::change(revision, &id));
    }
    batch
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begin = Instant::now();
    let result = work();
    (result, begin.elapsed())
}
