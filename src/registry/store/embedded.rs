//! The embedded store: one redb file, `registry.redb`, in the data directory, and a journal before it.
//!
//! **What it holds.** Rows and history as JSON (`rows`) in the trees of redb, the revision, a random id that tells this
//! store from every other, and the number of the last commit that is in them. Later commits are in the `journal`, two
//! files. Only one process has them: redb locks its file.
//!
//! **Durability.** A commit is one frame in the journal and one fdatasync, and only then does `commit` return. A thread
//! brings what the journal has into the trees (`trees`), many commits in one transaction, which says how far it goes. A
//! crash at any moment leaves both as they were after some commit, the trees the same or an earlier one: redb finds out
//! by checksums when it opens the file (one scan of the file), and what only the journal has goes into the trees then.
//! A new store is prepared under another name, synced, renamed, and the directory synced, so that the real name never
//! belongs to half a store. An existing file is never replaced or emptied, whatever is in it.
//!
//! **Closing** brings everything into the trees and removes the journal, so a store that was closed is one file, which
//! servers that know no journal read as well. As long as there is a journal the file has a schema that they refuse.
//!
//! **Who may change it.** The registry's writer calls `commit`, `prune` and `reopen`; a mutex takes commits one at a
//! time. `load`, `history` and `change` read a snapshot of the trees; if that cannot have the answer, they wait until
//! the trees have what was acknowledged, for at most two of their transactions.
//!
//! **Failure.** After an I/O error the store takes no writes until it is opened again. A commit whose fsync failed may
//! nevertheless have reached the disk. Therefore `reopen` makes sure of 1 MiB of room, writes the file's content over
//! itself and syncs it, opens it (redb repairs it), leaves the failed commit out when it reads the journal, and proves
//! with a transaction that the disk takes writes; that one counts commits beyond the failed one, so that its frame
//! never counts. The caller need not know: after `reopen` the store is where the last acknowledged commit left it, or
//! it says that it is not. A failed batch can be found later only if this process dies before a `reopen` worked; then
//! it was neither acknowledged nor published.
//!
//! A file that is removed or replaced while it is open would take commits that nobody finds again, so each commit looks
//! whether the paths still name all three, and fails if not.
//!
//! **Pages.** A transaction of the trees holds a snapshot of what was before it, so that redb gives the pages that it
//! replaces free only with the next one. Without it, redb does it at once, in a small commit of its own that stays in
//! memory; and as long as that is there, every page that the next transaction has to read pushes one that it has
//! written out of memory, which it then reads and writes once more.
//!
//! **History** may have as many changes as [`EmbeddedStore::keeping`] says: each transaction that goes beyond removes
//! the oldest, at most twice as many as it adds. What is pruned goes with the next transaction too.
//!
//! **Disks that take no writes.** If the file can be read but not written (read-only disk, missing permission, full
//! disk), it is opened for reading with the repair and the journal kept in memory (`overlay`): `load` and `history`
//! work, writes fail, [`Store::trouble`] says why, and `reopen` tries to write again.
//!
//! **Limits.** Writes per second are bounded by fsync; the writer batches. What waits for the trees is at most two
//! rounds (`ledger`), then commits wait. Opening reads the whole file once, in a way that keeps later writes cheap
//! (`folios`), and verifies its checksums. redb panics on some contents that it never writes; such a panic is caught
//! and reported as damage.

mod fault;
mod file;
mod fill;
mod folios;
mod journal;
mod ledger;
mod overlay;
mod read;
mod rows;
#[cfg(test)]
mod tests;
mod trees;
mod unfinished;

pub use file::FILE;
pub use fill::EmbeddedFill;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;

use redb::{Database, ReadTransaction, ReadableDatabase};

use super::entry::{self, RowKey};
use super::{About, Batch, Load, LoadAll, Page, Store, StoreError};
use crate::model::{Change, Revision, Timestamp};
use fault::{Fault, Result as Internal, guarded};
use file::Known;
use journal::{Frame, frame};
use ledger::Ledger;
use rows::Meta;

/// Octets that the buffer for frames keeps between two commits.
const BUFFER: usize = 1 << 20;

/// A store in a file of this machine, with its journal.
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    /// Locked before anything of `shared`.
    writer: Mutex<Writer>,
    /// The trees' thread.
    trees: Option<JoinHandle<()>>,
}

/// What the trees' thread shares with the calls.
struct Shared {
    path: PathBuf,
    id: String,
    /// `None` only while no way of opening the file works.
    database: RwLock<Option<Database>>,
    ledger: Ledger,
    /// Changes that history keeps.
    most_changes: AtomicU64,
}

/// What the writing calls know.
struct Writer {
    /// The last acknowledged revision.
    revision: Revision,
    /// The number of the last acknowledged commit.
    commits: u64,
    /// Which file it is, among all that the path may name.
    file: file::Identity,
    /// The number of the commit that failed, until it is certain that it does not count.
    failed: Option<u64>,
    /// A write to the disk has failed, and the store has not been opened again since.
    doubtful: bool,
    buffer: Vec<u8>,
}

