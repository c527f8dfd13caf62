//! The copy: an embedded store in the data directory that has every frame up to its mark.
//!
//! Rows are read from it, and never from etcd row by row, unless the frames that it lacks are many or no longer kept:
//! then it is made anew, without history, from the rows and the frames behind them, all as they were at one revision of
//! etcd (`fill`). A thread brings it up to date once per interval, many frames in one commit, so that a start reads few
//! of them and a start without etcd finds everything but the last moment. The mark is in the same commit as what it
//! speaks of: the cluster, and the place in the order of batches. Frames fit only behind the chain of the mark, so the
//! copy never becomes a mixture of two registries.
//!
//! A copy that was being made anew when its server stopped has no mark that reads, and is made again.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::super::embedded::EmbeddedStore;
use super::super::{Load, Page, Store, StoreError};
use super::fault::{Fault, Result};
use super::follow::gone;
use super::head::Head;
use super::shared::Shared;
use super::state::Found;
use super::{fill, frame};
use crate::model::{Change, Revision};

/// The directory of the copy in the data directory.
const DIRECTORY: &str = "etcd-copy";
/// Octets of entries that are committed at once.
pub(super) const BLOCK: usize = 4 << 20;
/// A new copy is made of so many frames, with their changes, rather than of rows.
const FEW: u64 = 1000;
/// The mark of a copy that is being made.
pub(super) const UNFINISHED: &str = "unfinished";

pub(super) struct Copy {
    directory: PathBuf,
    /// None only while it is made anew, or if that did not work.
    store: Option<EmbeddedStore>,
    mark: Mark,
    entries: Vec<u8>,
}

/// How far a copy goes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The cluster's id.
    pub(super) cluster: u64,
    pub(super) head: Head,
}

impl Copy {
    /// Opens the copy in a data directory, or makes an empty one.
    pub(super) fn open(data_dir: &Path) -> std::result::Result<Self, StoreError> {
        let directory = data_dir.join(DIRECTORY);
        let store = EmbeddedStore::open(&directory)?;
        let text = store.mark()?;
        let mut copy = Self { directory, store: Some(store), mark: Mark::default(), entries: Vec::new() };
        if text == UNFINISHED {
            copy.empty()?;
        } else if !text.is_empty() {
            let damaged = |error: serde_json::Error| StoreError::Damaged {
                path: copy.directory.display().to_string(),
                detail: format!("its mark does not decode: {error}"),
            };
            copy.mark = serde_json::from_str(&text).map_err(damaged)?;
        }
        Ok(copy)
    }

    /// Removes the copy of a data directory, and with it what its server knows of the registry.
    pub(super) fn remove(data_dir: &Path) -> std::result::Result<(), StoreError> {
        let mut copy = Self::open(data_dir)?; // nobody else has it open
        copy.empty()
    }

    pub(super) fn mark(&self) -> &Mark {
        &self.mark
    }

    /// Makes it an empty one.
    pub(super) fn empty(&mut self) -> std::result::Result<(), StoreError> {
        self.store = None;
        self.mark = Mark::default();
        let path = self.directory.display().to_string();
        std::fs::remove_dir_all(&self.directory).map_err(|error| StoreError::Open { path, source: error.into() })?;
        self.store = Some(EmbeddedStore::open(&self.directory)?);
        Ok(())
    }

    /// Brings into it every frame that etcd has. `renew` says whether it may be made anew.
    pub(super) fn catch_up(&mut self, shared: &Shared, runtime: &Handle, renew: bool) -> Result<()> {
        let head = runtime.block_on(shared.head())?;
        self.mark.head.check_leads_to(head.as_ref())?;
        let Some(head) = head else { return Ok(()) };
        if renew && self.mark.head.number == 0 && head.number > FEW && runtime.block_on(fill::folded(shared))?.is_some()
        {
            fill::fill(self, shared, runtime)?;
        }
        while self.mark.head.number < head.number {
            let next = self.mark.head.number + 1;
            let page = runtime.block_on(shared.frames(next))?;
            match page.frames.first().map_or(head.number + 1, |first| first.number) {
                first if first == next => self.take(shared, &page.frames)?,
                _ if renew => fill::fill(self, shared, runtime)?,
                first => return Err(gone(next, first)),
            }
        }
        Ok(())
    }

    /// Takes frames that follow the mark.
    fn take(&mut self, shared: &Shared, frames: &[Found]) -> Result<()> {
        self.entries.clear();
        let mut place = self.mark.head.clone();
        for found in frames {
            let (entries, head) = frame::open(&place, &found.octets)?;
            self.entries.extend(entries);
            place = head;
            if self.entries.len() >= BLOCK {
                self.put(shared, &place)?;
            }
        }
        self.put(shared, &place)
    }

    /// Commits the entries that wait, up to a place.
    fn put(&mut self, shared: &Shared, place: &Head) -> Result<()> {
        if *place == self.mark.head {
            return Ok(());
        }
        let mark = Mark { cluster: shared.cluster.id(), head: place.clone() };
        let text = serde_json::to_string(&mark).map_err(std::io::Error::from)?;
        let entries = std::mem::take(&mut self.entries);
        let written = self.commit(&entries, place.revision, &text);
        self.entries = entries;
        self.entries.clear();
        self.entries.shrink_to(BLOCK);
        written?;
        self.mark = mark;
        Ok(())
    }

    /// Commits entries with a mark.
    pub(super) fn commit(&self, entries: &[u8], after: Revision, mark: &str) -> Result<()> {
        let store = self.store()?;
        store.reopen().and_then(|()| store.copy(entries, after, mark)).map_err(|error| Fault::Copy(error.to_string()))
    }

    /// It has been made anew, up to a mark.
    pub(super) fn filled(&mut self, mark: Mark) {
        self.mark = mark;
    }

    pub(super) fn read(&self, into: &mut dyn Load) -> Result<()> {
        self.store()?.read(into).map_err(|error| Fault::Copy(error.to_string()))
    }

    pub(super) fn history(&self, since: Revision, limit: usize) -> Result<Page> {
        self.store()?.history(since, limit).map_err(|error| Fault::Copy(error.to_string()))
    }

    pub(super) fn change(&self, revision: Revision) -> Result<Option<Change>> {
        self.store()?.change(revision).map_err(|error| Fault::Copy(error.to_string()))
    }

    fn store(&self) -> Result<&EmbeddedStore> {
        self.store.as_ref().ok_or_else(|| Fault::Copy("it could not be made anew".into()))
    }
}
