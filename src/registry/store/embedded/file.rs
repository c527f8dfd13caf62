//! The data directory and the file in it: created whole, opened for writing, or read where nothing can be written.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use redb::{Builder, Database, ReadableDatabase};

use super::fault::{Fault, Result, guarded};
use super::folios::read_ahead;
use super::journal::{self, Journal, JournalFile};
use super::overlay::Overlay;
use super::rows::{Meta, SCHEMA, Tables, WITH_JOURNAL};
use super::trees;
use super::unfinished::Unfinished;
use crate::model::Revision;

/// The file of the store in its data directory.
pub const FILE: &str = "registry.redb";
/// Name of the file that proves that there is room again; it lives for a moment.
const PROBE: &str = "registry.redb.room";
/// Room that a store has to find before it takes writes again after a failed one.
const ROOM: usize = 1 << 20;
/// Memory for pages of the file, half of it for those that a commit writes: room for a batch of a thousand changes. The
/// registry lives in memory anyway, so the other half serves history and the paths to rows; what it does not hold comes
/// from the system's cache of the file.
const CACHE: usize = 16 << 20;

/// An open file.
pub(super) struct Opened {
    pub(super) database: Database,
    pub(super) meta: Meta,
    pub(super) identity: Identity,
    /// None if it can only be read.
    pub(super) journal: Option<[JournalFile; 2]>,
    /// Why it can only be read.
    pub(super) trouble: Option<String>,
}

/// Device and inode: which file a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity(u64, u64);

impl Identity {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|found| Self(found.dev(), found.ino()))
    }

    /// Fails unless the path still names the file that was opened.
    pub(super) fn check_still(self, path: &Path) -> Result<()> {
        match Self::of(path) {
            Ok(found) if found == self => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => {
                let name = path.file_name().unwrap_or_default().display();
                let detail = format!("the file {name} was removed or replaced while it was open; put it back");
                Err(io::Error::other(detail).into())
            }
        }
    }
}

/// What a process that had the store open knows of it.
pub(super) struct Known<'s> {
    pub(super) id: &'s str,
    /// The last revision that was acknowledged.
    pub(super) revision: Revision,
    /// The number of the commit that failed, which may be in the journal all the same.
    pub(super) failed: Option<u64>,
    /// The disk did not take what was written to it.
    pub(super) doubtful: bool,
}

