//! A draft: a working copy of the state, and everything that has to be committed with it.
//!
//! Commands and timers change the draft only. When the store has taken its batch, the working copy becomes the state
//! and the effects reach the leases; when it has not, the draft is dropped and nothing has happened.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::apply::relieve;
use super::guard::hold_of;
use super::lease::{Effect, Servers, Subject};
use super::names::Taken;
use super::session::Session;
use super::shared::Shared;
use super::state::State;
use super::store::Write;
use super::{Options, StaticNames, Touched, TouchedName};
use crate::model::change::FLEET;
use crate::model::service::{ServiceRow, remembered_key};
use crate::model::{Change, Instance, Item, Mark, Principal, Revision, Service, SessionRow, State as Liveness};
use crate::model::{Timestamp, Transition};

/// How many protocols and sites of a service may be remembered at once; the oldest is forgotten first.
const MOST_REMEMBERED: usize = 256;

/// Instances that are not registered, of which a service keeps the orders.
const MOST_ORDERS: usize = 64;

/// A working copy with what it takes to commit it.
pub(super) struct Draft {
    shared: Arc<Shared>,
    pub(super) statics: Arc<dyn StaticNames>,
    /// Who shares the registry, and is there.
    pub(super) servers: Servers,
    /// The time of every change in it.
    pub(super) now: Timestamp,
    pub(super) state: State,
    pub(super) writes: Vec<Write>,
    pub(super) changes: Vec<Change>,
    pub(super) touched: Vec<Touched>,
    pub(super) touched_names: Vec<TouchedName>,
    pub(super) effects: Vec<Effect>,
    pub(super) timers: Vec<Timer>,
    /// Sessions whose set has changed since the last [`Draft::settle`].
    resized: BTreeSet<Arc<str>>,
    /// Services with held instances in which somebody has come to serve since then.
    relieved: BTreeSet<Arc<str>>,
}

/// What happens some time after a commit, an hour where it does not say so, if it still applies then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Timer {
    /// The instance's record is removed, if it has not changed since this revision.
    Reap { service: Arc<str>, id: Box<str>, revision: Revision },
    /// The protocol or site is forgotten, if it has not been served since this time.
    Forget { service: Arc<str>, key: Box<str>, at: Timestamp },
    /// The instance, held since then, lapses.
    EndHold { service: Arc<str>, id: Box<str>, since: Timestamp, after: Duration },
    /// The weight that was set by the change of this revision counts no more.
    EndWeight { service: Arc<str>, id: Box<str>, revision: Revision, after: Duration },
}

impl Timer {
    /// How long after the commit it is due, if not after an hour.
    pub(super) fn delay(&self) -> Option<Duration> {
        match self {
            Self::Reap { .. } | Self::Forget { .. } => None,
            Self::EndHold { after, .. } | Self::EndWeight { after, .. } => Some(*after),
        }
    }
}

/// Who makes a change, from where and why: for history.
#[derive(Debug, Clone)]
pub(super) struct Author {
    author: Arc<str>,
    source: Arc<str>,
    reason: Arc<str>,
}

impl Author {
    /// The author that a principal is.
    pub(super) fn new(principal: &Principal, reason: &str) -> Self {
        Self { author: principal.author().into(), source: principal.source().into(), reason: reason.into() }
    }

    /// What an order says of who gave it; `revision` and `time` are those of its change.
    pub(super) fn mark(&self, revision: Revision, time: Timestamp) -> Mark {
        Mark { author: (*self.author).into(), reason: (*self.reason).into(), time, revision }
    }

    /// The same with more to say.
    pub(super) fn but(&self, why: &str) -> Self {
        Self { reason: format!("{}, but {why}", self.reason).into(), ..self.clone() }
    }

    /// The same for a reason of ours, before the caller's own.
    pub(super) fn because(&self, why: String) -> Self {
        let reason = if self.reason.is_empty() { why } else { format!("{why}: {}", self.reason) };
        Self { reason: reason.into(), ..self.clone() }
    }

    /// As history names it.
    pub(super) fn name(&self) -> &str {
        &self.author
    }

    /// The server itself.
    pub(super) fn server(reason: impl Into<Arc<str>>) -> Self {
        Self { reason: reason.into(), ..Self::new(&Principal::Server, "") }
    }
}

