//! One rule each.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use zonebeat::model::Word;
use zonebeat::registry::{Action, Beaten};

use super::cases::{declare, deregister, facts, register, session_set};
use super::server::{Server, assert_same};
use super::shared::{Fault, Shared};

const TICK: Duration = Duration::from_millis(100);

fn servers<const N: usize>(shared: &Arc<Shared>) -> [Server; N] {
    let mut servers: [Server; N] = std::array::from_fn(|_| Server::start(shared));
    servers.iter_mut().for_each(Server::tick);
    servers
}

#[test]
fn what_one_server_commits_the_others_answer() {
    let shared = Arc::new(Shared::default());
    let mut all: [Server; 3] = servers(&shared);
    let [one, other, third] = &mut all;
    one.run(register("search", "a1", facts())).unwrap();
    let mut events = other.registry.subscribe();
    other.writer.settle();
    assert!(!other.is_serving("search", "a1"), "nobody has told the writer to look");
    other.tick();
    assert!(other.is_serving("search", "a1"));
    assert_eq!(events.try_recv().unwrap().subject, "search".into());
    other.assert_shown(b'a');
    third.tick();
    assert_same(&shared, &all);
    let conflicts: usize = all.iter().map(|server| server.handle.conflicts.load(Ordering::SeqCst)).sum();
    assert_eq!(conflicts, 0);
}

#[test]
fn a_conflict_is_judged_again_and_nobody_notices() {
    let shared = Arc::new(Shared::default());
    let mut all: [Server; 2] = servers(&shared);
    let [one, other] = &mut all;
    // Both judge on the same state: one is first, and the other has a second group behind the first.
    one.run(register("search", "a1", facts())).unwrap();
    other.handle.silent.store(true, Ordering::SeqCst);
    let mut answers = Vec::new();
    for number in 0..5 {
        answers.push(other.take("", register("search", &format!("b{number}"), facts())));
    }
    other.handle.silent.store(false, Ordering::SeqCst);
    other.writer.settle();
    assert_eq!(other.handle.conflicts.load(Ordering::SeqCst), 1);
    assert!(answers.into_iter().all(|mut answer| answer.try_recv().unwrap().is_ok()));
    assert!(other.registry.health().writable && !other.screen.lock().unwrap().stale);
    one.tick();
    assert_same(&shared, &all);
}

#[test]
fn a_command_may_be_refused_when_it_is_judged_again() {
    let shared = Arc::new(Shared::default());
    let mut all: [Server; 2] = servers(&shared);
    let [one, other] = &mut all;
    one.run(register("search", "a1", facts())).unwrap();
    other.tick();
    one.run(deregister("search", "a1", None)).unwrap();
    // This server has not heard of it: it finds the instance, and then that somebody was first.
    other.handle.silent.store(true, Ordering::SeqCst);
    let mut answered = other.take("", deregister("search", "a1", None));
    other.handle.silent.store(false, Ordering::SeqCst);
    other.writer.settle();
    let refusal = answered.try_recv().unwrap().expect_err("it is gone already");
    assert_eq!(refusal.word, Word::UnknownInstance);
    assert_same(&shared, &all);
}

#[test]
fn a_storm_of_conflicts_ends_and_keeps_the_order_of_commands() {
    let shared = Arc::new(Shared::default());
    let mut other = Server::start(&shared);
    let mut rival = Server::start(&shared);
    let mut left = 20;
    let handle = other.handle.clone();
    *handle.before_commit.lock().unwrap() = Some(Box::new(move || {
        if left > 0 {
            left -= 1;
            rival.tick();
            rival.run(register("rival", &format!("r{left}"), facts())).unwrap();
        }
    }));
    let answers: Vec<_> = (0..50)
        .flat_map(|number| {
            let put = other.take("", register("search", &format!("b{number}"), facts()));
            let gone = other.take("", deregister("search", &format!("b{number}"), None));
            [put, gone]
        })
        .collect();
    other.writer.settle();
    assert!(answers.into_iter().all(|mut answer| answer.try_recv().unwrap().is_ok()));
    assert_eq!(other.handle.conflicts.load(Ordering::SeqCst), 20);
    *handle.before_commit.lock().unwrap() = None;
    other.tick();
    assert_same(&shared, &[other]);
}

