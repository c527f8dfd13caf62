//! The table: every entry with its index, its labels, the wheel and the lease clock, under one lock.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use super::super::Beaten;
use super::super::session::Session;
use super::entry::{Entries, Entry, Standing, Who};
use super::index::Index;
use super::servers::Servers;
use super::text::{Text, Texts};
use super::watched::Watched;
use super::wheel::{Links, Wheel};
use super::{Key, Lone, MOST_PER_TICK, Silence, Subject, TICK, TICKS_PER_SECOND};
use crate::model::{Revision, ServerNumber};

/// Octets of the longest service and instance label together; names are hashed on the stack.
const LONGEST: usize = 128;

pub(super) struct Table {
    hashing: RandomState,
    entries: Entries,
    texts: Texts,
    index: Index,
    wheel: Wheel,
    /// What others count.
    watched: Watched,
    servers: Servers,
    /// The lease clock.
    clock: Duration,
    /// The lease clock in ticks.
    now: u32,
    /// The monotonic clock at the last tick.
    ticked: Option<Duration>,
    /// Entries that have not lapsed.
    running: usize,
    /// Those of them that are out.
    out: usize,
}

/// The name of a session, with its hash.
#[derive(Clone, Copy)]
pub(super) struct Name<'n> {
    hash: u64,
    who: Named<'n>,
}

#[derive(Clone, Copy)]
enum Named<'n> {
    Lone(&'n str, &'n str),
    Session(&'n str),
}

impl<'n> Name<'n> {
    /// The name of a lone instance; case does not matter.
    pub(super) fn lone(hashing: &RandomState, service: &'n str, id: &'n str) -> Self {
        Self { hash: hash_of_lone(hashing, service.as_bytes(), id.as_bytes()), who: Named::Lone(service, id) }
    }

    /// The name of a session.
    pub(super) fn session(hashing: &RandomState, session: &'n str) -> Self {
        Self { hash: hash_of_session(hashing, session), who: Named::Session(session) }
    }
}

/// One slice per label costs a third of what one octet after the other does.
fn hash_of_lone(hashing: &RandomState, service: &[u8], id: &[u8]) -> u64 {
    let mut folded = [0; LONGEST];
    let length = service.len() + id.len();
    match folded.get_mut(..length) {
        Some(both) => {
            both[..service.len()].copy_from_slice(service);
            both[service.len()..].copy_from_slice(id);
            both.make_ascii_lowercase();
            hashing.hash_one((service.len(), &*both))
        }
        None => hashing.hash_one((service.to_ascii_lowercase(), id.to_ascii_lowercase())),
    }
}

fn hash_of_session(hashing: &RandomState, session: &str) -> u64 {
    hashing.hash_one(session)
}

impl Table {
    pub(super) fn new(hashing: RandomState) -> Self {
        Self {
            hashing,
            entries: Entries::new(),
            texts: Texts::default(),
            index: Index::new(0),
            wheel: Wheel::new(),
            watched: Watched::new(),
            servers: Servers::default(),
            clock: Duration::ZERO,
            now: 0,
            ticked: None,
            running: 0,
            out: 0,
        }
    }

    pub(super) fn running(&self) -> usize {
        self.running
    }

    /// Entries that have not lapsed by who counts them: what is not left to others, we do.
    pub(super) fn by_server(&self) -> BTreeMap<ServerNumber, usize> {
        let mut counts = self.watched.by_owner();
        let watched: usize = counts.values().sum();
        *counts.entry(self.servers.own()).or_default() += self.running - watched;
        counts
    }

    pub(super) fn silence(&self) -> Silence {
        let late = self.wheel.late(self.now) + self.watched.late(&self.servers, self.now);
        let running = self.running - self.watched.elsewhere(&self.servers);
        Silence { silent: self.out + late, out: self.out, running }
    }

    pub(super) fn visited(&self) -> u64 {
        self.wheel.visited()
    }

    pub(super) fn find(&self, name: Name<'_>) -> Option<u32> {
        self.index.find(name.hash, |number| self.is_named(number, name.who))
    }

    fn is_named(&self, number: u32, named: Named<'_>) -> bool {
        let entry = self.entries.known(number);
        match (&entry.who, named) {
            (Who::Lone(of), Named::Lone(service, id)) => {
                self.texts.get(entry.id).eq_ignore_ascii_case(id.as_bytes()) && of.eq_ignore_ascii_case(service)
            }
            (Who::Session(session), Named::Session(name)) => *session.name == *name,
            (Who::Lone(_), Named::Session(_)) | (Who::Session(_), Named::Lone(..)) => false,
        }
    }

