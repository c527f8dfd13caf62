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
//! An entry is a tag (the table; the highest bit says that the row goes), the lengths of both parts of the key (2
//! octets each) and of the value (4), and these three. Numbers are little-endian. Text has no control characters in
//! keys and in JSON, so no entry looks like a frame.

use std::hash::Hasher;
use std::io;
use std::ops::Range;

use serde::Serialize;
use siphasher::sip::SipHasher13;

use super::super::super::{Batch, Write};
use super::super::fault::{Fault, Result};
use super::super::rows::{Entry, RowKey};
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
/// Octets of an entry before its key.
const ENTRY: usize = 9;

// Tags of entries.
const INSTANCE: u8 = 1;
const SERVICE: u8 = 2;
const TOKEN: u8 = 3;
const ZONE: u8 = 4;
const CHANGE: u8 = 5;
const RECORDS: u8 = 6;
const SESSION: u8 = 7;
const REMOVED: u8 = 0x80;

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
    buffer.clear();
    buffer.resize(HEADER, 0);
    batch.writes.iter().try_for_each(|write| push_write(buffer, write))?;
    let mut last = batch.expected;
    for change in &batch.changes {
        if change.revision <= last {
            return Err(io::Error::other(format!("change {} follows change {last}", change.revision)).into());
        }
        last = change.revision;
        push(buffer, &RowKey::Change(last.0), Some(change))?;
    }
    let length = (buffer.len() - HEADER) as u64;
    buffer[..8].copy_from_slice(MAGIC);
    buffer[ID].copy_from_slice(id.as_bytes());
    for (at, number) in [(40, sequence), (48, batch.expected.0), (56, last.0), (64, length)] {
        buffer[at..at + 8].copy_from_slice(&number.to_le_bytes());
    }
    let check = checksum(buffer);
    buffer[CHECK].copy_from_slice(&check.to_le_bytes());
    buffer.resize(buffer.len().next_multiple_of(BLOCK), 0);
    Ok(last)
}

fn push_write(buffer: &mut Vec<u8>, write: &Write) -> Result<()> {
    match write {
        Write::Instance(service, row) => push(buffer, &RowKey::Instance(service, &row.id), Some(&**row)),
        Write::RemoveInstance(service, id) => push::<()>(buffer, &RowKey::Instance(service, id), None),
        Write::Service(service, row) => push(buffer, &RowKey::Service(service), Some(row)),
        Write::RemoveService(service) => push::<()>(buffer, &RowKey::Service(service), None),
        Write::Token(token) => push(buffer, &RowKey::Token(&token.id), Some(&**token)),
        Write::RemoveToken(id) => push::<()>(buffer, &RowKey::Token(id), None),
        Write::Zone(name, row) => push(buffer, &RowKey::Zone(&name.to_string()), Some(row)),
        Write::Records(zone, name, row) => {
            push(buffer, &RowKey::Records(&zone.to_string(), &name.to_string()), row.as_deref())
        }
        Write::Session(name, row) => push(buffer, &RowKey::Session(name), row.as_ref()),
    }
}

/// Appends an entry; without a value the row goes.
fn push<T: Serialize>(buffer: &mut Vec<u8>, key: &RowKey<'_>, value: Option<&T>) -> Result<()> {
    let too_long = |_| io::Error::other(format!("row {key:?} is too long"));
    let start = buffer.len();
    let change;
    let (tag, parts): (u8, [&[u8]; 2]) = match key {
        RowKey::Instance(service, id) => (INSTANCE, [service.as_bytes(), id.as_bytes()]),
        RowKey::Service(service) => (SERVICE, [service.as_bytes(), &[]]),
        RowKey::Token(id) => (TOKEN, [id.as_bytes(), &[]]),
        RowKey::Zone(name) => (ZONE, [name.as_bytes(), &[]]),
        RowKey::Records(zone, name) => (RECORDS, [zone.as_bytes(), name.as_bytes()]),
        RowKey::Session(name) => (SESSION, [name.as_bytes(), &[]]),
        RowKey::Change(revision) => {
            change = revision.to_le_bytes();
            (CHANGE, [&change, &[]])
        }
    };
    buffer.push(if value.is_some() { tag } else { tag | REMOVED });
    for part in parts {
        buffer.extend_from_slice(&u16::try_from(part.len()).map_err(too_long)?.to_le_bytes());
    }
    buffer.extend_from_slice(&[0; 4]);
    parts.into_iter().for_each(|part| buffer.extend_from_slice(part));
    let Some(value) = value else { return Ok(()) };
    let begin = buffer.len();
    serde_json::to_writer(&mut *buffer, value).map_err(io::Error::other)?;
    let length = u32::try_from(buffer.len() - begin).map_err(too_long)?;
    buffer[start + 5..start + ENTRY].copy_from_slice(&length.to_le_bytes());
    Ok(())
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
    let mut rest = &frame[HEADER..HEADER + header.length as usize];
    while !rest.is_empty() {
        let (entry, next) = parse_entry(rest).ok_or_else(|| {
            Fault::Damaged(format!("commit {} of its journal is not what this server writes", header.sequence))
        })?;
        into.push(entry);
        rest = next;
    }
    Ok(())
}

fn parse_entry(octets: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let (head, rest) = octets.split_first_chunk::<ENTRY>()?;
    let length = |at: usize| usize::from(u16::from_le_bytes([head[at], head[at + 1]]));
    let (first, rest) = rest.split_at_checked(length(1))?;
    let (second, rest) = rest.split_at_checked(length(3))?;
    let value = u32::from_le_bytes([head[5], head[6], head[7], head[8]]) as usize;
    let (value, rest) = rest.split_at_checked(value)?;
    let text = |part| std::str::from_utf8(part).ok();
    let key = match head[0] & !REMOVED {
        INSTANCE => RowKey::Instance(text(first)?, text(second)?),
        SERVICE => RowKey::Service(text(first)?),
        TOKEN => RowKey::Token(text(first)?),
        ZONE => RowKey::Zone(text(first)?),
        RECORDS => RowKey::Records(text(first)?, text(second)?),
        SESSION => RowKey::Session(text(first)?),
        CHANGE => RowKey::Change(u64::from_le_bytes(first.try_into().ok()?)),
        _ => return None,
    };
    let value = (head[0] & REMOVED == 0).then_some(value);
    Some((Entry { key, value }, rest))
}
