//! Buffers of shards that were replaced, for those that are built next.
//!
//! **What it holds.** The octets of replaced shards, by their length. Older views may still read them; a buffer is used
//! again when nobody does, which its counter says. So a writer that changes shards all the time asks the allocator for
//! none: blocks of some kilobytes among many small ones are what an allocator is slowest at.
//!
//! **Who changes it.** The one that compiles; readers know nothing of it. Changed shards have few lengths
//! ([`super::patch`]), so that most often one of theirs suits. Those of a full compile have any length, which no other
//! one wants: the allocator gets them back.
//!
//! **Limits.** [`MOST`] octets; what comes beyond that takes the place of the shortest, or is left to the allocator.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::size::filled;

/// Octets that are kept, free or not yet.
const MOST: usize = 16 << 20;
/// Octets of a shard that is too small to be kept.
const SMALL: usize = 512;

/// Buffers of one length that are looked at for one that nobody reads. They become free in the order in which they
/// came; if none of these is free, others hardly are, unless somebody reads the first one for long.
const LOOKED_AT: usize = 4;

/// Buffers of replaced shards.
#[derive(Debug, Default)]
pub struct Spare {
    /// Those of one length in the order in which they become free, about.
    buffers: BTreeMap<usize, VecDeque<Arc<[u8]>>>,
    octets: usize,
}

impl Spare {
    /// Takes the octets of a shard that was replaced.
    pub(crate) fn keep(&mut self, mut octets: Arc<[u8]>) {
        let length = octets.len();
        if length < SMALL || length != filled(length) {
            return;
        }
        while self.octets + length > MOST {
            if !self.forget_one_but(length) {
                return;
            }
        }
        self.octets += length;
        let alike = self.buffers.entry(length).or_default();
        match Arc::get_mut(&mut octets) {
            Some(_) => alike.push_front(octets),
            None => alike.push_back(octets),
        }
    }

    /// Lets a buffer go that has another length: a table that grows has no more need of the shortest. Says whether
    /// there was one.
    fn forget_one_but(&mut self, length: usize) -> bool {
        let mut others = self.buffers.keys().copied().filter(|other| *other != length);
        let Some(other) = others.next() else { return false };
        let gone = self.buffers.get_mut(&other).and_then(VecDeque::pop_front);
        if self.buffers.get(&other).is_none_or(VecDeque::is_empty) {
            self.buffers.remove(&other);
        }
        self.octets -= gone.map_or(0, |gone| gone.len());
        true
    }

    /// A buffer of that length, which nobody else has; what it holds means nothing.
    pub(crate) fn take(&mut self, length: usize) -> Arc<[u8]> {
        self.kept(length).unwrap_or_else(|| std::iter::repeat_n(0, length).collect())
    }

    fn kept(&mut self, length: usize) -> Option<Arc<[u8]>> {
        let alike = self.buffers.get_mut(&length)?;
        let is_free = |buffer: &mut Arc<[u8]>| Arc::get_mut(buffer).is_some();
        let Some(free) = alike.iter_mut().take(LOOKED_AT).position(is_free) else {
            alike.rotate_left(1);
            return None;
        };
        let buffer = alike.remove(free)?;
        if alike.is_empty() {
            self.buffers.remove(&length);
        }
        self.octets -= length;
        Some(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A length that changed shards may have.
    const LENGTH: usize = 1024 - 16;

    fn copy<const COUNT: usize>(spare: &mut Spare, octets: [u8; COUNT]) -> Arc<[u8]> {
        let mut buffer = spare.take(COUNT);
        Arc::get_mut(&mut buffer).expect("nobody reads it").copy_from_slice(&octets);
        buffer
    }

    #[test]
    fn a_buffer_is_used_again_when_nobody_reads_it() {
        let mut spare = Spare::default();
        let read: Arc<[u8]> = vec![1; LENGTH].into();
        spare.keep(Arc::clone(&read));
        let other = copy(&mut spare, [2; LENGTH]);
        assert_eq!((read[0], other[0]), (1, 2));
        let place = read.as_ptr();
        drop(read);
        let again = copy(&mut spare, [3; LENGTH]);
        assert_eq!((again.as_ptr(), again[0], spare.octets), (place, 3, 0));
        spare.keep(again);
        assert_ne!(spare.take(2 * LENGTH).len(), LENGTH, "another length");
    }

    #[test]
    fn a_buffer_that_is_read_for_long_does_not_keep_others_from_use() {
        let mut spare = Spare::default();
        let read: Vec<Arc<[u8]>> = (0..20).map(|_| vec![0; LENGTH].into()).collect();
        read.iter().for_each(|octets| spare.keep(Arc::clone(octets)));
        let free: Arc<[u8]> = vec![1; LENGTH].into();
        let place = free.as_ptr();
        spare.buffers.get_mut(&LENGTH).unwrap().push_back(free);
        spare.octets += LENGTH;
        let copies: Vec<Arc<[u8]>> = (0..20).map(|_| copy(&mut spare, [2; LENGTH])).collect();
        assert!(copies.iter().any(|copy| copy.as_ptr() == place));
        assert!(read.iter().all(|octets| octets[0] == 0));
    }

    #[test]
    fn what_no_changed_shard_has_the_length_of_is_not_kept() {
        let mut spare = Spare::default();
        spare.keep(vec![0; LENGTH - 1].into());
        assert_eq!((spare.octets, filled(LENGTH)), (0, LENGTH));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut spare = Spare::default();
        let read: Vec<Arc<[u8]>> = (0..40).map(|_| vec![0; (1 << 19) - 16].into()).collect();
        read.iter().for_each(|octets| spare.keep(Arc::clone(octets)));
        assert!(spare.octets <= MOST && spare.octets > MOST - (1 << 19));
        drop(read);
        (0..3).for_each(|_| spare.keep(vec![0; LENGTH].into()));
        assert!(spare.octets <= MOST && spare.kept(LENGTH).is_some(), "what comes last is what is needed");
        let octets: usize = spare.buffers.iter().map(|(length, alike)| length * alike.len()).sum();
        assert_eq!(spare.octets, octets);
    }
}
