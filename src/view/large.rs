//! Large sets: sets of very many records, and sets of which clients get a part.
//!
//! # What it holds
//!
//! The records of one name and type, ready to be copied into a message, each with the ready records about its target
//! and with a key by which clients choose (see [`choose`](self::ClientPrefix)). All sets that a service of more than
//! [`BIG`] instances shares are large, and so are those of a service that declares an `answer_limit` below its
//! count, and sets to which many services contribute when they have more than [`BIG`] records. So it is decided by
//! content alone, never by history.
//!
//! # Shape
//!
//! Classes, which are the priorities of SRV records (other types have one class); in each the records lie in buckets of
//! some fifty, by the hash of their data. A bucket is one packed allocation. A change copies the lists of buckets and
//! rebuilds one bucket: it costs the same in a set of a thousand records and in one of a hundred thousand.
//!
//! Several instances may contribute the same record, such as their common address. It is held once, with the number of
//! those who contribute it, so that a change of one needs no look at the others. Its key is the key of the instance
//! that contributes it, so that SRV records and addresses of one instance score alike for a client, and the hash of the
//! record itself if several do.
//!
//! # Limits
//!
//! The hash has a key that everybody can read, because all servers must choose alike. Who may register instances of a
//! service can therefore find ids whose records lie in one bucket: a change of that service then costs as much as
//! without buckets, answers from it consider some thousands of these records, and no other service notices.

mod bucket;
mod choose;
mod hashed;
mod members;

use std::sync::Arc;

use crate::model::Rtype;
use crate::view::rrset::{QNAME_AT, QUESTION_TAIL, u16_at};

pub use bucket::Record;
pub(crate) use choose::stable_hash;
pub use choose::{ClientPrefix, MOST, POOL, Pick};
use hashed::{Hashed, Totals};
pub(crate) use members::{merge_members, of_members};

/// Services with more instances, and common sets with more records, are kept as large sets.
pub const BIG: usize = 256;
/// Octets of a message over a stream that are kept free for OPT when a set is larger than a message.
pub const RESERVED: usize = 512;
/// The largest message over a stream.
const MESSAGE: usize = 65_535;

/// A set of very many records, or one of which clients get a part.
#[derive(Debug, Clone)]
pub struct LargeSet {
    rtype: Rtype,
    limit: Option<u32>,
    classes: Vec<Class>,
    totals: Totals,
}

/// The records of one priority.
type Class = (u16, Arc<Hashed>);

/// The records of a large set, in stored order.
#[derive(Debug, Clone)]
pub struct Records<'v> {
    set: &'v LargeSet,
    class: usize,
    bucket: usize,
    at: usize,
}

impl<'v> Records<'v> {
    /// The bucket that comes next; what is behind the last of a class is the first of the next class.
    fn bucket(&mut self) -> Option<&'v [u8]> {
        let mut class = &self.set.classes.get(self.class)?.1;
        if self.bucket == class.buckets() {
            (self.class, self.bucket) = (self.class + 1, 0);
            class = &self.set.classes.get(self.class)?.1;
        }
        Some(class.bucket(self.bucket))
    }
}

impl<'v> Iterator for Records<'v> {
    type Item = Record<'v>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let bucket = self.bucket()?;
            if self.at < bucket::len(bucket) {
                self.at += 1;
                return Some(bucket::record(bucket, self.at - 1));
            }
            (self.bucket, self.at) = (self.bucket + 1, 0);
        }
    }
}

/// What stands outside its shard, so that a change beside it does not copy it.
#[derive(Debug, Clone)]
pub(crate) enum Outside {
    /// A body as an entry would have it.
    Octets(Arc<[u8]>),
    /// A large set.
    Set(Arc<LargeSet>),
}

impl Outside {
    /// Octets that it takes.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Octets(octets) => octets.len(),
            Self::Set(set) => set.size(),
        }
    }
}

/// What happens to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Somebody contributes it.
    Hold,
    /// Somebody who contributed it does so no longer.
    Release,
    /// It is there, whoever wants it.
    Put,
    /// It is not there.
    Drop,
}

/// One change of a large set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    op: Op,
    class: u16,
    place: u32,
    key: u32,
    answer: Vec<u8>,
    additional: Vec<u8>,
}

impl Edit {
    /// An edit of the record that is `answer` in a message. `key` is that of who contributes it.
    pub fn new(op: Op, key: u32, answer: Vec<u8>, additional: Vec<u8>) -> Self {
        let rdata = &answer[crate::view::rrset::RECORD_HEAD..];
        let place = stable_hash(rdata) as u32;
        let class = if u16_at(&answer, 2) == Rtype::SRV.0 { u16_at(rdata, 0) } else { 0 };
        Self { op, class, place, key, answer, additional }
    }

    /// An edit of a record that nobody in particular contributes.
    pub fn of_member(op: Op, answer: Vec<u8>) -> Self {
        let edit = Self::new(op, 0, answer, Vec::new());
        Self { key: edit.place, ..edit }
    }

    /// The record without its owner, as it goes behind another one.
    pub(crate) fn without_owner(self) -> Vec<u8> {
        self.answer[2..].to_vec()
    }

    /// The same record, and another thing that happens to it.
    pub fn with(self, op: Op) -> Self {
        Self { op, ..self }
    }
}

