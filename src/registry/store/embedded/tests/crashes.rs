//! Crashes between the journal and the trees, and journals that are not what they should be.
//!
//! Who holds a transaction that writes keeps the trees from committing: the journal keeps what is committed meanwhile,
//! and a copy of the directory is what a crash would leave.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use redb::ReadableDatabase;

use super::super::super::StoreError;
use super::super::journal::FILES;
use super::super::rows::Meta;
use super::*;

/// Commits change `revision` with its rows.
fn commit(store: &EmbeddedStore, revision: u64) {
    let (writes, changes) = (vec![service(revision), zone(revision)], vec![change(revision)]);
    store.commit(&Batch { expected: Revision(revision - 1), writes, changes }).unwrap();
}

/// Runs `work` while the trees cannot commit.
fn without_trees<T>(store: &EmbeddedStore, work: impl FnOnce() -> T) -> T {
    let database = store.shared.database.read().unwrap();
    let transaction = database.as_ref().unwrap().begin_write().unwrap();
    let result = work();
    transaction.abort().unwrap();
    result
}

/// Makes the trees' thread take what there is, though it cannot commit it.
fn give_to_trees(store: &EmbeddedStore) {
    while !store.shared.ledger.is_applying() {
        store.shared.ledger.hurry();
    }
}

/// A directory as a crash leaves it: changes 1 to 2 in the trees, then one in each file of the journal, the last one in
/// a second frame of the second file.
fn crashed_with_a_journal() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).unwrap();
    commit(&store, 1);
    commit(&store, 2);
    store.load().unwrap();
    without_trees(&store, || {
        commit(&store, 3);
        give_to_trees(&store);
        commit(&store, 4);
        commit(&store, 5);
        crashed(directory.path())
    })
}

fn revision(directory: &Path) -> u64 {
    let store = EmbeddedStore::open(directory).unwrap();
    let loaded = store.load().unwrap();
    let page = store.history(Revision(0), 100).unwrap();
    let Revision(revision) = loaded.revision;
    assert!(page.changes.iter().map(|change| change.revision.0).eq(1..=revision));
    assert_eq!((loaded.services[0].1.revision, loaded.zones[0].1.changed), (loaded.revision, loaded.revision));
    revision
}

fn damage(directory: &Path) -> String {
    match EmbeddedStore::open(directory).err() {
        Some(StoreError::Damaged { detail, .. }) => detail,
        other => panic!("not damage: {other:?}"),
    }
}

/// The journal's files, that of the older frames first, and what is in them.
fn journal(directory: &Path) -> [(std::path::PathBuf, Vec<u8>); 2] {
    let read = |name| {
        let path = directory.join(name);
        let octets = fs::read(&path).unwrap();
        (path, octets)
    };
    let mut files = FILES.map(read);
    let first = |octets: &[u8]| frame::Header::parse(octets).map(|header| header.sequence);
    files.sort_by_key(|(_, octets)| first(octets));
    files
}

#[test]
fn what_only_the_journal_has_is_there_after_a_crash() {
    let crash = crashed_with_a_journal();
    assert!(journal(crash.path()).iter().all(|(_, octets)| !octets.is_empty()));
    assert_eq!(revision(crash.path()), 5);
    assert!(FILES.iter().all(|name| !crash.path().join(name).exists()), "closed, it needs no journal");
    assert_eq!(revision(crash.path()), 5);
}

#[test]
fn a_crash_while_a_crash_is_repaired_loses_nothing() {
    let crash = crashed_with_a_journal();
    let store = EmbeddedStore::open(crash.path()).unwrap();
    let again = crashed(crash.path());
    commit(&store, 6);
    assert_eq!(revision(again.path()), 5);
    // As if the trees had committed, and not yet said that they need the journal no more.
    let both = crashed_with_a_journal();
    fs::copy(again.path().join(file::FILE), both.path().join(file::FILE)).unwrap();
    let ids = [&again, &both].map(|directory| EmbeddedStore::open(directory.path()).map(|store| store.id().to_owned()));
    assert!(ids[0].is_ok() && ids[1].is_err(), "a journal of another store is not taken: {ids:?}");
}

#[test]
fn a_frame_that_was_never_finished_is_left_out() {
    for (length, zeros) in [(4096, 0), (4097, 0), (4200, 0), (8191, 0), (8192, 4000), (8192, 4096)] {
        let crash = crashed_with_a_journal();
        let [_, (path, mut octets)] = journal(crash.path());
        assert_eq!(octets.len(), 8192);
        octets.truncate(length);
        let end = octets.len();
        octets[end - zeros..].fill(0);
        fs::write(path, octets).unwrap();
        let expected = if length >= 8191 && zeros < 4000 { 5 } else { 4 };
        assert!([4, expected].contains(&revision(crash.path())), "{length} {zeros}");
    }
}

#[test]
fn a_damaged_frame_that_others_follow_is_refused() {
    for at in [0, 50, 100, 300] {
        let crash = crashed_with_a_journal();
        let [older, newer] = journal(crash.path());
        for (path, octets) in [older, newer] {
            let mut damaged = octets.clone();
            damaged[at] ^= 0x10;
            fs::write(&path, &damaged).unwrap();
            let detail = damage(crash.path());
            assert!(detail.contains("its journal registry.journal."), "{detail}");
            assert_eq!(fs::read(&path).unwrap(), damaged, "it is left as it was");
            fs::write(&path, octets).unwrap();
        }
        assert_eq!(revision(crash.path()), 5);
    }
}

