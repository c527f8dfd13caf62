//! One shard of the table: a packed, immutable run of octets.
//!
//! ```text
//! shard   slot count u32 | entry count u32 | slots | entries
//! slot    hash tag u32 | offset of the entry u32 (0: free)
//! entry   length u32 | children u32 | zone u16 | flags u8 | name length u8 | sets u16 | note length u16
//!         name | note | directory | signature count u16, directory of signatures (if there are any) | bodies
//! set     type u16 | flags u16 | count u32 | additional count u32 | answer length u32 | additional length u32 | at u32
//! ```
//!
//! A set of signatures stands in the directory under the type that it covers. All numbers are little-endian. A body is
//! the answer section followed by the additional section of the set; `at` is its offset in the entry. A body of more
//! than [`LARGE`] octets lives outside, in the shard's list of large bodies, and `at` is its place there, so that a
//! change beside it does not copy it. An entry knows no offset outside itself, so an unchanged entry is copied whole
//! when its shard is rebuilt. A shard has at most half a million octets of entries in practice: a table has 16,384 of
//! them.

use std::hint::black_box;
use std::sync::Arc;

use super::large::Outside;
use super::rrset::{Body, RrSet, RrSetBuf};
use crate::model::Rtype;

/// Bodies longer than this live outside their shard.
pub(crate) const LARGE: usize = 4096;

const SHARD_HEAD: usize = 8;
const SLOT: usize = 8;
const ENTRY_HEAD: usize = 16;
const SET_HEAD: usize = 24;

/// Static records stand at this name: registrations do not publish here.
pub(crate) const STATIC: u8 = 1;
/// A known service nobody serves: the name exists although it may have no record.
pub(crate) const KNOWN: u8 = 2;
/// A delegation away from us (RFC 1034 section 4.2.1).
pub(crate) const CUT: u8 = 4;
/// Below a delegation or DNAME: not ours to answer.
pub(crate) const OCCLUDED: u8 = 8;
/// A wildcard stands right below (RFC 4592).
pub(crate) const WILDCARD: u8 = 16;
/// One of the bodies lives outside.
const HAS_LARGE: u8 = 32;
/// The apex of its zone.
pub(crate) const APEX: u8 = 64;

/// Signatures stand at this name.
const SIGNED: u8 = 128;

const SET_LARGE: u16 = 0x8000;
/// The set is signatures; its type in the directory is the type that they cover.
const SIGNATURES: u16 = 0x4000;

/// A shard: one allocation, and large bodies if there are any.
#[derive(Debug, Clone)]
pub(crate) struct Shard {
    octets: Arc<[u8]>,
    large: Option<Arc<Vec<Outside>>>,
}

/// A name in the table and everything it owns.
#[derive(Clone, Copy)]
pub struct Entry<'v> {
    octets: &'v [u8],
    large: &'v [Outside],
}

impl Shard {
    /// A shard without entries.
    pub(crate) fn empty() -> Self {
        Self { octets: Arc::from([0u8; SHARD_HEAD].as_slice()), large: None }
    }

    /// The entry of that whole, lower-case name.
    pub(crate) fn find(&self, tag: u32, name: &[u8]) -> Option<Entry<'_>> {
        let mask = u32_le(&self.octets, 0).wrapping_sub(1);
        if mask == u32::MAX {
            return None;
        }
        let mut slot = tag & mask;
        loop {
            let at = SHARD_HEAD + slot as usize * SLOT;
            let offset = u32_le(&self.octets, at + 4) as usize;
            if offset == 0 {
                return None;
            }
            if u32_le(&self.octets, at) == tag {
                let entry = self.entry_at(offset);
                if entry.name() == name {
                    return Some(entry);
                }
            }
            slot = (slot + 1) & mask;
        }
    }

    /// Reads what a lookup reads first: how many slots there are.
    pub(crate) fn touch_head(&self, _tag: u32) {
        black_box(self.octets[0]);
    }

    /// Reads the slot that a lookup of the tag tries first.
    pub(crate) fn touch_slot(&self, tag: u32) {
        black_box(self.first_offset(tag));
    }

    /// Reads the entry that a lookup of the tag finds first.
    pub(crate) fn touch_entry(&self, tag: u32) {
        if let Some(offset) = self.first_offset(tag) {
            black_box(self.octets[offset]);
        }
    }

    /// What stands in the slot that a lookup of the tag tries first.
    fn first_offset(&self, tag: u32) -> Option<usize> {
        let mask = u32_le(&self.octets, 0).checked_sub(1)?;
        Some(u32_le(&self.octets, SHARD_HEAD + (tag & mask) as usize * SLOT + 4) as usize)
    }

    /// Every entry with its tag and offset, in no order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (u32, u32, Entry<'_>)> {
        let slots = u32_le(&self.octets, 0) as usize;
        (0..slots).filter_map(move |slot| {
            let at = SHARD_HEAD + slot * SLOT;
            let offset = u32_le(&self.octets, at + 4);
            (offset != 0).then(|| (u32_le(&self.octets, at), offset, self.entry_at(offset as usize)))
        })
    }

    /// Octets held by this shard itself.
    pub(crate) fn size(&self) -> usize {
        self.octets.len() + self.large.iter().flat_map(|large| large.iter()).map(Outside::size).sum::<usize>()
    }

    /// The entry at an offset that [`Self::entries`] gave.
    pub(crate) fn entry_at(&self, offset: usize) -> Entry<'_> {
        let length = u32_le(&self.octets, offset) as usize;
        Entry {
            octets: &self.octets[offset..offset + length],
            large: self.large.as_ref().map_or(&[], |large| large.as_slice()),
        }
    }
}

