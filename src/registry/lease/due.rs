//! How many leases run out when, by their length: so that those with little time left are counted without a visit.
//!
//! A row of counters for each eighth of a doubling of the length, from 1 s to a day and a half. Each counter stands for
//! a 64th of the doubling's shortest length, so a row of 256 is never lapped by the leases that it counts. 139 KB.

use super::TICKS_PER_SECOND;

/// Doublings of the length: leases of 2^17 s and more are not counted.
const DOUBLINGS: u32 = 17;
/// Rows of a doubling.
const ROWS: u32 = 8;
/// Counters of a row.
const COUNTERS: u32 = 256;
/// Counters that make up the shortest length of a doubling.
const PER_LENGTH: u32 = 64;

/// The counters.
pub(super) struct Due(Box<[u32]>);

impl Due {
    pub(super) fn new() -> Self {
        Self(vec![0; (DOUBLINGS * ROWS * COUNTERS) as usize].into())
    }

    /// Counts a lease of that length that runs out at the tick `deadline`.
    pub(super) fn add(&mut self, lease_seconds: u32, deadline: u32) {
        if let Some(place) = place(lease_seconds, deadline) {
            self.0[place] += 1;
        }
    }

    /// Takes back what was added.
    pub(super) fn remove(&mut self, lease_seconds: u32, deadline: u32) {
        if let Some(place) = place(lease_seconds, deadline) {
            self.0[place] -= 1;
        }
    }

    /// How many have less than about three eighths of their time left at the tick `now`.
    pub(super) fn late(&self, now: u32) -> usize {
        let row = |row: u32| {
            let (doubling, part) = (row / ROWS, row % ROWS);
            let shortest = (TICKS_PER_SECOND << doubling) * (ROWS + part) / ROWS;
            let width = width(doubling);
            (now / width..=(now + shortest * 3 / 8) / width)
                .map(move |at| self.0[(row * COUNTERS + at % COUNTERS) as usize])
        };
        (0..DOUBLINGS * ROWS).flat_map(row).map(|count| count as usize).sum()
    }
}

/// Ticks that a counter stands for.
fn width(doubling: u32) -> u32 {
    ((TICKS_PER_SECOND << doubling) / PER_LENGTH).max(1)
}

fn place(lease_seconds: u32, deadline: u32) -> Option<usize> {
    let doubling = lease_seconds.checked_ilog2().filter(|doubling| *doubling < DOUBLINGS)?;
    let part = ((lease_seconds - (1 << doubling)) * ROWS) >> doubling;
    Some(((doubling * ROWS + part) * COUNTERS + deadline / width(doubling) % COUNTERS) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTHS: [u32; 14] = [1, 2, 3, 7, 8, 15, 16, 19, 60, 127, 300, 3600, 80_000, 86_400];

    #[test]
    fn all_that_have_missed_a_beat_of_three_are_late_when_the_first_runs_out() {
        for length in LENGTHS {
            let (mut due, now) = (Due::new(), 12_345);
            let third = length * TICKS_PER_SECOND / 3;
            (0..=third).for_each(|left| due.add(length, now + left));
            assert_eq!(due.late(now), third as usize + 1, "{length}");
        }
    }

    #[test]
    fn nobody_who_beats_twice_in_a_lease_is_late() {
        for length in LENGTHS {
            let (mut due, now) = (Due::new(), 54_321);
            let ticks = length * TICKS_PER_SECOND + 1;
            (ticks / 2..=ticks).for_each(|left| due.add(length, now + left));
            assert_eq!(due.late(now), 0, "{length}");
            (ticks / 2..=ticks).for_each(|left| due.remove(length, now + left));
            assert!(due.0.iter().all(|count| *count == 0));
        }
    }
}