/// One transition of one instance.
pub(super) struct Step<'s> {
    pub(super) by: &'s Author,
    pub(super) transition: Transition,
    pub(super) service: &'s Arc<str>,
    pub(super) before: Option<Arc<Instance>>,
    /// Its revision must be [`Draft::next`].
    pub(super) after: Option<Instance>,
    /// The token that owns the service from now on, if nobody does yet.
    pub(super) claim: Option<&'s Arc<str>>,
}

/// Where a command began, so that it can be undone whole.
pub(super) struct Savepoint {
    state: State,
    lengths: [usize; 6],
}

impl Draft {
    /// A draft without changes.
    pub(super) fn new(shared: Arc<Shared>, statics: Arc<dyn StaticNames>, state: State) -> Self {
        Self {
            now: shared.clock.wall(),
            servers: shared.servers(),
            shared,
            statics,
            state,
            writes: Vec::new(),
            changes: Vec::new(),
            touched: Vec::new(),
            touched_names: Vec::new(),
            effects: Vec::new(),
            timers: Vec::new(),
            resized: BTreeSet::new(),
            relieved: BTreeSet::new(),
        }
    }

    /// What the registry has to know of the configuration.
    pub(super) fn options(&self) -> &Options {
        &self.shared.options
    }

    /// The names that static records have.
    pub(super) fn taken(&self) -> Taken<'_> {
        Taken { statics: &*self.statics, snapshot: &self.state.snapshot }
    }

    /// The revision that the next change gets.
    pub(super) fn next(&self) -> Revision {
        self.state.snapshot.revision.next()
    }

    /// Remembers where a command begins.
    pub(super) fn savepoint(&self) -> Savepoint {
        let (services, names) = (self.touched.len(), self.touched_names.len());
        let lengths = [self.writes.len(), self.changes.len(), services, names, self.effects.len(), self.timers.len()];
        Savepoint { state: self.state.clone(), lengths }
    }

    /// Undoes everything since then.
    pub(super) fn roll_back(&mut self, savepoint: Savepoint) {
        self.state = savepoint.state;
        let [writes, changes, touched, touched_names, effects, timers] = savepoint.lengths;
        self.writes.truncate(writes);
        self.changes.truncate(changes);
        self.touched.truncate(touched);
        self.touched_names.truncate(touched_names);
        self.effects.truncate(effects);
        self.timers.truncate(timers);
        self.resized.clear();
        self.relieved.clear();
    }

    /// Ends a command: lets go of held instances that are needed no more, gives sessions whose set has changed their
    /// new hash, and drops those that are over.
    pub(super) fn settle(&mut self) {
        for service in std::mem::take(&mut self.relieved) {
            relieve(self, &service);
        }
        for name in std::mem::take(&mut self.resized) {
            self.state.change_session(&name, Session::rehash);
            match self.state.sessions.get(&name) {
                Some(session) if session.lapsed && session.members.is_empty() => self.end_session(&name),
                Some(session) => self.effects.push(Effect::Replace(Subject::Session(session.clone()))),
                None => {}
            }
        }
    }

    /// What others know of a session.
    pub(super) fn session_row(&self, name: &str) -> Option<SessionRow> {
        self.state.sessions.get(name)?.row()
    }

    /// Makes us the server that counts the lease of a session, and tells others if they knew anything else of it.
    pub(super) fn own_session(&mut self, name: &Arc<str>, known: Option<SessionRow>) {
        let own = self.servers.own();
        self.state.change_session(name, |session| session.owner = own);
        let row = self.session_row(name);
        if row != known {
            self.writes.push(Write::Session(name.clone(), row));
        }
    }

    /// Makes us the server that counts the lease of a lone instance. No change: nobody but servers is concerned.
    pub(super) fn own_instance(&mut self, service: &Arc<str>, instance: Arc<Instance>) -> Arc<Instance> {
        let owner = self.servers.own();
        if instance.owner == owner {
            return instance;
        }
        let instance = Arc::new(Instance { owner, ..(*instance).clone() });
        self.state.change_service(service, |entry| entry.instances.insert(&instance));
        self.writes.push(Write::Instance(service.clone(), instance.clone()));
        instance
    }

    /// Forgets a session.
    pub(super) fn end_session(&mut self, name: &Arc<str>) {
        if self.session_row(name).is_some() {
            self.writes.push(Write::Session(name.clone(), None));
        }
        self.state.sessions.remove(name);
        self.effects.push(Effect::EndSession(name.clone()));
    }

    /// Makes one transition: state, rows, history, leases and timers. Returns the instance as it is afterwards.
    pub(super) fn step(&mut self, step: Step<'_>) -> Option<Arc<Instance>> {
        let revision = self.next();
        let service = step.service;
        let after = step.after.map(Arc::new);
        let before = step.before;
        debug_assert!(after.as_ref().is_none_or(|after| after.revision == revision));
        let id = after.as_ref().or(before.as_ref()).map(|instance| instance.id.clone()).unwrap_or_default();

        let is_new = self.state.service(service).is_none();
        let mut row_changed = is_new || after.is_none();
        let mut left = Vec::new();
        let now = self.now;
        let is_left = self.state.change_service(service, |entry| {
            replace(entry, &id, after.as_ref());
            if let (Some(token), None) = (step.claim, &entry.row.owned_by) {
                entry.row.owned_by = Some(token.clone());
                row_changed = true;
            }
            row_changed |= keep_orders(entry, step.transition, before.as_deref(), after.as_deref());
            let remembered;
            (left, remembered) = remember(entry, before.as_deref(), after.as_deref(), now);
            row_changed |= remembered;
            row_changed |=
                explain_empty(entry, before.as_deref(), || empty_reason(service, &id, after.as_deref(), now, step.by));
            entry.row.revision = revision;
        });
        self.write_instance(service, &id, after.as_ref());
        self.write_service(service, is_left, row_changed);
        self.wind_timers(service, after.as_deref(), left);
        if before.is_none() {
            self.wind_weight(service, after.as_deref());
        }
        self.follow_leases(service, step.transition, before.as_ref(), after.as_ref());
        self.note_relief(service, comes(before.as_deref(), after.as_deref()));
        self.record(
            step.by,
            step.transition,
            service.clone(),
            Some(id),
            before.map(Item::Instance),
            after.clone().map(Item::Instance),
        );
        after
    }

    /// Changes a service's row. A service of which nothing is left is dropped.
    pub(super) fn step_service(
        &mut self,
        by: &Author,
        transition: Transition,
        service: &Arc<str>,
        change: impl FnOnce(&mut ServiceRow),
    ) {
        let revision = self.next();
        let before = self.state.service(service).map(|service| Item::Service(service.row.clone()));
        let hold = self.hold_of(service);
        let is_left = self.state.change_service(service, |entry| {
            change(&mut entry.row);
            entry.row.revision = revision;
        });
        if self.hold_of(service) < hold {
            self.shorten_holds(service);
        }
        self.note_relief(service, true);
        self.write_service(service, is_left, true);
        let after = self.state.service(service).map(|service| Item::Service(service.row.clone()));
        self.record(by, transition, service.clone(), None, before, after);
    }

    /// Says which token the last change was about.
    pub(super) fn name_token(&mut self, name: &str) {
        if let Some(change) = self.changes.last_mut() {
            change.token = Some(name.into());
        }
    }

    /// Writes one change into history and counts the revision up.
    pub(super) fn record(
        &mut self,
        by: &Author,
        transition: Transition,
        subject: Arc<str>,
        instance: Option<Box<str>>,
        before: Option<Item>,
        after: Option<Item>,
    ) {
        let revision = self.next();
        self.state.snapshot.revision = revision;
        if transition.concerns_names() && *subject != *FLEET {
            self.touched.push(Touched { service: subject.clone(), instance: instance.clone(), revision });
        }
        let Author { author, source, reason } = by.clone();
        let time = self.now;
        self.changes.push(Change {
            revision,
            time,
            author,
            source,
            reason,
            transition,
            subject,
            instance,
            token: None,
            before,
            after,
        });
    }

    /// Writes a service's row as it is now.
    pub(super) fn write_service(&mut self, service: &Arc<str>, is_left: bool, row_changed: bool) {
        if !is_left {
            self.writes.push(Write::RemoveService(service.clone()));
        } else if let Some(entry) = self.state.service(service).filter(|_| row_changed) {
            self.writes.push(Write::Service(service.clone(), entry.row.clone()));
        }
    }

    fn write_instance(&mut self, service: &Arc<str>, id: &str, after: Option<&Arc<Instance>>) {
        self.writes.push(match after {
            Some(after) => Write::Instance(service.clone(), after.clone()),
            None => Write::RemoveInstance(service.clone(), id.into()),
        });
    }

    /// Notes that held instances of a service may be needed no more.
    fn note_relief(&mut self, service: &Arc<str>, relieves: bool) {
        if relieves && !self.state.snapshot.held.is_empty() {
            self.relieved.insert(service.clone());
        }
    }

    fn hold_of(&self, service: &Arc<str>) -> Duration {
        self.state.service(service).map(|entry| hold_of(entry, &self.options().guard)).unwrap_or_default()
    }

    /// What is held of a service goes on for as long as the service says now, and no longer.
    fn shorten_holds(&mut self, service: &Arc<str>) {
        let after = self.hold_of(service);
        let Some(entry) = self.state.service(service) else { return };
        for id in self.state.snapshot.held.of(service) {
            let Some(instance) = entry.instances.find(&id) else { continue };
            let (service, id, since) = (entry.name.clone(), id.into(), instance.since);
            self.timers.push(Timer::EndHold { service, id, since, after });
        }
    }

    fn wind_timers(&mut self, service: &Arc<str>, after: Option<&Instance>, left: Vec<Box<str>>) {
        if let Some(after) = after {
            let (service, id, revision) = (service.clone(), after.id.clone(), after.revision);
            match after.state {
                Liveness::Lapsed => self.timers.push(Timer::Reap { service, id, revision }),
                Liveness::Held => {
                    let (since, after) = (after.since, self.hold_of(&service));
                    self.timers.push(Timer::EndHold { service, id, since, after });
                }
                Liveness::Serving | Liveness::Out | Liveness::Drained => {}
            }
        }
        let at = self.now;
        self.timers.extend(left.into_iter().map(|key| Timer::Forget { service: service.clone(), key, at }));
    }

    /// Winds the end of a weight that an instance has which has come back.
    fn wind_weight(&mut self, service: &Arc<str>, after: Option<&Instance>) {
        let Some((after, set)) = after.and_then(|after| Some((after, after.set_weight()?))) else { return };
        if let Some(left) = set.left(self.now) {
            let (service, id, revision) = (service.clone(), after.id.clone(), set.mark.revision);
            let after = left;
            self.timers.push(Timer::EndWeight { service, id, revision, after });
        }
    }

    /// What the transition means for the lone lease of the instance and for the sets of sessions.
    fn follow_leases(
        &mut self,
        service: &Arc<str>,
        transition: Transition,
        before: Option<&Arc<Instance>>,
        after: Option<&Arc<Instance>>,
    ) {
        let is_lone = |instance: &&Arc<Instance>| instance.session.is_none();
        match (before.filter(is_lone), after.filter(is_lone)) {
            (_, Some(after)) => {
                // The state's own name, which all instances of the service share.
                let name = self.state.service(service).map_or(service, |entry| &entry.name);
                let subject = Subject::lone(name, after);
                let is_heard = matches!(transition, Transition::Register | Transition::Update | Transition::Return);
                self.effects.push(if is_heard { Effect::Start(subject) } else { Effect::Replace(subject) });
            }
            (Some(before), None) => self.effects.push(Effect::EndLone(service.clone(), before.id.clone())),
            (None, None) => {}
        }
        self.resized.extend(self.state.relocate(service, before, after));
    }
}

