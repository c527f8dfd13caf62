//! The guard of the whole fleet: when too many sessions fall silent together, none of them lapses.
//!
//! **What it holds.** The leases that ran out and wait here, four octets each, and how many lapsed within the last
//! window. A lease that is heard of again simply runs on: nothing of it had been changed. Answers say meanwhile that
//! they may be stale, all of them, by one flag of the view; so neither the beginning nor the end costs anything per
//! instance.
//!
//! **When it begins.** When a lease runs out, and more than the share of all sessions, at least the least number, are
//! silent: their lapse came within the window, or their lease is out, or has so little left that they must have missed
//! beats (`Leases::silence`). So the first of many is held already, not only those beyond the share.
//!
//! **When it ends.** When fewer are silent than begin it: the others may be about to come back, so they get a full
//! lease once more. When an operator releases it. After its time: then those that are still silent lapse evenly over
//! another time. After the last two it does not begin again before fewer were silent once.
//!
//! **Several servers.** The hold is a change like others, so all of them know it. One that did not begin it holds its
//! own leases as well and leaves the end to the one that did; if that does not come (after the time of the hold and of
//! its end), it ends it like its own.
//!
//! **Holds of services** do not end while it holds, nor until a lease later: the network is to blame, not the
//! instances.
//!
//! **Time** is that of the lease clock, which stands still while we do not listen.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::lease::{Key, Silence};
use super::Limits;

/// How long a lapse counts: the lease of a registration that names none.
const WINDOW: Duration = Duration::from_secs(super::super::DEFAULT_LEASE_SECONDS as u64);

/// What is to be done about the fleet.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum Verdict {
    /// What it was.
    Same,
    /// It begins: so many of so many are silent.
    Hold { silent: usize, all: usize },
    /// It ends, because few are silent now; these leases, some of which run again, are to start anew.
    Over { silent: usize, waiting: Vec<Key> },
    /// It ends, because all that were held have lapsed after its time.
    Expired,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    /// Lapses are committed.
    #[default]
    Armed,
    /// None is, since that time.
    Holding(Duration),
    /// None is, since that time, because another server says so. That one ends it.
    Following(Duration),
    /// They are, evenly since then: so many of so many.
    Ending { since: Duration, done: usize, all: usize },
    /// They are, whatever their number, until it is small again.
    Released,
}

/// The guard's memory of the fleet.
#[derive(Debug, Default)]
pub(in super::super) struct Fleet {
    phase: Phase,
    /// Leases that are out; some may have been renewed since.
    waiting: VecDeque<Key>,
    /// When how many leases lapsed within the last window.
    lapses: VecDeque<(Duration, usize)>,
    lapsed: usize,
    /// Until then no hold of a service ends.
    grace: Duration,
}

impl Fleet {
    /// Notes that so many leases lapse.
    pub(in super::super) fn count(&mut self, now: Duration, lapses: usize) {
        if lapses > 0 {
            self.lapses.push_back((now, lapses));
            self.lapsed += lapses;
        }
    }

