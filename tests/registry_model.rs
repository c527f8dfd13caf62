//! Random commands against a model that is simple enough to be believed.
//!
//! The model knows which instances there are, with their port and the tick of their last beat. After every step the
//! registry must agree with it; the published state, the snapshot and what a restart would find must be the same.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "registry_cases/support.rs"]
#[allow(dead_code)] // tests/registry.rs uses all of it
mod support;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use zonebeat::model::Word;
use zonebeat::model::api::Registration;
use zonebeat::registry::{Action, Beaten};

use support::*;

const LEASE: u64 = 15;
const SERVICES: [&str; 3] = ["search", "web", "db"];
const IDS: [&str; 3] = ["a1", "a2", "a3"];
const SITES: [Option<&str>; 3] = [None, Some("lon"), Some("db")];

#[derive(Debug, Clone)]
enum Move {
    Register { service: usize, id: usize, port: i64, site: usize },
    Set { session: bool, members: Vec<(usize, usize)> },
    BeatSession { session: bool },
    Beat { service: usize, id: usize },
    Deregister { service: usize, id: usize },
    Declare { service: usize },
    Undeclare { service: usize },
    Wait { seconds: u64 },
    Fail(bool),
    Restart,
}

#[derive(Debug, Clone, PartialEq)]
struct Known {
    port: i64,
    site: usize,
    session: Option<bool>,
    serving: bool,
}

/// What must be true, without any of the registry's machinery.
#[derive(Debug, Clone, Default)]
struct Model {
    instances: BTreeMap<(usize, usize), Known>,
    declared: BTreeMap<usize, bool>,
    /// Seconds of silence, by lone instance or session.
    silence: BTreeMap<Who, u64>,
    failing: bool,
    /// The store has been found failing.
    away: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Lone(usize, usize),
    Session(bool),
}

fn session_name(session: bool) -> &'static str {
    if session { "host-2" } else { "host-1" }
}

fn moves() -> impl Strategy<Value = Move> {
    let (service, id) = (0..SERVICES.len(), 0..IDS.len());
    let member = (service.clone(), id.clone());
    let register = (service.clone(), id.clone(), 1..4i64, 0..SITES.len());
    prop_oneof![
        6 => register.prop_map(|(service, id, port, site)| Move::Register { service, id, port, site }),
        2 => (any::<bool>(), prop::collection::btree_set(member.clone(), 0..4))
            .prop_map(|(session, members)| Move::Set { session, members: members.into_iter().collect() }),
        3 => any::<bool>().prop_map(|session| Move::BeatSession { session }),
        6 => member.clone().prop_map(|(service, id)| Move::Beat { service, id }),
        3 => member.prop_map(|(service, id)| Move::Deregister { service, id }),
        1 => service.clone().prop_map(|service| Move::Declare { service }),
        1 => service.prop_map(|service| Move::Undeclare { service }),
        6 => prop_oneof![3 => Just(1u64), 3 => Just(5), 2 => Just(16)].prop_map(|seconds| Move::Wait { seconds }),
        1 => any::<bool>().prop_map(Move::Fail),
        1 => Just(Move::Restart),
    ]
}

impl Model {
    fn who(&self, service: usize, id: usize) -> Option<Who> {
        let known = self.instances.get(&(service, id))?;
        Some(known.session.map_or(Who::Lone(service, id), Who::Session))
    }

    /// Whether the label of `service` and the label of `site` may be used together with what there is.
    fn labels_fit(&self, service: usize, site: usize) -> bool {
        let exists = |name: &str| {
            let of = |service: &usize| SERVICES[*service] == name;
            self.instances.keys().any(|(service, _)| of(service)) || self.declared.keys().any(of)
        };
        let is_site = |name: &str| self.instances.values().any(|known| SITES[known.site] == Some(name));
        match SITES[site] {
            Some(site) if exists(site) || SERVICES[service] == site => false,
            _ => !is_site(SERVICES[service]),
        }
    }

    fn members(&self, session: bool) -> Vec<(usize, usize)> {
        let of = |(key, known): (&(usize, usize), &Known)| (known.session == Some(session)).then_some(*key);
        self.instances.iter().filter_map(of).collect()
    }

    /// Time passes with the store writable.
    fn pass(&mut self, seconds: u64) {
        for silence in self.silence.values_mut() {
            *silence += seconds;
        }
        let out: Vec<Who> = self.silence.iter().filter(|(_, silence)| **silence > LEASE).map(|(who, _)| *who).collect();
        for who in out {
            self.silence.remove(&who);
            for (key, known) in &mut self.instances {
                if known.session.map_or(Who::Lone(key.0, key.1), Who::Session) == who {
                    known.serving = false;
                }
            }
        }
    }

    fn all_silences_start_anew(&mut self) {
        self.silence.values_mut().for_each(|silence| *silence = 0);
    }
}

struct Play {
    world: World,
    model: Model,
}

fn registration(port: i64, site: usize) -> Registration {
    Registration { port, site: SITES[site].map(Into::into), ..facts() }
}

