//! A frame: one batch as octets.
//!
//! A line of JSON, so that people can read with `etcdctl` what it is, then the entries (`entry`), compressed. It names
//! the chain before it, so frames of another history do not fit; and it has a random number, so that two servers that
//! write the same batch write different frames, and each knows its own.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Error;

use super::super::entry::{self, Entry, RowKey};
use super::super::{Batch, Write};
use super::fault::{Fault, Result};
use super::head::{Head, random_id};
use crate::model::{Name, Revision};

/// Octets that a frame may have: etcd takes requests of 1.5 MiB.
pub(super) const MOST: usize = 1 << 20;
/// Octets that the entries of a frame may have, which all who read it must hold.
const MOST_ENTRIES: usize = 64 << 20;

#[derive(Serialize, Deserialize)]
struct Header {
    identity: String,
    number: u64,
    before: Revision,
    revision: Revision,
    /// The chain before it.
    chain: String,
    /// The server that has written it.
    server: String,
    random: String,
    /// Of the entries, not compressed.
    octets: usize,
}

/// A frame that is to be written.
pub(super) struct Made {
    pub(super) octets: Vec<u8>,
    /// The place behind it.
    pub(super) head: Head,
}

/// Makes the frame of a batch behind `place`; or says how large it would be.
pub(super) fn encode(batch: &Batch, place: &Head, server: &str) -> Result<std::result::Result<Made, usize>> {
    let mut entries = Vec::new();
    let revision = entry::push_batch(&mut entries, batch)?;
    if entries.len() > MOST_ENTRIES {
        return Ok(Err(entries.len()));
    }
    let identity = if place.number == 0 { random_id()? } else { place.identity.clone() };
    let header = Header {
        identity,
        number: place.number + 1,
        before: batch.expected,
        revision,
        chain: place.chain.clone(),
        server: server.to_owned(),
        random: random_id()?,
        octets: entries.len(),
    };
    let mut octets = serde_json::to_vec(&header).map_err(std::io::Error::from)?;
    octets.push(b'\n');
    octets.extend(lz4_flex::block::compress(&entries));
    if octets.len() > MOST {
        return Ok(Err(octets.len()));
    }
    let head = place.after(&header.identity, revision, &octets);
    Ok(Ok(Made { octets, head }))
}

/// The entries of the frame that follows `place`, and the place behind it.
pub(super) fn open(place: &Head, octets: &[u8]) -> Result<(Vec<u8>, Head)> {
    let next = place.number + 1;
    let strange = |what: &str| Err(Fault::Strange(format!("batch {next} {what}")));
    let (header, entries) = read(octets)?;
    let is_first = place.number == 0;
    if header.number != next || header.chain != place.chain || !is_first && header.identity != place.identity {
        return strange("does not follow the one before it that is known");
    }
    if header.before != place.revision || header.revision < header.before {
        return strange("follows another revision");
    }
    Ok((entries, place.after(&header.identity, header.revision, octets)))
}

/// The entries of a frame, whatever was before it.
pub(super) fn entries(octets: &[u8]) -> Result<Vec<u8>> {
    read(octets).map(|(_, entries)| entries)
}

fn read(octets: &[u8]) -> Result<(Header, Vec<u8>)> {
    let strange = || Fault::Strange("what stands for a batch is none, or is damaged".into());
    let end = octets.iter().position(|&octet| octet == b'\n').ok_or_else(strange)?;
    let header: Header = serde_json::from_slice(&octets[..end]).map_err(|_| strange())?;
    let size = Some(header.octets).filter(|&octets| octets <= MOST_ENTRIES).ok_or_else(strange)?;
    let entries = lz4_flex::block::decompress(&octets[end + 1..], size).map_err(|_| strange())?;
    if entries.len() == size { Ok((header, entries)) } else { Err(strange()) }
}

/// The batch that entries were made of.
pub(super) fn batch(expected: Revision, entries: &[u8]) -> Result<Batch> {
    let mut parsed = Vec::new();
    entry::parse(entries, &mut parsed)
        .ok_or_else(|| Fault::Strange("a batch is not what this server writes".into()))?;
    let mut batch = Batch { expected, ..Batch::default() };
    for entry in &parsed {
        take(&mut batch, entry)
            .map_err(|error| Fault::Strange(format!("row {:?} of a batch does not decode: {error}", entry.key)))?;
    }
    Ok(batch)
}

fn take(batch: &mut Batch, Entry { key, value }: &Entry<'_>) -> std::result::Result<(), Error> {
    let write = match (*key, *value) {
        (RowKey::Instance(service, _), Some(json)) => {
            Write::Instance(service.into(), Arc::new(serde_json::from_slice(json)?))
        }
        (RowKey::Instance(service, id), None) => Write::RemoveInstance(service.into(), id.into()),
        (RowKey::Service(service), Some(json)) => Write::Service(service.into(), serde_json::from_slice(json)?),
        (RowKey::Service(service), None) => Write::RemoveService(service.into()),
        (RowKey::Token(_), Some(json)) => Write::Token(Arc::new(serde_json::from_slice(json)?)),
        (RowKey::Token(id), None) => Write::RemoveToken(id.into()),
        (RowKey::Zone(zone), Some(json)) => Write::Zone(name(zone)?, serde_json::from_slice(json)?),
        (RowKey::Records(zone, owner), json) => {
            let row = json.map(|json| serde_json::from_slice(json).map(Arc::new)).transpose()?;
            Write::Records(name(zone)?, name(owner)?, row)
        }
        (RowKey::Session(name), json) => Write::Session(name.into(), json.map(serde_json::from_slice).transpose()?),
        (RowKey::Change(_), Some(json)) => {
            batch.changes.push(serde_json::from_slice(json)?);
            return Ok(());
        }
        (RowKey::Zone(_) | RowKey::Change(_), None) | (RowKey::Mark, _) => return Ok(()), // nobody writes these
    };
    batch.writes.push(write);
    Ok(())
}

fn name(text: &str) -> std::result::Result<Name, Error> {
    Name::parse_absolute(text).map_err(serde::de::Error::custom)
}
