//! The Store contract: what the single writer needs from a disk or a cluster.
//!
//! A store keeps rows (instances, services, tokens, zones, records from UPDATE, and sessions where several servers
//! share the registry) and the history of changes. `commit` applies one batch whole or not at all, and returns only
//! when it is durable. A store that failed stays failed until `reopen` works; nothing of a failed batch may be visible
//! afterwards, unless the failure left it open whether it was taken: then it is [`News`] after `reopen`, as are the
//! batches of others. One test battery (`tests/store.rs`) runs against every backend.
//!
//! **Several writers.** Batches of all of them have one order. A handle stands at a place in it: behind what it has
//! read, committed, or told as news. `commit` applies to that place only: if others have committed since, it fails with
//! [`StoreError::Conflict`], and what they committed is news. A store with one writer has no news.
//!
//! **Whole stores.** `read_all` gives rows and history of one revision; [`Fill`] makes a store of them where there is
//! none, which comes to be with its last call and not before. Backups (`backup`) and moves (`whole`) are made of these.

pub mod backup;
pub mod embedded;
mod entry;
pub mod etcd;
mod place;
pub mod whole;

pub use place::{Place, PlaceError};

use std::sync::Arc;

use crate::model::service::ServiceRow;
use crate::model::{Change, Instance, Name, PackedInstance, Revision, ServerNumber, ServerRow, SessionRow};
use crate::model::{Timestamp, Token, Written};

/// One row written or removed by a batch.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // rows of services are few, and a batch lives until it is committed
pub enum Write {
    /// An instance of a service, as it is now.
    Instance(Arc<str>, Arc<Instance>),
    /// An instance that is no more.
    RemoveInstance(Arc<str>, Box<str>),
    /// A service's row.
    Service(Arc<str>, ServiceRow),
    /// A service that is no more.
    RemoveService(Arc<str>),
    /// A token.
    Token(Arc<Token>),
    /// A token that is no more.
    RemoveToken(Arc<str>),
    /// What a zone's serial depends on.
    Zone(Name, ZoneRow),
    /// What UPDATE wrote at a name of a zone; `None`: nothing any more.
    Records(Name, Name, Option<Arc<Written>>),
    /// A session; `None`: it is no more. Only where several servers share the registry.
    Session(Arc<str>, Option<SessionRow>),
}

/// What a zone's serial depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct ZoneRow {
    /// The revision of the last change to its content.
    pub changed: Revision,
    /// Hash of its static records when they were last loaded; empty if it has none.
    pub static_hash: String,
}

/// Everything that commits together.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The revision that the store must be at, or the commit fails with [`StoreError::Conflict`].
    pub expected: Revision,
    /// Rows.
    pub writes: Vec<Write>,
    /// History, in order of revision; the last one is the store's new revision.
    pub changes: Vec<Change>,
}

/// Takes what a store holds, row by row: the revision, then services by label, instances sorted by service and id,
/// tokens, zones, records and sessions. Nothing that it was given counts if the store fails before the end.
pub trait Load {
    /// The last committed change.
    fn revision(&mut self, revision: Revision);

    /// The row of a service.
    fn service(&mut self, name: &str, row: ServiceRow);

    /// An instance of a service, which may have no row.
    fn instance(&mut self, service: &str, instance: PackedInstance<'_>);

    /// A token.
    fn token(&mut self, token: Token);

    /// What a zone's serial depends on.
    fn zone(&mut self, name: Name, row: ZoneRow);

    /// What UPDATE wrote at a name of a zone.
    fn records(&mut self, zone: Name, name: Name, row: Written);

    /// A session, where several servers share the registry.
    fn session(&mut self, name: &str, row: SessionRow);
}

/// Takes history too: its changes in order, behind all rows, up to the revision of the rows.
pub trait LoadAll: Load {
    /// A change.
    fn change(&mut self, change: Change);
}

/// Makes a store where there is none: rows and history in any number of calls, then `finish`. Nobody finds a store
/// there before that has returned, whatever happens; what was dropped or killed without it is gone, or goes with the
/// next one.
pub trait Fill: Send {
    /// Takes rows, none of which goes, and changes in order; `expected` is the change before them, 0 if there is none.
    /// Nothing of it needs to be durable yet.
    fn write(&mut self, batch: &Batch) -> Result<(), StoreError>;

