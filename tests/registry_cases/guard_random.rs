//! Random lives of a few services with the guard on, and what must be true of them whatever happens.

use std::time::Duration;

use proptest::prelude::*;
use zonebeat::model::api::Registration;
use zonebeat::model::{Declaration, Instance, Service, State};
use zonebeat::registry::guard::Limits;
use zonebeat::registry::{Action, Beaten, Options};

use super::support::{World, bring_back, deregister, facts, options, register, session_set};

const SERVICES: [&str; 2] = ["search", "index"];
const IDS: [&str; 4] = ["a1", "a2", "a3", "a4"];
const SITES: [Option<&str>; 3] = [None, Some("lon"), Some("sto")];

#[derive(Debug, Clone)]
enum Move {
    Register { at: (usize, usize), site: usize, out: bool },
    Set { members: Vec<(usize, usize)> },
    Beat { at: (usize, usize) },
    BeatSession,
    Deregister { at: (usize, usize) },
    Drain { at: (usize, usize), drained: bool },
    Release { at: (usize, usize), all: bool },
    Declare { service: usize, min: u32, hold: Option<u32> },
    Wait { seconds: u64 },
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
        1 => Just(Move::Fail),
        1 => Just(Move::Restart),
    ]
}

fn play(world: &mut World, next: Move) {
    let named = |(service, id): (usize, usize)| (SERVICES[service].to_owned(), IDS[id].to_owned());
    match next {
        Move::Register { at, site, out } => {
            let (service, id) = named(at);
            let out = out.then(|| "its check fails".to_owned());
            let wish = Registration { site: SITES[site].map(Into::into), out, ..facts() };
            world.run(register(&service, &id, wish)).expect("registered");
        }
        Move::Set { members } => {
            let members: Vec<_> = members.iter().map(|(service, id)| (SERVICES[*service], IDS[*id], facts())).collect();
            world.run(session_set("host-1", "e", &members)).expect("set");
        }
        Move::Beat { at } => {
            let (service, id) = named(at);
            if let Beaten::Lapsed { .. } = world.registry.beat(&service, &id, None) {
                world.run(bring_back(&service, &id, None)).expect("back");
            }
        }
        Move::BeatSession => {
            if let Beaten::Lapsed { .. } = world.registry.beat_session("host-1", "e", None) {
                world.run(Action::ReturnSession { session: "host-1".into() }).expect("back");
            }
        }
        Move::Deregister { at } => {
            let (service, id) = named(at);
            drop(world.run(deregister(&service, &id, None)));
        }
        Move::Drain { at, drained } => {
            let (service, id) = named(at);
            drop(world.run(match drained {
                true => Action::Drain { service, id, force: false },
                false => Action::Undrain { service, id },
            }));
        }
        Move::Release { at, all } => {
            let (service, id) = named(at);
            drop(world.run(Action::Release { service, id: (!all).then_some(id) }));
        }
        Move::Declare { service, min, hold } => {
            let declaration = Declaration { min: Some(min), hold, ..Declaration::default() };
            world.run(Action::Declare { service: SERVICES[service].into(), declaration }).expect("declared");
        }
        Move::Wait { seconds } => world.wait(seconds as f64 + 0.3),
        Move::Fail => {
            world.store.fail(true);
            world.wait(16.0);
            drop(world.run(deregister("search", "a1", None)));
            world.store.fail(false);
            world.wait(11.0);
        }
        Move::Restart => *world = world.restart(),
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

/// How many are answered in each service, and whether silence may change that.
fn answered(world: &World) -> Vec<(usize, bool)> {
    SERVICES
        .iter()
        .map(|name| match world.service(name) {
            None => (0, false),
            Some(service) => {
                let hold = service.row.declaration.as_ref().and_then(|declared| declared.hold);
                (service.serving().count(), hold.is_none())
            }
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn silence_empties_nothing_and_what_is_held_is_needed(moves in prop::collection::vec(moves(), 1..50)) {
        let mut world = World::with(Options { guard: Limits { hold: Duration::from_secs(86_400), ..Limits::default() }, ..options() });
        for next in moves {
            let (before, waits) = (answered(&world), matches!(next, Move::Wait { .. }));
            play(&mut world, next.clone());
            check(&world);
            let emptied = before.iter().zip(answered(&world)).any(|(before, after)| before.0 > 0 && before.1 && after.0 == 0);
            prop_assert!(!(waits && emptied), "{next:?}");
        }
        world.assert_consistent();
    }
}