#[test]
fn a_conflict_that_nothing_explains_is_a_store_that_is_lost() {
    let shared = Arc::new(Shared::default());
    let mut all: [Server; 2] = servers(&shared);
    let [one, other] = &mut all;
    one.run(register("search", "a1", facts())).unwrap();
    other.handle.silent.store(true, Ordering::SeqCst);
    let refusal = other.run(register("search", "a2", facts())).expect_err("it cannot be judged");
    assert_eq!(refusal.word, Word::StoreUnavailable);
    assert!(!other.registry.health().writable && other.screen.lock().unwrap().stale);
    other.handle.heal();
    other.pass(Duration::from_secs(2));
    assert!(other.registry.health().writable && !other.screen.lock().unwrap().stale);
    assert!(other.is_serving("search", "a1"));
    assert_same(&shared, &all);
}

#[test]
fn a_batch_whose_outcome_was_not_known_is_news_when_the_store_is_back() {
    let shared = Arc::new(Shared::default());
    let mut all: [Server; 2] = servers(&shared);
    let [one, other] = &mut all;
    one.handle.inject(Fault::Unknown);
    let refusal = one.run(register("search", "a1", facts())).expect_err("nobody says that it was taken");
    assert_eq!(refusal.word, Word::StoreUnavailable);
    assert!(!one.is_serving("search", "a1"));
    other.tick();
    assert!(other.is_serving("search", "a1"), "it was");
    one.pass(Duration::from_secs(2));
    assert!(one.registry.health().writable && one.is_serving("search", "a1"));
    assert_same(&shared, &all);
}

#[test]
fn a_store_that_is_lost_lapses_nothing_and_comes_back_with_what_others_did() {
    let shared = Arc::new(Shared::default());
    let mut all: [Server; 2] = servers(&shared);
    let [one, other] = &mut all;
    other.run(register("search", "a1", facts())).unwrap();
    other.handle.gone.store(true, Ordering::SeqCst);
    other.tick();
    assert!(!other.registry.health().writable && other.screen.lock().unwrap().stale);
    one.tick();
    one.run(register("search", "b1", facts())).unwrap();
    for _ in 0..600 {
        other.pass(TICK);
    }
    assert!(other.is_serving("search", "a1") && !other.is_serving("search", "b1"));
    assert!(matches!(other.registry.beat("search", "a1", None), Beaten::Renewed { .. }));
    other.handle.heal();
    for _ in 0..100 {
        other.pass(TICK);
    }
    assert!(other.registry.health().writable && other.is_serving("search", "b1"));
    one.tick();
    assert_same(&shared, &all);
}

#[test]
fn a_lapse_that_comes_too_late_does_not_happen() {
    let shared = Arc::new(Shared::default());
    let mut all: [Server; 2] = servers(&shared);
    let [one, other] = &mut all;
    one.run(register("search", "a1", facts())).unwrap();
    other.tick();
    // The instance changes at one server while the other finds its lease out.
    for _ in 0..150 {
        other.pass(TICK);
    }
    let incarnation = one.registry.snapshot().service("search").unwrap().instance("a1").unwrap().incarnation.0;
    let wish = zonebeat::model::api::Registration { port: 9090, incarnation: Some(incarnation), ..facts() };
    one.run(register("search", "a1", wish)).unwrap();
    other.handle.silent.store(true, Ordering::SeqCst);
    other.clock.advance(TICK * 3);
    other.writer.tick();
    assert!(other.writer.is_storing(), "the lapse is with the store");
    other.handle.silent.store(false, Ordering::SeqCst);
    other.writer.settle();
    for _ in 0..140 {
        other.pass(TICK);
    }
    assert!(other.is_serving("search", "a1"), "it was heard of: its lease runs full");
    assert_eq!(other.handle.conflicts.load(Ordering::SeqCst), 1);
    for _ in 0..20 {
        other.pass(TICK);
    }
    assert!(!other.is_serving("search", "a1"));
    one.tick();
    assert_same(&shared, &all);
}

