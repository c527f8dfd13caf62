//! One shard of the table: a packed, immutable run of octets.
//!
//! ```text
//! shard   0 | entries | slots | padding of less than a slot
//! slot    tag u16 | offset of the entry u16, or u32 when the entries are longer than 64 KiB (0: free)
//! ```
//!
//! All numbers are little-endian; [`super::entry`] has the layout of entries. The tag of a name says which slot a
//! lookup tries first (the tag's part of all tags is the slot's part of all slots), so slots are laid out anew without
//! a look at the names, and a shard has as many as it needs and not a power of two; a few more bring it to a length
//! that many shards have ([`super::spare`]). A body that is too large to stand among the entries, and every large set,
//! lives in the shard's list of large bodies, whose places stay when the shard is rebuilt. Nothing in an entry depends
//! on where it stands, so rebuilding a shard copies the runs between the entries that changed. A shard has some
//! thousands of octets in practice: a table has 65,536 of them.

use std::hint::black_box;
use std::sync::Arc;

pub use super::entry::Entry;
pub(crate) use super::entry::{APEX, CUT, KNOWN, OCCLUDED, STATIC, WILDCARD};
pub(crate) use super::pack::Facts;

use super::large::Outside;
use super::pack::{EntryPacker, Large};
use super::rrset::RrSet;
use super::size::{Size, overhead};

/// Octets that the processor reads at once.
pub(super) const LINE: usize = 64;
/// Octets of a slot when offsets are short.
pub(super) const NARROW: usize = 4;
/// Octets of a slot when they are long.
pub(super) const WIDE: usize = 6;

/// A shard: one allocation, and large bodies if there are any.
#[derive(Debug, Clone)]
pub(crate) struct Shard {
    pub(super) octets: Arc<[u8]>,
    pub(super) large: Option<Arc<Large>>,
    /// How many slots there are.
    pub(super) slots: u32,
    pub(super) wide: bool,
    /// Octets behind the slots.
    pub(super) padding: u16,
}

impl Shard {
    /// A shard without entries.
    pub(crate) fn empty() -> Self {
        Self { octets: Arc::default(), large: None, slots: 0, wide: false, padding: 0 }
    }

    /// The entry of that whole, lower-case name.
    pub(crate) fn find(&self, tag: u16, name: &[u8]) -> Option<Entry<'_>> {
        self.find_offset(tag, name).map(|offset| self.entry_at(offset as usize))
    }

    /// Where the entry of that name stands.
    pub(crate) fn find_offset(&self, tag: u16, name: &[u8]) -> Option<u32> {
        let slots = self.slots();
        let mut slot = self.first_slot(tag);
        loop {
            let (found, offset) = slots.get(slot)?;
            if offset == 0 {
                return None;
            }
            if found == tag && self.entry_at(offset as usize).name() == name {
                return Some(offset);
            }
            slot = if slot + 1 == self.slots { 0 } else { slot + 1 };
        }
    }

    /// How many slots it has.
    pub(crate) fn slot_count(&self) -> u32 {
        self.slots
    }

    /// Reads how many tables share it, which whoever copies it counts up.
    pub(crate) fn touch_counter(&self) {
        black_box(Arc::strong_count(&self.octets));
    }

    /// Where the entry is that a lookup of the tag looks at first; 0 if there is none.
    pub(crate) fn first_offset(&self, tag: u16) -> u32 {
        self.slots().get(self.first_slot(tag)).map_or(0, |(_, offset)| offset)
    }

    /// Reads the first two cache lines of an entry, or of what stands behind it.
    pub(crate) fn touch_entry(&self, offset: u32) -> u8 {
        let line = |at: usize| self.octets.get(at).copied().unwrap_or_default();
        line(offset as usize) ^ line(offset as usize + LINE)
    }

    /// Every entry with its offset, in no order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (u32, Entry<'_>)> {
        self.slots().taken().map(|(_, offset)| (offset, self.entry_at(offset as usize)))
    }

    /// The entry at an offset that [`Self::entries`] gave.
    pub(crate) fn entry_at(&self, offset: usize) -> Entry<'_> {
        let large = self.large.as_ref().map_or(&[][..], |large| large.as_slice());
        Entry::new(&self.octets[offset..], large)
    }

    /// Octets that the allocator gave for it, without its large bodies.
    pub(crate) fn block(&self) -> usize {
        if self.octets.is_empty() { 0 } else { self.octets.len() + overhead(self.octets.len()) }
    }

    /// What it holds.
    pub(crate) fn size(&self) -> Size {
        let slots = self.octets.len() - self.entries_len();
        let mut size = Size { slots, names: self.entries_len(), ..Size::default() };
        size.shards = self.block() - self.octets.len();
        for (_, entry) in self.entries() {
            let (_, bodies) = entry.bodies();
            size.names -= bodies;
            size.bodies += bodies;
        }
        let large = self.large.iter().flat_map(|large| large.iter().flatten());
        size.large = large.map(Outside::size).sum();
        size
    }

    fn slot_size(&self) -> usize {
        if self.wide { WIDE } else { NARROW }
    }

    fn first_slot(&self, tag: u16) -> u32 {
        first_slot(tag, self.slots)
    }

    pub(super) fn slots(&self) -> Slots<'_> {
        Slots { octets: &self.octets[self.entries_len()..], wide: self.wide }
    }

    /// Octets of the entries, with the one before them.
    pub(super) fn entries_len(&self) -> usize {
        self.octets.len() - self.slots as usize * self.slot_size() - usize::from(self.padding)
    }

    /// Its octets, which older tables may share.
    pub(crate) fn into_octets(self) -> Arc<[u8]> {
        self.octets
    }
}

