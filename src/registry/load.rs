//! Building the state from a store, row by row.
//!
//! Rows come sorted, so each service is put into the map once, each leaf of its instances is packed once, and nothing
//! is kept twice: besides the state itself there is one buffer for the service at hand and one for each session.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::session::{MembersPacker, Session};
use super::state::{State, is_left, tier_sites};
use super::store::{Load, ZoneRow};
use crate::model::Token;
use crate::model::service::ServiceRow;
use crate::model::{InstanceRef, InstancesPacker, Name, PackedInstance, Revision, Service, SessionRow};
use crate::model::{State as Liveness, Written};

/// A state that is being read.
#[derive(Default)]
pub(super) struct Loader {
    state: State,
    zones: Vec<(Name, ZoneRow)>,
    sites: HashMap<Arc<str>, usize>,
    sessions: HashMap<Arc<str>, Joining>,
    /// Tokens that own services, each id once.
    owners: HashSet<Arc<str>>,
    /// The service whose instances come, and the last change of one of them.
    at: Option<(Box<str>, Revision)>,
    instances: InstancesPacker,
}

/// A session whose members come.
struct Joining {
    members: MembersPacker,
    lease_seconds: u32,
    lapsed: bool,
    row: Option<SessionRow>,
}

impl Joining {
    fn new(lease_seconds: u32) -> Self {
        Self { members: MembersPacker::default(), lease_seconds, lapsed: false, row: None }
    }

    /// The session, without the hash of its set.
    fn finish(mut self, name: Arc<str>) -> Session {
        let session =
            Session { lapsed: self.lapsed, members: self.members.finish(), ..Session::new(name, self.lease_seconds) };
        let session = session.unhashed();
        match self.row {
            None => session,
            Some(SessionRow { owner, epoch, sequence, lease_seconds }) => {
                Session { owner, epoch: Some(epoch), sequence, lease_seconds, ..session }
            }
        }
    }
}

impl Loader {
    /// The state and the rows of the zones.
    pub(super) fn finish(mut self) -> (State, Vec<(Name, ZoneRow)>) {
        self.end_service();
        let Self { mut state, zones, mut sites, sessions, .. } = self;
        let gone: Vec<Arc<str>> =
            state.snapshot.services.values().filter(|service| !is_left(service)).map(|s| s.name.clone()).collect();
        for name in &gone {
            state.snapshot.services.remove(name);
        }
        for service in state.snapshot.services.values() {
            state.known += usize::from(service.is_known());
            state.unowned += usize::from(service.is_unowned());
            tier_sites(service).into_iter().for_each(|site| *sites.entry(site).or_default() += 1);
        }
        sites.into_iter().for_each(|(site, count)| state.sites.insert_mut(site, count));
        for (name, joining) in sessions {
            state.sessions.insert(Arc::new(joining.finish(name)));
        }
        (state, zones)
    }

    /// Gives the service at hand its instances.
    fn end_service(&mut self) {
        let Some((name, revision)) = self.at.take() else { return };
        let services = &mut self.state.snapshot.services;
        let instances = self.instances.finish();
        if !services.contains(&name) {
            let name: Arc<str> = name.clone().into();
            services.insert(Arc::new(Service::new(name)));
        }
        let service = services.get_mut(&name).map(Arc::make_mut).expect("it has just been put there");
        service.instances = instances;
        service.row.revision = service.row.revision.max(revision);
    }

    fn count(&mut self, instance: &InstanceRef<'_>) {
        self.state.states.add(instance.state);
        let Some(site) = instance.site else { return };
        match self.sites.get_mut(site) {
            Some(count) => *count += 1,
            None => drop(self.sites.insert(site.into(), 1)),
        }
    }

    fn join(&mut self, service: &str, instance: &InstanceRef<'_>) {
        let Some(session) = instance.session else { return };
        if !self.sessions.contains_key(session) {
            self.sessions.insert(session.into(), Joining::new(instance.lease_seconds));
        }
        let joining = self.sessions.get_mut(session).expect("it has just been put there");
        joining.lapsed |= instance.state.is_silent();
        joining.members.push(service, instance.id, instance.incarnation);
    }
}

impl Load for Loader {
    fn revision(&mut self, revision: Revision) {
        self.state.snapshot.revision = revision;
    }

    fn service(&mut self, name: &str, mut row: ServiceRow) {
        let name: Arc<str> = name.into();
        row.owned_by = row.owned_by.map(|owner| match self.owners.get(&owner) {
            Some(known) => known.clone(),
            None => {
                self.owners.insert(owner.clone());
                owner
            }
        });
        let service = Service { row, ..Service::new(name.clone()) };
        self.state.snapshot.services.insert(Arc::new(service));
    }

