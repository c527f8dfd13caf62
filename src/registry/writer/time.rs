//! What the writer does as time passes: lapses, timers, pruning of history.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::apply::{end_hold, end_weight, forget, reap};
use super::super::draft::{Draft, Timer};
use super::super::lease::{Key, Subject};
use super::Writer;
use super::standing::Standing;
use super::timers::{Due, Now};
use crate::model::Timestamp;

/// How long the record of a lapsed instance and an emptied name are kept.
pub(super) const HOUR: Duration = Duration::from_secs(3600);
/// When history is pruned after a start.
pub(super) const FIRST_PRUNE: Duration = Duration::from_secs(60);
/// Pruned changes of one tick.
const MOST: usize = 1000;
/// How long pruning waits between two ticks while there is other work.
const PAUSE: Duration = Duration::from_secs(1);

/// What time it is at least, whatever happened to the wall clock since the last change was made.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Loaded {
    /// When the last change was made that was there at our start.
    changed: Timestamp,
    /// The monotonic time of our start.
    at: Duration,
}

impl Loaded {
    /// Since the monotonic time `at`.
    pub(super) fn new(changed: Timestamp, at: Duration) -> Self {
        Self { changed, at }
    }

    fn now(self, monotonic: Duration) -> Timestamp {
        Timestamp(self.changed.0.saturating_add(monotonic.saturating_sub(self.at).as_millis() as u64))
    }
}

impl Writer {
    /// Moves time ahead to what the clock says: opens or regains the store, turns the wheel, commits lapses and timers.
    /// Meant to be called every 100 ms; when it comes late, leases wait as long.
    pub fn tick(&mut self) {
        self.shared.leases.advance(self.shared.clock.monotonic());
        self.retry();
        self.ask();
        if !self.is_writable() {
            return;
        }
        self.out.extend(self.shared.leases.turn());
        if !self.pipeline.is_judging_again() {
            self.guard_fleet();
        }
        let lapsed = self.commit_lapses();
        let expired = self.is_writable() && self.commit_timers();
        if self.is_writable() {
            self.prune(lapsed || expired);
        }
    }

    /// Whether a tick is wanted at once, because the last one could not do everything.
    pub fn is_behind(&self) -> bool {
        let has_more = || !self.out.is_empty() || self.timers.are_due(self.now());
        self.is_writable() && self.room_for_lapses() > 0 && has_more()
    }

    /// For timers. While the guard waits for those that may come back, no hold ends.
    fn now(&self) -> Now {
        let lease = self.shared.leases.clock();
        Now { monotonic: self.shared.clock.monotonic(), lease: self.fleet.lets_holds_end(lease).then_some(lease) }
    }

    pub(super) fn is_writable(&self) -> bool {
        matches!(self.standing, Standing::Writable(_))
    }

    /// Commits the lapses of leases that ran out; a lease that is renewed until the commit stays. Says whether there
    /// were any.
    fn commit_lapses(&mut self) -> bool {
        let room = self.room_for_lapses();
        let count = self.out.len().min(room);
        let keys: Vec<Key> = self.out.drain(..count).collect();
        let mut due = self.shared.leases.still_out(&keys);
        self.put_back_beyond(room, &mut due);
        let any = !due.is_empty();
        self.lapse_behind(due);
        any
    }

    /// Leaves for the next tick what would make the batch too large: a session may have many instances.
    fn put_back_beyond(&mut self, most: usize, due: &mut Vec<(Key, Subject)>) {
        let mut changes = 0;
        let fits = due.iter().take_while(|(_, subject)| {
            let room = changes < most;
            changes += subject.instances();
            room
        });
        let fits = fits.count();
        for (key, _) in due.drain(fits..).rev() {
            self.out.push_front(key);
        }
    }

    /// Commits what an hour has brought about; says whether there was anything.
    fn commit_timers(&mut self) -> bool {
        let due = self.timers.take(self.now(), self.room_for_lapses());
        if due.is_empty() {
            return false;
        }
        self.expire_behind(due);
        true
    }

    /// Forgets the oldest history, a little at a time and seldom while there is other work: nothing else is committed
    /// meanwhile. Its age counts while we run, so that a wall clock that jumps ahead, now or before our start, makes
    /// nothing old. A store that does not take it shows with the next commit, so its error is dropped.
    fn prune(&mut self, is_busy: bool) {
        let now = self.shared.clock.monotonic();
        if now < self.prune_at {
            return;
        }
        self.settle();
        if !self.is_writable() {
            return;
        }
        let age = self.shared.options.history.as_millis() as u64;
        let wall = self.shared.clock.wall();
        let before = Timestamp(self.loaded.now(now).min(wall).0.saturating_sub(age));
        let pruned = self.store.as_ref().map(|store| store.prune(before, wall, MOST));
        self.prune_at = match pruned {
            Some(Ok(MOST)) if is_busy => now + PAUSE,
            Some(Ok(MOST)) => now,
            _ => now + HOUR,
        };
    }
}

/// Removes records first, so that a service of which nothing is left is dropped with its last name.
pub(super) fn expire(draft: &mut Draft, due: &[Due]) {
    let mut forgotten: BTreeMap<&Arc<str>, Vec<(Box<str>, Timestamp)>> = BTreeMap::new();
    for (_, timer) in due {
        match timer {
            Timer::Reap { service, id, revision } => reap(draft, service, id, *revision),
            Timer::Forget { service, key, at } => forgotten.entry(service).or_default().push((key.clone(), *at)),
            Timer::EndHold { service, id, since, .. } => end_hold(draft, service, id, *since),
            Timer::EndWeight { service, id, revision, .. } => end_weight(draft, service, id, *revision),
        }
    }
    for (service, keys) in forgotten {
        forget(draft, service, &keys);
    }
}
