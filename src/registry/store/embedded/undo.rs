//! Taking back a batch whose commit failed and yet reached the disk.
//!
//! A commit can fail after the file already holds it, for example in the last fsync. Whether it does shows only when
//! the file is opened again. Before each commit the store therefore remembers what the batch overwrites; if the opened
//! file holds the batch, a transaction of its own writes that back.

use redb::Database;

use super::super::Batch;
use super::fault::{Fault, Result};
use super::rows::{Key, Tables, encode};
use crate::model::Revision;

/// How to take one batch back.
#[derive(Debug)]
pub(super) struct Undo {
    /// The number of the commit, as the batch wrote it into `meta`.
    commit: u64,
    /// The revision before it.
    revision: Revision,
    /// Rows as they were, in the order in which the batch replaced them.
    rows: Vec<(Key, Option<Vec<u8>>)>,
    /// Revisions of the changes it added.
    changes: Vec<u64>,
}

/// Writes a batch into open tables, and says how to take it back.
pub(super) fn apply(tables: &mut Tables<'_>, batch: &Batch) -> Result<Undo> {
    let found = tables.revision()?;
    if found != batch.expected {
        return Err(Fault::Conflict { expected: batch.expected, found });
    }
    let commit = tables.commits()? + 1;
    let mut rows = Vec::with_capacity(batch.writes.len());
    let mut buffer = Vec::new();
    for write in &batch.writes {
        let (key, value) = Key::of(write, &mut buffer)?;
        let before = tables.replace(&key, value)?;
        rows.push((key, before));
    }
    let mut last = found;
    for change in &batch.changes {
        if change.revision <= last {
            return Err(std::io::Error::other(format!("change {} follows change {last}", change.revision)).into());
        }
        last = change.revision;
        tables.changes.insert(last.0, encode(change, &mut buffer)?)?;
    }
    tables.set_revision(last)?;
    tables.set_commits(commit)?;
    let changes = batch.changes.iter().map(|change| change.revision.0).collect();
    Ok(Undo { commit, revision: found, rows, changes })
}

/// Proves that the database takes a durable commit, and with it takes a failed batch back if it is there.
pub(super) fn settle(database: &Database, failed: Option<&Undo>) -> Result<()> {
    let transaction = database.begin_write()?;
    let mut tables = Tables::open(&transaction)?;
    let commits = tables.commits()?;
    if let Some(undo) = failed.filter(|undo| undo.commit == commits) {
        undo.write_back(&mut tables)?;
    }
    // Never the number of the failed batch again: a settle that itself fails and yet is durable must be recognized.
    tables.set_commits(commits.max(failed.map_or(0, |undo| undo.commit)) + 1)?;
    drop(tables);
    transaction.commit()?;
    Ok(())
}

impl Undo {
    fn write_back(&self, tables: &mut Tables<'_>) -> Result<()> {
        for revision in &self.changes {
            tables.changes.remove(revision)?;
        }
        for (key, before) in self.rows.iter().rev() {
            tables.replace(key, before.as_deref())?;
        }
        tables.set_revision(self.revision)
    }
}
