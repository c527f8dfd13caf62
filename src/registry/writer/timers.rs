//! What happens some time after its commit, most of it an hour, in the order of time.
//!
//! **What it holds.** A timer for each instance that lapsed and each name that nobody serves any more. One that has
//! come to nothing, because the instance returned, is found out when it is due, or when it is swept away before: in a
//! fleet that lapses and returns all the time an hour of timers would be many times what lapsed records there are.
//!
//! **Shape.** Segments of [`SEGMENT`] timers. Each time that one is full, two others are swept, in turn: what came to
//! nothing goes, and two that have room become one. So there are at most about three timers for each that still
//! means something, and sweeping costs each new timer the look at two old ones.
//!
//! Timers with a time of their own (holds, weights) are few, and stand in maps by their time.
//!
//! **Clocks.** The end of a hold counts on the lease clock, as leases do: while we did not listen, nobody could be
//! heard ([`Now`]). Everything else counts on the monotonic clock.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::super::draft::Timer;

const SEGMENT: usize = 1024;
/// Segments that are swept for each that is filled.
const SWEPT: usize = 2;

/// A timer and when it is due, on its clock.
pub(super) type Due = (Duration, Timer);

/// What time it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// For all but holds.
    pub(super) monotonic: Duration,
    /// The lease clock, for holds; `None` while none of them ends.
    pub(super) lease: Option<Duration>,
}

type Segment = VecDeque<Due>;

/// Timers by their time, and a number that tells those of one time apart.
type ByTime = BTreeMap<(Duration, u64), Timer>;

/// Timers in the order of time.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// The last one is being filled.
    segments: VecDeque<Segment>,
    /// The segment that is swept next.
    next: usize,
    /// Those with a time of their own.
    own: ByTime,
    /// Those of them that count on the lease clock.
    holds: ByTime,
    wound: u64,
}

impl Timers {
    /// Puts timers behind all others, due after `usual` where they do not say after how long; the times are never
    /// before those of an earlier call, and that of leases is there. `means` says which ones still mean something.
    pub(super) fn wind(
        &mut self,
        now: Duration,
        lease: Duration,
        usual: Duration,
        timers: impl IntoIterator<Item = Timer>,
        means: impl Fn(&Timer) -> bool,
    ) {
        let due = now + usual;
        for timer in timers {
            if let Some(after) = timer.delay() {
                let from = if is_hold(&timer) { lease } else { now };
                self.put(from + after, timer);
                continue;
            }
            if self.segments.back().is_none_or(|last| last.len() >= SEGMENT) {
                (0..SWEPT).for_each(|_| self.sweep(&means));
                self.segments.push_back(Segment::new());
            }
            if let Some(last) = self.segments.back_mut() {
                last.push_back((due, timer));
            }
        }
    }

    /// Whether one is due.
    pub(super) fn are_due(&self, now: Now) -> bool {
        let first = self.segments.iter().find_map(VecDeque::front).map(|(at, _)| *at);
        let at = |timers: &ByTime| timers.keys().next().map(|(at, _)| *at);
        let hold = at(&self.holds).zip(now.lease);
        first.into_iter().chain(at(&self.own)).any(|at| at <= now.monotonic) || hold.is_some_and(|(at, now)| at <= now)
    }

    fn put(&mut self, due: Duration, timer: Timer) {
        let timers = if is_hold(&timer) { &mut self.holds } else { &mut self.own };
        timers.insert((due, self.wound), timer);
        self.wound += 1;
    }

