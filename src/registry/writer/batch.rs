//! What a commit is made of, and what follows when the store has taken it; committing static records.

use std::sync::Arc;
use std::time::Duration;

use super::super::draft::{Author, Draft, Timer};
use super::super::lease::Effect;
use super::super::state::State;
use super::super::store::{Batch, Write};
use super::super::{Snapshot, Store, StoreError, ZoneRow};
use super::Writer;
use super::time::HOUR;
use crate::model::{Change, Item, Name, Revision, Transition};

/// How often others may be first with a batch before static records are given up.
const MOST_RACES: usize = 100;

/// A draft that is complete: what is committed, and what follows when it is.
#[derive(Default)]
pub(super) struct Commit {
    pub(super) state: State,
    pub(super) writes: Vec<Write>,
    pub(super) changes: Vec<Change>,
    pub(super) effects: Vec<Effect>,
    pub(super) timers: Vec<Timer>,
}

impl Commit {
    /// Adds what was applied on top of it.
    pub(super) fn extend(&mut self, next: Self) {
        self.state = next.state;
        self.writes.extend(next.writes);
        self.changes.extend(next.changes);
        self.effects.extend(next.effects);
        self.timers.extend(next.timers);
    }
}

impl From<Draft> for Commit {
    fn from(draft: Draft) -> Self {
        let Draft { state, writes, changes, effects, timers, .. } = draft;
        Self { state, writes, changes, effects, timers }
    }
}

impl Writer {
    /// Commits the hashes of static records where they differ from what the store has, and publishes what the
    /// publisher has compiled. If the store does not take it, nothing is published and the caller has to clean up.
    ///
    /// Where another server was first, what it committed is followed, and they are compared again. Several servers
    /// whose zone files differ each say so once, when they have read them, and never because of one another.
    pub(super) fn commit_statics(&mut self, bases: Vec<(Name, String)>, by: &Author) -> Result<(), StoreError> {
        self.put_aside();
        for _ in 0..MOST_RACES {
            match self.try_statics(&bases, by) {
                Err(conflict @ StoreError::Conflict { .. }) if self.bell.is_there() => {
                    self.follow_what_explains(conflict)?;
                }
                result => return result,
            }
        }
        self.try_statics(&bases, by)
    }

    fn try_statics(&mut self, bases: &[(Name, String)], by: &Author) -> Result<(), StoreError> {
        let mut draft = self.draft();
        let mut moved = Vec::new();
        for (zone, static_hash) in bases {
            let known = self.zones.get(zone).map(|row| &row.static_hash).filter(|hash| !hash.is_empty());
            // What others have had for a while is new here, and whoever transfers the zone from here has to be told.
            let is_new_here = self.bases.get(zone).is_some_and(|shown| shown != static_hash);
            if known == Some(static_hash) && !is_new_here {
                continue;
            }
            let changed = draft.next();
            let item = |hash: &String| Item::Static { hash: hash.clone() };
            let subject: Arc<str> = zone.to_string().into();
            draft.record(by, Transition::Static, subject, None, known.map(item), Some(item(static_hash)));
            let row = ZoneRow { changed, static_hash: static_hash.clone() };
            draft.writes.push(Write::Zone(zone.clone(), row.clone()));
            moved.push((zone.clone(), row));
        }
        let Commit { state, writes, changes, .. } = Commit::from(draft);
        if !changes.is_empty() {
            let changes = self.store_batch(writes, changes)?;
            let marks: Vec<(Name, Revision)> = moved.iter().map(|(name, row)| (name.clone(), row.changed)).collect();
            self.publisher.mark(&marks);
            self.publisher.publish();
            self.zones.extend(moved);
            self.adopt(Commit { state, ..Commit::default() }, changes);
        } else {
            self.publisher.publish();
        }
        self.show_aside();
        self.bases = bases.iter().cloned().collect();
        self.statics_pending = false;
        Ok(())
    }

    /// The row of a zone whose content changed.
    pub(super) fn moved(&self, name: Name, changed: Revision) -> (Name, ZoneRow) {
        let static_hash = self.zones.get(&name).map(|row| row.static_hash.clone()).unwrap_or_default();
        (name, ZoneRow { changed, static_hash })
    }

    /// Calls the store; returns the changes, which are durable now.
    fn store_batch(&mut self, writes: Vec<Write>, changes: Vec<Change>) -> Result<Vec<Arc<Change>>, StoreError> {
        let store = self.opened_store();
        let batch = Batch { expected: self.state.snapshot.revision, writes, changes };
        let started = self.shared.clock.monotonic();
        store.commit(&batch)?;
        let took = self.shared.clock.monotonic().saturating_sub(started);
        Ok(self.stored(batch.changes, took))
    }

    /// The store, where something is to be committed.
    pub(super) fn opened_store(&self) -> Arc<dyn Store> {
        self.store.clone().expect("nothing is committed before the store is open")
    }

    /// The store took a batch.
    pub(super) fn stored(&mut self, changes: Vec<Change>, took: Duration) -> Vec<Arc<Change>> {
        let changes: Vec<_> = changes.into_iter().map(Arc::new).collect();
        self.shared.observer.committed(&changes, took);
        self.praise_store();
        changes
    }

    /// Makes a committed state the current one, for readers, leases, timers and listeners. Returns the one before it:
    /// letting it go takes time, which the caller may have other use for.
    pub(super) fn adopt(&mut self, commit: Commit, changes: Vec<Arc<Change>>) -> (State, Arc<Snapshot>) {
        let Commit { state, effects, timers, .. } = commit;
        let before = std::mem::replace(&mut self.state, state);
        let shared = &self.shared;
        let shown = shared.snapshot.swap(Arc::new(self.state.snapshot.clone()));
        shared.leases.apply(effects);
        shared.census.store(Arc::new(self.state.census(0)));
        let now = shared.clock.monotonic();
        self.timers.wind(now, shared.leases.clock(), HOUR, timers, |timer| self.state.is_awaited(timer));
        for change in changes {
            // Nobody listening is no fault.
            let _ = shared.events.send(change);
        }
        (before, shown)
    }
}
