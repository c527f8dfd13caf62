//! The thread that brings what the journal has into the trees, round by round.
//!
//! A round is one transaction: rows in the order of tables and keys, the last write of each, so that a page is written
//! once however many of its rows change, and the number of the last commit, which says where the journal goes on. When
//! the transaction is durable, the round's file is free again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use redb::{Database, ReadableDatabase, ReadableTable};

use super::super::entry::{Entry, RowKey};
use super::Shared;
use super::fault::Result;
use super::journal::frame::entries;
use super::journal::{Frame, JournalFile};
use super::rows::Tables;

/// Starts the thread; it ends when the store closes.
pub(super) fn start(shared: Arc<Shared>) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("trees".into()).spawn(move || {
        while let Some(round) = shared.ledger.next() {
            let most = shared.most_changes.load(Ordering::Relaxed);
            let work = |database: &Database| apply(database, &round.file, &round.frames, round.forget, most);
            let result = shared.with(work);
            if result.is_ok() {
                round.file.shorten();
            }
            shared.ledger.applied(&result);
        }
    })
}

/// Commits what frames have, which follow each other and what is in the trees. Of history, changes up to `forget` go,
/// and of more than `most` the oldest, at most twice as many as are added.
pub(super) fn apply(
    database: &Database,
    file: &JournalFile,
    frames: &[Frame],
    forget: Option<u64>,
    most: u64,
) -> Result<()> {
    // Together with the pages of the transaction, all that a round takes.
    let octets = file.read(frames)?;
    let mut rows = Vec::new();
    frames.iter().zip(&octets).try_for_each(|(frame, octets)| entries(&frame.header, octets, &mut rows))?;
    let added = rows.iter().filter(|entry| matches!(entry.key, RowKey::Change(_))).count();
    rows.sort_by_key(|entry| entry.key);

    let before = database.begin_read()?;
    let transaction = database.begin_write()?;
    let mut tables = Tables::open(&transaction)?;
    put_last(&mut tables, &rows)?;
    if let Some(last) = frames.last() {
        tables.set_revision(last.header.revision)?;
        tables.set_commits(last.header.sequence)?;
    }
    let surplus = tables.revision()?.0.saturating_sub(most);
    remove_changes(&mut tables, surplus, added.saturating_mul(2))?;
    forget.map_or(Ok(()), |last| remove_changes(&mut tables, last, usize::MAX))?;
    drop(tables);
    transaction.commit()?;
    drop(before);
    Ok(())
}

/// Of several writes to a row the last counts.
pub(super) fn put_last(tables: &mut Tables<'_>, sorted: &[Entry<'_>]) -> Result<()> {
    let same = |one: &Entry<'_>, other: &Entry<'_>| one.key == other.key;
    let last = sorted.chunk_by(same).filter_map(|writes| writes.last());
    last.into_iter().try_for_each(|entry| tables.put(entry))
}

/// Removes the changes up to `last`, oldest first, at most `limit`.
fn remove_changes(tables: &mut Tables<'_>, last: u64, limit: usize) -> Result<()> {
    for _ in 0..limit {
        if tables.changes.first()?.is_none_or(|(revision, _)| revision.value() > last) {
            break;
        }
        tables.changes.pop_first()?;
    }
    Ok(())
}