impl<'v> Entry<'v> {
    /// The whole, lower-case owner name.
    pub fn name(&self) -> &'v [u8] {
        &self.octets[ENTRY_HEAD..ENTRY_HEAD + self.octets[11] as usize]
    }

    /// Number of its zone in the view.
    pub fn zone(&self) -> usize {
        u16::from_le_bytes([self.octets[8], self.octets[9]]) as usize
    }

    /// Names right below it that exist.
    pub fn children(&self) -> u32 {
        u32_le(self.octets, 4)
    }

    pub(crate) fn flags(&self) -> u8 {
        self.octets[10]
    }

    /// Whether all of these flags are set.
    pub(crate) fn is(&self, flags: u8) -> bool {
        self.flags() & flags == flags
    }

    /// Why nobody serves, in words; empty if there is nothing to say.
    pub fn note(&self) -> &'v str {
        let start = ENTRY_HEAD + self.octets[11] as usize;
        let len = u16::from_le_bytes([self.octets[14], self.octets[15]]) as usize;
        std::str::from_utf8(&self.octets[start..start + len]).unwrap_or_default()
    }

    /// Whether it has no record of any type.
    pub fn is_empty(&self) -> bool {
        self.set_count() == 0
    }

    /// Whether it has neither records nor signatures.
    pub fn is_bare(&self) -> bool {
        self.is_empty() && !self.is_signed()
    }

    /// All its sets.
    pub fn sets(&self) -> impl Iterator<Item = RrSet<'v>> + use<'v> {
        let entry = *self;
        (0..entry.set_count()).map(move |index| entry.set_at(index))
    }

    /// The set of a type.
    pub fn set(&self, rtype: Rtype) -> Option<RrSet<'v>> {
        let directory = self.directory();
        (0..self.set_count())
            .find(|index| u16::from_le_bytes([directory[index * SET_HEAD], directory[index * SET_HEAD + 1]]) == rtype.0)
            .map(|index| self.set_at(index))
    }

    /// The signatures that cover its set of a type, or that would if the set did not stand elsewhere (SOA).
    pub fn signatures(&self, covered: Rtype) -> Option<RrSet<'v>> {
        let directory = self.signature_directory();
        let mut heads = directory.chunks_exact(SET_HEAD);
        heads.find(|head| u16::from_le_bytes([head[0], head[1]]) == covered.0).map(|head| self.set_of(head))
    }

    /// All its sets of signatures.
    pub fn all_signatures(&self) -> impl Iterator<Item = RrSet<'v>> + use<'v> {
        let entry = *self;
        entry.signature_directory().chunks_exact(SET_HEAD).map(move |head| entry.set_of(head))
    }

    /// Whether it has signatures.
    pub fn is_signed(&self) -> bool {
        self.is(SIGNED)
    }

    fn signature_directory(&self) -> &'v [u8] {
        if !self.is_signed() {
            return &[];
        }
        let behind = &self.directory()[self.set_count() * SET_HEAD..];
        let count = u16::from_le_bytes([behind[0], behind[1]]) as usize;
        &behind[2..2 + count * SET_HEAD]
    }

    fn set_count(&self) -> usize {
        u16::from_le_bytes([self.octets[12], self.octets[13]]) as usize
    }

    fn directory(&self) -> &'v [u8] {
        let note = u16::from_le_bytes([self.octets[14], self.octets[15]]) as usize;
        &self.octets[ENTRY_HEAD + self.octets[11] as usize + note..]
    }

    fn set_at(&self, index: usize) -> RrSet<'v> {
        self.set_of(&self.directory()[index * SET_HEAD..][..SET_HEAD])
    }

    fn set_of(&self, head: &[u8]) -> RrSet<'v> {
        let flags = u16::from_le_bytes([head[2], head[3]]);
        let (answer, additional) = (u32_le(head, 12) as usize, u32_le(head, 16) as usize);
        let at = u32_le(head, 20) as usize;
        let ready = |octets: &'v [u8]| {
            let (answer, additional) = octets.split_at(answer);
            Body::Ready { answer, additional }
        };
        let body = match flags & SET_LARGE {
            0 => ready(&self.octets[at..at + answer + additional]),
            _ => match &self.large[at] {
                Outside::Octets(octets) => ready(octets),
                Outside::Set(set) => Body::Large(set),
            },
        };
        let rtype = match flags & SIGNATURES {
            0 => Rtype(u16::from_le_bytes([head[0], head[1]])),
            _ => Rtype::RRSIG,
        };
        RrSet {
            owner: self.name(),
            rtype,
            count: u32_le(head, 4),
            additional_count: u32_le(head, 8),
            body,
            flags: flags & !(SET_LARGE | SIGNATURES),
        }
    }
}