fn replace(service: &mut Service, id: &str, after: Option<&Arc<Instance>>) {
    match after {
        Some(after) => service.instances.insert(after),
        None => drop(service.instances.remove(id)),
    }
}

/// Keeps what was ordered of an instance that leaves until it comes back; says whether the row differs now.
fn keep_orders(
    service: &mut Service,
    transition: Transition,
    before: Option<&Instance>,
    after: Option<&Instance>,
) -> bool {
    let kept = &mut service.row.orders;
    match (before, after) {
        (None, Some(after)) => !kept.is_empty() && kept.remove(&after.id).is_some(),
        (Some(before), None) if transition == Transition::Deregister && kept.len() < MOST_ORDERS => {
            let orders = before.orders.as_deref().cloned();
            orders.map(|orders| kept.insert(before.id.clone(), orders)).is_some()
        }
        _ => false,
    }
}

/// Remembers the protocol and site that nobody serves any more; returns their keys, and whether the row differs now.
fn remember(
    service: &mut Service,
    before: Option<&Instance>,
    after: Option<&Instance>,
    now: Timestamp,
) -> (Vec<Box<str>>, bool) {
    let before = before.filter(|instance| instance.is_serving());
    let after = after.filter(|instance| instance.is_serving());
    let same = |a: &Instance, b: &Instance| a.proto == b.proto && a.site == b.site && a.site_only == b.site_only;
    let mut left = Vec::new();
    let mut differs = false;
    if before.zip(after).is_some_and(|(before, after)| same(before, after)) {
        return (left, differs);
    }
    for (proto, site) in after.into_iter().flat_map(places) {
        let remembered = &mut service.row.remembered;
        differs |= !remembered.is_empty() && remembered.remove(&remembered_key(proto, site)).is_some();
    }
    for (proto, site) in before.into_iter().flat_map(places) {
        if !service.instances.serves(proto, site) {
            let key = remembered_key(proto, site);
            make_room(service);
            service.row.remembered.insert(key.clone(), now);
            left.push(key);
            differs = true;
        }
    }
    (left, differs)
}

