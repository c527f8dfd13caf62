//! A client that alone writes one service over a kept connection, and remembers what was acknowledged and what was not:
//! the server may die at any moment.

use std::collections::BTreeMap;

use serde_json::Value;

use super::faults::{Chance, Kept};

/// The client. Of an instance it knows what it is to be; `None`: not there.
#[derive(Debug, Clone)]
pub struct Writer<W> {
    pub service: String,
    pub chance: Chance,
    /// What was acknowledged, by id.
    pub acknowledged: BTreeMap<String, Option<W>>,
    /// The write that was under way when the server died.
    pub unanswered: Option<(String, Option<W>)>,
    /// The highest revision that was acknowledged.
    pub revision: u64,
    /// Acknowledged writes.
    pub writes: usize,
}

impl<W: Copy + Eq> Writer<W> {
    pub fn new(number: usize, chance: Chance) -> Self {
        let service = format!("s{number}");
        Self { service, chance, acknowledged: BTreeMap::new(), unanswered: None, revision: 0, writes: 0 }
    }

    /// A write that changes one of so many instances: it leaves, or becomes one of these two.
    pub fn choose(&mut self, instances: u64, one: W, other: W) -> (String, Option<W>) {
        let id = format!("i{}", self.chance.below(instances));
        match self.known(&id) {
            Some(_) if self.chance.below(3) == 0 => (id, None),
            Some(before) if before == one => (id, Some(other)),
            _ => (id, Some(one)),
        }
    }

    /// What an instance is, as far as it was acknowledged.
    pub fn known(&self, id: &str) -> Option<W> {
        self.acknowledged.get(id).copied().flatten()
    }

    /// Registers an instance with this body, or deregisters it (`None`). Says whether the server lives.
    pub fn write(&mut self, connection: &mut Kept, id: &str, wanted: Option<W>, body: Option<&Value>) -> bool {
        self.unanswered = Some((id.to_owned(), wanted));
        let path = format!("/v1/services/{}/instances/{id}", self.service);
        let method = if body.is_some() { "PUT" } else { "DELETE" };
        let Ok(reply) = connection.call(method, &path, body) else { return false };
        assert!(matches!(reply.status, 200 | 201), "{} {}", reply.status, reply.text());
        let revision = reply.json()["revision"].as_u64().expect("every write has a revision");
        assert!(revision > self.revision, "{revision} after {}: the order is lost", self.revision);
        (self.revision, self.unanswered) = (revision, None);
        self.acknowledged.insert(id.to_owned(), wanted);
        self.writes += 1;
        true
    }
}
