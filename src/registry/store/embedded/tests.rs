//! What only the inside of the store can bring about: commits that fail and yet are durable, and memory over a file.

#![allow(clippy::unwrap_used)] // a test may panic

mod crashes;

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use redb::{Database, StorageBackend};
use tempfile::TempDir;

use super::super::{Batch, Store, Write, ZoneRow};
use super::fault::Fault;
use super::journal::frame;
use super::overlay::Overlay;
use super::{EmbeddedStore, file};
use crate::model::service::ServiceRow;
use crate::model::{Change, Name, Revision, Timestamp, Transition};

fn change(revision: u64) -> Change {
    Change {
        revision: Revision(revision),
        time: Timestamp(revision),
        author: "zonebeat".into(),
        source: "server".into(),
        reason: "".into(),
        transition: Transition::Declare,
        subject: "search".into(),
        instance: None,
        token: None,
        before: None,
        after: None,
    }
}

fn zone(revision: u64) -> Write {
    let name = Name::parse_absolute("sd.example.org").expect("test name");
    Write::Zone(name, ZoneRow { changed: Revision(revision), static_hash: String::new() })
}

fn service(revision: u64) -> Write {
    Write::Service("search".into(), ServiceRow { revision: Revision(revision), ..ServiceRow::default() })
}

/// A copy of the data directory, as a crash at this moment would leave it; the trees must not be at work.
fn crashed(directory: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    copy
}

/// Everything in the store of a directory, in a form that compares.
fn content(store: &dyn Store) -> String {
    format!("{:?} {:?}", store.load().unwrap(), store.history(Revision(0), 100).unwrap())
}

/// Makes the batch durable behind the store's back, and the store believe that its commit failed.
fn commit_and_forget(store: &EmbeddedStore, batch: &Batch) {
    let mut writer = store.writer();
    let (sequence, mut octets) = (writer.commits + 1, Vec::new());
    frame::encode(batch, store.id(), sequence, &mut octets).unwrap();
    let place = store.shared.ledger.place(octets.len() as u64).unwrap();
    place.file().append(place.at, &octets).unwrap();
    writer.failed = Some(sequence);
    store.shared.ledger.failed(&Fault::from(std::io::Error::other("fsync failed")));
}

#[test]
fn a_failed_batch_that_became_durable_is_taken_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).unwrap();
    let first = Batch { expected: Revision(0), writes: vec![service(1), zone(1)], changes: vec![change(1)] };
    store.commit(&first).unwrap();
    let before = content(&store);

    let writes = vec![zone(2), Write::RemoveService("search".into()), zone(3), service(3)];
    commit_and_forget(&store, &Batch { expected: Revision(1), writes, changes: vec![change(2), change(3)] });
    let crash = crashed(directory.path());
    assert_ne!(content(&EmbeddedStore::open(crash.path()).unwrap()), before, "it is in the journal");

    store.reopen().unwrap();
    assert_eq!(content(&store), before);
    assert_eq!(store.history(Revision(0), 9).unwrap().changes, [change(1)]);
    let crash = crashed(directory.path());
    assert_eq!(content(&EmbeddedStore::open(crash.path()).unwrap()), before, "it does not come back");
    store.commit(&Batch { expected: Revision(1), writes: vec![zone(2)], changes: vec![change(2)] }).unwrap();
}

#[test]
fn a_failed_batch_without_changes_is_taken_back_too() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).unwrap();
    commit_and_forget(&store, &Batch { expected: Revision(0), writes: vec![zone(7)], changes: Vec::new() });
    store.reopen().unwrap();
    assert_eq!(store.load().unwrap().zones, []);
}

#[test]
fn what_was_acknowledged_before_a_failure_stays() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).unwrap();
    store.commit(&Batch { expected: Revision(0), writes: vec![service(1)], changes: vec![change(1)] }).unwrap();
    commit_and_forget(&store, &Batch { expected: Revision(1), writes: vec![zone(2)], changes: vec![change(2)] });
    store.reopen().unwrap();
    assert_eq!((store.load().unwrap().zones.len(), store.load().unwrap().services.len()), (0, 1));
}

#[test]
fn another_store_in_its_place_is_not_taken_for_this_one() {
    let (mine, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = EmbeddedStore::open(mine.path()).unwrap();
    drop(EmbeddedStore::open(other.path()).unwrap());
    std::fs::rename(other.path().join("registry.redb"), mine.path().join("registry.redb")).unwrap();
    store.shared.ledger.failed(&Fault::from(std::io::Error::other("test")));
    let error = store.reopen().unwrap_err().to_string();
    assert!(error.contains("another store"), "{error}");
    assert!(store.commit(&Batch::default()).is_err());
}

#[test]
fn an_overlay_reads_like_the_file_it_would_have_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, (0..10_000u32).map(|at| at as u8 | 1).collect::<Vec<u8>>()).unwrap();
    let overlay = Overlay::new(File::open(&path).unwrap()).unwrap();
    let mut model = std::fs::read(&path).unwrap();
    let mut write = |offset: usize, data: &[u8]| {
        overlay.write(offset as u64, data).unwrap();
        model[offset..offset + data.len()].copy_from_slice(data);
        let mut read = vec![0; model.len()];
        overlay.read(0, &mut read).unwrap();
        assert_eq!(read, model);
    };
    write(4090, &[7; 5000]);
    write(9_999, &[8]);
    let end = |len: u64| {
        overlay.set_len(len).unwrap();
        overlay.set_len(20_000).unwrap();
        let mut read = vec![9; 20_000];
        overlay.read(0, &mut read).unwrap();
        assert!(read[len as usize..].iter().all(|&octet| octet == 0) && read[len as usize - 1] != 0);
    };
    end(9_000);
    end(3_000);
    assert!(overlay.read(19_999, &mut [0; 2]).is_err());
    assert!(overlay.write(u64::MAX, &[0; 2]).is_err());
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 10_000);
}

#[test]
fn an_unclean_file_is_repaired_in_memory() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).unwrap();
    store.commit(&Batch { expected: Revision(0), writes: vec![service(1)], changes: vec![change(1)] }).unwrap();
    store.load().unwrap();
    let copy = directory.path().join("copy");
    std::fs::copy(directory.path().join("registry.redb"), &copy).unwrap();
    let octets = std::fs::read(&copy).unwrap();
    let database: Database =
        redb::Builder::new().create_with_backend(Overlay::new(File::open(&copy).unwrap()).unwrap()).unwrap();
    file::close(database).unwrap();
    assert_eq!(std::fs::read(&copy).unwrap(), octets);
    let store: Arc<dyn Store> = Arc::new(store);
    assert_eq!(store.load().unwrap().revision, Revision(1));
}
