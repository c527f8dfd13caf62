//! Random lives of a few services with the guard on, and what must be true of them whatever happens.
//!
//! [`Model`] knows nothing of the guard but what it promises: who beats is never silent, who does not is silent a
//! second after his lease, silence takes nobody away that is needed, a hold ends in its time, and who lapsed stays so
//! until he is heard of. It knows when each was heard of, on the lease clock, which our own stalls do not move.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use zonebeat::model::api::Registration;
use zonebeat::model::{Declaration, Instance, Service, State, Timestamp};
use zonebeat::registry::guard::Limits;
use zonebeat::registry::{Action, Beaten, Options};

use super::support::{World, bring_back, deregister, facts, options, register, session_set};

/// The lease of every instance here, with the tick in which it runs out.
const LEASE: f64 = 15.0;
const SERVICES: [&str; 2] = ["search", "index"];
const IDS: [&str; 4] = ["a1", "a2", "a3", "a4"];
const SITES: [Option<&str>; 3] = [None, Some("lon"), Some("sto")];

#[derive(Debug, Clone)]
enum Move {
    Register {
        at: (usize, usize),
        site: usize,
        out: bool,
    },
    Set {
        members: Vec<(usize, usize)>,
    },
    Beat {
        at: (usize, usize),
    },
    BeatSession,
    Deregister {
        at: (usize, usize),
    },
    Drain {
        at: (usize, usize),
        drained: bool,
    },
    Release {
        at: (usize, usize),
        all: bool,
    },
    Declare {
        service: usize,
        min: u32,
        hold: Option<u32>,
    },
    Wait {
        seconds: u64,
    },
    /// The server does not run for a minute.
    Stall,
    /// The wall clock jumps, in days.
    Jump {
        days: i64,
    },
    Fail,
    Restart,
}

fn moves() -> impl Strategy<Value = Move> {
    let at = || (0..SERVICES.len(), 0..IDS.len());
    prop_oneof![
        6 => (at(), 0..SITES.len(), prop::bool::weighted(0.1)).prop_map(|(at, site, out)| Move::Register { at, site, out }),
        2 => prop::collection::btree_set(at(), 0..5).prop_map(|members| Move::Set { members: members.into_iter().collect() }),
        5 => at().prop_map(|at| Move::Beat { at }),
        2 => Just(Move::BeatSession),
        2 => at().prop_map(|at| Move::Deregister { at }),
        2 => (at(), any::<bool>()).prop_map(|(at, drained)| Move::Drain { at, drained }),
        1 => (at(), any::<bool>()).prop_map(|(at, all)| Move::Release { at, all }),
        1 => (0..SERVICES.len(), 0..4u32, prop::sample::select(vec![None, Some(0), Some(20)]))
            .prop_map(|(service, min, hold)| Move::Declare { service, min, hold }),
        6 => prop::sample::select(vec![1u64, 5, 16, 40]).prop_map(|seconds| Move::Wait { seconds }),
        1 => Just(Move::Stall),
        1 => prop::sample::select(vec![-1i64, 1]).prop_map(|days| Move::Jump { days }),
        1 => Just(Move::Fail),
        1 => Just(Move::Restart),
    ]
}

/// Who beats: a lone instance, or the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Lone(usize, usize),
    Session,
}

/// What was heard, and what was seen after the last step.
#[derive(Debug, Clone, Default)]
struct Model {
    /// Seconds on the lease clock.
    now: f64,
    /// When each was heard of last, or got a full lease.
    heard: BTreeMap<Who, f64>,
    /// Since when each instance is held, or its hold was begun anew.
    held: BTreeMap<(usize, usize), f64>,
    seen: BTreeMap<(usize, usize), Seen>,
    /// Services that were declared while something of them was held: that may end when it would have before.
    declared: BTreeSet<usize>,
}

#[derive(Debug, Clone, PartialEq)]
struct Seen {
    who: Who,
    state: State,
    site: Option<String>,
    site_only: bool,
}

