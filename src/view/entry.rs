//! One entry of a shard: a name and everything that it owns, packed.
//!
//! ```text
//! entry      flags u8 | form u8 | name length u8 | name | extras | directory | bodies
//! form       0-2 number of sets (7: in the extras) | 3-4 zone (3: in the extras)
//!            5-6 octets of the number of children: 0, 1, 2, 4 | 7 there is a note
//! extras     zone u16 | children | note length, note | number of sets | number of signature sets
//! directory  for each set: head u8 | type u16, flags u16 | numbers
//! head       0-3 type: 0 the type follows, 1 type and flags follow, else one of TYPES
//!            4 one record | 5 large | 6 targets are looked up | 7 there is an additional section
//! numbers    one record: TTL, length of the RDATA, length of the packed addresses
//!            else: records, length of the answer, additional records, length of the additional section
//!            large: its place in the shard's list of large bodies besides; of a large set (`large`) all else is 0
//! ```
//!
//! Extras and numbers are there only if they are needed. Lengths and numbers without a width above take as many octets
//! as they need, seven bits in each, the last seven first; the others are little-endian. A set of signatures stands in
//! the directory behind all others, under the type that it covers. The bodies follow one another in the order of the
//! directory, so no offset is stored: an entry knows nothing of where it is and is copied whole when its shard is
//! rebuilt. Nothing says how long an entry is; the directory does.

use super::large::Outside;
use super::pack::Facts;
use super::rrset::{Addresses, Body, FOLLOW, RrSet, RrSetBuf};
use crate::model::Rtype;

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
pub(super) const HAS_LARGE: u8 = 32;
/// The apex of its zone.
pub(crate) const APEX: u8 = 64;
/// Signatures stand at this name.
pub(super) const SIGNED: u8 = 128;

/// Octets before the name.
pub(super) const FIXED: usize = 3;
pub(super) const FORM_SETS: u8 = 0x07;
pub(super) const FORM_ZONE: u8 = 0x18;
pub(super) const FORM_CHILDREN: u8 = 0x60;
pub(super) const FORM_NOTE: u8 = 0x80;

pub(super) const HEAD_TYPE: u8 = 0x0F;
pub(super) const HEAD_ONE: u8 = 0x10;
pub(super) const HEAD_LARGE: u8 = 0x20;
pub(super) const HEAD_FOLLOW: u8 = 0x40;
pub(super) const HEAD_ADDITIONAL: u8 = 0x80;
/// The type follows.
pub(super) const TYPE_FOLLOWS: u8 = 0;
/// Type and flags follow.
pub(super) const FLAGS_FOLLOW: u8 = 1;

/// Types that are written as their place in this list.
pub(super) const TYPES: [Rtype; 16] = [
    Rtype(0),
    Rtype(0),
    Rtype::A,
    Rtype::AAAA,
    Rtype::SRV,
    Rtype::TXT,
    Rtype::PTR,
    Rtype::NS,
    Rtype::CNAME,
    Rtype::MX,
    Rtype::DS,
    Rtype::NSEC,
    Rtype::SVCB,
    Rtype::HTTPS,
    Rtype::SOA,
    Rtype::DNAME,
];

/// What a note begins with that says that the guard holds an instance.
pub(crate) const HELD: char = '\u{3}';

/// A name in the table and everything it owns.
#[derive(Clone, Copy)]
pub struct Entry<'v> {
    /// From the entry on; more may follow.
    octets: &'v [u8],
    large: &'v [Option<Outside>],
}

/// What stands between the name and the directory.
struct Extras {
    zone: u16,
    children: u32,
    note: (usize, usize),
    sets: usize,
    signatures: usize,
    /// Where the directory starts.
    directory: usize,
}

/// One set of the directory.
#[derive(Clone, Copy)]
struct SetHead {
    rtype: Rtype,
    flags: u16,
    form: u8,
    /// Records, or the TTL of the only one.
    first: u32,
    length: u32,
    additional_count: u32,
    additional: u32,
    /// Where a large body is.
    place: u32,
}

impl SetHead {
    /// Octets of its body in the entry.
    fn stored(&self) -> usize {
        if self.form & HEAD_LARGE == 0 { (self.length + self.additional) as usize } else { 0 }
    }
}

/// Reads numbers of an entry one after the other.
#[derive(Clone, Copy)]
struct Cursor<'v> {
    octets: &'v [u8],
    at: usize,
}

