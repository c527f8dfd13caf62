//! The wall clock jumps: what depends on it, and how little that is.

use std::time::Duration;

use zonebeat::model::Timestamp;
use zonebeat::registry::{Action, Options};

use super::support::{World, facts, options};

const DAY: u64 = 86_400_000;

fn jump(world: &World, to: impl FnOnce(u64) -> u64) {
    world.clock.set_wall(Timestamp(to(world.now().0)));
}

/// A registry that keeps history for an hour and has registered something.
fn short_memory() -> World {
    let mut world = World::with(Options { history: Duration::from_secs(3600), ..options() });
    world.register("search", "a1", facts());
    world
}

/// Lets history be pruned, which happens once an hour; `a1` beats all the while.
fn pass_an_hour(world: &mut World) {
    for _ in 0..361 {
        world.wait_long(10);
        world.registry.beat("search", "a1", None);
    }
}

#[test]
fn history_is_forgotten_by_its_age() {
    let mut world = short_memory();
    pass_an_hour(&mut world);
    world.register("search", "a1", facts());
    pass_an_hour(&mut world);
    assert_eq!(world.story(), [""; 0]);
}

#[test]
fn a_jump_of_the_wall_clock_makes_no_history_old() {
    let mut world = short_memory();
    jump(&world, |now| now + DAY);
    world.wait_beating(70.0, &[("search", "a1")]);
    world.register("index", "b1", facts());
    assert_eq!(world.story(), ["register search/a1", "register index/b1"], "a day later, as it seems");
    let times: Vec<u64> = world.store.history_now().iter().map(|change| change.time.0).collect();
    assert!(times.last() > Some(&(1_790_000_000_000 + DAY)), "history has the time of the wall clock: {times:?}");
}

#[test]
fn a_start_with_a_wall_clock_that_is_years_ahead_makes_no_history_old() {
    let world = short_memory();
    let mut world = world.restart_at(Timestamp(world.now().0 + 4000 * DAY));
    world.wait_long(120);
    assert_eq!(world.story(), ["register search/a1", "lapse search/a1"]);
    let mut world = world.restart_at(Timestamp(1_790_000_000_000 + 200_000));
    world.wait_long(120);
    assert_eq!(world.story(), ["register search/a1", "lapse search/a1"]);
}

#[test]
fn a_weight_for_a_time_lasts_no_longer_than_that_after_a_start_with_the_clock_set_back() {
    let mut world = short_memory();
    world
        .run(Action::SetWeight { service: "search".into(), id: "a1".into(), weight: Some(7), seconds: Some(600) })
        .expect("set");
    let mut world = world.restart_at(Timestamp(1_790_000_000_000 - DAY));
    world.wait_long(590);
    assert_eq!(world.instance("search", "a1").expect("it is there").answered_weight(), 7);
    world.wait_long(15);
    assert_eq!(world.instance("search", "a1").expect("it is there").answered_weight(), 100);
}

#[test]
fn an_hour_is_an_hour_of_ours_whatever_the_wall_clock_says() {
    let mut world = World::new();
    world.register("search", "a1", facts());
    world.wait(20.0);
    for days in [1, 0, 2] {
        jump(&world, |_| 1_790_000_000_000 + days * DAY);
        world.wait_long(600);
        assert!(world.instance("search", "a1").is_some(), "its record is kept");
    }
    jump(&world, |now| now - 10 * DAY);
    world.wait_long(1900);
    assert!(world.service("search").is_none(), "and then it is not");
    world.assert_consistent();
}
