//! RRsets ready to send: the octets of an answer section as they go into a message.
//!
//! The question of every message that carries the set is its owner name, so owners are pointers to offset 12
//! (RFC 1035 section 4.1.4), and every other offset is known when the set is built:
//!
//! ```text
//! answer      (C0 0C, type, class, TTL, RDLENGTH, RDATA) x count
//! additional  (owner, type, class, TTL, RDLENGTH, RDATA) x additional count
//! ```
//!
//! A set of one record is stored without heads ([`Body::One`]): the record's is made when it is sent, and its
//! additional section is the addresses of its target.
//!
//! An additional owner is a pointer to the SRV target inside the answer above it, computed for the answer in its stored
//! order; whoever rotates the answer moves the pointers (see `wire::encode`). When the answer is so long that pointers
//! would not reach (14 bits), owners are written out and nothing has to be moved. PTR data may end in a pointer into
//! the question; [`RrSet::expand`] undoes that for messages with another question.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::large::{self, LargeSet};
use super::shard::LINE;
use crate::model::name::MAX_NAME;
use crate::model::{Name, Rtype};

/// Octets of a record before its RDATA, when its owner is a pointer.
pub const RECORD_HEAD: usize = 12;
/// Where the question's name starts in every message.
pub const QNAME_AT: usize = 12;
/// Octets of QTYPE and QCLASS.
pub const QUESTION_TAIL: usize = 4;
/// Octets of SRV data before the target.
pub(crate) const SRV_TARGET: usize = 6;
/// The largest offset a compression pointer can name.
pub const MAX_POINTER: usize = 0x3FFF;

/// How [`Body::One`] marks an IPv4 address.
pub(super) const IPV4: u8 = 4;
/// How [`Body::One`] marks an IPv6 address.
pub(super) const IPV6: u8 = 6;

/// Targets in the RDATA are looked up for the additional section when the query is answered.
pub(crate) const FOLLOW: u16 = 1;

/// A set as it is read from a view.
///
/// How its records are stored is its [`Body`]; who does not copy octets asks [`Self::records`] and does not see it.
#[derive(Debug, Clone, Copy)]
pub struct RrSet<'v> {
    /// The name it belongs to, as the view stores it.
    pub owner: &'v [u8],
    /// Type of all its records.
    pub rtype: Rtype,
    /// Records in the answer.
    pub count: u32,
    /// Records in the additional section.
    pub additional_count: u32,
    /// Its records and those of the additional section, as they are stored.
    pub body: Body<'v>,
    pub(crate) flags: u16,
}

/// How the records of a set are stored.
#[derive(Debug, Clone, Copy)]
pub enum Body<'v> {
    /// Both sections as they go into a message.
    Ready {
        /// Answer section.
        answer: &'v [u8],
        /// Additional section.
        additional: &'v [u8],
    },
    /// One record without its head: most sets are such, and the head would be half of them.
    One {
        /// Seconds, those of the addresses too.
        ttl: u32,
        /// As stored: may end in a pointer into the owner name.
        rdata: &'v [u8],
        /// Addresses of the target in the RDATA, one after the other (see [`Addresses`]).
        addresses: &'v [u8],
    },
    /// Very many records, or a set of which clients get a part.
    Large(&'v Arc<LargeSet>),
}

/// Addresses as [`Body::One`] stores them: 4 and the octets of an IPv4 address, or 6 and those of an IPv6 address.
#[derive(Debug, Clone, Copy)]
pub struct Addresses<'v>(pub &'v [u8]);

impl<'v> Iterator for Addresses<'v> {
    type Item = (Rtype, &'v [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (kind, rest) = self.0.split_first()?;
        let (rtype, length) = match *kind {
            IPV4 => (Rtype::A, 4),
            IPV6 => (Rtype::AAAA, 16),
            _ => return None,
        };
        let (octets, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((rtype, octets))
    }
}

/// The records of a set, in stored order.
#[derive(Debug, Clone)]
pub struct Records<'v>(Walk<'v>);

