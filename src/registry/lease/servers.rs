//! Which servers share the registry, as one of them sees it: who counts a lease.

use crate::model::{ServerNumber, ServerRow};

/// Our own number, and which of all numbers are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Servers {
    own: ServerNumber,
    there: [u64; 4],
}

impl Default for Servers {
    fn default() -> Self {
        Self::unknown(ServerNumber::NONE)
    }
}

impl Servers {
    /// Before it is known who is there: everybody, so that nobody's leases are counted here.
    pub(in super::super) fn unknown(own: ServerNumber) -> Self {
        Self { own, there: [u64::MAX; 4] }.without_none()
    }

    /// These servers are there.
    pub(in super::super) fn new(own: ServerNumber, rows: &[ServerRow]) -> Self {
        let mut there = [0; 4];
        rows.iter().for_each(|row| there[usize::from(row.number.0 / 64)] |= 1 << (row.number.0 % 64));
        Self { own, there }.without_none()
    }

    /// What names no server names none that is there.
    fn without_none(mut self) -> Self {
        self.there[0] &= !1;
        self
    }

    /// Our own number; none if we are the only server.
    pub(in super::super) fn own(&self) -> ServerNumber {
        self.own
    }

    /// Whether a beat renews a lease with this owner at once: it is ours, or everything is.
    #[inline]
    pub(in super::super) fn is_ours(&self, owner: ServerNumber) -> bool {
        self.own.is_none() || owner == self.own
    }

    /// Whether a lease with this owner is counted here: it is ours, or its owner is gone.
    #[inline]
    pub(in super::super) fn counts(&self, owner: ServerNumber) -> bool {
        self.is_ours(owner) || !self.is_there(owner)
    }

    /// Whether a server is there.
    pub(super) fn is_there(&self, server: ServerNumber) -> bool {
        self.there[usize::from(server.0 / 64)] >> (server.0 % 64) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[test]
    fn a_lease_is_counted_by_its_owner_or_by_all() {
        let row = |number| ServerRow {
            name: format!("ns{number}"),
            number: ServerNumber(number),
            addresses: Vec::new(),
            started: Timestamp(0),
        };
        let counted = |servers: Servers| -> Vec<u8> {
            (0..=255).filter(|number| servers.counts(ServerNumber(*number))).take(5).collect()
        };
        assert_eq!(counted(Servers::unknown(ServerNumber(3))), [0, 3], "nobody is known to be gone");
        assert_eq!(counted(Servers::new(ServerNumber(1), &[row(1), row(2), row(4), row(255)])), [0, 1, 3, 5, 6]);
        assert_eq!(counted(Servers::default()), [0, 1, 2, 3, 4], "the only server counts everything");
        assert!(!Servers::new(ServerNumber(1), &[row(255)]).counts(ServerNumber(255)));
    }
}