fn look(world: &World) -> BTreeMap<(usize, usize), Seen> {
    let mut seen = BTreeMap::new();
    for (service, name) in SERVICES.iter().enumerate() {
        for instance in world.service(name).iter().flat_map(|service| service.instances.iter()) {
            let id = IDS.iter().position(|id| **id == *instance.id).expect("it is one of ours");
            let who = if instance.session.is_some() { Who::Session } else { Who::Lone(service, id) };
            let (site, site_only) = (instance.site.as_deref().map(str::to_owned), instance.site_only);
            seen.insert((service, id), Seen { who, state: instance.state, site, site_only });
        }
    }
    seen
}

impl Model {
    fn hear(&mut self, who: Who) {
        self.heard.insert(who, self.now);
    }

    /// Everybody who is not silent has a full lease, and holds go on for this long at least.
    fn begin_anew(&mut self, grace: f64) {
        let now = self.now;
        self.heard.values_mut().for_each(|heard| *heard = now);
        self.held.values_mut().for_each(|since| *since = since.max(now + grace - 20.0));
    }

    /// Compares what is there now with what was promised. `waited`: only silence could change anything.
    fn check(&mut self, world: &World, waited: bool) {
        let seen = look(world);
        for (key, after) in &seen {
            let before = self.seen.get(key);
            let silence = self.now - self.heard[&after.who];
            let is_silent = matches!(after.state, State::Held | State::Lapsed);
            assert!(silence > LEASE || !is_silent || was_silent(before), "{key:?} beats: {after:?}");
            assert!(silence <= LEASE + 1.0 || is_silent, "{key:?} is silent for {silence} s: {after:?}");
            let is_heard = silence == 0.0;
            let was_lapsed = before.is_some_and(|before| before.state == State::Lapsed);
            assert!(!was_lapsed || is_heard || after.state == State::Lapsed, "{key:?} came back by itself");
            if after.state != State::Held {
                self.held.remove(key);
                continue;
            }
            let since = *self.held.entry(*key).or_insert(self.now);
            let hold = hold_of(world, key.0);
            assert!(hold.is_none_or(|hold| self.now - since <= f64::from(hold) + 1.0), "{key:?} since {since}");
        }
        self.held.retain(|key, _| seen.contains_key(key));
        if waited {
            (0..SERVICES.len()).for_each(|service| self.check_needs(world, service, &seen));
        }
        let held = &self.held;
        self.declared.retain(|service| held.keys().any(|(of, _)| of == service));
        self.seen = seen;
    }

    /// Silence took nobody whom the service, one of its sites or its `min` needs, where holds do not end.
    fn check_needs(&self, world: &World, service: usize, seen: &BTreeMap<(usize, usize), Seen>) {
        if hold_of(world, service).is_some() || self.declared.contains(&service) {
            return;
        }
        let declared = world.service(SERVICES[service]).and_then(|service| service.row.declaration.clone());
        let min = declared.and_then(|declared| declared.min).unwrap_or_default().max(1) as usize;
        let everywhere = |seen: &BTreeMap<(usize, usize), Seen>| answered_at(seen, service, None);
        assert!(everywhere(seen) >= everywhere(&self.seen).min(min), "{}: {:?} {seen:?}", SERVICES[service], self.seen);
        for site in SITES.iter().filter(|site| site.is_some()) {
            let here = |seen: &BTreeMap<(usize, usize), Seen>| answered_at(seen, service, *site);
            assert!(here(seen) >= here(&self.seen).min(1), "{site:?} of {}", SERVICES[service]);
        }
    }
}

fn was_silent(before: Option<&Seen>) -> bool {
    before.is_some_and(|before| matches!(before.state, State::Held | State::Lapsed))
}

/// How many of a service are answered, under its own name or under that of a site.
fn answered_at(seen: &BTreeMap<(usize, usize), Seen>, service: usize, site: Option<&str>) -> usize {
    let of_service = seen.iter().filter(|((of, _), _)| *of == service).map(|(_, seen)| seen);
    let answered = of_service.filter(|seen| matches!(seen.state, State::Serving | State::Held));
    answered.filter(|seen| if site.is_some() { seen.site.as_deref() == site } else { !seen.site_only }).count()
}

