//! Leases that another server counts: by their owner and their length, so that nobody is visited when it vanishes.
//!
//! All leases of one owner and one length run out together once the owner is gone: their length after that moment. So
//! there is one list for each, linked through the entries as those of the wheel are, and neither that a server goes nor
//! that it comes back costs anything per lease.

use std::collections::BTreeMap;

use super::entry::{Entries, Entry};
use super::servers::Servers;
use super::table::length;
use super::wheel::Wheel;
use crate::model::ServerNumber;

/// Leases that are taken out at once, at most: who beats meanwhile waits for them.
const MOST: usize = 16_384;

/// The lists, and since when servers are gone.
pub(super) struct Watched {
    lists: BTreeMap<(ServerNumber, u32), List>,
    /// By number, on the lease clock, in ticks; of those that are not there.
    gone: Box<[u32; 256]>,
}

struct List {
    head: u32,
    count: usize,
}

impl Watched {
    pub(super) fn new() -> Self {
        Self { lists: BTreeMap::new(), gone: Box::new([0; 256]) }
    }

    /// Forgets the lists, whose entries have left them, and counts from now on for every server that is gone.
    pub(super) fn restart(&mut self, now: u32) {
        self.lists.clear();
        self.gone.fill(now);
    }

    /// Servers are there that were not, or the other way round.
    pub(super) fn note(&mut self, before: &Servers, after: &Servers, now: u32) {
        let left = |number: &u8| before.is_there(ServerNumber(*number)) && !after.is_there(ServerNumber(*number));
        (0..=u8::MAX).filter(left).for_each(|number| self.gone[usize::from(number)] = now);
    }

    /// Whether a lease with this owner, which is not there, would run out with all others of it if it began now.
    pub(super) fn begins_now(&self, owner: ServerNumber, now: u32) -> bool {
        self.gone[usize::from(owner.0)] == now
    }

    /// Puts an entry that is in no list behind the others of its owner and length.
    pub(super) fn add(&mut self, wheel: &mut Wheel, entries: &mut Entries, number: u32) {
        let list = self.lists.entry(key(entries.known(number)));
        let list = list.or_insert_with(|| List { head: wheel.new_list(), count: 0 });
        list.count += 1;
        wheel.append(entries, list.head, number);
    }

    /// Takes an entry out of its list, before its owner or length changes.
    pub(super) fn remove(&mut self, wheel: &mut Wheel, entries: &mut Entries, number: u32) {
        wheel.detach(entries, number);
        let key = key(entries.known(number));
        let list = self.lists.get_mut(&key).expect("an entry is in the list of its owner and length");
        list.count -= 1;
        if list.count == 0 {
            wheel.free_list(list.head);
            self.lists.remove(&key);
        }
    }

    /// Entries of servers that are gone whose time is over; they stay where they are. Not all if they are many.
    pub(super) fn due(&self, servers: &Servers, wheel: &mut Wheel, entries: &mut Entries, now: u32) -> Vec<u32> {
        let mut due = Vec::new();
        for ((owner, lease_seconds), list) in &self.lists {
            if servers.counts(*owner) && self.deadline(*owner, *lease_seconds) <= now {
                wheel.list(entries, list.head, MOST - due.len(), &mut due);
            }
        }
        due
    }

    /// How many there are by owner, those of servers that are gone too.
    pub(super) fn by_owner(&self) -> BTreeMap<ServerNumber, usize> {
        let mut counts = BTreeMap::new();
        self.lists.iter().for_each(|((owner, _), list)| *counts.entry(*owner).or_default() += list.count);
        counts
    }

    /// How many there are of servers that are there.
    pub(super) fn elsewhere(&self, servers: &Servers) -> usize {
        self.count(|owner, _| !servers.counts(owner))
    }

    /// How many of servers that are gone have less than about three eighths of their time left.
    pub(super) fn late(&self, servers: &Servers, now: u32) -> usize {
        self.count(|owner, lease_seconds| {
            let late = length(lease_seconds) / 8 * 3;
            servers.counts(owner) && self.deadline(owner, lease_seconds) <= now + late
        })
    }

    fn count(&self, is_one: impl Fn(ServerNumber, u32) -> bool) -> usize {
        let found = self.lists.iter().filter(|((owner, lease_seconds), _)| is_one(*owner, *lease_seconds));
        found.map(|(_, list)| list.count).sum()
    }

    fn deadline(&self, owner: ServerNumber, lease_seconds: u32) -> u32 {
        self.gone[usize::from(owner.0)] + length(lease_seconds)
    }
}

fn key(entry: &Entry) -> (ServerNumber, u32) {
    (entry.owner, entry.lease_seconds)
}
