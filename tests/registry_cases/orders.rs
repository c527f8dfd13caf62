//! What callers and operators say of instances: out, drain, undrain, weight, min.

use std::time::Duration;

use zonebeat::model::api::Registration;
use zonebeat::model::{Declaration, State, Transition, Word};
use zonebeat::registry::{Action, Outcome};

use super::support::{World, deregister, facts, register, session_set};

fn out(why: &str) -> Registration {
    Registration { out: Some(why.into()), ..facts() }
}

fn drain(id: &str, force: bool) -> Action {
    Action::Drain { service: "search".into(), id: id.into(), force }
}

fn undrain(id: &str) -> Action {
    Action::Undrain { service: "search".into(), id: id.into() }
}

fn weight(id: &str, weight: Option<i64>, seconds: Option<i64>) -> Action {
    Action::SetWeight { service: "search".into(), id: id.into(), weight, seconds }
}

fn needs(min: u32) -> Action {
    let declaration = Declaration { min: Some(min), ..Declaration::default() };
    Action::Declare { service: "search".into(), declaration }
}

fn state(world: &World, id: &str) -> State {
    world.instance("search", id).expect("it is registered").state
}

fn last(world: &World) -> (Transition, String) {
    let history = world.store.history_now();
    let last = history.last().expect("something happened");
    (last.transition, last.reason.to_string())
}

#[test]
fn an_instance_that_is_out_keeps_its_lease_and_its_life() {
    let mut world = World::new();
    let first = world.register("search", "a1", facts());
    let second = world.register("search", "a1", out("GET /health answered 503, 3 times"));
    assert_eq!((second.state, second.incarnation), (State::Out, first.incarnation));
    assert_eq!(second.out.as_deref(), Some("GET /health answered 503, 3 times"));
    assert_eq!(last(&world).0, Transition::Update);
    let row = &world.service("search").expect("known").row;
    assert!(row.empty_reason.as_deref().expect("empty").contains("GET /health answered 503"), "{row:?}");
    world.wait_beating(30.0, &[("search", "a1")]);
    assert_eq!(state(&world, "a1"), State::Out, "beats keep its lease");
    world.wait(16.0);
    assert_eq!(state(&world, "a1"), State::Lapsed);
    let back = world.register("search", "a1", out("GET /health answered 503, 3 times"));
    assert_eq!((back.state, back.incarnation), (State::Out, first.incarnation));
    assert_eq!(last(&world).0, Transition::Return);
    let well = world.register("search", "a1", facts());
    assert_eq!((well.state, well.incarnation, well.out.as_deref()), (State::Serving, first.incarnation, None));
    world.assert_consistent();
}

#[test]
fn words_about_being_out_are_short_and_printable() {
    let mut world = World::new();
    for why in [String::new(), "x".repeat(201), "a\nb".into()] {
        assert_eq!(world.refused(register("search", "a1", out(&why))), Word::BadValue);
    }
    world.register("search", "a1", out(&"x".repeat(200)));
}

#[test]
fn an_instance_of_a_session_is_out_and_in_without_another_hash() {
    let mut world = World::new();
    let hash = |outcome| match outcome {
        Ok(Outcome::Session { hash, .. }) => hash,
        other => panic!("{other:?}"),
    };
    let well = session_set("host-1", "e", &[("search", "a1", facts()), ("search", "a2", facts())]);
    let ill = session_set("host-1", "e", &[("search", "a1", out("stopping")), ("search", "a2", facts())]);
    let before = hash(world.run(well.clone()));
    assert_eq!(hash(world.run(ill)), before);
    assert_eq!((state(&world, "a1"), state(&world, "a2")), (State::Out, State::Serving));
    assert_eq!(hash(world.run(well)), before);
    assert_eq!(state(&world, "a1"), State::Serving);
}

#[test]
fn a_drain_is_the_operators_and_survives_registrations_and_restarts() {
    let mut world = World::new();
    world.register("search", "a1", facts());
    world.run(drain("a1", false)).expect("drained");
    assert_eq!((state(&world, "a1"), last(&world).0), (State::Drained, Transition::Drain));
    let again = world.run(drain("a1", false)).expect("is drained");
    assert!(matches!(again, Outcome::Instance { changed: false, .. }));
    let other = world.register("search", "a1", Registration { port: 9090, ..facts() });
    assert_eq!((other.state, other.port), (State::Drained, 9090), "another life is drained too");
    let mark = other.drained().expect("who and when").clone();
    assert_eq!(&*mark.author, "anonymous");
    let mut world = world.restart();
    assert_eq!(world.instance("search", "a1").expect("it is there").drained(), Some(&mark));
    world.wait(16.0);
    assert_eq!(state(&world, "a1"), State::Lapsed, "a drained one lapses as others do");
    world.register("search", "a1", Registration { port: 9090, ..facts() });
    assert_eq!(state(&world, "a1"), State::Drained);
    world.run(undrain("a1")).expect("undrained");
    assert_eq!((state(&world, "a1"), last(&world).0), (State::Serving, Transition::Undrain));
    assert!(world.instance("search", "a1").expect("it is there").orders.is_none());
    world.assert_consistent();
}

