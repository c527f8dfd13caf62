//! Lone instances: lives, beats, updates.

use zonebeat::model::api::Registration;
use zonebeat::model::{Principal, Revision, State, Word};
use zonebeat::registry::{Beaten, Outcome};

use super::support::*;

#[test]
fn a_registration_is_durable_published_and_in_history() {
    let mut world = World::new();
    let outcome = world.run(register("Search", "A1", at_site("LON"))).expect("registered");
    assert!(matches!(outcome, Outcome::Instance { new: true, changed: true, .. }));
    let instance = instance_of(outcome);
    assert_eq!((&*instance.id, &*instance.proto, instance.priority, instance.weight), ("a1", "tcp", 10, 100));
    assert_eq!(instance.site.as_deref(), Some("lon"));
    assert_eq!(instance.lease_seconds, 15);
    assert_eq!(instance.incarnation, instance.revision);
    assert_eq!(world.story(), ["register search/a1"]);
    let change = world.store.history_now().pop().unwrap();
    assert_eq!((&*change.author, &*change.source), ("anonymous", "127.0.0.1"));
    assert_eq!(world.store.zone().changed, instance.revision);
    assert_eq!(world.registry.census().serving(), 1);
    world.assert_consistent();
}

#[test]
fn the_same_registration_again_is_only_a_beat() {
    let mut world = World::new();
    let first = world.register("search", "a1", facts());
    let commits = world.store.commits.load(std::sync::atomic::Ordering::SeqCst);
    for _ in 0..3 {
        world.wait(10.0);
        let outcome = world.run(register("SEARCH", "a1", facts())).expect("beaten");
        assert!(!changed(&outcome));
        assert_eq!(instance_of(outcome), first);
    }
    assert_eq!(world.store.commits.load(std::sync::atomic::Ordering::SeqCst), commits);
    assert!(world.is_serving("search", "a1"));
}

#[test]
fn defaults_written_out_are_the_same_registration() {
    let mut world = World::new();
    world.register("search", "a1", facts());
    let spelled = Registration {
        proto: Some("TCP".into()),
        priority: Some(10),
        weight: Some(100),
        lease_seconds: Some(15),
        addresses: Some(vec!["192.0.2.7".into(), "192.0.2.7".into()]),
        ..facts()
    };
    assert!(!changed(&world.run(register("search", "a1", spelled)).expect("beaten")));
}

#[test]
fn a_bare_put_with_other_facts_begins_a_new_life() {
    let mut world = World::new();
    let first = world.register("search", "a1", facts());
    let second = world.register("search", "a1", Registration { port: 9090, ..facts() });
    assert!(second.incarnation > first.incarnation);
    assert_eq!(second.incarnation, second.revision);
    assert_eq!(world.story(), ["register search/a1", "update search/a1"]);
    let ghost = Some(first.incarnation.0);
    assert_eq!(world.registry.beat("search", "a1", ghost), Beaten::OldIncarnation { current: second.incarnation });
    assert_eq!(world.refused(deregister("search", "a1", ghost)), Word::OldIncarnation);
    assert_eq!(world.refused(bring_back("search", "a1", ghost)), Word::OldIncarnation);
    let named = Registration { incarnation: ghost, ..facts() };
    assert_eq!(world.refused(register("search", "a1", named)), Word::OldIncarnation);
    world.assert_consistent();
}

#[test]
fn another_start_of_the_same_process_begins_a_new_life() {
    let mut world = World::new();
    let started = |epoch: &str| Registration { epoch: Some(epoch.into()), ..facts() };
    let first = world.register("search", "a1", started("boot-1"));
    assert!(!changed(&world.run(register("search", "a1", started("boot-1"))).expect("a beat")));
    assert!(!changed(&world.run(register("search", "a1", facts())).expect("a bare beat")));
    let second = world.register("search", "a1", started("boot-2"));
    assert!(second.incarnation > first.incarnation);
    let ghost = Some(first.incarnation.0);
    assert_eq!(world.refused(deregister("search", "a1", ghost)), Word::OldIncarnation, "the first leaves too late");
    assert!(world.is_serving("search", "a1"));
    assert_eq!(world.refused(register("search", "a1", started(""))), Word::BadValue);
    world.assert_consistent();
}

#[test]
fn the_servers_own_service_is_for_servers_and_admins() {
    let mut world = World::new();
    assert_eq!(world.refused(register("zonebeat", "evil", facts())), Word::ReservedName);
    world.run_as(&Principal::Server, register("zonebeat", "vm", facts())).expect("its own");
    assert_eq!(world.refused(deregister("zonebeat", "vm", None)), Word::ReservedName);
}