impl Play {
    fn step(&mut self, next: Move) {
        match next {
            Move::Register { service, id, port, site } => self.register(service, id, port, site),
            Move::Set { session, members } => self.set(session, &members),
            Move::BeatSession { session } => self.beat_session(session),
            Move::Beat { service, id } => self.beat(service, id),
            Move::Deregister { service, id } => self.deregister(service, id),
            Move::Declare { service } => self.declare(service),
            Move::Undeclare { service } => self.undeclare(service),
            Move::Wait { seconds } => self.wait(seconds),
            Move::Fail(failing) => {
                self.world.store.fail(failing);
                self.model.failing = failing;
            }
            Move::Restart => self.restart(),
        }
        self.compare();
    }

    /// Runs a command that the model expects to change something, to do nothing, or to be refused.
    fn run(&mut self, action: Action, expected: Result<bool, Word>) -> bool {
        let may_retry = self.model.away && !self.model.failing;
        if may_retry {
            self.world.clock.advance(std::time::Duration::from_secs(1));
        }
        let result = self.world.run(action.clone());
        if may_retry {
            self.model.away = false;
            self.model.all_silences_start_anew();
        }
        match (expected, result) {
            (Err(word), result) => {
                assert_eq!(result.expect_err("refused").word, word, "{action:?}");
                false
            }
            (Ok(true), result) if self.model.failing => {
                assert_eq!(result.expect_err("no store").word, Word::StoreUnavailable, "{action:?}");
                self.model.away = true;
                false
            }
            (Ok(_), result) => {
                result.unwrap_or_else(|refusal| panic!("{refusal} {action:?}"));
                true
            }
        }
    }

    fn register(&mut self, service: usize, id: usize, port: i64, site: usize) {
        let wanted = Known { port, site, session: None, serving: true };
        let before = self.model.instances.get(&(service, id)).cloned();
        let same = before.as_ref().is_some_and(|b| Known { serving: true, ..b.clone() } == wanted);
        let expected = match same || self.fits(service, site) {
            true => Ok(before != Some(wanted.clone())),
            false => Err(Word::SiteLabel),
        };
        if self.run(register(SERVICES[service], IDS[id], registration(port, site)), expected) {
            self.model.instances.insert((service, id), wanted);
            self.model.silence.insert(Who::Lone(service, id), 0);
        }
    }

    /// A site's own instances count while they are there, also the one that is replaced.
    fn fits(&self, service: usize, site: usize) -> bool {
        // A service that was left less than an hour ago still keeps its label; the registry is asked for that.
        let remembered = SITES[site].is_some_and(|site| self.world.service(site).is_some());
        self.model.labels_fit(service, site) && !remembered
    }

    fn set(&mut self, session: bool, members: &[(usize, usize)]) {
        let registrations: Vec<_> =
            members.iter().map(|(service, id)| (SERVICES[*service], IDS[*id], registration(1, 0))).collect();
        let leaving: Vec<_> =
            self.model.members(session).into_iter().filter(|member| !members.contains(member)).collect();
        let wanted = Known { port: 1, site: 0, session: Some(session), serving: true };
        let mut after = self.model.clone();
        after.instances.retain(|key, _| !leaving.contains(key));
        let blocked = members.iter().any(|(service, id)| {
            let same =
                after.instances.get(&(*service, *id)).is_some_and(|b| Known { serving: true, ..b.clone() } == wanted);
            let fits = after.labels_fit(*service, 0);
            after.instances.insert((*service, *id), wanted.clone());
            !same && !fits
        });
        let changes = after.instances != self.model.instances;
        let expected = if blocked { Err(Word::SiteLabel) } else { Ok(changes) };
        if self.run(session_set(session_name(session), "e", &registrations), expected) {
            let keys: Vec<_> = members.iter().map(|(service, id)| Who::Lone(*service, *id)).collect();
            self.model.instances = after.instances;
            self.model.silence.retain(|who, _| !keys.contains(who));
            self.model.silence.insert(Who::Session(session), 0);
        }
    }

    fn beat_session(&mut self, session: bool) {
        let beaten = self.world.registry.beat_session(session_name(session), "e", None);
        let who = Who::Session(session);
        match beaten {
            Beaten::Renewed { .. } => {
                assert!(self.model.silence.contains_key(&who));
                self.model.silence.insert(who, 0);
            }
            Beaten::Lapsed { .. } => {
                assert!(!self.model.silence.contains_key(&who));
                if self.run(Action::ReturnSession { session: session_name(session).into() }, Ok(true)) {
                    self.model.silence.insert(who, 0);
                    for known in self.model.instances.values_mut().filter(|known| known.session == Some(session)) {
                        known.serving = true;
                    }
                }
            }
            Beaten::Unknown => {}
            other => panic!("{other:?}"),
        }
    }