    fn instance(&mut self, service: &str, packed: PackedInstance<'_>) {
        if self.at.as_ref().is_none_or(|(at, _)| **at != *service) {
            self.end_service();
        }
        let (_, revision) = self.at.get_or_insert_with(|| (service.into(), Revision(0)));
        let instance = packed.look();
        *revision = instance.revision.max(*revision);
        if instance.state == Liveness::Held {
            self.state.snapshot.held.insert(service, instance.id);
        }
        self.count(&instance);
        self.join(service, &instance);
        self.instances.push(packed);
    }

    fn token(&mut self, token: Token) {
        self.state.snapshot.tokens.insert_mut(token.id.clone(), Arc::new(token));
    }

    fn zone(&mut self, name: Name, row: ZoneRow) {
        self.zones.push((name, row));
    }

    fn records(&mut self, zone: Name, name: Name, row: Written) {
        self.state.change_written(&zone, &name, Some(Arc::new(row)));
    }

    fn session(&mut self, name: &str, row: SessionRow) {
        let joining = self.sessions.entry(name.into()).or_insert_with(|| Joining::new(row.lease_seconds));
        joining.row = Some(row);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::model::{Endpoint, Instance, Timestamp};

    const SERVICES: u64 = 10_000;
    const EACH: u64 = 10;

    fn instance(number: u64, session: Option<Arc<str>>) -> Instance {
        let address = Ipv4Addr::from(0x0a00_0000 + number as u32);
        Instance {
            id: format!("i{}", number % EACH).into(),
            proto: "tcp".into(),
            port: 20_000,
            priority: 10,
            weight: 100,
            site: None,
            endpoint: Endpoint::Addresses([address.into()].into()),
            tags: [].into(),
            metadata: [].into(),
            lease_seconds: 15,
            epoch: session.is_some().then(|| "0123456789abcdef".into()),
            owner: Default::default(),
            out: None,
            orders: None,
            session,
            incarnation: Revision(1_000_000 + number),
            state: Liveness::Serving,
            site_only: false,
            since: Timestamp(1_790_000_000_000),
            revision: Revision(1_000_000 + number),
        }
    }

    /// Services named as in the workload of the measurements, ten plain instances each.
    fn load(session_of: impl Fn(u64) -> Option<Arc<str>>) -> State {
        let (mut loader, mut buffer) = (Loader::default(), Vec::new());
        (0..SERVICES).for_each(|number| loader.service(&format!("svc{number:05}"), ServiceRow::default()));
        for number in 0..SERVICES * EACH {
            let instance = instance(number, session_of(number));
            loader.instance(&format!("svc{:05}", number / EACH), PackedInstance::new(&instance, &mut buffer));
        }
        loader.finish().0
    }

    /// Octets per instance that stay allocated, as asked of the allocator, and the most while it was read.
    fn weigh(session_of: impl Fn(u64) -> Option<Arc<str>>) -> (u64, u64) {
        let mut kept = None;
        let used = allocation_counter::measure(|| kept = Some(load(session_of)));
        let state = kept.expect("it was built");
        assert_eq!((state.states.get(Liveness::Serving) as u64, state.known as u64), (SERVICES * EACH, SERVICES));
        (used.bytes_current as u64 / (SERVICES * EACH), used.bytes_max / (SERVICES * EACH))
    }

    #[test]
    fn an_instance_takes_few_octets() {
        let lone = weigh(|_| None);
        assert!(lone.0 <= 56 && lone.1 <= lone.0 + 4, "{lone:?}");
        let sessions: Vec<Arc<str>> = (0..500).map(|number| format!("load-{number}").into()).collect();
        let of_sessions = weigh(|number| Some(sessions[(number / 200) as usize].clone()));
        assert!(of_sessions.0 <= 106 && of_sessions.1 <= of_sessions.0 + 16, "{of_sessions:?}");
        eprintln!("octets per instance, and the most while they were read: {lone:?} lone, {of_sessions:?} of sessions");
    }

    #[test]
    fn a_session_has_its_members_and_no_hash_yet() {
        let state = load(|number| (number % 100 == 7).then(|| "host-17".into()));
        let session = state.sessions.get("host-17").expect("it was loaded");
        assert_eq!((session.members.len(), session.members.iter().count()), (1000, 1000));
        assert_eq!((session.lapsed, &*session.hash, session.lease_seconds), (false, "", 15));
        assert_eq!(session.members.iter().next(), Some(("svc00000", "i7", Revision(1_000_007))));
    }
}
