//! One bucket of a large set: a packed, immutable run of records.
//!
//! ```text
//! bucket  count u32 | keys u32 x count | heads x count | octets
//! head    place u32 | holders u32 | mark u32 | end of the answer u32 | end of the additional records u32
//! ```
//!
//! Numbers are little-endian; ends count from the start of the octets. Keys stand apart from the rest so that a scan
//! reads nothing else. Records are sorted by their place, then by their data, so that equal content is equal octets.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Edit, Op};
use crate::view::rrset::{RECORD_HEAD, RecordRef, u32_at};

/// A packed bucket.
pub(super) type Bucket = Arc<[u8]>;

const COUNT: usize = 4;
const KEY: usize = 4;
const HEAD: usize = 20;

/// A record in a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'r> {
    /// The record as it goes into a message whose question is its owner.
    pub answer: &'r [u8],
    /// Records about its target, without their owner: type, class, TTL, RDLENGTH, RDATA.
    pub additional: &'r [u8],
    /// Hash of its data: which bucket it is in.
    pub(super) place: u32,
    /// How many contribute it.
    pub(super) holders: u32,
    /// The keys of all who contribute it, combined by exclusive or.
    pub(super) mark: u32,
}

impl<'r> Record<'r> {
    /// Its data, as stored.
    pub fn rdata(&self) -> &'r [u8] {
        &self.answer[RECORD_HEAD..]
    }

    /// The record as that of any set.
    pub fn as_stored(&self) -> RecordRef<'r> {
        RecordRef { ttl: u32_at(self.answer, 6), rdata: self.rdata() }
    }

    /// What clients choose by: the key of who contributes it, or its own if several do.
    fn key(&self) -> u32 {
        if self.holders == 1 { self.mark } else { self.place }
    }

    fn new(edit: &'r Edit) -> Self {
        let Edit { place, key, answer, additional, .. } = edit;
        Self { answer, additional, place: *place, holders: 1, mark: *key }
    }

    /// What tells it from other records, and orders them.
    pub(super) fn identity(&self) -> (u32, &'r [u8], &'r [u8]) {
        (self.place, self.rdata(), self.additional)
    }
}

/// Packs records, which are sorted.
pub(super) fn build(records: &[Record<'_>]) -> Bucket {
    let octets: usize = records.iter().map(|record| record.answer.len() + record.additional.len()).sum();
    let mut packed = Vec::with_capacity(COUNT + records.len() * (KEY + HEAD) + octets);
    packed.extend_from_slice(&(records.len() as u32).to_le_bytes());
    records.iter().for_each(|record| packed.extend_from_slice(&record.key().to_le_bytes()));
    let mut end = 0;
    for Record { answer, additional, place, holders, mark } in records {
        let ends = [end + answer.len(), end + answer.len() + additional.len()];
        end = ends[1];
        for number in [*place, *holders, *mark, ends[0] as u32, ends[1] as u32] {
            packed.extend_from_slice(&number.to_le_bytes());
        }
    }
    for record in records {
        packed.extend_from_slice(record.answer);
        packed.extend_from_slice(record.additional);
    }
    packed.into()
}

/// How many records a bucket has.
pub(super) fn len(bucket: &[u8]) -> usize {
    number(bucket, 0) as usize
}

/// The keys of its records.
pub(super) fn keys(bucket: &[u8]) -> impl ExactSizeIterator<Item = u32> {
    let keys = &bucket[COUNT..COUNT + len(bucket) * KEY];
    keys.chunks_exact(KEY).map(|key| u32::from_le_bytes([key[0], key[1], key[2], key[3]]))
}

/// One of its records.
pub(super) fn record(bucket: &[u8], at: usize) -> Record<'_> {
    let count = len(bucket);
    let head = |at: usize| COUNT + count * KEY + at * HEAD;
    let octets = &bucket[head(count)..];
    let start = at.checked_sub(1).map_or(0, |before| number(bucket, head(before) + 16) as usize);
    let this = head(at);
    let (middle, end) = (number(bucket, this + 12) as usize, number(bucket, this + 16) as usize);
    Record {
        answer: &octets[start..middle],
        additional: &octets[middle..end],
        place: number(bucket, this),
        holders: number(bucket, this + 4),
        mark: number(bucket, this + 8),
    }
}

/// All its records, in their order.
pub(super) fn records(bucket: &[u8]) -> impl Iterator<Item = Record<'_>> {
    (0..len(bucket)).map(|at| record(bucket, at))
}

/// Applies edits, which are sorted as [`compare`] says, to sorted records.
pub(super) fn merge<'r>(records: impl Iterator<Item = Record<'r>>, edits: &[&'r Edit]) -> Vec<Record<'r>> {
    let mut merged = Vec::with_capacity(records.size_hint().0 + edits.len());
    let mut edits = edits.iter().copied().peekable();
    for record in records {
        while let Some(edit) = edits.next_if(|edit| Record::new(edit).identity() < record.identity()) {
            merge_new(&mut merged, edit);
        }
        let mut now = Some(record);
        while let Some(edit) = edits.next_if(|edit| Record::new(edit).identity() == record.identity()) {
            now = apply(now, edit);
        }
        merged.extend(now);
    }
    edits.for_each(|edit| merge_new(&mut merged, edit));
    merged
}

/// Applies an edit of a record that was not there, unless the edit before it added it.
fn merge_new<'r>(merged: &mut Vec<Record<'r>>, edit: &'r Edit) {
    let is_last = merged.last().is_some_and(|last| last.identity() == Record::new(edit).identity());
    let last = if is_last { merged.pop() } else { None };
    merged.extend(apply(last, edit));
}

fn apply<'r>(record: Option<Record<'r>>, edit: &'r Edit) -> Option<Record<'r>> {
    match (edit.op, record) {
        (Op::Hold, Some(record)) => {
            Some(Record { answer: &edit.answer, holders: record.holders + 1, mark: record.mark ^ edit.key, ..record })
        }
        (Op::Hold, None) | (Op::Put, _) => Some(Record::new(edit)),
        (Op::Release, Some(record)) if record.holders > 1 => {
            Some(Record { holders: record.holders - 1, mark: record.mark ^ edit.key, ..record })
        }
        (Op::Release | Op::Drop, _) => None,
    }
}

/// The order of edits that [`merge`] expects; edits of one record keep theirs.
pub(super) fn compare(one: &Edit, two: &Edit) -> Ordering {
    Record::new(one).identity().cmp(&Record::new(two).identity())
}

fn number(bucket: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bucket[at], bucket[at + 1], bucket[at + 2], bucket[at + 3]])
}
