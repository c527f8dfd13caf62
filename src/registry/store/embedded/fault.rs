//! What can go wrong inside the embedded store, and how the contract says it.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::super::StoreError;
use crate::model::Revision;

pub(super) type Result<T> = std::result::Result<T, Fault>;

/// A fault before it has a path.
#[derive(Debug)]
pub(super) enum Fault {
    /// The library or the disk failed.
    Redb(redb::Error),
    /// The file is there and readable, but its content is not what we write.
    Damaged(String),
    /// The batch expects another revision.
    Conflict { expected: Revision, found: Revision },
    /// The library panicked, which it does on some contents that it never writes itself.
    Panic(String),
}

impl<E: Into<redb::Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Redb(error.into())
    }
}

impl Fault {
    /// Whether the content is at fault, so that trying again cannot help.
    fn damage(&self) -> Option<String> {
        use redb::Error as E;
        match self {
            Self::Damaged(detail) => Some(detail.clone()),
            Self::Panic(text) => Some(format!("reading it failed an assertion: {text}")),
            Self::Redb(E::Io(error)) => match error.kind() {
                io::ErrorKind::InvalidData => Some("it is not a redb file".into()),
                io::ErrorKind::UnexpectedEof => Some("it ends too early".into()),
                io::ErrorKind::InvalidInput => Some(format!("it claims an impossible size: {error}")),
                _ => None,
            },
            Self::Redb(E::UpgradeRequired(version)) => {
                Some(format!("it has version {version} of redb's file format; this server reads version 3"))
            }
            Self::Redb(
                error @ (E::Corrupted(_)
                | E::TableTypeMismatch { .. }
                | E::TableIsMultimap(_)
                | E::TypeDefinitionChanged { .. }
                | E::TableDoesNotExist(_)),
            ) => Some(error.to_string()),
            Self::Redb(_) | Self::Conflict { .. } => None,
        }
    }

    /// Whether the file may still be readable: the disk did not let us open it for writing, or did not take a write.
    pub(super) fn is_refused_write(&self) -> bool {
        let Self::Redb(error) = self else { return false };
        match error {
            redb::Error::Io(error) => error.kind() != io::ErrorKind::NotFound && self.damage().is_none(),
            redb::Error::PreviousIo => true,
            _ => false,
        }
    }

    /// A fault met while opening or reading.
    pub(super) fn reading(self, path: &Path) -> StoreError {
        self.into_error(path, |path, source| StoreError::Open { path, source })
    }

    /// A fault met while writing.
    pub(super) fn writing(self, path: &Path) -> StoreError {
        self.into_error(path, |path, source| StoreError::Write { path, source })
    }

    fn into_error(self, path: &Path, other: impl FnOnce(String, Source) -> StoreError) -> StoreError {
        let shown = path.display().to_string();
        if let Some(detail) = self.damage() {
            return StoreError::Damaged { path: shown, detail };
        }
        match self {
            Self::Conflict { expected, found } => StoreError::Conflict { expected, found },
            Self::Redb(redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch) => {
                StoreError::Locked(shown)
            }
            Self::Redb(redb::Error::Io(error)) => other(shown, error.into()),
            Self::Redb(error) => other(shown, error.into()),
            Self::Damaged(detail) | Self::Panic(detail) => StoreError::Damaged { path: shown, detail },
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redb(redb::Error::Io(error)) => error.fmt(f),
            Self::Redb(error) => error.fmt(f),
            Self::Damaged(detail) | Self::Panic(detail) => f.write_str(detail),
            Self::Conflict { expected, found } => write!(f, "at revision {found}, not at {expected}"),
        }
    }
}

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Runs `work`, turning a panic of the library into a value.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(Fault::Panic(panic_text(&*panic))))
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no text").to_owned()
}
