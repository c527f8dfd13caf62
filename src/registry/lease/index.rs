//! The index: from the keyed hash of a session's name to the number of its entry.
//!
//! Names are not kept here, and neither are hashes: who asks compares the name. 256 tables of their own grow one at a
//! time, so that growth moves a few thousand numbers at most at a million leases, and nobody waits for it.

use hashbrown::HashTable;

const TABLES: usize = 256;

/// Numbers of entries by hash.
pub(super) struct Index(Box<[HashTable<u32>]>);

impl Index {
    /// An empty index with room for so many numbers.
    pub(super) fn new(count: usize) -> Self {
        Self((0..TABLES).map(|_| HashTable::with_capacity(count.div_ceil(TABLES))).collect())
    }

    /// The number with this hash of which `is_it` says that it is the one.
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.0[table_of(hash)].find(hash, |number| is_it(*number)).copied()
    }

    /// Adds a number that is not there yet; `hash_of` gives the hash of any number in the index.
    pub(super) fn insert(&mut self, hash: u64, number: u32, hash_of: impl Fn(u32) -> u64) {
        self.0[table_of(hash)].insert_unique(hash, number, |number| hash_of(*number));
    }

    pub(super) fn remove(&mut self, hash: u64, number: u32) {
        if let Ok(found) = self.0[table_of(hash)].find_entry(hash, |known| *known == number) {
            found.remove();
        }
    }
}

/// The table takes bits that hashbrown looks at last: it places by the lowest, and tells apart by the highest.
fn table_of(hash: u64) -> usize {
    (hash >> 40) as usize % TABLES
}
