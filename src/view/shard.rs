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
use super::size::{Size, filled, overhead};
use super::spare::Spare;

/// Octets that the processor reads at once.
pub(super) const LINE: usize = 64;
/// Octets of a slot when offsets are short.
const NARROW: usize = 4;
/// Octets of a slot when they are long.
const WIDE: usize = 6;

/// A shard: one allocation, and large bodies if there are any.
#[derive(Debug, Clone)]
pub(crate) struct Shard {
    octets: Arc<[u8]>,
    large: Option<Arc<Large>>,
    /// How many slots there are.
    slots: u32,
    wide: bool,
    /// Octets behind the slots.
    padding: u8,
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

    fn slots(&self) -> Slots<'_> {
        Slots { octets: &self.octets[self.entries_len()..], wide: self.wide }
    }

    /// Octets of the entries, with the one before them.
    fn entries_len(&self) -> usize {
        self.octets.len() - self.slots as usize * self.slot_size() - usize::from(self.padding)
    }

    /// Its octets, which older tables may share.
    pub(crate) fn into_octets(self) -> Arc<[u8]> {
        self.octets
    }
}

/// The slots of a shard.
#[derive(Clone, Copy)]
struct Slots<'v> {
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
    fn taken(self) -> impl Iterator<Item = (u16, u32)> + use<'v> {
        (0..).map_while(move |slot| self.get(slot)).filter(|(_, offset)| *offset != 0)
    }
}

/// The slot that a lookup of the tag tries first.
fn first_slot(tag: u16, slots: u32) -> u32 {
    ((u64::from(tag) * u64::from(slots)) >> 16) as u32
}

/// Builds one shard after the other, from copied and new entries.
#[derive(Default)]
pub(crate) struct ShardBuilder {
    /// One octet, and the entries.
    octets: Vec<u8>,
    entries: Vec<(u16, u32)>,
    large: Large,
    /// Where the octets of shards come from.
    spare: Spare,
}

impl ShardBuilder {
    /// A builder whose shards stand in buffers that were kept, as far as there are any.
    pub(crate) fn with(spare: Spare) -> Self {
        Self { spare, ..Self::default() }
    }

    /// The buffers that are left.
    pub(crate) fn into_spare(self) -> Spare {
        self.spare
    }

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