#[derive(Debug, Clone)]
enum Walk<'v> {
    Ready(Heads<'v>),
    One(Option<RecordRef<'v>>),
    Large(large::Records<'v>),
}

impl<'v> Iterator for Records<'v> {
    type Item = RecordRef<'v>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Walk::Ready(rest) => rest.next().map(|(head, rdata)| RecordRef { ttl: u32_at(head, 6), rdata }),
            Walk::One(record) => record.take(),
            Walk::Large(records) => records.next().map(|record| record.as_stored()),
        }
    }
}

/// Records whose owners are pointers: each one's head and data.
#[derive(Debug, Clone)]
struct Heads<'v>(&'v [u8]);

impl<'v> Iterator for Heads<'v> {
    type Item = (&'v [u8], &'v [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.0.split_at_checked(RECORD_HEAD)?;
        let (rdata, rest) = rest.split_at_checked(u16_at(head, 10) as usize)?;
        self.0 = rest;
        Some((head, rdata))
    }
}

/// The type of an address record.
fn kind((head, rdata): (&[u8], &[u8])) -> Option<Rtype> {
    match (Rtype(u16_at(head, 2)), rdata.len()) {
        (rtype @ Rtype::A, 4) | (rtype @ Rtype::AAAA, 16) => Some(rtype),
        _ => None,
    }
}

/// One record of a set, as stored.
#[derive(Debug, Clone, Copy)]
pub struct RecordRef<'v> {
    /// Seconds.
    pub ttl: u32,
    /// As stored: may end in a pointer into the owner name.
    pub rdata: &'v [u8],
}

impl<'v> RrSet<'v> {
    /// Whether the additional section is found when the query is answered.
    pub fn follows_targets(&self) -> bool {
        self.flags & FOLLOW != 0
    }

    /// A large set, at its owner.
    pub(crate) fn large(owner: &'v [u8], set: &'v Arc<LargeSet>) -> Self {
        let (count, additional_count) = (set.len() as u32, set.additional_len() as u32);
        Self { owner, rtype: set.rtype(), count, additional_count, body: Body::Large(set), flags: 0 }
    }

    /// The same set without its additional section.
    pub fn without_additional(self) -> Self {
        let body = match self.body {
            Body::Ready { answer, .. } => Body::Ready { answer, additional: &[] },
            Body::One { ttl, rdata, .. } => Body::One { ttl, rdata, addresses: &[] },
            Body::Large(set) => Body::Large(set), // its count says it
        };
        Self { body, additional_count: 0, ..self }
    }

