//! A store out of a backup.
//!
//! **Ahead.** Whoever restores a backup goes back in time, but its revisions must not: agents have incarnations,
//! secondaries have serials, and readers of history have places that the lost store gave after the backup was made, and
//! a revision that means two things would let a ghost beat for an instance, or a secondary keep what is gone. So the
//! restored store goes on at a revision that is far enough ahead, with one change that says so, and every zone counts as
//! changed by it.

use std::io::BufRead;
use std::sync::Arc;

use super::super::whole::{Counts, Filler};
use super::super::{Fill, Load, LoadAll, StoreError, Write, ZoneRow};
use super::{BackupError, BackupReader, Header, Line};
use crate::model::change::FLEET;
use crate::model::{Change, Name, Revision, Timestamp, Transition};

/// Why a backup was not restored. Nothing of it is there then.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup cannot be used.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The store could not be made.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How many revisions are skipped; none: the store is exactly what was backed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// How many.
    pub revisions: u64,
    /// When this is, for history.
    pub now: Timestamp,
}

/// Fills a store with what a backup holds, and finishes it when the backup has proved to be whole. Returns the
/// revision of the store.
pub fn restore<R: BufRead>(
    mut backup: BackupReader<R>,
    into: Box<dyn Fill>,
    ahead: Ahead,
    progress: &mut dyn FnMut(Counts),
) -> Result<(Revision, Counts), RestoreError> {
    let mut filler = Filler::new(into, progress);
    let mut zones = Vec::new();
    while let Some(line) = backup.next()? {
        take(line, &mut filler, &mut zones)?;
    }
    let counts = backup.counts();
    let mut revision = backup.header().revision;
    if ahead.revisions > 0 {
        revision = Revision(revision.0.saturating_add(ahead.revisions));
        filler.change(notice(backup.header(), revision, ahead.now));
    }
    for (name, row) in zones {
        let changed = if ahead.revisions > 0 { revision } else { row.changed };
        filler.zone(name, ZoneRow { changed, ..row });
    }
    filler.revision(revision);
    filler.finish()?;
    Ok((revision, counts))
}

fn take(line: Line, filler: &mut Filler<'_>, zones: &mut Vec<(Name, ZoneRow)>) -> Result<(), BackupError> {
    match line {
        Line::Service { name, row } => filler.service(&name, row),
        Line::Instance { service, row } => filler.write(Write::Instance(service.into(), Arc::new(row))),
        Line::Token(token) => filler.token(token),
        Line::Zone { name: zone, row } => zones.push((name(&zone)?, row)),
        Line::Records { zone, name: owner, row } => filler.records(name(&zone)?, name(&owner)?, row),
        Line::Session { name, row } => filler.session(&name, row),
        Line::Change(change) => filler.change(change),
        Line::Backup(_) | Line::End(_) => {} // the reader keeps them
    }
    Ok(())
}

fn name(text: &str) -> Result<Name, BackupError> {
    let refused = |error| std::io::Error::new(std::io::ErrorKind::InvalidData, format!("\"{text}\": {error}"));
    Name::parse_absolute(text).map_err(|error| BackupError::Read(refused(error)))
}

/// The change that says where this store comes from.
fn notice(header: &Header, revision: Revision, time: Timestamp) -> Change {
    let Header { store, revision: of, made, .. } = header;
    Change {
        revision,
        time,
        author: "operator".into(),
        source: "backup".into(),
        reason: format!("revision {of} of store {store}, backed up {made}").into(),
        transition: Transition::Restore,
        subject: FLEET.into(),
        instance: None,
        token: None,
        before: None,
        after: None,
    }
}