    /// Takes those that are due out, at most so many.
    pub(super) fn take(&mut self, now: Now, most: usize) -> Vec<Due> {
        let mut taken = Vec::new();
        for (timers, now) in [(&mut self.own, Some(now.monotonic)), (&mut self.holds, now.lease)] {
            let is_due = |at: Duration| now.is_some_and(|now| at <= now);
            while let Some(own) = timers.first_entry().filter(|own| is_due(own.key().0) && taken.len() < most) {
                let (at, _) = *own.key();
                taken.push((at, own.remove()));
            }
        }
        let now = now.monotonic;
        while let Some(first) = self.segments.front_mut().filter(|_| taken.len() < most) {
            let due = first.iter().take(most - taken.len()).take_while(|(at, _)| *at <= now).count();
            taken.extend(first.drain(..due));
            if !first.is_empty() {
                break;
            }
            self.segments.pop_front();
            self.next = self.next.saturating_sub(1);
        }
        taken
    }

    /// Puts back what was taken and could not be committed.
    pub(super) fn put_back(&mut self, taken: Vec<Due>) {
        let (own, taken): (Vec<Due>, Vec<Due>) = taken.into_iter().partition(|(_, timer)| timer.delay().is_some());
        own.into_iter().for_each(|(due, timer)| self.put(due, timer));
        if !taken.is_empty() {
            self.segments.push_front(taken.into());
            self.next += 1;
        }
    }

    /// Sweeps one segment.
    fn sweep(&mut self, means: impl Fn(&Timer) -> bool) {
        let Some(swept) = self.segments.get_mut(self.next) else {
            self.next = 0;
            return;
        };
        swept.retain(|(_, timer)| means(timer));
        let left = swept.len();
        let before = self.next.checked_sub(1).and_then(|before| self.segments.get(before));
        if before.is_some_and(|before| before.len() + left <= SEGMENT)
            && let Some(mut swept) = self.segments.remove(self.next)
        {
            self.segments[self.next - 1].append(&mut swept);
        } else {
            self.next += 1;
        }
    }
}

