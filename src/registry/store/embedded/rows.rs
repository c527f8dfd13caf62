//! Tables, keys and values: what stands where in the file.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `meta` | `schema`, `id`, `revision`, `commits` | text |
//! | `instances` | service, instance | JSON of `Instance` |
//! | `services` | service | JSON of `ServiceRow` |
//! | `tokens` | token id | JSON of `Token` |
//! | `zones` | name with its final dot | JSON of `ZoneRow` |
//! | `changes` | revision | JSON of `Change` |

use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

use super::super::Write;
use super::fault::{Fault, Result};
use crate::model::{Name, Revision};

/// The layout that this file describes. Another number in a file means another version of zonebeat wrote it.
pub(super) const SCHEMA: &str = "1";

pub(super) const META: TableDefinition<&str, &str> = TableDefinition::new("meta");
pub(super) const INSTANCES: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("instances");
pub(super) const SERVICES: TableDefinition<&str, &[u8]> = TableDefinition::new("services");
pub(super) const TOKENS: TableDefinition<&str, &[u8]> = TableDefinition::new("tokens");
pub(super) const ZONES: TableDefinition<&str, &[u8]> = TableDefinition::new("zones");
pub(super) const CHANGES: TableDefinition<u64, &[u8]> = TableDefinition::new("changes");

/// Which row a write is about.
#[derive(Debug, Clone)]
pub(super) enum Key {
    Instance(Arc<str>, Box<str>),
    Service(Arc<str>),
    Token(Arc<str>),
    Zone(Name),
}

impl Key {
    /// Key of a write, and its value encoded into `buffer`; no value means that the row goes.
    pub(super) fn of<'b>(write: &Write, buffer: &'b mut Vec<u8>) -> Result<(Self, Option<&'b [u8]>)> {
        Ok(match write {
            Write::Instance(service, instance) => {
                (Self::Instance(service.clone(), instance.id.clone()), Some(encode(&**instance, buffer)?))
            }
            Write::RemoveInstance(service, id) => (Self::Instance(service.clone(), id.clone()), None),
            Write::Service(service, row) => (Self::Service(service.clone()), Some(encode(row, buffer)?)),
            Write::RemoveService(service) => (Self::Service(service.clone()), None),
            Write::Token(token) => (Self::Token(token.id.clone()), Some(encode(&**token, buffer)?)),
            Write::RemoveToken(id) => (Self::Token(id.clone()), None),
            Write::Zone(name, row) => (Self::Zone(name.clone()), Some(encode(row, buffer)?)),
        })
    }
}

/// Every table, open for writing in one transaction.
pub(super) struct Tables<'t> {
    meta: Table<'t, &'static str, &'static str>,
    instances: Table<'t, (&'static str, &'static str), &'static [u8]>,
    services: Table<'t, &'static str, &'static [u8]>,
    tokens: Table<'t, &'static str, &'static [u8]>,
    zones: Table<'t, &'static str, &'static [u8]>,
    pub(super) changes: Table<'t, u64, &'static [u8]>,
}

impl<'t> Tables<'t> {
    /// Opens them, creating those that are not there yet.
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self> {
        Ok(Self {
            meta: transaction.open_table(META)?,
            instances: transaction.open_table(INSTANCES)?,
            services: transaction.open_table(SERVICES)?,
            tokens: transaction.open_table(TOKENS)?,
            zones: transaction.open_table(ZONES)?,
            changes: transaction.open_table(CHANGES)?,
        })
    }

    /// Writes or removes a row; returns what stood there.
    pub(super) fn replace(&mut self, key: &Key, value: Option<&[u8]>) -> Result<Option<Vec<u8>>> {
        match key {
            Key::Instance(service, id) => replace(&mut self.instances, (&**service, &**id), value),
            Key::Service(service) => replace(&mut self.services, &**service, value),
            Key::Token(id) => replace(&mut self.tokens, &**id, value),
            Key::Zone(name) => replace(&mut self.zones, name.to_string().as_str(), value),
        }
    }

    pub(super) fn set_meta(&mut self, key: &str, value: &str) -> Result<()> {
        self.meta.insert(key, value)?;
        Ok(())
    }

    /// The revision of the last committed change.
    pub(super) fn revision(&self) -> Result<Revision> {
        number(&self.meta, "revision").map(Revision)
    }

    pub(super) fn set_revision(&mut self, revision: Revision) -> Result<()> {
        self.set_meta("revision", &revision.to_string())
    }

    /// How many batches were ever committed or undone; tells two states of one revision apart.
    pub(super) fn commits(&self) -> Result<u64> {
        number(&self.meta, "commits")
    }

    pub(super) fn set_commits(&mut self, commits: u64) -> Result<()> {
        self.set_meta("commits", &commits.to_string())
    }
}

fn replace<'k, K: redb::Key + 'static>(
    table: &mut Table<'_, K, &'static [u8]>,
    key: K::SelfType<'k>,
    value: Option<&[u8]>,
) -> Result<Option<Vec<u8>>> {
    let before = match value {
        Some(value) => table.insert(key, value)?,
        None => table.remove(key)?,
    };
    Ok(before.map(|guard| guard.value().to_vec()))
}

/// Schema, identity and revision of a file, checked.
pub(super) struct Meta {
    pub(super) id: String,
    pub(super) revision: Revision,
}

impl Meta {
    pub(super) fn read(transaction: &ReadTransaction) -> Result<Self> {
        let table = transaction.open_table(META).map_err(|error| match error {
            redb::TableError::TableDoesNotExist(_) => {
                Fault::Damaged("it is a redb file, but not a store of zonebeat".into())
            }
            other => other.into(),
        })?;
        let schema = text(&table, "schema")?;
        if schema != SCHEMA {
            return Err(Fault::Damaged(format!(
                "it has schema {}; this server reads schema {SCHEMA}",
                schema.escape_debug()
            )));
        }
        Ok(Self { id: text(&table, "id")?, revision: Revision(number(&table, "revision")?) })
    }
}

fn text(table: &impl ReadableTable<&'static str, &'static str>, key: &str) -> Result<String> {
    let value = table.get(key)?.ok_or_else(|| Fault::Damaged(format!("meta row \"{key}\" is missing")))?;
    Ok(value.value().to_owned())
}

fn number(table: &impl ReadableTable<&'static str, &'static str>, key: &str) -> Result<u64> {
    let value = text(table, key)?;
    let shown = || Fault::Damaged(format!("meta row \"{key}\" is \"{}\", not a number", value.escape_debug()));
    value.parse().map_err(|_| shown())
}

/// A value as it is stored, in place of what the buffer held.
pub(super) fn encode<'b>(value: &impl Serialize, buffer: &'b mut Vec<u8>) -> Result<&'b [u8]> {
    buffer.clear();
    serde_json::to_writer(&mut *buffer, value).map_err(|error| Fault::from(std::io::Error::other(error)))?;
    Ok(buffer)
}

/// A stored value; `shown` names its table and key if it does not decode.
pub(super) fn decode<T: DeserializeOwned>(value: &[u8], shown: impl FnOnce() -> String) -> Result<T> {
    serde_json::from_slice(value).map_err(|error| undecodable(shown(), &error))
}

/// The fault of a value that is not what its table holds.
pub(super) fn undecodable(shown: String, error: &serde_json::Error) -> Fault {
    Fault::Damaged(format!("row {shown} does not decode: {error}"))
}
