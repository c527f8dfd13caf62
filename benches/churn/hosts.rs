//! Hosts: each is a session of ten instances in ten services, as an agent registers them.
//!
//! Of a hundred transitions, 23 are registrations and 23 deregistrations by hosts that come and go, 29 are changes of
//! address, 22 of them of whole hosts and 7 of one instance, 12 are lapses of hosts that fall silent, and 13 their
//! returns by a beat. An instance counts as one transition each time.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::load::{Chance, Connection, Expected, LAPSED, LAPSES, Plan, member, request};
use super::{ZONE, service};

/// Requests for each transition: 2.3 starts, 2.3 ends, 2.2 whole hosts, 6.8 single changes and 1.3 returns for a
/// hundred.
pub(super) const REQUESTS: f64 = 0.148;
/// Instances of a host.
const SIZE: usize = 10;
/// Hosts of each connection that beat in time.
const OWN: usize = 4;

/// A host with its instances: service, id, address.
struct Host {
    name: String,
    lease: u32,
    up: bool,
    members: Vec<(String, String, Ipv4Addr)>,
}

impl Host {
    fn new(name: String, lease: u32, all: usize, chance: &mut Chance) -> Self {
        let address = chance.address();
        let member = |at| (service(chance.below(all), all), format!("{name}-{at}"), address);
        let members = (0..SIZE).map(member).collect();
        Self { name, lease, up: false, members }
    }

    fn put(&self) -> Vec<u8> {
        let members = self.members.iter().map(|(service, id, address)| member(service, id, *address));
        let members: Vec<String> = members.collect();
        let lease = self.lease;
        let body = format!(r#"{{"epoch":"1","lease_seconds":{lease},"instances":[{}]}}"#, members.join(","));
        request("PUT", &format!("/v1/sessions/{}", self.name), &body)
    }

    fn beat(&self) -> Vec<u8> {
        request("POST", &format!("/v1/sessions/{}/heartbeat", self.name), r#"{"epoch":"1"}"#)
    }

    fn leave(&self) -> Vec<u8> {
        request("DELETE", &format!("/v1/sessions/{}", self.name), "")
    }

    fn name_of(&self, at: usize) -> String {
        let (service, id, _) = &self.members[at];
        format!("{id}.{service}.{ZONE}")
    }
}

struct Client<'p, 'l> {
    plan: &'p Plan<'l>,
    connection: Connection<'p, 'l>,
    chance: Chance,
    hosts: Vec<Host>,
    /// Hosts that fall silent, with the time at which they have lapsed.
    silent: VecDeque<(Instant, Host)>,
}

pub(super) async fn run(plan: &Plan<'_>, number: usize, http: SocketAddr) -> Expected {
    let mut client = Client::new(plan, number, http).await;
    while plan.turn().await {
        client.change().await;
    }
    let address = |host: &Host, at: usize| Some(host.members[at].2).filter(|_| host.up);
    let names = client.hosts.iter().flat_map(|host| (0..SIZE).map(|at| (host.name_of(at), address(host, at))));
    names.collect()
}

impl<'p, 'l> Client<'p, 'l> {
    async fn new(plan: &'p Plan<'l>, number: usize, http: SocketAddr) -> Self {
        let connection = Connection::open(plan, http).await;
        let (mut chance, mix) = (Chance::new(number as u64 + 1), plan.mix);
        let all = mix.instances;
        let hosts = (0..OWN).map(|at| Host::new(format!("h{number}-{at}"), 3600, all, &mut chance)).collect();
        let silent = (mix.rate as f64 * LAPSES / SIZE as f64 * LAPSED.as_secs_f64()).ceil();
        // They begin one after the other: those that begin together would lapse together from then on.
        let begin = |at: usize| Instant::now() + LAPSED.mul_f64(at as f64 / silent);
        let mine = (number..silent as usize).step_by(mix.connections);
        let silent = mine.map(|at| (begin(at), Host::new(format!("q{at}"), 2, all, &mut chance))).collect();
        Self { plan, connection, chance, hosts, silent }
    }

    /// One request.
    async fn change(&mut self) {
        let kind = self.chance.below(175);
        // Some connections have no host that falls silent, those that have make up for it.
        let is_due = |(at, _): &(Instant, Host)| at.elapsed() > Duration::ZERO;
        if self.silent.front().is_some_and(is_due) {
            return self.bring_back().await;
        }
        let at = self.chance.below(self.hosts.len());
        match (kind, self.hosts[at].up) {
            (0..35, true) => self.leave(at).await,
            (_, false) => self.start(at).await,
            (35..70, true) => self.move_host(at).await,
            (_, true) => self.move_one(at).await,
        }
    }

    async fn start(&mut self, at: usize) {
        self.hosts[at].up = true;
        let request = self.hosts[at].put();
        self.connection.change(&request).await;
    }

    async fn leave(&mut self, at: usize) {
        self.hosts[at].up = false;
        let request = self.hosts[at].leave();
        self.connection.change(&request).await;
    }

    /// All its instances have another address.
    async fn move_host(&mut self, at: usize) {
        let address = self.chance.address();
        self.hosts[at].members.iter_mut().for_each(|member| member.2 = address);
        self.put(at, 0).await;
    }

    /// One of its instances has another address.
    async fn move_one(&mut self, at: usize) {
        let (address, which) = (self.chance.address(), self.chance.below(SIZE));
        self.hosts[at].members[which].2 = address;
        self.put(at, which).await;
    }

    async fn put(&mut self, at: usize, which: usize) {
        let host = &self.hosts[at];
        let (request, name, address) = (host.put(), host.name_of(which), host.members[which].2);
        match self.plan.is_watched(&mut self.chance, 0.13) {
            true => self.connection.watch(&request, &name, address).await,
            false => self.connection.change(&request).await,
        }
    }

    /// The host starts, or beats again after it has lapsed.
    async fn bring_back(&mut self) {
        let (_, mut host) = self.silent.pop_front().expect("the caller has looked");
        let request = if host.up { host.beat() } else { host.put() };
        host.up = true;
        self.connection.change(&request).await;
        self.silent.push_back((Instant::now() + LAPSED, host));
    }
}
