//! Who is alive: the registry.
//!
//! TODO helper: essay.

pub mod command;
pub mod snapshot;
pub mod store;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;

use crate::model::naming::Naming;
use crate::model::{Change, Clock, Name, Refusal, Revision};
use crate::security::Policy;

pub use command::{Action, Beaten, Command, Outcome};
pub use snapshot::{Snapshot, Touched};
pub use store::{Page, Store, StoreError, ZoneRow};

/// Turns committed states into views; implemented by the composition root, so that the registry knows no view.
///
/// `load`, `reload` and `prepare` compile aside; `publish` makes the result visible by one swap, `discard` drops it.
pub trait Publisher: Send + 'static {
    /// Compiles everything from a loaded store. Returns, for each zone that takes registrations, the hash of what it
    /// contains besides registrations (zone file, configured SOA, NS, naming): its basis.
    fn load(&mut self, snapshot: &Snapshot, zones: &[(Name, ZoneRow)]) -> Vec<(Name, String)>;

    /// Compiles everything again because zone files changed; returns the bases as `load` does.
    fn reload(&mut self, snapshot: &Snapshot) -> Vec<(Name, String)>;

    /// Says that the compiled, unpublished state differs from the published one since these revisions.
    fn mark(&mut self, zones: &[(Name, Revision)]);

    /// Compiles the names of the touched services. Returns for each zone whose content differs from what is published
    /// the revision of the last change that made it differ, and marks it so.
    fn prepare(&mut self, after: &Snapshot, touched: &[Touched]) -> Vec<(Name, Revision)>;

    /// Makes the compiled state the published one. Only after the store took the batch.
    fn publish(&mut self);

    /// Throws the compiled state away: the store did not take the batch.
    fn discard(&mut self);

    /// The store is gone (`true`) or back: answers go on and say so.
    fn set_stale(&mut self, stale: bool);
}

/// Names that a registration may not take because a static record has them.
pub trait StaticNames: Send + Sync + 'static {
    /// Where the static record stands that keeps `name` from being registered (`file:line`), if any.
    fn holder(&self, name: &Name) -> Option<String>;
}

/// What the registry has to know of the configuration.
#[derive(Debug, Clone)]
pub struct Options {
    /// Zones that registrations are published in; may be empty.
    pub zones: Vec<Name>,
    /// The active names.
    pub naming: Naming,
    /// Labels and addresses that are refused.
    pub policy: Policy,
    /// How old a change may become before history forgets it.
    pub history: Duration,
    /// Where clients may turn when this server does not answer; base URLs.
    pub servers: Vec<String>,
}

/// Whether the registry has data and takes writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// The store has been read at least once.
    pub loaded: bool,
    /// The store takes writes.
    pub writable: bool,
    /// What is wrong with it, in words.
    pub trouble: Option<String>,
}

/// How many of what there are, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    /// Known services.
    pub services: usize,
    /// Instances in the answers.
    pub serving: usize,
    /// Instances out of the answers.
    pub lapsed: usize,
    /// Sessions with a lease, lone instances included.
    pub sessions: usize,
    /// Tokens.
    pub tokens: usize,
}

/// The registry as the edges see it: a handle, cheap to clone.
#[derive(Clone)]
pub struct Registry {}

impl Registry {
    /// Starts the single writer on a thread of its own. `open` opens the store and is called again while it fails.
    pub fn start(
        options: Options,
        open: Box<dyn FnMut() -> Result<Arc<dyn Store>, StoreError> + Send>,
        publisher: Box<dyn Publisher>,
        statics: Arc<dyn StaticNames>,
        clock: Arc<dyn Clock>,
    ) -> (Self, std::thread::JoinHandle<()>) {
        todo!()
    }

    /// Asks for a change; answers when it is durable and published.
    pub async fn submit(&self, command: Command) -> Result<Outcome, Refusal> {
        todo!()
    }

    /// Beats for a lone instance. Takes no part in any commit.
    pub fn beat(&self, service: &str, id: &str, incarnation: Option<u64>) -> Beaten {
        todo!()
    }

    /// Beats for a session.
    pub fn beat_session(&self, session: &str, epoch: &str, hash: Option<&str>) -> Beaten {
        todo!()
    }

    /// How long ago this server saw a beat for the instance.
    pub fn beat_age(&self, service: &str, id: &str) -> Option<Duration> {
        todo!()
    }

    /// The published state.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        todo!()
    }

    /// Changes as they are published, for live events.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Change>> {
        todo!()
    }

    /// Changes after `since`, oldest first; at most `limit`. Reads the disk off the async threads.
    pub async fn history(&self, since: Revision, limit: usize) -> Result<Page, Refusal> {
        todo!()
    }

    /// One change, if history still has it.
    pub async fn change(&self, revision: Revision) -> Result<Option<Change>, Refusal> {
        todo!()
    }

    /// Whether there is data and whether writes are taken.
    pub fn health(&self) -> Health {
        todo!()
    }

    /// How many of what there are. Kept up to date by the writer; does not count anew.
    pub fn census(&self) -> Census {
        todo!()
    }

    /// When a client with this lease should beat next, in seconds: a third of it, with jitter.
    pub fn heartbeat_seconds(&self, lease_seconds: u32) -> f64 {
        todo!()
    }

    /// The configuration that the registry works with.
    pub fn options(&self) -> &Options {
        todo!()
    }

    /// Finishes what is queued, commits it and stops the writer.
    pub fn stop(&self) {
        todo!()
    }
}