impl Cursor<'_> {
    #[inline]
    fn byte(&mut self) -> u8 {
        let octet = self.octets[self.at];
        self.at += 1;
        octet
    }

    fn word(&mut self) -> u16 {
        let low = self.byte();
        u16::from_le_bytes([low, self.byte()])
    }

    #[inline]
    fn number(&mut self) -> u32 {
        let octet = self.byte();
        if octet & 0x80 == 0 { octet.into() } else { self.longer_number(octet) }
    }

    fn longer_number(&mut self, first: u8) -> u32 {
        let mut octet = first;
        let mut number = u32::from(octet & 0x7F);
        let mut shift = 7;
        while octet & 0x80 != 0 {
            octet = self.byte();
            number |= u32::from(octet & 0x7F) << shift;
            shift += 7;
        }
        number
    }

    #[inline]
    fn head(&mut self) -> SetHead {
        let form = self.byte();
        let mut flags = if form & HEAD_FOLLOW == 0 { 0 } else { FOLLOW };
        let rtype = match form & HEAD_TYPE {
            TYPE_FOLLOWS => Rtype(self.word()),
            FLAGS_FOLLOW => {
                let rtype = Rtype(self.word());
                flags = self.word();
                rtype
            }
            code => TYPES[code as usize],
        };
        let (first, length) = (self.number(), self.number());
        let (mut additional_count, mut additional, mut place) = (0, 0, 0);
        if form & HEAD_ADDITIONAL != 0 {
            if form & HEAD_ONE == 0 {
                additional_count = self.number();
            }
            additional = self.number();
        }
        if form & HEAD_LARGE != 0 {
            place = self.number();
        }
        SetHead { rtype, flags, form, first, length, additional_count, additional, place }
    }
}

impl<'v> Entry<'v> {
    /// The entry that octets begin with.
    pub(super) fn new(octets: &'v [u8], large: &'v [Option<Outside>]) -> Self {
        Self { octets, large }
    }

