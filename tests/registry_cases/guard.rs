//! What falls silent, and what the guard makes of it.

use std::time::Duration;

use zonebeat::model::change::FLEET;
use zonebeat::model::{Declaration, State, Transition};
use zonebeat::registry::guard::Limits;
use zonebeat::registry::{Action, Options};

use super::support::{World, at_site, bring_back, deregister, facts, options, session_set};

fn guarded() -> World {
    World::with(Options { guard: Limits::default(), ..options() })
}

fn declare(service: &str, min: Option<u32>, hold: Option<u32>) -> Action {
    let declaration = Declaration { min, hold, ..Declaration::default() };
    Action::Declare { service: service.into(), declaration }
}

fn release(service: &str, id: Option<&str>) -> Action {
    Action::Release { service: service.into(), id: id.map(str::to_owned) }
}

fn states(world: &World, service: &str) -> Vec<(String, State)> {
    let service = world.service(service).expect("known");
    service.instances.iter().map(|instance| (instance.id.to_string(), instance.state)).collect()
}

fn in_state(world: &World, service: &str, state: State) -> Vec<String> {
    states(world, service).into_iter().filter(|(_, found)| *found == state).map(|(id, _)| id).collect()
}

fn history(world: &World) -> Vec<String> {
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
fn after_a_restart_leases_are_full_and_the_silent_are_held_anew() {
    let mut world = guarded();
    world.register("search", "a1", facts());
    world.wait(20.0);
    assert_eq!(in_state(&world, "search", State::Held), ["a1"]);
    let mut world = world.restart();
    assert_eq!(in_state(&world, "search", State::Serving), ["a1"]);
    assert!(world.registry.snapshot().held.is_empty());
    world.wait(20.0);
    assert_eq!(in_state(&world, "search", State::Held), ["a1"]);
    world.assert_consistent();
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

/// A hundred services of two instances each.
fn fleet() -> (World, Vec<(String, String)>) {
    let mut world = guarded();
    let all: Vec<_> = (0..200).map(|number| (format!("s{}", number / 2), format!("i{number}"))).collect();
    all.iter().for_each(|(service, id)| drop(world.register(service, id, facts())));
    (world, all)
}

fn beating(all: &[(String, String)]) -> Vec<(&str, &str)> {
    all.iter().map(|(service, id)| (service.as_str(), id.as_str())).collect()
}

#[test]
fn few_that_fall_silent_lapse() {
    let (mut world, all) = fleet();
    world.wait_beating(30.0, &beating(&all[30..]));
    assert!(world.registry.snapshot().fleet_hold.is_none());
    let census = world.registry.census();
    assert_eq!((census.states.get(State::Held), census.lapsed()), (15, 15), "the last of each service is held");
}

#[test]
fn many_that_fall_silent_together_are_held_and_return_without_a_change() {
    let (mut world, all) = fleet();
    world.wait_beating(30.0, &beating(&all[40..]));
    let snapshot = world.registry.snapshot();
    assert!(snapshot.fleet_hold.is_some());
    assert_eq!(world.registry.census().lapsed(), 0, "not one of them lapsed");
    assert_eq!(world.registry.census().fleet_held, 40);
    assert_eq!(history(&world).last().map(String::as_str), Some("hold *"));
    let silent = world.instance("s0", "i0").expect("it is there");
    assert!(world.registry.is_fleet_held("s0", &silent));
    let before = snapshot.revision;
    world.wait_beating(1.0, &beating(&all));
    world.wait_beating(30.0, &beating(&all));
    assert!(world.registry.snapshot().fleet_hold.is_none());
    assert_eq!((world.registry.census().serving(), world.registry.snapshot().revision.0), (200, before.0 + 1));
    let last = world.store.history_now().pop().expect("a change");
    assert_eq!((last.transition, &*last.subject), (Transition::Release, FLEET));
    world.assert_consistent();
}

#[test]
fn when_all_are_gone_for_ten_minutes_no_name_is_lost() {
    let (mut world, all) = fleet();
    world.wait(600.0);
    assert_eq!((world.registry.census().serving(), world.registry.census().fleet_held), (200, 200));
    world.wait_beating(1.0, &beating(&all));
    world.wait_beating(20.0, &beating(&all));
    assert!(world.registry.snapshot().fleet_hold.is_none());
    assert_eq!(world.registry.census().states.get(State::Serving), 200);
    assert_eq!(history(&world).iter().filter(|line| line.ends_with('*')).count(), 2);
}

#[test]
fn an_operator_releases_the_fleet_and_the_services_keep_their_last() {
    let (mut world, all) = fleet();
    world.wait_beating(30.0, &beating(&all[100..]));
    assert!(world.registry.snapshot().fleet_hold.is_some());
    world.run(Action::ReleaseFleet).expect("released");
    world.wait_beating(2.0, &beating(&all[100..]));
    let census = world.registry.census();
    assert_eq!((census.states.get(State::Held), census.lapsed(), census.fleet_held), (50, 50, 0));
    assert!(world.registry.snapshot().fleet_hold.is_none(), "it does not begin again at once");
    world.wait_beating(60.0, &beating(&all[100..]));
    world.wait_beating(30.0, &beating(&all[160..]));
    assert!(world.registry.snapshot().fleet_hold.is_some(), "but when many others fall silent");
    world.assert_consistent();
}

#[test]
fn after_an_hour_the_silent_lapse_slowly() {
    let (mut world, all) = fleet();
    world.run(declare("s0", None, Some(0))).expect("declared");
    world.wait_beating(3600.0, &beating(&all[100..]));
    assert_eq!(world.registry.census().lapsed(), 0);
    world.wait_beating(320.0, &beating(&all[100..]));
    let gone = |world: &World| world.registry.census().lapsed() + world.registry.census().states.get(State::Held);
    assert!((40..=60).contains(&gone(&world)), "{}", gone(&world));
    world.wait_beating(320.0, &beating(&all[100..]));
    assert_eq!((gone(&world), world.registry.snapshot().fleet_hold.is_none()), (100, true));
}

#[test]
fn a_store_that_was_away_gives_everybody_a_full_lease_also_those_that_were_held() {
    let (mut world, all) = fleet();
    world.wait_beating(30.0, &beating(&all[100..]));
    assert!(world.registry.snapshot().fleet_hold.is_some());
    world.store.fail(true);
    world.run(deregister("s99", "i199", None)).expect_err("no store");
    world.wait_beating(60.0, &beating(&all[100..]));
    world.store.fail(false);
    world.wait_beating(12.0, &beating(&all[100..]));
    assert_eq!(world.registry.census().serving(), 200);
    world.wait_beating(30.0, &beating(&all[100..]));
    assert_eq!(world.registry.census().lapsed(), 0, "they are held again");
    world.wait_beating(2.0, &beating(&all));
    world.wait_beating(20.0, &beating(&all));
    assert!(world.registry.snapshot().fleet_hold.is_none());
    world.assert_consistent();
}
