//! What falls silent, and what the guard makes of it.

use std::time::Duration;

use zonebeat::model::{Declaration, State, Transition};
use zonebeat::registry::guard::Limits;
use zonebeat::registry::{Action, Beaten, Options};

use super::support::{World, at_site, bring_back, deregister, facts, options, session_set};

pub(super) fn guarded() -> World {
    World::with(Options { guard: Limits::default(), ..options() })
}

pub(super) fn declare(service: &str, min: Option<u32>, hold: Option<u32>) -> Action {
    let declaration = Declaration { min, hold, ..Declaration::default() };
    Action::Declare { service: service.into(), declaration }
}

pub(super) fn release(service: &str, id: Option<&str>) -> Action {
    Action::Release { service: service.into(), id: id.map(str::to_owned) }
}

pub(super) fn states(world: &World, service: &str) -> Vec<(String, State)> {
    let service = world.service(service).expect("known");
    service.instances.iter().map(|instance| (instance.id.to_string(), instance.state)).collect()
}

pub(super) fn in_state(world: &World, service: &str, state: State) -> Vec<String> {
    states(world, service).into_iter().filter(|(_, found)| *found == state).map(|(id, _)| id).collect()
}

pub(super) fn history(world: &World) -> Vec<String> {
    let line = |change: zonebeat::model::Change| {
        format!("{} {}", change.transition.as_str(), change.instance.unwrap_or_else(|| (*change.subject).into()))
    };
    world.store.history_now().into_iter().map(line).collect()
}

#[test]
fn silence_takes_all_but_the_last_instance() {
    let mut world = guarded();
    for id in ["a1", "a2", "a3"] {
        world.register("search", id, facts());
    }
    world.wait(20.0);
    assert_eq!(in_state(&world, "search", State::Held).len(), 1, "{:?}", states(&world, "search"));
    assert_eq!(in_state(&world, "search", State::Lapsed).len(), 2);
    assert!(world.service("search").expect("known").row.empty_reason.is_none(), "somebody is answered");
    let id = in_state(&world, "search", State::Held).remove(0);
    assert_eq!(world.registry.snapshot().held.of("search"), std::slice::from_ref(&id));
    assert_eq!(world.store.history_now().last().map(|change| change.transition), Some(Transition::Hold));
    world.run(bring_back("search", &id, None)).expect("it beats again");
    assert_eq!(in_state(&world, "search", State::Serving), std::slice::from_ref(&id));
    assert!(world.registry.snapshot().held.is_empty());
    world.wait(20.0);
    world.wait(581.0);
    assert_eq!(in_state(&world, "search", State::Held), std::slice::from_ref(&id));
    world.wait(20.0);
    assert_eq!(in_state(&world, "search", State::Lapsed).len(), 3, "held for ten minutes and no longer");
    world.assert_consistent();
}

#[test]
fn leaving_on_purpose_is_never_held() {
    let mut world = guarded();
    world.register("search", "a1", facts());
    world.run(deregister("search", "a1", None)).expect("left");
    assert!(world.instance("search", "a1").is_none());
}

#[test]
fn each_site_keeps_its_last_and_a_service_its_min() {
    let mut world = guarded();
    world.register("search", "l1", at_site("lon"));
    for id in ["s1", "s2"] {
        world.register("search", id, at_site("sto"));
    }
    world.wait_beating(20.0, &[("search", "s1"), ("search", "s2")]);
    assert_eq!(in_state(&world, "search", State::Held), ["l1"]);
    let held = world.instance("search", "l1").expect("it is there");
    assert!(held.site_only, "others serve the service, so only the names of its site keep it");
    assert_eq!(world.service("search").expect("known").instances.serving_count(), 2);
    world.run(release("search", Some("l1"))).expect("released");
    assert_eq!(in_state(&world, "search", State::Lapsed), ["l1"]);

    world.run(declare("index", Some(2), None)).expect("declared");
    for id in ["b1", "b2", "b3"] {
        world.register("index", id, facts());
    }
    world.wait_beating(20.0, &[("index", "b1")]);
    assert_eq!(in_state(&world, "index", State::Held).len(), 1);
    assert_eq!(in_state(&world, "index", State::Lapsed).len(), 1);
    world.register("index", "b4", facts());
    assert!(in_state(&world, "index", State::Held).is_empty(), "another one serves, so it lapses at once");
    world.assert_consistent();
}

