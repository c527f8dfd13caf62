//! The single writer: it alone changes the registry.
//!
//! It holds the current state with its indexes, the rows of the zones, the leases that ran out and are not committed
//! yet, and the timers of an hour. [`Writer::run_batch`] is called with commands, [`Writer::tick`] as time passes;
//! neither sleeps, and time is the clock's, so that tests run it by hand. What happens when the store is away stands in
//! the parent module.

mod batch;
mod pipeline;
mod standing;
mod time;
mod timers;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use self::pipeline::Pipeline;
pub(super) use self::pipeline::Request;
use self::standing::Standing;
use self::timers::Timers;
use super::apply::apply;
use super::draft::{Author, Draft};
use super::lease::{Effect, Key};
use super::shared::Shared;
use super::state::State;
use super::{Action, Command, Opener, Outcome, Publisher, StaticNames, Store, ZoneRow};
use crate::model::{Name, Refusal, Word};
use crate::security::{Want, authorize};

/// The state of the registry, and what it takes to change it.
pub struct Writer {
    shared: Arc<Shared>,
    open: Opener,
    publisher: Box<dyn Publisher>,
    statics: Arc<dyn StaticNames>,
    store: Option<Arc<dyn Store>>,
    standing: Standing,
    state: State,
    /// What was applied and is not committed yet; `None` in a writer that commits on its own thread.
    pipeline: Option<Pipeline>,
    zones: BTreeMap<Name, ZoneRow>,
    /// The store did not take the hashes of the static records that are published.
    statics_pending: bool,
    /// Leases that ran out.
    out: VecDeque<Key>,
    /// Those of them that something under way is about: they wait until it is done.
    held: Vec<Key>,
    /// What happens an hour after its commit, in the order of time; monotonic.
    timers: Timers,
    /// When history is pruned next; monotonic.
    prune_at: Duration,
}

impl Writer {
    /// A writer that has not opened its store; the first tick does.
    pub(super) fn new(
        shared: Arc<Shared>,
        open: Opener,
        publisher: Box<dyn Publisher>,
        statics: Arc<dyn StaticNames>,
    ) -> Self {
        Self {
            shared,
            open,
            publisher,
            statics,
            store: None,
            standing: Standing::default(),
            state: State::default(),
            pipeline: None,
            zones: BTreeMap::new(),
            statics_pending: false,
            out: VecDeque::new(),
            held: Vec::new(),
            timers: Timers::default(),
            prune_at: Duration::ZERO,
        }
    }

    /// Applies commands in their order and commits what they change as one batch. One answer for each.
    pub fn run_batch(&mut self, commands: &[Command]) -> Vec<Result<Outcome, Refusal>> {
        self.settle();
        self.retry_for_command();
        if let Standing::NotLoaded(retry) = &self.standing {
            let detail =
                format!("the registry has not been loaded: {}; try another server, or again later", retry.trouble);
            return commands.iter().map(|_| Err(Refusal::new(Word::NotReady, detail.clone()))).collect();
        }
        let mut answers = Vec::with_capacity(commands.len());
        for group in commands.chunk_by(|a, b| !is_reload(a) && !is_reload(b)) {
            match group {
                [command] if is_reload(command) => answers.push(self.reload(command)),
                group => answers.extend(self.run_group(group)),
            }
        }
        answers
    }

    /// Whether somebody has called [`super::Registry::stop`].
    pub fn is_stopping(&self) -> bool {
        self.shared.stopping.load(Ordering::Acquire)
    }

    /// A working copy of the current state.
    fn draft(&self) -> Draft {
        Draft::new(self.shared.clone(), self.statics.clone(), self.state.clone())
    }

    fn run_group(&mut self, commands: &[Command]) -> Vec<Result<Outcome, Refusal>> {
        if let Standing::Away(_) = self.standing {
            return self.run_without_store(commands);
        }
        let mut draft = self.draft();
        let answers: Vec<_> = commands.iter().map(|command| apply(&mut draft, command)).collect();
        if draft.changes.is_empty() {
            self.adopt_beats(draft.state, draft.effects);
            return answers;
        }
        match self.commit(draft.into(), &[]) {
            Ok(()) => answers,
            Err(_) => self.run_without_store(commands),
        }
    }

    /// Beats are taken and mistakes are named; what would change something is refused.
    fn run_without_store(&mut self, commands: &[Command]) -> Vec<Result<Outcome, Refusal>> {
        commands.iter().map(|command| self.run_one_without_store(command)).collect()
    }

    fn run_one_without_store(&mut self, command: &Command) -> Result<Outcome, Refusal> {
        let mut draft = self.draft();
        let outcome = apply(&mut draft, command)?;
        if !draft.changes.is_empty() {
            return Err(self.unavailable());
        }
        self.adopt_beats(draft.state, draft.effects);
        Ok(outcome)
    }

    /// Takes over what needs no store: leases that run anew and epochs of sessions.
    fn adopt_beats(&mut self, state: State, effects: Vec<Effect>) {
        self.state = state;
        self.shared.leases.apply(effects);
    }

    /// Compiles the zone files again; a batch of its own.
    fn reload(&mut self, command: &Command) -> Result<Outcome, Refusal> {
        authorize(&self.state.snapshot.tokens, &command.principal, Want::Administer)?;
        if let Standing::Away(_) = self.standing {
            return Err(self.unavailable());
        }
        let before = self.state.snapshot.revision;
        let bases = self.publisher.reload(&self.state.snapshot);
        let by = Author::new(&command.principal, &command.reason);
        if let Err(error) = self.commit_statics(bases, &by) {
            self.publisher.discard();
            self.lose_store(&error);
            return Err(self.unavailable());
        }
        let revision = self.state.snapshot.revision;
        Ok(Outcome::Applied { revision, changed: revision != before })
    }
}

/// Whether it is a batch of its own.
fn is_reload(command: &Command) -> bool {
    matches!(command.action, Action::ReloadStatics)
}