    /// Takes over all entries of a shard but those at these offsets, which are in order.
    pub(crate) fn copy_but(&mut self, base: &Shard, removed: &[u32]) {
        debug_assert!(self.octets.is_empty() && removed.is_sorted());
        self.large.extend(base.large.iter().flat_map(|large| large.iter().cloned()));
        let mut gaps: Vec<(u32, u32)> = Vec::with_capacity(removed.len());
        let (mut from, mut gone) = (0, 0);
        self.octets.reserve(base.octets.len() + 512);
        for offset in removed {
            let entry = base.entry_at(*offset as usize);
            entry.large_places().for_each(|place| self.large[place] = None);
            self.octets.extend_from_slice(&base.octets[from..*offset as usize]);
            from = *offset as usize + entry.size();
            gone += entry.size() as u32;
            gaps.push((*offset, gone));
        }
        self.octets.extend_from_slice(&base.octets[from..base.entries_len()]);
        for (tag, offset) in base.slots().taken() {
            match gaps.partition_point(|(gap, _)| *gap <= offset).checked_sub(1).map(|gap| gaps[gap]) {
                None => self.entries.push((tag, offset)),
                Some((gap, _)) if gap == offset => {}
                Some((_, gone)) => self.entries.push((tag, offset - gone)),
            }
        }
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

    /// Lays out the slots and makes the shard, as small as it can be; the builder is empty then.
    pub(crate) fn build(&mut self) -> Shard {
        self.build_of(|needed| needed)
    }

    /// The same for a shard that replaces another and will be replaced: what is missing to the block that the allocator
    /// gives becomes slots and a few octets of padding. So shards have few lengths, and the octets of one that goes suit
    /// the next one that comes ([`super::spare`]).
    pub(crate) fn build_even(&mut self) -> Shard {
        self.build_of(filled)
    }

    /// `length` says how long a shard becomes that needs so many octets.
    fn build_of(&mut self, length: impl Fn(usize) -> usize) -> Shard {
        let mut built = Shard::empty();
        if !self.entries.is_empty() {
            built.wide = self.octets.len() > usize::from(u16::MAX);
            let least = self.octets.len() + slots_for(self.entries.len()) * built.slot_size();
            let room = length(least) - self.octets.len();
            (built.slots, built.padding) = ((room / built.slot_size()) as u32, (room % built.slot_size()) as u8);
            match built.wide {
                true => self.write_slots::<WIDE>(built.slots),
                false => self.write_slots::<NARROW>(built.slots),
            }
            self.octets.resize(self.octets.len() + usize::from(built.padding), 0);
            built.octets = self.spare.copy(&self.octets);
            let large = self.large.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
            built.large = (large > 0).then(|| Arc::new(self.large.drain(..large).collect()));
        }
        self.clear();
        built
    }

    /// Puts every entry into the first free slot from the one of its tag on.
    fn write_slots<const WIDTH: usize>(&mut self, count: u32) {
        let start = self.octets.len();
        self.octets.resize(start + count as usize * WIDTH, 0);
        let (slots, _) = self.octets[start..].as_chunks_mut::<WIDTH>();
        for (tag, offset) in &self.entries {
            let mut slot = first_slot(*tag, count) as usize;
            while slots[slot][2..].iter().any(|octet| *octet != 0) {
                slot = if slot + 1 == slots.len() { 0 } else { slot + 1 };
            }
            slots[slot][..2].copy_from_slice(&tag.to_le_bytes());
            slots[slot][2..].copy_from_slice(&offset.to_le_bytes()[..WIDTH - 2]);
        }
    }
}

/// Slots of a shard with so many entries: seven of ten are taken at most, and one is free.
fn slots_for(entries: usize) -> usize {
    entries * 10 / 7 + 1
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::Rtype;
    use crate::view::pack::LARGE;
    use crate::view::rrset::{Body, RrSetBuf};

    const NAME: &[u8] = b"\x01a\x07example\x00";
    const OTHER: &[u8] = b"\x01b\x00";

    /// What an entry is made of.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    struct Content {
        zone: u16,
        flags: u8,
        children: u32,
        note: String,
        sets: Vec<RrSetBuf>,
        signatures: Vec<RrSetBuf>,
    }

    impl Content {
        fn of(entry: &Entry<'_>) -> Self {
            let Facts { zone, flags, children, note } = entry.facts();
            let sets = entry.sets().map(RrSetBuf::from).collect();
            let signatures = entry.all_signatures().map(RrSetBuf::from).collect();
            Self { zone, flags, children, note: note.into(), sets, signatures }
        }
    }

    fn push(builder: &mut ShardBuilder, tag: u16, name: &[u8], content: &Content) {
        let Content { zone, flags, children, .. } = *content;
        let facts = Facts { zone, flags, children, note: &content.note };
        let sets: Vec<_> = content.sets.iter().map(|set| set.as_set(name)).collect();
        let signatures: Vec<_> = content.signatures.iter().map(|set| set.as_set(name)).collect();
        builder.push(tag, name, facts, (&sets, &signatures));
    }

    /// A set of one record with as much data; a signature over TXT if the type is RRSIG.
    fn set(rtype: Rtype, length: usize) -> RrSetBuf {
        let mut rdata = vec![0; length];
        rdata[..2].copy_from_slice(&Rtype::TXT.0.to_be_bytes());
        let mut set = RrSetBuf::new(rtype);
        set.push(300, &rdata);
        set
    }

