//! Numbers of names, found by where the names live in the table: for lists of names that stand beside it.
//!
//! Whoever holds the list says whether a number is the one that is looked for; the index knows nothing but slots, whose
//! hash has been made anyway.

use super::table::Slot;

const FREE: u32 = u32::MAX;
/// Places of the smallest index.
const FEWEST: usize = 64;
/// So many numbers need no index: all of them are looked at.
const FEW: usize = 8;

/// Numbers by slot: open addressing, a power of two, less than three quarters full.
#[derive(Default)]
pub(crate) struct SlotIndex {
    numbers: Vec<u32>,
    count: usize,
}

impl SlotIndex {
    /// Forgets all numbers, and keeps room.
    pub(crate) fn clear(&mut self) {
        self.numbers.clear();
        self.count = 0;
    }

    /// The number that `is_it`: the one of a name with that slot.
    pub(crate) fn find(&self, slot: Slot, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        let Some(mask) = self.numbers.len().checked_sub(1) else {
            return (0..self.count).find(|number| is_it(*number));
        };
        let mut at = home(slot) & mask;
        loop {
            match self.numbers[at] {
                FREE => return None,
                number if is_it(number as usize) => return Some(number as usize),
                _ => at = (at + 1) & mask,
            }
        }
    }

    /// Enters the next number: they are counted from 0 on. `slot_of` knows the slots of all before it.
    pub(crate) fn push(&mut self, slot: Slot, slot_of: impl Fn(usize) -> Slot) {
        if self.count < FEW {
            self.count += 1;
            return;
        }
        if (self.count + 1) * 4 > self.numbers.len() * 3 {
            let size = (self.numbers.len() * 2).max(FEWEST);
            self.numbers.clear();
            self.numbers.resize(size, FREE);
            (0..self.count).for_each(|number| self.enter(slot_of(number), number));
        }
        self.enter(slot, self.count);
        self.count += 1;
    }

    fn enter(&mut self, slot: Slot, number: usize) {
        let mask = self.numbers.len() - 1;
        let mut at = home(slot) & mask;
        while self.numbers[at] != FREE {
            at = (at + 1) & mask;
        }
        self.numbers[at] = number as u32;
    }
}

/// Where a number stands if there is room.
fn home(slot: Slot) -> usize {
    (u64::from(slot.number()).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize
}
