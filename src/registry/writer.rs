//! The single writer: it alone changes the registry.
//!
//! It holds the current state with its indexes, the rows of the zones, the leases that ran out and are not committed
//! yet, the timers of an hour, and the thread that calls the store (`pipeline`). It takes commands as they come,
//! [`Writer::tick`] is called as time passes, and [`Writer::settle`] waits for the store; time is the clock's, so that
//! tests run it by hand ([`Writer::run_batch`]). What happens when the store is away stands in the parent module.

mod batch;
mod guarded;
mod pipeline;
mod servers;
mod standing;
mod time;
mod timers;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;

pub(super) use self::pipeline::Request;
use self::pipeline::{Answer, Pipeline};
use self::standing::Standing;
use self::time::Loaded;
use self::timers::Timers;
use super::apply::apply;
use super::draft::{Author, Draft};
use super::guard::Fleet;
use super::lease::{Effect, Key};
use super::shared::Shared;
use super::state::State;
use super::{Action, Command, Opener, Outcome, Publisher, StaticNames, Store, ZoneRow};
use crate::model::Name;
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
    /// What was applied and is not committed yet.
    pipeline: Pipeline,
    zones: BTreeMap<Name, ZoneRow>,
    /// The store did not take the hashes of the static records that are published.
    statics_pending: bool,
    /// Leases that ran out.
    out: VecDeque<Key>,
    /// Those of them that something under way is about: they wait until it is done.
    delayed: Vec<Key>,
    /// The guard of the whole fleet.
    fleet: Fleet,
    /// What happens some time after its commit, in the order of time; monotonic.
    timers: Timers,
    /// By what the age of history is measured.
    loaded: Loaded,
    /// When history is pruned next; monotonic.
    prune_at: Duration,
}

impl Writer {
    /// A writer that has not opened its store; the first tick does. The store's thread calls `wake` each time that it
    /// is done with a batch.
    pub(super) fn new(
        shared: Arc<Shared>,
        open: Opener,
        publisher: Box<dyn Publisher>,
        statics: Arc<dyn StaticNames>,
        wake: impl Fn() + Send + 'static,
    ) -> Self {
        Self {
            pipeline: Pipeline::start(shared.clock.clone(), wake),
            shared,
            open,
            publisher,
            statics,
            store: None,
            standing: Standing::default(),
            state: State::default(),
            zones: BTreeMap::new(),
            statics_pending: false,
            out: VecDeque::new(),
            delayed: Vec::new(),
            fleet: Fleet::default(),
            timers: Timers::default(),
            loaded: Loaded::default(),
            prune_at: Duration::ZERO,
        }
    }

    /// Takes commands as one batch behind what is under way, for whoever runs the writer by hand. Each is answered when
    /// its batch is done: by the next [`Writer::settle`] at the latest.
    pub fn take_batch(&mut self, commands: &[Command]) -> Vec<oneshot::Receiver<Answer>> {
        let (requests, answers) = commands.iter().cloned().map(Request::new).unzip();
        self.take(requests);
        answers
    }

    /// Takes commands as one batch and waits until it is done. One answer for each.
    pub fn run_batch(&mut self, commands: &[Command]) -> Vec<Answer> {
        let answers = self.take_batch(commands);
        self.settle();
        let answered = |mut answer: oneshot::Receiver<_>| answer.try_recv().expect("all that was taken is answered");
        answers.into_iter().map(answered).collect()
    }

    /// Whether somebody has called [`super::Registry::stop`].
    pub fn is_stopping(&self) -> bool {
        self.shared.stopping.load(Ordering::Acquire)
    }

    /// A working copy of the current state.
    fn draft(&self) -> Draft {
        Draft::new(self.shared.clone(), self.statics.clone(), self.state.clone())
    }

    /// Beats are taken and mistakes are named; what would change something is refused.
    fn run_without_store(&mut self, command: &Command) -> Answer {
        self.check_loaded()?;
        let mut draft = self.draft();
        let outcome = apply(&mut draft, &*self.publisher, command)?;
        if !draft.changes.is_empty() || !draft.writes.is_empty() {
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
    fn reload(&mut self, command: &Command) -> Answer {
        self.check_loaded()?;
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
