//! The whole fleet falls silent, or much of it.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng};
use zonebeat::model::api::Registration;
use zonebeat::model::change::FLEET;
use zonebeat::model::{State, Transition};
use zonebeat::registry::{Action, Beaten};

use super::guard::{declare, guarded, history, in_state};
use super::support::{World, bring_back, deregister, facts};

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

/// A third of 60 is more than 15 %, but not before there are 20 of them.
#[test]
fn fewer_than_twenty_are_no_fleet() {
    for (lost, held) in [(19, false), (20, true)] {
        let mut world = guarded();
        let all: Vec<_> = (0..60).map(|at| (format!("s{}", at / 30), format!("i{at}"))).collect();
        all.iter().for_each(|(service, id)| drop(world.register(service, id, facts())));
        world.wait_beating(30.0, &beating(&all[lost..]));
        assert_eq!(world.registry.snapshot().fleet_hold.is_some(), held, "{lost} of 60");
        assert_eq!(world.registry.census().lapsed(), if held { 0 } else { lost }, "{lost} of 60");
    }
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

#[test]
fn who_comes_back_while_the_store_is_away_is_held_no_more() {
    let (mut world, all) = fleet();
    world.wait(60.0);
    assert!(world.registry.snapshot().fleet_hold.is_some());
    world.store.fail(true);
    world.run(declare("s0", Some(1), None)).expect_err("no store");
    world.wait_beating(20.0, &beating(&all));
    world.store.fail(false);
    world.wait_beating(20.0, &beating(&all));
    assert!(world.registry.snapshot().fleet_hold.is_none());
    assert_eq!(history(&world).last().map(String::as_str), Some("release *"));
}

/// Instances that beat three times in a lease, about, as servers tell their clients.
struct Beating {
    lease: f64,
    /// When each of them beats next, in seconds.
    next: Vec<f64>,
    now: f64,
    rng: TestRng,
}

impl Beating {
    fn new(all: usize, lease: u32) -> Self {
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let mut beating = Self { lease: lease.into(), next: Vec::new(), now: 0.0, rng };
        beating.next = (0..all).map(|_| beating.fraction() * beating.lease / 3.0).collect();
        beating
    }

    fn fraction(&mut self) -> f64 {
        f64::from(self.rng.next_u32()) / f64::from(u32::MAX)
    }

    /// Lets time pass while those from the first one on beat.
    fn wait(&mut self, world: &mut World, seconds: f64, all: &[(String, String)], first: usize) {
        let until = self.now + seconds;
        while self.now < until {
            self.now += 0.1;
            world.clock.advance(Duration::from_millis(100));
            world.tick();
            for (number, (service, id)) in all.iter().enumerate().skip(first) {
                if self.next[number] <= self.now {
                    self.next[number] = self.now + self.lease / 3.0 * (0.9 + 0.2 * self.fraction());
                    let beaten = world.registry.beat(service, id, None);
                    assert!(matches!(beaten, Beaten::Renewed { .. }), "{service}/{id}: {beaten:?}");
                }
            }
        }
    }
}

/// What lapsed, what is held one by one, and whether the fleet is, when the first of these instances stop beating at
/// once and the others go on for two leases.
fn after_losing(lost: usize, lease: u32) -> (usize, usize, bool) {
    let mut world = guarded();
    let all: Vec<_> = (0..200).map(|number| (format!("s{}", number / 10), format!("i{number}"))).collect();
    let wish = Registration { lease_seconds: Some(lease.into()), ..facts() };
    all.iter().for_each(|(service, id)| drop(world.register(service, id, wish.clone())));
    let mut beating = Beating::new(all.len(), lease);
    beating.wait(&mut world, f64::from(lease), &all, 0);
    beating.wait(&mut world, 2.0 * f64::from(lease), &all, lost);
    let census = world.registry.census();
    (census.lapsed(), census.states.get(State::Held), world.registry.snapshot().fleet_hold.is_some())
}

#[test]
fn whoever_is_lost_with_more_than_the_share_at_once_is_held_from_the_first_on() {
    for lost in [31, 33, 36, 45, 54, 200] {
        assert_eq!(after_losing(lost, 15), (0, 0, true), "{lost} of 200");
    }
    let (lapsed, held, fleet) = after_losing(30, 15);
    assert_eq!((lapsed + held, fleet), (30, false), "15 % are not more than 15 %");
}

#[test]
fn leases_of_any_length_are_held_from_the_first_on() {
    for lease in [2, 4, 19, 127, 150, 300, 1000] {
        assert_eq!(after_losing(36, lease), (0, 0, true), "leases of {lease} s");
    }
}

#[test]
fn those_who_are_not_back_when_most_are_get_a_full_lease_more() {
    let (mut world, all) = fleet();
    world.wait(300.0);
    assert!(world.registry.snapshot().fleet_hold.is_some());
    world.wait_beating(1.0, &beating(&all[20..]));
    assert!(world.registry.snapshot().fleet_hold.is_none(), "most are back");
    world.wait_beating(14.0, &beating(&all[20..]));
    let census = world.registry.census();
    assert_eq!((census.serving(), census.states.get(State::Held)), (200, 0), "the others may still come");
    world.wait_beating(1.0, &beating(&all[10..]));
    world.wait_beating(3.0, &beating(&all[10..]));
    let census = world.registry.census();
    assert_eq!((census.states.get(State::Held), census.lapsed()), (5, 5), "those who did not are gone");
}

#[test]
fn a_hold_does_not_end_while_the_fleet_is_held() {
    let (mut world, all) = fleet();
    world.wait_beating(400.0, &beating(&all[2..]));
    assert_eq!(in_state(&world, "s0", State::Held).len(), 1, "it fell silent before the others");
    world.wait(600.0);
    assert_eq!(in_state(&world, "s0", State::Held).len(), 1, "the network is away, and its time is over");
    world.wait_beating(1.0, &beating(&all[2..]));
    world.wait_beating(13.0, &beating(&all[2..]));
    assert!(world.registry.snapshot().fleet_hold.is_none());
    assert_eq!(in_state(&world, "s0", State::Held).len(), 1, "it may come back with the others");
    world.wait_beating(3.0, &beating(&all[2..]));
    assert_eq!(in_state(&world, "s0", State::Lapsed).len(), 2);
    world.assert_consistent();
}

#[test]
fn a_stall_of_our_own_ends_no_hold_of_the_fleet() {
    let (mut world, all) = fleet();
    world.wait_beating(60.0, &beating(&all[100..]));
    assert!(world.registry.snapshot().fleet_hold.is_some());
    world.clock.advance(Duration::from_secs(7200));
    world.tick();
    world.wait_beating(60.0, &beating(&all[100..]));
    assert_eq!((world.registry.census().lapsed(), world.registry.snapshot().fleet_hold.is_some()), (0, true));
}

#[test]
fn a_restart_in_the_midst_gives_everybody_a_full_lease_and_holds_the_silent_anew() {
    let (mut world, all) = fleet();
    world.wait_beating(60.0, &beating(&all[100..]));
    let mut world = world.restart();
    assert!(world.registry.snapshot().fleet_hold.is_none());
    world.wait_beating(30.0, &beating(&all[100..]));
    assert_eq!((world.registry.census().serving(), world.registry.snapshot().fleet_hold.is_some()), (200, true));
    world.wait_beating(1.0, &beating(&all));
    world.wait_beating(20.0, &beating(&all));
    assert_eq!((world.registry.census().serving(), world.registry.snapshot().fleet_hold.is_none()), (200, true));
}

/// What befalls a fleet while some of it is silent.
#[derive(Debug, Clone)]
enum Move {
    Wait(u32),
    /// The server does not run for ten minutes.
    Stall,
    Restart,
    /// The store is away for a while.
    Fail,
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => (1..40u32).prop_map(Move::Wait),
        1 => Just(Move::Stall),
        1 => Just(Move::Restart),
        1 => Just(Move::Fail),
    ]
}

