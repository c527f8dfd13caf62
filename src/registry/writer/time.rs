//! What the writer does as time passes: lapses, timers, pruning of history.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::apply::{end_hold, end_weight, forget, reap};
use super::super::draft::{Draft, Timer};
use super::super::lease::{Key, Subject};
use super::Writer;
use super::standing::Standing;
use super::timers::Due;
use crate::model::Timestamp;

/// How long the record of a lapsed instance and an emptied name are kept.
pub(super) const HOUR: Duration = Duration::from_secs(3600);
/// When history is pruned after a start.
pub(super) const FIRST_PRUNE: Duration = Duration::from_secs(60);
/// Pruned changes of one tick.
const MOST: usize = 1000;
/// How long pruning waits between two ticks while there is other work.
const PAUSE: Duration = Duration::from_secs(1);

impl Writer {
    /// Moves time ahead to what the clock says: opens or regains the store, turns the wheel, commits lapses and timers.
    /// Meant to be called every 100 ms; when it comes late, leases wait as long.
    pub fn tick(&mut self) {
        self.shared.leases.advance(self.shared.clock.monotonic());
        self.retry();
        if !self.is_writable() {
            return;
        }
        self.out.extend(self.shared.leases.turn());
        self.guard_fleet();
        let lapsed = self.commit_lapses();
        let expired = self.is_writable() && self.commit_timers();
        if self.is_writable() {
            self.prune(lapsed || expired);
        }
    }

    /// Whether a tick is wanted at once, because the last one could not do everything.
    pub fn is_behind(&self) -> bool {
        let has_more = || !self.out.is_empty() || self.timers.are_due(self.shared.clock.monotonic());
        self.is_writable() && self.room_for_lapses() > 0 && has_more()
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
        let due = self.timers.take(self.shared.clock.monotonic(), self.room_for_lapses());
        if due.is_empty() {
            return false;
        }
        self.expire_behind(due);
        true
    }

    /// Forgets the oldest history, a little at a time and seldom while there is other work: nothing else is committed
    /// meanwhile. A store that does not take it shows with the next commit, so its error is dropped.
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
        let before = Timestamp(self.shared.clock.wall().0.saturating_sub(age));
        let pruned = self.store.as_ref().map(|store| store.prune(before, MOST));
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
            Timer::EndHold { service, id, revision, .. } => end_hold(draft, service, id, *revision),
            Timer::EndWeight { service, id, revision, .. } => end_weight(draft, service, id, *revision),
        }
    }
    for (service, keys) in forgotten {
        forget(draft, service, &keys);
    }
}
