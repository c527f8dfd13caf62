//! What every store must do, as stories against the contract. A backend runs them all with [`battery!`].
//!
//! Each story gets a function that opens the store of the same place again and again; the place is new and empty, and
//! the handle before it has been dropped.

use std::sync::Arc;

use zonebeat::model::{Instance, Name, Revision, ServerNumber, SessionRow, Timestamp};
use zonebeat::registry::store::{Batch, Page, Store, StoreError, Write};

use super::support::{change, content, fill, instance, register, service, time, token, written, zone};

/// Opens the store of one place.
pub type Open<'a> = &'a dyn Fn() -> Arc<dyn Store>;

/// One test for each story; `$with` calls a story with a new place.
macro_rules! battery {
    ($with:path: $($story:ident),* $(,)?) => {
        $(#[test] fn $story() { $with(battery::$story); })*
    };
}
pub(crate) use battery;

fn name(text: &str) -> Name {
    Name::parse_absolute(text).unwrap()
}

/// A lone instance whose lease another server counts.
fn owned() -> Instance {
    Instance { owner: ServerNumber(255), ..instance("a2", 1) }
}

fn session(owner: u8) -> SessionRow {
    SessionRow { owner: ServerNumber(owner), epoch: "e \"1\"".into(), sequence: 7, lease_seconds: 15 }
}

pub fn a_new_store_is_empty(open: Open) {
    let store = open();
    let loaded = store.load().unwrap();
    assert_eq!(loaded.revision, Revision(0));
    assert!(loaded.services.is_empty() && loaded.instances.is_empty());
    assert!(loaded.tokens.is_empty() && loaded.zones.is_empty() && loaded.records.is_empty());
    assert!(loaded.sessions.is_empty());
    let empty = Page { changes: Vec::new(), more: false, oldest: Revision(1) };
    assert_eq!(store.history(Revision(0), 10).unwrap(), empty);
    assert_eq!(store.trouble(), None);
}

pub fn every_kind_of_row_comes_back_as_it_was(open: Open) {
    let batch = Batch {
        expected: Revision(0),
        writes: vec![
            Write::Instance("search".into(), Arc::new(instance("a1", 1))),
            Write::Instance("search".into(), Arc::new(owned())),
            Write::Session("host-17".into(), Some(session(3))),
            Write::Service("search".into(), service(1)),
            Write::Token(Arc::new(token("t1"))),
            Write::Zone(zone("sd.example.org", 1).0, zone("sd.example.org", 1).1),
            Write::Zone(zone("a\\.b.2.0.192.in-addr.arpa", 1).0, zone("x", 0).1),
            Write::Records(name("sd.example.org"), name("a\\.b.\\007.sd.example.org"), Some(Arc::new(written(1)))),
            Write::Records(name("sd.example.org"), name("www.sd.example.org"), Some(Arc::new(written(1)))),
        ],
        changes: vec![change(1, "a1")],
    };
    open().commit(&batch).unwrap();
    let store = open();
    let loaded = store.load().unwrap();
    assert_eq!(loaded.revision, Revision(1));
    assert_eq!(loaded.services, [("search".into(), service(1))]);
    assert_eq!(loaded.instances, [("search".into(), instance("a1", 1)), ("search".into(), owned())]);
    assert_eq!(loaded.sessions, [("host-17".into(), session(3))]);
    assert_eq!(loaded.tokens, [token("t1")]);
    let mut records = loaded.records;
    records.sort_by(|one, other| one.1.cmp(&other.1));
    let rows = ["a\\.b.\\007.sd.example.org", "www.sd.example.org"];
    assert_eq!(records, rows.map(|row| (name("sd.example.org"), name(row), written(1))));
    let mut zones = loaded.zones;
    zones.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(zones, [(zone("a\\.b.2.0.192.in-addr.arpa", 1).0, zone("x", 0).1), zone("sd.example.org", 1)]);
    assert_eq!(store.change(Revision(1)).unwrap(), Some(change(1, "a1")));
}

pub fn instances_load_sorted_by_service_and_id(open: Open) {
    let store = open();
    let rows = [("search", "b"), ("sea", "z"), ("search-2", "a"), ("search", "a-1"), ("search", "a"), ("a", "c")];
    let write = |(service, id): (&str, &str)| Write::Instance(service.into(), Arc::new(instance(id, 1)));
    let writes = rows.into_iter().map(write).collect();
    store.commit(&Batch { expected: Revision(0), writes, changes: vec![change(1, "a")] }).unwrap();
    let loaded = store.load().unwrap().instances;
    let keys: Vec<_> = loaded.iter().map(|(service, instance)| (&**service, &*instance.id)).collect();
    let mut sorted = rows;
    sorted.sort();
    assert_eq!(keys, sorted);
}

pub fn a_removed_row_is_gone(open: Open) {
    let store = open();
    let writes = vec![
        Write::Instance("search".into(), Arc::new(instance("a1", 1))),
        Write::Instance("search".into(), Arc::new(instance("a2", 1))),
        Write::Service("search".into(), service(1)),
        Write::Session("host-1".into(), Some(session(1))),
        Write::Session("host-2".into(), Some(session(2))),
        Write::Token(Arc::new(token("t1"))),
        Write::Token(Arc::new(token("t2"))),
        Write::Records(name("sd.example.org"), name("www.sd.example.org"), Some(Arc::new(written(1)))),
        Write::Records(name("sd.example.org"), name("ftp.sd.example.org"), Some(Arc::new(written(1)))),
    ];
    store.commit(&Batch { expected: Revision(0), writes, changes: vec![change(1, "a1")] }).unwrap();
    let writes = vec![
        Write::RemoveInstance("search".into(), "a1".into()),
        Write::RemoveInstance("search".into(), "never-there".into()),
        Write::RemoveService("search".into()),
        Write::Session("host-1".into(), None),
        Write::Session("never-there".into(), None),
        Write::RemoveToken("t1".into()),
        Write::Records(name("sd.example.org"), name("www.sd.example.org"), None),
        Write::Records(name("sd.example.org"), name("never-there.sd.example.org"), None),
    ];
    store.commit(&Batch { expected: Revision(1), writes, changes: vec![change(2, "a1")] }).unwrap();
    drop(store);
    let loaded = open().load().unwrap();
    assert_eq!(loaded.instances, [("search".into(), instance("a2", 1))]);
    assert_eq!(loaded.tokens, [token("t2")]);
    assert_eq!(loaded.records, [(name("sd.example.org"), name("ftp.sd.example.org"), written(1))]);
    assert_eq!(loaded.sessions, [("host-2".into(), session(2))]);
    assert!(loaded.services.is_empty());
}

pub fn the_last_write_of_a_batch_to_a_row_counts(open: Open) {
    let store = open();
    let writes = vec![
        Write::Instance("search".into(), Arc::new(instance("a1", 1))),
        Write::RemoveInstance("search".into(), "a1".into()),
        Write::Instance("search".into(), Arc::new(instance("a1", 2))),
    ];
    let changes = vec![change(1, "a1"), change(2, "a1")];
    store.commit(&Batch { expected: Revision(0), writes, changes }).unwrap();
    let loaded = store.load().unwrap();
    assert_eq!((loaded.revision, loaded.instances), (Revision(2), vec![("search".into(), instance("a1", 2))]));
}

pub fn a_batch_without_changes_keeps_the_revision(open: Open) {
    let store = open();
    fill(&*store, 3);
    let (name, row) = zone("sd.example.org", 3);
    let writes = vec![Write::Zone(name, row), Write::Session("host-17".into(), Some(session(3)))];
    store.commit(&Batch { expected: Revision(3), writes, changes: Vec::new() }).unwrap();
    let loaded = store.load().unwrap();
    assert_eq!((loaded.revision, loaded.zones), (Revision(3), vec![zone("sd.example.org", 3)]));
    assert_eq!(loaded.sessions, [("host-17".into(), session(3))]);
}

pub fn a_conflict_changes_nothing(open: Open) {
    let store = open();
    fill(&*store, 3);
    let before = content(&*store);
    for expected in [0, 2, 4] {
        let error = store.commit(&register(expected)).unwrap_err();
        let StoreError::Conflict { expected: wanted, found } = error else { panic!("{error}") };
        assert_eq!((wanted, found), (Revision(expected), Revision(3)));
    }
    assert_eq!(content(&*store), before);
    assert_eq!(store.trouble(), None, "a conflict is not a failure");
    fill(&*store, 4);
}

pub fn history_comes_in_pages(open: Open) {
    let store = open();
    fill(&*store, 10);
    let page = |since, limit| {
        let page = store.history(Revision(since), limit).unwrap();
        assert_eq!(page.oldest, Revision(1));
        (page.changes.iter().map(|change| change.revision.0).collect::<Vec<_>>(), page.more)
    };
    assert_eq!(page(0, 4), (vec![1, 2, 3, 4], true));
    assert_eq!(page(4, 4), (vec![5, 6, 7, 8], true));
    assert_eq!(page(8, 4), (vec![9, 10], false));
    assert_eq!(page(6, 4), (vec![7, 8, 9, 10], false));
    assert_eq!(page(10, 4), (vec![], false));
    assert_eq!(page(u64::MAX, 4), (vec![], false));
    assert_eq!(page(0, 0), (vec![], true));
    assert_eq!(store.history(Revision(2), 1).unwrap().changes, [change(3, "i3")]);
}

pub fn one_change_is_found_or_not(open: Open) {
    let store = open();
    fill(&*store, 2);
    assert_eq!(store.change(Revision(2)).unwrap(), Some(change(2, "i2")));
    assert_eq!(store.change(Revision(0)).unwrap(), None);
    assert_eq!(store.change(Revision(3)).unwrap(), None);
}

pub fn pruning_forgets_the_oldest_and_only_history(open: Open) {
    let store = open();
    fill(&*store, 10);
    let rows = format!("{:?}", store.load().unwrap());
    assert_eq!(store.prune(time(1), time(20), 100).unwrap(), 0);
    assert_eq!(store.prune(time(7), time(20), 4).unwrap(), 4);
    assert_eq!(store.history(Revision(0), 1).unwrap().oldest, Revision(5));
    assert_eq!(store.prune(time(7), time(20), 4).unwrap(), 2);
    assert_eq!(store.prune(time(7), time(20), 4).unwrap(), 0);
    drop(store);
    let store = open();
    let page = store.history(Revision(0), 2).unwrap();
    assert_eq!(page, Page { changes: vec![change(7, "i7"), change(8, "i8")], more: true, oldest: Revision(7) });
    assert_eq!(store.change(Revision(6)).unwrap(), None);
    assert_eq!(format!("{:?}", store.load().unwrap()), rows);
    assert_eq!(store.prune(Timestamp(u64::MAX), Timestamp(u64::MAX), usize::MAX).unwrap(), 4);
    assert_eq!(store.history(Revision(0), 2).unwrap().oldest, Revision(11));
    fill(&*store, 11);
}

pub fn a_clock_that_was_wrong_does_not_stop_pruning(open: Open) {
    let store = open();
    fill(&*store, 3);
    let mut batch = register(3);
    batch.changes[0].time = time(1_000_000);
    store.commit(&batch).unwrap();
    fill(&*store, 8);
    assert_eq!(store.prune(time(7), time(20), 100).unwrap(), 6);
    assert_eq!(store.history(Revision(0), 1).unwrap().oldest, Revision(7));
}

pub fn a_clock_that_was_set_back_for_a_while_makes_nothing_before_it_old(open: Open) {
    let store = open();
    fill(&*store, 3);
    let mut batch = register(3);
    batch.changes[0].time = Timestamp(0);
    store.commit(&batch).unwrap();
    fill(&*store, 8);
    assert_eq!(store.prune(time(3), time(20), 100).unwrap(), 2);
    assert_eq!(store.history(Revision(0), 1).unwrap().oldest, Revision(3));
    assert_eq!(store.prune(time(4), time(20), 100).unwrap(), 2);
    assert_eq!(store.history(Revision(0), 1).unwrap().oldest, Revision(5));
}

pub fn opening_again_shows_the_same(open: Open) {
    let store = open();
    fill(&*store, 5);
    store.reopen().unwrap();
    let before = content(&*store);
    fill(&*store, 5);
    drop(store);
    assert_eq!(content(&*open()), before);
}

/// Registrations of so many instances.
pub fn registrations(count: u64) -> Batch {
    let mut batch = Batch::default();
    for revision in 1..=count {
        let id = format!("i{revision}");
        batch.changes.push(change(revision, &id));
        batch.writes.push(Write::Instance(format!("s{}", revision % 97).into(), Arc::new(instance(&id, revision))));
    }
    batch
}

/// What the writer makes one batch of at most, several times over.
pub fn a_batch_of_thousands_is_one_commit(open: Open) {
    is_one_commit(open, 4000);
}

/// For stores whose batches have no bound.
#[allow(dead_code)] // etcd's have one
pub fn a_big_batch_is_one_commit(open: Open) {
    is_one_commit(open, 20_000);
}

fn is_one_commit(open: Open, count: u64) {
    let (store, batch) = (open(), registrations(count));
    store.commit(&batch).unwrap();
    drop(store);
    let store = open();
    let loaded = store.load().unwrap();
    assert_eq!((loaded.revision, loaded.instances.len()), (Revision(count), count as usize));
    assert_eq!(store.history(Revision(0), usize::MAX).unwrap().changes, batch.changes);
}

pub fn readers_see_whole_batches_while_the_writer_writes(open: Open) {
    let store = open();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| fill(&*store, 60));
        while !writer.is_finished() {
            let loaded = store.load().unwrap();
            assert_eq!(loaded.instances.len() as u64, loaded.revision.0);
            let page = store.history(Revision(0), usize::MAX).unwrap();
            assert!(page.changes.len() as u64 >= loaded.revision.0);
        }
    });
    assert_eq!(store.load().unwrap().revision, Revision(60));
}