/// What an entry is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) zone: u16,
    pub(crate) flags: u8,
    pub(crate) children: u32,
    pub(crate) note: String,
    pub(crate) sets: Vec<RrSetBuf>,
    /// RRSIG sets, one for each type that is covered.
    pub(crate) signatures: Vec<RrSetBuf>,
}

impl Content {
    /// Copies an entry out of its shard.
    pub(crate) fn of(entry: &Entry<'_>) -> Self {
        Self {
            zone: entry.zone() as u16,
            flags: entry.flags() & !(HAS_LARGE | SIGNED),
            children: entry.children(),
            note: entry.note().to_owned(),
            sets: entry.sets().map(RrSetBuf::from).collect(),
            signatures: entry.all_signatures().map(RrSetBuf::from).collect(),
        }
    }

    /// Whether a name with this content exists (RFC 8020 counts empty non-terminals).
    pub(crate) fn exists(&self) -> bool {
        !self.sets.is_empty() || !self.signatures.is_empty() || self.children > 0 || self.flags & (KNOWN | APEX) != 0
    }
}

/// Builds one shard from copied and new entries.
pub(crate) struct ShardBuilder {
    entries: Vec<u8>,
    slots: Vec<(u32, u32)>,
    large: Vec<Outside>,
}

impl ShardBuilder {
    /// A builder for a shard that is about as large as `like`.
    pub(crate) fn with_room_of(like: &Shard) -> Self {
        let entries = u32_le(&like.octets, 4) as usize;
        Self {
            entries: Vec::with_capacity(like.octets.len() + 1024),
            slots: Vec::with_capacity(entries + 4),
            large: Vec::new(),
        }
    }

    /// Takes over an unchanged entry.
    pub(crate) fn copy(&mut self, tag: u32, entry: &Entry<'_>) {
        let start = self.entries.len();
        self.slots.push((tag, start as u32));
        self.entries.extend_from_slice(entry.octets);
        if !entry.is(HAS_LARGE) {
            return;
        }
        let directory = start + entry.octets.len() - entry.directory().len();
        let signatures = directory + entry.set_count() * SET_HEAD + 2;
        let heads = (0..entry.set_count()).map(|index| directory + index * SET_HEAD);
        let signature_count = entry.signature_directory().len() / SET_HEAD;
        for head in heads.chain((0..signature_count).map(|index| signatures + index * SET_HEAD)) {
            if u16::from_le_bytes([self.entries[head + 2], self.entries[head + 3]]) & SET_LARGE != 0 {
                let body = entry.large[u32_le(&self.entries, head + 20) as usize].clone();
                self.entries[head + 20..head + 24].copy_from_slice(&(self.large.len() as u32).to_le_bytes());
                self.large.push(body);
            }
        }
    }

