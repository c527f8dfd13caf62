//! Random commands against a model that is simple enough to be believed.
//!
//! The model knows which instances there are, with their port and the tick of their last beat. After a step the
//! registry must agree with it; the published state, the snapshot and what a restart would find must be the same.
//!
//! After many steps, but not after all: a step may be left with the store. What the next ones bring is judged behind it
//! then, lapses and timers too, until a step is looked at again. The model takes everything as done at once; it knows
//! only that the lease of what was registered meanwhile starts when the store is done ([`UnderWay`]).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "registry_cases/support.rs"]
#[allow(dead_code)] // tests/registry.rs uses all of it
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use proptest::prelude::*;
use tokio::sync::oneshot;
use zonebeat::model::api::Registration;
use zonebeat::model::{Refusal, State, Word};
use zonebeat::registry::{Action, Beaten, Outcome};

use support::*;

const LEASE: u64 = 15;
const SERVICES: [&str; 3] = ["search", "web", "db"];
const IDS: [&str; 3] = ["a1", "a2", "a3"];
const SITES: [Option<&str>; 3] = [None, Some("lon"), Some("db")];

#[derive(Debug, Clone)]
enum Move {
    Register {
        service: usize,
        id: usize,
        port: i64,
        site: usize,
        out: bool,
    },
    Order {
        service: usize,
        id: usize,
        drained: bool,
    },
    Set {
        session: bool,
        members: Vec<(usize, usize)>,
    },
    BeatSession {
        session: bool,
    },
    Beat {
        service: usize,
        id: usize,
    },
    Deregister {
        service: usize,
        id: usize,
    },
    Declare {
        service: usize,
    },
    Undeclare {
        service: usize,
    },
    Wait {
        seconds: u64,
    },
    /// An hour and a second pass at once; leases count half a second of it.
    Hour,
    Fail(bool),
    Restart,
}

#[derive(Debug, Clone, PartialEq)]
struct Known {
    port: i64,
    site: usize,
    session: Option<bool>,
    /// Its lease runs.
    serving: bool,
    out: bool,
    drained: bool,
}

impl Known {
    fn state(&self) -> State {
        match self {
            Self { serving: false, .. } => State::Lapsed,
            Self { drained: true, .. } => State::Drained,
            Self { out: true, .. } => State::Out,
            _ => State::Serving,
        }
    }
}

/// What must be true, without any of the registry's machinery.
#[derive(Debug, Clone, Default)]
struct Model {
    instances: BTreeMap<(usize, usize), Known>,
    declared: BTreeMap<usize, bool>,
    /// Seconds of silence, by lone instance or session.
    silence: BTreeMap<Who, u64>,
    /// Drained instances that have deregistered since; whether that is still kept the registry is asked.
    left: BTreeSet<(usize, usize)>,
    failing: bool,
    /// The store has been found failing.
    away: bool,
    under_way: UnderWay,
}

/// What was done since the registry was last looked at.
#[derive(Debug, Clone, Default)]
struct UnderWay {
    /// The store has something.
    busy: bool,
    /// Leases that start when it is done.
    starting: BTreeSet<Who>,
    /// Those that something under way is about: what they are by then is not what a beat finds now.
    concerned: BTreeSet<Who>,
    /// Those that ran out meanwhile. A beat may still come before the lapse is with the store.
    lapsing: BTreeSet<Who>,
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
    let register = (service.clone(), id.clone(), 1..4i64, 0..SITES.len(), prop::bool::weighted(0.2));
    prop_oneof![
        6 => register.prop_map(|(service, id, port, site, out)| Move::Register { service, id, port, site, out }),
        2 => (member.clone(), any::<bool>())
            .prop_map(|((service, id), drained)| Move::Order { service, id, drained }),
        2 => (any::<bool>(), prop::collection::btree_set(member.clone(), 0..4))
            .prop_map(|(session, members)| Move::Set { session, members: members.into_iter().collect() }),
        3 => any::<bool>().prop_map(|session| Move::BeatSession { session }),
        6 => member.clone().prop_map(|(service, id)| Move::Beat { service, id }),
        3 => member.prop_map(|(service, id)| Move::Deregister { service, id }),
        1 => service.clone().prop_map(|service| Move::Declare { service }),
        1 => service.prop_map(|service| Move::Undeclare { service }),
        6 => prop_oneof![3 => Just(1u64), 3 => Just(5), 2 => Just(16)].prop_map(|seconds| Move::Wait { seconds }),
        1 => Just(Move::Hour),
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
        for (_, silence) in self.silence.iter_mut().filter(|(who, _)| !self.under_way.starting.contains(who)) {
            *silence += seconds;
        }
        let out: Vec<Who> = self.silence.iter().filter(|(_, silence)| **silence > LEASE).map(|(who, _)| *who).collect();
        for who in out {
            self.silence.remove(&who);
            self.under_way.busy |= self.set_serving(who, false);
            self.under_way.lapsing.insert(who);
        }
    }

