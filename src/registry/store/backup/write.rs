//! Writing a backup, line by line, as a store is read.

use std::io::{self, Write};

use sha2::{Digest, Sha256};

use super::super::whole::Counts;
use super::super::{Load, LoadAll, Store, ZoneRow};
use super::{End, FORMAT, Header, LineRef, Summary};
use crate::model::service::ServiceRow;
use crate::model::{Change, Name, PackedInstance, Revision, SessionRow, Timestamp, Token, Written};

/// Writes what it is given. After an error of `out` it takes the rest and writes nothing; `finish` says what it was.
pub struct BackupWriter<W> {
    out: W,
    hash: Sha256,
    header: Header,
    counts: Counts,
    line: Vec<u8>,
    failed: Option<io::Error>,
}

impl<W: Write> BackupWriter<W> {
    /// Of this store, whose revision and rows come then.
    pub fn new(out: W, store: &dyn Store, made: Timestamp) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let header = Header { format: FORMAT, store: store.about().identity, revision: Revision(0), made, version };
        Self { out, hash: Sha256::new(), header, counts: Counts::default(), line: Vec::new(), failed: None }
    }

    fn write(&mut self, line: &LineRef<'_>) {
        if self.failed.is_none() {
            self.failed = self.try_write(line).err();
        }
    }

    fn try_write(&mut self, line: &LineRef<'_>) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line)?;
        self.line.push(b'\n');
        self.hash.update(&self.line);
        self.out.write_all(&self.line)
    }

    /// Writes the last line, and says what was written.
    pub fn finish(mut self) -> io::Result<Summary> {
        let hash = std::mem::take(&mut self.hash).finalize();
        let end = End { counts: self.counts, sha256: data_encoding::HEXLOWER.encode(&hash) };
        self.write(&LineRef::End(&end));
        match self.failed {
            Some(error) => Err(error),
            None => self.out.flush().map(|()| Summary { header: self.header, counts: self.counts }),
        }
    }
}

impl<W: Write> Load for BackupWriter<W> {
    fn revision(&mut self, revision: Revision) {
        self.header.revision = revision;
        let header = self.header.clone();
        self.write(&LineRef::Backup(&header));
    }

    fn service(&mut self, name: &str, row: ServiceRow) {
        self.counts.services += 1;
        self.write(&LineRef::Service { name, row: &row });
    }

    fn instance(&mut self, service: &str, instance: PackedInstance<'_>) {
        self.counts.instances += 1;
        if self.failed.is_none() {
            self.write(&LineRef::Instance { service, row: &instance.look().to_instance() });
        }
    }

    fn token(&mut self, token: Token) {
        self.counts.tokens += 1;
        self.write(&LineRef::Token(&token));
    }

    fn zone(&mut self, name: Name, row: ZoneRow) {
        self.counts.zones += 1;
        self.write(&LineRef::Zone { name: name.to_string(), row: &row });
    }

    fn records(&mut self, zone: Name, name: Name, row: Written) {
        self.counts.records += 1;
        self.write(&LineRef::Records { zone: zone.to_string(), name: name.to_string(), row: &row });
    }

    fn session(&mut self, name: &str, row: SessionRow) {
        self.counts.sessions += 1;
        self.write(&LineRef::Session { name, row: &row });
    }
}

impl<W: Write> LoadAll for BackupWriter<W> {
    fn change(&mut self, change: Change) {
        self.counts.changes += 1;
        self.write(&LineRef::Change(&change));
    }
}
