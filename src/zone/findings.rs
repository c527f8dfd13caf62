//! What was found in one zone, in bounded memory: of errors and of warnings the first ones,
//! and how many more there are.
//!
//! Warnings never keep a zone from being read, however many they are: BIND loads it too.

use super::{File, check};
use crate::model::{Finding, Place};

/// After so many errors the rest of a file is not read; of errors and of warnings no more are shown.
const MAX: usize = 1000;

/// The findings of a zone.
#[derive(Debug, Default)]
pub(super) struct Findings {
    errors: Kind,
    warnings: Kind,
    /// The files that were not read to their ends.
    notes: Vec<Finding>,
}

/// The findings of one severity.
#[derive(Debug, Default)]
struct Kind {
    kept: Vec<Finding>,
    more: usize,
}

impl Kind {
    fn push(&mut self, finding: Finding) {
        match self.kept.len() < MAX {
            true => self.kept.push(finding),
            false => self.more += 1,
        }
    }

    fn more(&self, word: &str) -> Option<String> {
        match self.more {
            0 => None,
            1 => Some(format!("1 more {word} is not shown")),
            more => Some(format!("{more} more {word}s are not shown")),
        }
    }
}

impl Findings {
    pub(super) fn push(&mut self, finding: Finding) {
        let kind = if finding.is_error() { &mut self.errors } else { &mut self.warnings };
        kind.push(finding);
    }

    pub(super) fn has_error(&self) -> bool {
        !self.errors.kept.is_empty()
    }

    pub(super) fn are_too_many(&self) -> bool {
        self.errors.kept.len() >= MAX
    }

    /// Says that the rest of `file` is not read.
    pub(super) fn stop(&mut self, file: &File) {
        let message = format!("there are {MAX} errors; the rest is not read");
        self.notes.push(Finding::error(Place::whole(file), message));
    }

    /// All in the order of the files, `first` before those that it includes, with their source lines; what is left out
    /// is told at the end.
    pub(super) fn show(self, first: &File, texts: &[(File, Vec<u8>)]) -> Vec<Finding> {
        let Self { errors, warnings, mut notes } = self;
        let more = errors.more("error").map(|message| Finding::error(Place::whole(first), message));
        notes.extend(more);
        notes.extend(warnings.more("warning").map(|message| Finding::warning(Place::whole(first), message)));
        let mut findings = check::show([errors.kept, warnings.kept].concat(), texts);
        findings.sort_by(|a, b| {
            let key = |finding: &Finding| (finding.place.file != *first, finding.place.clone());
            key(a).cmp(&key(b))
        });
        findings.extend(notes);
        findings
    }
}
