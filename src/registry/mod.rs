//! Who is alive: the registry.
//!
//! **What it holds.** Services with their instances, tokens, sessions and leases, and the static records that UPDATE
//! wrote. Readers see a
//! [`Snapshot`]: immutable, taken by one pointer, sharing everything that did not change. Liveness is memory
//! only; rows and history are in the store.
//!
//! **Who changes it.** One thread, the [`writer`]. Edges send a [`Command`] through a bounded queue
//! ([`Registry::submit`]; full: `busy`). The writer takes what waits, validates and applies it to a working copy
//! (`apply`, `draft`), has the publisher compile the names of what was touched, commits rows and history in one batch,
//! then publishes, swaps the snapshot, updates the leases and answers: an answer means durable and published. While the
//! store's thread has a batch, the next one is applied and compiled already (`writer::pipeline`). Each
//! change has a revision of its own. Beats do not take this way (`lease`): they move a deadline and come to the
//! writer only when they bring something back. Beats carry no principal, so an edge asks
//! [`authorize()`](crate::security::authorize()) itself before it beats.
//!
//! **Time.** Every 100 ms the writer turns the timer wheel and commits the lapses of leases that ran out. All of them
//! pass by the [`guard`], which may hold them. A lapsed instance keeps its record
//! for an hour, and a name that nobody serves any more answers NODATA for an hour. These hours count on the monotonic
//! clock from the commit, or from our own start: after a restart they are full again. So are holds, on the lease clock.
//!
//! **Without a store.** If it cannot be opened at start there is no data: commands are refused with `not-ready`, and
//! opening is tried again after 1 to 10 s. If a commit fails, or the store says at start that it reads and does not
//! write, nothing of a batch has happened: the changes are refused with `store-unavailable`, the answers go on and say
//! that they may be stale, and reopening is tried again in the same way and with a command at most once a second. A
//! command that changes nothing is a beat and needs no store. Until the store is back nothing lapses, and then every
//! lease runs full once more.
//!
//! **Several servers** may write to one store. What others committed comes as news and is put onto the state from its
//! rows (`follow`), without judging. Of two that commit at once one is first; the other follows and judges its own
//! commands again, in their order (`writer::news`), so every batch was judged on the state that it changes. If news is
//! lost, it is as if a commit failed; when the store is back, what was missed is followed.
//!
//! **After a crash.** The store has exactly the acknowledged batches. Leases start full. Epochs of sessions are not
//! kept, so agents send their full set again.
//!
//! **Limits.** 4096 commands wait at most; a batch has about 1000 changes, 250 of them lapses; one batch is with the
//! store and one is made ready behind it; timers of an hour are at most about three for each that still means
//! something; 4096 changes are kept for slow readers of live events, who then see that they have missed some.

mod apply;
pub mod command;
mod draft;
pub mod explain;
mod follow;
pub mod guard;
mod handle;
pub mod lease;
mod load;
pub mod names;
mod refused;
mod session;
mod shared;
pub mod snapshot;
mod state;
pub mod store;
pub mod update;
pub mod writer;

use std::sync::Arc;
use std::time::Duration;

use crate::model::naming::Naming;
use crate::model::{Change, Name, Revision, State};
use crate::security::Policy;

pub use command::{Action, Beaten, Command, Outcome, Unmet};
pub use handle::Registry;
pub use names::names_of;
pub use refused::Refused;
pub use session::set_hash;
pub use snapshot::{FleetHold, Snapshot, Touched, TouchedName};
pub use store::{Page, Store, StoreError, ZoneRow};

/// Protocol of a registration that names none.
pub const DEFAULT_PROTO: &str = "tcp";
/// SRV priority of a registration that names none.
pub const DEFAULT_PRIORITY: u16 = 10;
/// SRV weight of a registration that names none.
pub const DEFAULT_WEIGHT: u16 = 100;
/// Lease of a registration that names none.
pub const DEFAULT_LEASE_SECONDS: i64 = 15;

/// Opens the store; called again while it fails.
pub type Opener = Box<dyn FnMut() -> Result<Arc<dyn Store>, StoreError> + Send>;