    /// Leases that wait here, some of which may have been renewed.
    pub(in super::super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether lapses are held.
    pub(in super::super) fn holds(&self) -> bool {
        matches!(self.phase, Phase::Holding(_) | Phase::Following(_) | Phase::Ending { .. })
    }

    /// Whether the holds of services may end.
    pub(in super::super) fn lets_holds_end(&self, now: Duration) -> bool {
        now >= self.grace && !matches!(self.phase, Phase::Holding(_) | Phase::Following(_))
    }

    /// Judges the leases that ran out: those that are not to lapse now move from `out` to here, those that may now move
    /// back. `silence` is asked only when there is something to judge.
    pub(in super::super) fn judge(
        &mut self,
        limits: &Limits,
        now: Duration,
        out: &mut VecDeque<Key>,
        silence: impl FnOnce() -> Silence,
    ) -> Verdict {
        self.forget(now);
        if let Phase::Following(since) = self.phase {
            self.waiting.append(out);
            if now.saturating_sub(since) >= limits.fleet_hold + limits.fleet_release {
                self.phase = Phase::Ending { since: now, done: 0, all: self.waiting.len() };
            }
            return Verdict::Same;
        }
        if limits.share >= 100 || self.phase == Phase::Armed && out.is_empty() {
            return Verdict::Same;
        }
        let Silence { silent, running, .. } = silence();
        let (all, gone) = (running + self.lapsed, silent + self.lapsed);
        let is_much = |number: usize| number >= limits.least && number * 100 > all * limits.share as usize;
        match self.phase {
            Phase::Armed if is_much(gone) => {
                self.phase = Phase::Holding(now);
                self.waiting.append(out);
                return Verdict::Hold { silent: gone, all };
            }
            Phase::Armed | Phase::Following(_) => {}
            Phase::Released if !is_much(gone) => self.phase = Phase::Armed,
            Phase::Released => {}
            Phase::Holding(_) if !is_much(silent) => {
                self.waiting.append(out);
                (self.phase, self.grace) = (Phase::Armed, now + WINDOW);
                return Verdict::Over { silent, waiting: std::mem::take(&mut self.waiting).into() };
            }
            Phase::Ending { .. } if !is_much(silent) => {
                // Those that lapsed at the end count for a while: that must not begin it again.
                self.open(out, Phase::Released);
                return Verdict::Over { silent, waiting: Vec::new() };
            }
            Phase::Holding(since) => {
                self.waiting.append(out);
                if now.saturating_sub(since) >= limits.fleet_hold {
                    self.phase = Phase::Ending { since: now, done: 0, all: self.waiting.len() };
                }
            }
            Phase::Ending { since, done, all } => {
                self.waiting.append(out);
                let time = limits.fleet_release.as_millis().max(1);
                let passed = now.saturating_sub(since).as_millis();
                let due = (all as u128 * passed / time) as usize;
                let next = due.saturating_sub(done).min(self.waiting.len());
                out.extend(self.waiting.drain(..next));
                self.phase = Phase::Ending { since, done: done + next, all };
                if self.waiting.is_empty() {
                    self.phase = Phase::Released;
                    return Verdict::Expired;
                }
            }
        }
        Verdict::Same
    }

    /// An operator lets the lapses happen.
    pub(in super::super) fn release(&mut self, out: &mut VecDeque<Key>) {
        if self.holds() {
            self.open(out, Phase::Released);
        }
    }

    /// Another server holds them. If this one does as well, it goes on by itself.
    pub(in super::super) fn follow(&mut self, now: Duration) {
        if matches!(self.phase, Phase::Armed | Phase::Released) {
            self.phase = Phase::Following(now);
        }
    }

    /// Another server holds them no more, because few of its own are silent now. What followed it gets a full lease
    /// once more (these are returned); what this server holds by itself is judged anew.
    pub(in super::super) fn rearm(&mut self, now: Duration, out: &mut VecDeque<Key>) -> Vec<Key> {
        match self.phase {
            Phase::Following(_) => {
                (self.phase, self.grace) = (Phase::Armed, now + WINDOW);
                std::mem::take(&mut self.waiting).into()
            }
            Phase::Holding(_) => {
                self.open(out, Phase::Armed);
                Vec::new()
            }
            Phase::Ending { .. } => {
                self.open(out, Phase::Released);
                Vec::new()
            }
            Phase::Armed | Phase::Released => Vec::new(),
        }
    }

    /// Everybody has a full lease again.
    pub(in super::super) fn restart(&mut self, now: Duration) {
        *self = Self { grace: now + WINDOW, ..Self::default() };
    }

    /// Forgets the leases that were renewed or ended, once they may be most: `is_out` says which are not.
    pub(in super::super) fn sweep(&mut self, silent: usize, is_out: impl FnOnce(&mut Vec<Key>)) {
        if self.waiting.len() > 2 * silent + 1024 {
            self.retain_out(is_out);
        }
    }

    /// Forgets the leases that are out no more: `is_out` leaves those that are.
    pub(in super::super) fn retain_out(&mut self, is_out: impl FnOnce(&mut Vec<Key>)) {
        let mut keys: Vec<Key> = std::mem::take(&mut self.waiting).into();
        is_out(&mut keys);
        keys.sort_unstable();
        keys.dedup();
        self.waiting = keys.into();
    }

    fn open(&mut self, out: &mut VecDeque<Key>, phase: Phase) {
        out.extend(self.waiting.drain(..));
        self.phase = phase;
    }

    fn forget(&mut self, now: Duration) {
        while let Some((at, lapses)) = self.lapses.front().filter(|(at, _)| now.saturating_sub(*at) > WINDOW).copied() {
            debug_assert!(at <= now);
            self.lapsed -= lapses;
            self.lapses.pop_front();
        }
    }
}
