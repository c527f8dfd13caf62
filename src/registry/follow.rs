//! Following: what others committed becomes part of the state, from the rows that they wrote.
//!
//! No rule is asked again: whoever committed has judged. Rows go into the state as a [`Loader`](super::load::Loader)
//! would put them there, so a server that follows has what one has that loads. What else has to be known comes from the
//! difference between before and after (leases, timers, sessions) and from the changes (which names are touched, who
//! was heard, the fleet's hold).
//!
//! **Sessions.** Their epoch is in no row of theirs, but every instance has it. Where it is another one than is known
//! here, the session is unknown again: its next beat here has the agent send its set, which changes nothing.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::draft::Timer;
use super::explain::readings;
use super::guard::hold_of;
use super::lease::{Effect, Subject};
use super::session::Session;
use super::state::State;
use super::store::{Batch, Write};
use super::{FleetHold, Options, Snapshot, Touched, TouchedName, ZoneRow};
use crate::model::change::FLEET;
use crate::model::service::ServiceRow;
use crate::model::{
    Change, Instance, Item, Name, Revision, ServerNumber, Service, SessionRow, State as Liveness, Timestamp,
    Transition, Written,
};

/// Changes after which what was followed is shown before more is followed.
const FULL: usize = 1000;

/// Service and id.
type Key = (Arc<str>, Box<str>);

/// A state onto which batches of others are put.
pub(super) struct Follower<'o> {
    options: &'o Options,
    now: Timestamp,
    before: State,
    state: State,
    followed: Followed,
    /// Instances whose row was written.
    instances: BTreeSet<Key>,
    /// Services whose own row was written.
    services: BTreeSet<Arc<str>>,
    /// Sessions that a written instance is or was of.
    sessions: BTreeMap<Arc<str>, Met>,
    /// Instances that somebody beat for.
    heard: HashSet<Key>,
    lapsed_sessions: HashSet<Arc<str>>,
}

/// What comes of it, besides the state.
#[derive(Default)]
pub(super) struct Followed {
    pub(super) effects: Vec<Effect>,
    pub(super) timers: Vec<Timer>,
    pub(super) touched: Vec<Touched>,
    pub(super) touched_names: Vec<TouchedName>,
    pub(super) zones: BTreeMap<Name, ZoneRow>,
    pub(super) changes: Vec<Change>,
    /// Leases that lapsed.
    pub(super) lapsed: usize,
    /// What became of the fleet's hold.
    pub(super) fleet: Option<FleetNews>,
}

/// What others did about the fleet's hold last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FleetNews {
    /// They hold it, by this change.
    Held(Revision),
    /// They let it go; a server of its own accord, or for an operator.
    Released { by_server: bool },
}

/// What the written rows say of a session.
#[derive(Default)]
struct Met {
    is_silent: bool,
    heard: bool,
    /// Of its instances.
    row: Option<Arc<Instance>>,
}

impl<'o> Follower<'o> {
    /// Nothing has been followed yet; `now` is the time by the wall clock.
    pub(super) fn new(options: &'o Options, state: State, now: Timestamp) -> Self {
        Self {
            options,
            now,
            before: state.clone(),
            state,
            followed: Followed::default(),
            instances: BTreeSet::new(),
            services: BTreeSet::new(),
            sessions: BTreeMap::new(),
            heard: HashSet::new(),
            lapsed_sessions: HashSet::new(),
        }
    }

    /// The revision that the next batch has to expect.
    pub(super) fn revision(&self) -> Revision {
        self.state.snapshot.revision
    }

    /// Whether it is time to show it.
    pub(super) fn is_full(&self) -> bool {
        self.followed.changes.len() >= FULL
    }

    /// Puts the next batch onto the state.
    pub(super) fn follow(&mut self, batch: Batch) {
        let revision = batch.changes.last().map_or(self.revision(), |last| last.revision);
        for write in &batch.writes {
            self.write(write, revision);
        }
        self.state.snapshot.revision = revision;
        batch.changes.iter().for_each(|change| self.note(change));
        self.followed.changes.extend(batch.changes);
    }

    fn write(&mut self, write: &Write, revision: Revision) {
        match write {
            Write::Instance(service, instance) => self.place(service, &instance.id, Some(instance)),
            Write::RemoveInstance(service, id) => self.place(service, id, None),
            Write::Service(service, row) => self.write_service(service, row.clone()),
            Write::RemoveService(service) => self.write_service(service, ServiceRow::default()),
            Write::Token(token) => self.state.snapshot.tokens.insert_mut(token.id.clone(), token.clone()),
            Write::RemoveToken(id) => drop(self.state.snapshot.tokens.remove_mut(id)),
            Write::Zone(name, row) => drop(self.followed.zones.insert(name.clone(), row.clone())),
            Write::Session(name, row) => self.write_session(name, row.clone()),
            Write::Records(zone, name, row) => self.write_records(zone, name, row.clone(), revision),
        }
    }

