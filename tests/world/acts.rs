//! Kills, stalls and restarts.

use std::time::Duration;

use crate::ledger::{Cause, Change, Key};
use crate::story::World;
use crate::support::{eventually, http, signal};
use crate::{GONE, LEASE, REPORTED};

/// How long agents wait at most, after a server was away for some seconds, until they try again.
const RECOVERY: Duration = Duration::from_secs(5);
/// No agent that reaches the server beats less often.
const BEAT: Duration = Duration::from_secs(6);

impl World {
    /// Nobody beats for an instance any more.
    pub(crate) fn dies(&mut self, key: &Key, cause: Cause) {
        let not_before = if self.lossy() { Duration::ZERO } else { LEASE - BEAT };
        let mut ledger = self.ledger();
        ledger.nobody_acts(key, GONE);
        ledger.change(key, Change { cause, to: None, within: GONE, not_before });
        drop(ledger);
        self.may_lapse(key);
    }

    /// `kill -9` of a process that an agent watches; it is started again later.
    pub(crate) fn kill_process(&mut self) {
        let mut choice = Vec::new();
        for (at, host) in self.all.hosts.iter().enumerate().filter(|(at, _)| !self.doomed.contains(at)) {
            let quiet = |key: &Key| self.ledger().until_settled_of(key).is_zero();
            let locals = host.locals.iter().enumerate();
            let living = locals.filter(|(_, local)| host.is_up() && local.lives() && quiet(&local.key));
            choice.extend(living.map(|(local, _)| (at, local)));
        }
        if choice.is_empty() {
            return; // something is due of each
        }
        let (host, local) = *self.rng.pick(&choice);
        self.note(&self.all.hosts[host].locals[local].key, Cause::ProcessKilled, None, REPORTED);
        self.all.hosts[host].kill_process(local);
        self.tally.kills += 1;
        self.after(4.0, move |world| world.start_process(host, local));
    }

    fn start_process(&mut self, host: usize, local: usize) {
        if self.all.hosts[host].is_up() && !self.all.hosts[host].locals[local].lives() {
            // The agent reads the file with its number every second.
            let within = self.soon() + Duration::from_secs(1);
            let shown = self.all.hosts[host].locals[local].shown;
            self.note(&self.all.hosts[host].locals[local].key, Cause::Return, Some(shown), within);
            self.all.hosts[host].start_process(local);
        }
    }

    /// `kill -9` of a command beside `zonebeat run`, which is started again later.
    pub(crate) fn kill_command(&mut self) {
        let at = self.rng.below(self.all.runs.len());
        if !self.all.runs[at].lives() {
            return;
        }
        let number = self.all.runs[at].command_number();
        self.note(&self.all.runs[at].key, Cause::CommandKilled, None, REPORTED);
        signal(number, "KILL");
        self.tally.kills += 1;
        self.after(4.0, move |world| {
            world.all.runs[at].await_end();
            let within = world.soon() + Duration::from_secs(1);
            world.note(&world.all.runs[at].key, Cause::Register, Some(world.all.runs[at].shown), within);
            world.all.runs[at].start();
        });
    }

    pub(crate) fn boot(&mut self, host: usize, within: Duration) {
        for local in &self.all.hosts[host].locals {
            self.note(&local.key, Cause::Register, Some(local.shown), within);
        }
        self.all.hosts[host].boot();
    }

    /// `kill -9` of an agent with its processes; the host boots later.
    pub(crate) fn host_dies(&mut self, host: usize, boots_after: f64) {
        self.all_die(host, Cause::HostDied);
        self.all.hosts[host].die();
        self.tally.dead += 1;
        self.after(boots_after, move |world| world.boot(host, world.soon() + Duration::from_secs(5)));
    }

    fn all_die(&mut self, host: usize, cause: Cause) {
        let locals = self.all.hosts[host].locals.iter().map(|local| (local.key.clone(), local.lives()));
        for (key, lives) in locals.collect::<Vec<_>>() {
            match lives {
                true => self.dies(&key, cause),
                false => self.may_lapse(&key),
            }
        }
    }

