//! Reading a backup, line by line, with every check that there is.

use std::io::{self, BufRead, Read};

use sha2::{Digest, Sha256};

use super::super::whole::Counts;
use super::{End, FORMAT, Header, LINE, Line, Summary};
use crate::model::Revision;

/// Why a file is no backup that can be used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It does not read.
    #[error("the backup cannot be read: {0}")]
    Read(#[from] io::Error),
    /// Its first line is not that of a backup.
    #[error("this is no backup of zonebeat: its first line should begin with {{\"backup\":{{\"format\":")]
    NotOne,
    /// It is compressed.
    #[error("this file is compressed ({0}); unpack it first, as in `{0} -dc FILE | zonebeat restore - --data-dir DIR`")]
    Compressed(&'static str),
    /// A later version wrote it.
    #[error("the backup has format {0}; this version reads format {FORMAT}: restore it with the version that made it")]
    Format(u32),
    /// A line is not what it should be.
    #[error("line {number} of the backup is damaged: {detail}")]
    Line {
        /// Which, from 1.
        number: u64,
        /// What is wrong with it.
        detail: String,
    },
    /// It ends before its last line.
    #[error("the backup ends after {0} lines without its last one, which says that it is whole: it was cut off")]
    CutOff(u64),
    /// Its content is not what was written.
    #[error("the backup is damaged: its content has SHA-256 {found}, but {written} was written")]
    Hash {
        /// Of what is there.
        found: String,
        /// What the last line says.
        written: String,
    },
}

/// Reads the lines of a backup.
pub struct BackupReader<R> {
    input: R,
    header: Header,
    hash: Sha256,
    counts: Counts,
    /// The line at hand, and its number.
    line: Vec<u8>,
    number: u64,
    /// The last change.
    last: Revision,
}

impl<R: BufRead> BackupReader<R> {
    /// Reads the first line.
    pub fn new(input: R) -> Result<Self, BackupError> {
        let header = Header {
            format: 0,
            store: String::new(),
            revision: Revision(0),
            made: Default::default(),
            version: String::new(),
        };
        let (hash, counts, line) = (Sha256::new(), Counts::default(), Vec::new());
        let mut reader = Self { input, header, hash, counts, line, number: 0, last: Revision(0) };
        reader.check_kind()?;
        let first = reader.next_line()?;
        reader.hash.update(&reader.line);
        reader.header = match first {
            Some(Line::Backup(header)) if header.format <= FORMAT => header,
            Some(Line::Backup(header)) => return Err(BackupError::Format(header.format)),
            _ => return Err(BackupError::NotOne),
        };
        Ok(reader)
    }

    /// What its first line says.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Octets read by kinds until now.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Looks at the beginning before anything is read as a line of unknown length.
    fn check_kind(&mut self) -> Result<(), BackupError> {
        let begin = self.input.fill_buf()?;
        let packed: [(&[u8], &str); 4] =
            [(b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\xfd7zXZ", "xz"), (b"\x04\x22\x4d\x18", "lz4")];
        match packed.iter().find(|(magic, _)| begin.starts_with(magic)) {
            Some((_, name)) => Err(BackupError::Compressed(name)),
            None if begin.starts_with(b"{\"backup\":") => Ok(()),
            None => Err(BackupError::NotOne),
        }
    }

    /// The next line; none at the end of the file.
    fn next_line(&mut self) -> Result<Option<Line>, BackupError> {
        self.line.clear();
        let read = (&mut self.input).take(LINE as u64 + 1).read_until(b'\n', &mut self.line)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        if !self.line.ends_with(b"\n") {
            return match read > LINE {
                true => Err(self.damaged(format!("it has more than {LINE} octets"))),
                false => Err(BackupError::CutOff(self.number - 1)),
            };
        }
        serde_json::from_slice(&self.line).map(Some).map_err(|error| self.damaged(error.to_string()))
    }

    fn damaged(&self, detail: String) -> BackupError {
        BackupError::Line { number: self.number, detail }
    }

    /// The next row or change. None when everything has been read and is as it was written.
    pub fn next(&mut self) -> Result<Option<Line>, BackupError> {
        let Some(line) = self.next_line()? else { return Err(BackupError::CutOff(self.number)) };
        let counter = match &line {
            Line::Backup(_) => return Err(self.damaged("another backup begins here".into())),
            Line::End(end) => return self.check_end(end).map(|()| None),
            Line::Service { .. } => &mut self.counts.services,
            Line::Instance { .. } => &mut self.counts.instances,
            Line::Token(_) => &mut self.counts.tokens,
            Line::Zone { .. } => &mut self.counts.zones,
            Line::Records { .. } => &mut self.counts.records,
            Line::Session { .. } => &mut self.counts.sessions,
            Line::Change(_) => &mut self.counts.changes,
        };
        *counter += 1;
        self.hash.update(&self.line);
        if let Line::Change(change) = &line {
            self.check_change(change.revision)?;
        }
        Ok(Some(line))
    }

    fn check_change(&mut self, revision: Revision) -> Result<(), BackupError> {
        if revision <= self.last || revision > self.header.revision {
            let (last, newest) = (self.last, self.header.revision);
            return Err(self.damaged(format!("change {revision} follows {last} in a backup of revision {newest}")));
        }
        self.last = revision;
        Ok(())
    }

    fn check_end(&mut self, end: &End) -> Result<(), BackupError> {
        let found = data_encoding::HEXLOWER.encode(&std::mem::take(&mut self.hash).finalize());
        if found != end.sha256 {
            return Err(BackupError::Hash { found, written: end.sha256.escape_debug().to_string() });
        }
        if self.counts != end.counts {
            let detail = format!("it counts {:?}, but there are {:?}", end.counts, self.counts);
            return Err(self.damaged(detail));
        }
        match self.input.read(&mut [0])? {
            0 => Ok(()),
            _ => {
                Err(BackupError::Line { number: self.number + 1, detail: "nothing should follow the last line".into() })
            }
        }
    }

    /// Reads everything for its checks alone.
    pub fn check(mut self) -> Result<Summary, BackupError> {
        while self.next()?.is_some() {}
        Ok(Summary { header: self.header, counts: self.counts })
    }
}