    /// Whether there are any.
    fn set_serving(&mut self, who: Who, serving: bool) -> bool {
        let of = |(key, known): &(&(usize, usize), &mut Known)| {
            known.session.map_or(Who::Lone(key.0, key.1), Who::Session) == who
        };
        self.instances.iter_mut().filter(of).map(|(_, known)| known.serving = serving).count() > 0
    }

    /// An instance is about to change, and with it perhaps the session that it leaves.
    fn concern(&mut self, service: usize, id: usize) {
        let before = self.who(service, id);
        self.under_way.concerned.extend(before.into_iter().chain([Who::Lone(service, id)]));
    }

    /// A lease starts when what starts it is done.
    fn start(&mut self, who: Who, changes: bool) {
        self.silence.insert(who, 0);
        self.under_way.busy |= changes;
        if self.under_way.busy {
            self.under_way.starting.insert(who);
            self.under_way.concerned.insert(who);
        }
    }

    fn all_silences_start_anew(&mut self) {
        self.silence.values_mut().for_each(|silence| *silence = 0);
    }
}

/// A command, what the model says of it, and where its answer comes.
type Pending = (Action, Result<bool, Word>, oneshot::Receiver<Result<Outcome, Refusal>>);

struct Play {
    world: World,
    model: Model,
    pending: Vec<Pending>,
}

fn registration(port: i64, site: usize) -> Registration {
    Registration { port, site: SITES[site].map(Into::into), ..facts() }
}

impl Play {
    fn new(world: World) -> Self {
        let mut play = Self { world, model: Model::default(), pending: Vec::new() };
        play.prune();
        play
    }

    /// Lets the first time come at which history is pruned, for which the writer waits until nothing is under way.
    fn prune(&mut self) {
        self.world.clock.advance(Duration::from_secs(61));
        self.world.tick();
    }

    /// With `stay` the store is left with what it has, as long as it works.
    fn step(&mut self, next: Move, stay: bool) {
        let worked = self.is_store_there();
        match next {
            Move::Register { service, id, port, site, out } => self.register(service, id, port, site, out),
            Move::Order { service, id, drained } => self.order(service, id, drained),
            Move::Set { session, members } => self.set(session, &members),
            Move::BeatSession { session } => self.beat_session(session),
            Move::Beat { service, id } => self.beat(service, id),
            Move::Deregister { service, id } => self.deregister(service, id),
            Move::Declare { service } => self.declare(service),
            Move::Undeclare { service } => self.undeclare(service),
            Move::Wait { seconds } => self.wait(seconds),
            Move::Hour => self.hour(),
            Move::Fail(failing) => {
                self.settle();
                self.world.store.fail(failing);
                self.model.failing = failing;
            }
            Move::Restart => self.restart(),
        }
        if !(stay && worked && self.is_store_there()) {
            self.settle();
            self.compare();
        }
    }

    fn is_store_there(&self) -> bool {
        !self.model.failing && !self.model.away
    }

    /// Waits for the store. What it has done lets go of leases that ran out meanwhile.
    fn settle(&mut self) {
        self.world.writer.settle();
        for (action, expected, mut answer) in std::mem::take(&mut self.pending) {
            let answer = answer.try_recv().expect("it is answered");
            assert_eq!(answer.map(|_| ()).map_err(|refusal| refusal.word), expected.map(|_| ()), "{action:?}");
        }
        self.world.tick();
        self.model.under_way = UnderWay::default();
    }

