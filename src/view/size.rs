//! What a table takes, by part.

use std::ops::Add;

/// Octets of a table, by what they hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Slots, which lead from a hash to an entry.
    pub slots: usize,
    /// Names, with what an entry says besides its records: zone, children, types and lengths of sets.
    pub names: usize,
    /// Records.
    pub bodies: usize,
    /// Records of sets that are too large to stand in their shard.
    pub large: usize,
    /// Shards themselves: pointers, counters and what the allocator adds.
    pub shards: usize,
}

impl Size {
    /// All parts.
    pub fn total(&self) -> usize {
        self.slots + self.names + self.bodies + self.large + self.shards
    }
}

impl Add for Size {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            slots: self.slots + other.slots,
            names: self.names + other.names,
            bodies: self.bodies + other.bodies,
            large: self.large + other.large,
            shards: self.shards + other.shards,
        }
    }
}

impl std::iter::Sum for Size {
    fn sum<I: Iterator<Item = Self>>(sizes: I) -> Self {
        sizes.fold(Self::default(), Add::add)
    }
}

/// What the allocator takes for so many octets behind an [`std::sync::Arc`], besides them: two counters, the head of the
/// block, and what is missing to a multiple of 16.
pub(super) fn overhead(octets: usize) -> usize {
    let whole = 16 + octets;
    (whole + 8).next_multiple_of(16).max(32) - octets
}