/// The slots of a shard.
#[derive(Clone, Copy)]
pub(super) struct Slots<'v> {
    octets: &'v [u8],
    wide: bool,
}

impl<'v> Slots<'v> {
    /// Tag and offset in a slot; `None` behind the last one.
    fn get(self, slot: u32) -> Option<(u16, u32)> {
        if self.wide {
            let [a, b, offset @ ..] = self.octets.get(slot as usize * WIDE..)?.first_chunk::<WIDE>()?;
            return Some((u16::from_le_bytes([*a, *b]), u32::from_le_bytes(*offset)));
        }
        let [a, b, c, d] = *self.octets.get(slot as usize * NARROW..)?.first_chunk::<NARROW>()?;
        Some((u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]).into()))
    }

    /// Those that are not free.
    pub(super) fn taken(self) -> impl Iterator<Item = (u16, u32)> + use<'v> {
        (0..).map_while(move |slot| self.get(slot)).filter(|(_, offset)| *offset != 0)
    }
}

/// The slot that a lookup of the tag tries first.
pub(super) fn first_slot(tag: u16, slots: u32) -> u32 {
    ((u64::from(tag) * u64::from(slots)) >> 16) as u32
}

/// Builds one shard after the other, as small as they can be, because nothing has been changed in them yet; those that
/// replace others are made by [`super::patch`].
#[derive(Default)]
pub(crate) struct ShardBuilder {
    /// One octet, and the entries.
    octets: Vec<u8>,
    entries: Vec<(u16, u32)>,
    large: Large,
}

impl ShardBuilder {
    /// Forgets every entry and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.octets.clear();
        self.entries.clear();
        self.large.clear();
    }

    /// The octets of the entries so far; `None` if one of them has a large body.
    pub(crate) fn encoded(&self) -> Option<&[u8]> {
        self.octets.get(1..).filter(|_| self.large.is_empty())
    }

    /// Adds an entry that another builder encoded.
    pub(crate) fn push_encoded(&mut self, tag: u16, octets: &[u8]) {
        if self.octets.is_empty() {
            self.octets.push(0);
        }
        self.entries.push((tag, self.octets.len() as u32));
        self.octets.extend_from_slice(octets);
    }

    /// Names that were added more than once: the shard must not be built.
    pub(crate) fn twins(&self) -> Vec<Box<[u8]>> {
        let mut entries = self.entries.clone();
        entries.sort_unstable();
        let name = |(_, start): &(u16, u32)| Entry::new(&self.octets[*start as usize..], &[]).name();
        let mut twins = Vec::new();
        for alike in entries.chunk_by(|a, b| a.0 == b.0).filter(|alike| alike.len() > 1) {
            let mut names: Vec<&[u8]> = alike.iter().map(name).collect();
            names.sort_unstable();
            twins.extend(names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0].into()));
        }
        twins
    }

    /// Takes over all entries of a shard; it must be the first.
    pub(crate) fn copy(&mut self, base: &Shard) {
        debug_assert!(self.octets.is_empty());
        self.large.extend(base.large.iter().flat_map(|large| large.iter().cloned()));
        self.octets.extend_from_slice(&base.octets[..base.entries_len()]);
        self.entries.extend(base.slots().taken());
    }

    /// Adds an entry with these sets, and these of signatures. A set of one record is stored as
    /// [`super::rrset::Body::One`], whichever way it is given.
    pub(crate) fn push(
        &mut self,
        tag: u16,
        name: &[u8],
        facts: Facts<'_>,
        (sets, signatures): (&[RrSet<'_>], &[RrSet<'_>]),
    ) {
        if self.octets.is_empty() {
            self.octets.push(0);
        }
        self.entries.push((tag, self.octets.len() as u32));
        EntryPacker { out: &mut self.octets, large: &mut self.large }.entry(name, facts, sets, signatures);
    }

    /// Lays out the slots and makes the shard; the builder is empty then.
    pub(crate) fn build(&mut self) -> Shard {
        let mut built = Shard::empty();
        if !self.entries.is_empty() {
            built.wide = self.octets.len() > usize::from(u16::MAX);
            built.slots = slots_for(self.entries.len()) as u32;
            let start = self.octets.len();
            self.octets.resize(start + built.slots as usize * built.slot_size(), 0);
            match built.wide {
                true => write_slots::<WIDE>(&mut self.octets[start..], &self.entries),
                false => write_slots::<NARROW>(&mut self.octets[start..], &self.entries),
            }
            built.octets = self.octets.as_slice().into();
            let large = self.large.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
            built.large = (large > 0).then(|| Arc::new(self.large.drain(..large).collect()));
        }
        self.clear();
        built
    }
}