impl Shared {
    /// Runs `work` on the open database.
    fn with<T>(&self, work: impl FnOnce(&Database) -> Internal<T>) -> Internal<T> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        match &*database {
            Some(database) => guarded(|| work(database)),
            None => Err(std::io::Error::other("it could not be opened again").into()),
        }
    }

    fn reading<T>(&self, work: impl FnOnce(&ReadTransaction) -> Internal<T>) -> Result<T, StoreError> {
        self.with(|database| work(&database.begin_read()?)).map_err(|fault| fault.reading(&self.path))
    }

    /// Waits until what was acknowledged can be read.
    fn settle(&self) -> Result<(), StoreError> {
        self.ledger.settle().map_err(|fault| fault.reading(&self.path))
    }

    /// Reads; and unless that was enough, again when the trees have what was acknowledged.
    fn read_twice<T>(
        &self,
        read: impl Fn() -> Result<T, StoreError>,
        is_enough: impl Fn(&T) -> bool,
    ) -> Result<T, StoreError> {
        if !self.ledger.is_forgetting() {
            let is_settled = self.ledger.is_settled();
            let found = read()?;
            if is_settled || is_enough(&found) {
                return Ok(found);
            }
        }
        self.settle()?;
        read()
    }

    /// Refuses while there is trouble.
    fn check_writable(&self) -> Result<(), StoreError> {
        self.ledger.trouble().map_or(Ok(()), |trouble| Err(self.refused(&trouble)))
    }

    /// What a write is refused with while there is trouble.
    fn refused(&self, trouble: &str) -> StoreError {
        StoreError::Write { path: self.path.display().to_string(), source: trouble.into() }
    }

    /// Writes the frame of a batch into the journal, durably.
    fn append(&self, writer: &mut Writer, batch: &Batch) -> Internal<()> {
        self.append_frame(writer, batch.expected, |id, sequence, buffer| frame::encode(batch, id, sequence, buffer))
    }

    /// Writes a frame that `encode` makes of the store's id and the commit's number.
    fn append_frame(
        &self,
        writer: &mut Writer,
        expected: Revision,
        encode: impl FnOnce(&str, u64, &mut Vec<u8>) -> Internal<Revision>,
    ) -> Internal<()> {
        if expected != writer.revision {
            return Err(Fault::Conflict { expected, found: writer.revision });
        }
        let sequence = writer.commits + 1;
        let mut buffer = std::mem::take(&mut writer.buffer);
        let revision = encode(&self.id, sequence, &mut buffer)?;
        let header = frame::Header::parse(&buffer).expect("it has just been written");
        let octets = buffer.len() as u64;
        let place = self.ledger.place(octets)?;
        writer.file.check_still(&self.path)?;
        place.files.iter().try_for_each(|file| file.check_still())?;
        writer.failed = Some(sequence);
        place.file().append(place.at, &buffer)?;
        writer.failed = None;
        self.ledger.appended(Frame { at: place.at, header }, octets);
        (writer.revision, writer.commits) = (revision, sequence);
        buffer.truncate(BUFFER);
        buffer.shrink_to(BUFFER);
        writer.buffer = buffer;
        Ok(())
    }
}

impl EmbeddedStore {
    /// Opens the store in `data_dir`; creates both if there is no file yet.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let path = file::prepare(data_dir).map_err(|(path, fault)| fault.reading(&path))?;
        let opened = file::open(&path, None).map_err(|fault| fault.reading(&path))?;
        let file::Opened { database, meta, identity, journal, trouble } = opened;
        let (revision, commits, buffer) = (meta.revision, meta.commits, Vec::new());
        let writer = Writer { revision, commits, file: identity, failed: None, doubtful: false, buffer };
        let (database, ledger) = (RwLock::new(Some(database)), Ledger::default());
        ledger.begin(journal, trouble);
        let shared = Shared { path, id: meta.id, database, ledger, most_changes: AtomicU64::new(u64::MAX) };
        let shared = Arc::new(shared);
        let trees = trees::start(shared.clone()).map_err(|error| Fault::from(error).reading(&shared.path))?;
        Ok(Self { shared, writer: Mutex::new(writer), trees: Some(trees) })
    }

    /// Lets history have at most about this many changes.
    pub fn keeping(self, most_changes: u64) -> Self {
        self.shared.most_changes.store(most_changes, Ordering::Relaxed);
        self
    }

    /// The random id that the store got when it was created.
    pub fn id(&self) -> &str {
        &self.shared.id
    }

    /// The mark of the last [`EmbeddedStore::copy`]; empty before the first.
    pub(super) fn mark(&self) -> Result<String, StoreError> {
        self.shared.settle()?;
        self.shared.reading(|transaction| Ok(Meta::read(transaction)?.mark))
    }

    /// Takes entries of another store, whole and durably, with a mark that says how far they go there.
    pub(super) fn copy(&self, entries: &[u8], after: Revision, mark: &str) -> Result<(), StoreError> {
        let mut writer = self.writer();
        self.shared.check_writable()?;
        let before = writer.revision;
        let encode = |id: &str, sequence, buffer: &mut Vec<u8>| {
            frame::begin(buffer);
            buffer.extend_from_slice(entries);
            entry::push_raw(buffer, &RowKey::Mark, mark.as_bytes())?;
            frame::end(buffer, id, sequence, before, after);
            Ok(after)
        };
        let copied = guarded(|| self.shared.append_frame(&mut writer, before, encode));
        copied.map_err(|fault| {
            self.shared.ledger.failed(&fault);
            fault.writing(&self.shared.path)
        })
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes a store that has everything in its trees, without a journal.
    fn close(&mut self) -> Internal<()> {
        let Shared { path, ledger, database, .. } = &*self.shared;
        let Some(files) = ledger.end() else { return Ok(()) };
        self.writer().file.check_still(path)?;
        files.iter().try_for_each(|file| file.check_still())?;
        let database = database.write().unwrap_or_else(PoisonError::into_inner).take();
        let Some(database) = database else { return Ok(()) };
        guarded(|| file::close(database))?;
        journal::remove(path)
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.shared.ledger.close();
        if let Some(trees) = self.trees.take() {
            let _ = trees.join(); // what it could not do is in the journal
        }
        let _ = self.close(); // the same
    }
}

