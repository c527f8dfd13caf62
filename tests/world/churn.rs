//! What goes on all the time: instances come, change, fail their checks, are drained, and go.

use std::time::Duration;

use crate::ledger::{Cause, Key};
use crate::story::World;
use crate::support::http;

/// Fewer than this are left alone, so that what leaves on purpose empties no service.
const LEAST: usize = 4;
/// The most instances of a session.
const MOST: usize = 4;

impl World {
    /// One change somewhere.
    pub(crate) fn churn(&mut self) {
        let index = 1 + self.rng.below(self.all.sessions.len() - 1); // the first is the one that dies
        let session = &self.all.sessions[index];
        if session.lone {
            return self.churn_lone(index);
        }
        if !session.lives {
            return;
        }
        match self.rng.below(10) {
            0 | 1 => self.add(index),
            2 => self.remove(index),
            3 => self.check(index),
            4 => self.order(index),
            5 => self.edit_host(),
            _ => self.update(index),
        }
    }

    /// How long a change may take that somebody makes.
    pub(crate) fn soon(&self) -> Duration {
        Duration::from_secs(if self.lossy() { 10 } else { 3 })
    }

    fn is_spare(&self, key: &Key) -> bool {
        self.ledger().serving(&key.0).len() > LEAST
    }

    fn some_member(&mut self, session: usize) -> usize {
        self.rng.below(self.all.sessions[session].members.len())
    }

    fn add(&mut self, index: usize) {
        if self.all.sessions[index].members.len() >= MOST {
            return;
        }
        let name = self.all.sessions[index].name.clone();
        let member = self.all.member(&name, &mut self.rng);
        self.note(&member.key, Cause::Register, member.shown(), self.soon());
        self.all.sessions[index].members.push(member);
        self.send(index);
    }

    fn remove(&mut self, index: usize) {
        let member = self.some_member(index);
        let key = self.all.sessions[index].members[member].key.clone();
        if self.all.sessions[index].members.len() < 2 || !self.is_spare(&key) {
            return;
        }
        self.all.sessions[index].members.remove(member);
        self.note(&key, Cause::Leave, None, self.soon());
        self.send(index);
    }

    fn update(&mut self, index: usize) {
        let (at, kind) = (self.some_member(index), self.rng.below(3));
        let member = &mut self.all.sessions[index].members[at];
        match kind {
            0 => member.facts.port = 30_000 + (member.facts.port + 1) % 30_000,
            1 => member.facts.weight = 1 + (member.facts.weight + 7) % 200,
            _ => member.facts.version += 1,
        }
        let (key, shown) = (member.key.clone(), member.shown());
        self.note(&key, Cause::Update, shown, self.soon());
        self.send(index);
    }

    /// A check fails, or passes again.
    fn check(&mut self, index: usize) {
        let at = self.some_member(index);
        let member = self.all.sessions[index].members[at].clone();
        if !member.out && !self.is_spare(&member.key) {
            return;
        }
        let member = &mut self.all.sessions[index].members[at];
        member.out = !member.out;
        let (key, shown) = (member.key.clone(), member.shown());
        self.note(&key, Cause::Check, shown, self.soon());
        self.send(index);
    }

    /// An operator drains an instance, or takes that back: done when it is acknowledged, and not later.
    fn order(&mut self, index: usize) {
        let at = self.some_member(index);
        let member = self.all.sessions[index].members[at].clone();
        let pending = !self.ledger().until_settled_of(&member.key).is_zero();
        let paused = self.ledger().is_paused();
        if paused || pending || !member.drained && !self.is_spare(&member.key) {
            return;
        }
        let member = &mut self.all.sessions[index].members[at];
        member.drained = !member.drained;
        let (key, shown) = (member.key.clone(), member.shown());
        let word = if member.drained { "drain" } else { "undrain" };
        self.note(&key, Cause::Order, shown, Duration::from_secs(30));
        let path = format!("/v1/services/{}/instances/{}/{word}", key.0, key.1);
        let token = ("authorization", format!("Bearer {}", self.access.token));
        let body = br#"{"reason":"the world turns"}"#;
        let reply = http::request(self.server().http(), "POST", &path, &[token], Some(body)).expect("it answers");
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        self.ledger().done(&key);
    }

    /// A lone instance leaves, or comes.
    fn churn_lone(&mut self, index: usize) {
        let Some(member) = self.all.sessions[index].members.first().cloned() else { return };
        let lives = self.all.sessions[index].lives;
        if lives && !self.is_spare(&member.key) || !self.ledger().until_settled_of(&member.key).is_zero() {
            return;
        }
        self.all.sessions[index].lives = !lives;
        if lives {
            // It tries for 3 s, and then its lease runs out.
            let lossy = self.lossy();
            let within = if lossy { crate::GONE } else { self.soon() };
            if lossy {
                self.may_lapse(&member.key);
            }
            self.note(&member.key, Cause::Leave, None, within);
            self.fleet.leave(&member.wish());
        } else {
            self.note(&member.key, Cause::Register, member.shown(), self.soon());
            self.fleet.enter(&member.wish());
        }
    }

    /// Somebody edits a file of services.
    fn edit_host(&mut self) {
        let soon = self.soon() + Duration::from_secs(1); // where inotify cannot be, the folder is read every second
        let at = self.rng.below(self.all.hosts.len());
        let (host, local) = (&mut self.all.hosts[at], self.rng.below(3));
        if !host.is_up() || self.stalled.contains(&at) || !host.locals[local].lives() {
            return;
        }
        host.locals[local].shown.version += 1;
        host.locals[local].shown.weight = 1 + (host.locals[local].shown.weight + 3) % 200;
        host.write(local);
        let (key, shown) = (host.locals[local].key.clone(), host.locals[local].shown);
        self.note(&key, Cause::Update, Some(shown), soon);
    }

    /// Tells the process of many what a session is now.
    pub(crate) fn send(&mut self, index: usize) {
        let session = &self.all.sessions[index];
        let wishes: Vec<_> = session.members.iter().map(super::population::Member::wish).collect();
        self.fleet.set(&session.name, &wishes);
    }
}
