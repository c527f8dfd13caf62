//! What is in the journal and not in the trees, and whose turn it is.
//!
//! **What it holds.** The frames of the current round, in the order of their commits, and who is at work: the thread
//! that commits appends to the active file of the journal; the trees' thread takes the other one. They change places
//! ([`State::turn`]) when the trees' thread wants the next round and nothing is being appended. A commit that comes
//! while it waits for that makes the turn itself, so commits one after the other cannot keep the trees waiting.
//!
//! **When a round is over.** When it has [`ENOUGH`] octets, when its first commit is [`GATHER`] old, when somebody
//! wants to read, or when the store closes. A commit that would make a round larger than [`MOST`] waits until the trees
//! are done with the one before it.
//!
//! **Failure.** Trouble is kept here. After a failed append the trees go on with what was acknowledged; after a failed
//! commit of the trees they stop, and reading fails too, until the store is opened again. The journal has what they
//! miss.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::fault::{Fault, Result};
use super::journal::{Frame, JournalFile};

/// How long the trees let changes gather.
const GATHER: Duration = Duration::from_secs(1);
/// Octets of frames that are worth a round: some 4,000 changes.
const ENOUGH: u64 = 4 << 20;
/// Octets of frames that a round has at most, unless one frame alone has more.
const MOST: u64 = 8 << 20;

/// Commits that the trees' thread takes at once.
pub(super) struct Round {
    pub(super) file: Arc<JournalFile>,
    pub(super) frames: Vec<Frame>,
    /// Changes up to this revision are to be forgotten.
    pub(super) forget: Option<u64>,
}

/// A place for a frame.
pub(super) struct Place {
    pub(super) files: [Arc<JournalFile>; 2],
    pub(super) active: usize,
    pub(super) at: u64,
}

impl Place {
    /// The file that the frame goes to.
    pub(super) fn file(&self) -> &JournalFile {
        &self.files[self.active]
    }
}

/// The ledger, shared by the thread that commits, the trees' thread, and readers who wait for them.
#[derive(Default)]
pub(super) struct Ledger {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// None as long as the store takes no writes.
    files: Option<[Arc<JournalFile>; 2]>,
    active: usize,
    /// Where the next frame of the active file goes.
    end: u64,
    /// Frames of the active file.
    frames: Vec<Frame>,
    /// Changes up to this revision are to be forgotten with the next round; and which round that is.
    forget: Option<u64>,
    forgotten: u64,
    /// A round that the trees' thread has not fetched yet.
    round: Option<Round>,
    /// Rounds that were ever given to the trees' thread, and those that it is done with: at most one less.
    turns: u64,
    done: u64,
    /// A frame is being written.
    appending: bool,
    /// The trees' thread wants the next round.
    wanted: bool,
    /// Somebody waits for the trees.
    urgent: bool,
    /// Octets of the round that is being applied.
    taken: u64,
    trouble: Option<String>,
    /// The trees' thread does nothing until the store has been opened again.
    stuck: bool,
    closing: bool,
}

impl State {
    fn is_applying(&self) -> bool {
        self.done < self.turns
    }

    fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.forget.is_none()
    }

    /// Gives what was gathered to the trees; the other file is the active one now.
    fn turn(&mut self) {
        let Some(files) = &self.files else { return };
        let file = files[self.active].clone();
        let frames = std::mem::take(&mut self.frames);
        self.taken = self.end;
        self.round = Some(Round { file, frames, forget: self.forget.take() });
        (self.active, self.end) = (1 - self.active, 0);
        self.turns += 1;
        (self.wanted, self.urgent) = (false, false);
    }

    fn refused(&self) -> Fault {
        let trouble = self.trouble.clone().unwrap_or_else(|| "it is not open".into());
        std::io::Error::other(trouble).into()
    }
}