    /// Moves the lease clock ahead to the monotonic time `now`, by 500 ms at most.
    pub(super) fn advance(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.ticked.unwrap_or(now));
        self.ticked = Some(now);
        self.clock += passed.min(MOST_PER_TICK);
        self.now = (self.clock.as_millis() / TICK.as_millis()) as u32;
    }

    pub(super) fn clock(&self) -> Duration {
        self.clock
    }

    pub(super) fn turn(&mut self) -> Vec<Key> {
        let mut out = Vec::new();
        self.wheel.turn(&mut self.entries, self.now, &mut out);
        self.out += out.len();
        out.retain(|number| self.is_due(Key(*number)));
        let gone = self.watched.due(&self.servers, &mut self.wheel, &mut self.entries, self.now);
        for &number in &gone {
            self.unfile(number);
            self.entries.known_mut(number).standing = Standing::Serving;
        }
        self.out += gone.len();
        out.extend(gone);
        out.into_iter().map(Key).collect()
    }

    /// Other servers are there than before. The leases of those that are gone begin here, full.
    pub(super) fn set_servers(&mut self, servers: Servers) {
        self.watched.note(&self.servers, &servers, self.now);
        let before = std::mem::replace(&mut self.servers, servers);
        if before.own() != servers.own() {
            self.restart();
        }
    }

    /// Whether a lease is out and may lapse here. One whose owner has come back is counted there again.
    pub(super) fn is_due(&mut self, key: Key) -> bool {
        let owner = self.entries.get(key.0).filter(|entry| entry.is_out()).map(|entry| entry.owner);
        let counts = owner.is_some_and(|owner| self.servers.counts(owner));
        if owner.is_some() && !counts {
            self.out -= 1;
            self.watch(key.0);
        }
        counts
    }

    /// Leaves a lease that is in no list to its owner.
    fn watch(&mut self, number: u32) {
        let entry = self.entries.known_mut(number);
        (entry.standing, entry.beaten) = (Standing::Watched, false);
        self.watched.add(&mut self.wheel, &mut self.entries, number);
    }

    /// Takes a lease out of the list that it is in, if any.
    fn unfile(&mut self, number: u32) {
        match self.entries.known(number).standing {
            Standing::Watched => self.watched.remove(&mut self.wheel, &mut self.entries, number),
            Standing::Serving | Standing::Sealed | Standing::Lapsed => {
                self.wheel.unfile(&mut self.entries, number);
            }
        }
    }

    /// Beats for a lone instance.
    pub(super) fn beat(&mut self, name: Name<'_>, incarnation: Option<u64>) -> Beaten {
        let Some(number) = self.find(name) else { return Beaten::Unknown };
        let current = self.entries.known(number).incarnation;
        match incarnation {
            // A later one may have come by another server, and not reached this one yet.
            Some(named) if current < Revision(named) && !self.servers.own().is_none() => self.elsewhere(number),
            Some(named) if current != Revision(named) => Beaten::OldIncarnation { current },
            Some(_) | None => self.hear(number),
        }
    }

    /// Beats for a session. One that has not sent its set to this server since our start is not known.
    pub(super) fn beat_session(&mut self, name: Name<'_>, epoch: &str, hash: Option<&str>) -> Beaten {
        let Some(number) = self.find(name) else { return Beaten::Unknown };
        let Who::Session(session) = &self.entries.known(number).who else { return Beaten::Unknown };
        match session.epoch.as_deref() {
            None => Beaten::Unknown,
            Some(current) if current != epoch => Beaten::OutOfSync,
            // Nobody has asked for it yet.
            Some(_) if hash.is_some() && session.hash.is_empty() => self.elsewhere(number),
            Some(_) if hash.is_some_and(|hash| *session.hash != *hash) => Beaten::OutOfSync,
            Some(_) => self.hear(number),
        }
    }

    /// Somebody was heard who is what the registry knows.
    fn hear(&mut self, number: u32) -> Beaten {
        let entry = self.entries.known_mut(number);
        if !self.servers.is_ours(entry.owner) {
            return self.elsewhere(number);
        }
        entry.beaten = true;
        let (lease_seconds, standing) = (entry.lease_seconds, entry.standing);
        self.renew(number);
        match standing {
            Standing::Serving | Standing::Watched => Beaten::Renewed { lease_seconds },
            Standing::Sealed | Standing::Lapsed => Beaten::Lapsed { lease_seconds },
        }
    }

    fn elsewhere(&self, number: u32) -> Beaten {
        Beaten::Elsewhere { lease_seconds: self.entries.known(number).lease_seconds }
    }

    /// Moves the deadline, and files the entry under it unless it is out of the answers, or nearly. One that another
    /// server counts is left to it.
    fn renew(&mut self, number: u32) {
        let entry = self.entries.known(number);
        let deadline = self.now + length(entry.lease_seconds);
        if entry.deadline == deadline && entry.links.is_filed() && entry.standing == Standing::Serving {
            return;
        }
        let was_out = entry.is_out();
        self.unfile(number);
        let entry = self.entries.known_mut(number);
        entry.deadline = deadline;
        if let Standing::Serving | Standing::Watched = entry.standing {
            self.out -= usize::from(was_out);
            self.begin(number);
        }
    }

    /// Files an entry that is in no list under its full deadline, or leaves it to its owner.
    fn begin(&mut self, number: u32) {
        let entry = self.entries.known_mut(number);
        let (owner, servers) = (entry.owner, &self.servers);
        if servers.is_ours(owner) || !servers.is_there(owner) && !self.watched.begins_now(owner, self.now) {
            entry.standing = Standing::Serving;
            self.wheel.file(&mut self.entries, number);
        } else {
            self.watch(number);
        }
    }

    pub(super) fn known_session(&self, name: Name<'_>) -> Option<&Arc<Session>> {
        match &self.entries.known(self.find(name)?).who {
            Who::Session(session) => Some(session),
            Who::Lone(_) => None,
        }
    }

    /// How long ago the last beat came, on the lease clock.
    pub(super) fn beat_age(&self, name: Name<'_>) -> Option<Duration> {
        let entry = self.entries.known(self.find(name)?);
        let beat = TICK * entry.deadline.saturating_sub(length(entry.lease_seconds));
        entry.beaten.then(|| self.clock.saturating_sub(beat))
    }

    /// Whether the lease is out, and neither renewed nor lapsed since.
    pub(super) fn is_out(&self, key: Key) -> bool {
        self.entries.get(key.0).is_some_and(Entry::is_out)
    }

    /// What the lease stands for.
    pub(super) fn subject(&self, key: Key) -> Option<Subject> {
        let entry = self.entries.get(key.0)?;
        Some(match &entry.who {
            Who::Session(session) => Subject::Session(session.clone()),
            Who::Lone(service) => Subject::Lone(Lone {
                service: service.clone(),
                id: String::from_utf8_lossy(self.texts.get(entry.id)).into(),
                incarnation: entry.incarnation,
                lease_seconds: entry.lease_seconds,
                owner: entry.owner,
                lapsed: entry.standing == Standing::Lapsed,
            }),
        })
    }

    pub(super) fn seal(&mut self, key: Key) {
        if let Some(entry) = self.entries.get_mut(key.0).filter(|entry| entry.standing == Standing::Serving) {
            entry.standing = Standing::Sealed;
        }
    }

    pub(super) fn unseal(&mut self, key: Key) {
        let Some(entry) = self.entries.get_mut(key.0) else { return };
        if entry.standing == Standing::Sealed {
            entry.standing = Standing::Serving;
        }
        self.renew(key.0);
    }

    /// Nothing was heard, so it is not known when the last beat came.
    pub(super) fn grant(&mut self, key: Key) {
        if self.is_out(key) {
            self.entries.known_mut(key.0).beaten = false;
            self.renew(key.0);
        }
    }

    pub(super) fn start(&mut self, subject: Subject, beaten: bool) {
        let (number, _) = self.put(subject);
        let entry = self.entries.known_mut(number);
        entry.beaten = beaten && self.servers.is_ours(entry.owner);
        self.renew(number);
    }

    /// Makes the lease stand for this; its deadline stays.
    pub(super) fn replace(&mut self, subject: Subject) {
        if let (number, true) = self.put(subject) {
            self.renew(number);
        }
    }

    /// Makes the lease stand for this. Returns the entry's number, and whether its deadline is to be set: it is new.
    fn put(&mut self, subject: Subject) -> (u32, bool) {
        let hashing = self.hashing.clone();
        let name = subject.name(&hashing);
        let lapsed = subject.has_lapsed();
        self.running += usize::from(!lapsed);
        match self.find(name) {
            None => {
                let hash = name.hash;
                (self.insert(hash, subject), true)
            }
            Some(number) => {
                self.change(number, subject);
                (number, false)
            }
        }
    }

    fn change(&mut self, number: u32, subject: Subject) {
        let (lapsed, owner) = (subject.has_lapsed(), subject.owner());
        let entry = self.entries.known(number);
        let (is_filed, was_watched, before) =
            (entry.links.is_filed(), entry.standing == Standing::Watched, entry.owner);
        self.running -= usize::from(entry.standing != Standing::Lapsed);
        self.out -= usize::from(entry.is_out());
        self.unfile(number);
        let entry = self.entries.known_mut(number);
        (entry.standing, entry.owner, entry.lease_seconds) = (standing(lapsed), owner, subject.lease_seconds());
        match subject {
            Subject::Lone(lone) => entry.incarnation = lone.incarnation,
            Subject::Session(session) => entry.who = Who::Session(session),
        }
        if lapsed {
            return;
        }
        if !self.servers.counts(owner) || was_watched && owner == before {
            self.watch(number);
        } else if was_watched {
            entry.deadline = self.now + length(entry.lease_seconds);
            self.wheel.file(&mut self.entries, number);
        } else if is_filed {
            self.wheel.file(&mut self.entries, number);
        } else {
            self.out += 1;
        }
    }

    fn insert(&mut self, hash: u64, subject: Subject) -> u32 {
        let (lapsed, lease_seconds, owner) = (subject.has_lapsed(), subject.lease_seconds(), subject.owner());
        let (who, incarnation, id) = match subject {
            Subject::Lone(lone) => (Who::Lone(lone.service), lone.incarnation, self.texts.insert(&lone.id)),
            Subject::Session(session) => (Who::Session(session), Revision(0), Text::EMPTY),
        };
        let (standing, links) = (standing(lapsed), Links::NONE);
        let entry = Entry { who, incarnation, lease_seconds, deadline: 0, links, id, standing, owner, beaten: false };
        let number = self.entries.insert(entry);
        self.out += usize::from(!lapsed);
        let (entries, texts, hashing) = (&self.entries, &self.texts, &self.hashing);
        self.index.insert(hash, number, |number| {
            let entry = entries.known(number);
            match &entry.who {
                Who::Lone(service) => hash_of_lone(hashing, service.as_bytes(), texts.get(entry.id)),
                Who::Session(session) => hash_of_session(hashing, &session.name),
            }
        });
        number
    }

    pub(super) fn end(&mut self, name: Name<'_>) {
        let Some(number) = self.find(name) else { return };
        self.out -= usize::from(self.entries.known(number).is_out());
        self.unfile(number);
        self.index.remove(name.hash, number);
        let Some(entry) = self.entries.remove(number) else { return };
        self.running -= usize::from(entry.standing != Standing::Lapsed);
        if matches!(entry.who, Who::Lone(_)) {
            self.texts.remove(entry.id);
        }
    }

    /// Forgets every lease and makes room for so many; the clock goes on.
    pub(super) fn reset(&mut self, count: usize) {
        let empty = Self::new(self.hashing.clone());
        let (clock, now, ticked, servers) = (self.clock, self.now, self.ticked, self.servers);
        *self = Self { clock, now, ticked, servers, index: Index::new(count), ..empty };
        self.wheel.clear(now);
        self.watched.restart(now);
    }

    /// Starts every lease full that has not lapsed.
    pub(super) fn restart(&mut self) {
        self.wheel.clear(self.now);
        self.watched.restart(self.now);
        let numbers: Vec<u32> = self.entries.numbers().collect();
        self.out = self.running;
        for &number in &numbers {
            let entry = self.entries.known_mut(number);
            (entry.links, entry.beaten) = (Links::NONE, false);
            if entry.standing != Standing::Lapsed {
                entry.standing = Standing::Serving;
            }
            self.renew(number);
        }
    }
}

fn standing(lapsed: bool) -> Standing {
    if lapsed { Standing::Lapsed } else { Standing::Serving }
}

/// A lease in ticks. One more than its seconds, because the clock may be most of a tick behind when the beat comes.
pub(super) fn length(lease_seconds: u32) -> u32 {
    lease_seconds * TICKS_PER_SECOND + 1
}
