//! Filling: a store with content from the start, which has its name when it has everything.
//!
//! Pieces go straight into the trees, one transaction each; nobody else can see them, so there is no journal.

use std::path::{Path, PathBuf};

use super::super::{Batch, Fill, Store, StoreError};
use super::EmbeddedStore;
use super::fault::{Fault, Result as Internal, guarded};
use super::file::{FILE, create_directory};
use super::journal::{self, frame};
use super::rows::Tables;
use super::trees::put_last;
use super::unfinished::Unfinished;
use crate::model::Revision;

/// An embedded store on its way to be.
#[derive(Debug)]
pub struct EmbeddedFill {
    path: PathBuf,
    unfinished: Unfinished,
    /// The last change that was written.
    last: Revision,
    buffer: Vec<u8>,
}

impl EmbeddedFill {
    /// Begins one in `data_dir`, which is created where it is missing. A store that is there stays as it is.
    pub fn begin(data_dir: &Path) -> Result<Self, StoreError> {
        let path = data_dir.join(FILE);
        let fault = |fault: Fault| fault.reading(&path);
        create_directory(data_dir).map_err(|error| Fault::from(error).reading(data_dir))?;
        if path.exists() {
            return Err(not_empty(data_dir));
        }
        let begun = guarded(|| {
            journal::check_absent(data_dir)?;
            Unfinished::begin(data_dir, &path)
        });
        let Some(unfinished) = begun.map_err(fault)? else { return Err(not_empty(data_dir)) };
        Ok(Self { path, unfinished, last: Revision(0), buffer: Vec::new() })
    }

    fn put(&mut self, batch: &Batch) -> Internal<()> {
        if batch.expected != self.last {
            return Err(Fault::Conflict { expected: batch.expected, found: self.last });
        }
        self.last = frame::encode(batch, frame::NOBODY, 0, &mut self.buffer)?;
        let header = frame::Header::parse(&self.buffer).expect("it has just been written");
        let mut rows = Vec::new();
        frame::entries(&header, &self.buffer, &mut rows)?;
        rows.sort_by_key(|entry| entry.key);
        let transaction = self.unfinished.database().begin_write()?;
        let mut tables = Tables::open(&transaction)?;
        put_last(&mut tables, &rows)?;
        drop(tables);
        Ok(transaction.commit()?)
    }

    fn end(self, revision: Revision) -> Internal<()> {
        if revision < self.last {
            return Err(Fault::Conflict { expected: revision, found: self.last });
        }
        let transaction = self.unfinished.database().begin_write()?;
        let mut tables = Tables::open(&transaction)?;
        tables.set_revision(revision)?;
        drop(tables);
        transaction.commit()?;
        self.unfinished.finish()
    }
}

impl Fill for EmbeddedFill {
    fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        guarded(|| self.put(batch)).map_err(|fault| fault.writing(&self.path))
    }

    fn finish(self: Box<Self>, revision: Revision) -> Result<(), StoreError> {
        let path = self.path.clone();
        guarded(|| self.end(revision)).map_err(|fault| fault.writing(&path))
    }
}

/// What stands in the way.
fn not_empty(data_dir: &Path) -> StoreError {
    let look = || EmbeddedStore::open(data_dir)?.load();
    let found = match look() {
        Ok(found) => {
            let (services, instances) = (found.services.len(), found.instances.len());
            format!("revision {}, {services} services with a row, {instances} instances", found.revision)
        }
        Err(error @ StoreError::Locked(_)) => return error,
        Err(error) => error.to_string(),
    };
    StoreError::NotEmpty { place: data_dir.display().to_string(), found }
}
