//! Checking a backup as it passes by, without reading its rows: for who fetches one.

use sha2::{Digest, Sha256};

use super::{End, LINE, Line, Summary};

/// Sees the octets of a backup in order.
#[derive(Default)]
pub struct Checker {
    hash: Sha256,
    /// The first line.
    first: Vec<u8>,
    /// The last whole line, which may be the end.
    last: Vec<u8>,
    /// What came of the next one.
    rest: Vec<u8>,
    lines: u64,
    octets: u64,
}

impl Checker {
    /// The next octets.
    pub fn see(&mut self, octets: &[u8]) {
        self.octets += octets.len() as u64;
        for part in octets.split_inclusive(|octet| *octet == b'\n') {
            if self.rest.len() + part.len() <= LINE {
                self.rest.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        self.hash.update(&self.last);
        self.lines += 1;
        if self.lines == 1 {
            self.first.clone_from(&self.rest);
        }
        std::mem::swap(&mut self.last, &mut self.rest);
        self.rest.clear();
    }

    /// Lines that have come.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Octets that have come.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// What it was, if it was whole and as it was written.
    pub fn finish(self) -> Option<Summary> {
        let Ok(Line::Backup(header)) = serde_json::from_slice(&self.first) else { return None };
        let Ok(Line::End(End { counts, sha256 })) = serde_json::from_slice(&self.last) else { return None };
        let is_whole = self.rest.is_empty()
            && counts.all() + 2 == self.lines
            && data_encoding::HEXLOWER.encode(&self.hash.finalize()) == sha256;
        is_whole.then_some(Summary { header, counts })
    }
}
