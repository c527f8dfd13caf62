//! A frame: one batch as octets, the rows and changes as they will stand in the trees.
//!
//! | octets | what |
//! | --- | --- |
//! | 8 | `zbjrnl`, version 1, newline |
//! | 32 | id of the store |
//! | 8 | number of the commit |
//! | 8 | revision before it |
//! | 8 | revision after it |
//! | 8 | octets of the entries |
//! | 8 | SipHash-1-3 of everything but this field |
//! | | entries, then zeros up to a whole block |
//!
//! What an entry is, `entry` says. Numbers are little-endian.

use std::hash::Hasher;
use std::ops::Range;

use siphasher::sip::SipHasher13;

use super::super::super::Batch;
use super::super::super::entry::{self, Entry};
use super::super::fault::{Fault, Result};
use crate::model::Revision;

/// Frames begin at multiples of this, so that writing one touches no block of another.
pub(in super::super) const BLOCK: usize = 4096;
/// In place of the id of a store, of entries that never stand in a journal.
pub(in super::super) const NOBODY: &str = "00000000000000000000000000000000";
const MAGIC: &[u8; 8] = b"zbjrnl\x01\n";
const HEADER: usize = 80;
/// Where the header has the id of the store.
const ID: Range<usize> = 8..40;
/// Where the header has its checksum.
const CHECK: Range<usize> = 72..80;

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Header {
    pub(in super::super) id: String,
    pub(in super::super) sequence: u64,
    pub(in super::super) before: Revision,
    pub(in super::super) revision: Revision,
    /// Octets of the entries.
    length: u64,
}

impl Header {
    /// Reads the header that may begin a block.
    pub(in super::super) fn parse(block: &[u8]) -> Option<Self> {
        let header = block.first_chunk::<HEADER>()?;
        if header[..8] != *MAGIC {
            return None;
        }
        let number = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight octets"));
        let id = std::str::from_utf8(&header[ID]).ok()?.to_owned();
        let (before, revision) = (Revision(number(48)), Revision(number(56)));
        Some(Self { id, sequence: number(40), before, revision, length: number(64) })
    }

    /// Octets that the frame takes, in whole blocks; none if no file could hold it.
    pub(in super::super) fn octets(&self) -> Option<u64> {
        self.length.checked_add(HEADER as u64)?.checked_next_multiple_of(BLOCK as u64)
    }
}

/// Writes a batch as a frame into `buffer`, in place of what that held. Returns the revision after it.
pub(in super::super) fn encode(batch: &Batch, id: &str, sequence: u64, buffer: &mut Vec<u8>) -> Result<Revision> {
    begin(buffer);
    let last = entry::push_batch(buffer, batch)?;
    end(buffer, id, sequence, batch.expected, last);
    Ok(last)
}

/// Makes place for the header.
pub(in super::super) fn begin(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.resize(HEADER, 0);
}

/// Completes a frame whose entries are in the buffer.
pub(in super::super) fn end(buffer: &mut Vec<u8>, id: &str, sequence: u64, before: Revision, after: Revision) {
    let length = (buffer.len() - HEADER) as u64;
    buffer[..8].copy_from_slice(MAGIC);
    buffer[ID].copy_from_slice(id.as_bytes());
    for (at, number) in [(40, sequence), (48, before.0), (56, after.0), (64, length)] {
        buffer[at..at + 8].copy_from_slice(&number.to_le_bytes());
    }
    let check = checksum(buffer);
    buffer[CHECK].copy_from_slice(&check.to_le_bytes());
    buffer.resize(buffer.len().next_multiple_of(BLOCK), 0);
}

/// Whether the octets from `header` on are a whole frame, as it was written.
pub(in super::super) fn is_whole(header: &Header, frame: &[u8]) -> bool {
    let end = HEADER + header.length as usize;
    frame.len() >= end && frame[CHECK] == checksum(&frame[..end]).to_le_bytes()
}

/// Over everything but the checksum itself.
fn checksum(frame: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(&frame[..CHECK.start]);
    hasher.write(&frame[CHECK.end..]);
    hasher.finish()
}

/// Reads the entries of a whole frame.
pub(in super::super) fn entries<'f>(header: &Header, frame: &'f [u8], into: &mut Vec<Entry<'f>>) -> Result<()> {
    entry::parse(&frame[HEADER..HEADER + header.length as usize], into).ok_or_else(|| {
        Fault::Damaged(format!("commit {} of its journal is not what this server writes", header.sequence))
    })
}
