//! Where a backup goes: a file under another name until it is whole, or standard output.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::cli::Failure;

/// Octets that are gathered for one write.
const BUFFER: usize = 1 << 20;

/// What is written to; dropped before `finish`, nothing of it stays.
pub(super) enum Target {
    Stdout(BufWriter<io::Stdout>),
    File(Unfinished),
}

/// A file on its way to its name.
pub(super) struct Unfinished {
    file: BufWriter<File>,
    unfinished: PathBuf,
    path: PathBuf,
}

impl Target {
    /// Begins one; a file that is there stays. Only its owner may read it: hashes of tokens are in it.
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            return Ok(Self::Stdout(BufWriter::with_capacity(BUFFER, io::stdout())));
        }
        let failed = |why: &dyn std::fmt::Display| Failure::Failed(format!("cannot write {}: {why}", path.display()));
        let Some(name) = path.file_name() else { return Err(failed(&"it names no file")) };
        if path.symlink_metadata().is_ok() {
            return Err(failed(&"it is there already, and no backup is overwritten; choose another name"));
        }
        let mut unfinished = name.to_owned();
        unfinished.push(format!(".unfinished-{}", std::process::id()));
        let unfinished = path.with_file_name(unfinished);
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished);
        let file = BufWriter::with_capacity(BUFFER, opened.map_err(|error| failed(&error))?);
        Ok(Self::File(Unfinished { file, unfinished, path: path.to_owned() }))
    }

    /// Gives the file its name, durably.
    pub(super) fn finish(self) -> io::Result<()> {
        match self {
            Self::Stdout(mut out) => out.flush(),
            Self::File(mut file) => {
                file.file.flush()?;
                file.file.get_ref().sync_all()?;
                rename(&file.unfinished, &file.path)?;
                let directory = file.path.parent().filter(|parent| !parent.as_os_str().is_empty());
                File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
            }
        }
    }
}

/// Renames unless there is a file of that name by now.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if !to.exists() => fs::rename(from, to),
        renamed => Ok(renamed?),
    }
}

impl Write for Target {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(octets),
            Self::File(file) => file.file.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File(file) => file.file.flush(),
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.unfinished); // it has its name, or nobody wants it
    }
}
