//! Sessions: whole sets, epochs, hashes.

use zonebeat::model::api::Registration;
use zonebeat::model::{Instance, Word};
use zonebeat::registry::{Action, Beaten, Outcome, set_hash};

use super::support::*;

const RENEWED: Beaten = Beaten::Renewed { lease_seconds: 15 };

fn set(world: &mut World, session: &str, epoch: &str, members: &[(&str, &str, Registration)]) -> String {
    match world.run(session_set(session, epoch, members)).expect("stored") {
        Outcome::Session { hash, .. } => hash,
        other => panic!("{other:?}"),
    }
}

fn two() -> Vec<(&'static str, &'static str, Registration)> {
    vec![("search", "a1", facts()), ("web", "b1", facts())]
}

fn hash_of(instances: &[(&str, &Instance)]) -> String {
    set_hash(instances.iter().map(|(service, instance)| (*service, &*instance.id, instance.incarnation)))
}

#[test]
fn a_session_beats_for_all_its_instances() {
    let mut world = World::new();
    let hash = set(&mut world, "host-1", "e1", &two());
    let (a1, b1) = (world.instance("search", "a1").unwrap(), world.instance("web", "b1").unwrap());
    assert_eq!(hash, hash_of(&[("web", &b1), ("search", &a1)]));
    for _ in 0..10 {
        world.wait(10.0);
        assert_eq!(world.registry.beat_session("host-1", "e1", Some(&hash)), RENEWED);
    }
    assert_eq!(world.registry.beat_session("host-1", "e1", None), RENEWED);
    assert_eq!(world.registry.beat_session("host-1", "e2", None), Beaten::OutOfSync);
    assert_eq!(world.registry.beat_session("host-1", "e1", Some("other")), Beaten::OutOfSync);
    assert_eq!(world.registry.beat_session("host-2", "e1", None), Beaten::Unknown);
    assert_eq!(world.registry.beat("search", "a1", None), Beaten::Unknown, "it does not beat for itself");
    assert_eq!(world.registry.census().sessions, 1);
    assert_eq!(world.registry.beat_age("search", "a1"), Some(std::time::Duration::ZERO));
    world.wait(15.3);
    assert!(!world.is_serving("search", "a1") && !world.is_serving("web", "b1"));
    assert_eq!(world.registry.beat_session("host-1", "e1", Some(&hash)), Beaten::Lapsed { lease_seconds: 15 });
    let outcome = world.run(Action::ReturnSession { session: "host-1".into() }).expect("back");
    assert!(matches!(outcome, Outcome::Session { hash: same, .. } if same == hash));
    assert!(world.is_serving("search", "a1") && world.is_serving("web", "b1"));
    assert_eq!(world.registry.beat_session("host-1", "e1", Some(&hash)), RENEWED);
    world.assert_consistent();
}

#[test]
fn a_new_set_replaces_the_old_one_whole() {
    let mut world = World::new();
    set(&mut world, "host-1", "e1", &two());
    let revision = world.registry.snapshot().revision;
    set(&mut world, "host-1", "e1", &two());
    assert_eq!(world.registry.snapshot().revision, revision, "the same set changes nothing");
    let first = world.instance("search", "a1").expect("registered").incarnation;
    set(&mut world, "host-1", "e2", &two());
    assert!(world.instance("search", "a1").expect("registered").incarnation > first, "a restart begins new lives");
    assert_eq!(world.registry.beat_session("host-1", "e2", None), RENEWED);
    set(&mut world, "host-1", "e2", &[("search", "a1", facts()), ("search", "a2", facts())]);
    assert!(world.instance("web", "b1").is_none());
    assert!(world.is_serving("search", "a2"));
    assert_eq!(
        world.story(),
        [
            "register search/a1",
            "register web/b1",
            "update search/a1",
            "update web/b1",
            "deregister web/b1",
            "register search/a2"
        ]
    );
    world.assert_consistent();
}

/// The set with a number.
fn of_sequence(sequence: Option<u64>, mut action: Action) -> Action {
    if let Action::SetSession { set, .. } = &mut action {
        set.sequence = sequence;
    }
    action
}

fn numbered(epoch: &str, sequence: Option<u64>, id: &str) -> Action {
    of_sequence(sequence, session_set("host-1", epoch, &[("web", id, facts())]))
}