    /// The records, in stored order.
    pub fn records(&self) -> Records<'v> {
        Records(match self.body {
            Body::Ready { answer, .. } => Walk::Ready(Heads(answer)),
            Body::One { ttl, rdata, .. } => Walk::One(Some(RecordRef { ttl, rdata })),
            Body::Large(set) => Walk::Large(set.records()),
        })
    }

    /// Reads each cache line of what a message of so many octets takes of it, so that the processor
    /// has them when they are copied.
    pub fn touch(&self, limit: usize) -> u8 {
        let Body::Ready { answer, additional } = self.body else { return 0 };
        if answer.len() > limit {
            return 0;
        }
        let additional = if answer.len() + additional.len() > limit { &[] } else { additional };
        let lines = |octets: &[u8]| octets.iter().step_by(LINE).fold(0, |read, octet| read ^ octet);
        lines(answer) ^ lines(additional) ^ additional.last().copied().unwrap_or_default()
    }

    /// Octets of the answer section as they go into a message.
    pub fn answer_len(&self) -> usize {
        match self.body {
            Body::Ready { answer, .. } => answer.len(),
            Body::One { rdata, .. } => RECORD_HEAD + rdata.len(),
            Body::Large(set) => set.octets(),
        }
    }

    /// Whether it is the same set of the same view: no name has two sets of one type, and every name that the view
    /// keeps (a zone may keep one aside that another has in the table) stands at a place of its own.
    pub fn is_same(&self, other: &RrSet<'_>) -> bool {
        std::ptr::eq(self.owner, other.owner) && self.rtype == other.rtype && self.covered() == other.covered()
    }

    /// Whether another set at the same name has the same type, records and additional section.
    pub(crate) fn equals(&self, other: &RrSet<'_>) -> bool {
        let numbers = |set: &RrSet<'_>| (set.rtype, set.flags, set.count, set.additional_count);
        let is_same = match (self.body, other.body) {
            (Body::Ready { answer: a, additional: b }, Body::Ready { answer: c, additional: d }) => (a, b) == (c, d),
            (Body::Large(a), Body::Large(b)) => a == b,
            _ => self.only().zip(other.only()).is_some_and(|(one, two)| {
                (one.ttl, one.rdata) == (two.ttl, two.rdata) && self.addresses().eq(other.addresses())
            }),
        };
        is_same && numbers(self) == numbers(other)
    }

    /// The only record of a set that can be stored as [`Body::One`]: its additional section, if it has one, is
    /// addresses of its only target with the same TTL.
    pub(crate) fn only(&self) -> Option<RecordRef<'v>> {
        let record = self.records().next().filter(|_| self.count == 1)?;
        let target = only_target(self.owner);
        let fits =
            |extra: (&[u8], &[u8])| extra.0[..2] == target && u32_at(extra.0, 6) == record.ttl && kind(extra).is_some();
        match self.body {
            Body::Ready { additional, .. } => Heads(additional).all(fits).then_some(record),
            Body::One { .. } => Some(record),
            Body::Large(_) => None,
        }
    }

    /// Both sections of a set that has not [`Self::only`] one record.
    pub(crate) fn ready(&self) -> (&'v [u8], &'v [u8]) {
        match self.body {
            Body::Ready { answer, additional } => (answer, additional),
            Body::One { rdata, addresses, .. } => (rdata, addresses),
            Body::Large(_) => (&[], &[]),
        }
    }

    /// The additional section of a set that has [`Self::only`] one record.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (Rtype, &'v [u8])> + use<'v> {
        let (packed, ready) = match self.body {
            Body::Ready { additional, .. } => (&[][..], additional),
            Body::One { addresses, .. } => (addresses, &[][..]),
            Body::Large(_) => (&[][..], &[][..]),
        };
        Addresses(packed).chain(Heads(ready).filter_map(|extra| kind(extra).zip(Some(extra.1))))
    }

    /// The type that signatures cover; `None` for a set of another type.
    pub fn covered(&self) -> Option<Rtype> {
        let first = self.records().next().filter(|_| self.rtype == Rtype::RRSIG)?;
        (first.rdata.len() >= 2).then(|| Rtype(u16_at(first.rdata, 0)))
    }

    /// RDATA without pointers into the owner name, written into `room` if there was one. Only types whose data is one
    /// name are ever stored with one.
    pub fn expand<'r>(&self, rdata: &'r [u8], room: &'r mut [u8; MAX_NAME]) -> &'r [u8] {
        if self.rtype != Rtype::PTR {
            return rdata;
        }
        let mut at = 0;
        while let Some(&len) = rdata.get(at).filter(|&&len| len != 0) {
            if len & 0xC0 == 0xC0 {
                let target = (u16_at(rdata, at) as usize & MAX_POINTER) - QNAME_AT;
                let rest = &self.owner[target..];
                room[..at].copy_from_slice(&rdata[..at]);
                room[at..at + rest.len()].copy_from_slice(rest);
                return &room[..at + rest.len()];
            }
            at += 1 + len as usize;
        }
        rdata
    }

    /// The name in a record's RDATA whose addresses belong into the additional section, if the type has one.
    ///
    /// A service binding without a target name names its owner, unless it is an alias (RFC 9460 section 2.5).
    pub fn target(&self, rdata: &'v [u8]) -> Option<&'v [u8]> {
        let name = whole_name(rdata.get(target_at(self.rtype)?..)?)?;
        match self.rtype {
            Rtype::SVCB | Rtype::HTTPS if name == [0] => (!self.is_alias(rdata)).then_some(self.owner),
            _ => Some(name),
        }
    }

    /// Whether a record is a service binding in alias mode: the target's own bindings count (RFC 9460 section 2.4.2).
    pub fn is_alias(&self, rdata: &[u8]) -> bool {
        matches!(self.rtype, Rtype::SVCB | Rtype::HTTPS) && rdata.starts_with(&[0, 0])
    }
}

