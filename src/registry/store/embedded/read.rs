//! Reading a snapshot of the file: everything at once, or pages of history.

use std::collections::HashSet;
use std::sync::Arc;

use redb::{ReadTransaction, ReadableTable};
use serde::Deserialize;

use super::super::{Loaded, Page};
use super::fault::{Fault, Result};
use super::rows::{CHANGES, INSTANCES, Meta, SERVICES, TOKENS, ZONES, decode};
use crate::model::service::ServiceRow;
use crate::model::{Change, Instance, Name, Revision, Timestamp};

/// Reads every row at one revision.
pub(super) fn load(transaction: &ReadTransaction) -> Result<Loaded> {
    let mut shared = Shared::default();
    let mut loaded = Loaded { revision: Meta::read(transaction)?.revision, ..Loaded::default() };
    for row in transaction.open_table(SERVICES)?.iter()? {
        let (key, value) = row?;
        let row: ServiceRow = decode(value.value(), || format!("services/{}", key.value()))?;
        loaded.services.push((shared.text(key.value()), row));
    }
    for row in transaction.open_table(INSTANCES)?.iter()? {
        let (key, value) = row?;
        let (service, id) = key.value();
        let instance = decode(value.value(), || format!("instances/{service}/{id}"))?;
        loaded.instances.push((shared.text(service), shared.instance(instance)));
    }
    for row in transaction.open_table(TOKENS)?.iter()? {
        let (key, value) = row?;
        loaded.tokens.push(decode(value.value(), || format!("tokens/{}", key.value()))?);
    }
    for row in transaction.open_table(ZONES)?.iter()? {
        let (key, value) = row?;
        let shown = || format!("zones/{}", key.value());
        let name = Name::parse_absolute(key.value());
        let name = name.map_err(|error| Fault::Damaged(format!("row {} has no name as key: {error}", shown())))?;
        loaded.zones.push((name, decode(value.value(), shown)?));
    }
    Ok(loaded)
}

/// Words that many rows have in common, kept once.
#[derive(Default)]
struct Shared(HashSet<Arc<str>>);

impl Shared {
    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        let new: Arc<str> = text.into();
        self.0.insert(new.clone());
        new
    }

    fn instance(&mut self, mut instance: Instance) -> Instance {
        instance.proto = self.text(&instance.proto);
        instance.site = instance.site.map(|site| self.text(&site));
        instance.session = instance.session.map(|session| self.text(&session));
        instance
    }
}

/// One change, if it is still kept.
pub(super) fn change(transaction: &ReadTransaction, revision: Revision) -> Result<Option<Change>> {
    let found = transaction.open_table(CHANGES)?.get(revision.0)?;
    found.map(|value| decode_change(revision.0, value.value())).transpose()
}

fn decode_change(revision: u64, value: &[u8]) -> Result<Change> {
    decode(value, || format!("changes/{revision}"))
}

/// Changes after `since`, oldest first.
pub(super) fn history(transaction: &ReadTransaction, since: Revision, limit: usize) -> Result<Page> {
    let table = transaction.open_table(CHANGES)?;
    let oldest = match table.first()? {
        Some((revision, _)) => Revision(revision.value()),
        None => Meta::read(transaction)?.revision.next(),
    };
    let mut page = Page { oldest, ..Page::default() };
    let Some(first) = since.0.checked_add(1) else { return Ok(page) };
    for row in table.range(first..)? {
        if page.changes.len() == limit {
            page.more = true;
            break;
        }
        let (revision, value) = row?;
        page.changes.push(decode_change(revision.value(), value.value())?);
    }
    Ok(page)
}

/// The last of the `limit` oldest changes that was made before `before`. What precedes it goes with it even if a clock
/// that was wrong for a while says otherwise: a change is not younger than the one behind it.
pub(super) fn last_older(transaction: &ReadTransaction, before: Timestamp, limit: usize) -> Result<Option<u64>> {
    #[derive(Deserialize)]
    struct Dated {
        time: Timestamp,
    }
    let mut last = None;
    for row in transaction.open_table(CHANGES)?.iter()?.take(limit) {
        let (revision, value) = row?;
        let revision = revision.value();
        let dated: Dated = decode(value.value(), || format!("changes/{revision}"))?;
        if dated.time < before {
            last = Some(revision);
        }
    }
    Ok(last)
}