#[test]
fn a_set_that_was_overtaken_by_a_newer_one_is_refused() {
    let mut world = World::new();
    world.run(numbered("e1", Some(5), "a1")).expect("the first");
    world.run(numbered("e1", Some(7), "a2")).expect("a newer one");
    let revision = world.registry.snapshot().revision;
    let refusal = world.run(numbered("e1", Some(6), "a1")).expect_err("it waited on its way");
    assert_eq!(refusal.word, Word::OutOfSync);
    assert!(refusal.detail.contains("set 6") && refusal.detail.contains("set 7"), "{refusal}");
    assert!(world.is_serving("web", "a2") && world.instance("web", "a1").is_none());
    world.run(numbered("e1", Some(7), "a2")).expect("the same once more");
    assert_eq!(world.registry.snapshot().revision, revision);
    let bad = ("web", "a3", Registration { port: 0, ..facts() });
    assert_eq!(world.refused(of_sequence(Some(9), session_set("host-1", "e1", &[bad]))), Word::BadPort);
    world.run(numbered("e1", Some(8), "a2")).expect("what was refused does not count");
    world.run(numbered("e1", None, "a3")).expect("without a number it is not compared");
    assert_eq!(world.refused(numbered("e1", Some(7), "a1")), Word::OutOfSync);
    world.run(numbered("e2", Some(1), "a1")).expect("each epoch counts for itself");
    world.assert_consistent();
}

#[test]
fn a_set_with_a_bad_instance_is_refused_whole() {
    let mut world = World::new();
    set(&mut world, "host-1", "e1", &two());
    let lon = world.register("db", "d1", at_site("lon"));
    assert!(lon.is_serving());
    for (bad, word) in [
        (("search", "a9", Registration { port: 0, ..facts() }), Word::BadPort),
        (("lon", "a9", facts()), Word::SiteLabel),
        (("search", "a3", facts()), Word::BadValue),
        (("search", "a9", Registration { lease_seconds: Some(15), ..facts() }), Word::BadLease),
        (("search", "a9", Registration { incarnation: Some(1), ..facts() }), Word::OldIncarnation),
    ] {
        let members = [("search", "a3", facts()), bad.clone()];
        let revision = world.registry.snapshot().revision;
        let refusal = world.run(session_set("host-1", "e2", &members)).expect_err("refused");
        assert_eq!(refusal.word, word);
        assert!(refusal.detail.contains(&format!("{}/{}", bad.0, bad.1)), "{refusal}");
        assert_eq!(world.registry.snapshot().revision, revision);
        assert!(world.is_serving("web", "b1") && world.instance("search", "a3").is_none());
    }
    assert_eq!(world.registry.beat_session("host-1", "e1", None), RENEWED, "the old epoch stays");
    let empty_epoch = world.refused(session_set("host-1", "", &two()));
    assert_eq!(empty_epoch, Word::BadValue);
    assert_eq!(world.refused(session_set("a b", "e1", &two())), Word::BadValue);
    world.assert_consistent();
}

#[test]
fn an_instance_is_taken_over_from_another_session_or_alone() {
    let mut world = World::new();
    let lone = world.register("search", "a1", facts());
    let hash = set(&mut world, "host-1", "e1", &[("search", "a1", facts()), ("web", "b1", facts())]);
    let taken = world.instance("search", "a1").unwrap();
    assert!(taken.incarnation > lone.incarnation);
    assert_eq!(world.registry.beat("search", "a1", None), Beaten::Unknown);
    set(&mut world, "host-2", "x", &[("search", "a1", facts())]);
    assert!(world.instance("search", "a1").unwrap().incarnation > taken.incarnation);
    assert_eq!(world.registry.beat_session("host-1", "e1", Some(&hash)), Beaten::OutOfSync);
    assert_eq!(world.registry.beat_session("host-1", "e1", None), RENEWED);
    world.register("search", "a1", facts());
    assert_eq!(world.instance("search", "a1").unwrap().session, None);
    world.wait_beating(14.0, &[("search", "a1")]);
    world.registry.beat_session("host-1", "e1", None);
    world.wait_beating(14.0, &[("search", "a1")]);
    assert_eq!(world.registry.beat_session("host-2", "x", None), Beaten::Unknown, "an empty session ends");
    assert_eq!(world.registry.census().sessions, 2);
    world.assert_consistent();
}