/// Makes sure that the directory and the file exist; returns the file's path.
pub(super) fn prepare(directory: &Path) -> std::result::Result<PathBuf, (PathBuf, Fault)> {
    create_directory(directory).map_err(|error| (directory.to_owned(), error.into()))?;
    let path = directory.join(FILE);
    match fs::metadata(&path) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Err((path, Fault::Damaged("it is not a regular file".into()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            guarded(|| create(directory, &path)).map_err(|fault| (path.clone(), fault))?;
        }
        Err(error) => return Err((path, error.into())),
    }
    Ok(path)
}

/// Opens an existing file for writing, repairs it if it was not closed, and brings into it what the journal has. If the
/// disk takes no writes, the file is opened for reading, with everything that had to be written kept in memory.
pub(super) fn open(path: &Path, known: Option<&Known<'_>>) -> Result<Opened> {
    let fault = match guarded(|| open_writable(path, known)) {
        Ok(opened) => return Ok(opened),
        Err(fault) => fault,
    };
    if !fault.is_refused_write() {
        return Err(fault);
    }
    match guarded(|| open_overlay(path, known)) {
        Ok(opened) => Ok(Opened { trouble: Some(fault.to_string()), ..opened }),
        Err(_) => Err(fault),
    }
}

fn open_writable(path: &Path, known: Option<&Known<'_>>) -> Result<Opened> {
    read_ahead(path);
    if known.is_some_and(|known| known.doubtful) {
        prove_room(path)?;
        write_again(path)?;
    }
    let identity = Identity::of(path)?;
    let database = builder().open(path)?;
    let journal = Journal::open(path, true)?;
    let mut meta = catch_up(&database, &journal, known)?;
    let journal = Some(journal.complete(path)?);
    settle(&database, &mut meta, known)?;
    Ok(Opened { database, meta, identity, journal, trouble: None })
}

fn open_overlay(path: &Path, known: Option<&Known<'_>>) -> Result<Opened> {
    let identity = Identity::of(path)?;
    let database = builder().create_with_backend(Overlay::new(File::open(path)?)?)?;
    let meta = catch_up(&database, &Journal::open(path, false)?, known)?;
    Ok(Opened { database, meta, identity, journal: None, trouble: None })
}

/// Checks that it is a store of ours, and the one that is known, before anything is written into it; then brings into
/// the trees what only the journal has.
fn catch_up(database: &Database, journal: &Journal, known: Option<&Known<'_>>) -> Result<Meta> {
    let meta = Meta::read(&database.begin_read()?)?;
    if let Some(known) = known.filter(|known| known.id != meta.id) {
        return Err(Fault::Damaged(format!("it is another store now: id {}, not {}", meta.id, known.id)));
    }
    let has_everything = known.is_some_and(|known| known.revision == meta.revision);
    if meta.has_journal && !has_everything {
        journal.check_complete()?;
    }
    let rounds = journal.pending(&meta, known.and_then(|known| known.failed))?;
    let last = rounds.iter().flat_map(|(_, frames)| frames).next_back();
    let revision = last.map_or(meta.revision, |frame| frame.header.revision);
    if let Some(known) = known.filter(|known| known.revision != revision) {
        let acknowledged = known.revision;
        return Err(Fault::Damaged(format!(
            "it is at revision {revision}, but revision {acknowledged} was acknowledged"
        )));
    }
    rounds.iter().try_for_each(|(file, frames)| trees::apply(database, file, frames, None, u64::MAX))?;
    Meta::read(&database.begin_read()?)
}

/// Proves that the database takes a durable commit, which says that from now on a journal belongs to it, and whose
/// number is beyond that of a commit that failed: wherever a frame of that is found, it does not count.
fn settle(database: &Database, meta: &mut Meta, known: Option<&Known<'_>>) -> Result<()> {
    let failed = known.and_then(|known| known.failed).unwrap_or(0);
    meta.commits = meta.commits.max(failed) + 1;
    let transaction = database.begin_write()?;
    let mut tables = Tables::open(&transaction)?;
    tables.set_meta("schema", WITH_JOURNAL)?;
    tables.set_commits(meta.commits)?;
    drop(tables);
    Ok(transaction.commit()?)
}

/// Marks a database that has everything as one that needs no journal, and closes it.
pub(super) fn close(database: Database) -> Result<()> {
    let transaction = database.begin_write()?;
    let mut tables = Tables::open(&transaction)?;
    tables.set_meta("schema", SCHEMA)?;
    drop(tables);
    transaction.commit()?;
    Ok(database.close()?)
}

pub(super) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
    builder
}

/// Fails unless the disk has room for [`ROOM`] more octets. After a full disk the file itself often has a little room
/// for some commits; without this the store would come and go with every other write.
fn prove_room(path: &Path) -> Result<()> {
    let probe = path.with_file_name(PROBE);
    let written = File::create(&probe).and_then(|mut file| {
        file.write_all(&vec![1; ROOM])?;
        file.sync_all()
    });
    let removed = fs::remove_file(&probe);
    written?;
    Ok(removed?)
}

/// Writes the file's own content over itself and syncs it. After an fsync that failed, Linux may hold in memory, as if
/// it were on the disk, what the disk does not have; after this the two are the same. Holes stay holes.
fn write_again(path: &Path) -> Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    file.try_lock().map_err(|error| match error {
        fs::TryLockError::WouldBlock => Fault::Redb(redb::Error::DatabaseAlreadyOpen),
        fs::TryLockError::Error(error) => error.into(),
    })?;
    let mut block = [0; 4096];
    let mut at = 0;
    loop {
        let read = file.read_at(&mut block, at)?;
        if read == 0 {
            break;
        }
        if block[..read].iter().any(|&octet| octet != 0) {
            file.write_all_at(&block[..read], at)?;
        }
        at += read as u64;
    }
    Ok(file.sync_all()?)
}

/// What the store takes on the disk, its journal included.
pub(super) fn octets(path: &Path) -> io::Result<u64> {
    let journal = journal::FILES.iter().filter_map(|name| fs::metadata(path.with_file_name(name)).ok());
    Ok(fs::metadata(path)?.len() + journal.map(|found| found.len()).sum::<u64>())
}

/// Creates the directory, readable by its owner only, with everything above it that is missing.
pub(super) fn create_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    if directory.exists() {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, "the data directory is not a directory"));
    }
    let missing: Vec<&Path> = directory.ancestors().take_while(|above| !above.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    missing.into_iter().filter_map(Path::parent).try_for_each(sync_directory)
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    File::open(directory)?.sync_all()
}

/// Creates an empty store, unless somebody else just did.
fn create(directory: &Path, path: &Path) -> Result<()> {
    journal::check_absent(directory)?;
    Unfinished::begin(directory, path)?.map_or(Ok(()), Unfinished::finish)
}
