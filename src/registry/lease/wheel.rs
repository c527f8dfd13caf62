//! The timer wheel: leases by the tick in which they run out.
//!
//! Two rings of lists. In the near one each slot is one tick of the next 204.8 s; in the far one a slot is 25.6 s of
//! the next 29 h. Lists are linked through the entries in both directions, so that a beat moves its lease in a few
//! writes and a tick visits nobody who is not due. A lease of the far ring moves to the near one when it has between
//! 76 s and 102 s left: more than half of it has been silent then, so nobody who beats in time is ever visited.
//!
//! Beside the lists stands how many leases run out when, by their length (`due`).

use super::due::Due;
use super::entry::Entries;

/// Ticks of the near ring.
const NEAR: u32 = 2048;
/// Slots of the far ring.
const FAR: u32 = 4096;
/// Ticks of a slot of the far ring.
const SPAN: u32 = 256;
/// How many of its slots before its time a far slot is emptied.
const EARLY: u32 = 3;
/// The most ticks ahead that the far ring reaches; what is due later is looked at then and filed again.
const REACH: u32 = (FAR - 8) * SPAN;

/// From here on, numbers are heads of lists, not entries.
const HEADS: u32 = 1 << 31;
const NOWHERE: u32 = u32::MAX;

/// The neighbours of an entry in its list, or of a list's head: its last and its first entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Links {
    before: u32,
    after: u32,
}

/// The lists, and how far they have been emptied.
pub(super) struct Wheel {
    heads: Vec<Links>,
    /// Heads of lists behind the slots that are used no more.
    free: Vec<u32>,
    /// How many leases that are filed run out when.
    due: Due,
    /// The last tick whose slot was emptied.
    turned: u32,
    /// Entries that turning has visited.
    visited: u64,
}

impl Links {
    /// In no list.
    pub(super) const NONE: Self = Self { before: NOWHERE, after: NOWHERE };

    pub(super) fn is_filed(self) -> bool {
        self.before != NOWHERE
    }
}

impl Wheel {
    pub(super) fn new() -> Self {
        let heads = (HEADS..HEADS + NEAR + FAR).map(|head| Links { before: head, after: head });
        Self { heads: heads.collect(), free: Vec::new(), due: Due::new(), turned: 0, visited: 0 }
    }

    /// How many of the leases that are filed have less than about three eighths of their time left at the tick `now`.
    pub(super) fn late(&self, now: u32) -> usize {
        self.due.late(now)
    }

    /// Entries that turning has visited since the beginning.
    pub(super) fn visited(&self) -> u64 {
        self.visited
    }

    /// Files an entry that is in no list, or in that of the same deadline, under its deadline.
    pub(super) fn file(&mut self, entries: &mut Entries, number: u32) {
        self.unfile(entries, number);
        let entry = entries.known(number);
        self.due.add(entry.lease_seconds, entry.deadline);
        let due = entry.deadline.clamp(self.turned + 1, self.turned + REACH);
        let slot = match due - self.turned < NEAR {
            true => due % NEAR,
            false => NEAR + due / SPAN % FAR,
        };
        self.append(entries, HEADS + slot, number);
    }

    /// Takes an entry out of its list, if it is in one. Before its deadline or length changes.
    pub(super) fn unfile(&mut self, entries: &mut Entries, number: u32) {
        if self.detach(entries, number) {
            let entry = entries.known(number);
            self.due.remove(entry.lease_seconds, entry.deadline);
        }
    }

    /// The head of a new list beside the slots.
    pub(super) fn new_list(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            let head = HEADS + self.heads.len() as u32;
            self.heads.push(Links { before: head, after: head });
            head
        })
    }

    /// Gives back the head of a list that is empty.
    pub(super) fn free_list(&mut self, head: u32) {
        self.free.push(head);
    }

    /// Puts an entry that is in no list behind the others of one.
    pub(super) fn append(&mut self, entries: &mut Entries, head: u32, number: u32) {
        let last = self.links(entries, head).before;
        *self.links(entries, number) = Links { before: last, after: head };
        self.links(entries, last).after = number;
        self.links(entries, head).before = number;
    }

    /// Takes an entry out of its list; says whether it was in one.
    pub(super) fn detach(&mut self, entries: &mut Entries, number: u32) -> bool {
        let links = std::mem::replace(self.links(entries, number), Links::NONE);
        if links.is_filed() {
            self.links(entries, links.before).after = links.after;
            self.links(entries, links.after).before = links.before;
        }
        links.is_filed()
    }

    /// Appends the first entries of a list, at most so many; they stay in it.
    pub(super) fn list(&mut self, entries: &mut Entries, head: u32, most: usize, into: &mut Vec<u32>) {
        let mut number = self.links(entries, head).after;
        for _ in 0..most {
            if number == head {
                break;
            }
            self.visited += 1;
            into.push(number);
            number = self.links(entries, number).after;
        }
    }

    /// Empties the slots up to the tick `now`; appends the entries that ran out, in the order of their deadlines.
    pub(super) fn turn(&mut self, entries: &mut Entries, now: u32, out: &mut Vec<u32>) {
        while self.turned < now {
            self.turned += 1;
            if self.turned.is_multiple_of(SPAN) {
                self.bring_near(entries, NEAR + (self.turned / SPAN + EARLY) % FAR);
            }
            self.empty(entries, self.turned % NEAR, out);
        }
    }

    /// Forgets what is filed, the lists beside the slots too, and goes on at the tick `now`. The entries' links are the
    /// caller's to clear.
    pub(super) fn clear(&mut self, now: u32) {
        let visited = self.visited;
        *self = Self { turned: now, visited, ..Self::new() };
    }

    fn empty(&mut self, entries: &mut Entries, slot: u32, out: &mut Vec<u32>) {
        while let Some(number) = self.visit_first(entries, slot) {
            self.unfile(entries, number);
            match entries.known(number).deadline > self.turned {
                true => self.file(entries, number),
                false => out.push(number),
            }
        }
    }

    fn bring_near(&mut self, entries: &mut Entries, slot: u32) {
        while let Some(number) = self.visit_first(entries, slot) {
            self.file(entries, number);
        }
    }

    /// The first entry that is filed in a slot.
    fn visit_first(&mut self, entries: &mut Entries, slot: u32) -> Option<u32> {
        let head = HEADS + slot;
        let number = self.links(entries, head).after;
        if number == head {
            return None;
        }
        self.visited += 1;
        Some(number)
    }

    fn links<'a>(&'a mut self, entries: &'a mut Entries, at: u32) -> &'a mut Links {
        match at.checked_sub(HEADS) {
            Some(head) => &mut self.heads[head as usize],
            None => &mut entries.known_mut(at).links,
        }
    }
}
