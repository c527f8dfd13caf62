//! What happens an hour after its commit, in the order of time.
//!
//! **What it holds.** A timer for each instance that lapsed and each name that nobody serves any more. One that has come to
//! nothing, because the instance returned, is found out when it is due, or when it is swept away before: in a fleet that
//! lapses and returns all the time an hour of timers would be many times what lapsed records there are.
//!
//! **Shape.** Segments of [`SEGMENT`] timers. Each time that one is full, two others are swept, in turn: what came to nothing
//! goes, and two that have room become one. So there are at most about three timers for each that still means something,
//! and sweeping costs each new timer the look at two old ones.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::draft::Timer;

const SEGMENT: usize = 1024;
/// Segments that are swept for each that is filled.
const SWEPT: usize = 2;

type Segment = VecDeque<(Duration, Timer)>;

/// Timers in the order of time.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// The last one is being filled.
    segments: VecDeque<Segment>,
    /// The segment that is swept next.
    next: usize,
}

impl Timers {
    /// Puts timers behind all others; `due` is not before theirs. `means` says which ones still mean something.
    pub(super) fn wind(
        &mut self,
        due: Duration,
        timers: impl IntoIterator<Item = Timer>,
        means: impl Fn(&Timer) -> bool,
    ) {
        for timer in timers {
            if self.segments.back().is_none_or(|last| last.len() >= SEGMENT) {
                (0..SWEPT).for_each(|_| self.sweep(&means));
                self.segments.push_back(Segment::new());
            }
            if let Some(last) = self.segments.back_mut() {
                last.push_back((due, timer));
            }
        }
    }

    /// The timers that are due, at most so many.
    pub(super) fn due(&self, now: Duration, most: usize) -> Vec<Timer> {
        let all = self.segments.iter().flatten().take(most);
        all.take_while(|(at, _)| *at <= now).map(|(_, timer)| timer.clone()).collect()
    }

    /// Forgets the first ones.
    pub(super) fn forget(&mut self, mut count: usize) {
        while let Some(first) = self.segments.front_mut().filter(|_| count > 0) {
            let gone = count.min(first.len());
            first.drain(..gone);
            count -= gone;
            if first.is_empty() {
                self.segments.pop_front();
                self.next = self.next.saturating_sub(1);
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Revision;

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
            timers.wind(seconds(number), [reap(number)], means);
            let kept = number as usize / 100;
            assert!(len(&timers) <= 3 * kept + 6 * SEGMENT, "{} timers, {kept} of them mean something", len(&timers));
        }
        let due = timers.due(seconds(2_000_000), usize::MAX);
        let revisions = due.iter().map(|timer| match timer {
            Timer::Reap { revision, .. } => revision.0,
            Timer::Forget { .. } => panic!("none was wound"),
        });
        let revisions: Vec<u64> = revisions.collect();
        assert!(revisions.is_sorted());
        assert_eq!(revisions.iter().filter(|number| number.is_multiple_of(100)).count(), 10_000);
    }

    #[test]
    fn timers_go_off_in_their_order_and_once() {
        let mut timers = Timers::default();
        for number in 0..5000 {
            timers.wind(seconds(number), [reap(number)], |_| true);
        }
        assert_eq!(timers.due(seconds(2), 10), [reap(0), reap(1), reap(2)]);
        timers.forget(3);
        assert_eq!(timers.due(seconds(4000), 1), [reap(3)]);
        timers.forget(2000);
        assert_eq!((timers.due(seconds(4000), 1), len(&timers)), (vec![reap(2003)], 2997));
        timers.forget(9000);
        assert!(timers.due(seconds(9000), 1).is_empty());
        timers.wind(seconds(9000), [reap(1)], |_| true);
        assert_eq!(timers.due(seconds(9000), 9), [reap(1)]);
    }
}
