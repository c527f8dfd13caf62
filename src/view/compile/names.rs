//! The names of one service in one zone, each once, before anything is said about what stands there.
//!
//! One list is filled again and again: the octets of all names stand in one buffer, and an index of the seeded hash
//! that the table has anyway finds a name among them. What comes later under a name that is there already replaces it.

use crate::model::naming::Publishes;
use crate::view::slots::SlotIndex;
use crate::view::table::{Slot, Table};

/// Names with what they publish.
pub(super) struct Names<'t> {
    /// The table that they will stand in.
    pub(super) table: &'t Table,
    octets: Vec<u8>,
    list: Vec<Named>,
    index: SlotIndex,
}

/// One of the names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named {
    start: u32,
    len: u8,
    /// How many of the names right above belong to the service too.
    pub(super) above: u8,
    pub(super) what: What,
    pub(super) slot: Slot,
    /// Names right below it.
    pub(super) children: u32,
    /// Something else stands there already.
    pub(super) taken: bool,
}

/// What stands at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// Nothing: it exists because names below it do.
    Above,
    /// What a group of the roster publishes: all of it, or its preferred tier where there are tiers.
    Group { publishes: Publishes, number: u32, whole: bool },
    /// What one serving instance publishes, by its place in the roster.
    Instance { publishes: Publishes, number: u32 },
}

/// Octets of the names of a small service.
const OCTETS: usize = 256;
/// How many they are.
const NAMES: usize = 8;

impl<'t> Names<'t> {
    pub(super) fn new(table: &'t Table) -> Self {
        Self { table, octets: Vec::new(), list: Vec::new(), index: SlotIndex::default() }
    }

    pub(super) fn clear(&mut self) {
        self.octets.clear();
        self.list.clear();
        self.index.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn get(&self, number: usize) -> Named {
        self.list[number]
    }

    pub(super) fn octets(&self, named: &Named) -> &[u8] {
        &self.octets[named.start as usize..named.start as usize + usize::from(named.len)]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Named, &[u8])> {
        self.list.iter().map(|named| (named, self.octets(named)))
    }

    /// Notes of each name whether something stands there already, or it is a wildcard, of which its parent has to know.
    pub(super) fn note_taken(&mut self) {
        for number in 0..self.list.len() {
            let named = self.list[number];
            let name = self.octets(&named);
            self.list[number].taken = name.starts_with(b"\x01*") || self.is_taken(named.slot, name);
        }
    }

    /// Whether something stands at a name already.
    pub(super) fn is_taken(&self, slot: Slot, name: &[u8]) -> bool {
        self.table.shard(slot).find(slot.tag, name).is_some()
    }

    pub(super) fn add_child(&mut self, number: usize) {
        self.list[number].children += 1;
    }

    /// The number of a name.
    pub(super) fn find(&self, slot: Slot, name: &[u8]) -> Option<usize> {
        self.index.find(slot, |number| {
            let named = &self.list[number];
            named.slot == slot && self.octets(named) == name
        })
    }

    /// Adds a name, or replaces what is said of it.
    pub(super) fn put(&mut self, name: &[u8], above: u8, what: What) {
        let slot = self.table.slot(name);
        match self.find(slot, name) {
            Some(number) => self.list[number] = Named { above, what, ..self.list[number] },
            None => self.push(slot, name, above, what, 0),
        }
    }

    /// Adds a name that is not there.
    pub(super) fn push(&mut self, slot: Slot, name: &[u8], above: u8, what: What, children: u32) {
        if self.list.is_empty() {
            self.octets.reserve(OCTETS);
            self.list.reserve(NAMES);
        }
        self.index.push(slot, |number| self.list[number].slot);
        let start = self.octets.len() as u32;
        self.octets.extend_from_slice(name);
        self.list.push(Named { start, len: name.len() as u8, above, what, slot, children, taken: false });
    }

    /// Adds a name above another one, of which it is the end from `start` on, with that one as its only child.
    pub(super) fn push_above(&mut self, below: usize, start: usize, slot: Slot) {
        let named = self.list[below];
        let name = self.octets(&named)[start..].to_vec();
        self.push(slot, &name, named.above - 1, What::Above, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_once_and_clearing_forgets_all() {
        let table = Table::empty(7);
        let mut names = Names::new(&table);
        for round in 0..3u32 {
            let name = |number: u32| [&[4][..], &number.to_be_bytes(), &[0]].concat();
            for number in 0..500 {
                names.put(&name(number), 0, What::Above);
            }
            let what = What::Instance { publishes: Publishes::Host, number: round };
            names.put(&name(round), 1, what);
            assert_eq!(names.len(), 500);
            let found = names.find(table.slot(&name(round)), &name(round)).expect("it was put there");
            assert_eq!((names.get(found).what, names.octets(&names.get(found))), (what, &*name(round)));
            assert!(names.find(table.slot(&name(500)), &name(500)).is_none());
            names.clear();
            assert!(names.find(table.slot(&name(1)), &name(1)).is_none());
        }
    }
}
