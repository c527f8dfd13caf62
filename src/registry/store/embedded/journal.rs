//! The journal: what was acknowledged and is not in the trees yet.
//!
//! **What it holds.** Two files beside the store's own, `registry.journal.0` and `.1`, each a run of frames (`frame`):
//! one frame for each commit, in the order of their numbers. Commits are appended to one file while the trees take what
//! the other has; then they change places, and the one that was taken is written from its beginning again. So a file
//! that has been used once keeps its blocks, and syncing a frame is one write to the disk. What stands behind the last
//! frame is of earlier rounds: its numbers are known to be in the trees, because the trees keep the number of the last
//! commit they have, in the same transaction.
//!
//! **Crashes.** A frame that is not whole was never acknowledged if nothing follows it: it is left out. If a later one
//! is whole, the journal is damaged, and is refused; so is one of another store, one that does not go on where the
//! trees end, and a file that is missing. Damage to the very last frame cannot be told from a crash in the middle of
//! writing it.
//!
//! **Who may change it.** The thread that commits writes frames (`ledger` says where); the trees' thread only reads.
//!
//! **Limits.** A file is cut back to [`KEPT`] after a round that made it longer.

pub(super) mod frame;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::fault::{Fault, Result};
use super::file::{Identity, sync_directory};
use super::rows::Meta;
use crate::model::Revision;
use frame::{BLOCK, Header};

/// Both files of the journal in the data directory.
pub(super) const FILES: [&str; 2] = ["registry.journal.0", "registry.journal.1"];
/// Octets that a file may keep between two rounds.
const KEPT: u64 = 16 << 20;

/// A frame in a file.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) at: u64,
    pub(super) header: Header,
}

/// One file of the journal.
#[derive(Debug)]
pub(super) struct JournalFile {
    path: PathBuf,
    file: File,
    identity: Identity,
}

impl JournalFile {
    /// Opens a file, to be written or only to be read; none if it is not there.
    fn open(path: PathBuf, writable: bool) -> Result<Option<Self>> {
        let opened = match OpenOptions::new().read(true).write(writable).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let identity = Identity::of(&path)?;
        Ok(Some(Self { path, file: opened, identity }))
    }

