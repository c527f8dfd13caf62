//! Time: lapses, late ticks, the race between a lapse and a beat, hours.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use zonebeat::model::Transition;
use zonebeat::model::api::Registration;
use zonebeat::registry::Beaten;

use super::support::*;

#[test]
fn silence_lapses_after_the_lease_and_never_before() {
    let mut world = World::new();
    world.register("search", "a1", facts());
    world.register("search", "a2", facts());
    world.wait_beating(15.0, &[("search", "a1")]);
    assert!(world.is_serving("search", "a2"));
    world.wait_beating(0.3, &[("search", "a1")]);
    assert!(world.is_serving("search", "a1"));
    assert!(!world.is_serving("search", "a2"));
    let lapse = world.store.history_now().pop().unwrap();
    assert_eq!((lapse.transition, &*lapse.author), (Transition::Lapse, "zonebeat"));
    assert_eq!((world.registry.census().serving(), world.registry.census().lapsed()), (1, 1));
    world.assert_consistent();
}

#[test]
fn each_instance_has_its_own_lease() {
    let mut world = World::new();
    world.register("search", "a1", Registration { lease_seconds: Some(2), ..facts() });
    world.register("search", "a2", Registration { lease_seconds: Some(600), ..facts() });
    world.wait(2.3);
    assert!(!world.is_serving("search", "a1"));
    world.wait_long(597);
    assert!(world.is_serving("search", "a2"));
    world.wait_long(3);
    assert!(!world.is_serving("search", "a2"));
}

#[test]
fn a_late_tick_moves_every_deadline() {
    let mut world = World::new();
    world.register("search", "a1", facts());
    world.wait(10.0);
    world.clock.advance(Duration::from_secs(3600));
    world.wait(4.4);
    assert!(world.is_serving("search", "a1"));
    world.wait(0.4);
    assert!(!world.is_serving("search", "a1"));
}

#[test]
fn a_jump_of_the_wall_clock_lapses_nothing() {
    let mut world = World::new();
    world.register("search", "a1", facts());
    let now = world.now().0;
    for wall in [now + 86_400_000, now - 86_400_000] {
        world.clock.set_wall(zonebeat::model::Timestamp(wall));
        world.wait(5.0);
        assert!(world.is_serving("search", "a1"));
        world.registry.beat("search", "a1", None);
    }
}

#[test]
fn after_a_restart_every_lease_is_full() {
    let mut world = World::new();
    world.register("search", "a1", facts());
    world.wait(14.0);
    let mut world = world.restart();
    world.wait(15.0);
    assert!(world.is_serving("search", "a1"));
    world.wait(0.3);
    assert!(!world.is_serving("search", "a1"));
}

#[test]
fn a_beat_before_the_commit_of_a_lapse_keeps_the_instance() {
    let mut world = World::new();
    world.register("search", "a1", facts());
    world.register("search", "a2", facts());
    let beaten = Arc::new(Mutex::new(None));
    let hook = {
        let (registry, beaten) = (world.registry.clone(), beaten.clone());
        move || *beaten.lock().unwrap() = Some(registry.beat("search", "a1", None))
    };
    world.stage.lock().unwrap().during_prepare = Some(Box::new(hook));
    world.wait(15.3);
    assert_eq!(*beaten.lock().unwrap(), Some(Beaten::Renewed { lease_seconds: 15 }));
    assert!(world.is_serving("search", "a1"));
    assert!(!world.is_serving("search", "a2"));
    let calls = world.stage.lock().unwrap().calls.clone();
    assert_eq!(calls[calls.len() - 4..], ["discard", "prepare", "close", "publish"]);
    world.assert_consistent();
}

#[test]
fn a_beat_during_the_commit_of_a_lapse_brings_the_instance_back() {
    let mut world = World::new();
    world.register("search", "a1", facts());
    let beaten = Arc::new(Mutex::new(None));
    let hook = {
        let (registry, beaten) = (world.registry.clone(), beaten.clone());
        move || *beaten.lock().unwrap() = Some(registry.beat("search", "a1", None))
    };
    *world.store.during_commit.lock().unwrap() = Some(Box::new(hook));
    world.wait(15.3);
    *world.store.during_commit.lock().unwrap() = None;
    assert_eq!(*beaten.lock().unwrap(), Some(Beaten::Lapsed { lease_seconds: 15 }));
    world.run(bring_back("search", "a1", None)).expect("back");
    world.wait_beating(20.0, &[("search", "a1")]);
    assert_eq!(world.story(), ["register search/a1", "lapse search/a1", "return search/a1"]);
}

