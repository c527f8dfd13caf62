//! Stores: the battery that every backend passes, and what only the embedded one can suffer.
//!
//! A test that every store must pass goes to `support/battery.rs`. Tests of damage, locks, disks and crashes of the
//! embedded store are here. Two of them run this binary again: `child_*` are those other processes, and do nothing
//! unless their parent asks them to.

#![allow(clippy::disallowed_methods)] // processes and clocks of the machine take their time
#![allow(clippy::unwrap_used, unreachable_pub)] // a test may panic; `pub` is what the tests may use

#[path = "support/battery.rs"]
mod battery;
#[path = "support/filling.rs"]
mod filling;
#[path = "support/mounts.rs"]
mod mounts;
#[path = "support/store.rs"]
mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use redb::{Database, TableDefinition};
use support::{content, fill, register};
use zonebeat::model::{Change, Revision, Timestamp};
use zonebeat::registry::store::embedded::{EmbeddedFill, EmbeddedStore};
use zonebeat::registry::store::{Batch, Fill, Load, Page, Store, StoreError, Write};

fn in_a_directory(story: fn(battery::Open)) {
    let directory = tempfile::tempdir().unwrap();
    story(&|| Arc::new(open(directory.path()).unwrap()));
}

battery::battery! {
    in_a_directory:
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
    a_big_batch_is_one_commit,
    readers_see_whole_batches_while_the_writer_writes,
}

mod filled {
    use super::*;

    fn in_a_directory(story: fn(battery::Open, filling::Begin)) {
        let directory = tempfile::tempdir().unwrap();
        let begin = || Ok(Box::new(EmbeddedFill::begin(directory.path())?) as Box<dyn Fill>);
        story(&|| Arc::new(open(directory.path()).unwrap()), &begin);
    }

    /// A store that knows no better way to read everything than the contract's own.
    struct Paged(EmbeddedStore);

    impl Store for Paged {
        fn read(&self, into: &mut dyn Load) -> Result<(), StoreError> {
            self.0.read(into)
        }
        fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
            self.0.commit(batch)
        }
        fn reopen(&self) -> Result<(), StoreError> {
            self.0.reopen()
        }
        fn history(&self, since: Revision, limit: usize) -> Result<Page, StoreError> {
            self.0.history(since, limit.min(7))
        }
        fn change(&self, revision: Revision) -> Result<Option<Change>, StoreError> {
            self.0.change(revision)
        }
        fn prune(&self, before: Timestamp, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
            self.0.prune(before, now, limit)
        }
    }

    #[test]
    fn rows_and_then_pages_of_history_are_one_revision() {
        let directory = tempfile::tempdir().unwrap();
        let begin = || Ok(Box::new(EmbeddedFill::begin(directory.path())?) as Box<dyn Fill>);
        let paged = || Arc::new(Paged(open(directory.path()).unwrap())) as Arc<dyn Store>;
        filling::everything_is_read_at_one_revision_while_the_writer_writes(&paged, &begin);
    }

    macro_rules! stories {
        ($($story:ident),* $(,)?) => { $(#[test] fn $story() { in_a_directory(filling::$story); })* };
    }

    stories! {
        a_store_comes_to_be_with_everything,
        the_revision_may_be_behind_the_last_change,
        without_history_there_is_none,
        what_is_not_finished_is_no_store,
        filling_begins_again_after_one_that_was_not_finished,
        pieces_that_do_not_follow_each_other_are_refused,
        a_store_that_is_there_is_not_filled,
        everything_is_read_at_one_revision_while_the_writer_writes,
        everything_moves_into_another_store,
    }
}

fn open(directory: &Path) -> Result<EmbeddedStore, StoreError> {
    EmbeddedStore::open(directory)
}

fn file(directory: &Path) -> PathBuf {
    directory.join("registry.redb")
}

/// The files of a directory, sorted.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A directory whose store has 50 changes and was closed.
fn filled() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fill(&open(directory.path()).unwrap(), 50);
    directory
}

/// Opens and reads a store in vain; the error names the place.
fn refused(directory: &Path) -> StoreError {
    let error = match open(directory) {
        Err(error) => error,
        Ok(store) => store.load().map(|loaded| panic!("opened at revision {}", loaded.revision)).unwrap_err(),
    };
    assert!(error.to_string().contains(&directory.display().to_string()), "{error}");
    error
}

fn is_damaged(directory: &Path) -> String {
    match refused(directory) {
        StoreError::Damaged { detail, .. } => detail,
        other => panic!("not damage: {other}"),
    }
}

