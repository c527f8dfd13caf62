//! Where a store is, as operators write it: `embedded:DIR`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use super::embedded::{EmbeddedFill, EmbeddedStore, FILE};
use super::{Fill, Store, StoreError};

/// A place for a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The data directory of an embedded store.
    Embedded(PathBuf),
}

/// A text that names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no place of a store; embedded:DIR is accepted")]
pub struct PlaceError(String);

impl Place {
    /// Opens the store that is there; makes none.
    pub fn open(&self) -> Result<Arc<dyn Store>, StoreError> {
        match self {
            Self::Embedded(directory) if !directory.join(FILE).is_file() => Err(StoreError::Missing(self.to_string())),
            Self::Embedded(directory) => Ok(Arc::new(EmbeddedStore::open(directory)?)),
        }
    }

    /// Begins a store where there is none.
    pub fn fill(&self) -> Result<Box<dyn Fill>, StoreError> {
        match self {
            Self::Embedded(directory) => Ok(Box::new(EmbeddedFill::begin(directory)?)),
        }
    }
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        match text.split_once(':') {
            Some(("embedded", directory)) if !directory.is_empty() => Ok(Self::Embedded(directory.into())),
            _ => Err(PlaceError(text.escape_debug().to_string())),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(directory) => write!(f, "embedded:{}", directory.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_with_their_kind() {
        let place: Place = "embedded:/var/lib/zonebeat".parse().unwrap();
        assert_eq!(place, Place::Embedded("/var/lib/zonebeat".into()));
        assert_eq!(place.to_string(), "embedded:/var/lib/zonebeat");
        for wrong in ["/var/lib/zonebeat", "embedded:", "redis:x", ""] {
            assert!(wrong.parse::<Place>().unwrap_err().to_string().contains("embedded:DIR"), "{wrong}");
        }
    }
}
