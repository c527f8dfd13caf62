//! The store away: nothing by halves, nothing lapses, answers go on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use zonebeat::model::api::Registration;
use zonebeat::model::{Principal, Word};
use zonebeat::registry::{Action, Beaten};

use super::support::*;

fn calls(world: &World) -> Vec<String> {
    world.stage.lock().unwrap().calls.clone()
}

#[test]
fn a_failed_commit_changes_nothing() {
    let mut world = World::new();
    world.register("search", "a1", facts());
    let before = world.registry.snapshot();
    world.store.fail(true);
    let refusal = world.run(register("search", "a2", facts())).expect_err("store");
    assert_eq!(refusal.word, Word::StoreUnavailable);
    assert!(refusal.detail.contains("the disk is full"), "{refusal}");
    assert_eq!(world.registry.snapshot().services, before.services);
    assert_eq!(world.registry.beat("search", "a2", None), Beaten::Unknown);
    let health = world.registry.health();
    assert!(health.loaded && !health.writable && health.trouble.unwrap().contains("disk is full"));
    assert!(world.stage.lock().unwrap().stale);
    assert_eq!(calls(&world)[calls(&world).len() - 4..], ["prepare", "close", "discard", "stale true"]);
    world.assert_consistent();
}

#[test]
fn beats_and_mistakes_need_no_store() {
    let mut world = World::new();
    world.register("search", "a1", facts());
    world.run(session_set("host-1", "e1", &[("web", "b1", facts())])).expect("stored");
    world.store.fail(true);
    let commands = [
        register("search", "a2", facts()),
        register("search", "a1", facts()),
        register("search", "a3", Registration { port: 0, ..facts() }),
        session_set("host-1", "e1", &[("web", "b1", facts())]),
        deregister("search", "a1", None),
    ]
    .map(|action| command(&anonymous(), action));
    for _ in 0..2 {
        let answers = world.writer.run_batch(&commands);
        let words: Vec<_> = answers.iter().map(|answer| answer.as_ref().err().map(|refusal| refusal.word)).collect();
        let gone = Some(Word::StoreUnavailable);
        assert_eq!(words, [gone, None, Some(Word::BadPort), None, gone]);
    }
    assert!(matches!(world.registry.beat_session("host-1", "e1", None), Beaten::Renewed { .. }));
}

#[test]
fn nothing_lapses_while_the_store_is_away_nor_for_a_full_lease_after() {
    let mut world = World::new();
    world.register("search", "a1", facts());
    world.wait(10.0);
    world.store.fail(true);
    assert_eq!(world.refused(register("search", "a2", facts())), Word::StoreUnavailable);
    world.wait(60.0);
    assert!(world.is_serving("search", "a1"));
    assert!(matches!(world.registry.beat("search", "a1", None), Beaten::Renewed { .. }));
    world.store.fail(false);
    world.wait(10.1);
    assert!(world.registry.health().writable);
    assert!(!world.stage.lock().unwrap().stale);
    world.wait(4.8);
    assert!(world.is_serving("search", "a1"));
    world.wait(10.5);
    assert!(!world.is_serving("search", "a1"));
    world.assert_consistent();
}

#[test]
fn a_lapse_that_the_store_does_not_take_has_not_happened() {
    let mut world = World::new();
    world.register("search", "a1", facts());
    world.store.fail(true);
    world.wait(30.0);
    assert!(world.is_serving("search", "a1"));
    assert!(!world.registry.health().writable);
    assert!(matches!(world.registry.beat("search", "a1", None), Beaten::Renewed { .. }));
    world.store.fail(false);
    world.wait(11.0);
    assert!(world.is_serving("search", "a1"));
    world.wait(16.0);
    assert!(!world.is_serving("search", "a1"));
    world.assert_consistent();
}

#[test]
fn a_store_that_is_away_is_tried_with_a_back_off_and_by_commands() {
    let mut world = World::new();
    world.store.fail(true);
    assert_eq!(world.refused(register("search", "a1", facts())), Word::StoreUnavailable);
    world.wait(0.9);
    assert_eq!(world.store.reopened.load(Ordering::SeqCst), 0);
    world.wait(60.0);
    let idle = world.store.reopened.load(Ordering::SeqCst);
    assert!((6..=9).contains(&idle), "{idle}");
    for _ in 0..50 {
        world.clock.advance(Duration::from_millis(100));
        assert_eq!(world.refused(register("search", "a1", facts())), Word::StoreUnavailable);
    }
    let asked = world.store.reopened.load(Ordering::SeqCst) - idle;
    assert!((4..=6).contains(&asked), "{asked}");
    world.store.fail(false);
    world.clock.advance(Duration::from_secs(1));
    world.register("search", "a1", facts());
}

