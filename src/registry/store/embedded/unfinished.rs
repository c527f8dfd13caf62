//! A store that comes to be: written under another name, synced, and given its name last, so that one that was not
//! finished never has the real name.
//!
//! The lock on the directory keeps a second process from doing the same at the same time. What one that was killed has
//! left is removed by the next.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use redb::Database;
use redb::backends::FileBackend;

use super::fault::{Fault, Result};
use super::file::builder;
use super::rows::{SCHEMA, Tables};
use crate::model::Revision;

/// The name until it is finished.
const NAME: &str = "registry.redb.new";

/// A file on its way to its name; dropped before, it is removed.
#[derive(Debug)]
pub(super) struct Unfinished {
    /// The directory, locked.
    lock: File,
    path: PathBuf,
    unfinished: PathBuf,
    /// None when it has been closed.
    database: Option<Database>,
}

impl Unfinished {
    /// Begins an empty store with an identity of its own; none if there is one at `path` by now.
    pub(super) fn begin(directory: &Path, path: &Path) -> Result<Option<Self>> {
        let lock = File::open(directory)?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => Fault::Redb(redb::Error::DatabaseAlreadyOpen),
            fs::TryLockError::Error(error) => error.into(),
        })?;
        if path.exists() {
            return Ok(None);
        }
        let unfinished = directory.join(NAME);
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut begun = Self { lock, path: path.to_owned(), unfinished, database: None };
        let made = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&begun.unfinished)?;
        let database = begun.database.insert(builder().create_with_backend(FileBackend::new(made)?)?);
        let transaction = database.begin_write()?;
        let mut tables = Tables::open(&transaction)?;
        tables.set_meta("schema", SCHEMA)?;
        tables.set_meta("id", &random_id()?)?;
        tables.set_revision(Revision(0))?;
        tables.set_commits(0)?;
        drop(tables);
        transaction.commit()?;
        Ok(Some(begun))
    }

    /// What is in it.
    pub(super) fn database(&self) -> &Database {
        self.database.as_ref().expect("it is closed by `finish` alone")
    }

    /// Gives it its name, durably.
    pub(super) fn finish(mut self) -> Result<()> {
        if let Some(database) = self.database.take() {
            database.close()?;
        }
        File::open(&self.unfinished)?.sync_all()?;
        fs::rename(&self.unfinished, &self.path)?;
        Ok(self.lock.sync_all()?)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.database = None;
        let _ = fs::remove_file(&self.unfinished); // it has its name, or the next start removes it
    }
}

/// 128 random bits in hexadecimal.
fn random_id() -> Result<String> {
    let mut octets = [0; 16];
    getrandom::fill(&mut octets).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(octets.iter().map(|octet| format!("{octet:02x}")).collect())
}
