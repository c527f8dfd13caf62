//! Static zones: what operators write into zone files (RFC 1035 section 5).

use std::sync::Arc;

use crate::model::{Name, Record};

/// Where something stands in a zone file; lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file as it was named.
    pub file: Arc<str>,
    /// Line.
    pub line: u32,
    /// Column, in characters.
    pub column: u32,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A record and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticRecord {
    /// The record; its RDATA is uncompressed.
    pub record: Record,
    /// Where it stands.
    pub place: Place,
}

/// One zone as its file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticZone {
    /// The apex.
    pub origin: Name,
    /// All records in the order of the file, the SOA among them.
    pub records: Vec<StaticRecord>,
}
