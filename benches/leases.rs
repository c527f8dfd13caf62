//! Nanoseconds per beat, microseconds per tick and octets per lease: `cargo bench --bench leases`.
//!
//! Lone sessions, ten of a service, beat in an order that no cache knows, all of them once in five seconds of the
//! lease clock, ticks in between; nobody lapses. One line per number of sessions: `leases N beat_ns tick_us
//! octets`. With `--threads` the same beats by two threads at once, next to the beats of one, show what the one
//! lock costs. Times are medians.

// A program that prints a table and takes its time.
#![allow(missing_docs, clippy::print_stdout, clippy::disallowed_methods)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use zonebeat::model::Revision;
use zonebeat::registry::Beaten;
use zonebeat::registry::lease::{Leases, TICK};

const NUMBERS: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
const PER_SERVICE: usize = 10;
const LEASE_SECONDS: u32 = 15;
/// Ticks between two beats of a session.
const TURN: usize = 50;
const BEATS: usize = 2_000_000;
/// Beats that are timed together; divides the share of every tick.
const FEW: usize = 20;

struct World {
    leases: Leases,
    services: Vec<Arc<str>>,
    ids: Vec<String>,
    octets: f64,
}

fn main() {
    if std::env::args().any(|argument| argument == "--threads") {
        return contend();
    }
    for number in NUMBERS {
        let world = World::new(number);
        let (beat_ns, tick_us) = world.run();
        println!("leases {number} {beat_ns:.0} {tick_us:.2} {:.1}", world.octets);
    }
}

impl World {
    fn new(number: usize) -> Self {
        let services: Vec<Arc<str>> =
            (0..number.div_ceil(PER_SERVICE)).map(|service| format!("service-{service:06}").into()).collect();
        let ids: Vec<String> = (0..PER_SERVICE).map(|id| format!("i{id}")).collect();
        let mut leases = None;
        let allocated = allocation_counter::measure(|| {
            let new = Leases::new();
            new.advance(Duration::ZERO);
            for at in 0..number {
                new.start(&services[at / PER_SERVICE], &ids[at % PER_SERVICE], Revision(1), LEASE_SECONDS);
            }
            leases = Some(new);
        });
        let octets = allocated.bytes_current as f64 / number as f64;
        Self { leases: leases.expect("it has just been made"), services, ids, octets }
    }

    fn number(&self) -> usize {
        self.services.len() * PER_SERVICE
    }

    /// Nanoseconds of a beat and microseconds of a tick.
    fn run(&self) -> (f64, f64) {
        let ticks = (BEATS / self.number()).max(4) * TURN;
        let (mut beating, mut ticking) = (Vec::new(), Vec::new());
        for tick in 1..=ticks {
            let started = Instant::now();
            self.leases.advance(TICK * tick as u32);
            assert!(self.leases.turn().is_empty(), "everybody beats in time");
            ticking.push(started.elapsed());
            self.beat_share(tick, &mut beating);
        }
        (median(beating) / FEW as f64, median(ticking) / 1e3)
    }

    /// The beats of one tick: every fiftieth session, in an order without neighbours; notes the time of each few.
    fn beat_share(&self, tick: usize, times: &mut Vec<Duration>) {
        let number = self.number();
        let share = number / TURN;
        for first in (0..share).step_by(FEW) {
            let started = Instant::now();
            for step in first..first + FEW {
                self.beat((tick % TURN * share + step) * 611_953 % number);
            }
            times.push(started.elapsed());
        }
    }

    fn beat(&self, at: usize) {
        let beaten = self.leases.beat(&self.services[at / PER_SERVICE], &self.ids[at % PER_SERVICE], Some(1));
        assert!(matches!(beaten, Beaten::Renewed { .. }), "{beaten:?}");
    }

    /// Beats per second of so many threads, each with sessions of its own.
    fn rate(&self, threads: usize) -> f64 {
        let (stop, number) = (AtomicBool::new(false), self.number());
        let started = Instant::now();
        let beats: usize = std::thread::scope(|scope| {
            let beat_on = |thread: usize| {
                let mut beats = 0;
                while !stop.load(Ordering::Relaxed) {
                    self.beat((beats * threads + thread) * 611_953 % number);
                    beats += 1;
                }
                beats
            };
            let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || beat_on(thread))).collect();
            std::thread::sleep(Duration::from_secs(2));
            stop.store(true, Ordering::Relaxed);
            running.into_iter().map(|thread| thread.join().expect("no thread panics")).sum()
        });
        beats as f64 / started.elapsed().as_secs_f64()
    }
}

/// In nanoseconds. Not the mean: that would count the time that others take on a busy machine.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_nanos() as f64
}

/// Beats per second at full speed, of one thread and of two.
fn contend() {
    for number in NUMBERS {
        let world = World::new(number);
        println!("threads {number} {:.0} {:.0}", world.rate(1), world.rate(2));
    }
}