/// Where the name stands in the RDATA of types whose targets' addresses belong into the additional section.
pub(crate) fn target_at(rtype: Rtype) -> Option<usize> {
    match rtype {
        Rtype::NS | Rtype::MB => Some(0),
        Rtype::MX | Rtype::RT | Rtype::KX | Rtype::SVCB | Rtype::HTTPS => Some(2),
        Rtype::SRV => Some(SRV_TARGET),
        _ => None,
    }
}

/// The whole uncompressed name that octets begin with.
fn whole_name(octets: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    while let Some(&len) = octets.get(at) {
        match len {
            0 => return octets.get(..=at).filter(|name| name.len() <= MAX_NAME),
            1..=63 => at += 1 + len as usize,
            _ => return None,
        }
    }
    None
}

/// A set being built.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RrSetBuf {
    /// Type number.
    pub rtype: u16,
    /// Records in the answer.
    pub count: u32,
    /// Records in the additional section.
    pub additional_count: u32,
    /// Answer section.
    pub answer: Vec<u8>,
    /// Additional section.
    pub additional: Vec<u8>,
    /// The whole set, instead of both sections, if it is a large one.
    pub(crate) large: Option<Arc<LargeSet>>,
    pub(crate) flags: u16,
}

impl From<RrSet<'_>> for RrSetBuf {
    fn from(set: RrSet<'_>) -> Self {
        let mut built = Self { flags: set.flags, ..Self::new(set.rtype) };
        match set.body {
            Body::Ready { answer, additional } => {
                (built.count, built.additional_count) = (set.count, set.additional_count);
                (built.answer, built.additional) = (answer.to_vec(), additional.to_vec());
            }
            Body::One { ttl, rdata, addresses } => {
                built.push(ttl, rdata);
                let owner = only_target(set.owner);
                for (rtype, octets) in Addresses(addresses) {
                    push_record(&mut built.additional, &owner, rtype, ttl, octets);
                    built.additional_count += 1;
                }
            }
            Body::Large(set) => return Arc::clone(set).into(),
        }
        built
    }
}

impl From<Arc<LargeSet>> for RrSetBuf {
    fn from(large: Arc<LargeSet>) -> Self {
        let (count, additional_count) = (large.len() as u32, large.additional_len() as u32);
        Self { count, additional_count, large: Some(large.clone()), ..Self::new(large.rtype()) }
    }
}

impl RrSetBuf {
    /// The set as it is read, at its owner.
    pub fn as_set<'v>(&'v self, owner: &'v [u8]) -> RrSet<'v> {
        RrSet {
            owner,
            rtype: Rtype(self.rtype),
            count: self.count,
            additional_count: self.additional_count,
            body: match &self.large {
                Some(large) => Body::Large(large),
                None => Body::Ready { answer: &self.answer, additional: &self.additional },
            },
            flags: self.flags,
        }
    }

    /// The type that signatures cover; `None` for a set of another type.
    pub fn covered(&self) -> Option<Rtype> {
        self.as_set(&[]).covered()
    }

    /// An empty set.
    pub fn new(rtype: Rtype) -> Self {
        Self { rtype: rtype.0, ..Self::default() }
    }

