//! Entries: what is kept per lease, side by side in chunks, so that growing copies nothing.

use std::sync::Arc;

use super::super::session::Session;
use super::text::Text;
use super::wheel::Links;
use crate::model::{Revision, ServerNumber};

/// Entries of a chunk.
const CHUNK: usize = 1024;
const NONE: u32 = u32::MAX;

/// One lease.
pub(super) struct Entry {
    pub(super) who: Who,
    /// Of a lone instance: which life of the id it is.
    pub(super) incarnation: Revision,
    pub(super) lease_seconds: u32,
    /// On the lease clock, in ticks.
    pub(super) deadline: u32,
    /// Its neighbours in the wheel, or among those that another server counts; not filed: lapsed, or out and reported.
    pub(super) links: Links,
    /// Of a lone instance: its label.
    pub(super) id: Text,
    pub(super) standing: Standing,
    /// Who counts it.
    pub(super) owner: ServerNumber,
    /// The deadline comes from a beat, not from our own start.
    pub(super) beaten: bool,
}

/// Whom a lease is of.
pub(super) enum Who {
    /// A lone instance of this service.
    Lone(Arc<str>),
    /// An agent's session.
    Session(Arc<Session>),
}

/// Whether its instances are in the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// They are.
    Serving,
    /// They are; another server counts, or did until it was gone.
    Watched,
    /// They are, and their lapse is being committed.
    Sealed,
    /// They are not.
    Lapsed,
}

/// All entries; a number names one until it is removed.
pub(super) struct Entries {
    chunks: Vec<Vec<Slot>>,
    /// The first free slot.
    free: u32,
}

enum Slot {
    Used(Entry),
    /// The next free slot.
    Free(u32),
}

impl Entry {
    /// Reported as run out, and neither renewed nor lapsed since.
    pub(super) fn is_out(&self) -> bool {
        !self.links.is_filed() && self.standing != Standing::Lapsed
    }
}

impl Entries {
    pub(super) fn new() -> Self {
        Self { chunks: Vec::new(), free: NONE }
    }

    pub(super) fn insert(&mut self, entry: Entry) -> u32 {
        if self.free != NONE {
            let number = self.free;
            let slot = &mut self.chunks[number as usize / CHUNK][number as usize % CHUNK];
            if let Slot::Free(next) = std::mem::replace(slot, Slot::Used(entry)) {
                self.free = next;
            }
            return number;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let full = (self.chunks.len() - 1) * CHUNK;
        let chunk = self.chunks.last_mut().expect("it has just been pushed");
        chunk.push(Slot::Used(entry));
        (full + chunk.len() - 1) as u32
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<Entry> {
        let slot = self.chunks.get_mut(number as usize / CHUNK)?.get_mut(number as usize % CHUNK)?;
        match std::mem::replace(slot, Slot::Free(self.free)) {
            Slot::Used(entry) => {
                self.free = number;
                Some(entry)
            }
            free @ Slot::Free(_) => {
                *slot = free;
                None
            }
        }
    }

    /// The entry of that number, which may have been removed.
    pub(super) fn get(&self, number: u32) -> Option<&Entry> {
        match self.chunks.get(number as usize / CHUNK)?.get(number as usize % CHUNK)? {
            Slot::Used(entry) => Some(entry),
            Slot::Free(_) => None,
        }
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Entry> {
        match self.chunks.get_mut(number as usize / CHUNK)?.get_mut(number as usize % CHUNK)? {
            Slot::Used(entry) => Some(entry),
            Slot::Free(_) => None,
        }
    }

    /// The entry of that number, which stands in the index or in the wheel.
    pub(super) fn known(&self, number: u32) -> &Entry {
        self.get(number).expect("an entry leaves the index and the wheel before it is removed")
    }

    pub(super) fn known_mut(&mut self, number: u32) -> &mut Entry {
        self.get_mut(number).expect("an entry leaves the index and the wheel before it is removed")
    }

    /// The numbers of all entries.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> + use<> {
        let used = |(at, slot): (usize, &Slot)| matches!(slot, Slot::Used(_)).then_some(at as u32);
        let numbers: Vec<u32> = self.chunks.iter().flatten().enumerate().filter_map(used).collect();
        numbers.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_small() {
        assert_eq!(size_of::<Slot>(), 48);
    }
}