    fn beat(&mut self, service: usize, id: usize) {
        let who = self.model.who(service, id);
        let beaten = self.world.registry.beat(SERVICES[service], IDS[id], None);
        match who {
            Some(Who::Lone(..)) if self.model.instances[&(service, id)].serving => {
                assert!(matches!(beaten, Beaten::Renewed { .. }), "{beaten:?}");
                self.model.silence.insert(Who::Lone(service, id), 0);
            }
            Some(Who::Lone(..)) => {
                assert!(matches!(beaten, Beaten::Lapsed { .. }), "{beaten:?}");
                if self.run(bring_back(SERVICES[service], IDS[id], None), Ok(true)) {
                    self.model.instances.get_mut(&(service, id)).unwrap().serving = true;
                    self.model.silence.insert(Who::Lone(service, id), 0);
                }
            }
            _ => assert_eq!(beaten, Beaten::Unknown),
        }
    }

    fn deregister(&mut self, service: usize, id: usize) {
        let known = self.model.instances.contains_key(&(service, id));
        let expected = if known { Ok(true) } else { Err(Word::UnknownInstance) };
        if self.run(deregister(SERVICES[service], IDS[id], None), expected) {
            self.model.instances.remove(&(service, id));
            self.model.silence.remove(&Who::Lone(service, id));
        }
    }

    fn declare(&mut self, service: usize) {
        let expected = match self.model.labels_fit(service, 0) {
            true => Ok(!self.model.declared.contains_key(&service)),
            false => Err(Word::SiteLabel),
        };
        if self.run(declare(SERVICES[service]), expected) {
            self.model.declared.insert(service, true);
        }
    }

    fn undeclare(&mut self, service: usize) {
        let in_use = self.model.instances.keys().any(|(of, _)| *of == service);
        let expected = match self.world.service(SERVICES[service]) {
            None => Err(Word::UnknownService),
            Some(_) if in_use => Err(Word::InUse),
            Some(_) => Ok(self.model.declared.contains_key(&service)),
        };
        if self.run(Action::Undeclare { service: SERVICES[service].into() }, expected) {
            self.model.declared.remove(&service);
        }
    }

    /// With a working store whole leases are compared; with one that fails only that nothing lapses.
    fn wait(&mut self, seconds: u64) {
        if self.model.failing {
            self.world.wait(seconds as f64 + 0.3);
            self.model.away |= !self.world.registry.health().writable;
            self.beat_for_all();
            return;
        }
        if self.model.away {
            self.world.wait(10.3);
            self.model.away = false;
            // It came back somewhere in these ten seconds: beat for everybody to be in step again.
            self.beat_for_all();
        }
        self.world.wait(seconds as f64 + 0.3);
        self.model.pass(seconds);
        self.forget_little_waits();
    }

    /// Three tenths of a second more than the model counts would add up: beats of those that live take them back.
    fn forget_little_waits(&mut self) {
        let alive: Vec<Who> = self.model.silence.keys().copied().collect();
        for who in alive {
            if self.model.silence[&who] >= 5 {
                self.beat_as(who);
            }
        }
    }

    fn beat_for_all(&mut self) {
        let alive: Vec<Who> = self.model.silence.keys().copied().collect();
        alive.into_iter().for_each(|who| self.beat_as(who));
    }

    fn beat_as(&mut self, who: Who) {
        match who {
            Who::Lone(service, id) => self.beat(service, id),
            Who::Session(session) => {
                self.beat_session(session);
                self.model.silence.insert(who, 0);
            }
        }
    }

    fn restart(&mut self) {
        if self.model.failing || self.model.away {
            return;
        }
        self.world = self.world.restart();
        self.model.all_silences_start_anew();
        // Epochs are gone: sessions send their set again, and an empty one is no longer known.
        for session in [false, true] {
            let members = self.model.members(session);
            let was_serving = members.iter().any(|member| self.model.instances[member].serving);
            if members.is_empty() {
                self.model.silence.remove(&Who::Session(session));
            } else if was_serving {
                self.set(session, &members);
            }
        }
    }

    fn compare(&self) {
        let snapshot = self.world.registry.snapshot();
        let mut found = BTreeMap::new();
        for (service, name) in SERVICES.iter().enumerate() {
            for instance in snapshot.service(name).into_iter().flat_map(|service| service.instances.iter()) {
                let id = IDS.iter().position(|id| **id == *instance.id).unwrap();
                let site = SITES.iter().position(|site| *site == instance.site.as_deref()).unwrap();
                let session = instance.session.as_deref().map(|session| session == session_name(true));
                let (port, serving) = (i64::from(instance.port), instance.is_serving());
                found.insert((service, id), Known { port, site, session, serving });
            }
        }
        assert_eq!(found, self.model.instances);
        let serving = found.values().filter(|known| known.serving).count();
        let census = self.world.registry.census();
        assert_eq!((census.serving, census.lapsed), (serving, found.len() - serving));
        let revisions: Vec<u64> = self.world.store.history_now().iter().map(|change| change.revision.0).collect();
        assert!(revisions.windows(2).all(|pair| pair[1] == pair[0] + 1));
        assert_eq!(revisions.last().copied().unwrap_or_default(), snapshot.revision.0);
        self.world.assert_consistent();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_registry_does_what_the_model_says(moves in prop::collection::vec(moves(), 1..60)) {
        let mut play = Play { world: World::new(), model: Model::default() };
        for next in moves {
            play.step(next);
        }
        assert!(play.world.store.commits.load(Ordering::SeqCst) > 0);
    }
}