    /// Adds a new entry.
    pub(crate) fn push(&mut self, tag: u32, name: &[u8], content: &Content) {
        let start = self.entries.len();
        self.slots.push((tag, start as u32));
        let bodies = || content.sets.iter().chain(&content.signatures);
        let mut flags = content.flags & !(HAS_LARGE | SIGNED);
        let mut directory = content.sets.len() * SET_HEAD;
        if bodies().any(is_large) {
            flags |= HAS_LARGE;
        }
        if !content.signatures.is_empty() {
            flags |= SIGNED;
            directory += 2 + content.signatures.len() * SET_HEAD;
        }
        let note = &content.note.as_bytes()[..content.note.floor_char_boundary(512)];
        self.entries.extend_from_slice(&[0; 4]);
        self.entries.extend_from_slice(&content.children.to_le_bytes());
        self.entries.extend_from_slice(&content.zone.to_le_bytes());
        self.entries.push(flags);
        self.entries.push(name.len() as u8);
        self.entries.extend_from_slice(&(content.sets.len() as u16).to_le_bytes());
        self.entries.extend_from_slice(&(note.len() as u16).to_le_bytes());
        self.entries.extend_from_slice(name);
        self.entries.extend_from_slice(note);
        let mut at = self.entries.len() - start + directory;
        self.push_directory(&content.sets, &mut at);
        if !content.signatures.is_empty() {
            self.entries.extend_from_slice(&(content.signatures.len() as u16).to_le_bytes());
            self.push_directory(&content.signatures, &mut at);
        }
        for set in bodies().filter(|set| !is_large(set)) {
            self.entries.extend_from_slice(&set.answer);
            self.entries.extend_from_slice(&set.additional);
        }
        let length = (self.entries.len() - start) as u32;
        self.entries[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }

    fn push_directory(&mut self, sets: &[RrSetBuf], at: &mut usize) {
        for set in sets {
            let (mut flags, place) = match is_large(set) {
                true => {
                    self.large.push(Outside::of(set));
                    (set.flags | SET_LARGE, self.large.len() - 1)
                }
                false => (set.flags, *at),
            };
            let mut rtype = set.rtype;
            if let Some(covered) = set.covered() {
                (rtype, flags) = (covered.0, flags | SIGNATURES);
            }
            self.entries.extend_from_slice(&rtype.to_le_bytes());
            self.entries.extend_from_slice(&flags.to_le_bytes());
            let numbers = [set.count, set.additional_count, set.answer.len() as u32, set.additional.len() as u32];
            for number in numbers.into_iter().chain([place as u32]) {
                self.entries.extend_from_slice(&number.to_le_bytes());
            }
            if !is_large(set) {
                *at += set.answer.len() + set.additional.len();
            }
        }
    }

    /// Lays out slots and entries in one allocation.
    pub(crate) fn build(self) -> Shard {
        if self.slots.is_empty() {
            return Shard::empty();
        }
        let count = (self.slots.len() * 4 / 3 + 1).next_power_of_two();
        let base = SHARD_HEAD + count * SLOT;
        let mut octets = Vec::with_capacity(base + self.entries.len());
        octets.resize(base, 0);
        octets[..4].copy_from_slice(&(count as u32).to_le_bytes());
        octets[4..8].copy_from_slice(&(self.slots.len() as u32).to_le_bytes());
        for (tag, offset) in self.slots {
            let mut slot = tag as usize & (count - 1);
            while u32_le(&octets, SHARD_HEAD + slot * SLOT + 4) != 0 {
                slot = (slot + 1) & (count - 1);
            }
            let at = SHARD_HEAD + slot * SLOT;
            octets[at..at + 4].copy_from_slice(&tag.to_le_bytes());
            octets[at + 4..at + 8].copy_from_slice(&(base as u32 + offset).to_le_bytes());
        }
        octets.extend_from_slice(&self.entries);
        Shard { octets: octets.into(), large: (!self.large.is_empty()).then(|| Arc::new(self.large)) }
    }
}

fn is_large(set: &RrSetBuf) -> bool {
    set.large.is_some() || set.answer.len() + set.additional.len() > LARGE
}

fn u32_le(octets: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &[u8] = b"\x01a\x07example\x00";

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
        for (text, signature) in [(10, 20), (LARGE, 20), (10, LARGE), (LARGE, LARGE)] {
            let (sets, signatures) = (vec![set(Rtype::TXT, text)], vec![set(Rtype::RRSIG, signature)]);
            let content = Content { sets, signatures, note: "a note".into(), ..Content::default() };
            let mut builder = ShardBuilder::with_room_of(&Shard::empty());
            builder.push(6, b"\x01b\x00", &Content { sets: vec![set(Rtype::A, LARGE)], ..Content::default() });
            builder.push(7, NAME, &content);
            let built = builder.build();
            let mut builder = ShardBuilder::with_room_of(&built);
            built.entries().for_each(|(tag, _, entry)| builder.copy(tag, &entry));
            for shard in [built, builder.build()] {
                let entry = shard.find(7, NAME).expect("it was added");
                assert_eq!(Content::of(&entry), content);
                assert_eq!(entry.sets().count(), 1);
                assert!(entry.set(Rtype::RRSIG).is_none() && entry.signatures(Rtype::A).is_none());
                let signatures = entry.signatures(Rtype::TXT).expect("it was added");
                assert_eq!((signatures.rtype, signatures.answer_len()), (Rtype::RRSIG, RECORD + signature));
                assert!(!shard.find(6, b"\x01b\x00").expect("it was added").is_signed());
            }
        }
    }

    const RECORD: usize = crate::view::rrset::RECORD_HEAD;
}