    /// Adds a record whose RDATA is given whole.
    pub fn push(&mut self, ttl: u32, rdata: &[u8]) {
        self.answer.reserve(RECORD_HEAD + rdata.len());
        push_record(&mut self.answer, &[0xC0, QNAME_AT as u8], Rtype(self.rtype), ttl, rdata);
        self.count += 1;
    }

    /// A and AAAA sets of the addresses, in their order; empty ones are left out.
    pub fn addresses(ttl: u32, addresses: impl Iterator<Item: Borrow<IpAddr>>) -> Vec<Self> {
        let (mut v4, mut v6) = (Self::new(Rtype::A), Self::new(Rtype::AAAA));
        for address in addresses {
            match address.borrow() {
                IpAddr::V4(address) => v4.push(ttl, &address.octets()),
                IpAddr::V6(address) => v6.push(ttl, &address.octets()),
            }
        }
        [v4, v6].into_iter().filter(|set| set.count > 0).collect()
    }

    /// A TXT set of one record with these strings of at most 255 octets each; one empty string if there are none.
    pub fn txt<'a>(ttl: u32, strings: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut rdata = Vec::new();
        for string in strings {
            rdata.push(string.len().min(255) as u8);
            rdata.extend_from_slice(&string[..string.len().min(255)]);
        }
        if rdata.is_empty() {
            rdata.push(0);
        }
        let mut set = Self::new(Rtype::TXT);
        set.push(ttl, &rdata);
        set
    }

    /// Adds an SRV record; the addresses of its target come with [`Self::push_glue`], after the last record.
    pub(crate) fn push_srv(&mut self, ttl: u32, [priority, weight, port]: [u16; 3], target: &[u8]) {
        let mut rdata = [0; SRV_TARGET + MAX_NAME];
        for (field, room) in [priority, weight, port].into_iter().zip(rdata.chunks_exact_mut(2)) {
            room.copy_from_slice(&field.to_be_bytes());
        }
        rdata[SRV_TARGET..SRV_TARGET + target.len()].copy_from_slice(target);
        self.push(ttl, &rdata[..SRV_TARGET + target.len()]);
    }

    /// Adds the addresses of the targets of an SRV set, in the order of its records.
    pub(crate) fn push_glue<A>(&mut self, owner: &[u8], ttl: u32, addresses: impl Iterator<Item = A>)
    where
        A: IntoIterator<Item: Borrow<IpAddr>>,
    {
        let start = QNAME_AT + owner.len() + QUESTION_TAIL;
        let answer = std::mem::take(&mut self.answer);
        let reachable = start + answer.len() <= MAX_POINTER;
        self.additional.reserve(self.count as usize * (RECORD_HEAD + 4));
        let mut at = 0;
        for addresses in addresses {
            let end = at + RECORD_HEAD + u16_at(&answer, at + 10) as usize;
            let target = at + RECORD_HEAD + SRV_TARGET;
            let pointer = (0xC000 | (start + target) as u16).to_be_bytes();
            self.push_addresses(if reachable { &pointer } else { &answer[target..end] }, ttl, addresses);
            at = end;
        }
        self.answer = answer;
    }

    /// Adds a PTR record to a name, which ends in a pointer into the owner where the two share their last labels.
    pub(crate) fn push_ptr(&mut self, owner: &[u8], ttl: u32, target: &[u8]) {
        let (kept, pointer) = shared(owner, target);
        let mut rdata = [0; MAX_NAME + 2];
        rdata[..kept].copy_from_slice(&target[..kept]);
        let len = match pointer {
            None => kept,
            Some(pointer) => {
                rdata[kept..kept + 2].copy_from_slice(&pointer.to_be_bytes());
                kept + 2
            }
        };
        self.push(ttl, &rdata[..len]);
    }

    /// A PTR set to the names, which end in pointers into the owner where they share its last labels.
    pub fn ptr<'a>(owner: &Name, ttl: u32, targets: impl Iterator<Item = &'a Name>) -> Self {
        let mut set = Self::new(Rtype::PTR);
        targets.for_each(|target| set.push_ptr(owner.as_wire(), ttl, target.as_wire()));
        set
    }

    /// Marks the set so that the addresses of its targets are looked up when it is sent.
    pub fn following(mut self) -> Self {
        self.flags |= FOLLOW;
        self
    }

    fn push_addresses(&mut self, owner: &[u8], ttl: u32, addresses: impl IntoIterator<Item: Borrow<IpAddr>>) {
        for address in addresses {
            self.additional_count += 1;
            match address.borrow() {
                IpAddr::V4(v4) => push_record(&mut self.additional, owner, Rtype::A, ttl, &v4.octets()),
                IpAddr::V6(v6) => push_record(&mut self.additional, owner, Rtype::AAAA, ttl, &v6.octets()),
            }
        }
    }

    /// Adds (with a TTL) and removes (`None`) members of a set to which many contribute. Members stay sorted by their
    /// data, so that equal content is equal octets whatever its history. Says whether anything changed.
    pub(crate) fn merge_members(&mut self, edits: &BTreeMap<Box<[u8]>, Option<u32>>) -> bool {
        let mut merged = Self { answer: Vec::with_capacity(self.answer.len()), count: 0, ..self.clone() };
        let mut edits = edits.iter().peekable();
        let mut at = 0;
        while at < self.answer.len() {
            let end = at + RECORD_HEAD + u16_at(&self.answer, at + 10) as usize;
            let member = &self.answer[at + RECORD_HEAD..end];
            while let Some((rdata, ttl)) = edits.next_if(|(rdata, _)| ***rdata < *member) {
                merged.push_member(*ttl, rdata);
            }
            match edits.next_if(|(rdata, _)| ***rdata == *member) {
                Some((rdata, ttl)) => merged.push_member(*ttl, rdata),
                None => {
                    merged.answer.extend_from_slice(&self.answer[at..end]);
                    merged.count += 1;
                }
            }
            at = end;
        }
        for (rdata, ttl) in edits {
            merged.push_member(*ttl, rdata);
        }
        let changed = merged.answer != self.answer;
        *self = merged;
        changed
    }

    fn push_member(&mut self, ttl: Option<u32>, rdata: &[u8]) {
        if let Some(ttl) = ttl {
            self.push(ttl, rdata);
        }
    }
}