#[test]
fn directory_and_file_are_made_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let below = directory.path().join("var/zonebeat");
    let store = open(&below).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&below), mode(&file(&below))), (0o700, 0o600));
    assert_eq!(
        names(&below),
        ["registry.journal.0", "registry.journal.1", "registry.redb"],
        "nothing unfinished is left"
    );
    assert!(names(&below).iter().all(|name| mode(&below.join(name)) == 0o600));
    assert_eq!(store.id().len(), 32);
    let id = store.id().to_owned();
    drop(store);
    assert_eq!(names(&below), ["registry.redb"], "a store that was closed needs no journal");
    assert_eq!(open(&below).unwrap().id(), id);
}

#[test]
fn what_an_interrupted_creation_left_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("registry.redb.new"), "half").unwrap();
    fill(&open(directory.path()).unwrap(), 1);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_second_server_is_told_that_the_store_is_in_use() {
    let directory = filled();
    let store = open(directory.path()).unwrap();
    let error = open(directory.path()).err().unwrap();
    assert!(matches!(error, StoreError::Locked(_)), "{error}");
    let output = child("child_opens", directory.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("in use by another process") && text.contains("registry.redb"), "{text}");
    fill(&store, 51);
}

#[test]
#[ignore = "runs as a child of a_second_server_is_told_that_the_store_is_in_use"]
fn child_opens() {
    let Some(directory) = child_directory() else { return };
    let error = open(&directory).err().unwrap();
    writeln!(std::io::stdout(), "{error}").unwrap();
}

#[test]
fn files_that_are_no_store_are_damage_and_stay() {
    let directory = tempfile::tempdir().unwrap();
    let mut noise = vec![0; 300_000];
    let mut seed = 7u32;
    noise.iter_mut().for_each(|octet| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *octet = (seed >> 24) as u8;
    });
    for octets in [&b""[..], b"x", b"search.sd.example.org. 30 IN A 192.0.2.7\n", &[0; 100_000], &noise] {
        fs::write(file(directory.path()), octets).unwrap();
        is_damaged(directory.path());
        assert_eq!(fs::read(file(directory.path())).unwrap(), octets);
    }
}

#[test]
fn a_truncated_file_is_damage() {
    let directory = filled();
    let octets = fs::read(file(directory.path())).unwrap();
    for len in [1, 64, 320, 4095, 4096, 8192, octets.len() / 2, octets.len() - 4096, octets.len() - 1] {
        fs::write(file(directory.path()), &octets[..len]).unwrap();
        is_damaged(directory.path());
    }
}

#[test]
fn a_damaged_page_is_found_when_the_file_is_opened() {
    let directory = filled();
    let octets = fs::read(file(directory.path())).unwrap();
    let mut found = 0;
    for page in 0..octets.len() / 4096 {
        let mut damaged = octets.clone();
        damaged[page * 4096..][..4096].iter_mut().for_each(|octet| *octet ^= 0x55);
        fs::write(file(directory.path()), &damaged).unwrap();
        match open(directory.path()) {
            Err(error) => {
                assert!(matches!(error, StoreError::Damaged { .. }), "page {page}: {error}");
                found += 1;
            }
            Ok(store) => assert_eq!(store.load().unwrap().revision, Revision(50), "page {page}"),
        }
    }
    assert!(found > 0);
}

#[test]
fn a_single_wrong_octet_never_panics_and_never_changes_rows() {
    let directory = filled();
    let octets = fs::read(file(directory.path())).unwrap();
    let rows = format!("{:?}", open(directory.path()).unwrap().load().unwrap());
    for at in (0..octets.len()).step_by(octets.len() / 150) {
        let mut damaged = octets.clone();
        damaged[at] ^= 0x01;
        fs::write(file(directory.path()), &damaged).unwrap();
        match open(directory.path()).and_then(|store| store.load()) {
            Err(error) => assert!(matches!(error, StoreError::Damaged { .. }), "octet {at}: {error}"),
            Ok(loaded) => assert_eq!(format!("{loaded:?}"), rows, "octet {at}"),
        }
    }
}

/// Writes one row into a closed store behind its back.
fn tamper<K: redb::Key, V: redb::Value>(
    directory: &Path,
    table: TableDefinition<'_, K, V>,
    key: K::SelfType<'_>,
    value: V::SelfType<'_>,
) {
    let database = Database::open(file(directory)).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(table).unwrap().insert(key, value).unwrap();
    transaction.commit().unwrap();
}

