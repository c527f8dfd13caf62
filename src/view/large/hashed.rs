//! The records of one class of a large set, in buckets by the hash of their data: linear hashing.
//!
//! The number of buckets follows from the number of records alone, one more for every [`PER_BUCKET`]: where it grows
//! one bucket is split, where it shrinks the last one goes back into the one that it came from. So there is no size at
//! which everything is laid out anew, and equal content lies equally whatever its history. Buckets are listed in
//! chunks, so that a change copies two short lists and the buckets that it touches.

use std::sync::Arc;

use super::Edit;
use super::bucket::{self, Bucket, Record};

/// Records that a bucket has on average, at most.
const PER_BUCKET: usize = 48;
/// Buckets that are listed together.
const CHUNK: usize = 64;

/// Records in buckets.
#[derive(Debug, Clone)]
pub(super) struct Hashed {
    chunks: Vec<Arc<Vec<Bucket>>>,
    buckets: usize,
    pub(super) totals: Totals,
}

/// Sums over records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) records: usize,
    /// Octets of the answer section.
    pub(super) octets: usize,
    pub(super) additional: usize,
    /// Octets of the additional section without owners.
    pub(super) additional_octets: usize,
}

impl Totals {
    fn add(&mut self, record: &Record<'_>) {
        self.records += 1;
        self.octets += record.answer.len();
        self.additional += super::additional(record).count();
        self.additional_octets += record.additional.len();
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            records: self.records + other.records,
            octets: self.octets + other.octets,
            additional: self.additional + other.additional,
            additional_octets: self.additional_octets + other.additional_octets,
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            records: self.records - other.records,
            octets: self.octets - other.octets,
            additional: self.additional - other.additional,
            additional_octets: self.additional_octets - other.additional_octets,
        }
    }

    fn of<'r>(records: impl Iterator<Item = Record<'r>>) -> Self {
        let mut totals = Self::default();
        records.for_each(|record| totals.add(&record));
        totals
    }
}

impl PartialEq for Hashed {
    /// Compares only what the two do not share.
    fn eq(&self, other: &Self) -> bool {
        let same = |(one, two): (&Arc<Vec<Bucket>>, &Arc<Vec<Bucket>>)| {
            Arc::ptr_eq(one, two) || one.iter().zip(&**two).all(|(one, two)| Arc::ptr_eq(one, two) || one == two)
        };
        self.buckets == other.buckets && self.totals == other.totals && self.chunks.iter().zip(&other.chunks).all(same)
    }
}

impl Hashed {
    pub(super) fn empty() -> Self {
        Self { chunks: vec![Arc::new(vec![bucket::build(&[])])], buckets: 1, totals: Totals::default() }
    }

    /// How many buckets there are.
    pub(super) fn buckets(&self) -> usize {
        self.buckets
    }

    pub(super) fn bucket(&self, number: usize) -> &Bucket {
        &self.chunks[number / CHUNK][number % CHUNK]
    }

    /// Every bucket, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Bucket> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// Applies edits; those of one record in their order. Costs what they touch, or everything once when they are many.
    pub(super) fn apply(&mut self, mut edits: Vec<&Edit>) {
        edits.sort_by(|one, two| bucket::compare(one, two));
        if edits.len() > self.totals.records / 4 {
            return self.rebuild(&edits);
        }
        let buckets = self.buckets;
        let number = |edit: &Edit| index(edit.place, buckets);
        edits.sort_by_key(|edit| number(edit));
        for edits in edits.chunk_by(|one, two| number(one) == number(two)) {
            let number = number(edits[0]);
            let before = Arc::clone(self.bucket(number));
            let merged = bucket::merge(bucket::records(&before), edits);
            let (gone, come) = (Totals::of(bucket::records(&before)), Totals::of(merged.iter().copied()));
            self.totals = self.totals.minus(gone).plus(come);
            *self.bucket_mut(number) = bucket::build(&merged);
        }
        self.resize();
    }

    fn rebuild(&mut self, edits: &[&Edit]) {
        let before = self.clone();
        let mut records: Vec<Record<'_>> = before.all().flat_map(|bucket| bucket::records(bucket)).collect();
        records.sort_by_key(Record::identity);
        let merged = bucket::merge(records.into_iter(), edits);
        self.totals = Totals::of(merged.iter().copied());
        self.buckets = wanted(self.totals.records);
        let mut parts: Vec<Vec<Record<'_>>> = vec![Vec::new(); self.buckets];
        merged.iter().for_each(|record| parts[index(record.place, self.buckets)].push(*record));
        let packed: Vec<Bucket> = parts.iter().map(|records| bucket::build(records)).collect();
        self.chunks = packed.chunks(CHUNK).map(|chunk| Arc::new(chunk.to_vec())).collect();
    }

    fn resize(&mut self) {
        while self.buckets < wanted(self.totals.records) {
            self.split();
        }
        while self.buckets > wanted(self.totals.records) {
            self.unite();
        }
    }

    /// One bucket more: it takes its share from the one that had it before.
    fn split(&mut self) {
        let (new, from) = (self.buckets, index(self.buckets as u32, self.buckets));
        let before = Arc::clone(self.bucket(from));
        let (go, stay): (Vec<_>, Vec<_>) =
            bucket::records(&before).partition(|record| index(record.place, new + 1) == new);
        *self.bucket_mut(from) = bucket::build(&stay);
        match self.chunks.last_mut().filter(|chunk| chunk.len() < CHUNK) {
            Some(chunk) => Arc::make_mut(chunk).push(bucket::build(&go)),
            None => self.chunks.push(Arc::new(vec![bucket::build(&go)])),
        }
        self.buckets += 1;
    }

    /// One bucket less: the last one goes back to where it came from.
    fn unite(&mut self) {
        let last = self.buckets - 1;
        let into = index(last as u32, last);
        let (one, two) = (Arc::clone(self.bucket(into)), Arc::clone(self.bucket(last)));
        let mut records: Vec<_> = bucket::records(&one).chain(bucket::records(&two)).collect();
        records.sort_by_key(Record::identity);
        *self.bucket_mut(into) = bucket::build(&records);
        if let Some(chunk) = self.chunks.last_mut() {
            Arc::make_mut(chunk).pop();
        }
        self.chunks.retain(|chunk| !chunk.is_empty());
        self.buckets = last;
    }

    fn bucket_mut(&mut self, number: usize) -> &mut Bucket {
        &mut Arc::make_mut(&mut self.chunks[number / CHUNK])[number % CHUNK]
    }
}

/// How many buckets so many records lie in.
fn wanted(records: usize) -> usize {
    records / PER_BUCKET + 1
}

/// The bucket of a hash among `buckets`: its last bits, one of them less where that bucket does not exist yet.
pub(super) fn index(place: u32, buckets: usize) -> usize {
    let above = buckets.next_power_of_two();
    let index = place as usize & (above - 1);
    if index < buckets { index } else { index - above / 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bucket_more_takes_its_records_from_one_bucket() {
        for buckets in 1..300 {
            let from = index(buckets as u32, buckets);
            for place in 0..2000 {
                let (before, after) = (index(place, buckets), index(place, buckets + 1));
                assert!(after == before || (after == buckets && before == from), "{place} in {buckets}");
            }
        }
    }
}