impl Store for EmbeddedStore {
    fn read(&self, into: &mut dyn Load) -> Result<(), StoreError> {
        self.shared.settle()?;
        self.shared.reading(|transaction| read::everything(transaction, into))
    }

    fn read_all(&self, into: &mut dyn LoadAll) -> Result<(), StoreError> {
        self.shared.settle()?;
        self.shared.reading(|transaction| {
            read::everything(transaction, into)?;
            read::all_changes(transaction, into)
        })
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut writer = self.writer();
        self.shared.check_writable()?;
        guarded(|| self.shared.append(&mut writer, batch)).map_err(|fault| {
            if !matches!(fault, Fault::Conflict { .. }) {
                self.shared.ledger.failed(&fault);
            }
            fault.writing(&self.shared.path)
        })
    }

    fn reopen(&self) -> Result<(), StoreError> {
        let mut writer = self.writer();
        let Shared { path, id, ledger, .. } = &*self.shared;
        if ledger.trouble().is_none() {
            return Ok(());
        }
        writer.doubtful |= ledger.halt() | writer.failed.is_some();
        let mut database = self.shared.database.write().unwrap_or_else(PoisonError::into_inner);
        let closed = database.take();
        // The file is about to be opened and checked again, whatever closing it says.
        let _ = guarded(|| {
            drop(closed);
            Ok(())
        });
        let Writer { revision, failed, doubtful, .. } = *writer;
        let opened = file::open(path, Some(&Known { id, revision, failed, doubtful })).map_err(|fault| {
            ledger.begin(None, Some(fault.to_string()));
            fault.reading(path)
        })?;
        *database = Some(opened.database);
        (writer.file, writer.commits) = (opened.identity, opened.meta.commits);
        let refused = opened.trouble.as_deref().map(|trouble| self.shared.refused(trouble));
        ledger.begin(opened.journal, opened.trouble);
        match refused {
            Some(refused) => Err(refused),
            None => {
                (writer.failed, writer.doubtful) = (None, false);
                Ok(())
            }
        }
    }

    fn history(&self, since: Revision, limit: usize) -> Result<Page, StoreError> {
        let read = || self.shared.reading(|transaction| read::history(transaction, since, limit));
        // A full page has nothing that is only in the journal.
        self.shared.read_twice(read, |page| page.more && limit > 0)
    }

    fn change(&self, revision: Revision) -> Result<Option<Change>, StoreError> {
        let read = || self.shared.reading(|transaction| read::change(transaction, revision));
        self.shared.read_twice(read, Option::is_some)
    }

    fn prune(&self, before: Timestamp, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.shared.check_writable()?;
        if self.shared.ledger.is_forgetting() {
            self.shared.settle()?;
        }
        let look = || self.shared.reading(|transaction| read::oldest(transaction, before..=now, limit));
        let mut oldest = look()?;
        if oldest.is_end && !self.shared.ledger.is_settled() {
            self.shared.settle()?;
            oldest = look()?;
        }
        let Some((last, count)) = oldest.last else { return Ok(0) };
        self.shared.ledger.forget(last);
        Ok(count)
    }

    fn about(&self) -> About {
        let octets = file::octets(&self.shared.path).ok();
        About { kind: "embedded", identity: self.shared.id.clone(), octets }
    }

    fn behind(&self) -> u64 {
        self.shared.ledger.behind()
    }

    fn trouble(&self) -> Option<String> {
        self.shared.ledger.trouble().map(|trouble| self.shared.refused(&trouble).to_string())
    }
}