    fn place(&mut self, service: &Arc<str>, id: &str, after: Option<&Arc<Instance>>) {
        let entry = self.state.service(service);
        let before = entry.and_then(|entry| entry.instance(id));
        let service = entry.map_or(service, |entry| &entry.name).clone();
        self.state.change_service(&service, |entry| match after {
            Some(after) => {
                entry.instances.insert(after);
                entry.row.revision = entry.row.revision.max(after.revision);
            }
            None => drop(entry.instances.remove(id)),
        });
        self.state.relocate(&service, before.as_ref(), after);
        let sessions = before.iter().chain(after).filter_map(|instance| instance.session.clone());
        for session in sessions {
            self.sessions.entry(session).or_default();
        }
        self.instances.insert((service, id.into()));
    }

    /// The id of a token that owns services is in memory once.
    fn write_service(&mut self, service: &Arc<str>, mut row: ServiceRow) {
        if let Some(owner) = &mut row.owned_by
            && let Some((known, _)) = self.state.snapshot.tokens.get_key_value(owner)
        {
            *owner = known.clone();
        }
        self.state.change_service(service, |entry| entry.row = row);
        self.services.insert(service.clone());
    }

    /// Who counts the lease of a session, and what its beats carry. One that has no members yet has its lease as well.
    fn write_session(&mut self, name: &Arc<str>, row: Option<SessionRow>) {
        self.sessions.entry(name.clone()).or_default();
        let Some(SessionRow { owner, epoch, sequence, lease_seconds }) = row else {
            return self
                .state
                .change_session(name, |session| (session.owner, session.epoch) = (ServerNumber::NONE, None));
        };
        if !self.state.sessions.contains(name) {
            self.state.sessions.insert(Arc::new(Session::new(name.clone(), lease_seconds)));
        }
        self.state.change_session(name, |session| {
            (session.owner, session.epoch) = (owner, Some(epoch));
            (session.sequence, session.lease_seconds) = (sequence, lease_seconds);
        });
    }

    fn write_records(&mut self, zone: &Name, name: &Name, row: Option<Arc<Written>>, revision: Revision) {
        if self.state.snapshot.written(zone, name).is_some() != row.is_some() {
            self.followed.touched.extend(readers(self.options, &self.state.snapshot, name, revision));
        }
        let revision = row.as_ref().map_or(revision, |row| row.revision);
        self.state.change_written(zone, name, row);
        self.followed.touched_names.push(TouchedName { zone: zone.clone(), name: name.clone(), revision });
    }

    /// What a change says that no row does.
    fn note(&mut self, change: &Change) {
        let Change { revision, transition, subject, instance, .. } = change;
        if **subject == *FLEET {
            return self.note_fleet(change);
        }
        if transition.concerns_names() {
            let (service, revision) = (subject.clone(), *revision);
            self.followed.touched.push(Touched { service, instance: instance.clone(), revision });
        }
        let Some(id) = instance else { return };
        match transition {
            Transition::Register | Transition::Update | Transition::Return => {
                self.heard.insert((subject.clone(), id.clone()));
            }
            Transition::Lapse | Transition::Hold => self.note_lapse(change),
            _ => {}
        }
    }

    fn note_fleet(&mut self, change: &Change) {
        let (since, revision) = (change.time, change.revision);
        let is_held = change.transition == Transition::Hold;
        self.state.snapshot.fleet_hold = is_held.then_some(FleetHold { since, revision });
        self.followed.fleet = Some(match is_held {
            true => FleetNews::Held(revision),
            false => FleetNews::Released { by_server: *change.source == *"server" },
        });
    }

    /// Counts a lease once, whatever it stands for. What was held before has been counted.
    fn note_lapse(&mut self, change: &Change) {
        let (Some(Item::Instance(before)), Some(Item::Instance(after))) = (&change.before, &change.after) else {
            return;
        };
        if before.is_silent() || !after.is_silent() {
            return;
        }
        self.followed.lapsed += match &before.session {
            None => 1,
            Some(session) => usize::from(self.lapsed_sessions.insert(session.clone())),
        };
    }

    /// The state, and what comes of it.
    pub(super) fn finish(mut self) -> (State, Followed) {
        for key in std::mem::take(&mut self.instances) {
            self.finish_instance(key);
        }
        for service in std::mem::take(&mut self.services) {
            self.finish_service(&service);
        }
        for (name, met) in std::mem::take(&mut self.sessions) {
            self.finish_session(&name, met);
        }
        (self.state, self.followed)
    }

    fn finish_instance(&mut self, (service, id): Key) {
        let of = |state: &State| state.service(&service).and_then(|entry| entry.instance(&id));
        let (before, after) = (of(&self.before), of(&self.state));
        let heard = self.heard.contains(&(service.clone(), id.clone()));
        if let Some((after, session)) = after.as_ref().and_then(|after| Some((after, after.session.as_ref()?))) {
            let met = self.sessions.entry(session.clone()).or_default();
            met.is_silent |= after.is_silent();
            met.heard |= heard;
            met.row = Some(after.clone());
        }
        if let Some(after) = &after {
            self.wind(&service, before.as_deref(), after);
        }
        let is_lone = |instance: &Arc<Instance>| instance.session.is_none();
        match (before.filter(is_lone), after.filter(is_lone)) {
            (Some(_), None) => self.followed.effects.push(Effect::EndLone(service, id)),
            (before, Some(after)) => {
                let name = self.state.service(&service).map_or(&service, |entry| &entry.name);
                let subject = Subject::lone(name, &after);
                let runs_anew = heard || before.is_none();
                self.followed.effects.push(effect(runs_anew, subject));
            }
            (None, None) => {}
        }
    }

