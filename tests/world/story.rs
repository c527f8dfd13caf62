//! What happens in the world: a cycle of acts, again and again, with churn between them, and a quiet time at the end of
//! each in which the programs that follow are compared with the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::fleet::Fleet;
use crate::followers::Followers;
use crate::hosts::Access;
use crate::ledger::{Cause, Change, Key, Ledger, Shown};
use crate::population::Population;
use crate::report::Tally;
use crate::rng::Rng;
use crate::support::{Server, pass};
use crate::{LAST, LEASE, SERVICE, TTL};

/// How often the world looks whether something is due.
const STEP: Duration = Duration::from_millis(20);

type Act = Box<dyn FnOnce(&mut World)>;

pub(crate) struct World {
    pub(crate) access: Access,
    pub(crate) fleet: Fleet,
    pub(crate) all: Population,
    pub(crate) rng: Rng,
    /// Hosts that die or are stopped in this cycle: their processes are not killed alone.
    pub(crate) doomed: BTreeSet<usize>,
    /// Hosts whose agent is stopped.
    pub(crate) stalled: BTreeSet<usize>,
    pub(crate) tally: Tally,
    pub(crate) followers: Followers,
    /// How often an instance may have lapsed.
    pub(crate) lapses: BTreeMap<Key, u32>,
    pub(crate) server: Option<Server>,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    pub(crate) later: Vec<(Instant, Act)>,
    /// Time between two changes.
    pub(crate) pace: Duration,
}

impl World {
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("nobody panics with it")
    }

    pub(crate) fn lossy(&self) -> bool {
        self.ledger().lossy
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().expect("it runs but for the moment of its restart")
    }

    /// Writes into the ledger what is about to be done.
    pub(crate) fn note(&self, key: &Key, cause: Cause, to: Option<Shown>, within: Duration) {
        self.ledger().change(key, Change { cause, to, within, not_before: Duration::ZERO });
    }

    /// Has something done in so many seconds.
    pub(crate) fn after(&mut self, seconds: f64, act: impl FnOnce(&mut Self) + 'static) {
        self.later.push((Instant::now() + Duration::from_secs_f64(seconds), Box::new(act)));
    }

    /// Everybody registers.
    pub(crate) fn begin(&mut self) {
        let within = Duration::from_secs(15); // all at once, and processes that start
        for index in 0..self.all.sessions.len() {
            for member in self.all.sessions[index].members.clone() {
                self.note(&member.key, Cause::Register, member.shown(), within);
            }
            self.all.sessions[index].lives = true;
            match self.all.sessions[index].lone {
                true => self.fleet.enter(&self.all.sessions[index].members[0].wish()),
                false => self.send(index),
            }
        }
        (0..self.all.hosts.len()).for_each(|host| self.boot(host, within));
        for run in 0..self.all.runs.len() {
            self.note(&self.all.runs[run].key, Cause::Register, Some(self.all.runs[run].shown), within);
            self.all.runs[run].start();
        }
        let due = self.ledger().until_settled();
        self.rest(due);
    }

    /// Turns for so long, a cycle at least; each cycle ends with a quiet time.
    pub(crate) fn turn(&mut self, time: Duration) {
        let began = Instant::now();
        loop {
            self.plan();
            let mut next = Instant::now();
            while !self.later.is_empty() {
                self.step();
                if Instant::now() >= next {
                    self.churn();
                    next += self.pace;
                }
            }
            self.quiet();
            if began.elapsed() >= time {
                return;
            }
        }
    }

    /// Does what is due, and waits a moment.
    fn step(&mut self) {
        let now = Instant::now();
        while let Some(at) = self.later.iter().position(|(time, _)| *time <= now) {
            let (_, act) = self.later.remove(at);
            act(self);
        }
        pass(STEP);
    }

    /// Lets time pass in which nothing new is done.
    fn rest(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.step();
        }
    }

    /// The acts of one cycle.
    fn plan(&mut self) {
        let cycle = self.tally.cycles as usize;
        let hosts = self.all.hosts.len();
        let (dies, stalls, naps) = (cycle % hosts, (cycle + 1) % hosts, (cycle + 2) % hosts);
        self.doomed = [dies, stalls, naps].into();
        let of_cycle = move |number: usize| 1 + (cycle * 11 + number * 3);
        let at = |world: &mut Self, time: f64, act: fn(&mut Self)| world.after(time, act);
        self.after(1.0, move |world| world.session_dies(of_cycle(0)));
        at(self, 4.0, Self::kill_process);
        at(self, 7.0, Self::kill_command);
        at(self, 10.0, |world| world.lose(30));
        self.after(11.0, move |world| world.host_dies(dies, 20.0));
        self.after(11.5, move |world| world.session_dies(of_cycle(1)));
        self.after(12.0, move |world| world.session_dies(of_cycle(2)));
        at(self, 12.5, Self::last_dies);
        self.after(14.0, move |world| world.stall_host(stalls, 20.0));
        at(self, 18.0, |world| world.stall_fleet(5.0));
        self.after(25.0, move |world| world.nap(naps, 6.0));
        for time in [13.0, 16.0, 19.0, 22.0, 27.5, 32.0, 35.0] {
            at(self, time, Self::kill_process);
        }
        at(self, 29.0, Self::kill_command);
        self.after(38.5, move |world| world.session_dies(of_cycle(3)));
        at(self, 40.0, |world| world.stall_server(3.0));
        at(self, 46.0, Self::restart_server);
        at(self, 52.0, |world| world.lose(0));
        at(self, 56.0, Self::kill_process);
    }

    fn lose(&mut self, percent: u32) {
        self.access.lab.lose(percent);
        self.ledger().lossy = percent > 0;
        self.tally.loss(percent > 0);
    }

    /// Nothing is done until nothing is due, nor in any cache; then everybody has to believe the same.
    fn quiet(&mut self) {
        let due = self.ledger().until_settled();
        self.rest(due + TTL + Duration::from_secs(1));
        let wanted = self.ledger().serving(SERVICE).into_iter().map(|(id, shown)| (id, shown.port)).collect();
        for (name, outcome) in self.followers.compare(&wanted) {
            self.tally.follower(name, outcome, &wanted);
        }
        self.tally.cycles += 1;
        println!("cycle {}: {}", self.tally.cycles, self.ledger().summary());
    }

    /// The last of its service dies: the guard holds it, and says so to everybody who asks.
    fn last_dies(&mut self) {
        let name = self.all.sessions[0].name.clone();
        for member in self.all.sessions[0].members.clone().iter().skip(1) {
            self.dies(&member.key, Cause::HostDied);
        }
        self.fleet.kill(&name);
        self.after(LEASE.as_secs_f64() + 1.0 + 0.5, |world| {
            let stale = world.is_stale();
            world.tally.held(stale);
            world.revive(0);
            world.after(9.0, |world| {
                let stale = world.is_stale();
                world.tally.held(!stale);
            });
        });
    }

    fn is_stale(&self) -> bool {
        let name = format!("_{LAST}._tcp.{}", crate::ZONE);
        let text = self.server().dig(&[&name, "SRV"]);
        text.contains("ANSWER: 1") && text.contains("EDE: 3 (Stale Answer)")
    }

    /// A session in the process of many, which is there again later.
    pub(crate) fn revive(&mut self, index: usize) {
        for member in self.all.sessions[index].members.clone() {
            let shown = member.shown();
            if member.key.0 != LAST {
                self.note(&member.key, Cause::Return, shown, self.soon());
            }
        }
        self.all.sessions[index].lives = true;
        self.send(index);
    }
}