#[test]
fn an_unopened_store_is_not_an_empty_registry() {
    let mut world = World::unopened(options(), Arc::default());
    world.openable.store(false, Ordering::SeqCst);
    world.tick();
    let refusal = world.run(register("search", "a1", facts())).expect_err("not ready");
    assert_eq!(refusal.word, Word::NotReady);
    assert!(refusal.detail.contains("in use by another process"), "{refusal}");
    assert!(!world.registry.health().loaded);
    assert!(calls(&world).is_empty());
    world.openable.store(true, Ordering::SeqCst);
    world.wait(1.0);
    assert!(world.registry.health().loaded && world.registry.health().writable);
    assert_eq!(calls(&world), ["load", "mark 1", "publish"]);
    world.register("search", "a1", facts());
}

#[test]
fn static_records_that_differ_are_a_change_of_their_zone() {
    let world = World::new();
    assert_eq!(world.store.zone().static_hash, "basis-1");
    assert_eq!(world.store.zone().changed, world.registry.snapshot().revision);
    let again = world.restart();
    assert_eq!(calls(&again), ["load", "publish"]);
    let mut other = World::unopened(options(), world.store.clone());
    other.stage.lock().unwrap().hash = "basis-2".into();
    other.tick();
    assert_eq!(calls(&other), ["load", "mark 2", "publish"]);
    let change = other.store.history_now().pop().unwrap();
    assert_eq!((&*change.author, &*change.subject), ("zonebeat", "sd.example.org."));
}

#[test]
fn static_records_that_cannot_be_committed_are_published_as_stale() {
    let store: Arc<MemoryStore> = Arc::default();
    let mut world = World::unopened(options(), store.clone());
    *store.during_commit.lock().unwrap() = Some({
        let store = store.clone();
        Box::new(move || store.fail(true))
    });
    world.tick();
    assert_eq!(calls(&world), ["load", "publish", "stale true"]);
    assert!(world.registry.health().loaded && !world.registry.health().writable);
    *store.during_commit.lock().unwrap() = None;
    store.fail(false);
    world.wait(1.1);
    assert_eq!(calls(&world)[3..], ["stale false", "reload", "mark 1", "publish"]);
    assert_eq!(store.zone().static_hash, "basis-1");
}

#[test]
fn zone_files_are_reloaded_as_a_batch_of_their_own() {
    let mut world = World::new();
    let reload = || command(&Principal::Server, Action::ReloadStatics);
    let put = |id: &str| command(&anonymous(), register("search", id, facts()));
    world.stage.lock().unwrap().hash = "basis-2".into();
    let answers = world.writer.run_batch(&[put("a1"), reload(), put("a2"), reload()]);
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert!(changed(answers[1].as_ref().unwrap()) && !changed(answers[3].as_ref().unwrap()));
    assert_eq!(
        calls(&world)[3..],
        [
            ["prepare", "close", "publish"].as_slice(),
            &["reload", "mark 3", "publish"],
            &["prepare", "close", "publish"],
            &["reload", "publish"],
        ]
        .concat()
    );
    assert_eq!(world.store.zone().static_hash, "basis-2");
    world.stage.lock().unwrap().hash = "basis-3".into();
    world.store.fail(true);
    let answers = world.writer.run_batch(&[reload()]);
    assert_eq!(answers[0].as_ref().expect_err("store").word, Word::StoreUnavailable);
    assert_eq!(calls(&world)[14..], ["reload", "discard", "stale true"]);
    assert_eq!(world.store.zone().static_hash, "basis-2");
}

#[test]
fn a_store_that_somebody_else_wrote_to_is_read_again() {
    let mut world = World::new();
    world.register("search", "a1", facts());
    let mut other = world.restart();
    other.register("search", "a2", facts());
    let refusal = world.run(register("search", "a3", facts())).expect_err("conflict");
    assert_eq!(refusal.word, Word::StoreUnavailable);
    assert!(world.instance("search", "a2").is_none());
    world.wait(1.1);
    assert!(world.is_serving("search", "a2"));
    world.register("search", "a3", facts());
    assert!(!world.stage.lock().unwrap().stale);
    world.assert_consistent();
}

#[test]
fn loaded_is_said_only_when_it_is_answered() {
    let mut world = World::unopened(options(), Arc::default());
    let (registry, stage) = (world.registry.clone(), world.stage.clone());
    let seen = Arc::new(std::sync::Mutex::new(None));
    let note = {
        let seen = seen.clone();
        move || *seen.lock().unwrap() = Some((registry.health().loaded, stage.lock().unwrap().published.is_some()))
    };
    *world.store.during_commit.lock().unwrap() = Some(Box::new(note));
    world.tick();
    assert_eq!(*seen.lock().unwrap(), Some((false, false)), "in the commit that records the static records");
    assert!(world.registry.health().loaded && world.stage.lock().unwrap().published.is_some());
}
