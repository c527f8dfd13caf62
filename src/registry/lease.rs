//! Leases: who may still be silent, and for how long.
//!
//! **What it holds.** One entry per session, a lone instance being a session of its own: what the lease stands for (a
//! pointer into the published state), the deadline, and where the entry is filed in the timer wheel. The table is
//! memory only; after a restart every lease starts full.
//!
//! **Shape.** A hash map from a 128-bit keyed hash of the session's name to 32 octets, and a wheel of 1024 slots of
//! 100 ms with the hashes that come due there. A beat writes a deadline and nothing else: O(1), no allocation. The slot
//! that comes due files entries again whose deadline has moved, so a lease longer than the wheel is looked at once per
//! turn. A reference in a slot counts only if the entry says that it is filed there.
//!
//! **Size.** 49 octets in the map and 16 in the wheel per lone session: with the map's slack between 72 and 115
//! octets, under 100 on average (`an_entry_is_small` computes it).
//!
//! **Lease clock.** Deadlines count on a clock of their own, which the writer's tick moves ahead by what passed since
//! the last tick, at most 500 ms. A tick that comes late (a stall, SIGSTOP, a slow disk) so moves every deadline by
//! the lateness: nobody lapses because *we* did not listen.
//!
//! **Who changes it.** Edges beat, the writer does everything else; both hold the one mutex for a moment. A lease that
//! ran out is reported to the writer once. Until the lapse is [sealed](Leases::seal), right before its commit, a beat
//! renews it as if nothing had been; afterwards a beat is answered with [`Beaten::Lapsed`].

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::Beaten;
use super::session::Session;
use crate::model::{Instance, Revision, State};

/// The resolution of deadlines.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// The most that one tick moves the lease clock.
const MOST_PER_TICK: Duration = Duration::from_millis(500);
const TICKS_PER_SECOND: u32 = 10;
const SLOTS: u32 = 1024;
const NOT_FILED: u16 = u16::MAX;

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
    /// Its lease ran out, and it is out of the answers.
    pub(super) lapsed: bool,
}

/// The identity of a lease: a keyed hash, so that no name is kept twice and nobody can choose colliding names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key([u64; 2]);

/// What a committed command means for a lease.
#[derive(Debug)]
pub(super) enum Effect {
    /// It runs anew: registered, updated, returned or beaten.
    Start(Subject),
    /// It stands for this now; its deadline stays.
    Replace(Subject),
    /// The lone instance is gone.
    EndLone(Arc<str>, Box<str>),
    /// The session is gone.
    EndSession(Arc<str>),
}

/// Every lease, shared by the edges that beat and the writer.
pub(super) struct Leases {
    secret: (u64, u64),
    table: Mutex<Table>,
}

struct Table {
    entries: HashMap<Key, Entry, BuildHasherDefault<FirstWord>>,
    wheel: Box<[Vec<Key>]>,
    /// The lease clock.
    clock: Duration,
    /// The monotonic clock at the last tick.
    ticked: Option<Duration>,
    /// The last tick whose slot was emptied.
    turned: u32,
    /// Entries that have not lapsed.
    running: usize,
}

struct Entry {
    subject: Subject,
    /// On the lease clock, in ticks.
    deadline: u32,
    /// The slot of the wheel, or [`NOT_FILED`]: lapsed, or out and reported.
    filed: u16,
    /// Its lapse is being committed.
    sealed: bool,
    /// The deadline comes from a beat, not from our own start.
    beaten: bool,
}

impl Subject {
    /// The lease of a lone instance.
    pub(super) fn lone(service: &Arc<str>, instance: &Instance) -> Self {
        Self::Lone(Lone {
            service: service.clone(),
            id: instance.id.clone(),
            incarnation: instance.incarnation,
            lease_seconds: instance.lease_seconds,
            lapsed: instance.state == State::Lapsed,
        })
    }