#[test]
fn orders_wait_for_an_instance_that_deregistered() {
    let mut world = World::new();
    world.register("search", "a2", facts());
    world.register("search", "a1", facts());
    world.run(drain("a1", false)).expect("drained");
    world.run(weight("a1", Some(7), Some(600))).expect("weighed");
    world.run(deregister("search", "a1", None)).expect("its host reboots");
    let mut world = world.restart();
    let back = world.register("search", "a1", facts());
    assert_eq!((back.state, back.answered_weight()), (State::Drained, 7));
    assert!(world.service("search").expect("known").row.orders.is_empty());
    world.wait_beating(610.0, &[("search", "a1"), ("search", "a2")]);
    assert_eq!(world.instance("search", "a1").expect("it is there").answered_weight(), 100);
    world.run(deregister("search", "a1", None)).expect("again");
    world.run(undrain("a1")).expect("also while it is away");
    assert_eq!(world.refused(undrain("a1")), Word::UnknownInstance);
    assert_eq!(world.register("search", "a1", facts()).state, State::Serving);
    world.assert_consistent();
}

#[test]
fn a_drain_does_not_beat() {
    let mut world = World::new();
    world.register("search", "a1", facts());
    world.wait(10.0);
    world.run(drain("a1", false)).expect("drained");
    world.run(undrain("a1")).expect("undrained");
    world.run(weight("a1", Some(5), None)).expect("weighed");
    world.wait(6.0);
    assert_eq!(state(&world, "a1"), State::Lapsed);
    world.run(weight("a1", Some(6), None)).expect("weighed");
    world.wait(0.5);
    assert_eq!(state(&world, "a1"), State::Lapsed);
    world.clock.advance(Duration::from_secs(3601));
    world.tick();
    assert!(world.instance("search", "a1").is_none(), "its record goes an hour after the last change");
}

#[test]
fn nobody_goes_below_min_on_purpose_but_with_force() {
    let mut world = World::new();
    world.run(needs(2)).expect("declared");
    for id in ["a1", "a2", "a3"] {
        world.register("search", id, facts());
    }
    world.run(drain("a1", false)).expect("two are left");
    assert_eq!(world.refused(drain("a2", false)), Word::Guard);
    assert_eq!(world.refused(deregister("search", "a2", None)), Word::Guard);
    world.run(deregister("search", "a1", None)).expect("a drained one takes nobody away");
    world.run(drain("a2", true)).expect("with force");
    let force =
        |id: &str| Action::Deregister { service: "search".into(), id: id.into(), incarnation: None, force: true };
    world.run(force("a3")).expect("with force");
    let set = session_set("host-1", "e", &[("search", "b1", facts()), ("search", "b2", facts())]);
    world.run(set).expect("set");
    let end = |force| Action::EndSession { session: "host-1".into(), epoch: None, force };
    assert_eq!(world.refused(end(false)), Word::Guard);
    world.run(session_set("host-1", "e", &[("search", "b1", facts())])).expect("the set is the agent's");
    world.run(end(true)).expect("with force");
    world.assert_consistent();
}

#[test]
fn many_are_drained_together_or_not_at_all() {
    let mut world = World::new();
    world.run(needs(1)).expect("declared");
    for id in ["a1", "a2"] {
        world.register("search", id, facts());
    }
    let many = |ids: &[&str], force| Action::DrainMany {
        instances: ids.iter().map(|id| ("search".to_owned(), (*id).to_owned())).collect(),
        force,
    };
    assert_eq!(world.refused(many(&["a1", "a2"], false)), Word::Guard);
    assert_eq!(state(&world, "a1"), State::Serving);
    world.run(many(&["a1", "gone"], false)).expect("one of two");
    assert_eq!((state(&world, "a1"), state(&world, "a2")), (State::Drained, State::Serving));
    world.run(many(&["a1", "a2"], true)).expect("with force");
    let instances = vec![("search".to_owned(), "a2".to_owned())];
    world.run(Action::UndrainMany { instances }).expect("undrained");
    assert_eq!((state(&world, "a1"), state(&world, "a2")), (State::Drained, State::Serving));
}

#[test]
fn a_weight_for_a_time_goes_back_by_itself_also_after_a_restart() {
    let mut world = World::new();
    world.register("search", "a1", facts());
    let answered = |world: &World| world.instance("search", "a1").expect("it is there").answered_weight();
    world.run(weight("a1", Some(7), Some(20))).expect("weighed");
    assert_eq!((answered(&world), last(&world).0), (7, Transition::Weight));
    world.register("search", "a1", Registration { weight: Some(50), ..facts() });
    assert_eq!(answered(&world), 7, "the operator's counts");
    world.wait_beating(19.0, &[("search", "a1")]);
    assert_eq!(answered(&world), 7);
    world.wait_beating(2.0, &[("search", "a1")]);
    assert_eq!(answered(&world), 50, "the registered one counts again");
    assert!(last(&world).1.contains("is over"), "{:?}", last(&world));
    world.run(weight("a1", Some(9), Some(20))).expect("weighed");
    world.run(weight("a1", Some(8), Some(5))).expect("weighed anew");
    let mut world = world.restart();
    assert_eq!(answered(&world), 8);
    world.wait_beating(20.0, &[("search", "a1")]); // the clock of the next life is behind by what this one waited
    assert_eq!(answered(&world), 50);
    world.wait(16.0);
    world.register("search", "a1", Registration { weight: Some(50), ..facts() });
    world.run(weight("a1", Some(1), None)).expect("weighed");
    world.wait_beating(120.0, &[("search", "a1")]);
    assert_eq!(answered(&world), 1, "without a time it stays");
    world.run(weight("a1", None, None)).expect("back");
    assert_eq!(answered(&world), 50);
    for bad in [weight("a1", Some(-1), None), weight("a1", Some(65_536), None), weight("a1", Some(1), Some(0))] {
        assert_eq!(world.refused(bad), Word::BadValue);
    }
    world.assert_consistent();
}