/// `target` in wire format, ending in a pointer to the longest suffix it shares with the question `owner`.
pub fn compress(owner: &[u8], target: &[u8]) -> Vec<u8> {
    match shared(owner, target) {
        (kept, None) => target[..kept].to_vec(),
        (kept, Some(pointer)) => [&target[..kept], &pointer.to_be_bytes()].concat(),
    }
}

/// How much of `target` stays, and the pointer to the longest suffix that it shares with the question `owner`.
fn shared(owner: &[u8], target: &[u8]) -> (usize, Option<u16>) {
    let mut at = 0;
    while target[at] != 0 {
        if let Some(offset) = suffix_at(owner, &target[at..]) {
            return (at, Some(0xC000 | (QNAME_AT + offset) as u16));
        }
        at += 1 + target[at] as usize;
    }
    (target.len(), None)
}

/// Where the whole name `suffix` starts in `name`, at a label.
fn suffix_at(name: &[u8], suffix: &[u8]) -> Option<usize> {
    let start = name.len().checked_sub(suffix.len())?;
    let mut at = 0;
    while at < start {
        at += 1 + name[at] as usize;
    }
    (at == start && name[at..] == *suffix).then_some(at)
}

/// The owner of additional records of a set at `owner` that has one SRV record: a pointer to the target in its data.
pub fn only_target(owner: &[u8]) -> [u8; 2] {
    let at = QNAME_AT + owner.len() + QUESTION_TAIL + RECORD_HEAD + SRV_TARGET;
    (0xC000 | at as u16).to_be_bytes()
}