#[test]
fn another_schema_is_damage_with_both_numbers() {
    let directory = filled();
    tamper(directory.path(), TableDefinition::<&str, &str>::new("meta"), "schema", "7");
    let detail = is_damaged(directory.path());
    assert!(detail.contains("schema 7") && detail.contains("schema 1"), "{detail}");
}

#[test]
fn a_redb_file_of_another_program_is_damage_and_gets_no_tables() {
    let directory = tempfile::tempdir().unwrap();
    drop(Database::create(file(directory.path())).unwrap());
    tamper(directory.path(), TableDefinition::<u64, u64>::new("theirs"), 1, 1);
    let detail = is_damaged(directory.path());
    assert!(detail.contains("not a store of zonebeat"), "{detail}");
    let database = Database::open(file(directory.path())).unwrap();
    let transaction = redb::ReadableDatabase::begin_read(&database).unwrap();
    assert_eq!(transaction.list_tables().unwrap().count(), 1);
}

#[test]
fn a_row_that_does_not_decode_is_damage_with_its_key() {
    let octets: &[u8] = b"{\"id\":";
    let directory = filled();
    let table = TableDefinition::<(&str, &str), &[u8]>::new("instances");
    tamper(directory.path(), table, ("search", "i7"), octets);
    let detail = is_damaged(directory.path());
    assert!(detail.contains("instances/search/i7"), "{detail}");

    let directory = filled();
    tamper(directory.path(), TableDefinition::<&str, &[u8]>::new("zones"), "a..b", octets);
    assert!(is_damaged(directory.path()).contains("zones/a..b"));

    let directory = filled();
    tamper(directory.path(), TableDefinition::<u64, &[u8]>::new("changes"), 9, octets);
    let store = open(directory.path()).unwrap();
    store.load().unwrap();
    let error = store.history(Revision(5), 10).unwrap_err();
    assert!(error.to_string().contains("changes/9"), "{error}");
}

#[test]
fn something_else_in_the_place_of_the_file_or_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(file(directory.path())).unwrap();
    assert!(is_damaged(directory.path()).contains("not a regular file"));

    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("data");
    fs::write(&place, "a file").unwrap();
    let error = refused(&place);
    assert!(matches!(error, StoreError::Open { .. }) && error.to_string().contains("not a directory"), "{error}");
    let error = refused(&place.join("below"));
    assert!(matches!(error, StoreError::Open { .. }), "{error}");
}

/// Runs one of the `child_` tests of this binary in a mount namespace of its own, so that it can mount what it likes
/// and nothing is left behind.
fn with_own_mounts(name: &str) {
    use std::os::unix::fs::MetadataExt;
    let directory = tempfile::tempdir().unwrap();
    let mut command = mounts::unshare_mounts();
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        command.args(["--user", "--map-root-user"]);
    }
    let child = child(name, directory.path());
    command.arg(child.get_program()).args(child.get_args());
    let output = command.env(CHILD, directory.path()).output().expect("unshare (Debian package util-linux) is missing");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let hint = "this test needs a mount namespace: run it as root, or where user namespaces are allowed";
    assert!(output.status.success() && text.contains("1 passed"), "{hint}\n{text}");
}

fn mount(arguments: &[&str], place: &Path) {
    let output = Command::new("mount").args(arguments).arg(place).output().unwrap();
    assert!(output.status.success(), "mount is not permitted: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn history_keeps_a_number_of_changes_and_all_rows() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap().keeping(10);
    for expected in 0..30 {
        store.commit(&register(expected)).unwrap();
        let page = store.history(Revision(0), 100).unwrap();
        assert!(page.changes.len() <= 10, "{}", page.changes.len());
        assert_eq!(page.changes.last().map(|change| change.revision), Some(Revision(expected + 1)));
        assert_eq!(page.oldest, page.changes[0].revision);
    }
    assert_eq!(store.history(Revision(0), 100).unwrap().changes.len(), 10);
    let rows = store.load().unwrap().instances.len();
    let unbounded = tempfile::tempdir().unwrap();
    let unbounded = open(unbounded.path()).unwrap();
    fill(&unbounded, 30);
    assert_eq!(rows, unbounded.load().unwrap().instances.len());
}

#[test]
fn a_history_that_is_far_too_long_is_shortened_step_by_step() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    fill(&store, 100);
    drop(store);
    let store = open(directory.path()).unwrap().keeping(10);
    for expected in 100..200 {
        store.commit(&register(expected)).unwrap();
        let kept = store.history(Revision(0), 1000).unwrap().changes.len() as u64;
        assert_eq!(kept, (99 - (expected - 100)).max(10), "one comes, two go");
    }
}