    /// Makes what was written a store at `revision`, durably; no change is behind that. The store has an identity of
    /// its own.
    fn finish(self: Box<Self>, revision: Revision) -> Result<(), StoreError>;
}

/// What a store is, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// `embedded` or `etcd`.
    pub kind: &'static str,
    /// A random text that no other store has.
    pub identity: String,
    /// Octets that it takes, where it knows.
    pub octets: Option<u64>,
}

/// Everything that a store holds, as it is.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The last committed change.
    pub revision: Revision,
    /// Rows of services, by label.
    pub services: Vec<(Arc<str>, ServiceRow)>,
    /// Instances with the service they belong to, sorted by service and id.
    pub instances: Vec<(Arc<str>, Instance)>,
    /// Tokens.
    pub tokens: Vec<Token>,
    /// Zones.
    pub zones: Vec<(Name, ZoneRow)>,
    /// What UPDATE wrote, by zone and name.
    pub records: Vec<(Name, Name, Written)>,
    /// Sessions by name.
    pub sessions: Vec<(Arc<str>, SessionRow)>,
}

impl Load for Loaded {
    fn revision(&mut self, revision: Revision) {
        self.revision = revision;
    }

    fn service(&mut self, name: &str, row: ServiceRow) {
        self.services.push((name.into(), row));
    }

    fn instance(&mut self, service: &str, instance: PackedInstance<'_>) {
        self.instances.push((service.into(), instance.look().to_instance()));
    }

    fn token(&mut self, token: Token) {
        self.tokens.push(token);
    }

    fn zone(&mut self, name: Name, row: ZoneRow) {
        self.zones.push((name, row));
    }

    fn records(&mut self, zone: Name, name: Name, row: Written) {
        self.records.push((zone, name, row));
    }

    fn session(&mut self, name: &str, row: SessionRow) {
        self.sessions.push((name.into(), row));
    }
}

/// A page of history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Oldest first.
    pub changes: Vec<Change>,
    /// Whether more follow.
    pub more: bool,
    /// The oldest revision that is still kept; the next revision to come if none is.
    pub oldest: Revision,
}

/// Why a store call failed. The text names the file and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The data directory cannot be created, opened or written.
    #[error("cannot open the store {path}: {source}")]
    Open {
        /// The file.
        path: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another process has it.
    #[error("the store {0} is in use by another process; stop that server first, or give this one another --data-dir")]
    Locked(String),
    /// The file is there, but is not a store of ours or does not read.
    #[error("the store {path} is damaged: {detail}; restore a copy, or move the file away to start empty")]
    Damaged {
        /// The file.
        path: String,
        /// What did not read.
        detail: String,
    },
    /// The disk did not take a batch. Nothing of it is visible.
    #[error("the store {path} did not take a write: {source}")]
    Write {
        /// The file.
        path: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It is there, but is not the registry that this server knows, or not one of ours. The last good data stay.
    #[error("the store {path} is not followed: {detail}; if it is to be so, accept it with `zonebeat store adopt`")]
    Strange {
        /// Where it is.
        path: String,
        /// What is not as it was.
        detail: String,
    },
    /// A batch is larger than the store takes. Nothing was written, and nothing is wrong with the store: the batch is
    /// to be split, and a single command that is too large refused.
    #[error("the store {path} takes no batch of {octets} octets, at most {most}")]
    TooLarge {
        /// Where it is.
        path: String,
        /// What the batch would take.
        octets: usize,
        /// What it may take.
        most: usize,
    },
    /// There is one where none may be.
    #[error("{place} has a store already: {found}; name another place, or move that one away first")]
    NotEmpty {
        /// Where.
        place: String,
        /// What is there, in words.
        found: String,
    },
    /// There is none.
    #[error("{0} has no store")]
    Missing(String),
    /// History was forgotten while it was read.
    #[error(
        "the changes from {from} on were forgotten while they were copied, only those from {oldest} are there; try again"
    )]
    Forgotten {
        /// What was to come next.
        from: Revision,
        /// What is there.
        oldest: Revision,
    },
    /// Somebody else wrote in between; nothing is wrong with the store, and what was written is news.
    #[error("the store is at revision {found}, not at {expected}")]
    Conflict {
        /// What the batch wanted.
        expected: Revision,
        /// What is there, as far as it is known.
        found: Revision,
    },
}