#[test]
fn after_a_restart_a_session_is_asked_for_its_set() {
    let mut world = World::new();
    let hash = set(&mut world, "host-1", "e1", &two());
    let mut world = world.restart();
    assert_eq!(world.registry.beat_session("host-1", "e1", Some(&hash)), Beaten::Unknown);
    let revision = world.registry.snapshot().revision;
    assert_eq!(set(&mut world, "host-1", "e1", &two()), hash);
    assert_eq!(world.registry.snapshot().revision, revision);
    assert_eq!(world.registry.beat_session("host-1", "e1", Some(&hash)), RENEWED);
    let mut world = world.restart();
    world.wait(15.3);
    assert!(!world.is_serving("search", "a1"), "without a set its lease still runs out");
    let mut world = world.restart();
    assert_eq!(world.registry.census().lapsed(), 2);
    world.wait(1.0);
    set(&mut world, "host-1", "e2", &two());
    assert!(world.is_serving("search", "a1"));
}

#[test]
fn a_session_that_ends_takes_its_instances_along() {
    let mut world = World::new();
    set(&mut world, "host-1", "e1", &two());
    let ending = |epoch: Option<&str>| {
        let epoch = epoch.map(Into::into);
        Action::EndSession { session: "host-1".into(), epoch, force: false }
    };
    let end = || ending(None);
    assert_eq!(world.refused(ending(Some("e0"))), Word::OldIncarnation, "an agent of before ends nothing");
    assert!(changed(&world.run(end()).expect("ended")));
    assert!(world.instance("search", "a1").is_none());
    assert_eq!(world.registry.beat_session("host-1", "e1", None), Beaten::Unknown);
    assert_eq!(world.refused(end()), Word::UnknownSession);
    assert_eq!(world.refused(Action::ReturnSession { session: "host-1".into() }), Word::UnknownSession);
    assert_eq!(world.registry.census().sessions, 0);
    world.assert_consistent();
}

#[test]
fn an_empty_set_is_a_session_too() {
    let mut world = World::new();
    set(&mut world, "host-1", "e1", &two());
    let hash = set(&mut world, "host-1", "e1", &[]);
    assert_eq!(hash, set_hash(std::iter::empty()));
    assert_eq!(world.registry.beat_session("host-1", "e1", Some(&hash)), RENEWED);
    world.wait(16.0);
    assert_eq!(world.registry.beat_session("host-1", "e1", Some(&hash)), Beaten::Unknown);
}

#[test]
fn an_empty_session_that_ran_out_does_not_come_back_with_a_restart() {
    let mut world = World::new();
    world.run(session_set("host-17", "e1", &[])).expect("an empty set");
    world.wait(16.0);
    assert_eq!(world.registry.beat_session("host-17", "e1", None), Beaten::Unknown);
    assert_eq!(world.registry.census().sessions, 0);
    let mut after = world.restart();
    assert_eq!(after.registry.census().sessions, 0);
    assert_eq!(after.registry.beat_session("host-17", "e1", None), Beaten::Unknown);
    after.run(session_set("host-17", "e2", &[("search", "a1", facts())])).expect("the agent sends its set");
    after.wait(1.0);
    assert!(after.is_serving("search", "a1"));
    assert_eq!(after.registry.beat_session("host-17", "e2", None), Beaten::Renewed { lease_seconds: 15 });
    after.assert_consistent();
}

#[test]
fn a_lapsed_session_is_forgotten_with_its_records() {
    let mut world = World::new();
    set(&mut world, "host-1", "e1", &two());
    world.wait_long(16);
    world.wait_long(3601);
    assert_eq!(world.registry.beat_session("host-1", "e1", None), Beaten::Unknown);
    assert!(world.service("search").is_none() && world.service("web").is_none());
    assert_eq!(world.registry.census(), Default::default());
}

#[test]
fn a_session_s_member_that_is_deregistered_puts_it_out_of_sync() {
    let mut world = World::new();
    let hash = set(&mut world, "host-1", "e1", &two());
    world.run(deregister("web", "b1", None)).expect("left");
    assert_eq!(world.registry.beat_session("host-1", "e1", Some(&hash)), Beaten::OutOfSync);
    assert_eq!(world.refused(bring_back("search", "a1", None)), Word::UnknownInstance);
}

#[test]
fn a_set_has_a_largest_size() {
    let mut world = World::new();
    let ids: Vec<String> = (0..1001).map(|n| format!("a{n}")).collect();
    let members: Vec<_> = ids.iter().map(|id| ("search", id.as_str(), facts())).collect();
    assert_eq!(world.refused(session_set("host-1", "e1", &members)), Word::BadValue);
    set(&mut world, "host-1", "e1", &members[..1000]);
    assert_eq!(world.registry.census().serving(), 1000);
}