/// Whether it counts on the lease clock.
fn is_hold(timer: &Timer) -> bool {
    matches!(timer, Timer::EndHold { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Revision, Timestamp};

    /// Both clocks show the same.
    fn at(now: Duration) -> Now {
        Now { monotonic: now, lease: Some(now) }
    }

    fn reap(number: u64) -> Timer {
        Timer::Reap { service: "search".into(), id: "a1".into(), revision: Revision(number) }
    }

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    fn len(timers: &Timers) -> usize {
        timers.segments.iter().map(VecDeque::len).sum()
    }

    #[test]
    fn timers_that_mean_nothing_any_more_do_not_pile_up() {
        let mut timers = Timers::default();
        let means = |timer: &Timer| matches!(timer, Timer::Reap { revision, .. } if revision.0.is_multiple_of(100));
        for number in 0..1_000_000 {
            timers.wind(seconds(number), Duration::ZERO, Duration::ZERO, [reap(number)], means);
            let kept = number as usize / 100;
            assert!(len(&timers) <= 3 * kept + 6 * SEGMENT, "{} timers, {kept} of them mean something", len(&timers));
        }
        let due = timers.take(at(seconds(2_000_000)), usize::MAX);
        let revisions = due.iter().map(|(_, timer)| match timer {
            Timer::Reap { revision, .. } => revision.0,
            other => panic!("{other:?} was not wound"),
        });
        let revisions: Vec<u64> = revisions.collect();
        assert!(revisions.is_sorted());
        assert_eq!(revisions.iter().filter(|number| number.is_multiple_of(100)).count(), 10_000);
    }

    #[test]
    fn timers_with_a_time_of_their_own_do_not_wait_for_others() {
        let mut timers = Timers::default();
        let own = |number: u64| Timer::EndHold {
            service: "search".into(),
            id: "a1".into(),
            since: Timestamp(number),
            after: seconds(number),
        };
        timers.wind(seconds(0), seconds(0), seconds(3600), [reap(1), own(600), own(5), own(5)], |_| true);
        assert!(!timers.are_due(at(seconds(4))) && timers.are_due(at(seconds(5))));
        assert_eq!(timers.take(at(seconds(6)), 1), [(seconds(5), own(5))]);
        assert_eq!(timers.take(at(seconds(6)), 9), [(seconds(5), own(5))]);
        let taken = timers.take(at(seconds(3600)), 9);
        assert_eq!(taken, [(seconds(600), own(600)), (seconds(3600), reap(1))]);
        timers.put_back(taken.clone());
        assert_eq!(timers.take(at(seconds(3600)), 9), taken);
        assert!(!timers.are_due(at(seconds(9000))));
    }

    #[test]
    fn holds_end_by_the_lease_clock_and_weights_by_the_other() {
        let mut timers = Timers::default();
        let (service, id, revision, after) = ("search".into(), "a1".into(), Revision(1), seconds(5));
        let weight = Timer::EndWeight { service, id, revision, after };
        let hold = Timer::EndHold { service: "search".into(), id: "a1".into(), since: Timestamp(1), after };
        timers.wind(seconds(100), seconds(10), seconds(3600), [weight.clone(), hold.clone()], |_| true);
        let stalled = Now { monotonic: seconds(160), lease: Some(seconds(11)) };
        assert_eq!(timers.take(stalled, 9), [(seconds(105), weight)]);
        assert!(
            !timers.are_due(Now { lease: None, ..stalled })
                && timers.are_due(Now { lease: Some(seconds(15)), ..stalled })
        );
        assert!(timers.take(Now { lease: None, ..stalled }, 9).is_empty());
        let taken = timers.take(Now { lease: Some(seconds(15)), ..stalled }, 9);
        assert_eq!(taken, [(seconds(15), hold)]);
        timers.put_back(taken);
        assert!(timers.are_due(Now { lease: Some(seconds(15)), ..stalled }));
    }

    fn due(numbers: impl IntoIterator<Item = u64>) -> Vec<Due> {
        numbers.into_iter().map(|number| (seconds(number), reap(number))).collect()
    }

    #[test]
    fn timers_go_off_in_their_order_and_once() {
        let mut timers = Timers::default();
        for number in 0..5000 {
            timers.wind(seconds(number), Duration::ZERO, Duration::ZERO, [reap(number)], |_| true);
        }
        assert_eq!(timers.take(at(seconds(2)), 10), due(0..3));
        assert_eq!(timers.take(at(seconds(4000)), 1), due([3]));
        assert_eq!(timers.take(at(seconds(2003)), usize::MAX), due(4..2004));
        assert_eq!((timers.are_due(at(seconds(2003))), timers.are_due(at(seconds(2004)))), (false, true));
        assert_eq!((timers.take(at(seconds(4000)), 1), len(&timers)), (due([2004]), 2995));
        assert_eq!(timers.take(at(seconds(9000)), usize::MAX), due(2005..5000));
        assert!(!timers.are_due(at(seconds(9000))));
        timers.wind(seconds(9000), Duration::ZERO, Duration::ZERO, [reap(9000)], |_| true);
        assert_eq!(timers.take(at(seconds(9000)), 9), due([9000]));
    }

    #[test]
    fn timers_that_are_wound_and_swept_meanwhile_cost_none_of_those_put_back() {
        let mut timers = Timers::default();
        let means = |timer: &Timer| matches!(timer, Timer::Reap { revision, .. } if revision.0.is_multiple_of(2));
        (0..5000)
            .for_each(|number| timers.wind(seconds(number), Duration::ZERO, Duration::ZERO, [reap(number)], |_| true));
        let taken = timers.take(at(seconds(1499)), 1000);
        assert_eq!(taken, due(0..1000));
        (5000..20_000)
            .for_each(|number| timers.wind(seconds(number), Duration::ZERO, Duration::ZERO, [reap(number)], means));
        timers.put_back(taken);
        let all = timers.take(at(seconds(20_000)), usize::MAX);
        let live: Vec<Due> = all.into_iter().filter(|(_, timer)| means(timer)).collect();
        assert_eq!(live, due((0..20_000).step_by(2)));
    }
}