#[test]
fn one_that_is_held_everywhere_leaves_to_its_site_what_others_can_do() {
    let mut world = guarded();
    world.register("search", "l1", at_site("lon"));
    world.wait(20.0);
    assert!(!world.instance("search", "l1").expect("it is there").site_only);
    world.register("search", "s1", at_site("sto"));
    let held = world.instance("search", "l1").expect("it is there");
    assert_eq!((held.state, held.site_only), (State::Held, true));
    world.wait(20.0);
    let last = world.instance("search", "s1").expect("it is there");
    assert_eq!((last.state, last.site_only), (State::Held, false), "the last of the service is held everywhere");
    world.run(bring_back("search", "l1", None)).expect("it beats again");
    let back = world.instance("search", "l1").expect("it is there");
    assert_eq!((back.state, back.site_only), (State::Serving, false));
    assert!(world.instance("search", "s1").expect("it is there").site_only);
    world.assert_consistent();
}

#[test]
fn what_is_held_for_its_site_alone_was_held_before_that_too() {
    let mut world = guarded();
    world.run(declare("search", None, Some(20))).expect("declared");
    world.register("search", "l1", at_site("lon"));
    world.wait(30.0);
    assert_eq!(in_state(&world, "search", State::Held), ["l1"]);
    world.register("search", "s1", at_site("sto"));
    assert!(world.instance("search", "l1").expect("it is there").site_only);
    world.wait_beating(7.0, &[("search", "s1")]);
    assert_eq!(in_state(&world, "search", State::Lapsed), ["l1"], "20 s in all, not 20 s more");
    world.assert_consistent();
}

#[test]
fn a_declaration_says_how_long_and_less_min_lets_go() {
    let mut world = guarded();
    world.run(declare("off", None, Some(0))).expect("declared");
    world.run(declare("short", None, Some(30))).expect("declared");
    world.run(declare("index", Some(2), None)).expect("declared");
    for (service, id) in [("off", "a1"), ("short", "b1"), ("index", "c1"), ("index", "c2")] {
        world.register(service, id, facts());
    }
    world.wait_beating(20.0, &[("index", "c1")]);
    assert_eq!(in_state(&world, "off", State::Lapsed), ["a1"]);
    assert_eq!(
        (in_state(&world, "short", State::Held), in_state(&world, "index", State::Held)),
        (vec!["b1".into()], vec!["c2".into()])
    );
    world.wait_beating(30.0, &[("index", "c1")]);
    assert_eq!(in_state(&world, "short", State::Lapsed), ["b1"]);
    world.run(declare("index", Some(1), None)).expect("declared");
    assert_eq!(in_state(&world, "index", State::Lapsed), ["c2"]);
}

#[test]
fn a_shorter_hold_counts_at_once_and_a_longer_one_the_next_time() {
    let mut world = guarded();
    world.register("search", "a1", facts());
    world.wait(20.0);
    world.run(declare("search", None, Some(30))).expect("declared");
    world.wait(29.0);
    assert_eq!(in_state(&world, "search", State::Held), ["a1"]);
    world.run(declare("search", None, Some(60))).expect("declared");
    world.wait(2.0);
    assert_eq!(in_state(&world, "search", State::Lapsed), ["a1"]);
    world.run(bring_back("search", "a1", None)).expect("it beats again");
    world.wait(70.0);
    assert_eq!(in_state(&world, "search", State::Held), ["a1"]);
}

#[test]
fn a_session_returns_with_what_was_held_and_what_lapsed() {
    let mut world = guarded();
    let set =
        session_set("host-1", "e", &[("search", "a1", facts()), ("search", "a2", facts()), ("index", "b1", facts())]);
    world.run(set).expect("set");
    world.wait(20.0);
    assert_eq!(in_state(&world, "search", State::Held).len(), 1);
    assert_eq!(in_state(&world, "index", State::Held), ["b1"]);
    world.run(Action::ReturnSession { session: "host-1".into() }).expect("it beats again");
    assert_eq!(in_state(&world, "search", State::Serving).len(), 2);
    assert_eq!(in_state(&world, "index", State::Serving), ["b1"]);
    world.assert_consistent();
}

