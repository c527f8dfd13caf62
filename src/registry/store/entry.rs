//! Entries: rows and changes as octets, the same in the journal of the embedded store and in the frames of etcd.
//!
//! An entry is a tag (the kind of row; the highest bit says that the row goes), the lengths of both parts of the key (2
//! octets each) and of the value (4), and these three. Numbers are little-endian, values are JSON. Text has no control
//! characters in keys and in JSON, so no entry looks like the beginning of a frame.

use std::io;

use serde::Serialize;

use super::{Batch, Write};
use crate::model::Revision;

/// Octets of an entry before its key.
const HEAD: usize = 9;

// Tags of entries.
const INSTANCE: u8 = 1;
const SERVICE: u8 = 2;
const TOKEN: u8 = 3;
const ZONE: u8 = 4;
const CHANGE: u8 = 5;
const RECORDS: u8 = 6;
const SESSION: u8 = 7;
const MARK: u8 = 8;
const REMOVED: u8 = 0x80;

/// Which row it is: the kinds one behind the other, each in the order of its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RowKey<'f> {
    /// Service and instance.
    Instance(&'f str, &'f str),
    Service(&'f str),
    /// By its id.
    Token(&'f str),
    /// By its name, with the final dot.
    Zone(&'f str),
    /// Zone and name, with their final dots.
    Records(&'f str, &'f str),
    /// By its name.
    Session(&'f str),
    /// By its revision.
    Change(u64),
    /// How far a copy of another store goes, in that store's words; only in a copy.
    Mark,
}

/// A row as it is to stand; without a value it goes.
#[derive(Debug)]
pub(super) struct Entry<'f> {
    pub(super) key: RowKey<'f>,
    pub(super) value: Option<&'f [u8]>,
}

/// Appends what a batch writes, then its changes. Returns the revision after it.
pub(super) fn push_batch(buffer: &mut Vec<u8>, batch: &Batch) -> io::Result<Revision> {
    batch.writes.iter().try_for_each(|write| push_write(buffer, write))?;
    let mut last = batch.expected;
    for change in &batch.changes {
        if change.revision <= last {
            return Err(io::Error::other(format!("change {} follows change {last}", change.revision)));
        }
        last = change.revision;
        push(buffer, &RowKey::Change(last.0), Some(change))?;
    }
    Ok(last)
}

fn push_write(buffer: &mut Vec<u8>, write: &Write) -> io::Result<()> {
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
fn push<T: Serialize>(buffer: &mut Vec<u8>, key: &RowKey<'_>, value: Option<&T>) -> io::Result<()> {
    let start = push_key(buffer, key, value.is_none())?;
    let Some(value) = value else { return Ok(()) };
    let begin = buffer.len();
    serde_json::to_writer(&mut *buffer, value)?;
    set_length(buffer, start, begin, key)
}

/// Appends an entry whose value is octets already.
pub(super) fn push_raw(buffer: &mut Vec<u8>, key: &RowKey<'_>, value: &[u8]) -> io::Result<()> {
    let start = push_key(buffer, key, false)?;
    let begin = buffer.len();
    buffer.extend_from_slice(value);
    set_length(buffer, start, begin, key)
}

/// Appends tag and key, and returns where the entry begins.
fn push_key(buffer: &mut Vec<u8>, key: &RowKey<'_>, removed: bool) -> io::Result<usize> {
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
        RowKey::Mark => (MARK, [&[], &[]]),
    };
    buffer.push(if removed { tag | REMOVED } else { tag });
    for part in parts {
        buffer.extend_from_slice(&u16::try_from(part.len()).map_err(|_| too_long(key))?.to_le_bytes());
    }
    buffer.extend_from_slice(&[0; 4]);
    parts.into_iter().for_each(|part| buffer.extend_from_slice(part));
    Ok(start)
}

fn set_length(buffer: &mut [u8], start: usize, begin: usize, key: &RowKey<'_>) -> io::Result<()> {
    let length = u32::try_from(buffer.len() - begin).map_err(|_| too_long(key))?;
    buffer[start + 5..start + HEAD].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

fn too_long(key: &RowKey<'_>) -> io::Error {
    io::Error::other(format!("row {key:?} is too long"))
}

/// Reads entries, one behind the other, into `into`; none if they are not what [`push_batch`] writes.
pub(super) fn parse<'f>(mut octets: &'f [u8], into: &mut Vec<Entry<'f>>) -> Option<()> {
    while !octets.is_empty() {
        let (entry, next) = parse_one(octets)?;
        into.push(entry);
        octets = next;
    }
    Some(())
}

fn parse_one(octets: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let (head, rest) = octets.split_first_chunk::<HEAD>()?;
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
        MARK => RowKey::Mark,
        _ => return None,
    };
    let value = (head[0] & REMOVED == 0).then_some(value);
    Some((Entry { key, value }, rest))
}
