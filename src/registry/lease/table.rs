//! The table: every entry with its index, its labels, the wheel and the lease clock, under one lock.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use super::super::Beaten;
use super::super::session::Session;
use super::entry::{Entries, Entry, Standing, Who};
use super::index::Index;
use super::text::{Text, Texts};
use super::wheel::{Links, Wheel};
use super::{Key, Lone, MOST_PER_TICK, Silence, Subject, TICK, TICKS_PER_SECOND};
use crate::model::Revision;

/// Octets of the longest service and instance label together; names are hashed on the stack.
const LONGEST: usize = 128;

pub(super) struct Table {
    hashing: RandomState,
    entries: Entries,
    texts: Texts,
    index: Index,
    wheel: Wheel,
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

    pub(super) fn silence(&self) -> Silence {
        Silence { silent: self.out + self.wheel.late(self.now), out: self.out, running: self.running }
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
        out.into_iter().map(Key).collect()
    }

    /// Beats for a lone instance.
    pub(super) fn beat(&mut self, name: Name<'_>, incarnation: Option<u64>) -> Beaten {
        let Some(number) = self.find(name) else { return Beaten::Unknown };
        let current = self.entries.known(number).incarnation;
        match incarnation {
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
            Some(current) if current != epoch || hash.is_some_and(|hash| *session.hash != *hash) => Beaten::OutOfSync,
            Some(_) => self.hear(number),
        }
    }

    /// Somebody was heard who is what the registry knows.
    fn hear(&mut self, number: u32) -> Beaten {
        let entry = self.entries.known_mut(number);
        entry.beaten = true;
        let (lease_seconds, standing) = (entry.lease_seconds, entry.standing);
        self.renew(number);
        match standing {
            Standing::Serving => Beaten::Renewed { lease_seconds },
            Standing::Sealed | Standing::Lapsed => Beaten::Lapsed { lease_seconds },
        }
    }

    /// Moves the deadline, and files the entry under it unless it is out of the answers, or nearly.
    fn renew(&mut self, number: u32) {
        let entry = self.entries.known(number);
        let deadline = self.now + length(entry.lease_seconds);
        if entry.deadline == deadline && entry.links.is_filed() {
            return;
        }
        let was_out = entry.is_out();
        self.wheel.unfile(&mut self.entries, number);
        let entry = self.entries.known_mut(number);
        entry.deadline = deadline;
        if entry.standing == Standing::Serving {
            self.out -= usize::from(was_out);
            self.wheel.file(&mut self.entries, number);
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

    /// Undoes [`Table::seal`]; a beat since then counts.
    pub(super) fn reopen(&mut self, key: Key) {
        let Some(entry) = self.entries.get_mut(key.0).filter(|entry| entry.standing == Standing::Sealed) else {
            return;
        };
        entry.standing = Standing::Serving;
        if entry.deadline > self.now {
            self.out -= 1;
            self.wheel.file(&mut self.entries, key.0);
        }
    }

    /// Nothing was heard, so it is not known when the last beat came.
    pub(super) fn grant(&mut self, key: Key) {
        if self.is_out(key) {
            self.entries.known_mut(key.0).beaten = false;
            self.renew(key.0);
        }
    }

    pub(super) fn start(&mut self, subject: Subject, beaten: bool) {
        let number = self.replace(subject);
        self.entries.known_mut(number).beaten = beaten;
        self.renew(number);
    }

    /// Makes the lease stand for this; its deadline stays. Returns the entry's number.
    pub(super) fn replace(&mut self, subject: Subject) -> u32 {
        let hashing = self.hashing.clone();
        let name = subject.name(&hashing);
        let lapsed = subject.has_lapsed();
        self.running += usize::from(!lapsed);
        match self.find(name) {
            None => {
                let hash = name.hash;
                self.insert(hash, subject)
            }
            Some(number) => {
                let entry = self.entries.known(number);
                let is_filed = entry.links.is_filed();
                self.running -= usize::from(entry.standing != Standing::Lapsed);
                self.out -= usize::from(entry.is_out());
                self.wheel.unfile(&mut self.entries, number);
                let entry = self.entries.known_mut(number);
                entry.standing = standing(lapsed);
                entry.lease_seconds = subject.lease_seconds();
                match subject {
                    Subject::Lone(lone) => entry.incarnation = lone.incarnation,
                    Subject::Session(session) => entry.who = Who::Session(session),
                }
                match (lapsed, is_filed) {
                    (true, _) => {}
                    (false, true) => self.wheel.file(&mut self.entries, number),
                    (false, false) => self.out += 1,
                }
                number
            }
        }
    }

    fn insert(&mut self, hash: u64, subject: Subject) -> u32 {
        let (lapsed, lease_seconds) = (subject.has_lapsed(), subject.lease_seconds());
        let (who, incarnation, id) = match subject {
            Subject::Lone(lone) => (Who::Lone(lone.service), lone.incarnation, self.texts.insert(&lone.id)),
            Subject::Session(session) => (Who::Session(session), Revision(0), Text::EMPTY),
        };
        let (standing, links) = (standing(lapsed), Links::NONE);
        let entry = Entry { who, incarnation, lease_seconds, deadline: 0, links, id, standing, beaten: false };
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
        self.wheel.unfile(&mut self.entries, number);
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
        let (clock, now, ticked) = (self.clock, self.now, self.ticked);
        *self = Self { clock, now, ticked, index: Index::new(count), ..empty };
        self.wheel.clear(now);
    }

    /// Starts every lease full that has not lapsed.
    pub(super) fn restart(&mut self) {
        self.wheel.clear(self.now);
        let numbers: Vec<u32> = self.entries.numbers().collect();
        self.out = self.running;
        for &number in &numbers {
            let entry = self.entries.known_mut(number);
            (entry.links, entry.beaten) = (Links::NONE, false);
            if entry.standing == Standing::Sealed {
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
fn length(lease_seconds: u32) -> u32 {
    lease_seconds * TICKS_PER_SECOND + 1
}