pub(super) fn push_record(out: &mut Vec<u8>, owner: &[u8], rtype: Rtype, ttl: u32, rdata: &[u8]) {
    out.extend_from_slice(owner);
    out.extend_from_slice(&rtype.0.to_be_bytes());
    out.extend_from_slice(&1u16.to_be_bytes());
    out.extend_from_slice(&ttl.to_be_bytes());
    out.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
    out.extend_from_slice(rdata);
}

/// The big-endian number at an offset.
pub(crate) fn u16_at(octets: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([octets[at], octets[at + 1]])
}

/// The big-endian number at an offset.
pub(crate) fn u32_at(octets: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse_absolute(text).expect("test name")
    }

    #[test]
    fn ptr_targets_share_the_question_and_expand_again() {
        let owner = name("_search._tcp.sd.example");
        let targets = [name("a1._search._tcp.sd.example"), name("x.other.example"), name("elsewhere.test")];
        let set = RrSetBuf::ptr(&owner, 30, targets.iter());
        let read = set.as_set(owner.as_wire());
        let stored: Vec<_> = read.records().map(|record| record.rdata.len()).collect();
        assert_eq!(stored, [5, 10, targets[2].as_wire().len()]);
        let expand =
            |record: RecordRef<'_>| Name::from_wire(read.expand(record.rdata, &mut [0; MAX_NAME])).expect("name");
        let expanded: Vec<_> = read.records().map(expand).collect();
        assert_eq!(expanded, targets);
    }

    #[test]
    fn a_set_of_one_record_reads_the_same_without_its_head() {
        let (owner, target) = (name("a1._search._tcp.sd.example"), name("a1.search.sd.example"));
        let addresses: Vec<IpAddr> = ["192.0.2.1", "2001:db8::1"].map(|text| text.parse().expect("address")).into();
        let mut set = RrSetBuf::new(Rtype::SRV);
        set.push_srv(30, [1, 2, 80], target.as_wire());
        let mut two = set.clone();
        two.push_srv(30, [1, 2, 80], target.as_wire());
        set.push_glue(owner.as_wire(), 30, std::iter::once(&addresses[..]));
        let packed = [&[IPV4, 192, 0, 2, 1, IPV6][..], &set.additional[set.additional.len() - 16..]].concat();
        let whole = set.as_set(owner.as_wire());
        let RecordRef { ttl, rdata } = whole.only().expect("it has one record");
        let read = RrSet { body: Body::One { ttl, rdata, addresses: &packed }, ..whole };
        assert!(read.equals(&whole) && whole.equals(&read) && read.is_same(&whole));
        assert_eq!(RrSetBuf::from(read), set);
        assert_eq!(read.answer_len(), set.answer.len());
        assert!(RrSetBuf::from(read.without_additional()).additional.is_empty());
        let record = read.records().next().expect("it has one record");
        assert_eq!((record.ttl, read.target(record.rdata)), (30, Some(target.as_wire())));
        assert!(two.as_set(owner.as_wire()).only().is_none());
    }

    #[test]
    fn members_stay_sorted_whatever_the_order() {
        let edits = |members: &[(&[u8], Option<u32>)]| {
            members.iter().map(|&(rdata, ttl)| (rdata.into(), ttl)).collect::<BTreeMap<Box<[u8]>, _>>()
        };
        let mut one = RrSetBuf::new(Rtype::PTR);
        let mut two = one.clone();
        assert!(one.merge_members(&edits(&[(b"\x01b\0", Some(5)), (b"\x01a\0", Some(5)), (b"\x01c\0", Some(5))])));
        assert!(two.merge_members(&edits(&[(b"\x01c\0", Some(5)), (b"\x01d\0", Some(5))])));
        assert!(two.merge_members(&edits(&[(b"\x01a\0", Some(5)), (b"\x01d\0", None), (b"\x01b\0", Some(5))])));
        assert!(!one.merge_members(&edits(&[(b"\x01a\0", Some(5)), (b"\x01x\0", None)])));
        assert_eq!(one, two);
        assert_eq!(one.count, 3);
    }
}