    /// Runs a command that the model expects to change something, to do nothing, or to be refused.
    fn run(&mut self, action: Action, expected: Result<bool, Word>) -> bool {
        if self.is_store_there() {
            let mut answers = self.world.writer.take_batch(&[command(&anonymous(), action.clone())]);
            self.pending.push((action, expected, answers.remove(0)));
            return expected.is_ok();
        }
        let may_retry = self.model.away && !self.model.failing;
        if may_retry {
            self.world.clock.advance(Duration::from_secs(1));
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

    fn register(&mut self, service: usize, id: usize, port: i64, site: usize, out: bool) {
        if SITES[site].is_some() {
            self.settle(); // whether it fits is not the model's to say
        }
        let kept = self.keeps_drain(service, id);
        let before = self.model.instances.get(&(service, id)).cloned();
        let drained = before.as_ref().map_or(kept, |before| before.drained);
        let wanted = Known { port, site, session: None, serving: true, out, drained };
        let same = before.as_ref().is_some_and(|b| Known { serving: true, ..b.clone() } == wanted);
        let expected = match same || self.fits(service, site) {
            true => Ok(before != Some(wanted.clone())),
            false => Err(Word::SiteLabel),
        };
        let out = out.then(|| "its check fails".to_owned());
        let wish = Registration { out, ..registration(port, site) };
        if self.run(register(SERVICES[service], IDS[id], wish), expected) {
            self.model.concern(service, id);
            self.model.instances.insert((service, id), wanted);
            self.model.start(Who::Lone(service, id), expected == Ok(true));
        }
    }

    /// Whether an instance that has deregistered is drained when it comes back.
    fn keeps_drain(&mut self, service: usize, id: usize) -> bool {
        if !self.model.left.contains(&(service, id)) {
            return false;
        }
        self.settle();
        self.world.service(SERVICES[service]).is_some_and(|service| service.row.orders.contains_key(IDS[id]))
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
        let kept: Vec<_> = members.iter().copied().filter(|(service, id)| self.keeps_drain(*service, *id)).collect();
        let wanted = |key: (usize, usize), before: Option<&Known>| {
            let drained = before.map_or(kept.contains(&key), |before| before.drained);
            Known { port: 1, site: 0, session: Some(session), serving: true, out: false, drained }
        };
        let mut after = self.model.clone();
        after.instances.retain(|key, _| !leaving.contains(key));
        let blocked = members.iter().any(|(service, id)| {
            let before = after.instances.get(&(*service, *id));
            let wanted = wanted((*service, *id), before);
            let same = before.is_some_and(|b| Known { serving: true, ..b.clone() } == wanted);
            let fits = after.labels_fit(*service, 0);
            after.instances.insert((*service, *id), wanted);
            !same && !fits
        });
        let changes = after.instances != self.model.instances;
        let expected = if blocked { Err(Word::SiteLabel) } else { Ok(changes) };
        if self.run(session_set(session_name(session), "e", &registrations), expected) {
            let keys: Vec<_> = members.iter().map(|(service, id)| Who::Lone(*service, *id)).collect();
            members.iter().chain(&leaving).for_each(|(service, id)| self.model.concern(*service, *id));
            self.model.left.extend(leaving.iter().filter(|key| self.model.instances[key].drained));
            self.model.instances = after.instances;
            self.model.silence.retain(|who, _| !keys.contains(who));
            self.model.start(Who::Session(session), changes);
        }
    }

    fn beat_session(&mut self, session: bool) {
        let who = Who::Session(session);
        if self.model.under_way.concerned.contains(&who) {
            self.settle();
        }
        let beaten = self.world.registry.beat_session(session_name(session), "e", None);
        match beaten {
            Beaten::Renewed { .. } => {
                assert!(self.model.silence.contains_key(&who) || self.model.under_way.lapsing.remove(&who));
                self.model.silence.insert(who, 0);
                self.model.set_serving(who, true);
            }
            Beaten::Lapsed { .. } => {
                assert!(!self.model.silence.contains_key(&who));
                // One without instances is forgotten; its lapse is still with the store.
                let is_known = !self.model.members(session).is_empty();
                let expected = if is_known { Ok(true) } else { Err(Word::UnknownSession) };
                if self.run(Action::ReturnSession { session: session_name(session).into() }, expected) {
                    let changes = self.model.set_serving(who, true);
                    self.model.start(who, changes);
                }
            }
            Beaten::Unknown => {}
            other => panic!("{other:?}"),
        }
    }

    fn beat(&mut self, service: usize, id: usize) {
        if self.model.under_way.concerned.contains(&Who::Lone(service, id)) {
            self.settle();
        }
        let Some(who @ Who::Lone(..)) = self.model.who(service, id) else {
            return assert_eq!(self.world.registry.beat(SERVICES[service], IDS[id], None), Beaten::Unknown);
        };
        let serving = self.model.instances[&(service, id)].serving;
        match self.world.registry.beat(SERVICES[service], IDS[id], None) {
            Beaten::Renewed { .. } => {
                assert!(serving || self.model.under_way.lapsing.remove(&who));
                self.model.silence.insert(who, 0);
                self.model.set_serving(who, true);
            }
            Beaten::Lapsed { .. } => {
                assert!(!serving);
                if self.run(bring_back(SERVICES[service], IDS[id], None), Ok(true)) {
                    self.model.set_serving(who, true);
                    self.model.start(who, true);
                }
            }
            other => panic!("{other:?}"),
        }
    }

    fn deregister(&mut self, service: usize, id: usize) {
        let known = self.model.instances.contains_key(&(service, id));
        let expected = if known { Ok(true) } else { Err(Word::UnknownInstance) };
        if self.run(deregister(SERVICES[service], IDS[id], None), expected) {
            self.model.concern(service, id);
            self.model.under_way.busy = true;
            let before = self.model.instances.remove(&(service, id));
            self.model.left.extend(before.filter(|before| before.drained).map(|_| (service, id)));
            self.model.silence.remove(&Who::Lone(service, id));
        }
    }

    fn order(&mut self, service: usize, id: usize, drained: bool) {
        let (name, label) = (SERVICES[service].to_owned(), IDS[id].to_owned());
        let action = match drained {
            true => Action::Drain { service: name, id: label, force: false },
            false => Action::Undrain { service: name, id: label },
        };
        let forgets = self.keeps_drain(service, id) && !drained;
        let known = self.model.instances.get(&(service, id));
        let expected = match known {
            Some(known) => Ok(known.drained != drained),
            None if forgets => Ok(true),
            None => Err(Word::UnknownInstance),
        };
        if self.run(action, expected) && expected == Ok(true) {
            self.model.concern(service, id);
            self.model.under_way.busy = true;
            self.model.instances.entry((service, id)).and_modify(|known| known.drained = drained);
        }
    }

    fn declare(&mut self, service: usize) {
        let expected = match self.model.labels_fit(service, 0) {
            true => Ok(!self.model.declared.contains_key(&service)),
            false => Err(Word::SiteLabel),
        };
        if self.run(declare(SERVICES[service]), expected) {
            self.model.under_way.busy |= expected == Ok(true);
            self.model.declared.insert(service, true);
        }
    }

    fn undeclare(&mut self, service: usize) {
        self.settle();
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
        for _ in 0..seconds * 10 + 3 {
            self.world.clock.advance(Duration::from_millis(100));
            self.world.writer.tick(); // lapses are made ready behind what the store has
        }
        self.model.pass(seconds);
        self.forget_little_waits();
    }

    /// What lapsed before is forgotten, and so are services of which nothing is left.
    fn hour(&mut self) {
        if !self.is_store_there() {
            return;
        }
        let before = std::mem::take(&mut self.model.under_way);
        self.world.clock.advance(Duration::from_secs(3601));
        self.world.writer.tick();
        self.settle();
        // The hour of a record begins when the store has what was changed last.
        let is_kept = |key: &(usize, usize), known: &mut Known| {
            let lone = Who::Lone(key.0, key.1);
            let lapsing = before.lapsing.contains(&known.session.map_or(lone, Who::Session));
            known.serving || lapsing || before.concerned.contains(&lone)
        };
        self.model.instances.retain(is_kept);
        for (service, name) in SERVICES.iter().enumerate().filter(|_| !before.busy) {
            let is_left = self.model.instances.keys().any(|(of, _)| *of == service);
            let is_declared = self.model.declared.contains_key(&service);
            assert_eq!(self.world.service(name).is_some(), is_left || is_declared, "{name}");
        }
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
        if !self.is_store_there() {
            return;
        }
        self.settle();
        self.world = self.world.restart();
        self.prune();
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
                let (port, serving) = (i64::from(instance.port), !instance.is_silent());
                let (out, drained) = (instance.out.is_some(), instance.drained().is_some());
                let known = Known { port, site, session, serving, out, drained };
                assert_eq!(instance.state, known.state());
                found.insert((service, id), known);
            }
        }
        assert_eq!(found, self.model.instances);
        let census = self.world.registry.census();
        for state in State::ALL {
            assert_eq!(census.states.get(state), found.values().filter(|known| known.state() == state).count());
        }
        let revisions: Vec<u64> = self.world.store.history_now().iter().map(|change| change.revision.0).collect();
        assert!(revisions.windows(2).all(|pair| pair[1] == pair[0] + 1));
        assert_eq!(revisions.last().copied().unwrap_or_default(), snapshot.revision.0);
        self.world.assert_consistent();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_registry_does_what_the_model_says(moves in prop::collection::vec((moves(), any::<bool>()), 1..60)) {
        let mut play = Play::new(World::new());
        for (next, stay) in moves {
            play.step(next, stay);
        }
        play.settle();
        play.compare();
        assert!(play.world.store.commits.load(Ordering::SeqCst) > 0);
    }
}