/// The seconds that the service declares.
fn hold_of(world: &World, service: usize) -> Option<u32> {
    world.service(SERVICES[service])?.row.declaration.as_ref()?.hold
}

fn play(world: &mut World, model: &mut Model, next: Move) {
    let named = |(service, id): (usize, usize)| (SERVICES[service].to_owned(), IDS[id].to_owned());
    match next {
        Move::Register { at, site, out } => {
            let (service, id) = named(at);
            let out = out.then(|| "its check fails".to_owned());
            let wish = Registration { site: SITES[site].map(Into::into), out, ..facts() };
            world.run(register(&service, &id, wish)).expect("registered");
            model.hear(Who::Lone(at.0, at.1));
        }
        Move::Set { members } => {
            let members: Vec<_> = members.iter().map(|(service, id)| (SERVICES[*service], IDS[*id], facts())).collect();
            world.run(session_set("host-1", "e", &members)).expect("set");
            model.hear(Who::Session);
        }
        Move::Beat { at } => beat(world, model, at),
        Move::BeatSession => beat_session(world, model),
        Move::Deregister { at } => leave(world, at),
        Move::Drain { at, drained } => {
            let (service, id) = named(at);
            drop(world.run(match drained {
                true => Action::Drain { service, id, force: false },
                false => Action::Undrain { service, id },
            }));
        }
        Move::Release { at, all } => release(world, at, all),
        Move::Declare { service, min, hold } => {
            let declaration = Declaration { min: Some(min), hold, ..Declaration::default() };
            world.run(Action::Declare { service: SERVICES[service].into(), declaration }).expect("declared");
            let now = model.now;
            model.declared.extend(model.held.keys().any(|(of, _)| *of == service).then_some(service));
            model.held.iter_mut().filter(|((of, _), _)| *of == service).for_each(|(_, since)| *since = now);
        }
        Move::Wait { seconds } => {
            world.wait(seconds as f64 + 0.3);
            model.now += seconds as f64 + 0.3;
        }
        Move::Stall => {
            world.clock.advance(Duration::from_secs(60));
            world.tick();
            model.now += 0.5;
        }
        Move::Jump { days } => {
            let wall = world.now().0.saturating_add_signed(days * 86_400_000);
            world.clock.set_wall(Timestamp(wall));
        }
        Move::Fail => fail(world, model),
        Move::Restart => restart(world, model),
    }
}

fn beat(world: &mut World, model: &mut Model, at: (usize, usize)) {
    let (service, id) = (SERVICES[at.0], IDS[at.1]);
    match world.registry.beat(service, id, None) {
        Beaten::Lapsed { .. } => drop(world.run(bring_back(service, id, None)).expect("back")),
        Beaten::Renewed { .. } => {}
        _ => return,
    }
    model.hear(Who::Lone(at.0, at.1));
}

fn beat_session(world: &mut World, model: &mut Model) {
    match world.registry.beat_session("host-1", "e", None) {
        Beaten::Lapsed { .. } => {
            drop(world.run(Action::ReturnSession { session: "host-1".into() }).expect("back"));
        }
        Beaten::Renewed { .. } => {}
        _ => return,
    }
    model.hear(Who::Session);
}

/// What is released is held no more.
fn release(world: &mut World, at: (usize, usize), all: bool) {
    let (service, id) = (SERVICES[at.0], IDS[at.1]);
    let released = world.run(Action::Release { service: service.into(), id: (!all).then(|| id.into()) });
    let is_meant = |one: &Instance| one.state == State::Held && (all || *one.id == *id);
    let held = world.service(service).is_some_and(|service| service.instances.iter().any(|one| is_meant(&one)));
    assert!(released.is_err() || !held, "{service}/{id}");
}

/// The store is away for a minute.
fn fail(world: &mut World, model: &mut Model) {
    world.store.fail(true);
    drop(world.run(register("search", "a1", Registration { port: 81, ..facts() })).expect_err("no store"));
    world.wait(60.0);
    world.store.fail(false);
    world.wait(10.5);
    model.now += 70.5;
    model.begin_anew(15.0);
    // It came back somewhere in these ten seconds.
    beat_for_all(world, model);
}