    #[test]
    fn signatures_stand_beside_their_set_and_survive_a_copy_wherever_they_are() {
        let large = LARGE + 1;
        for (text, signature) in [(10, 20), (large, 20), (10, large), (large, large)] {
            let (sets, signatures) = (vec![set(Rtype::TXT, text)], vec![set(Rtype::RRSIG, signature)]);
            let content = Content { sets, signatures, note: "a note".into(), ..Content::default() };
            let other = Content { sets: vec![set(Rtype::A, large)], ..Content::default() };
            let mut builder = ShardBuilder::default();
            push(&mut builder, 6, OTHER, &other);
            push(&mut builder, 7, NAME, &content);
            let built = builder.build();
            builder.copy_but(&built, &[]);
            let copied = builder.build();
            builder.copy_but(&built, &[built.find_offset(6, OTHER).expect("it was added")]);
            push(&mut builder, 6, OTHER, &other);
            for shard in [built, copied, builder.build()] {
                let entry = shard.find(7, NAME).expect("it was added");
                assert_eq!(Content::of(&entry), content);
                assert_eq!(entry.sets().count(), 1);
                assert!(entry.set(Rtype::RRSIG).is_none() && entry.signatures(Rtype::A).is_none());
                let signatures = entry.signatures(Rtype::TXT).expect("it was added");
                assert_eq!((signatures.rtype, signatures.records().count()), (Rtype::RRSIG, 1));
                let entry = shard.find(6, OTHER).expect("it was added");
                assert!(!entry.is_signed());
                assert_eq!(Content::of(&entry), other);
                let places = shard.large.iter().map(|large| large.len()).sum::<usize>();
                assert_eq!(
                    places,
                    1 + usize::from(text == large) + usize::from(signature == large),
                    "places are used again"
                );
            }
        }
    }

    #[test]
    fn shards_that_replace_others_have_few_lengths_and_little_to_spare() {
        let (mut shard, mut builder, mut lengths) = (Shard::empty(), ShardBuilder::default(), BTreeSet::new());
        for number in 0..1500_u16 {
            let text = format!("\x05{number:05}\x00").into_bytes();
            builder.copy_but(&shard, &[]);
            let content = Content { sets: vec![set(Rtype::TXT, 40)], ..Content::default() };
            push(&mut builder, number.wrapping_mul(40_503), &text, &content);
            shard = builder.build_even();
            builder.copy_but(&shard, &[]);
            let smallest = builder.build();
            let spare = shard.octets.len() - smallest.octets.len();
            assert!(spare <= 16 || spare <= shard.block() / 5, "{spare} of {}", shard.block());
            lengths.insert(shard.block());
            assert_eq!(shard.entries().count(), usize::from(number) + 1);
        }
        assert!(shard.wide, "{}", shard.octets.len());
        assert!((0..1500_u16).all(|number| {
            let text = format!("\x05{number:05}\x00").into_bytes();
            shard.find(number.wrapping_mul(40_503), &text).is_some_and(|entry| entry.name() == text)
        }));
        assert!(lengths.len() < 8 + 4 * 11, "{lengths:?}");
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

    /// Entries come and go at random; names share tags, and the shard becomes too long for short offsets and short
    /// again.
    #[test]
    fn copies_without_some_entries_are_what_building_anew_gives() {
        let mut random = 7u32;
        let mut next = move |below: u32| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 16) % below
        };
        let name = |number: u32| [b"\x04".as_slice(), &number.to_be_bytes(), b"\0"].concat();
        let tag = |number: u32| (number / 3 * 977) as u16;
        let mut known = std::collections::BTreeMap::new();
        let (mut builder, mut shard) = (ShardBuilder::default(), Shard::empty());
        let mut was_wide = false;
        for round in 0..300 {
            let most = if round < 150 { 400 } else { 60 };
            let edits: std::collections::BTreeSet<u32> = (0..8).map(|_| next(most)).collect();
            let gone = (most..400).filter(|number| *number % 100 == round % 100);
            let edits: std::collections::BTreeSet<u32> = edits.into_iter().chain(gone).collect();
            let mut removed: Vec<u32> =
                edits.iter().filter_map(|number| shard.find_offset(tag(*number), &name(*number))).collect();
            removed.sort_unstable();
            builder.copy_but(&shard, &removed);
            for number in edits {
                if number >= most || next(3) == 0 {
                    known.remove(&number);
                    continue;
                }
                let sets = vec![set(Rtype::TXT, 2 + next(600) as usize)];
                let content = Content { sets, children: next(300), ..Content::default() };
                push(&mut builder, tag(number), &name(number), &content);
                known.insert(number, content);
            }
            shard = builder.build();
            was_wide |= shard.wide;
            assert_eq!(shard.entries().count(), known.len());
            for number in 0..400 {
                let found = shard.find(tag(number), &name(number)).map(|entry| Content::of(&entry));
                assert_eq!(found.as_ref(), known.get(&number), "round {round}");
            }
        }
        assert!(was_wide && !shard.wide);
    }
}
