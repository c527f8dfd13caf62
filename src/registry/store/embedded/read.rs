//! Reading a snapshot of the file: everything at once, or pages of history.

use std::ops::RangeInclusive;
use std::sync::mpsc::{SyncSender, sync_channel};

use redb::{ReadTransaction, ReadableTable};
use serde::Deserialize;

use super::super::{Load, LoadAll, Page};
use super::fault::{Fault, Result};
use super::rows::{CHANGES, INSTANCES, Meta, RECORDS, SERVICES, SESSIONS, TOKENS, ZONES, decode, undecodable};
use crate::model::{Change, Name, Revision, RowPacker, Timestamp};

/// Instances that are decoded and packed before they are handed over.
const CHUNK: usize = 1024;
/// Chunks that may wait.
const CHUNKS: usize = 8;

/// Reads every row at one revision. Instances, which are many, are decoded by a second thread while `into` takes those
/// before them.
pub(super) fn everything(transaction: &ReadTransaction, into: &mut dyn Load) -> Result<()> {
    into.revision(Meta::read(transaction)?.revision);
    for row in transaction.open_table(SERVICES)?.iter()? {
        let (key, value) = row?;
        into.service(key.value(), decode(value.value(), || format!("services/{}", key.value()))?);
    }
    instances(transaction, into)?;
    for row in transaction.open_table(TOKENS)?.iter()? {
        let (key, value) = row?;
        into.token(decode(value.value(), || format!("tokens/{}", key.value()))?);
    }
    for row in transaction.open_table(ZONES)?.iter()? {
        let (key, value) = row?;
        let shown = || format!("zones/{}", key.value());
        into.zone(name(key.value(), shown)?, decode(value.value(), shown)?);
    }
    records(transaction, into)?;
    sessions(transaction, into)
}

fn sessions(transaction: &ReadTransaction, into: &mut dyn Load) -> Result<()> {
    let table = match transaction.open_table(SESSIONS) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(()),
        table => table?,
    };
    for row in table.iter()? {
        let (key, value) = row?;
        into.session(key.value(), decode(value.value(), || format!("sessions/{}", key.value()))?);
    }
    Ok(())
}

fn records(transaction: &ReadTransaction, into: &mut dyn Load) -> Result<()> {
    let table = match transaction.open_table(RECORDS) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(()),
        table => table?,
    };
    for row in table.iter()? {
        let (key, value) = row?;
        let (zone, owner) = key.value();
        let shown = || format!("records/{zone}/{owner}");
        into.records(name(zone, shown)?, name(owner, shown)?, decode(value.value(), shown)?);
    }
    Ok(())
}

/// A name that is a key.
fn name(text: &str, shown: impl Fn() -> String) -> Result<Name> {
    Name::parse_absolute(text).map_err(|error| Fault::Damaged(format!("row {} has no name as key: {error}", shown())))
}

fn instances(transaction: &ReadTransaction, into: &mut dyn Load) -> Result<()> {
    let (sender, receiver) = sync_channel(CHUNKS);
    std::thread::scope(|scope| {
        let decoding = scope.spawn(move || decode_instances(transaction, &sender));
        for chunk in receiver {
            RowPacker::read(&chunk).for_each(|(service, instance)| into.instance(service, instance));
        }
        decoding.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn decode_instances(transaction: &ReadTransaction, to: &SyncSender<Vec<u8>>) -> Result<()> {
    let mut chunk = RowPacker::default();
    for row in transaction.open_table(INSTANCES)?.iter()? {
        let (key, value) = row?;
        let (service, id) = key.value();
        let shown = || format!("instances/{service}/{id}");
        // The order of the keys is the order of the ids only if they are the same.
        if let Some(other) = chunk.push(service, id, value.value()).map_err(|error| undecodable(shown(), &error))? {
            return Err(Fault::Damaged(format!("row {} has the id of another: {other}", shown())));
        }
        if chunk.len() == CHUNK {
            // Nobody takes it only if the other thread panics, which ends this one's work too.
            let _ = to.send(chunk.take());
        }
    }
    let _ = to.send(chunk.take()); // as above
    Ok(())
}

/// One change, if it is still kept.
pub(super) fn change(transaction: &ReadTransaction, revision: Revision) -> Result<Option<Change>> {
    let found = transaction.open_table(CHANGES)?.get(revision.0)?;
    found.map(|value| decode_change(revision.0, value.value())).transpose()
}

/// Every change, oldest first.
pub(super) fn all_changes(transaction: &ReadTransaction, into: &mut dyn LoadAll) -> Result<()> {
    for row in transaction.open_table(CHANGES)?.iter()? {
        let (revision, value) = row?;
        into.change(decode_change(revision.value(), value.value())?);
    }
    Ok(())
}

fn decode_change(revision: u64, value: &[u8]) -> Result<Change> {
    decode(value, || format!("changes/{revision}"))
}

/// Changes after `since`, oldest first.
pub(super) fn history(transaction: &ReadTransaction, since: Revision, limit: usize) -> Result<Page> {
    let table = transaction.open_table(CHANGES)?;
    let oldest = match table.first()? {
        Some((revision, _)) => Revision(revision.value()),
        None => Meta::read(transaction)?.revision.next(),
    };
    let mut page = Page { oldest, ..Page::default() };
    let Some(first) = since.0.checked_add(1) else { return Ok(page) };
    for row in table.range(first..)? {
        if page.changes.len() == limit {
            page.more = true;
            break;
        }
        let (revision, value) = row?;
        page.changes.push(decode_change(revision.value(), value.value())?);
    }
    Ok(page)
}

/// The oldest changes, as pruning sees them.
pub(super) struct Oldest {
    /// Whether they ended before a recent one and before the limit.
    pub(super) is_end: bool,
    /// The last of them that is too old, and how many there are up to it.
    pub(super) last: Option<(u64, usize)>,
}

/// Looks at the `limit` oldest changes for those made before a recent time, up to the first that was made then. One that
/// a clock dates later, which was wrong for a while, goes with an old one behind it: it is not younger than that.
pub(super) fn oldest(transaction: &ReadTransaction, recent: RangeInclusive<Timestamp>, limit: usize) -> Result<Oldest> {
    #[derive(Deserialize)]
    struct Dated {
        time: Timestamp,
    }
    let mut oldest = Oldest { is_end: false, last: None };
    let mut looked_at = 0;
    for row in transaction.open_table(CHANGES)?.iter()?.take(limit) {
        let (revision, value) = row?;
        let revision = revision.value();
        let dated: Dated = decode(value.value(), || format!("changes/{revision}"))?;
        looked_at += 1;
        if recent.contains(&dated.time) {
            return Ok(oldest);
        }
        if dated.time < *recent.start() {
            oldest.last = Some((revision, looked_at));
        }
    }
    oldest.is_end = looked_at < limit;
    Ok(oldest)
}