/// Epochs are gone then: agents send their set again.
fn restart(world: &mut World, model: &mut Model) {
    *world = world.restart();
    model.begin_anew(20.0);
    let of_session = model.seen.iter().filter(|(_, seen)| seen.who == Who::Session);
    let members: Vec<(usize, usize)> = of_session.map(|(key, _)| *key).collect();
    if !members.is_empty() {
        play(world, model, Move::Set { members });
    }
}

/// Leaving on purpose is applied at once, or refused below `min`.
fn leave(world: &mut World, at: (usize, usize)) {
    let Some(service) = world.service(SERVICES[at.0]) else { return };
    let Some(instance) = service.instance(IDS[at.1]) else { return };
    let min = service.row.declaration.as_ref().and_then(|declared| declared.min).unwrap_or_default() as usize;
    let serving = service.serving().filter(|one| !one.site_only).count();
    let is_refused = instance.serves_under(false) && min > 0 && serving - 1 < min;
    let left = world.run(deregister(SERVICES[at.0], IDS[at.1], None));
    assert_eq!(left.is_err(), is_refused, "{serving} serve, {min} are needed: {instance:?}");
    assert_eq!(world.instance(SERVICES[at.0], IDS[at.1]).is_some(), is_refused);
}

/// Whose lease runs is heard of.
fn beat_for_all(world: &mut World, model: &mut Model) {
    for who in model.heard.keys().copied().collect::<Vec<_>>() {
        let beaten = match who {
            Who::Lone(service, id) => world.registry.beat(SERVICES[service], IDS[id], None),
            Who::Session => world.registry.beat_session("host-1", "e", None),
        };
        if matches!(beaten, Beaten::Renewed { .. }) {
            model.hear(who);
        }
    }
}

/// Everything about what is held that must be true at any time.
fn check(world: &World) {
    let snapshot = world.registry.snapshot();
    let mut held = Vec::new();
    for service in snapshot.services.values() {
        let kept: Vec<_> = service.instances.iter().filter(|instance| instance.state == State::Held).collect();
        assert_eq!(service.instances.held_count(), kept.len());
        for instance in kept {
            assert!(is_needed(service, &instance), "{instance:?} in {service:?}");
            assert!(!instance.site_only || instance.site.is_some(), "{instance:?}");
            held.push((service.name.to_string(), instance.id.to_string()));
        }
    }
    assert_eq!(snapshot.held.page("", "", usize::MAX), held);
    assert_eq!((snapshot.held.len(), world.registry.census().states.get(State::Held)), (held.len(), held.len()));
    assert!(snapshot.fleet_hold.is_none(), "there are too few sessions");
}

fn is_needed(service: &Service, held: &Instance) -> bool {
    let site = held.site.as_deref();
    let others = |site: Option<&str>| {
        let here = service.serving().filter(|one| *one.id != *held.id && one.proto == &*held.proto);
        here.filter(|one| one.serves_under(site.is_some()) && (site.is_none() || one.site == site)).count()
    };
    let declared = service.row.declaration.as_deref().cloned().unwrap_or_default();
    let left = service.serving().filter(|one| *one.id != *held.id && !one.site_only).count();
    let everywhere = others(None) == 0 || left < declared.min.unwrap_or_default() as usize;
    declared.hold != Some(0) && (everywhere || site.is_some_and(|site| others(Some(site)) == 0))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn silence_empties_nothing_and_what_is_held_is_needed(moves in prop::collection::vec(moves(), 1..50)) {
        let mut world = World::with(Options { guard: Limits { hold: Duration::from_secs(86_400), ..Limits::default() }, ..options() });
        let mut model = Model::default();
        for next in moves {
            let waits = matches!(next, Move::Wait { .. } | Move::Stall | Move::Jump { .. });
            play(&mut world, &mut model, next);
            check(&world);
            model.check(&world, waits);
        }
        world.assert_consistent();
    }
}
