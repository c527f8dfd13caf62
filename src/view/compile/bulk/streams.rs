//! Encoded entries on their way to their shards.
//!
//! Where an entry belongs is anywhere: written there at once, each would wait for memory that is in no cache, and every
//! shard's buffer would need its size beforehand. So entries are appended to the stream of 256 neighbouring shards, of
//! which there are few enough to be written quickly, and a stream is taken apart when all are complete: one megabyte
//! at a time.
//!
//! ```text
//! record  shard of the stream u8 | tag u16 | length and octets of the entry
//! ```
//!
//! A stream is a list of blocks, so that nothing is moved when it grows, and a block that is not full
//! takes no more memory than was written to it. Blocks go away as soon as they have been taken apart,
//! which makes room for the shards.

use super::Content;
use crate::model::packed::{Reader, put_octets};
use crate::view::shard::ShardBuilder;
use crate::view::table::{ALL_SHARDS, Slot};

/// Shards of one stream.
pub(super) const SHARDS: usize = 256;
/// How many streams there are.
pub(super) const STREAMS: usize = ALL_SHARDS / SHARDS;
/// Octets of a block.
const BLOCK: usize = 256 << 10;
/// Octets of a record besides the entry, at most.
const HEAD: usize = 8;

/// A stretch of a stream.
pub(super) type Block = Vec<u8>;

/// New entries, in the order in which they came.
pub(super) struct Streams {
    streams: Vec<Vec<Block>>,
    /// Empty blocks to use first.
    spare: Vec<Block>,
    /// Where entries are encoded.
    scratch: ShardBuilder,
    /// Entries with large bodies, which do not stand among the octets.
    aside: Vec<(Slot, Box<[u8]>, Content)>,
    entries: usize,
}

/// Blocks for so many octets.
pub(super) fn blocks(octets: usize) -> Vec<Block> {
    (0..octets.div_ceil(BLOCK)).map(|_| Vec::with_capacity(BLOCK)).collect()
}

impl Streams {
    pub(super) fn new(spare: Vec<Block>) -> Self {
        let streams = std::iter::repeat_with(Vec::new).take(STREAMS).collect();
        Self { streams, spare, scratch: ShardBuilder::default(), aside: Vec::new(), entries: 0 }
    }

    /// Adds an entry.
    pub(super) fn push(&mut self, slot: Slot, name: &[u8], content: Content) {
        self.entries += 1;
        self.scratch.clear();
        content.push(&mut self.scratch, slot.tag, name);
        let Some(octets) = self.scratch.encoded() else {
            self.aside.push((slot, name.into(), content));
            return;
        };
        let (stream, shard) = place(slot);
        let blocks = &mut self.streams[stream];
        let needed = octets.len() + HEAD;
        if blocks.last().is_none_or(|block| block.capacity() - block.len() < needed) {
            let spare = self.spare.pop().filter(|block| block.capacity() >= needed);
            blocks.push(spare.unwrap_or_else(|| Vec::with_capacity(BLOCK.max(needed))));
        }
        let block = blocks.last_mut().expect("there is a block with room");
        block.push(shard as u8);
        block.extend_from_slice(&slot.tag.to_le_bytes());
        put_octets(block, octets);
    }

    /// How many entries there are.
    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    /// Gives back the blocks that are not needed.
    pub(super) fn finish(self) -> Self {
        Self { spare: Vec::new(), ..self }
    }

    /// Moves the entries of a stream to the builders of its shards, those with large bodies not yet.
    pub(super) fn take(&mut self, stream: usize, builders: &mut [ShardBuilder]) {
        for block in std::mem::take(&mut self.streams[stream]) {
            let mut reader = Reader(&block);
            while !reader.0.is_empty() {
                let shard = usize::from(reader.octet());
                let tag = u16::from_le_bytes([reader.octet(), reader.octet()]);
                builders[shard].push_encoded(tag, reader.octets());
            }
        }
    }

    /// Adds the entries of a stream that have large bodies.
    pub(super) fn add_aside(&self, stream: usize, builders: &mut [ShardBuilder]) {
        for (slot, name, content) in &self.aside {
            let (of, shard) = place(*slot);
            if of == stream {
                content.push(&mut builders[shard], slot.tag, name);
            }
        }
    }
}

/// The stream of a slot, and its shard among those of the stream.
fn place(slot: Slot) -> (usize, usize) {
    (usize::from(slot.shard) / SHARDS, usize::from(slot.shard) % SHARDS)
}
