//! The writer's state: the snapshot that readers get, and what is derived from it.
//!
//! Everything is a map with structural sharing, so that a working copy costs a few pointers and can be dropped when the
//! store does not take its batch. Only [`State::change_service`] and [`State::relocate`] change what is counted here.

use std::hint::black_box;
use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use super::draft::Timer;
use super::lease::Subject;
use super::session::Session;
use super::{Census, Snapshot, States};
use crate::model::{Instance, LabelMap, Name, Service, State as Liveness, Written};

/// The registry with its indexes, at one revision.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// What readers get.
    pub(super) snapshot: Snapshot,
    /// How many instances, whatever their state, and tiers of declarations name a site.
    pub(super) sites: RedBlackTreeMapSync<Arc<str>, usize>,
    /// Every session with an instance or a lease, lone instances not included.
    pub(super) sessions: LabelMap<Session>,
    /// How many names with records from UPDATE a zone has.
    written_names: RedBlackTreeMapSync<Name, usize>,
    pub(super) known: usize,
    /// Known services without a declared owner.
    pub(super) unowned: usize,
    pub(super) states: States,
}

impl State {
    /// The service of that label.
    pub(super) fn service(&self, name: &str) -> Option<&Arc<Service>> {
        self.snapshot.services.get(name)
    }

