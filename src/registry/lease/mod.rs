//! Leases: who may still be silent, and for how long.
//!
//! **What it holds.** One entry per session, a lone instance being a session of its own: whose lease it is (service, id
//! and incarnation, or a pointer to the published session), the deadline, and its neighbours in the timer wheel. The
//! table is memory only; after a restart every lease starts full.
//!
//! **Shape.** `entry`: slots of 48 octets in chunks, named by a number. `text`: the labels of lone instances beside
//! them. `index`: from a keyed hash of the name, which nobody outside can make collide, to the number; the name itself
//! is compared. `wheel`: lists by deadline, linked through the entries. `table` holds them together. A beat finds its
//! entry and moves it to another list: O(1), no allocation. A tick visits the leases that ran out and no others, but
//! for those longer than 204 s that have been silent for half of their time, once each.
//!
//! **Size.** 48 octets, the label's in steps of 8, and 6 to 12 of the index: 62 to 68 per lone session with labels up
//! to 8 octets, at any number, and 190 KB once. Nothing of that is moved or doubled when the number grows. What leases
//! took that ended is kept for the next ones.
//!
//! **Lease clock.** Deadlines count on a clock of their own, which the writer's tick moves ahead by what passed since
//! the last tick, at most 500 ms. A tick that comes late (a stall, SIGSTOP, a slow disk) so moves every deadline by
//! the lateness: nobody lapses because *we* did not listen.
//!
//! **Several servers** (`servers`, `watched`). Each lease has an owner, the server that counts it. What another one
//! that is there counts stands in lists of its own, never runs out, and is not counted among the silent. When that
//! server vanishes all of it begins a full lease at that moment, and is left to it again when it is back, without a
//! visit. A beat for what another server owns, there or not, is answered with [`Beaten::Elsewhere`]: the edge claims
//! it, so that all hear of it. An only server owns everything.
//!
//! **Who changes it.** Edges beat, the writer does everything else; both hold the one mutex for a moment. A lease that
//! ran out is reported to the writer once. Until the lapse is sealed, right before its commit, a beat
//! renews it as if nothing had been; afterwards a beat is answered with [`Beaten::Lapsed`].

mod due;
mod entry;
mod index;
mod servers;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod watched;
mod wheel;

use std::collections::BTreeMap;
use std::hash::RandomState;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(super) use self::servers::Servers;
use self::table::{Name, Table};
use super::Beaten;
use super::session::Session;
use crate::model::{Instance, InstanceRef, Revision, ServerNumber};

/// The resolution of deadlines.
pub const TICK: Duration = Duration::from_millis(100);
const TICKS_PER_SECOND: u32 = 10;
/// The most that one tick moves the lease clock.
const MOST_PER_TICK: Duration = Duration::from_millis(500);

/// What a lease stands for, as it was last committed.
#[derive(Debug, Clone)]
pub(super) enum Subject {
    /// A lone instance.
    Lone(Lone),
    /// An agent's session.
    Session(Arc<Session>),
}

/// What the lease of a lone instance has to know of it. Holds nothing of the registry's state but the service's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lone {
    /// The service's label.
    pub(super) service: Arc<str>,
    /// The instance's label.
    pub(super) id: Box<str>,
    /// Which life of the id it is.
    pub(super) incarnation: Revision,
    /// How long it may be silent.
    pub(super) lease_seconds: u32,
    /// The server that counts its lease, where several share the registry.
    pub(super) owner: ServerNumber,
    /// Its lease ran out, and that is committed: it is out of the answers, or held in them.
    pub(super) lapsed: bool,
}

/// What tells subjects apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum SubjectName<'n> {
    /// Service and id.
    Lone(&'n str, &'n str),
    /// The session.
    Session(&'n str),
}

/// Names a lease that ran out, until it ends. Another one that gets its place is not out, so nothing lapses by mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(u32);

/// How many leases there are, and of how many nothing was heard when it should have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// Out, or with less than about three eighths of their time left: whoever beats three times per lease has more, and
    /// who beats twice hardly ever less.
    pub silent: usize,
    /// Those of them that are out.
    pub out: usize,
    /// All that are counted here and have not lapsed.
    pub running: usize,
}

/// What a committed command means for a lease.
#[derive(Debug)]
pub(super) enum Effect {
    /// It runs anew: registered, updated, returned or beaten.
    Start(Subject),
    /// It runs anew, and nobody was heard here: a server that others heard follows.
    Follow(Subject),
    /// It stands for this now; its deadline stays.
    Replace(Subject),
    /// The lone instance is gone.
    EndLone(Arc<str>, Box<str>),
    /// The session is gone.
    EndSession(Arc<str>),
}