#[test]
fn a_beat_between_the_seal_and_the_conflict_counts() {
    let shared = Arc::new(Shared::default());
    let mut all: [Server; 2] = servers(&shared);
    let [one, other] = &mut all;
    one.run(register("search", "a1", facts())).unwrap();
    other.tick();
    one.run(register("web", "b1", facts())).unwrap();
    let registry = other.registry.clone();
    *other.handle.before_commit.lock().unwrap() = Some(Box::new(move || {
        assert!(matches!(registry.beat("search", "a1", None), Beaten::Lapsed { .. } | Beaten::Renewed { .. }));
    }));
    other.handle.silent.store(true, Ordering::SeqCst);
    for _ in 0..154 {
        other.clock.advance(TICK);
        other.writer.tick();
        if other.writer.is_storing() {
            break;
        }
    }
    assert!(other.writer.is_storing(), "the lapse is with the store");
    other.handle.silent.store(false, Ordering::SeqCst);
    other.writer.settle();
    *other.handle.before_commit.lock().unwrap() = None;
    for _ in 0..100 {
        other.pass(TICK);
    }
    assert!(other.is_serving("search", "a1"));
}

#[test]
fn timers_that_every_server_winds_go_off_once() {
    let shared = Arc::new(Shared::default());
    let mut all: [Server; 3] = servers(&shared);
    all[0].run(register("search", "a1", facts())).unwrap();
    all[0].run(deregister("search", "a1", None)).unwrap();
    all.iter_mut().for_each(Server::tick);
    let before = shared.frames();
    for _ in 0..3 {
        all.iter_mut().for_each(|server| server.clock.advance(Duration::from_secs(1300)));
        // Each of them has its batch with the store before any other one hears of it.
        all.iter_mut().for_each(|server| server.writer.tick());
        all.iter_mut().for_each(|server| server.writer.settle());
        all.iter_mut().for_each(Server::tick);
    }
    assert_eq!((shared.frames() - before, shared.empty_frames()), (1, 0));
    assert!(all.iter().all(|server| server.registry.snapshot().service("search").is_none()));
    assert_same(&shared, &all);
}

#[test]
fn a_session_goes_on_at_another_server_with_its_set() {
    let shared = Arc::new(Shared::default());
    let mut all: [Server; 2] = servers(&shared);
    let [one, other] = &mut all;
    let set = |epoch| session_set("host-1", epoch, &[("search", "a1", facts()), ("web", "b1", facts())]);
    one.run(set("e1")).unwrap();
    other.tick();
    let before = shared.frames();
    assert_eq!(other.registry.beat_session("host-1", "e1", None), Beaten::Unknown);
    other.run(set("e1")).unwrap();
    assert_eq!(shared.frames(), before, "the same set changes nothing");
    assert!(matches!(other.registry.beat_session("host-1", "e1", None), Beaten::Renewed { .. }));
    // A new life of the agent begins at the first server.
    one.run(set("e2")).unwrap();
    other.tick();
    assert_eq!(other.registry.beat_session("host-1", "e1", None), Beaten::Unknown);
    one.run(Action::EndSession { session: "host-1".into(), epoch: None, force: false }).unwrap();
    other.tick();
    assert_eq!(other.registry.beat_session("host-1", "e2", None), Beaten::Unknown);
    assert_same(&shared, &all);
}

#[test]
fn zone_files_that_differ_are_said_once_by_each_server() {
    let shared = Arc::new(Shared::default());
    let mut all: [Server; 2] = servers(&shared);
    let frames = shared.frames();
    let [one, other] = &mut all;
    one.reload(b'b').unwrap();
    for _ in 0..50 {
        one.pass(TICK);
        other.pass(TICK);
    }
    assert_eq!(shared.frames(), frames + 1, "nobody answers it with files of their own");
    assert_eq!(one.serial(), other.serial());
    let before = other.serial();
    other.reload(b'b').unwrap();
    one.tick();
    assert!(other.serial() > before, "whoever transferred the zone from here must see that it changed");
    other.reload(b'b').unwrap();
    one.reload(b'b').unwrap();
    assert_eq!(shared.frames(), frames + 2);
    assert_eq!((one.serial(), one.dump()), (other.serial(), other.dump()));
}