/// Fills the disk up to its last octet.
fn ballast(directory: &Path) -> PathBuf {
    let path = directory.join("ballast");
    let mut file = fs::File::create(&path).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    path
}

/// A batch far larger than what a small file has room for inside.
fn large(expected: u64) -> Batch {
    let mut batch = register(expected);
    batch.changes[0].reason = "x".repeat(2 << 20).into();
    batch
}

#[test]
fn a_full_disk_refuses_writes_whole_and_recovers() {
    with_own_mounts("child_on_a_full_disk");
}

#[test]
#[ignore = "runs as a child of a_full_disk_refuses_writes_whole_and_recovers"]
fn child_on_a_full_disk() {
    let Some(directory) = child_directory() else { return };
    mount(&["-t", "tmpfs", "-o", "size=8m", "tmpfs"], &directory);
    let store = open(&directory).unwrap();
    fill(&store, 20);
    let before = content(&store);
    let rest = ballast(&directory);

    let error = store.commit(&large(20)).unwrap_err();
    assert!(matches!(error, StoreError::Write { .. }), "{error}");
    assert!(error.to_string().contains("No space left on device"), "{error}");
    let again = store.commit(&register(20)).unwrap_err();
    assert!(matches!(again, StoreError::Write { .. }) && again.to_string().contains("No space"), "{again}");
    assert!(store.trouble().is_some());

    let reopened = store.reopen();
    assert_eq!(content(&store), before, "what is known can be read while the disk is full: {reopened:?}");
    if reopened.is_ok() {
        assert!(store.commit(&large(20)).is_err());
    }
    drop(store);
    let store = open(&directory).unwrap();
    assert_eq!(content(&store), before);
    let full = store.commit(&large(20));
    assert!(matches!(full, Err(StoreError::Write { .. })), "{full:?}");

    fs::remove_file(rest).unwrap();
    store.reopen().unwrap();
    assert_eq!(store.trouble(), None);
    assert_eq!(content(&store), before);
    store.commit(&large(20)).unwrap();
    fill(&store, 30);
    let after = content(&store);
    drop(store);
    assert_eq!(content(&open(&directory).unwrap()), after);
}

#[test]
fn a_full_disk_makes_no_half_store() {
    with_own_mounts("child_without_room_for_a_store");
}

#[test]
#[ignore = "runs as a child of a_full_disk_makes_no_half_store"]
fn child_without_room_for_a_store() {
    let Some(directory) = child_directory() else { return };
    mount(&["-t", "tmpfs", "-o", "size=64k", "tmpfs"], &directory);
    let rest = ballast(&directory);
    let error = refused(&directory);
    assert!(matches!(error, StoreError::Open { .. }) && error.to_string().contains("No space"), "{error}");
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "only the ballast");
    fs::remove_file(rest).unwrap();
    mount(&["-o", "remount,size=8m"], &directory);
    fill(&open(&directory).unwrap(), 3);
}

#[test]
fn a_read_only_disk_is_read() {
    with_own_mounts("child_on_a_read_only_disk");
}

#[test]
#[ignore = "runs as a child of a_read_only_disk_is_read"]
fn child_on_a_read_only_disk() {
    let Some(directory) = child_directory() else { return };
    mount(&["-t", "tmpfs", "-o", "size=8m", "tmpfs"], &directory);
    let store = open(&directory).unwrap();
    fill(&store, 20);
    content(&store);
    store.commit(&register(20)).unwrap();
    let unclean: Vec<(PathBuf, Vec<u8>)> = ["registry.journal.0", "registry.journal.1", "registry.redb"]
        .map(|name| (directory.join(name), fs::read(directory.join(name)).unwrap()))
        .into();
    let before = content(&store);
    drop(store);
    // As a crash leaves it: never closed, so that opening has to repair it and to take the last commit from the
    // journal.
    unclean.iter().for_each(|(path, octets)| fs::write(path, octets).unwrap());
    mount(&["-o", "remount,ro"], &directory);

    let store = open(&directory).unwrap();
    assert!(store.trouble().is_some_and(|trouble| trouble.contains("Read-only")), "{:?}", store.trouble());
    assert_eq!(content(&store), before);
    let error = store.commit(&register(21)).unwrap_err();
    assert!(matches!(error, StoreError::Write { .. }), "{error}");
    assert!(store.prune(support::time(10), support::time(10), 9).is_err());
    assert!(store.reopen().is_err());
    assert_eq!(content(&store), before);
    unclean.iter().for_each(|(path, octets)| assert_eq!(fs::read(path).unwrap(), *octets));

    let empty = directory.join("empty");
    assert!(matches!(refused(&empty), StoreError::Open { .. }));

    mount(&["-o", "remount,rw"], &directory);
    store.reopen().unwrap();
    fill(&store, 25);
}