/// Every lease, shared by the edges that beat and the writer.
pub struct Leases {
    hashing: RandomState,
    table: Mutex<Table>,
}

impl Subject {
    /// The lease of a lone instance.
    pub(super) fn lone(service: &Arc<str>, instance: &Instance) -> Self {
        Self::Lone(Lone {
            service: service.clone(),
            id: instance.id.clone(),
            incarnation: instance.incarnation,
            lease_seconds: instance.lease_seconds,
            owner: instance.owner,
            lapsed: instance.is_silent(),
        })
    }

    /// The same of an instance that is looked at where it lies.
    pub(super) fn lone_ref(service: &Arc<str>, instance: &InstanceRef<'_>) -> Self {
        Self::Lone(Lone {
            service: service.clone(),
            id: instance.id.into(),
            incarnation: instance.incarnation,
            lease_seconds: instance.lease_seconds,
            owner: instance.owner,
            lapsed: instance.state.is_silent(),
        })
    }

    /// What tells it from others.
    pub(super) fn subject(&self) -> SubjectName<'_> {
        match self {
            Self::Lone(lone) => SubjectName::Lone(&lone.service, &lone.id),
            Self::Session(session) => SubjectName::Session(&session.name),
        }
    }

    fn lease_seconds(&self) -> u32 {
        match self {
            Self::Lone(lone) => lone.lease_seconds,
            Self::Session(session) => session.lease_seconds,
        }
    }

    /// Who counts it.
    pub(super) fn owner(&self) -> ServerNumber {
        match self {
            Self::Lone(lone) => lone.owner,
            Self::Session(session) => session.owner,
        }
    }

    /// How many instances it beats for.
    pub(super) fn instances(&self) -> usize {
        match self {
            Self::Lone(..) => 1,
            Self::Session(session) => session.members.len(),
        }
    }

    fn has_lapsed(&self) -> bool {
        match self {
            Self::Lone(lone) => lone.lapsed,
            Self::Session(session) => session.lapsed,
        }
    }

    fn name<'n>(&'n self, hashing: &RandomState) -> Name<'n> {
        match self {
            Self::Lone(lone) => Name::lone(hashing, &lone.service, &lone.id),
            Self::Session(session) => Name::session(hashing, &session.name),
        }
    }
}

impl Effect {
    /// Whose lease it is about.
    pub(super) fn subject(&self) -> SubjectName<'_> {
        match self {
            Self::Start(subject) | Self::Follow(subject) | Self::Replace(subject) => subject.subject(),
            Self::EndLone(service, id) => SubjectName::Lone(service, id),
            Self::EndSession(session) => SubjectName::Session(session),
        }
    }
}

impl Default for Leases {
    fn default() -> Self {
        Self::new()
    }
}

impl Leases {
    /// An empty table with a hash of its own.
    pub fn new() -> Self {
        let hashing = RandomState::new();
        Self { table: Mutex::new(Table::new(hashing.clone())), hashing }
    }

    /// Beats for a lone instance.
    pub fn beat(&self, service: &str, id: &str, incarnation: Option<u64>) -> Beaten {
        let name = Name::lone(&self.hashing, service, id);
        self.lock().beat(name, incarnation)
    }

    /// Beats for a session. One that has not sent its set to this server since our start is not known.
    pub(super) fn beat_session(&self, session: &str, epoch: &str, hash: Option<&str>) -> Beaten {
        let name = Name::session(&self.hashing, session);
        self.lock().beat_session(name, epoch, hash)
    }

    /// A session as it was last committed.
    pub(super) fn known_session(&self, session: &str) -> Option<Arc<Session>> {
        let name = Name::session(&self.hashing, session);
        self.lock().known_session(name).cloned()
    }

    /// How long ago the last beat for a lone instance came, on the lease clock.
    pub(super) fn beat_age(&self, service: &str, id: &str) -> Option<Duration> {
        let name = Name::lone(&self.hashing, service, id);
        self.lock().beat_age(name)
    }

    /// How long ago the last beat of a session came, on the lease clock.
    pub(super) fn beat_age_of_session(&self, session: &str) -> Option<Duration> {
        let name = Name::session(&self.hashing, session);
        self.lock().beat_age(name)
    }

    /// Leases that run, whoever counts them.
    pub fn running(&self) -> usize {
        self.lock().running()
    }

    /// How many leases run, by the server that counts them.
    pub(super) fn by_server(&self) -> BTreeMap<ServerNumber, usize> {
        self.lock().by_server()
    }

    /// How many are silent, and of how many.
    pub fn silence(&self) -> Silence {
        self.lock().silence()
    }

