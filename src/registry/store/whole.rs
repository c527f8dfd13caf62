//! Whole stores: everything of one, read at one revision; and everything into another, in bounded pieces.

use std::sync::Arc;

use super::{Batch, Fill, Load, LoadAll, Store, StoreError, Write, ZoneRow};
use crate::model::service::ServiceRow;
use crate::model::{Change, Name, PackedInstance, Revision, SessionRow, Token, Written};

/// Rows and changes that a store is given at once.
const PIECE: usize = 1000;
/// Changes of a page.
const PAGE: usize = 1000;

/// How many of what there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    /// Rows of services.
    pub services: u64,
    /// Instances.
    pub instances: u64,
    /// Tokens.
    pub tokens: u64,
    /// Zones.
    pub zones: u64,
    /// Names that UPDATE wrote records at.
    pub records: u64,
    /// Sessions, where several servers share the registry.
    pub sessions: u64,
    /// Changes of history.
    pub changes: u64,
}

impl Counts {
    /// All of them.
    pub fn all(&self) -> u64 {
        let Self { services, instances, tokens, zones, records, sessions, changes } = self;
        services + instances + tokens + zones + records + sessions + changes
    }
}

/// What `read_all` does where a store has no better way: rows at one revision, then history in pages up to it.
pub(super) fn rows_then_history<S: Store + ?Sized>(store: &S, into: &mut dyn LoadAll) -> Result<(), StoreError> {
    let mut rows = Noting { into, revision: Revision(0) };
    store.read(&mut rows)?;
    let Noting { into, revision } = rows;
    let mut page = store.history(Revision(0), PAGE)?;
    loop {
        let Some(last) = page.changes.last().map(|change| change.revision) else { return Ok(()) };
        for change in page.changes {
            if change.revision > revision {
                return Ok(());
            }
            into.change(change);
        }
        if !page.more {
            return Ok(());
        }
        page = store.history(last, PAGE)?;
        if page.oldest > last.next() {
            return Err(StoreError::Forgotten { from: last.next(), oldest: page.oldest });
        }
    }
}

/// Passes rows on, and keeps their revision.
struct Noting<'a> {
    into: &'a mut dyn LoadAll,
    revision: Revision,
}

impl Load for Noting<'_> {
    fn revision(&mut self, revision: Revision) {
        self.revision = revision;
        self.into.revision(revision);
    }

    fn service(&mut self, name: &str, row: ServiceRow) {
        self.into.service(name, row);
    }

    fn instance(&mut self, service: &str, instance: PackedInstance<'_>) {
        self.into.instance(service, instance);
    }

    fn token(&mut self, token: Token) {
        self.into.token(token);
    }

    fn zone(&mut self, name: Name, row: ZoneRow) {
        self.into.zone(name, row);
    }

    fn records(&mut self, zone: Name, name: Name, row: Written) {
        self.into.records(zone, name, row);
    }

    fn session(&mut self, name: &str, row: SessionRow) {
        self.into.session(name, row);
    }
}

/// Rows and changes on their way into a store that comes to be; piece by piece, so that memory stays bounded.
pub struct Filler<'p> {
    fill: Box<dyn Fill>,
    /// Told after each piece.
    progress: &'p mut dyn FnMut(Counts),
    piece: Batch,
    counts: Counts,
    /// The revision of what is read.
    revision: Revision,
    /// The last change that came.
    last: Revision,
    failed: Option<StoreError>,
}

impl<'p> Filler<'p> {
    /// Into this one; `progress` is told now and then what came.
    pub fn new(fill: Box<dyn Fill>, progress: &'p mut dyn FnMut(Counts)) -> Self {
        let (counts, revision, last) = (Counts::default(), Revision(0), Revision(0));
        Self { fill, progress, piece: Batch::default(), counts, revision, last, failed: None }
    }

    /// One more row.
    pub fn write(&mut self, write: Write) {
        let counter = match &write {
            Write::Instance(..) | Write::RemoveInstance(..) => &mut self.counts.instances,
            Write::Service(..) | Write::RemoveService(..) => &mut self.counts.services,
            Write::Token(..) | Write::RemoveToken(..) => &mut self.counts.tokens,
            Write::Zone(..) => &mut self.counts.zones,
            Write::Records(..) => &mut self.counts.records,
            Write::Session(..) => &mut self.counts.sessions,
        };
        *counter += 1;
        self.piece.writes.push(write);
        self.pass_full();
    }

    fn pass_full(&mut self) {
        if self.piece.writes.len() + self.piece.changes.len() >= PIECE {
            self.pass();
        }
    }

    /// Hands over what was gathered. What comes after a failure is dropped: `finish` says what it was.
    fn pass(&mut self) {
        let next = Batch { expected: self.last, ..Batch::default() };
        let piece = std::mem::replace(&mut self.piece, next);
        if self.failed.is_none() {
            self.failed = self.fill.write(&piece).err();
            (self.progress)(self.counts);
        }
    }

    /// Makes it a store at the revision that was read.
    pub fn finish(mut self) -> Result<(Revision, Counts), StoreError> {
        self.pass();
        match self.failed {
            Some(error) => Err(error),
            None => self.fill.finish(self.revision).map(|()| (self.revision, self.counts)),
        }
    }
}

impl Load for Filler<'_> {
    fn revision(&mut self, revision: Revision) {
        self.revision = revision;
    }

    fn service(&mut self, name: &str, row: ServiceRow) {
        self.write(Write::Service(name.into(), row));
    }

    fn instance(&mut self, service: &str, instance: PackedInstance<'_>) {
        self.write(Write::Instance(service.into(), Arc::new(instance.look().to_instance())));
    }

    fn token(&mut self, token: Token) {
        self.write(Write::Token(Arc::new(token)));
    }

    fn zone(&mut self, name: Name, row: ZoneRow) {
        self.write(Write::Zone(name, row));
    }

    fn records(&mut self, zone: Name, name: Name, row: Written) {
        self.write(Write::Records(zone, name, Some(Arc::new(row))));
    }

    fn session(&mut self, name: &str, row: SessionRow) {
        self.write(Write::Session(name.into(), Some(row)));
    }
}

impl LoadAll for Filler<'_> {
    fn change(&mut self, change: Change) {
        self.counts.changes += 1;
        self.last = change.revision;
        self.piece.changes.push(change);
        self.pass_full();
    }
}

/// Copies everything of a store into another one, at the same revision.
pub fn move_all(
    from: &dyn Store,
    into: Box<dyn Fill>,
    progress: &mut dyn FnMut(Counts),
) -> Result<(Revision, Counts), StoreError> {
    let mut filler = Filler::new(into, progress);
    from.read_all(&mut filler)?;
    filler.finish()
}
