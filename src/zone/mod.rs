//! Static zones: what operators write into zone files (RFC 1035 section 5).
//!
//! ```text
//! octets --lexer--> entries --parse--> records --settle, check--> StaticZone
//!                               |
//!           generate ($GENERATE), rdata (by the fields in types)
//! ```
//!
//! What is read is what BIND 9.18 reads: `tests/zone_named.rs` compares hundreds of records and files.
//!
//! Pure: files come through [`Sources`], findings go back as values. A file with an error gives no zone at all, and
//! every error of it is found, not only the first.

mod check;
mod digest;
mod fields;
mod findings;
mod gateway;
mod generate;
mod lexer;
mod load;
mod mnemonics;
mod obsolete;
mod parse;
mod presentation;
pub mod print;
mod rdata;
mod settle;
mod signed;
mod special;
mod substitution;
mod svcb;
mod types;

use std::sync::Arc;

use crate::model::{Name, Record};

pub use crate::model::Place;
pub use check::Checks;
pub use digest::digest;
pub use fields::{canonical, check_rdata};
pub use load::{Broken, Loaded, load, load_files, origin_of};
pub use parse::{Parsed, Sources, parse_text, parse_zone, parse_zone_with};
pub use types::{mnemonic, type_from_text};

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
    /// All records in the order of the file, the SOA among them; no record twice, one TTL in each RRset.
    pub records: Vec<StaticRecord>,
}

/// A file's name, shared by the places in it.
type File = Arc<str>;