#[test]
fn a_put_that_names_the_current_life_updates_it() {
    let mut world = World::new();
    let first = world.register("search", "a1", facts());
    let change = Registration { weight: Some(5), incarnation: Some(first.incarnation.0), ..facts() };
    let second = world.register("search", "a1", change);
    assert_eq!(second.incarnation, first.incarnation);
    assert!(second.revision > first.revision);
    assert_eq!(second.since, first.since);
    assert!(matches!(world.registry.beat("search", "a1", Some(first.incarnation.0)), Beaten::Renewed { .. }));
}

#[test]
fn a_life_that_is_over_does_not_come_back() {
    let mut world = World::new();
    let first = world.register("search", "a1", facts());
    world.run(deregister("search", "a1", Some(first.incarnation.0))).expect("left");
    assert_eq!(world.registry.beat("search", "a1", None), Beaten::Unknown);
    assert_eq!(world.refused(bring_back("search", "a1", None)), Word::UnknownInstance);
    assert_eq!(world.refused(deregister("search", "a1", None)), Word::UnknownInstance);
    let ghost = Registration { incarnation: Some(first.incarnation.0), ..facts() };
    assert_eq!(world.refused(register("search", "a1", ghost)), Word::OldIncarnation);
    let second = world.register("search", "a1", facts());
    assert!(second.incarnation > first.incarnation);
}

#[test]
fn a_lapsed_instance_returns_with_its_registration_or_its_beat() {
    let mut world = World::new();
    let first = world.register("search", "a1", facts());
    world.wait(15.3);
    assert_eq!(world.instance("search", "a1").unwrap().state, State::Lapsed);
    assert_eq!(world.registry.beat("search", "a1", None), Beaten::Lapsed { lease_seconds: 15 });
    let back = instance_of(world.run(bring_back("search", "a1", None)).expect("back"));
    assert_eq!((back.state, back.incarnation), (State::Serving, first.incarnation));
    world.wait(15.3);
    let back = world.register("search", "a1", facts());
    assert_eq!((back.state, back.incarnation), (State::Serving, first.incarnation));
    assert_eq!(
        world.story(),
        ["register search/a1", "lapse search/a1", "return search/a1", "lapse search/a1", "return search/a1"]
    );
    world.assert_consistent();
}

#[test]
fn a_lapsed_instance_that_comes_with_other_facts_begins_a_new_life() {
    let mut world = World::new();
    let first = world.register("search", "a1", facts());
    world.wait(15.3);
    let second = world.register("search", "a1", Registration { port: 9090, ..facts() });
    assert!(second.is_serving() && second.incarnation > first.incarnation);
    assert_eq!(world.story().last().unwrap(), "update search/a1");
}

#[test]
fn a_batch_commits_once_and_each_change_has_its_revision() {
    let mut world = World::new();
    let before = world.store.commits.load(std::sync::atomic::Ordering::SeqCst);
    let revision = world.registry.snapshot().revision;
    let commands: Vec<_> = (0..100)
        .map(|n| command(&anonymous(), register("search", &format!("a{n}"), facts())))
        .chain([command(&anonymous(), register("search", "bad", Registration { port: 0, ..facts() }))])
        .chain([command(&anonymous(), register("search", "a5", facts()))])
        .collect();
    let answers = world.writer.run_batch(&commands);
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 101);
    assert_eq!(answers[100].as_ref().expect_err("port").word, Word::BadPort);
    assert!(!changed(answers[101].as_ref().expect("beat")));
    assert_eq!(world.store.commits.load(std::sync::atomic::Ordering::SeqCst), before + 1);
    assert_eq!(world.registry.snapshot().revision, Revision(revision.0 + 100));
    assert_eq!(world.store.zone().changed, Revision(revision.0 + 100));
    world.assert_consistent();
}

#[test]
fn the_caller_s_own_address_stands_in_for_missing_ones() {
    let mut world = World::new();
    let bare = Registration { addresses: None, ..facts() };
    assert_eq!(world.refused(register("search", "a1", bare.clone())), Word::AddressRefused);
    let admin = token("1", admin());
    world.run(zonebeat::registry::Action::CreateToken((*admin).clone())).expect("token");
    let instance = instance_of(world.run_as(&with(&admin), register("search", "a1", bare)).expect("registered"));
    assert_eq!(serde_json::to_value(&instance.endpoint).unwrap()["addresses"][0], "192.0.2.77");
}

#[test]
fn beat_age_counts_from_the_last_beat() {
    let mut world = World::new();
    world.register("search", "a1", facts());
    world.wait(3.0);
    assert_eq!(world.registry.beat_age("search", "a1"), Some(std::time::Duration::from_secs(3)));
    world.registry.beat("search", "a1", None);
    assert_eq!(world.registry.beat_age("search", "a1"), Some(std::time::Duration::ZERO));
    assert_eq!(world.registry.beat_age("search", "a2"), None);
    assert_eq!(world.restart().registry.beat_age("search", "a1"), None);
}