impl PartialEq for LargeSet {
    /// Compares only what the two do not share.
    fn eq(&self, other: &Self) -> bool {
        let same =
            |((class, one), (other, two)): (&Class, &Class)| class == other && (Arc::ptr_eq(one, two) || one == two);
        (self.rtype, self.limit, self.totals) == (other.rtype, other.limit, other.totals)
            && self.classes.len() == other.classes.len()
            && self.classes.iter().zip(&other.classes).all(same)
    }
}

impl Eq for LargeSet {}

impl LargeSet {
    /// A set without records, of which clients get at most `limit`.
    pub fn new(rtype: Rtype, limit: Option<u32>) -> Self {
        Self { rtype, limit, classes: Vec::new(), totals: Totals::default() }
    }

    /// Type of all its records.
    pub fn rtype(&self) -> Rtype {
        self.rtype
    }

    /// How many records clients get at most, if that was declared.
    pub fn limit(&self) -> Option<usize> {
        self.limit.map(|limit| limit as usize)
    }

    /// Different records.
    pub fn len(&self) -> usize {
        self.totals.records
    }

    /// Whether it has no record.
    pub fn is_empty(&self) -> bool {
        self.totals.records == 0
    }

    /// Octets of all records.
    pub fn octets(&self) -> usize {
        self.totals.octets
    }

    /// Records about targets.
    pub fn additional_len(&self) -> usize {
        self.totals.additional
    }

    /// Octets of them all without their owners.
    pub fn additional_octets(&self) -> usize {
        self.totals.additional_octets
    }

    /// Memory that it takes, but for lists.
    pub fn size(&self) -> usize {
        self.classes.iter().flat_map(|(_, class)| class.all()).map(|bucket| bucket.len()).sum()
    }

    /// Every record, in stored order.
    pub fn records(&self) -> Records<'_> {
        Records { set: self, class: 0, bucket: 0, at: 0 }
    }

    /// The records from the one of that number on, in stored order.
    pub fn records_from(&self, number: usize) -> Records<'_> {
        let mut records = self.records();
        let mut left = number;
        while let Some(bucket) = records.bucket().filter(|bucket| bucket::len(bucket) <= left) {
            left -= bucket::len(bucket);
            records.bucket += 1;
        }
        records.at = left;
        records
    }

    /// Applies edits; those of one record in their order.
    pub fn apply<'e>(&mut self, edits: impl IntoIterator<Item = &'e Edit>) {
        let mut sorted: Vec<&Edit> = edits.into_iter().collect();
        sorted.sort_by_key(|edit| edit.class);
        for edits in sorted.chunk_by(|one, two| one.class == two.class) {
            let class = edits[0].class;
            let at = self.classes.binary_search_by_key(&class, |(class, _)| *class).unwrap_or_else(|at| {
                self.classes.insert(at, (class, Arc::new(Hashed::empty())));
                at
            });
            Arc::make_mut(&mut self.classes[at].1).apply(edits.to_vec());
            if self.classes[at].1.totals.records == 0 {
                self.classes.remove(at);
            }
        }
        self.totals = self.classes.iter().fold(Totals::default(), |sum, (_, class)| sum.plus(class.totals));
    }

    /// How many records a message over a stream holds, for a question of that owner: exact if all are equally long.
    pub fn answered(&self, owner: &[u8]) -> usize {
        let room = MESSAGE - RESERVED - QNAME_AT - owner.len() - QUESTION_TAIL;
        let most = self.limit().unwrap_or(usize::MAX).min(self.len());
        match self.octets() {
            octets if octets <= room => most,
            octets => most.min(room * self.len() / octets),
        }
    }
}

/// Applies edits to the large sets of a name, which are sorted by type; those of one record in their order. Clients get
/// at most `limit` records of a set that comes to exist by that.
pub(crate) fn apply(sets: &mut Vec<Arc<LargeSet>>, edits: &[(Rtype, Edit)], limit: Option<u32>) {
    let mut sorted: Vec<&(Rtype, Edit)> = edits.iter().collect();
    sorted.sort_by_key(|(rtype, _)| rtype.0);
    for edits in sorted.chunk_by(|(one, _), (two, _)| one == two) {
        let rtype = edits[0].0;
        let at = sets.binary_search_by_key(&rtype.0, |set| set.rtype.0).unwrap_or_else(|at| {
            sets.insert(at, Arc::new(LargeSet::new(rtype, limit)));
            at
        });
        Arc::make_mut(&mut sets[at]).apply(edits.iter().map(|(_, edit)| edit));
        if sets[at].is_empty() {
            sets.remove(at);
        }
    }
}

/// How many records are answered of the first set that is not answered whole: `1300 of 10000`. Services come before
/// addresses, and these before pointers.
pub(crate) fn answers(sets: &[Arc<LargeSet>], owner: &[u8]) -> Option<String> {
    let types = [Rtype::SRV, Rtype::A, Rtype::AAAA, Rtype::PTR];
    let in_order = types.iter().flat_map(|rtype| sets.iter().filter(move |set| set.rtype == *rtype));
    let mut parts = in_order.map(|set| (set.answered(owner), set.len())).filter(|(answered, count)| answered < count);
    parts.next().map(|(answered, count)| format!("{answered} of {count}"))
}

/// The records about the target of a record: type, and octets from the type to the end of the data.
pub fn additional<'r>(record: &Record<'r>) -> impl Iterator<Item = &'r [u8]> + use<'r> {
    let mut rest = record.additional;
    std::iter::from_fn(move || {
        let length = 10 + usize::from(u16_at(rest.get(..10)?, 8));
        let (one, behind) = rest.split_at_checked(length)?;
        rest = behind;
        Some(one)
    })
}

#[cfg(test)]
mod tests;