    fn wind(&mut self, service: &Arc<str>, before: Option<&Instance>, after: &Instance) {
        let timers = &mut self.followed.timers;
        let (id, revision) = (after.id.clone(), after.revision);
        let is_new = before.is_none_or(|before| before.revision != revision);
        match after.state {
            Liveness::Lapsed if is_new => timers.push(Timer::Reap { service: service.clone(), id, revision }),
            Liveness::Held if is_new => {
                let entry = self.state.service(service);
                let hold = entry.map(|entry| hold_of(entry, &self.options.guard)).unwrap_or_default();
                timers.push(Timer::EndHold { service: service.clone(), id, since: after.since, after: hold });
            }
            _ => {}
        }
        let known = before.and_then(Instance::set_weight).map(|set| set.mark.revision);
        let Some(set) = after.set_weight().filter(|set| known != Some(set.mark.revision)) else { return };
        if let Some(left) = set.left(self.now) {
            let (service, id, revision) = (service.clone(), after.id.clone(), set.mark.revision);
            timers.push(Timer::EndWeight { service, id, revision, after: left });
        }
    }

    fn finish_service(&mut self, name: &Arc<str>) {
        let Some(after) = self.state.service(name) else { return };
        let before = self.before.service(name).map(Arc::as_ref);
        let known = |key: &str| before.and_then(|before| before.row.remembered.get(key));
        let new = after.row.remembered.iter().filter(|(key, at)| known(key) != Some(*at));
        let forgets = new.map(|(key, at)| Timer::Forget { service: name.clone(), key: key.clone(), at: *at });
        self.followed.timers.extend(forgets);
        let hold = |service: &Service| hold_of(service, &self.options.guard);
        let hold_after = hold(after);
        if before.is_some_and(|before| hold_after < hold(before)) {
            for id in self.state.snapshot.held.of(name) {
                let Some(since) = after.instances.find(&id).map(|held| held.since) else { continue };
                let (service, id, after) = (name.clone(), id.into(), hold_after);
                self.followed.timers.push(Timer::EndHold { service, id, since, after });
            }
        }
    }

    /// A session without instances is over.
    fn finish_session(&mut self, name: &Arc<str>, met: Met) {
        let Some(session) = self.state.sessions.get(name).cloned() else { return };
        if session.members.is_empty() && session.owner.is_none() {
            self.state.sessions.remove(name);
            return self.followed.effects.push(Effect::EndSession(name.clone()));
        }
        let lapsed = met.is_silent || session.lapsed && self.is_silent(&session);
        let row = met.row.as_deref();
        let is_other = |row: &Instance| session.epoch.as_deref() != row.epoch.as_deref();
        let is_unknown = session.epoch.is_none() || session.owner.is_none() && row.is_some_and(is_other);
        let lease_seconds = row.map_or(session.lease_seconds, |row| row.lease_seconds);
        self.state.change_session(name, |session| {
            (session.lapsed, session.lease_seconds) = (lapsed, lease_seconds);
            if is_unknown {
                (session.epoch, session.hash) = (None, Box::default());
            } else {
                session.rehash();
            }
        });
        let runs_anew = met.heard || !self.before.sessions.contains(name);
        if let Some(session) = self.state.sessions.get(name) {
            self.followed.effects.push(effect(runs_anew, Subject::Session(session.clone())));
        }
    }

    /// Whether the rows of a session say that its lease ran out.
    fn is_silent(&self, session: &Session) -> bool {
        session.members.iter().any(|(service, id, _)| {
            let found = self.state.service(service).and_then(|entry| entry.instances.find(id));
            found.is_some_and(|found| found.state.is_silent())
        })
    }
}

fn effect(runs_anew: bool, subject: Subject) -> Effect {
    if runs_anew { Effect::Follow(subject) } else { Effect::Replace(subject) }
}

/// A service whose name was hidden by a static record answers again, and the other way round.
pub(super) fn readers(
    options: &Options,
    snapshot: &Snapshot,
    name: &Name,
    revision: Revision,
) -> impl Iterator<Item = Touched> {
    readings(options, snapshot, name).into_iter().flat_map(move |reading| {
        let service = reading.service.as_ref().map(|service| service.name.clone());
        let instance = reading.instance_label().map(Into::into);
        let of_service = service.clone().map(|service| Touched { service, instance: None, revision });
        let of_instance = service.zip(instance).map(|(service, id)| Touched { service, instance: Some(id), revision });
        of_service.into_iter().chain(of_instance)
    })
}
