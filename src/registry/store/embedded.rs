//! The embedded store: one redb file, `registry.redb`, in the data directory.
//!
//! **What it holds.** Rows and history as JSON (`rows`), the revision, a random id that tells this store from every
//! other, and a counter of commits. Only one process has the file: redb locks it.
//!
//! **Durability.** Every commit uses redb's `Durability::Immediate`: pages and header are written, then one fdatasync,
//! and only then does `commit` return. A crash at any moment leaves the last commit or the one before it; redb finds
//! out by checksums when it opens the file (one scan of the file). A new store is prepared under another name,
//! synced, renamed, and the directory synced, so that the real name never belongs to half a store. An existing file is
//! never replaced or emptied, whatever is in it.
//!
//! **Who may change it.** The registry's writer calls `commit`, `prune` and `reopen`; a mutex takes them one at a time.
//! `load`, `history` and `change` read a snapshot of the file and wait for nobody but `reopen`.
//!
//! **Failure.** After an I/O error redb refuses everything until the file is opened again, and so does this store. A
//! commit whose fsync failed may nevertheless have reached the disk. Therefore `reopen` makes sure of 1 MiB of room,
//! writes the file's content over itself and syncs it, opens the file (redb repairs it), takes the failed batch back if
//! it is in there (`undo`), and proves with a commit that the disk takes writes. The caller need not know: after
//! `reopen` the store is where the last acknowledged commit left it, or it says that it is not. A failed batch can be
//! found later only if this process dies before a `reopen` worked; then it was neither acknowledged nor published.
//!
//! A file that is removed or replaced while it is open would take commits that nobody finds again, so each commit looks
//! whether the path still names it, and fails if not.
//!
//! **Pages.** A commit holds a snapshot of what was before it, so that redb gives the pages that it replaces free only
//! with the next commit. Without one, redb does it at once, in a small commit of its own that stays in memory; and as
//! long as that is there, every page that the next commit has to read pushes one that it has written out of memory,
//! which it then reads and writes once more.
//!
//! **History** may have as many changes as [`EmbeddedStore::keeping`] says: each commit that goes beyond removes the
//! oldest, at most twice as many as it adds, in its own transaction. A commit that failed may have removed some all the
//! same; they were beyond the limit before it. The file keeps its size and uses the room again.
//!
//! **Disks that take no writes.** If the file can be read but not written (read-only disk, missing permission, full
//! disk), it is opened for reading with the repair kept in memory (`overlay`): `load` and `history` work, writes fail,
//! [`Store::trouble`] says why, and `reopen` tries to write again.
//!
//! **Limits.** Writes per second are bounded by fsync; the writer batches. Opening reads the whole file once, in a way
//! that keeps later writes cheap (`folios`), and verifies its checksums. redb panics on some contents that it never
//! writes; such a panic is caught and reported as damage.

mod fault;
mod file;
mod folios;
mod overlay;
mod read;
mod rows;
#[cfg(test)]
mod tests;
mod undo;

pub use file::FILE;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable};

use super::{Batch, Load, Page, Store, StoreError};
use crate::model::{Change, Revision, Timestamp};
use fault::{Fault, Result as Internal, guarded};
use rows::{Meta, Tables};
use undo::Undo;

/// A store in a file of this machine.
pub struct EmbeddedStore {
    path: PathBuf,
    id: String,
    /// Locked after `writer`, never before it. `None` only while no way of opening the file works.
    database: RwLock<Option<Database>>,
    writer: Mutex<Writer>,
    /// Changes that history keeps.
    most_changes: u64,
}

/// What the writing calls know.
struct Writer {
    /// The last acknowledged revision.
    revision: Revision,
    /// Which file it is, among all that the path may name.
    file: file::Identity,
    /// Why no writes are taken.
    trouble: Option<String>,
    /// The batch whose commit failed, until it is certain that it is not in the file.
    failed: Option<Undo>,
}

