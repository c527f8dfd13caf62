//! The table of all names: a seeded hash picks a shard, the shard has the entry.
//!
//! 64 groups of 64 chunks of 16 shards; groups, chunks and the octets of shards stand behind an `Arc` each. A change
//! copies the list of groups, the groups, chunks and shards that it touches, and nothing else: so a change of one name
//! counts up 144 pointers, and one of a thousand names at most 4,096 and 16 for each. Everything else is shared with
//! the table before it. Readers hold a table through its view and see it whole for as long as they do. The seed is
//! drawn when the first table is made, so that nobody can choose names that fall into one shard.

use std::hash::{BuildHasher, Hasher};
use std::hint::black_box;
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::shard::{Entry, Shard};
use super::size::{self, Size};
use super::spare::Spare;

const GROUPS: usize = 64;
const CHUNKS: usize = 64;
const SHARDS: usize = 16;
/// Shards of a table.
pub(crate) const ALL_SHARDS: usize = GROUPS * CHUNKS * SHARDS;
/// Names that [`Table::locate`] looks up together: a batch of queries.
pub const TOGETHER: usize = 64;
/// Names for which less room is prepared: what comes to a quiet server at once.
pub const FEW: usize = 8;

type Chunk = Arc<[Shard]>;
type Group = Arc<[Chunk]>;

/// Names and their entries.
#[derive(Debug, Clone)]
pub struct Table {
    groups: Arc<[Group]>,
    hasher: FixedState,
    names: usize,
    /// Octets that the allocator gave for the shards.
    octets: usize,
}

/// Where a name lives: shard number and tag within the shard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Slot {
    pub(crate) shard: u16,
    pub(crate) tag: u16,
}

/// A lookup under way: a shard, the tag in it, and where the first entry with that tag begins.
type Lookup<'v> = (&'v Shard, u16, u32);

/// What a lookup found.
#[derive(Clone, Copy, Default)]
pub struct Located<'v> {
    /// The entry of the name, if there is one.
    pub entry: Option<Entry<'v>>,
    /// A number that differs between names, as long as the seed is the same.
    pub hash: u32,
}

/// Where an entry stands in one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    shard: u16,
    offset: u32,
}

impl Slot {
    pub(crate) fn number(self) -> u32 {
        u32::from(self.shard) << 16 | u32::from(self.tag)
    }
}

impl Table {
    /// A table without names; `seed` should be random.
    pub fn empty(seed: u64) -> Self {
        let chunk: Chunk = vec![Shard::empty(); SHARDS].into();
        let group: Group = vec![chunk; CHUNKS].into();
        Self { groups: vec![group; GROUPS].into(), hasher: FixedState::with_seed(seed), names: 0, octets: 0 }
    }

