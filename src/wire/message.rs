//! A message being written: octets, section counts and the limit that nothing may cross.

use crate::model::Rtype;

/// The three sections behind the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Answers.
    Answer,
    /// SOA or NS.
    Authority,
    /// Addresses, OPT.
    Additional,
}

/// A response in the making.
pub struct Message<'o> {
    out: &'o mut [u8],
    at: usize,
    limit: usize,
    counts: [u16; 3],
}

impl<'o> Message<'o> {
    /// An empty message in `out` that may grow to `limit` octets.
    pub fn new(out: &'o mut [u8], limit: usize) -> Self {
        let limit = limit.min(out.len());
        Self { out, at: 0, limit, counts: [0; 3] }
    }

    /// Writes header and question. The limit must have room for them: 12 octets and one question.
    pub fn start(&mut self, id: u16, question: &[u8]) {
        self.out[..12].fill(0);
        self.out[..2].copy_from_slice(&id.to_be_bytes());
        self.out[5] = u8::from(!question.is_empty());
        self.out[12..12 + question.len()].copy_from_slice(question);
        self.at = 12 + question.len();
    }

    /// Octets so far.
    pub fn len(&self) -> usize {
        self.at
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.at == 0
    }

    /// How long the message may become.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Lets the message grow further.
    pub fn raise_limit(&mut self, limit: usize) {
        self.limit = limit.min(self.out.len());
    }

    /// Drops everything behind `length` and all counts.
    pub fn truncate(&mut self, length: usize) {
        self.at = length;
        self.counts = [0; 3];
    }

    /// Remembers how far the message is, to come back with [`Self::rewind`].
    pub fn mark(&self) -> (usize, [u16; 3]) {
        (self.at, self.counts)
    }

    /// Goes back to a mark.
    pub fn rewind(&mut self, (at, counts): (usize, [u16; 3])) {
        self.at = at;
        self.counts = counts;
    }

    /// Adds octets that no section counts; `false`, and nothing written, when they do not fit.
    pub fn put(&mut self, octets: &[u8]) -> bool {
        let end = self.at + octets.len();
        if end > self.limit {
            return false;
        }
        self.out[self.at..end].copy_from_slice(octets);
        self.at = end;
        true
    }

    /// Counts one record of a section; `false` when it has all that a message can count.
    pub fn count(&mut self, section: Section) -> bool {
        let count = self.counts[section as usize].checked_add(1);
        if let Some(count) = count {
            self.counts[section as usize] = count;
        }
        count.is_some()
    }

    /// How many answers there are so far.
    pub fn answers(&self) -> usize {
        usize::from(self.counts[Section::Answer as usize])
    }

    /// Everything that has been written.
    pub fn octets(&self) -> &[u8] {
        &self.out[..self.at]
    }

    /// Adds octets of whole records; `false`, and nothing written, when they do not fit.
    pub fn copy(&mut self, section: Section, records: u32, first: &[u8], second: &[u8]) -> bool {
        let end = self.at + first.len() + second.len();
        let count = u32::from(self.counts[section as usize]) + records;
        let Ok(count) = u16::try_from(count) else { return false };
        if end > self.limit {
            return false;
        }
        let middle = self.at + first.len();
        self.out[self.at..middle].copy_from_slice(first);
        self.out[middle..end].copy_from_slice(second);
        self.at = end;
        self.counts[section as usize] = count;
        true
    }

    /// Adds one record; `false`, and nothing written, when it does not fit.
    pub fn record(&mut self, section: Section, owner: &[u8], rtype: Rtype, class: u16, ttl: u32, rdata: &[u8]) -> bool {
        let mark = self.mark();
        let mut head = [0; 10];
        head[..2].copy_from_slice(&rtype.0.to_be_bytes());
        head[2..4].copy_from_slice(&class.to_be_bytes());
        head[4..8].copy_from_slice(&ttl.to_be_bytes());
        head[8..].copy_from_slice(&(rdata.len() as u16).to_be_bytes());
        let fits = self.copy(section, 1, owner, &head) && self.copy(section, 0, rdata, &[]);
        if !fits {
            self.rewind(mark);
        }
        fits
    }

    /// What was written from an offset on.
    pub fn written(&mut self, from: usize) -> &mut [u8] {
        &mut self.out[from..self.at]
    }

    /// Writes flags and counts; returns the length.
    pub fn finish(self, flags: u16) -> usize {
        self.out[2..4].copy_from_slice(&flags.to_be_bytes());
        for (section, count) in self.counts.iter().enumerate() {
            self.out[6 + 2 * section..8 + 2 * section].copy_from_slice(&count.to_be_bytes());
        }
        self.at
    }
}
