//! What can go wrong between a server and its etcd, and how the contract says it.

use std::fmt;

use super::super::StoreError;

pub(super) type Result<T> = std::result::Result<T, Fault>;

/// A fault before it has a place.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// No member answered in time, or with an error that another try may not meet.
    Away(String),
    /// etcd refused; another try will be refused too. Nothing was written.
    Refused(String),
    /// What is there is not what we write, or is not the registry that this server knows.
    Strange(String),
    /// The copy in the data directory does not work.
    Copy(String),
}

impl Fault {
    /// Met while opening or reading.
    pub(super) fn reading(self, place: &str) -> StoreError {
        let path = place.to_owned();
        match self {
            Self::Strange(detail) => StoreError::Strange { path, detail },
            other => StoreError::Open { path, source: other.to_string().into() },
        }
    }

    /// Met while writing.
    pub(super) fn writing(self, place: &str) -> StoreError {
        let path = place.to_owned();
        match self {
            Self::Strange(detail) => StoreError::Strange { path, detail },
            other => StoreError::Write { path, source: other.to_string().into() },
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(text) => write!(f, "etcd does not answer: {text}"),
            Self::Refused(text) => write!(f, "etcd refused: {text}"),
            Self::Strange(text) => f.write_str(text),
            Self::Copy(text) => write!(f, "the copy of it: {text}"),
        }
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::Refused(error.to_string())
    }
}