#[test]
fn a_return_that_comes_after_all_is_only_a_beat() {
    let mut world = World::new();
    world.register("search", "a1", facts());
    world.wait(10.0);
    assert!(!changed(&world.run(bring_back("search", "a1", None)).expect("beaten")));
    world.wait(10.0);
    assert!(world.is_serving("search", "a1"));
}

#[test]
fn an_hour_after_its_lapse_the_record_is_gone_and_the_name_forgotten() {
    let mut world = World::new();
    world.register("search", "a1", at_site("lon"));
    world.wait_long(16);
    assert_eq!(world.service("search").unwrap().row.remembered.len(), 2);
    world.wait_long(3500);
    assert!(world.instance("search", "a1").is_some());
    world.wait_long(110);
    assert!(world.service("search").is_none());
    assert_eq!(world.story(), ["register search/a1", "lapse search/a1", "reap search/a1", "forget search"]);
    assert_eq!(world.registry.beat("search", "a1", None), Beaten::Unknown);
    assert_eq!(world.registry.census(), Default::default());
    world.assert_consistent();
}

#[test]
fn a_return_stops_the_hour() {
    let mut world = World::new();
    world.register("search", "a1", facts());
    world.wait(15.3);
    world.run(bring_back("search", "a1", None)).expect("back");
    for _ in 0..370 {
        world.wait_long(10);
        world.registry.beat("search", "a1", None);
    }
    assert!(world.is_serving("search", "a1"));
    assert_eq!(world.service("search").unwrap().row.remembered.len(), 0);
    assert_eq!(world.story().len(), 3);
}

#[test]
fn the_hour_is_full_again_after_a_restart() {
    let mut world = World::new();
    world.register("search", "a1", facts());
    world.wait_long(3000);
    let mut world = world.restart();
    world.wait_long(3500);
    assert!(world.instance("search", "a1").is_some());
    world.wait_long(101);
    assert!(world.service("search").is_none());
    world.assert_consistent();
}

#[test]
fn a_mass_of_lapses_goes_through_in_batches() {
    let mut world = World::new();
    let commands: Vec<_> =
        (0..2500).map(|n| command(&anonymous(), register("search", &format!("a{n}"), facts()))).collect();
    assert!(world.writer.run_batch(&commands).iter().all(Result::is_ok));
    world.wait(15.2);
    while world.writer.is_behind() {
        world.tick();
    }
    assert_eq!((world.registry.census().serving(), world.registry.census().lapsed()), (0, 2500));
    assert_eq!(world.registry.census().sessions, 0);
}

#[test]
fn a_mass_of_lapses_does_not_keep_the_end_of_records_back() {
    let mut world = World::new();
    world.register("search", "a1", Registration { lease_seconds: Some(2), ..facts() });
    world.wait(2.3);
    let commands: Vec<_> =
        (0..1000).map(|n| command(&anonymous(), register("other", &format!("b{n}"), facts()))).collect();
    assert!(world.writer.run_batch(&commands).iter().all(Result::is_ok));
    world.wait(14.8);
    world.clock.advance(Duration::from_secs(3600));
    world.tick();
    assert!(world.registry.census().lapsed() > 0 && world.writer.is_behind(), "most lapses are still to come");
    assert!(world.instance("search", "a1").is_none());
}

#[test]
fn commands_take_turns_with_a_mass_of_lapses() {
    let mut world = World::new();
    let commands: Vec<_> =
        (0..2000).map(|n| command(&anonymous(), register("search", &format!("a{n}"), facts()))).collect();
    assert!(world.writer.run_batch(&commands).iter().all(Result::is_ok));
    world.wait(15.2);
    let mut turns = 0;
    while world.writer.is_behind() {
        let before = world.registry.census().lapsed();
        world.register("other", &format!("b{turns}"), facts());
        world.tick();
        assert!(world.registry.census().lapsed() - before <= 250, "a command waits for all of these");
        turns += 1;
    }
    assert!(turns >= 5, "{turns}");
    assert_eq!((world.registry.census().serving(), world.registry.census().lapsed()), (turns, 2000));
}

#[test]
fn history_is_pruned_by_age() {
    let mut world = World::with(zonebeat::registry::Options { history: Duration::from_secs(7200), ..options() });
    world.register("search", "a1", Registration { lease_seconds: Some(86_400), ..facts() });
    let kept = world.store.history_now().len();
    world.wait_long(3700);
    assert_eq!(world.store.history_now().len(), kept);
    world.wait_long(7300);
    assert_eq!(world.store.history_now().len(), 0);
    assert!(world.is_serving("search", "a1"));
}