#[test]
fn a_reload_that_others_come_before_is_compared_again() {
    let shared = Arc::new(Shared::default());
    let mut all: [Server; 2] = servers(&shared);
    let [one, other] = &mut all;
    one.run(register("search", "a1", facts())).unwrap();
    one.run(declare("web")).unwrap();
    other.reload(b'b').unwrap();
    assert_eq!(other.handle.conflicts.load(Ordering::SeqCst), 1);
    assert!(other.is_serving("search", "a1"));
    other.assert_shown(b'b');
    one.reload(b'b').unwrap();
    other.tick();
    assert_eq!((one.serial(), one.dump()), (other.serial(), other.dump()));
    // It fails after it has followed: what was followed is shown, the files are not.
    one.run(register("search", "a2", facts())).unwrap();
    let handle = other.handle.clone();
    let mut commits = 0;
    *other.handle.before_commit.lock().unwrap() = Some(Box::new(move || {
        commits += 1;
        if commits == 2 {
            handle.inject(Fault::Refused);
        }
    }));
    assert_eq!(other.reload(b'c').expect_err("the store failed").word, Word::StoreUnavailable);
    *other.handle.before_commit.lock().unwrap() = None;
    assert!(other.is_serving("search", "a2"));
    other.assert_shown(b'b');
}

#[test]
fn a_server_that_starts_while_others_write_comes_up() {
    let shared = Arc::new(Shared::default());
    let mut one = Server::start(&shared);
    one.run(register("search", "a1", facts())).unwrap();
    let mut other = Server::unopened(&shared, false);
    other.screen.lock().unwrap().stale = false;
    let mut left = 3;
    *other.handle.before_commit.lock().unwrap() = Some(Box::new(move || {
        if left > 0 {
            left -= 1;
            one.tick();
            one.run(register("search", &format!("b{left}"), facts())).unwrap();
        }
    }));
    // Its static records are others than those that the store has: that is a commit at the start.
    let third = {
        let mut third = Server::start(&shared);
        third.reload(b'z').unwrap();
        third
    };
    other.tick();
    *other.handle.before_commit.lock().unwrap() = None;
    assert!(other.registry.health().writable);
    assert_eq!(other.handle.conflicts.load(Ordering::SeqCst), 3);
    other.assert_shown(b'a');
    drop(third);
}

#[test]
fn the_hold_of_the_fleet_holds_everywhere_until_who_began_it_ends_it() {
    let shared = Arc::new(Shared::default());
    let (mut one, mut other) = (Server::start_guarded(&shared), Server::start_guarded(&shared));
    one.tick();
    for number in 0..10 {
        one.run(register("search", &format!("a{number}"), facts())).unwrap();
    }
    other.tick();
    let beat = |server: &Server, number: usize| {
        let _ = server.registry.beat("search", &format!("a{number}"), None); // whatever it says
    };
    // All are heard by the other server only, so the first one finds them silent.
    let pass = |one: &mut Server, other: &mut Server, ticks: usize, heard: bool| {
        for _ in 0..ticks {
            (0..10).for_each(|number| beat(other, number));
            if heard {
                (0..10).for_each(|number| beat(one, number));
            }
            one.pass(TICK);
            other.pass(TICK);
        }
    };
    pass(&mut one, &mut other, 200, false);
    let is_held = |server: &Server| server.registry.snapshot().fleet_hold.is_some();
    assert!(is_held(&one) && is_held(&other), "the other one does not release what it does not see");
    assert_eq!(one.registry.snapshot().fleet_hold, other.registry.snapshot().fleet_hold);
    assert!((0..10).all(|number| one.is_serving("search", &format!("a{number}"))));
    pass(&mut one, &mut other, 20, true);
    assert!(!is_held(&one) && !is_held(&other));
    let story: Vec<_> = shared.history().iter().map(|change| change.transition.as_str()).collect();
    assert_eq!(story.iter().filter(|word| **word == "hold" || **word == "release").count(), 2, "{story:?}");
}
