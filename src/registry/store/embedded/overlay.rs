//! A database file that is read but never written: what would be written stays in memory.
//!
//! Opening a file after a crash repairs it, and repairing writes. On a disk that takes no writes the repair goes into
//! memory instead, a few blocks of it, and is done again by the next server that can write.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

const BLOCK: u64 = 4096;

/// The file below and the blocks that differ from it.
#[derive(Debug)]
pub(super) struct Overlay {
    file: FileBackend,
    top: Mutex<Top>,
}

#[derive(Debug)]
struct Top {
    /// The length that the database sees.
    len: u64,
    /// How much of the file below still shows; what was cut off and grown again is zero.
    below: u64,
    blocks: BTreeMap<u64, Box<[u8]>>,
}

impl Overlay {
    pub(super) fn new(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        let file = FileBackend::new(file).map_err(io::Error::other)?;
        Ok(Self { file, top: Mutex::new(Top { len, below: len, blocks: BTreeMap::new() }) })
    }

    fn top(&self) -> MutexGuard<'_, Top> {
        self.top.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fills `out` from the file below, with zeros behind its end.
    fn read_below(&self, below: u64, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = below.saturating_sub(offset).min(out.len() as u64) as usize;
        out[there..].fill(0);
        if there == 0 {
            return Ok(());
        }
        self.file.read(offset, &mut out[..there])
    }
}

/// Splits a range of octets at block borders: block number, offset in the block, range in the buffer.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let inside = (at % BLOCK) as usize;
        let take = (BLOCK as usize - inside).min(len - done);
        done += take;
        (take > 0).then(|| (at / BLOCK, inside, done - take..done))
    })
}

fn beyond_end() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "beyond the end of the file")
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.top().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let top = self.top();
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > top.len) {
            return Err(beyond_end());
        }
        if top.blocks.is_empty() {
            return self.read_below(top.below, offset, out);
        }
        for (number, inside, range) in pieces(offset, out.len()) {
            let part = &mut out[range];
            match top.blocks.get(&number) {
                Some(block) => part.copy_from_slice(&block[inside..inside + part.len()]),
                None => self.read_below(top.below, number * BLOCK + inside as u64, part)?,
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut top = self.top();
        top.len = len;
        top.below = top.below.min(len);
        top.blocks.split_off(&len.div_ceil(BLOCK));
        let inside = (len % BLOCK) as usize;
        if let Some(block) = top.blocks.get_mut(&(len / BLOCK)) {
            block[inside..].fill(0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut top = self.top();
        if offset.checked_add(data.len() as u64).is_none_or(|end| end > top.len) {
            return Err(beyond_end());
        }
        for (number, inside, range) in pieces(offset, data.len()) {
            let part = &data[range];
            let below = top.below;
            let block = match top.blocks.entry(number) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => {
                    let mut block = vec![0; BLOCK as usize].into_boxed_slice();
                    self.read_below(below, number * BLOCK, &mut block)?;
                    entry.insert(block)
                }
            };
            block[inside..inside + part.len()].copy_from_slice(part);
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    // A file that is open for reading cannot be locked exclusively; a shared lock keeps writers out as well.
    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}