/// Hears what the registry does, for metrics and the log. Called on the writer's thread and on
/// those that beat: must not block.
pub trait Observer: Send + Sync + 'static {
    /// A batch is durable and published; `took` is the time in the store.
    fn committed(&self, _changes: &[Arc<Change>], _took: Duration) {}

    /// Another server committed this, and it is published here.
    fn followed(&self, _changes: &[Arc<Change>]) {}

    /// The store did not take a batch.
    fn commit_failed(&self) {}

    /// Somebody beat.
    fn beat(&self, _beaten: Beaten) {}

    /// Somebody named an incarnation that is newer than everything here, which is at this revision.
    fn went_back(&self, _named: Revision, _here: Revision) {}

    /// The store was opened, lost or regained, or its trouble is another one.
    fn health_changed(&self, _before: &Health, _after: &Health) {}
}

/// Nobody listens.
impl Observer for () {}

/// Turns committed states into views; implemented by the composition root, so that the registry knows no view.
///
/// `load`, `reload` and `prepare` compile aside; `publish` makes the result visible by one swap, `discard` drops it.
/// While the store is busy with one batch the next one is compiled: `close` parts them.
pub trait Publisher: update::Look + Send + 'static {
    /// Compiles everything from a loaded store. Returns, for each zone that takes registrations, the hash of what it
    /// contains besides registrations (zone file, configured SOA, NS, naming): its basis.
    fn load(&mut self, snapshot: &Snapshot, zones: &[(Name, ZoneRow)]) -> Vec<(Name, String)>;

    /// Compiles everything again because zone files changed; returns the bases as `load` does.
    fn reload(&mut self, snapshot: &Snapshot) -> Vec<(Name, String)>;

    /// Says that the compiled, unpublished state differs from the published one since these revisions.
    fn mark(&mut self, zones: &[(Name, Revision)]);

    /// Compiles the names of the touched services and those that UPDATE wrote, on top of what was compiled last,
    /// published or not. Returns for each zone whose content differs from that the revision of the last change that
    /// made it differ, and marks it so.
    fn prepare(&mut self, after: &Snapshot, touched: &[Touched], names: &[TouchedName]) -> Vec<(Name, Revision)>;

    /// What is compiled goes to the store now: `publish` makes just this visible, whatever is prepared until then.
    fn close(&mut self);

    /// Makes what was closed the published state, or everything compiled if nothing was closed. Only after the store
    /// took the batch.
    fn publish(&mut self);

    /// Throws everything compiled and not published away: the store did not take the batch.
    fn discard(&mut self);

    /// The store is gone (`true`) or back: answers go on and say so.
    fn set_stale(&mut self, stale: bool);
}

/// What static records keep from registrations: the names that they have, and aliases as targets.
pub trait StaticNames: Send + Sync + 'static {
    /// Where the static record stands that keeps a whole, lower-case name from being registered (`file:line`), if any.
    fn holder(&self, name: &[u8]) -> Option<String>;

    /// Where the CNAME stands that `name` is an alias by, if it is one in a zone of ours.
    fn alias(&self, _name: &Name) -> Option<String> {
        None
    }
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
    /// The longest TTL of registrations' records in a zone, in seconds.
    pub ttl: u32,
    /// Limits of the guard.
    pub guard: guard::Limits,
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

/// How many instances are in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct States([usize; State::ALL.len()]);

impl States {
    /// How many are in a state.
    pub fn get(&self, state: State) -> usize {
        self.0[state as usize]
    }

    /// All of them.
    pub fn all(&self) -> usize {
        self.0.iter().sum()
    }

    fn add(&mut self, state: State) {
        self.0[state as usize] += 1;
    }

    fn subtract(&mut self, state: State) {
        self.0[state as usize] -= 1;
    }
}

impl Census {
    /// Instances in the answers.
    pub fn serving(&self) -> usize {
        self.states.get(State::Serving) + self.states.get(State::Held)
    }

    /// Instances that lapsed.
    pub fn lapsed(&self) -> usize {
        self.states.get(State::Lapsed)
    }
}

/// How many of what there are, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    /// Known services.
    pub services: usize,
    /// Those among them without a declared owner; the servers' own service is not counted.
    pub unowned: usize,
    /// Instances by their state.
    pub states: States,
    /// Leases that are out while the fleet's lapses are held.
    pub fleet_held: usize,
    /// Sessions with a lease, lone instances included.
    pub sessions: usize,
    /// Tokens.
    pub tokens: usize,
}