    fn lease_seconds(&self) -> u32 {
        match self {
            Self::Lone(lone) => lone.lease_seconds,
            Self::Session(session) => session.lease_seconds,
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
}

impl Leases {
    /// An empty table with keys of its own.
    pub(super) fn new() -> Self {
        let random = || std::hash::BuildHasher::hash_one(&RandomState::new(), 0);
        Self { secret: (random(), random()), table: Mutex::new(Table::new()) }
    }

    /// Beats for a lone instance.
    pub(super) fn beat(&self, service: &str, id: &str, incarnation: Option<u64>) -> Beaten {
        let key = self.lone(service, id);
        self.lock().beat(key, |subject| match (subject, incarnation) {
            (Subject::Lone(lone), Some(named)) if lone.incarnation != Revision(named) => {
                Some(Beaten::OldIncarnation { current: lone.incarnation })
            }
            _ => None,
        })
    }

    /// Beats for a session. One that has not sent its set to this server since our start is not known.
    pub(super) fn beat_session(&self, session: &str, epoch: &str, hash: Option<&str>) -> Beaten {
        let key = self.session(session);
        self.lock().beat(key, |subject| match subject {
            Subject::Session(known) => match &known.epoch {
                None => Some(Beaten::Unknown),
                Some(current) if **current != *epoch || hash.is_some_and(|hash| *known.hash != *hash) => {
                    Some(Beaten::OutOfSync)
                }
                Some(_) => None,
            },
            Subject::Lone(..) => None,
        })
    }

    /// The services that a session has instances of, as they were last committed.
    pub(super) fn session_services(&self, session: &str) -> Vec<Arc<str>> {
        let key = self.session(session);
        let known = match self.lock().entries.get(&key).map(|entry| &entry.subject) {
            Some(Subject::Session(known)) => known.clone(),
            Some(Subject::Lone(..)) | None => return Vec::new(),
        };
        known.members.services().map(Arc::from).collect()
    }

    /// How long ago the last beat came, on the lease clock.
    pub(super) fn beat_age(&self, key: Key) -> Option<Duration> {
        let table = self.lock();
        let entry = table.entries.get(&key).filter(|entry| entry.beaten)?;
        let beat = TICK * entry.deadline.saturating_sub(length(&entry.subject));
        Some(table.clock.saturating_sub(beat))
    }

    /// The key of a lone instance; case does not matter.
    pub(super) fn lone(&self, service: &str, id: &str) -> Key {
        self.key(b'i', &[service, "/", id])
    }

    /// The key of a session.
    pub(super) fn session(&self, session: &str) -> Key {
        let mut hasher = SipHasher13::new_with_keys(self.secret.0, self.secret.1);
        hasher.write(b"s");
        hasher.write(session.as_bytes());
        let hash = hasher.finish128();
        Key([hash.h1, hash.h2])
    }

    fn key(&self, kind: u8, parts: &[&str]) -> Key {
        let mut hasher = SipHasher13::new_with_keys(self.secret.0, self.secret.1);
        hasher.write(&[kind]);
        for octet in parts.iter().flat_map(|part| part.bytes()) {
            hasher.write(&[octet.to_ascii_lowercase()]);
        }
        let hash = hasher.finish128();
        Key([hash.h1, hash.h2])
    }

    /// Leases that run.
    pub(super) fn running(&self) -> usize {
        self.lock().running
    }

    /// Moves the lease clock ahead to the monotonic time `now`, by 500 ms at most.
    pub(super) fn advance(&self, now: Duration) {
        let mut table = self.lock();
        let passed = now.saturating_sub(table.ticked.unwrap_or(now));
        table.ticked = Some(now);
        table.clock += passed.min(MOST_PER_TICK);
    }

    /// Empties the slots that the lease clock has passed; returns the leases that ran out.
    pub(super) fn turn(&self) -> Vec<Key> {
        self.lock().turn()
    }

    /// Of these, the leases that are out and not renewed, with what they stand for.
    pub(super) fn still_out(&self, keys: &[Key]) -> Vec<(Key, Subject)> {
        let table = self.lock();
        let out = keys.iter().filter_map(|key| {
            let entry = table.entries.get(key).filter(|entry| entry.is_out())?;
            Some((*key, entry.subject.clone()))
        });
        out.collect()
    }

    /// Closes these leases because their lapse is committed next, unless some of them have been renewed: then none is
    /// closed and those are returned.
    pub(super) fn seal(&self, keys: &[Key]) -> Vec<Key> {
        let mut table = self.lock();
        let is_out = |key: &Key| table.entries.get(key).is_some_and(Entry::is_out);
        let renewed: Vec<Key> = keys.iter().filter(|key| !is_out(key)).copied().collect();
        if renewed.is_empty() {
            for key in keys {
                table.entries.entry(*key).and_modify(|entry| entry.sealed = true);
            }
        }
        renewed
    }

    /// Opens these leases again: their lapse was not committed. They run anew.
    pub(super) fn unseal(&self, keys: &[Key]) {
        let mut table = self.lock();
        for key in keys {
            table.entries.entry(*key).and_modify(|entry| entry.sealed = false);
            table.renew(*key);
        }
    }

    /// Takes over what a commit decided, in its order.
    pub(super) fn apply(&self, effects: Vec<Effect>) {
        let mut table = self.lock();
        for effect in effects {
            match effect {
                Effect::Start(subject) => table.start(self.key_of(&subject), subject, true),
                Effect::Replace(subject) => table.replace(self.key_of(&subject), subject),
                Effect::EndLone(service, id) => table.end(self.lone(&service, &id)),
                Effect::EndSession(session) => table.end(self.session(&session)),
            }
        }
    }

    /// Forgets everything and starts these leases full.
    pub(super) fn reset(&self, subjects: impl Iterator<Item = Subject>) {
        let mut table = self.lock();
        table.clear();
        table.entries.clear();
        table.running = 0;
        for subject in subjects {
            table.start(self.key_of(&subject), subject, false);
        }
    }

    /// Starts every lease full that has not lapsed: the store was away, and nothing may lapse before one full lease.
    pub(super) fn restart(&self) {
        let mut table = self.lock();
        table.clear();
        let keys: Vec<Key> = table.entries.keys().copied().collect();
        for key in keys {
            if let Some(entry) = table.entries.get_mut(&key) {
                (entry.filed, entry.sealed, entry.beaten) = (NOT_FILED, false, false);
            }
            table.renew(key);
        }
    }

    fn key_of(&self, subject: &Subject) -> Key {
        match subject {
            Subject::Lone(lone) => self.lone(&lone.service, &lone.id),
            Subject::Session(session) => self.session(&session.name),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn new() -> Self {
        Self {
            entries: HashMap::default(),
            wheel: vec![Vec::new(); SLOTS as usize].into(),
            clock: Duration::ZERO,
            ticked: None,
            turned: 0,
            running: 0,
        }
    }

    fn now(&self) -> u32 {
        (self.clock.as_millis() / TICK.as_millis()) as u32
    }

    /// Beats unless `check` has another answer.
    fn beat(&mut self, key: Key, check: impl FnOnce(&Subject) -> Option<Beaten>) -> Beaten {
        let Some(entry) = self.entries.get_mut(&key) else { return Beaten::Unknown };
        if let Some(other) = check(&entry.subject) {
            return other;
        }
        let lease_seconds = entry.subject.lease_seconds();
        let lapsed = entry.sealed || entry.subject.has_lapsed();
        entry.beaten = true;
        self.renew(key);
        if lapsed { Beaten::Lapsed { lease_seconds } } else { Beaten::Renewed { lease_seconds } }
    }

    /// Writes the deadline, and files the entry unless it is filed early enough already.
    fn renew(&mut self, key: Key) {
        let now = self.now();
        let Some(entry) = self.entries.get_mut(&key) else { return };
        entry.deadline = now + length(&entry.subject);
        if entry.sealed || entry.subject.has_lapsed() {
            return;
        }
        let ahead = (u32::from(entry.filed) + SLOTS - self.turned % SLOTS) % SLOTS;
        if entry.filed == NOT_FILED || self.turned + ahead > entry.deadline {
            let due = entry.deadline;
            self.file(key, due);
        }
    }

    fn file(&mut self, key: Key, due: u32) {
        let due = due.clamp(self.turned + 1, self.turned + SLOTS - 1);
        let slot = due % SLOTS;
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.filed = slot as u16;
            self.wheel[slot as usize].push(key);
        }
    }

    fn turn(&mut self) -> Vec<Key> {
        let mut out = Vec::new();
        while self.turned < self.now() {
            self.turned += 1;
            let slot = self.turned % SLOTS;
            for key in std::mem::take(&mut self.wheel[slot as usize]) {
                let Some(entry) = self.entries.get_mut(&key).filter(|entry| u32::from(entry.filed) == slot) else {
                    continue;
                };
                if entry.deadline > self.turned {
                    let due = entry.deadline;
                    self.file(key, due);
                } else {
                    entry.filed = NOT_FILED;
                    out.push(key);
                }
            }
        }
        out
    }

    fn start(&mut self, key: Key, subject: Subject, beaten: bool) {
        self.replace(key, subject);
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.beaten = beaten;
        }
        self.renew(key);
    }

    fn replace(&mut self, key: Key, subject: Subject) {
        let runs = usize::from(!subject.has_lapsed());
        match self.entries.get_mut(&key) {
            None => {
                let deadline = 0;
                self.entries.insert(key, Entry { subject, deadline, filed: NOT_FILED, sealed: false, beaten: false });
                self.running += runs;
            }
            Some(entry) => {
                self.running += runs;
                self.running -= usize::from(!entry.subject.has_lapsed());
                if subject.has_lapsed() {
                    entry.filed = NOT_FILED;
                }
                entry.sealed = false;
                entry.subject = subject;
            }
        }
    }

    fn end(&mut self, key: Key) {
        if let Some(entry) = self.entries.remove(&key) {
            self.running -= usize::from(!entry.subject.has_lapsed());
        }
    }

    /// Empties the wheel and catches up with the clock.
    fn clear(&mut self) {
        self.wheel.iter_mut().for_each(Vec::clear);
        self.turned = self.now();
    }
}

impl Entry {
    /// Reported as run out, and neither renewed nor lapsed since.
    fn is_out(&self) -> bool {
        self.filed == NOT_FILED && !self.subject.has_lapsed()
    }
}

/// A lease in ticks. One more than its seconds, because the clock may be most of a tick behind when the beat comes.
fn length(subject: &Subject) -> u32 {
    subject.lease_seconds() * TICKS_PER_SECOND + 1
}

/// Keys are hashes already: their first word is hash enough.
#[derive(Default)]
struct FirstWord(u64);

impl Hasher for FirstWord {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, octets: &[u8]) {
        for chunk in octets.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 ^= u64::from_ne_bytes(word);
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 ^= word;
    }

    fn write_usize(&mut self, _length: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Endpoint, Timestamp};

    fn lone(id: &str, lease_seconds: u32) -> Subject {
        let instance = Instance {
            id: id.into(),
            proto: "tcp".into(),
            port: 80,
            priority: 10,
            weight: 100,
            site: None,
            endpoint: Endpoint::Addresses(["192.0.2.7".parse().expect("address")].into()),
            tags: [].into(),
            metadata: [].into(),
            lease_seconds,
            session: None,
            epoch: None,
            incarnation: Revision(1),
            state: State::Serving,
            since: Timestamp(0),
            revision: Revision(1),
        };
        Subject::lone(&"search".into(), &instance)
    }

    struct World {
        leases: Leases,
        now: Duration,
    }

    impl World {
        fn new(subjects: Vec<Subject>) -> Self {
            let world = Self { leases: Leases::new(), now: Duration::ZERO };
            world.leases.advance(world.now);
            world.leases.apply(subjects.into_iter().map(Effect::Start).collect());
            world
        }

        fn wait(&mut self, seconds: f64) -> Vec<Key> {
            let mut out = Vec::new();
            for _ in 0..(seconds * 10.0).round() as usize {
                self.now += TICK;
                self.leases.advance(self.now);
                out.extend(self.leases.turn());
            }
            out
        }
    }

    #[test]
    fn an_entry_is_small() {
        let in_map = size_of::<(Key, Entry)>() + 1;
        let in_wheel = size_of::<Key>();
        assert_eq!((in_map, in_wheel), (49, 16));
        // The map is between 7/16 and 7/8 full, the wheel's vectors between half and wholly full.
        let (fullest, average) = (in_map * 8 / 7 + in_wheel, in_map * 3 / 2 + in_wheel * 3 / 2);
        assert!(fullest <= 72 && average < 100, "{fullest} {average}");
    }

    #[test]
    fn a_lease_runs_out_once_and_never_early() {
        let mut world = World::new(vec![lone("a1", 15)]);
        assert!(world.wait(15.0).is_empty());
        assert_eq!(world.wait(0.2).len(), 1);
        assert!(world.wait(30.0).is_empty());
    }

    #[test]
    fn a_beat_moves_the_deadline() {
        let mut world = World::new(vec![lone("a1", 15)]);
        for _ in 0..20 {
            assert!(world.wait(14.9).is_empty());
            assert_eq!(world.leases.beat("Search", "A1", None), Beaten::Renewed { lease_seconds: 15 });
        }
        assert_eq!(world.leases.beat("search", "a1", Some(7)), Beaten::OldIncarnation { current: Revision(1) });
        assert_eq!(world.leases.beat("search", "a2", None), Beaten::Unknown);
        assert_eq!(world.wait(15.2).len(), 1);
    }

    #[test]
    fn a_long_lease_turns_with_the_wheel() {
        let mut world = World::new(vec![lone("a1", 600)]);
        assert!(world.wait(600.0).is_empty());
        assert_eq!(world.wait(0.2).len(), 1);
    }

    #[test]
    fn a_shorter_lease_is_filed_earlier() {
        let mut world = World::new(vec![lone("a1", 90)]);
        world.leases.apply(vec![Effect::Start(lone("a1", 2))]);
        assert_eq!(world.wait(2.2).len(), 1);
        assert!(world.wait(100.0).is_empty());
    }

    #[test]
    fn a_late_tick_moves_every_deadline() {
        let mut world = World::new(vec![lone("a1", 15)]);
        world.now += Duration::from_secs(60);
        assert!(world.wait(14.5).is_empty());
        assert_eq!(world.wait(0.7).len(), 1);
    }

    #[test]
    fn a_beat_before_the_seal_renews_and_after_it_does_not() {
        let mut world = World::new(vec![lone("a1", 15), lone("a2", 15)]);
        let out = world.wait(15.2);
        assert_eq!(world.leases.still_out(&out).len(), 2);
        assert_eq!(world.leases.beat("search", "a1", None), Beaten::Renewed { lease_seconds: 15 });
        let first = world.leases.lone("search", "a1");
        assert_eq!(world.leases.seal(&out), [first]);
        let second = [world.leases.lone("search", "a2")];
        assert!(world.leases.seal(&second).is_empty());
        assert_eq!(world.leases.beat("search", "a2", None), Beaten::Lapsed { lease_seconds: 15 });
        world.leases.unseal(&second);
        assert_eq!(world.leases.beat("search", "a2", None), Beaten::Renewed { lease_seconds: 15 });
        assert_eq!(world.wait(15.2).len(), 2);
    }

    #[test]
    fn an_id_that_ends_and_comes_back_is_filed_once() {
        let mut world = World::new(vec![lone("a1", 15)]);
        for _ in 0..5 {
            world.leases.apply(vec![Effect::EndLone("search".into(), "a1".into()), Effect::Start(lone("a1", 15))]);
        }
        assert_eq!(world.leases.running(), 1);
        assert_eq!(world.wait(31.0).len(), 1);
    }

    #[test]
    fn a_restart_gives_everybody_a_full_lease() {
        let mut world = World::new(vec![lone("a1", 15), lone("a2", 15)]);
        let out = world.wait(15.2);
        assert_eq!(out.len(), 2);
        world.leases.restart();
        assert!(world.leases.still_out(&out).is_empty());
        assert!(world.wait(15.0).is_empty());
        assert_eq!(world.wait(0.2).len(), 2);
    }

    #[test]
    fn the_age_of_a_beat_is_that_of_the_last_one() {
        let mut world = World::new(vec![lone("a1", 15)]);
        let key = world.leases.lone("search", "a1");
        world.wait(3.0);
        assert_eq!(world.leases.beat_age(key), Some(Duration::from_secs(3)));
        world.leases.beat("search", "a1", None);
        world.wait(1.0);
        assert_eq!(world.leases.beat_age(key), Some(Duration::from_secs(1)));
        world.leases.reset([lone("a1", 15)].into_iter());
        assert_eq!(world.leases.beat_age(key), None);
    }
}