impl EmbeddedStore {
    /// Opens the store in `data_dir`; creates both if there is no file yet.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let path = file::prepare(data_dir).map_err(|(path, fault)| fault.reading(&path))?;
        let opened = file::open(&path, None).map_err(|fault| fault.reading(&path))?;
        let revision = opened.meta.revision;
        let writer = Writer { revision, file: opened.identity, trouble: opened.trouble, failed: None };
        let (database, writer) = (RwLock::new(Some(opened.database)), Mutex::new(writer));
        Ok(Self { path, id: opened.meta.id, database, writer, most_changes: u64::MAX })
    }

    /// Lets history have at most about this many changes.
    pub fn keeping(self, most_changes: u64) -> Self {
        Self { most_changes, ..self }
    }

    /// The random id that the store got when it was created.
    pub fn id(&self) -> &str {
        &self.id
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

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

    /// Runs a writing `work` unless an earlier one failed, and remembers if this one does.
    fn write<T>(&self, work: impl FnOnce(&Database, &mut Writer) -> Internal<T>) -> Result<T, StoreError> {
        let mut writer = self.writer();
        if let Some(trouble) = &writer.trouble {
            return Err(self.refused(trouble));
        }
        self.with(|database| work(database, &mut writer)).map_err(|fault| {
            if !matches!(fault, Fault::Conflict { .. }) {
                writer.trouble = Some(fault.to_string());
            }
            fault.writing(&self.path)
        })
    }

    /// What a write is refused with while there is trouble.
    fn refused(&self, trouble: &str) -> StoreError {
        StoreError::Write { path: self.path.display().to_string(), source: trouble.into() }
    }

    /// Opens the file again and checks that it is still the store that this process knows.
    fn open_again(&self, writer: &Writer) -> Internal<file::Opened> {
        let opened = file::open(&self.path, writer.failed.as_ref())?;
        if opened.meta.id != self.id {
            return Err(Fault::Damaged(format!("it is another store now: id {}, not {}", opened.meta.id, self.id)));
        }
        if opened.meta.revision != writer.revision {
            let Meta { revision, .. } = opened.meta;
            return Err(Fault::Damaged(format!(
                "it is at revision {revision}, but revision {} was acknowledged",
                writer.revision
            )));
        }
        Ok(opened)
    }
}

impl Store for EmbeddedStore {
    fn read(&self, into: &mut dyn Load) -> Result<(), StoreError> {
        self.reading(|transaction| read::everything(transaction, into))
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        self.write(|database, writer| {
            file::check_still(&self.path, writer.file)?;
            let before = database.begin_read()?;
            let transaction = database.begin_write()?;
            let mut tables = Tables::open(&transaction)?;
            let undo = undo::apply(&mut tables, batch)?;
            let revision = tables.revision()?;
            let surplus = revision.0.saturating_sub(self.most_changes);
            remove_changes(&mut tables, surplus, 2 * batch.changes.len())?;
            drop(tables);
            writer.failed = Some(undo);
            transaction.commit()?;
            drop(before);
            writer.failed = None;
            writer.revision = revision;
            Ok(())
        })
    }

    fn reopen(&self) -> Result<(), StoreError> {
        let mut writer = self.writer();
        if writer.trouble.is_none() {
            return Ok(());
        }
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        let closed = database.take();
        // The file is about to be opened and checked again, whatever closing it says.
        let _ = guarded(|| {
            drop(closed);
            Ok(())
        });
        let opened = self.open_again(&writer).map_err(|fault| {
            writer.trouble = Some(fault.to_string());
            fault.reading(&self.path)
        })?;
        *database = Some(opened.database);
        writer.file = opened.identity;
        writer.trouble = opened.trouble;
        match &writer.trouble {
            Some(trouble) => Err(self.refused(trouble)),
            None => {
                writer.failed = None;
                Ok(())
            }
        }
    }

    fn history(&self, since: Revision, limit: usize) -> Result<Page, StoreError> {
        self.reading(|transaction| read::history(transaction, since, limit))
    }

    fn change(&self, revision: Revision) -> Result<Option<Change>, StoreError> {
        self.reading(|transaction| read::change(transaction, revision))
    }

    fn prune(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let Some(last) = self.reading(|transaction| read::last_older(transaction, before, limit))? else {
            return Ok(0);
        };
        self.write(|database, _| {
            let transaction = database.begin_write()?;
            let mut tables = Tables::open(&transaction)?;
            let removed = remove_changes(&mut tables, last, limit)?;
            drop(tables);
            transaction.commit()?;
            Ok(removed)
        })
    }

    fn trouble(&self) -> Option<String> {
        self.writer().trouble.as_deref().map(|trouble| self.refused(trouble).to_string())
    }
}

/// Removes the changes up to `last`, oldest first, at most `limit`; says how many.
fn remove_changes(tables: &mut Tables<'_>, last: u64, limit: usize) -> Internal<usize> {
    let mut removed = 0;
    while removed < limit && tables.changes.first()?.is_some_and(|(revision, _)| revision.value() <= last) {
        tables.changes.pop_first()?;
        removed += 1;
    }
    Ok(removed)
}