/// Whether an instance comes to serve where it did not.
fn comes(before: Option<&Instance>, after: Option<&Instance>) -> bool {
    let place = |instance: &&Instance| (instance.proto.clone(), instance.site.clone());
    let serves = |instance: &&Instance| instance.state == Liveness::Serving;
    let after = after.filter(serves);
    after.is_some() && before.filter(serves).as_ref().map(place) != after.as_ref().map(place)
}

/// Protocol and site under which an instance is published: without a site, and in its site.
fn places(instance: &Instance) -> impl Iterator<Item = (&str, Option<&str>)> {
    let proto = &*instance.proto;
    std::iter::once((proto, None)).chain(instance.site.as_deref().map(move |site| (proto, Some(site))))
}

fn make_room(service: &mut Service) {
    let remembered = &mut service.row.remembered;
    if remembered.len() < MOST_REMEMBERED {
        return;
    }
    let oldest = remembered.iter().min_by_key(|(_, at)| **at).map(|(key, _)| key.clone());
    if let Some(oldest) = oldest {
        remembered.remove(&oldest);
    }
}

/// Keeps the reason while nobody serves; the transition that emptied the service gives it, or the one that brought
/// an instance that has never served. Every DNS client can read
/// it, so it names no author: history does. Says whether the row differs now.
fn explain_empty(service: &mut Service, before: Option<&Instance>, reason: impl FnOnce() -> String) -> bool {
    if service.instances.serving_count() > 0 {
        return service.row.empty_reason.take().is_some();
    }
    let emptied = before.is_some_and(|before| before.serves_under(false)) || service.row.empty_reason.is_none();
    if emptied {
        service.row.empty_reason = Some(reason().into());
    }
    emptied
}

fn empty_reason(service: &str, id: &str, after: Option<&Instance>, now: Timestamp, by: &Author) -> String {
    let what = match after.map(|after| after.state) {
        Some(Liveness::Lapsed) if by.reason.is_empty() => format!("lapsed at {now}, when it was released"),
        Some(Liveness::Lapsed) => format!("lapsed at {now}, {}", by.reason),
        Some(Liveness::Drained) if by.reason.is_empty() => format!("was drained at {now}"),
        Some(Liveness::Drained) => format!("was drained at {now}: {}", by.reason),
        Some(Liveness::Out) => {
            let why = after.and_then(|after| after.out.as_deref()).unwrap_or_default();
            format!("is out since {now}: {why}")
        }
        Some(Liveness::Serving | Liveness::Held) => format!("serves elsewhere since {now}"),
        None => format!("deregistered at {now}"),
    };
    format!("nobody serves {service}: {id} {what}")
}