    /// Whether the lease of a lone instance is out, and neither renewed nor lapsed since.
    pub(super) fn is_out(&self, service: &str, id: &str) -> bool {
        let name = Name::lone(&self.hashing, service, id);
        let table = self.lock();
        table.find(name).is_some_and(|number| table.is_out(Key(number)))
    }

    /// Whether the lease of a session is out, and neither renewed nor lapsed since.
    pub(super) fn is_session_out(&self, session: &str) -> bool {
        let name = Name::session(&self.hashing, session);
        let table = self.lock();
        table.find(name).is_some_and(|number| table.is_out(Key(number)))
    }

    /// Leaves the keys of leases that are out.
    pub(super) fn retain_out(&self, keys: &mut Vec<Key>) {
        let mut table = self.lock();
        keys.retain(|key| table.is_due(*key));
    }

    /// Entries that [`Leases::turn`] has visited since the beginning: what ticks cost.
    pub fn visited(&self) -> u64 {
        self.lock().visited()
    }

    /// Moves the lease clock ahead to the monotonic time `now`, by 500 ms at most.
    pub fn advance(&self, now: Duration) {
        self.lock().advance(now);
    }

    /// The lease clock: it stands still while we do not listen.
    pub(super) fn clock(&self) -> Duration {
        self.lock().clock()
    }

    /// Empties the slots that the lease clock has passed; returns the leases that ran out.
    pub fn turn(&self) -> Vec<Key> {
        self.lock().turn()
    }

    /// Of these, the leases that are out and not renewed, with what they stand for.
    pub(super) fn still_out(&self, keys: &[Key]) -> Vec<(Key, Subject)> {
        let mut table = self.lock();
        let due = keys.iter().filter(|key| table.is_due(**key)).copied().collect::<Vec<Key>>();
        due.into_iter().filter_map(|key| Some((key, table.subject(key)?))).collect()
    }

    /// Closes these leases because their lapse is committed next, unless some of them have been renewed: then none is
    /// closed and those are returned.
    pub(super) fn seal(&self, keys: &[Key]) -> Vec<Key> {
        let mut table = self.lock();
        let renewed: Vec<Key> = keys.iter().filter(|key| !table.is_due(**key)).copied().collect();
        if renewed.is_empty() {
            keys.iter().for_each(|key| table.seal(*key));
        }
        renewed
    }

    /// Opens these leases again: their lapse was not committed. They run anew.
    pub(super) fn unseal(&self, keys: &[Key]) {
        let mut table = self.lock();
        keys.iter().for_each(|key| table.unseal(*key));
    }

    /// Opens these leases again: their lapse is to be judged anew. Returns those of which nobody was heard meanwhile:
    /// they are still out.
    pub(super) fn reopen(&self, keys: &[Key]) -> Vec<Key> {
        let mut table = self.lock();
        keys.iter().for_each(|key| table.reopen(*key));
        keys.iter().filter(|key| table.is_out(**key)).copied().collect()
    }

    /// Gives those of these leases a full time once more that are out.
    pub(super) fn grant(&self, keys: &[Key]) {
        let mut table = self.lock();
        keys.iter().for_each(|key| table.grant(*key));
    }

    /// Takes over what a commit decided, in its order.
    pub(super) fn apply(&self, effects: Vec<Effect>) {
        let mut table = self.lock();
        for effect in effects {
            match effect {
                Effect::Start(subject) => table.start(subject, true),
                Effect::Follow(subject) => table.start(subject, false),
                Effect::Replace(subject) => table.replace(subject),
                Effect::EndLone(service, id) => table.end(Name::lone(&self.hashing, &service, &id)),
                Effect::EndSession(session) => table.end(Name::session(&self.hashing, &session)),
            }
        }
    }

    /// Starts the lease of a lone instance, for tests and measurements; the writer starts leases by their commits.
    pub fn start(&self, service: &Arc<str>, id: &str, incarnation: Revision, lease_seconds: u32) {
        let service = service.clone();
        let owner = ServerNumber::NONE;
        let lone = Lone { service, id: id.into(), incarnation, lease_seconds, owner, lapsed: false };
        self.lock().start(Subject::Lone(lone), true);
    }

    /// Says which servers are there. Leases of one that has gone begin here, full, and are left to it when it is back.
    pub(super) fn set_servers(&self, servers: Servers) {
        self.lock().set_servers(servers);
    }

    /// Forgets everything and starts these leases full; there are `count` of them.
    pub(super) fn reset(&self, count: usize, subjects: impl Iterator<Item = Subject>) {
        let mut table = self.lock();
        table.reset(count);
        subjects.for_each(|subject| table.start(subject, false));
    }

    /// Starts every lease full that has not lapsed: the store was away, and nothing may lapse before one full lease.
    pub(super) fn restart(&self) {
        self.lock().restart();
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
