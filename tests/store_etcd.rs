//! The etcd store against real members: the battery that every store passes, several handles on one registry, and
//! members that are killed, frozen, emptied and put back.
//!
//! A story that any store must pass goes to `support/battery.rs`; what several writers of one registry do goes to
//! `etcd/handles.rs`, what happens to members to `etcd/members.rs`, rows and copies to `etcd/rows.rs`.

#![allow(clippy::disallowed_methods)] // real processes live in real time
#![allow(clippy::unwrap_used, unreachable_pub)] // a test may panic; `pub` is what the tests may use

#[path = "support/battery.rs"]
mod battery;
#[path = "support/etcd.rs"]
mod etcd;
#[path = "etcd/handles.rs"]
mod handles;
#[path = "etcd/members.rs"]
mod members;
#[path = "etcd/rows.rs"]
mod rows;
#[path = "support/store.rs"]
mod support;

use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use etcd::Etcd;
use tempfile::TempDir;
use zonebeat::registry::store::etcd::{EtcdStore, Options, Timings};
use zonebeat::registry::store::{Batch, News, Store};

/// A registry of its own in some etcd, and the data directories of its servers.
pub struct Place {
    endpoints: Vec<String>,
    prefix: String,
    home: TempDir,
    _cluster: Option<Arc<Etcd>>,
}

impl Place {
    fn of(cluster: &Etcd) -> Self {
        let home = tempfile::tempdir().unwrap();
        let prefix = format!("/{}", home.path().file_name().unwrap().display());
        Self { endpoints: cluster.endpoints(), prefix, home, _cluster: None }
    }

    /// The options of a server.
    fn options(&self, server: &str) -> Options {
        let millis = Duration::from_millis;
        let timings = Timings {
            call: millis(1000),
            commit: millis(3000),
            canary: millis(200),
            silent: millis(1500),
            lease: millis(2000),
            copy: millis(200),
            fold: millis(100),
        };
        let directory = self.home.path().join(server);
        Options {
            prefix: self.prefix.clone(),
            keys_per_second: 1_000_000,
            timings,
            ..Options::new(self.endpoints.clone(), server, directory)
        }
    }

    fn open(&self, server: &str) -> Arc<EtcdStore> {
        Arc::new(EtcdStore::open(self.options(server)).unwrap())
    }
}

/// The one member that stories share which break none; it runs as long as a story has a place in it.
static SHARED: Mutex<Weak<Etcd>> = Mutex::new(Weak::new());

/// A new registry in the shared member.
fn place() -> Place {
    let mut shared = SHARED.lock().unwrap();
    let cluster = shared.upgrade().unwrap_or_else(|| Arc::new(Etcd::start(1)));
    *shared = Arc::downgrade(&cluster);
    Place { _cluster: Some(cluster.clone()), ..Place::of(&cluster) }
}

fn in_etcd(story: fn(battery::Open)) {
    let place = place();
    story(&|| place.open("a"));
}

battery::battery! {
    in_etcd:
    a_new_store_is_empty,
    every_kind_of_row_comes_back_as_it_was,
    instances_load_sorted_by_service_and_id,
    a_removed_row_is_gone,
    the_last_write_of_a_batch_to_a_row_counts,
    a_batch_without_changes_keeps_the_revision,
    a_conflict_changes_nothing,
    history_comes_in_pages,
    one_change_is_found_or_not,
    pruning_forgets_the_oldest_and_only_history,
    a_clock_that_was_wrong_does_not_stop_pruning,
    a_clock_that_was_set_back_for_a_while_makes_nothing_before_it_old,
    opening_again_shows_the_same,
    a_batch_of_thousands_is_one_commit,
    readers_see_whole_batches_while_the_writer_writes,
}

/// The next news that comes, within a time.
fn await_news(store: &dyn Store, patience: Duration) -> Option<News> {
    let deadline = Instant::now() + patience;
    loop {
        match store.news() {
            None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            news => return news,
        }
    }
}

/// The next batch that comes.
fn await_batch(store: &dyn Store) -> Batch {
    match await_news(store, Duration::from_secs(20)) {
        Some(News::Batch(batch)) => batch,
        Some(News::Lost(error)) => panic!("lost: {error}"),
        other => panic!("no batch: {other:?}"),
    }
}

fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