/// What a store tells that others write to as well.
#[derive(Debug)]
pub enum News {
    /// Somebody else committed this, right behind where this handle stood; now it stands behind it.
    Batch(Batch),
    /// These servers are there now, ourselves among them; told once at least before anything else, and with every
    /// change. A server that is not told of any more counts no leases.
    Servers(Vec<ServerRow>),
    /// It cannot be followed any more, and what is known may be old, until `reopen` works.
    Lost(StoreError),
}

/// One backend. Calls block; only the writer's thread, its helper for commits and readers of history call them.
pub trait Store: Send + Sync + 'static {
    /// Reads everything at one revision, row by row: a million instances are not in memory twice.
    fn read(&self, into: &mut dyn Load) -> Result<(), StoreError>;

    /// Reads everything at one revision, as it is: for tools and tests.
    fn load(&self) -> Result<Loaded, StoreError> {
        let mut loaded = Loaded::default();
        self.read(&mut loaded)?;
        Ok(loaded)
    }

    /// Reads everything and history at one revision: rows, then changes, of which those behind the rows are left out.
    fn read_all(&self, into: &mut dyn LoadAll) -> Result<(), StoreError> {
        whole::rows_then_history(self, into)
    }

    /// Applies a batch whole and durably, or not at all.
    fn commit(&self, batch: &Batch) -> Result<(), StoreError>;

    /// Makes a failed store usable again, if the cause is gone. Then it stands where the last acknowledged commit left
    /// it: there is nothing to load again. Does nothing to a store that has not failed.
    fn reopen(&self) -> Result<(), StoreError>;

    /// Changes after `since`, oldest first, at most `limit`.
    fn history(&self, since: Revision, limit: usize) -> Result<Page, StoreError>;

    /// One change, if it is still kept.
    fn change(&self, revision: Revision) -> Result<Option<Change>, StoreError>;

    /// Forgets changes made before `before`, oldest first, at most `limit` in one call; says how many. Stops at the
    /// first one made from then to `now`, also where a clock that was wrong dates one behind it before. One that is
    /// dated after `now` is not younger than the one behind it.
    fn prune(&self, before: Timestamp, now: Timestamp, limit: usize) -> Result<usize, StoreError>;

    /// Has `wake` called each time that there is news, from any thread; once, before anything is read. `wake` must not
    /// block.
    fn listen(&self, _wake: Box<dyn Fn() + Send + Sync>) {}

    /// The next news, in the order of the batches; none while a commit runs. Does not wait.
    fn news(&self) -> Option<News> {
        None
    }

    /// What it is.
    fn about(&self) -> About {
        About::default()
    }

    /// The number that this server has among those that share the store: leases that it counts name it. The same for as
    /// long as the handle lives. None where there is only one.
    fn number(&self) -> ServerNumber {
        ServerNumber::NONE
    }

    /// Octets that are durable, but not yet in the form that they are read from.
    fn behind(&self) -> u64 {
        0
    }

    /// Why no writes are taken until `reopen` works, in words; `None` while they are. A store can be open and have
    /// trouble from the start: on a read-only disk it reads and does not write.
    fn trouble(&self) -> Option<String> {
        None
    }
}
