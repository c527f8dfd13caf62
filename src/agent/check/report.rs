//! What a service says about itself over the agent's local socket.

use tokio::time::Instant;

use super::Outcome;

/// A report: well or not, and in which words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Whether it is well.
    pub passing: bool,
    /// What it says.
    pub note: String,
    /// When it said so.
    pub at: Instant,
}

impl Report {
    /// As the outcome of a probe.
    pub(super) fn outcome(&self) -> Outcome {
        let note = self.note.trim();
        match (self.passing, note.is_empty()) {
            (true, true) => Ok("reported itself well".to_owned()),
            (true, false) => Ok(note.to_owned()),
            (false, true) => Err("reported itself not well".to_owned()),
            (false, false) => Err(note.to_owned()),
        }
    }
}