impl Ledger {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'g>(&self, state: MutexGuard<'g, State>) -> MutexGuard<'g, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins with an empty journal, or with no journal and the reason for it.
    pub(super) fn begin(&self, files: Option<[JournalFile; 2]>, trouble: Option<String>) {
        let mut state = self.state();
        // Whoever waits for the trees has nothing to wait for: they have everything now.
        let (closing, turns) = (state.closing, state.turns + 1);
        let files = files.map(|files| files.map(Arc::new));
        *state = State { files, trouble, closing, turns, done: turns, ..State::default() };
        self.changed.notify_all();
    }

    /// Stops the trees' thread until [`Ledger::begin`], and waits until it has stopped. Says whether it was stuck
    /// anyway.
    pub(super) fn halt(&self) -> bool {
        let mut state = self.state();
        let was_stuck = std::mem::replace(&mut state.stuck, true);
        if state.round.take().is_some() {
            state.done = state.turns;
        }
        self.changed.notify_all();
        while state.is_applying() {
            state = self.wait(state);
        }
        was_stuck
    }

    /// Finds a place for a frame of so many octets; waits while the trees are too far behind.
    pub(super) fn place(&self, octets: u64) -> Result<Place> {
        let mut state = self.state();
        loop {
            if state.trouble.is_some() || state.closing {
                return Err(state.refused());
            }
            if state.wanted && !state.is_applying() {
                state.turn();
                self.changed.notify_all();
            }
            if state.end == 0 || state.end + octets <= MOST {
                break;
            }
            state.urgent = true;
            self.changed.notify_all();
            state = self.wait(state);
        }
        let Some(files) = state.files.clone() else { return Err(state.refused()) };
        state.appending = true;
        Ok(Place { files, active: state.active, at: state.end })
    }

    /// The frame is in its place and durable.
    pub(super) fn appended(&self, frame: Frame, octets: u64) {
        let mut state = self.state();
        state.appending = false;
        state.end += octets;
        state.frames.push(frame);
        let is_worth_it = state.frames.len() == 1 || state.end >= ENOUGH || state.wanted || state.urgent;
        drop(state);
        if is_worth_it {
            self.changed.notify_all();
        }
    }

    /// The frame could not be written, or is not certain to be durable.
    pub(super) fn failed(&self, fault: &Fault) {
        let mut state = self.state();
        state.appending = false;
        state.trouble = Some(fault.to_string());
        self.changed.notify_all();
    }

    /// Waits for the next round; none when the store closes and everything is done that can be done.
    pub(super) fn next(&self) -> Option<Round> {
        let mut state = self.state();
        let mut gathered = false;
        loop {
            if let Some(round) = state.round.take() {
                return Some(round);
            }
            let is_idle = state.stuck || state.is_empty();
            if is_idle && state.closing {
                return None;
            }
            if is_idle {
                gathered = false;
                state = self.wait(state);
            } else if !gathered {
                let is_early =
                    |state: &mut State| !(state.stuck || state.urgent || state.closing || state.end >= ENOUGH);
                let waited = self.changed.wait_timeout_while(state, GATHER, is_early);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                gathered = true;
            } else if state.appending {
                state.wanted = true;
                state = self.wait(state);
            } else {
                state.turn();
            }
        }
    }

    /// The trees' thread is done with a round.
    pub(super) fn applied(&self, result: &Result<()>) {
        let mut state = self.state();
        (state.done, state.taken) = (state.turns, 0);
        if let Err(fault) = result {
            state.stuck = true;
            state.trouble.get_or_insert_with(|| fault.to_string());
        }
        self.changed.notify_all();
    }

    /// Waits until the trees have what was acknowledged before the call.
    pub(super) fn settle(&self) -> Result<()> {
        let mut state = self.state();
        let last = state.turns + u64::from(!state.is_empty());
        while state.done < last {
            if state.stuck {
                return Err(state.refused());
            }
            if state.turns < last && !state.urgent {
                state.urgent = true;
                self.changed.notify_all();
            }
            state = self.wait(state);
        }
        Ok(())
    }

    /// Lets the trees' thread take at once what there is.
    #[cfg(test)]
    pub(super) fn hurry(&self) {
        self.state().urgent = true;
        self.changed.notify_all();
        std::thread::yield_now();
    }

    /// Whether the trees' thread has a round.
    #[cfg(test)]
    pub(super) fn is_applying(&self) -> bool {
        self.state().is_applying()
    }

    /// Has changes up to a revision forgotten with the next round.
    pub(super) fn forget(&self, revision: u64) {
        let mut state = self.state();
        state.forget = state.forget.max(Some(revision));
        state.forgotten = state.turns + 1;
        self.changed.notify_all();
    }

    /// Whether changes are yet to be forgotten.
    pub(super) fn is_forgetting(&self) -> bool {
        let state = self.state();
        state.done < state.forgotten
    }

    /// Whether everything that was acknowledged is in the trees.
    pub(super) fn is_settled(&self) -> bool {
        let state = self.state();
        !state.is_applying() && state.is_empty()
    }

    /// The files of the journal if nothing depends on them any more: everything is in the trees, and nothing failed.
    pub(super) fn end(&self) -> Option<[Arc<JournalFile>; 2]> {
        let state = self.state();
        let is_whole = state.trouble.is_none() && !state.is_applying() && state.is_empty();
        state.files.clone().filter(|_| is_whole)
    }

    /// Octets of the journal that are not in the trees.
    pub(super) fn behind(&self) -> u64 {
        let state = self.state();
        state.taken + state.end
    }

    /// Why no writes are taken.
    pub(super) fn trouble(&self) -> Option<String> {
        self.state().trouble.clone()
    }

    /// Lets the trees' thread end when it has done everything.
    pub(super) fn close(&self) {
        self.state().closing = true;
        self.changed.notify_all();
    }
}
