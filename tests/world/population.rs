//! The sessions of the world and their instances, as they should be, and how they are begun.

use serde_json::{Value, json};

use crate::hosts::{Access, Host, Local, Run};
use crate::ledger::{Key, Shown};
use crate::rng::Rng;
use crate::{LAST, SERVICE};

/// Hosts with an agent of their own, and commands beside `zonebeat run`: real processes all.
const HOSTS: usize = 6;
const RUNS: usize = 3;
/// One session in so many of the rest is a lone instance by the client library.
const LONE: usize = 10;
/// Sessions of the rest for each of their services.
const PER_SERVICE: usize = 10;

/// An instance of a session in the process of many.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) key: Key,
    pub(crate) facts: Shown,
    address: String,
    /// Its check fails.
    pub(crate) out: bool,
    /// An operator has drained it.
    pub(crate) drained: bool,
}

impl Member {
    /// What is to be seen of it while its session lives.
    pub(crate) fn shown(&self) -> Option<Shown> {
        (!self.out && !self.drained).then_some(self.facts)
    }

    /// As the process of many is told.
    pub(crate) fn wish(&self) -> Value {
        let Shown { port, weight, version } = self.facts;
        let out = self.out.then_some("GET /health answered 503");
        json!({"service": self.key.0, "id": self.key.1, "port": port, "weight": weight, "version": version,
            "address": self.address, "out": out})
    }
}

/// A session in the process of many.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) name: String,
    pub(crate) members: Vec<Member>,
    pub(crate) lives: bool,
    /// A lone instance by the client library.
    pub(crate) lone: bool,
}

/// Everybody.
pub(crate) struct Population {
    pub(crate) sessions: Vec<Session>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) runs: Vec<Run>,
    services: usize,
    made: u16,
}

impl Population {
    /// So many sessions in all; none has begun.
    pub(crate) fn new(sessions: usize, access: &Access, rng: &mut Rng) -> Self {
        let many = sessions.saturating_sub(HOSTS + RUNS);
        let services = (many / PER_SERVICE).max(2);
        let mut all = Self { sessions: Vec::new(), hosts: Vec::new(), runs: Vec::new(), services, made: 0 };
        for number in 0..many {
            let name = format!("f{number:03}");
            let lone = number % LONE == LONE - 1;
            let members = (0..if lone { 1 } else { 2 }).map(|_| all.member(&name, rng)).collect();
            all.sessions.push(Session { name, members, lives: false, lone });
        }
        // The last of its service, which the guard keeps.
        if let Some(member) = all.sessions.first_mut().and_then(|session| session.members.first_mut()) {
            member.key.0 = LAST.to_owned();
        }
        for number in 0..HOSTS {
            let name = format!("host-{number}");
            let locals = [SERVICE, "s0", "s1"].map(|service| {
                let (facts, address) = all.facts();
                Local::new((service.to_owned(), format!("{name}-{service}")), facts, address)
            });
            all.hosts.push(Host::new(name, access.clone(), locals.into()));
        }
        for number in 0..RUNS {
            let (facts, address) = all.facts();
            let key = (SERVICE.to_owned(), format!("run-{number}"));
            all.runs.push(Run::new(key, Shown { version: 1, ..facts }, address, access.clone()));
        }
        all
    }

    /// All services.
    pub(crate) fn services(&self) -> Vec<String> {
        let many = (0..self.services).map(|number| format!("s{number}"));
        many.chain([SERVICE.to_owned(), LAST.to_owned()]).collect()
    }

    /// A new instance for a session, with an id that nobody had before.
    pub(crate) fn member(&mut self, session: &str, rng: &mut Rng) -> Member {
        let service = match rng.below(8) {
            0 => SERVICE.to_owned(),
            _ => format!("s{}", rng.below(self.services)),
        };
        let (facts, address) = self.facts();
        let key = (service, format!("{session}-{}", self.made));
        // The client library registers with the usual weight.
        Member { key, facts, address, out: false, drained: false }
    }

    /// A port that nobody else has, and an address.
    fn facts(&mut self) -> (Shown, String) {
        self.made += 1;
        let facts = Shown { port: 10_000 + self.made, weight: 100, version: 1 };
        (facts, format!("198.51.100.{}", self.made % 250 + 1))
    }
}
