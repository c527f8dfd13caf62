//! The number that a set is rotated by: one more for each answer about the same name and type.
//!
//! Counters are shared by all workers, so that successive answers differ whichever worker gives them, and kept apart by
//! name and type, so that a client that asks two names in turn, or A and AAAA, sees each of them rotate. The view is
//! immutable, so they stand beside it: a fixed number of them, picked by hash; names that share one rotate a little
//! faster. An addition without ordering, no lock.

use std::sync::atomic::{AtomicU32, Ordering};

use super::encode::rotates;
use crate::answer::Query;

const COUNTERS: usize = 4096;

/// Counters of answers.
#[derive(Debug)]
pub(super) struct Rotation {
    counters: Box<[AtomicU32]>,
}

impl Rotation {
    pub(super) fn new() -> Self {
        Self { counters: (0..COUNTERS).map(|_| AtomicU32::new(0)).collect() }
    }

    /// Gives a query the number of its answer, if sets of the type that it asks for rotate.
    /// `hash` is that of its name in the view's table.
    pub(super) fn turn(&self, query: &mut Query<'_>, hash: u32) {
        if !rotates(query.rtype) {
            return;
        }
        let mixed = (hash ^ u32::from(query.rtype.0)).wrapping_mul(0x9E37_79B9);
        let counter = &self.counters[(mixed >> 16) as usize % COUNTERS];
        query.rotation = counter.fetch_add(1, Ordering::Relaxed);
    }
}