    /// The entry of a whole, lower-case name.
    pub fn find(&self, name: &[u8]) -> Option<Entry<'_>> {
        let slot = self.slot(name);
        self.shard(slot).find(slot.tag, name)
    }

    /// Looks up several whole, lower-case names together, [`TOGETHER`] of them at most, and writes what it finds of
    /// each into `located`.
    ///
    /// A lookup reads a shard, a slot and an entry, and each of them says where the next one is. Every loop reads one
    /// of them for all names: its turns are short and do not depend on each other, so the processor waits for many at
    /// the same time.
    pub fn locate<'v>(&'v self, names: &[&[u8]], located: &mut [Located<'v>]) {
        let nowhere = (&self.groups[0][0][0], 0, 0);
        match names.len() {
            ..=FEW => self.locate_with(&mut [nowhere; FEW], names, located),
            _ => self.locate_with(&mut [nowhere; TOGETHER], names, located),
        }
    }

    fn locate_with<'v>(&'v self, lookups: &mut [Lookup<'v>], names: &[&[u8]], located: &mut [Located<'v>]) {
        let lookups = &mut lookups[..names.len()];
        let located = &mut located[..names.len()];
        let mut read = 0;
        for ((lookup, located), name) in lookups.iter_mut().zip(&mut *located).zip(names) {
            let slot = self.slot(name);
            *lookup = (self.shard(slot), slot.tag, 0);
            located.hash = slot.number();
            read ^= lookup.0.slot_count();
        }
        for (shard, tag, offset) in lookups.iter_mut() {
            *offset = shard.first_offset(*tag);
        }
        for (shard, _, offset) in lookups.iter() {
            read ^= u32::from(shard.touch_entry(*offset));
        }
        black_box(read);
        for (((shard, tag, _), located), name) in lookups.iter().zip(located).zip(names) {
            located.entry = shard.find(*tag, name);
        }
    }

    /// Reads what edits of these names will read first, as [`Self::locate`] does it for lookups.
    pub(crate) fn touch(&self, slots: &[Slot]) {
        let mut read = 0;
        slots.iter().for_each(|slot| read ^= self.shard(*slot).slot_count());
        slots.iter().for_each(|slot| read ^= self.shard(*slot).first_offset(slot.tag));
        for slot in slots {
            let shard = self.shard(*slot);
            read ^= u32::from(shard.touch_entry(shard.first_offset(slot.tag)));
        }
        black_box(read);
    }

    /// What [`Located::hash`] is for a name.
    pub fn hash(&self, name: &[u8]) -> u32 {
        self.slot(name).number()
    }

    /// How many names there are, empty non-terminals included.
    pub fn names(&self) -> usize {
        self.names
    }

    /// Octets of memory that the shards take; known without a look at them. Sets that are too large to stand in their
    /// shard come on top.
    pub fn octets(&self) -> usize {
        self.octets
    }

    /// Every entry and where it stands, in no order.
    pub fn entries(&self) -> impl Iterator<Item = (Position, Entry<'_>)> {
        let chunks = self.groups.iter().flat_map(|group| group.iter());
        chunks.flat_map(|chunk| chunk.iter()).enumerate().flat_map(|(number, shard)| {
            let position = move |offset| Position { shard: number as u16, offset };
            shard.entries().map(move |(offset, entry)| (position(offset), entry))
        })
    }

    /// The entry at a position of this very table.
    pub fn at(&self, position: Position) -> Entry<'_> {
        self.shard(Slot { shard: position.shard, tag: 0 }).entry_at(position.offset as usize)
    }

    /// Octets of the table, by part. It looks at every entry.
    pub fn size(&self) -> Size {
        let groups = distinct(self.groups.iter());
        let chunks = distinct(groups.iter().flat_map(|group| group.iter()));
        let lists = groups.iter().map(|group| block(group)).chain(chunks.iter().map(|chunk| block(chunk)));
        let shards = block(&self.groups) + lists.sum::<usize>();
        let all = chunks.iter().flat_map(|chunk| chunk.iter()).map(Shard::size).sum::<Size>();
        all + Size { shards, ..Size::default() }
    }

    /// Where a name lives.
    pub(crate) fn slot(&self, name: &[u8]) -> Slot {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(name);
        let hash = hasher.finish();
        Slot { shard: (hash >> (64 - ALL_SHARDS.ilog2())) as u16, tag: hash as u16 }
    }

    /// The seeded hash, for tables of names beside this one.
    pub(crate) fn hasher(&self) -> FixedState {
        self.hasher.clone()
    }

    pub(crate) fn shard(&self, slot: Slot) -> &Shard {
        let (group, chunk, shard) = place(slot.shard);
        &self.groups[group][chunk][shard]
    }

    /// The same table with some shards replaced, as [`Self::put`] does it.
    pub(crate) fn with_shards(&self, shards: impl Iterator<Item = (u16, Shard)>, grown: isize) -> Self {
        let mut next = self.clone();
        next.put(shards, grown, &mut Spare::default());
        next
    }

    /// Replaces some shards; `grown` is by how many names the table grows. What no other table shares is changed in
    /// place.
    pub(crate) fn put(&mut self, shards: impl Iterator<Item = (u16, Shard)>, grown: isize, spare: &mut Spare) {
        let groups = Arc::make_mut(&mut self.groups);
        for (number, shard) in shards {
            let (group, chunk, at) = place(number);
            let group = &mut groups[group];
            // Counting up waits for each counter in turn; looking at them first waits for all at the same time.
            if Arc::strong_count(group) > 1 {
                group.iter().for_each(|chunk| _ = black_box(Arc::strong_count(chunk)));
            }
            let chunk = &mut Arc::make_mut(group)[chunk];
            if Arc::strong_count(chunk) > 1 {
                chunk.iter().for_each(Shard::touch_counter);
            }
            let place = &mut Arc::make_mut(chunk)[at];
            self.octets = self.octets + shard.block() - place.block();
            spare.keep(std::mem::replace(place, shard).into_octets());
        }
        self.names = self.names.checked_add_signed(grown).unwrap_or_default();
    }
}

/// What nobody else has goes with the table, and all that it holds is counted down. That waits for each counter in
/// turn; looking at them first waits for all at the same time.
impl Drop for Table {
    fn drop(&mut self) {
        if Arc::strong_count(&self.groups) > 1 {
            return;
        }
        for group in self.groups.iter().filter(|group| Arc::strong_count(group) == 1) {
            for chunk in group.iter().filter(|chunk| Arc::strong_count(chunk) == 1) {
                chunk.iter().for_each(Shard::touch_counter);
            }
        }
    }
}

/// Group, chunk within it, and shard within that.
fn place(shard: u16) -> (usize, usize, usize) {
    let shard = usize::from(shard);
    (shard / (CHUNKS * SHARDS), shard / SHARDS % CHUNKS, shard % SHARDS)
}

/// Each of several shared lists once.
fn distinct<'l, T: 'l>(lists: impl Iterator<Item = &'l Arc<[T]>>) -> Vec<&'l Arc<[T]>> {
    let mut distinct: Vec<&Arc<[T]>> = lists.collect();
    distinct.sort_unstable_by_key(|list| list.as_ptr());
    distinct.dedup_by(|one, other| Arc::ptr_eq(one, other));
    distinct
}

/// Octets of a list, with what the allocator takes beside it.
fn block<T>(list: &[T]) -> usize {
    size_of_val(list) + size::overhead(size_of_val(list))
}