#[test]
fn what_is_held_stays_held_over_a_restart_for_its_whole_time_and_what_was_released_is_gone() {
    let mut world = guarded();
    world.register("search", "a1", at_site("lon"));
    world.register("search", "a2", facts());
    world.register("index", "b1", facts());
    world.wait_beating(20.0, &[("search", "a2")]);
    world.run(release("index", None)).expect("released");
    world.wait_beating(500.0, &[("search", "a2")]);
    let mut world = world.restart();
    let held = world.instance("search", "a1").expect("it is there");
    assert_eq!((held.state, held.site_only), (State::Held, true));
    assert_eq!(world.registry.snapshot().held.of("search"), ["a1"]);
    assert_eq!(in_state(&world, "index", State::Lapsed), ["b1"]);
    assert!(matches!(world.registry.beat("search", "a1", None), Beaten::Lapsed { .. }));
    world.wait_beating(599.0, &[("search", "a2")]);
    assert_eq!(
        (in_state(&world, "search", State::Held), in_state(&world, "search", State::Serving)),
        (vec!["a1".into()], vec!["a2".into()])
    );
    world.wait_beating(2.0, &[("search", "a2")]);
    assert_eq!(in_state(&world, "search", State::Lapsed), ["a1"]);
    world.assert_consistent();
}

#[test]
fn a_session_with_members_held_and_lapsed_is_silent_after_a_restart_too() {
    let mut world = guarded();
    world.run(session_set("host-1", "e", &[("search", "a1", facts()), ("search", "a2", facts())])).expect("set");
    world.wait(20.0);
    let mut world = world.restart();
    let (held, lapsed) = (in_state(&world, "search", State::Held), in_state(&world, "search", State::Lapsed));
    assert_eq!((held.len(), lapsed.len()), (1, 1));
    world.wait(601.0);
    assert_eq!(in_state(&world, "search", State::Lapsed).len(), 2);
    world.run(session_set("host-1", "e2", &[("search", "a1", facts()), ("search", "a2", facts())])).expect("set");
    assert_eq!(in_state(&world, "search", State::Serving).len(), 2);
    world.assert_consistent();
}

#[test]
fn a_stall_of_our_own_ends_no_hold() {
    let mut world = guarded();
    world.register("search", "a1", facts());
    world.wait(613.0);
    assert_eq!(in_state(&world, "search", State::Held), ["a1"], "for two seconds more");
    world.clock.advance(Duration::from_secs(60));
    world.tick();
    world.wait(0.1);
    assert_eq!(in_state(&world, "search", State::Held), ["a1"], "its beat may wait in a socket");
    world.wait(2.0);
    assert_eq!(in_state(&world, "search", State::Lapsed), ["a1"]);
}

#[test]
fn a_store_that_was_away_ends_no_hold_before_it_can_take_a_return() {
    let mut world = guarded();
    world.register("search", "a1", facts());
    world.wait(20.0);
    world.store.fail(true);
    world.run(deregister("search", "a1", None)).expect_err("no store");
    world.wait(700.0);
    assert_eq!(in_state(&world, "search", State::Held), ["a1"]);
    world.store.fail(false);
    world.wait(11.0);
    assert!(world.registry.health().writable);
    assert_eq!(in_state(&world, "search", State::Held), ["a1"]);
    world.wait(15.0);
    assert_eq!(in_state(&world, "search", State::Lapsed), ["a1"]);
}

#[test]
fn a_held_instance_that_is_drained_has_lapsed() {
    let mut world = guarded();
    world.register("search", "a1", facts());
    world.wait(20.0);
    world.run(Action::Drain { service: "search".into(), id: "a1".into(), force: false }).expect("drained");
    assert_eq!(in_state(&world, "search", State::Lapsed), ["a1"]);
    world.register("search", "a1", facts());
    assert_eq!(in_state(&world, "search", State::Drained), ["a1"]);
    world.clock.advance(Duration::from_secs(700));
    world.tick();
    world.assert_consistent();
}