/// A hundred instances of ten services, some of which are silent.
struct Play {
    world: World,
    all: Vec<(String, String)>,
    beating: Beating,
    /// So many of the first ones are silent.
    lost: usize,
    /// Seconds since the last full lease of those.
    silence: f64,
}

impl Play {
    fn new() -> Self {
        let mut world = guarded();
        let all: Vec<_> = (0..100).map(|number| (format!("s{}", number / 10), format!("i{number}"))).collect();
        all.iter().for_each(|(service, id)| drop(world.register(service, id, facts())));
        Self { world, all, beating: Beating::new(100, 15), lost: 0, silence: 0.0 }
    }

    fn wait(&mut self, seconds: f64) {
        self.beating.wait(&mut self.world, seconds, &self.all, self.lost);
        self.silence += seconds;
    }

    fn step(&mut self, next: &Move) {
        match next {
            Move::Wait(seconds) => self.wait(f64::from(*seconds)),
            Move::Stall => {
                self.world.clock.advance(Duration::from_secs(600));
                self.world.tick();
            }
            Move::Restart => {
                self.world = self.world.restart();
                self.silence = 0.0;
            }
            Move::Fail => {
                self.world.store.fail(true);
                self.world.run(declare("s0", Some(1), None)).expect_err("no store");
                self.wait(20.0);
                self.world.store.fail(false);
                self.wait(12.0);
                self.silence = 0.0;
            }
        }
        self.check();
    }

    /// Nobody of a large loss has lapsed; of a small one all have, but for the last of each service.
    fn check(&self) {
        let census = self.world.registry.census();
        let gone = census.lapsed() + census.states.get(State::Held);
        let is_large = self.lost >= 20;
        if is_large || self.silence < 10.0 && gone == 0 {
            assert_eq!((gone, census.serving()), (0, 100), "{} lost, {} s", self.lost, self.silence);
        }
        if self.silence > 30.0 {
            assert_eq!(self.world.registry.snapshot().fleet_hold.is_some(), is_large, "{} lost", self.lost);
            assert!(is_large || gone == self.lost, "{gone} of {} are silent", self.lost);
        }
        assert!(gone <= self.lost, "nobody who beats");
    }

    /// Everybody comes back, at once.
    fn heal(&mut self) {
        for (service, id) in &self.all {
            if matches!(self.world.registry.beat(service, id, None), Beaten::Lapsed { .. }) {
                self.world.run(bring_back(service, id, None)).expect("back");
            }
        }
        self.lost = 0;
        self.wait(32.0);
        let census = self.world.registry.census();
        assert_eq!(census.states.get(State::Serving), 100);
        assert!(self.world.registry.snapshot().fleet_hold.is_none());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whoever_beats_stays_and_a_large_loss_is_held(episodes in prop::collection::vec((1..100usize, prop::collection::vec(moves(), 1..6)), 1..4)) {
        let mut play = Play::new();
        for (lost, moves) in episodes {
            play.wait(16.0);
            (play.lost, play.silence) = (lost, 0.0);
            moves.iter().for_each(|next| play.step(next));
            play.heal();
        }
        play.world.assert_consistent();
    }
}
