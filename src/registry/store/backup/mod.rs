//! Backups: everything of a store at one revision, as lines of JSON.
//!
//! **Shape.** One object a line, each with one field that says what it is, in this order:
//!
//! | line | holds |
//! | --- | --- |
//! | `backup` | first line: format, identity of the store, revision, when it was made and by which version |
//! | `service` | label and row |
//! | `instance` | service and row |
//! | `token` | row, with the hash of the secret |
//! | `zone` | name and row |
//! | `records` | zone, name and what UPDATE wrote there |
//! | `session` | name and row, where several servers share the registry |
//! | `change` | a change of history, oldest first |
//! | `end` | last line: how many of each, and SHA-256 of all octets before this line |
//!
//! Rows are those of the store (docs/decisions/0010): fields may come to be, none gets another meaning. A kind of line
//! that an older version does not know needs another [`FORMAT`].
//!
//! **Damage.** A file without its last line is not a backup; one octet more, less or other is found by the hash. So a
//! reader that fills a store makes it one when it has seen the end, and not before.
//!
//! **Limits.** Reader and writer hold one line each, however much there is; a line has at most [`LINE`] octets.

mod check;
mod read;
mod restore;
mod write;

pub use check::Checker;
pub use read::{BackupError, BackupReader};
pub use restore::{Ahead, RestoreError, restore};
pub use write::BackupWriter;

use serde::{Deserialize, Serialize};

use super::ZoneRow;
use super::whole::Counts;
use crate::model::service::ServiceRow;
use crate::model::{Change, Instance, Revision, SessionRow, Timestamp, Token, Written};

/// The format that is written, and the newest that is read.
pub const FORMAT: u32 = 1;
/// The most octets of a line.
pub const LINE: usize = 16 << 20;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Which format.
    pub format: u32,
    /// Identity of the store that it was made of.
    pub store: String,
    /// The last change that it contains.
    pub revision: Revision,
    /// When it was begun.
    pub made: Timestamp,
    /// The version of zonebeat that made it.
    pub version: String,
}

/// The last line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// How many lines of each kind there are.
    #[serde(flatten)]
    pub counts: Counts,
    /// SHA-256 of everything before this line, in hexadecimal.
    pub sha256: String,
}

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its first line.
    pub header: Header,
    /// What is in it.
    pub counts: Counts,
}

/// A line as it is read.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(clippy::large_enum_variant)] // there is one at a time
pub enum Line {
    /// The first line.
    Backup(Header),
    /// A row of a service.
    Service {
        /// Its label.
        name: Box<str>,
        /// The row.
        row: ServiceRow,
    },
    /// An instance.
    Instance {
        /// Its service.
        service: Box<str>,
        /// The row.
        row: Instance,
    },
    /// A token.
    Token(Token),
    /// What a zone's serial depends on.
    Zone {
        /// The zone.
        name: String,
        /// The row.
        row: ZoneRow,
    },
    /// What UPDATE wrote at a name.
    Records {
        /// The zone.
        zone: String,
        /// The name.
        name: String,
        /// The row.
        row: Written,
    },
    /// A session.
    Session {
        /// Its name.
        name: Box<str>,
        /// The row.
        row: SessionRow,
    },
    /// A change.
    Change(Change),
    /// The last line.
    End(End),
}

/// A line as it is written.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum LineRef<'a> {
    Backup(&'a Header),
    Service { name: &'a str, row: &'a ServiceRow },
    Instance { service: &'a str, row: &'a Instance },
    Token(&'a Token),
    Zone { name: String, row: &'a ZoneRow },
    Records { zone: String, name: String, row: &'a Written },
    Session { name: &'a str, row: &'a SessionRow },
    Change(&'a Change),
    End(&'a End),
}
