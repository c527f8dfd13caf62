//! Lone instances: each change is a request of its own. Registrations, changes of address, deregistrations, lapses,
//! returns; and, on every eighth connection, sessions of 10 to 200 of which one instance changes.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::load::{Chance, Connection, Expected, LAPSED, LAPSES, Plan, member, request};
use super::{ZONE, service};

/// Lone instances of each connection that do not lapse.
const OWN: usize = 24;

/// An instance that a connection changes.
pub(super) struct Slot {
    pub(super) service: String,
    pub(super) id: String,
    pub(super) address: Option<Ipv4Addr>,
}

impl Slot {
    fn name(&self) -> String {
        format!("{}.{}.{ZONE}", self.id, self.service)
    }

    pub(super) fn put(&self, address: Ipv4Addr, lease: u32) -> Vec<u8> {
        let body = format!(r#"{{"port":8080,"addresses":["{address}"],"lease_seconds":{lease}}}"#);
        request("PUT", &format!("/v1/services/{}/instances/{}", self.service, self.id), &body)
    }
}

/// A session with one instance changing at each set.
struct Agent {
    name: String,
    members: Vec<(String, String, Ipv4Addr)>,
}

impl Agent {
    fn put(&self) -> Vec<u8> {
        let members = self.members.iter().map(|(service, id, address)| member(service, id, *address));
        let members: Vec<String> = members.collect();
        let body = format!(r#"{{"epoch":"1","lease_seconds":3600,"instances":[{}]}}"#, members.join(","));
        request("PUT", &format!("/v1/sessions/{}", self.name), &body)
    }
}

struct Client<'p, 'l> {
    plan: &'p Plan<'l>,
    connection: Connection<'p, 'l>,
    chance: Chance,
    slots: Vec<Slot>,
    short: VecDeque<(Instant, Slot)>,
    agent: Option<Agent>,
}

pub(super) async fn run(plan: &Plan<'_>, number: usize, http: SocketAddr) -> Expected {
    let mut client = Client::new(plan, number, http).await;
    while plan.turn().await {
        client.change().await;
    }
    client.slots.iter().map(|slot| (slot.name(), slot.address)).collect()
}

impl<'p, 'l> Client<'p, 'l> {
    async fn new(plan: &'p Plan<'l>, number: usize, http: SocketAddr) -> Self {
        let connection = Connection::open(plan, http).await;
        let mut chance = Chance::new(number as u64 + 1);
        let all = plan.mix.instances;
        let mut slot = |kind: &str, at: usize| Slot {
            service: service(chance.below(all), all),
            id: format!("{kind}{number}-{at}"),
            address: None,
        };
        let slots = (0..OWN).map(|at| slot("c", at)).collect();
        let shorts = plan.mix.rate as f64 * LAPSES * LAPSED.as_secs_f64() / plan.mix.connections as f64;
        let short = (0..shorts.ceil() as usize).map(|at| (Instant::now(), slot("l", at))).collect();
        let sizes = [10, 50, 200];
        let size = sizes[number / 8 % sizes.len()];
        let members =
            (0..size).map(|at| (service(chance.below(all), all), format!("s{number}-{at}"), chance.address()));
        let agent =
            number.is_multiple_of(8).then(|| Agent { name: format!("churn-{number}"), members: members.collect() });
        Self { plan, connection, chance, slots, short, agent }
    }

    /// One request: a return (or first registration) of what lapses, a set, or a change of a lone instance.
    async fn change(&mut self) {
        let kind = self.chance.below(850);
        if kind < 80 && self.agent.is_some() {
            return self.set().await;
        }
        if kind < 300 && self.short.front().is_some_and(|(at, _)| at.elapsed() > Duration::ZERO) {
            return self.bring_back().await;
        }
        let at = self.chance.below(self.slots.len());
        let leaves = self.slots[at].address.is_some() && self.chance.below(3) == 0;
        if leaves { self.leave(at).await } else { self.put(at).await }
    }

    async fn set(&mut self) {
        let address = self.chance.address();
        let agent = self.agent.as_mut().expect("who has no agent makes no sets");
        let at = self.chance.below(agent.members.len());
        agent.members[at].2 = address;
        let request = agent.put();
        let (took, status) = self.connection.exchange(&request).await;
        let mut ledger = self.plan.ledger.lock().expect("nobody panics with it");
        if status == 200 { ledger.sessions.push(took) } else { ledger.refuse(self.connection.reply()) }
    }

    async fn bring_back(&mut self) {
        let (_, slot) = self.short.pop_front().expect("the caller has looked");
        self.connection.change(&slot.put(Ipv4Addr::new(198, 19, 0, 1), 2)).await;
        self.short.push_back((Instant::now() + LAPSED, slot));
    }

    async fn leave(&mut self, at: usize) {
        let slot = &mut self.slots[at];
        slot.address = None;
        let request = request("DELETE", &format!("/v1/services/{}/instances/{}", slot.service, slot.id), "");
        self.connection.change(&request).await;
    }

    async fn put(&mut self, at: usize) {
        let address = self.chance.address();
        let slot = &mut self.slots[at];
        slot.address = Some(address);
        let (request, name) = (slot.put(address, 3600), slot.name());
        match self.plan.is_watched(&mut self.chance, 0.5) {
            true => self.connection.watch(&request, &name, address).await,
            false => self.connection.change(&request).await,
        }
    }
}
