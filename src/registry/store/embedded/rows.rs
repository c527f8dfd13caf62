//! Tables, keys and values: what stands where in the file.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `meta` | `schema`, `id`, `revision`, `commits`, and in a copy `mark` | text |
//! | `instances` | service, instance | JSON of `Instance` |
//! | `services` | service | JSON of `ServiceRow` |
//! | `tokens` | token id | JSON of `Token` |
//! | `zones` | name with its final dot | JSON of `ZoneRow` |
//! | `records` | zone and name with their final dots | JSON of `Written` |
//! | `sessions` | session | JSON of `SessionRow` |
//! | `changes` | revision | JSON of `Change` |

use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};
use serde::de::DeserializeOwned;

use super::super::entry::{Entry, RowKey};
use super::fault::{Fault, Result};
use crate::model::Revision;

/// The layout that this file describes. Another number in a file means another version of zonebeat wrote it.
pub(super) const SCHEMA: &str = "1";
/// The same layout, but for what a journal beside the file has: who knows no journals must not read it.
pub(super) const WITH_JOURNAL: &str = "2";

pub(super) const META: TableDefinition<&str, &str> = TableDefinition::new("meta");
pub(super) const INSTANCES: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("instances");
pub(super) const SERVICES: TableDefinition<&str, &[u8]> = TableDefinition::new("services");
pub(super) const TOKENS: TableDefinition<&str, &[u8]> = TableDefinition::new("tokens");
pub(super) const ZONES: TableDefinition<&str, &[u8]> = TableDefinition::new("zones");
/// Not there in a store that never had a record.
pub(super) const RECORDS: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("records");
/// Not there in a store that only one server has written to.
pub(super) const SESSIONS: TableDefinition<&str, &[u8]> = TableDefinition::new("sessions");
pub(super) const CHANGES: TableDefinition<u64, &[u8]> = TableDefinition::new("changes");

/// Every table, open for writing in one transaction.
pub(super) struct Tables<'t> {
    meta: Table<'t, &'static str, &'static str>,
    instances: Table<'t, (&'static str, &'static str), &'static [u8]>,
    services: Table<'t, &'static str, &'static [u8]>,
    tokens: Table<'t, &'static str, &'static [u8]>,
    zones: Table<'t, &'static str, &'static [u8]>,
    records: Table<'t, (&'static str, &'static str), &'static [u8]>,
    transaction: &'t WriteTransaction,
    sessions: Option<Table<'t, &'static str, &'static [u8]>>,
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
            records: transaction.open_table(RECORDS)?,
            transaction,
            sessions: None,
            changes: transaction.open_table(CHANGES)?,
        })
    }

    /// Writes or removes a row.
    pub(super) fn put(&mut self, entry: &Entry<'_>) -> Result<()> {
        match entry.key {
            RowKey::Instance(service, id) => put(&mut self.instances, (service, id), entry.value),
            RowKey::Service(service) => put(&mut self.services, service, entry.value),
            RowKey::Token(id) => put(&mut self.tokens, id, entry.value),
            RowKey::Zone(name) => put(&mut self.zones, name, entry.value),
            RowKey::Records(zone, name) => put(&mut self.records, (zone, name), entry.value),
            RowKey::Session(name) => put(self.sessions()?, name, entry.value),
            RowKey::Change(revision) => put(&mut self.changes, revision, entry.value),
            RowKey::Mark => {
                let mark = std::str::from_utf8(entry.value.unwrap_or_default());
                self.set_meta("mark", mark.map_err(|_| Fault::Damaged("its mark is no text".into()))?)
            }
        }
    }

    fn sessions(&mut self) -> Result<&mut Table<'t, &'static str, &'static [u8]>> {
        if self.sessions.is_none() {
            self.sessions = Some(self.transaction.open_table(SESSIONS)?);
        }
        Ok(self.sessions.as_mut().expect("it has just been opened"))
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

    /// The number of the last batch that is in the trees; a batch that was taken back has had its number too.
    pub(super) fn set_commits(&mut self, commits: u64) -> Result<()> {
        self.set_meta("commits", &commits.to_string())
    }
}

fn put<'k, K: redb::Key + 'static>(
    table: &mut Table<'_, K, &'static [u8]>,
    key: K::SelfType<'k>,
    value: Option<&[u8]>,
) -> Result<()> {
    match value {
        Some(value) => drop(table.insert(key, value)?),
        None => drop(table.remove(key)?),
    }
    Ok(())
}

/// Schema, identity and revision of a file, checked.
pub(super) struct Meta {
    pub(super) id: String,
    pub(super) revision: Revision,
    /// The last batch that is in the trees.
    pub(super) commits: u64,
    /// Whether a journal stands beside the file.
    pub(super) has_journal: bool,
    /// How far a copy of another store goes; empty in what is none.
    pub(super) mark: String,
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
        if schema != SCHEMA && schema != WITH_JOURNAL {
            return Err(Fault::Damaged(format!(
                "it has schema {}; this server reads schema {SCHEMA} and, with a journal, schema {WITH_JOURNAL}",
                schema.escape_debug()
            )));
        }
        Ok(Self {
            id: text(&table, "id")?,
            revision: Revision(number(&table, "revision")?),
            commits: number(&table, "commits")?,
            has_journal: schema == WITH_JOURNAL,
            mark: table.get("mark")?.map(|mark| mark.value().to_owned()).unwrap_or_default(),
        })
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

/// A stored value; `shown` names its table and key if it does not decode.
pub(super) fn decode<T: DeserializeOwned>(value: &[u8], shown: impl FnOnce() -> String) -> Result<T> {
    serde_json::from_slice(value).map_err(|error| undecodable(shown(), &error))
}

/// The fault of a value that is not what its table holds.
pub(super) fn undecodable(shown: String, error: &serde_json::Error) -> Fault {
    Fault::Damaged(format!("row {shown} does not decode: {error}"))
}
