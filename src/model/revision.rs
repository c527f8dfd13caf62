//! Revisions count committed changes; serials are what DNS sees of them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of a committed registry change; strictly increasing, 0 before the first.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// The next one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A zone's SOA serial: its base plus the revision of the last change to its content, modulo 2^32 (RFC 1982).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Serial(pub u32);

impl Serial {
    /// The serial of a zone whose content last changed at `revision`.
    pub fn of(base: u32, revision: Revision) -> Self {
        Self(base.wrapping_add(revision.0 as u32))
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
