//! Entries are written: the other half of [`super::entry`], which has the layout.

use super::entry::{
    FLAGS_FOLLOW, FORM_CHILDREN, FORM_NOTE, FORM_SETS, FORM_ZONE, HAS_LARGE, HEAD_ADDITIONAL, HEAD_FOLLOW, HEAD_LARGE,
    HEAD_ONE, SIGNED, TYPE_FOLLOWS, TYPES,
};
use super::large::Outside;
use super::rrset::{Body, FOLLOW, IPV4, IPV6, RrSet};
use crate::model::Rtype;
use crate::model::packed::put_number;

/// Bodies longer than this live outside their shard, so that a change beside them does not copy them.
pub(crate) const LARGE: usize = 4096;
/// The longest note.
const NOTE: usize = 512;

/// What an entry says besides its sets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Facts<'c> {
    pub(crate) zone: u16,
    pub(crate) flags: u8,
    pub(crate) children: u32,
    pub(crate) note: &'c str,
}

/// The large bodies of a shard; a place is free when its entry is gone.
pub(super) type Large = Vec<Option<Outside>>;

/// Where entries are written: their octets, and the bodies that are too large to stand among them.
pub(super) struct EntryPacker<'p> {
    pub(super) out: &'p mut Vec<u8>,
    pub(super) large: &'p mut Large,
}

impl EntryPacker<'_> {
    /// Writes an entry from its sets, which are read where they are.
    pub(super) fn entry(&mut self, name: &[u8], facts: Facts<'_>, sets: &[RrSet<'_>], signatures: &[RrSet<'_>]) {
        let all = || sets.iter().chain(signatures);
        let mut flags = facts.flags & !(HAS_LARGE | SIGNED);
        if all().any(is_large) {
            flags |= HAS_LARGE;
        }
        if !signatures.is_empty() {
            flags |= SIGNED;
        }
        let note = &facts.note[..facts.note.floor_char_boundary(NOTE)];
        let form = form(facts.zone, facts.children, note, sets.len());
        self.out.extend_from_slice(&[flags, form, name.len() as u8]);
        self.out.extend_from_slice(name);
        self.extras(form, facts.zone, facts.children, note, sets.len());
        if !signatures.is_empty() {
            self.number(signatures.len() as u32);
        }
        all().for_each(|set| self.head(set));
        for set in all().filter(|set| !is_large(set)) {
            self.body(set);
        }
    }

    fn extras(&mut self, form: u8, zone: u16, children: u32, note: &str, sets: usize) {
        if form & FORM_ZONE == FORM_ZONE {
            self.out.extend_from_slice(&zone.to_le_bytes());
        }
        let width = [0, 1, 2, 4][usize::from((form & FORM_CHILDREN) >> 5)];
        self.out.extend_from_slice(&children.to_le_bytes()[..width]);
        if form & FORM_NOTE != 0 {
            self.number(note.len() as u32);
            self.out.extend_from_slice(note.as_bytes());
        }
        if form & FORM_SETS == FORM_SETS {
            self.number(sets as u32);
        }
    }

    fn head(&mut self, set: &RrSet<'_>) {
        let stored = Stored::of(set);
        let mut head = if set.flags & FOLLOW == 0 { 0 } else { HEAD_FOLLOW };
        head |= if stored.ttl.is_some() { HEAD_ONE } else { 0 };
        head |= if stored.is_large() { HEAD_LARGE } else { 0 };
        head |= if stored.additional > 0 { HEAD_ADDITIONAL } else { 0 };
        let rtype = set.covered().unwrap_or(set.rtype);
        let known = TYPES.iter().position(|known| *known == rtype && rtype != Rtype(0));
        match known.filter(|_| set.flags & !FOLLOW == 0) {
            Some(code) => self.out.push(head | code as u8),
            None if set.flags & !FOLLOW == 0 => {
                self.out.push(head | TYPE_FOLLOWS);
                self.out.extend_from_slice(&rtype.0.to_le_bytes());
            }
            None => {
                self.out.push(head | FLAGS_FOLLOW);
                self.out.extend_from_slice(&rtype.0.to_le_bytes());
                self.out.extend_from_slice(&set.flags.to_le_bytes());
            }
        }
        self.number(stored.ttl.unwrap_or(if stored.is_set { 0 } else { set.count }));
        self.number(stored.answer as u32);
        if stored.additional > 0 {
            if stored.ttl.is_none() {
                self.number(set.additional_count);
            }
            self.number(stored.additional as u32);
        }
        if stored.is_large() {
            let place = self.put_large(set);
            self.number(place as u32);
        }
    }

    fn body(&mut self, set: &RrSet<'_>) {
        let Some(record) = set.only() else {
            let (answer, additional) = set.ready();
            self.out.extend_from_slice(answer);
            self.out.extend_from_slice(additional);
            return;
        };
        self.out.extend_from_slice(record.rdata);
        for (rtype, octets) in set.addresses() {
            self.out.push(if rtype == Rtype::A { IPV4 } else { IPV6 });
            self.out.extend_from_slice(octets);
        }
    }

    /// Puts a body into the list of large ones, where there is room.
    fn put_large(&mut self, set: &RrSet<'_>) -> usize {
        let body = Some(match set.body {
            Body::Large(set) => Outside::Set(set.clone()),
            Body::Ready { .. } | Body::One { .. } => {
                let mut octets = Vec::new();
                EntryPacker { out: &mut octets, large: self.large }.body(set);
                Outside::Octets(octets.into())
            }
        });
        match self.large.iter().position(Option::is_none) {
            Some(place) => {
                self.large[place] = body;
                place
            }
            None => {
                self.large.push(body);
                self.large.len() - 1
            }
        }
    }

    fn number(&mut self, number: u32) {
        put_number(self.out, number.into());
    }
}

fn form(zone: u16, children: u32, note: &str, sets: usize) -> u8 {
    let zone = (zone.min(3) as u8) << 3;
    let width = match children {
        0 => 0,
        1..=0xFF => 1,
        0x100..=0xFFFF => 2,
        _ => 3,
    };
    let note = if note.is_empty() { 0 } else { FORM_NOTE };
    sets.min(FORM_SETS.into()) as u8 | zone | width << 5 | note
}

/// Whether the body of a set lives outside its shard. Stored, a set is never longer than ready to send.
fn is_large(set: &RrSet<'_>) -> bool {
    match set.body {
        Body::Ready { answer, additional } if answer.len() + additional.len() <= LARGE => false,
        _ => Stored::of(set).is_large(),
    }
}

/// How a set will be stored.
struct Stored {
    /// TTL of its only record, if that is stored without its head.
    ttl: Option<u32>,
    answer: usize,
    additional: usize,
    /// A large set, of which an entry has nothing but the place.
    is_set: bool,
}

impl Stored {
    fn of(set: &RrSet<'_>) -> Self {
        if let Some(record) = set.only() {
            let additional = set.addresses().map(|(_, octets)| 1 + octets.len()).sum();
            return Self { ttl: Some(record.ttl), answer: record.rdata.len(), additional, is_set: false };
        }
        let (answer, additional) = set.ready();
        let is_set = matches!(set.body, Body::Large(_));
        Self { ttl: None, answer: answer.len(), additional: additional.len(), is_set }
    }

    fn is_large(&self) -> bool {
        self.is_set || self.answer + self.additional > LARGE
    }
}