/// Puts every entry into the first free slot from the one of its tag on; all slots are free.
pub(super) fn write_slots<const WIDTH: usize>(slots: &mut [u8], entries: &[(u16, u32)]) {
    let (slots, _) = slots.as_chunks_mut::<WIDTH>();
    for (tag, offset) in entries {
        let mut slot = first_slot(*tag, slots.len() as u32) as usize;
        while slots[slot][2..].iter().any(|octet| *octet != 0) {
            slot = if slot + 1 == slots.len() { 0 } else { slot + 1 };
        }
        slots[slot][..2].copy_from_slice(&tag.to_le_bytes());
        slots[slot][2..].copy_from_slice(&offset.to_le_bytes()[..WIDTH - 2]);
    }
}

/// Slots of a shard with so many entries: seven of ten are taken at most, and one is free.
pub(super) fn slots_for(entries: usize) -> usize {
    entries * 10 / 7 + 1
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::Rtype;
    use crate::view::rrset::{Body, RrSetBuf};

    pub(in crate::view) const NAME: &[u8] = b"\x01a\x07example\x00";
    pub(in crate::view) const OTHER: &[u8] = b"\x01b\x00";

    /// What an entry is made of.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    pub(in crate::view) struct Content {
        pub(in crate::view) zone: u16,
        pub(in crate::view) flags: u8,
        pub(in crate::view) children: u32,
        pub(in crate::view) note: String,
        pub(in crate::view) sets: Vec<RrSetBuf>,
        pub(in crate::view) signatures: Vec<RrSetBuf>,
    }

    impl Content {
        pub(in crate::view) fn of(entry: &Entry<'_>) -> Self {
            let Facts { zone, flags, children, note } = entry.facts();
            let sets = entry.sets().map(RrSetBuf::from).collect();
            let signatures = entry.all_signatures().map(RrSetBuf::from).collect();
            Self { zone, flags, children, note: note.into(), sets, signatures }
        }
    }

    pub(in crate::view) fn push(builder: &mut ShardBuilder, tag: u16, name: &[u8], content: &Content) {
        let Content { zone, flags, children, .. } = *content;
        let facts = Facts { zone, flags, children, note: &content.note };
        let sets: Vec<_> = content.sets.iter().map(|set| set.as_set(name)).collect();
        let signatures: Vec<_> = content.signatures.iter().map(|set| set.as_set(name)).collect();
        builder.push(tag, name, facts, (&sets, &signatures));
    }

    /// A set of one record with as much data; a signature over TXT if the type is RRSIG.
    pub(in crate::view) fn set(rtype: Rtype, length: usize) -> RrSetBuf {
        let mut rdata = vec![0; length];
        rdata[..2].copy_from_slice(&Rtype::TXT.0.to_be_bytes());
        let mut set = RrSetBuf::new(rtype);
        set.push(300, &rdata);
        set
    }

    #[test]
    fn every_number_of_an_entry_comes_back_whatever_its_width() {
        for zone in [0, 2, 3, 700] {
            for children in [0, 1, 255, 256, 65_536] {
                for count in [0, 6, 7, 200] {
                    let sets = (0..count).map(|number| set(Rtype(1000 + number), 2)).collect();
                    let content = Content { zone, children, flags: STATIC | APEX, sets, ..Content::default() };
                    let mut builder = ShardBuilder::default();
                    push(&mut builder, 9, NAME, &content);
                    let shard = builder.build();
                    let entry = shard.find(9, NAME).expect("it was added");
                    assert_eq!(Content::of(&entry), content);
                    assert_eq!(1 + entry.size(), shard.entries_len());
                    assert_eq!(entry.is_empty(), count == 0);
                    assert!((0..count).all(|number| entry.set(Rtype(1000 + number)).is_some()));
                }
            }
        }
    }

    #[test]
    fn a_set_of_one_record_has_no_head() {
        let mut builder = ShardBuilder::default();
        let sets = vec![set(Rtype::A, 4), set(Rtype::TXT, 9)];
        push(&mut builder, 1, NAME, &Content { sets, ..Content::default() });
        let shard = builder.build();
        let entry = shard.find(1, NAME).expect("it was added");
        assert!(entry.sets().all(|set| matches!(set.body, Body::One { ttl: 300, .. })));
        assert_eq!(entry.size(), 3 + NAME.len() + 2 * 4 + 4 + 9);
    }
}