const CHILD: &str = "ZONEBEAT_TEST_STORE";

/// This binary again, running only the test `name`, on `directory`.
fn child(name: &str, directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--ignored", "--nocapture", "--test-threads=1"]).env(CHILD, directory);
    command
}

fn child_directory() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

/// Kills a committing process at random moments. What it acknowledged is there, what it did not is there whole or not.
#[test]
fn kill_loses_nothing_that_was_acknowledged() {
    kill_again_and_again("child_commits");
}

/// The same while somebody reads, so that most kills meet the trees while they take what the journal has.
#[test]
fn kill_loses_nothing_while_the_journal_goes_into_the_trees() {
    kill_again_and_again("child_commits_and_reads");
}

fn kill_again_and_again(name: &str) {
    let directory = tempfile::tempdir().unwrap();
    let mut seed = std::process::id();
    let mut acknowledged = 0;
    for _ in 0..20 {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let mut child = child(name, directory.path()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        wait_for_commits(&mut lines);
        std::thread::sleep(Duration::from_micros(u64::from(seed >> 8) % 60_000));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        let whole = rest.rfind('\n').map_or("", |end| &rest[..end]);
        if let Some(last) = whole.lines().last() {
            acknowledged = last.parse().unwrap();
        }
        check(directory.path(), acknowledged);
    }
    assert!(acknowledged > 20, "only {acknowledged} revisions were acknowledged");
}

/// Reads up to the line that says that commits begin.
fn wait_for_commits(lines: &mut impl BufRead) {
    let mut line = String::new();
    while !line.ends_with("commits\n") {
        line.clear();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the child ended early");
    }
}

fn check(directory: &Path, acknowledged: u64) {
    let store = open(directory).unwrap();
    let loaded = store.load().unwrap();
    assert!(loaded.revision.0 >= acknowledged, "{acknowledged} was acknowledged, {} is there", loaded.revision);
    assert_eq!(loaded.revision.0 % 3, 0, "half a batch");
    assert_eq!(loaded.instances.len() as u64, loaded.revision.0);
    let page = store.history(Revision(0), usize::MAX).unwrap();
    assert!(page.changes.iter().map(|change| change.revision.0).eq(1..=loaded.revision.0));
    for (_, instance) in loaded.instances {
        assert_eq!(instance, support::instance(&instance.id, instance.revision.0));
    }
}

#[test]
#[ignore = "runs as a child of kill_loses_nothing_that_was_acknowledged"]
fn child_commits() {
    let Some(directory) = child_directory() else { return };
    commit_for_ever(&open(&directory).unwrap());
}

#[test]
#[ignore = "runs as a child of kill_loses_nothing_while_the_journal_goes_into_the_trees"]
fn child_commits_and_reads() {
    let Some(directory) = child_directory() else { return };
    let store = Arc::new(open(&directory).unwrap());
    let reader = store.clone();
    std::thread::spawn(move || {
        loop {
            reader.history(Revision(u64::MAX), 1).unwrap();
        }
    });
    commit_for_ever(&store);
}

/// Commits batches of three, and says each time what was acknowledged.
fn commit_for_ever(store: &EmbeddedStore) {
    let mut revision = store.load().unwrap().revision.0;
    let mut out = std::io::stdout();
    writeln!(out, "\ncommits").unwrap();
    loop {
        let mut batch = Batch { expected: Revision(revision), ..Batch::default() };
        for expected in revision..revision + 3 {
            let Batch { writes, changes, .. } = register(expected);
            batch.writes.extend(writes);
            batch.changes.extend(changes);
        }
        debug_assert!(batch.writes.iter().all(|write| matches!(write, Write::Instance(..))));
        store.commit(&batch).unwrap();
        revision += 3;
        writeln!(out, "{revision}").unwrap();
    }
}