    /// The whole, lower-case owner name.
    pub fn name(&self) -> &'v [u8] {
        &self.octets[FIXED..FIXED + self.octets[2] as usize]
    }

    /// Number of its zone in the view.
    pub fn zone(&self) -> usize {
        match self.form() & FORM_ZONE {
            FORM_ZONE => self.extras().zone.into(),
            zone => (zone >> 3).into(),
        }
    }

    /// Names right below it that exist.
    pub fn children(&self) -> u32 {
        self.extras().children
    }

    pub(crate) fn flags(&self) -> u8 {
        self.octets[0]
    }

    /// Whether all of these flags are set.
    pub(crate) fn is(&self, flags: u8) -> bool {
        self.flags() & flags == flags
    }

    /// Why its answers may be stale, in words, if the guard holds an instance that they are made of.
    #[inline]
    pub fn held(&self) -> Option<&'v str> {
        if self.form() & FORM_NOTE == 0 {
            return None;
        }
        self.note().strip_prefix(HELD)
    }

    /// Why nobody serves, in words; empty if there is nothing to say. Behind `HELD`: why its answers may be stale.
    pub fn note(&self) -> &'v str {
        if self.form() & FORM_NOTE == 0 {
            return "";
        }
        let (start, end) = self.extras().note;
        std::str::from_utf8(&self.octets[start..end]).unwrap_or_default()
    }

    /// Whether registrations publish it, or make it known.
    pub fn is_registered(&self) -> bool {
        !self.is(STATIC) && (self.is(KNOWN) || !self.is_empty())
    }

    /// Whether it has no record of any type.
    pub fn is_empty(&self) -> bool {
        self.form() & FORM_SETS == 0
    }

    /// Whether it has neither records nor signatures.
    pub fn is_bare(&self) -> bool {
        self.is_empty() && !self.is_signed()
    }

    /// Whether it has signatures.
    pub fn is_signed(&self) -> bool {
        self.is(SIGNED)
    }

    /// All its sets.
    pub fn sets(&self) -> impl Iterator<Item = RrSet<'v>> + use<'v> {
        let extras = self.extras();
        self.all(&extras).take(extras.sets)
    }

    /// All its sets of signatures.
    pub fn all_signatures(&self) -> impl Iterator<Item = RrSet<'v>> + use<'v> {
        let extras = self.extras();
        self.all(&extras).skip(extras.sets)
    }

    /// The set of a type.
    pub fn set(&self, rtype: Rtype) -> Option<RrSet<'v>> {
        self.set_or(rtype, rtype)
    }

    /// The set of a type, or else that of another.
    #[inline]
    pub fn set_or(&self, rtype: Rtype, other: Rtype) -> Option<RrSet<'v>> {
        let extras = self.extras();
        self.search(&extras, [rtype, other], false)
    }

    /// The signatures that cover its set of a type, or that would if the set did not stand elsewhere (SOA).
    pub fn signatures(&self, covered: Rtype) -> Option<RrSet<'v>> {
        if !self.is_signed() {
            return None;
        }
        let extras = self.extras();
        self.search(&extras, [covered, covered], true)
    }

    /// Octets of the entry, large bodies left out.
    pub(super) fn size(&self) -> usize {
        let (start, bodies) = self.bodies();
        start + bodies
    }

    /// Where its bodies start, and octets of them, large ones left out.
    pub(super) fn bodies(&self) -> (usize, usize) {
        let extras = self.extras();
        let mut heads = Cursor { octets: self.octets, at: extras.directory };
        let bodies = (0..extras.sets + extras.signatures).map(|_| heads.head().stored()).sum();
        (heads.at, bodies)
    }

    /// Places of its large bodies in the list of its shard.
    pub(super) fn large_places(&self) -> impl Iterator<Item = usize> + use<'v> {
        let extras = self.extras();
        let mut heads = Cursor { octets: self.octets, at: extras.directory };
        let count = if self.is(HAS_LARGE) { extras.sets + extras.signatures } else { 0 };
        let all = (0..count).map(move |_| heads.head());
        all.filter(|head| head.form & HEAD_LARGE != 0).map(|head| head.place as usize)
    }

    /// What it says besides its sets.
    pub(super) fn facts(&self) -> Facts<'v> {
        let extras = self.extras();
        let flags = self.flags() & !(HAS_LARGE | SIGNED);
        Facts { zone: extras.zone, flags, children: extras.children, note: self.note() }
    }

    /// Whether its sets are these.
    pub(super) fn has_sets(&self, sets: &[RrSetBuf]) -> bool {
        let stored = self.sets();
        stored.count() == sets.len()
            && self.sets().zip(sets).all(|(stored, set)| stored.equals(&set.as_set(self.name())))
    }

    /// Whether its sets of signatures are these.
    pub(super) fn has_signatures(&self, sets: &[RrSetBuf]) -> bool {
        let stored = self.all_signatures();
        stored.count() == sets.len()
            && self.all_signatures().zip(sets).all(|(stored, set)| stored.equals(&set.as_set(self.name())))
    }

    fn form(&self) -> u8 {
        self.octets[1]
    }

    #[inline]
    fn extras(&self) -> Extras {
        let form = self.form();
        let mut cursor = Cursor { octets: self.octets, at: FIXED + self.octets[2] as usize };
        let zone = match form & FORM_ZONE {
            FORM_ZONE => cursor.word(),
            zone => u16::from(zone >> 3),
        };
        let children = match (form & FORM_CHILDREN) >> 5 {
            0 => 0,
            1 => cursor.byte().into(),
            2 => cursor.word().into(),
            _ => u32::from(cursor.word()) | u32::from(cursor.word()) << 16,
        };
        let mut note = (0, 0);
        if form & FORM_NOTE != 0 {
            let length = cursor.number() as usize;
            note = (cursor.at, cursor.at + length);
            cursor.at += length;
        }
        let sets = match form & FORM_SETS {
            FORM_SETS => cursor.number() as usize,
            sets => sets.into(),
        };
        let signatures = if self.is_signed() { cursor.number() as usize } else { 0 };
        Extras { zone, children, note, sets, signatures, directory: cursor.at }
    }

    /// The set that stands under a type, or else under another, among those of signatures or among the others.
    #[inline]
    fn search(&self, extras: &Extras, [rtype, other]: [Rtype; 2], is_signatures: bool) -> Option<RrSet<'v>> {
        let mut heads = Cursor { octets: self.octets, at: extras.directory };
        let (mut found, mut body): (Option<(SetHead, usize)>, _) = (None, 0);
        for number in 0..extras.sets + extras.signatures {
            let head = heads.head();
            let is_better = head.rtype == rtype || (head.rtype == other && found.is_none());
            if is_better && (number >= extras.sets) == is_signatures {
                found = Some((head, body));
            }
            body += head.stored();
        }
        found.map(|(head, body)| self.read(&head, heads.at + body, is_signatures))
    }

    /// All sets and signatures.
    fn all(&self, extras: &Extras) -> impl Iterator<Item = RrSet<'v>> + use<'v> {
        let (entry, count, sets) = (*self, extras.sets + extras.signatures, extras.sets);
        let mut heads = Cursor { octets: self.octets, at: extras.directory };
        let (mut body, _) = self.bodies();
        (0..count).map(move |number| {
            let head = heads.head();
            let set = entry.read(&head, body, number >= sets);
            body += head.stored();
            set
        })
    }

    #[inline]
    fn read(&self, head: &SetHead, at: usize, is_signatures: bool) -> RrSet<'v> {
        let octets: &'v [u8] = match head.form & HEAD_LARGE {
            0 => &self.octets[at..at + head.stored()],
            _ => match self.large.get(head.place as usize) {
                Some(Some(Outside::Set(set))) => return RrSet { flags: head.flags, ..RrSet::large(self.name(), set) },
                Some(Some(Outside::Octets(octets))) => octets,
                _ => &[],
            },
        };
        let (first, second) = octets.split_at(head.length as usize);
        let (count, additional_count, body) = match head.form & HEAD_ONE {
            0 => (head.first, head.additional_count, Body::Ready { answer: first, additional: second }),
            _ => {
                let body = Body::One { ttl: head.first, rdata: first, addresses: second };
                (1, Addresses(second).count() as u32, body)
            }
        };
        let rtype = if is_signatures { Rtype::RRSIG } else { head.rtype };
        RrSet { owner: self.name(), rtype, count, additional_count, body, flags: head.flags }
    }
}