    /// Reads services that are about to be looked at or changed, all of them together.
    pub(super) fn read_ahead<'s>(&self, services: impl Iterator<Item = &'s str>) {
        let found = self.snapshot.services.get_all(services);
        black_box(found.into_iter().flatten().fold(0, |read, service| read ^ service.instances.touch()));
    }

    /// Changes a service, which is made if there is none, and dropped when nothing is left of it. Says whether it is
    /// still there.
    pub(super) fn change_service(&mut self, name: &Arc<str>, change: impl FnOnce(&mut Service)) -> bool {
        let services = &mut self.snapshot.services;
        if !services.contains(name) {
            services.insert(Arc::new(Service::new(name.clone())));
        }
        let service = Arc::make_mut(services.get_mut(name).expect("it has just been put there"));
        let (was_known, was_unowned, tiers) = (service.is_known(), service.is_unowned(), tier_sites(service));
        change(service);
        let (is_known, is_left) = (service.is_known(), is_left(service));
        let new_tiers = tier_sites(service);
        self.known = self.known + usize::from(is_known) - usize::from(was_known);
        self.unowned = self.unowned + usize::from(service.is_unowned()) - usize::from(was_unowned);
        if !is_left {
            services.remove(name);
        }
        if tiers != new_tiers {
            new_tiers.iter().for_each(|site| self.count_site(site));
            tiers.iter().for_each(|site| self.uncount_site(site));
        }
        is_left
    }

    /// Counts an instance that was `before` and is `after` in its site and session; says whose set changed.
    pub(super) fn relocate(
        &mut self,
        service: &Arc<str>,
        before: Option<&Arc<Instance>>,
        after: Option<&Arc<Instance>>,
    ) -> Vec<Arc<str>> {
        self.count(before, after);
        self.note_held(service, before, after);
        let mut changed = Vec::new();
        let left = before.filter(|before| after.is_none_or(|after| after.session != before.session));
        if let Some((before, name)) = left.and_then(|before| Some((before, before.session.clone()?))) {
            self.change_session(&name, |session| {
                session.members.remove(service, &before.id);
            });
            changed.push(name);
        }
        let came = after.filter(|after| {
            before.is_none_or(|before| before.session != after.session || before.incarnation != after.incarnation)
        });
        if let Some((after, name)) = came.and_then(|after| Some((after, after.session.clone()?))) {
            if !self.sessions.contains(&name) {
                let session = Session::new(name.clone(), after.lease_seconds);
                self.sessions.insert(Arc::new(session));
            }
            self.change_session(&name, |session| {
                session.lapsed |= after.is_silent();
                session.members.insert(service, &after.id, after.incarnation);
            });
            changed.push(name);
        }
        changed
    }

    /// Changes a session, if there is one.
    pub(super) fn change_session(&mut self, name: &Arc<str>, change: impl FnOnce(&mut Session)) {
        if let Some(session) = self.sessions.get_mut(name) {
            change(Arc::make_mut(session));
        }
    }

    /// How many names with records from UPDATE a zone has.
    pub(super) fn written_names(&self, zone: &Name) -> usize {
        self.written_names.get(zone).copied().unwrap_or(0)
    }

    /// Replaces or removes what UPDATE wrote at a name.
    pub(super) fn change_written(&mut self, zone: &Name, name: &Name, row: Option<Arc<Written>>) {
        let key = (zone.clone(), name.clone());
        let (all, mut names) = (&mut self.snapshot.written, self.written_names.get(zone).copied().unwrap_or(0));
        names -= usize::from(all.contains_key(&key));
        names += usize::from(row.is_some());
        match row {
            Some(row) => all.insert_mut(key, row),
            None => drop(all.remove_mut(&key)),
        }
        self.written_names.insert_mut(zone.clone(), names);
    }

    fn count(&mut self, before: Option<&Arc<Instance>>, after: Option<&Arc<Instance>>) {
        after.iter().for_each(|after| self.states.add(after.state));
        before.iter().for_each(|before| self.states.subtract(before.state));
        let site = |instance: Option<&Arc<Instance>>| instance.and_then(|instance| instance.site.clone());
        let (old, new) = (site(before), site(after));
        if old == new {
            return;
        }
        new.iter().for_each(|site| self.count_site(site));
        old.iter().for_each(|site| self.uncount_site(site));
    }

    fn note_held(&mut self, service: &str, before: Option<&Arc<Instance>>, after: Option<&Arc<Instance>>) {
        let held = |instance: Option<&Arc<Instance>>| instance.filter(|one| one.state == Liveness::Held).cloned();
        match (held(before), held(after)) {
            (None, Some(after)) => self.snapshot.held.insert(service, &after.id),
            (Some(before), None) => self.snapshot.held.remove(service, &before.id),
            (None, None) | (Some(_), Some(_)) => {}
        }
    }

    fn count_site(&mut self, site: &Arc<str>) {
        let count = self.sites.get(site).copied().unwrap_or(0) + 1;
        self.sites.insert_mut(site.clone(), count);
    }

    fn uncount_site(&mut self, site: &Arc<str>) {
        match self.sites.get(site).copied().unwrap_or(0) {
            0 | 1 => drop(self.sites.remove_mut(site)),
            count => self.sites.insert_mut(site.clone(), count - 1),
        }
    }

    /// Whether a timer would still do something when it is due.
    pub(super) fn is_awaited(&self, timer: &Timer) -> bool {
        match timer {
            Timer::Reap { service, id, revision } => {
                let found = self.service(service).and_then(|service| service.instances.find(id));
                found.is_some_and(|found| found.revision == *revision && found.state == Liveness::Lapsed)
            }
            Timer::EndHold { service, id, since, .. } => {
                let found = self.service(service).and_then(|service| service.instances.find(id));
                found.is_some_and(|found| found.since == *since && found.state == Liveness::Held)
            }
            Timer::EndWeight { service, id, revision, .. } => {
                let found = self.service(service).and_then(|service| service.instances.find(id));
                let set = found.and_then(|found| found.orders()).and_then(|orders| orders.weight);
                set.is_some_and(|set| set.mark.revision == *revision)
            }
            Timer::Forget { service, key, at } => {
                self.service(service).is_some_and(|service| service.row.remembered.get(key) == Some(at))
            }
        }
    }

    /// What leases there are: lone instances and sessions, lapsed or not.
    pub(super) fn subjects(&self) -> impl Iterator<Item = Subject> {
        let lone = self.snapshot.services.values().flat_map(|service| {
            let lone = service.instances.refs().filter(|instance| instance.session.is_none());
            lone.map(|instance| Subject::lone_ref(&service.name, &instance))
        });
        lone.chain(self.sessions.values().map(|session| Subject::Session(session.clone())))
    }

    /// How many subjects there are.
    pub(super) fn subjects_count(&self) -> usize {
        let members: usize = self.sessions.values().map(|session| session.members.len()).sum();
        self.states.all().saturating_sub(members) + self.sessions.size()
    }

    /// The counters, with the number of leases that run.
    pub(super) fn census(&self, sessions: usize) -> Census {
        let tokens = self.snapshot.tokens.size();
        Census {
            services: self.known,
            unowned: self.unowned,
            states: self.states,
            sessions,
            tokens,
            ..Census::default()
        }
    }
}

/// The sites that the tiers of the service's declaration name, each once.
pub(super) fn tier_sites(service: &Service) -> Vec<Arc<str>> {
    let tiers = service.row.declaration.iter().flat_map(|declaration| &declaration.tiers);
    tiers.flatten().map(|site| Arc::from(&**site)).collect()
}

/// Whether there is anything to keep of it.
pub(super) fn is_left(service: &Service) -> bool {
    service.is_known() || service.row.owned_by.is_some()
}