#[test]
fn a_missing_file_of_the_journal_is_refused() {
    for name in FILES {
        let crash = crashed_with_a_journal();
        fs::rename(crash.path().join(name), crash.path().join("aside")).unwrap();
        let detail = damage(crash.path());
        assert!(detail.contains(name) && detail.contains("missing"), "{detail}");
        fs::rename(crash.path().join("aside"), crash.path().join(name)).unwrap();
        assert_eq!(revision(crash.path()), 5);
    }
}

#[test]
fn a_journal_of_another_store_or_of_none_is_refused() {
    let (one, other) = (crashed_with_a_journal(), crashed_with_a_journal());
    let aside = one.path().join("aside");
    fs::rename(one.path().join(file::FILE), &aside).unwrap();
    let detail = damage(one.path());
    assert!(detail.contains("it is missing, but its journal"), "{detail}");
    assert!(!one.path().join(file::FILE).exists(), "no empty store takes its place");
    fs::copy(other.path().join(file::FILE), one.path().join(file::FILE)).unwrap();
    let detail = damage(one.path());
    assert!(detail.contains("belongs to another store"), "{detail}");
    fs::rename(aside, one.path().join(file::FILE)).unwrap();
    assert_eq!(revision(one.path()), 5);
}

#[test]
fn an_older_copy_of_the_trees_is_not_continued_by_a_newer_journal() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).unwrap();
    commit(&store, 1);
    store.load().unwrap();
    let old = crashed(directory.path());
    commit(&store, 2);
    store.load().unwrap();
    commit(&store, 3);
    store.load().unwrap();
    let new = without_trees(&store, || {
        commit(&store, 4);
        crashed(directory.path())
    });
    fs::copy(old.path().join(file::FILE), new.path().join(file::FILE)).unwrap();
    let detail = damage(new.path());
    assert!(detail.contains("is damaged or missing, but commit"), "{detail}");
}

#[test]
fn rounds_use_the_files_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).unwrap();
    for round in 0..20 {
        (1..=5).for_each(|number| commit(&store, round * 5 + number));
        store.load().unwrap();
    }
    for name in FILES {
        assert!(fs::metadata(directory.path().join(name)).unwrap().len() <= 5 * 4096);
    }
    without_trees(&store, || {
        commit(&store, 101);
        let crash = crashed(directory.path());
        assert_eq!(EmbeddedStore::open(crash.path()).unwrap().load().unwrap().revision, Revision(101));
    });
}

#[test]
fn commits_wait_for_trees_that_are_far_behind() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).unwrap();
    let large = |expected: u64| {
        let mut batch = Batch { expected: Revision(expected), changes: vec![change(expected + 1)], ..Batch::default() };
        batch.changes[0].reason = "x".repeat(3 << 20).into();
        batch
    };
    let (tell, told) = sync_channel(20);
    std::thread::scope(|scope| {
        without_trees(&store, || {
            let store = &store;
            scope.spawn(move || {
                (0..20).for_each(|expected| {
                    store.commit(&large(expected)).unwrap();
                    tell.send(expected).unwrap();
                });
            });
            let mut taken = 0;
            while told.recv_timeout(Duration::from_secs(2)).is_ok() {
                taken += 1;
            }
            assert!((2..=5).contains(&taken), "two rounds of 8 MiB at most, not {taken} commits of 3 MiB");
            assert!(store.behind() <= 17 << 20, "{}", store.behind());
        });
    });
    assert_eq!(store.load().unwrap().revision, Revision(20));
    assert_eq!(store.behind(), 0);
}

#[test]
fn a_failed_commit_of_the_trees_takes_no_writes_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).unwrap();
    commit(&store, 1);
    let closed = store.shared.database.write().unwrap().take();
    assert!(store.load().is_err(), "the trees cannot have it");
    eventually_refuses(&store);
    drop(closed);
    store.reopen().unwrap();
    assert_eq!(store.load().unwrap().revision, Revision(1));
    commit(&store, 2);
}

fn eventually_refuses(store: &EmbeddedStore) {
    assert!(store.trouble().is_some());
    let batch = Batch { expected: Revision(1), writes: vec![zone(9)], changes: vec![change(2)] };
    assert!(matches!(store.commit(&batch), Err(StoreError::Write { .. })));
}

#[test]
fn a_journal_that_is_moved_away_takes_no_commits() {
    for name in FILES {
        let directory = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(directory.path()).unwrap();
        commit(&store, 1);
        let (path, aside) = (directory.path().join(name), directory.path().join("aside"));
        fs::rename(&path, &aside).unwrap();
        let batch = Batch { expected: Revision(1), writes: vec![zone(9)], changes: vec![change(2)] };
        let error = store.commit(&batch).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("removed or replaced"), "{error}");
        fs::rename(&aside, &path).unwrap();
        store.reopen().unwrap();
        commit(&store, 2);
        assert_eq!(store.load().unwrap().revision, Revision(2));
    }
}

#[test]
fn only_an_open_store_has_a_schema_that_older_servers_refuse() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(file::FILE);
    let has_journal = |path: &Path| {
        let database = Database::open(path).unwrap();
        Meta::read(&database.begin_read().unwrap()).unwrap().has_journal
    };
    let store = EmbeddedStore::open(directory.path()).unwrap();
    commit(&store, 1);
    store.load().unwrap();
    assert!(has_journal(&crashed(directory.path()).path().join(file::FILE)));
    drop(store);
    assert!(!has_journal(&path));
}