    /// Its record lapses, whether it was in an answer or not.
    pub(crate) fn may_lapse(&mut self, key: &Key) {
        *self.lapses.entry(key.clone()).or_default() += 1;
    }

    /// A session in the process of many ends without a word.
    pub(crate) fn session_dies(&mut self, index: usize) {
        let count = self.all.sessions.len();
        let wanted = |at: &usize| *at > 0 && !self.all.sessions[*at].lone && self.all.sessions[*at].lives;
        let Some(index) = (0..count).map(|n| (index + n) % count).find(wanted) else { return };
        for member in self.all.sessions[index].members.clone() {
            match member.shown() {
                Some(_) => self.dies(&member.key, Cause::HostDied),
                None => self.may_lapse(&member.key),
            }
        }
        self.all.sessions[index].lives = false;
        self.fleet.kill(&self.all.sessions[index].name);
        self.tally.dead += 1;
        let back = LEASE.as_secs_f64() + 3.0;
        self.after(back, move |world| world.come_back(index));
    }

    /// When nothing of its death is due any more.
    fn come_back(&mut self, index: usize) {
        let due = self.all.sessions[index].members.iter().map(|member| self.ledger().until_settled_of(&member.key));
        match due.max().filter(|due| !due.is_zero()) {
            Some(due) => self.after(due.as_secs_f64() + 0.1, move |world| world.come_back(index)),
            None => self.revive(index),
        }
    }

    /// SIGSTOP of an agent for longer than its lease.
    pub(crate) fn stall_host(&mut self, host: usize, seconds: f64) {
        self.all_die(host, Cause::HostStalled);
        self.stop(host);
        self.after(seconds, move |world| {
            let within = world.soon() + Duration::from_secs(1);
            for local in world.all.hosts[host].locals.iter().filter(|local| local.lives()) {
                world.note(&local.key, Cause::Return, Some(local.shown), within);
            }
            world.go_on(host);
        });
    }

    /// SIGSTOP of an agent for less: nothing may be seen of it.
    pub(crate) fn nap(&mut self, host: usize, seconds: f64) {
        self.delay(&self.all.hosts[host].name.clone(), seconds);
        self.stop(host);
        self.after(seconds, move |world| world.go_on(host));
    }

    fn stop(&mut self, host: usize) {
        self.all.hosts[host].signal("STOP");
        self.stalled.insert(host);
        self.tally.stalls += 1;
    }

    fn go_on(&mut self, host: usize) {
        self.all.hosts[host].signal("CONT");
        self.stalled.remove(&host);
    }

    /// The same of the process of many.
    pub(crate) fn stall_fleet(&mut self, seconds: f64) {
        self.delay("f", seconds);
        self.fleet.signal("STOP");
        self.tally.stalls += 1;
        self.after(seconds, move |world| {
            world.fleet.signal("CONT");
            world.delay("f", seconds);
        });
    }

    /// What these were about to do they do later.
    fn delay(&mut self, ids: &str, seconds: f64) {
        self.ledger().delay(ids, Duration::from_secs_f64(seconds));
    }

    pub(crate) fn stall_server(&mut self, seconds: f64) {
        self.ledger().pause();
        self.server().signal("STOP");
        self.tally.stalls += 1;
        self.after(seconds, |world| {
            world.server().signal("CONT");
            world.ledger().resume(RECOVERY);
        });
    }

    /// `kill -9` of the server, and another one with its data and addresses.
    pub(crate) fn restart_server(&mut self) {
        self.ledger().pause();
        let setup = self.server.take().expect("it runs").kill();
        self.server = Some(setup.start());
        self.tally.restarts += 1;
        let address = self.server().http();
        eventually("it answers", || http::request(address, "GET", "/readyz", &[], None).is_ok());
        let mut ledger = self.ledger();
        ledger.resume(RECOVERY);
        // Every lease starts full.
        ledger.renew(GONE);
    }
}