    fn create(path: PathBuf) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        let identity = Identity::of(&path)?;
        Ok(Self { path, file, identity })
    }

    /// Fails unless the path still names this file.
    pub(super) fn check_still(&self) -> Result<()> {
        self.identity.check_still(&self.path)
    }

    /// Writes a frame and syncs it.
    pub(super) fn append(&self, at: u64, frame: &[u8]) -> Result<()> {
        self.file.write_all_at(frame, at)?;
        Ok(self.file.sync_data()?)
    }

    /// Gives room back after a round that took much; how much is no promise, so errors are of no interest.
    pub(super) fn shorten(&self) {
        if self.file.metadata().is_ok_and(|found| found.len() > KEPT) {
            let _ = self.file.set_len(KEPT); // it stays longer
        }
    }

    /// Reads frames that are known to be there, whole.
    pub(super) fn read(&self, frames: &[Frame]) -> Result<Vec<Vec<u8>>> {
        frames.iter().map(|frame| self.read_whole(frame)).collect()
    }

    fn read_whole(&self, frame: &Frame) -> Result<Vec<u8>> {
        let octets = frame.header.octets().unwrap_or(u64::MAX);
        let mut buffer = vec![0; usize::try_from(octets).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut buffer, frame.at)?;
        match Header::parse(&buffer).as_ref() == Some(&frame.header) && frame::is_whole(&frame.header, &buffer) {
            true => Ok(buffer),
            false => Err(self.damaged(&format!("commit {} does not read as it was written", frame.header.sequence))),
        }
    }

    fn damaged(&self, detail: &str) -> Fault {
        let name = self.path.file_name().unwrap_or_default().display();
        Fault::Damaged(format!("its journal {name}: {detail}"))
    }

    /// Finds the whole frames with numbers behind `applied`, wherever they are.
    fn scan(&self, id: &str, applied: u64) -> Result<Vec<Frame>> {
        let length = self.file.metadata()?.len();
        let (mut at, mut found) = (0, Vec::new());
        while at < length {
            let frame = self.frame_at(at, length, id, applied)?;
            at += frame.as_ref().and_then(|frame| frame.header.octets()).unwrap_or(BLOCK as u64);
            found.extend(frame);
        }
        Ok(found)
    }

    fn frame_at(&self, at: u64, length: u64, id: &str, applied: u64) -> Result<Option<Frame>> {
        let mut block = [0; BLOCK];
        let there = (length - at).min(BLOCK as u64) as usize;
        self.file.read_exact_at(&mut block[..there], at)?;
        let Some(header) = Header::parse(&block) else { return Ok(None) };
        let fits = header.octets().is_some_and(|octets| octets <= length - at);
        if !fits || header.id == id && header.sequence <= applied {
            return Ok(None);
        }
        let frame = Frame { at, header };
        match self.read_whole(&frame) {
            Ok(_) if frame.header.id == id => Ok(Some(frame)),
            Ok(_) => Err(self.damaged(&format!("it belongs to another store: id {}, not {id}", frame.header.id))),
            Err(Fault::Damaged(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }
}

/// The journal of a store that is being opened.
#[derive(Debug)]
pub(super) struct Journal {
    files: [Option<JournalFile>; 2],
}

impl Journal {
    /// Opens what there is of it.
    pub(super) fn open(store: &Path, writable: bool) -> Result<Self> {
        let [first, second] = FILES.map(|name| JournalFile::open(store.with_file_name(name), writable));
        Ok(Self { files: [first?, second?] })
    }

    /// Fails if a file of a journal is missing.
    pub(super) fn check_complete(&self) -> Result<()> {
        match self.files.iter().position(Option::is_none) {
            None => Ok(()),
            Some(missing) => Err(Fault::Damaged(format!(
                "its journal {} is missing, which may have changes that were acknowledged; put it back, or create it \
                 empty to go on without them",
                FILES[missing]
            ))),
        }
    }

    /// What the trees do not have, file by file in order. Frames from the number `failed` on were never acknowledged.
    pub(super) fn pending(&self, meta: &Meta, failed: Option<u64>) -> Result<Vec<(&JournalFile, Vec<Frame>)>> {
        let mut rounds = Vec::new();
        for file in self.files.iter().flatten() {
            let mut frames = file.scan(&meta.id, meta.commits)?;
            frames.retain(|frame| failed.is_none_or(|failed| frame.header.sequence < failed));
            rounds.extend((!frames.is_empty()).then_some((file, frames)));
        }
        rounds.sort_by_key(|(_, frames)| frames[0].header.sequence);
        let (mut commits, mut revision) = (meta.commits, meta.revision);
        for (file, frames) in &rounds {
            for Frame { header, .. } in frames {
                check_next(file, header, commits, revision)?;
                (commits, revision) = (header.sequence, header.revision);
            }
        }
        Ok(rounds)
    }

    /// Both files, created where they are missing.
    pub(super) fn complete(self, store: &Path) -> Result<[JournalFile; 2]> {
        let is_new = self.files.iter().any(Option::is_none);
        let mut number = 0;
        let files = self.files.map(|file| {
            let path = store.with_file_name(FILES[number]);
            number += 1;
            file.map_or_else(|| JournalFile::create(path), Ok)
        });
        if is_new {
            store.parent().map_or(Ok(()), sync_directory)?;
        }
        let [first, second] = files;
        Ok([first?, second?])
    }
}

fn check_next(file: &JournalFile, header: &Header, commits: u64, revision: Revision) -> Result<()> {
    if header.sequence != commits + 1 {
        let (next, found) = (commits + 1, header.sequence);
        return Err(file.damaged(&format!("commit {next} is damaged or missing, but commit {found} is there")));
    }
    if header.before != revision {
        let (found, sequence) = (header.before, header.sequence);
        return Err(file.damaged(&format!("commit {sequence} follows revision {found}, not {revision}")));
    }
    Ok(())
}

/// Fails if there is a journal where there is no store: it may have what the store that was there acknowledged.
pub(super) fn check_absent(directory: &Path) -> Result<()> {
    let is_used = |name: &&&str| fs::metadata(directory.join(name)).is_ok_and(|found| found.len() > 0);
    match FILES.iter().find(is_used) {
        None => Ok(()),
        Some(name) => Err(Fault::Damaged(format!(
            "it is missing, but its journal {name} is there; put it back, or move both away"
        ))),
    }
}

/// Removes the journal of a store that has everything in its trees.
pub(super) fn remove(store: &Path) -> Result<()> {
    FILES.iter().try_for_each(|name| fs::remove_file(store.with_file_name(name)))?;
    store.parent().map_or(Ok(()), sync_directory)?;
    Ok(())
}
