//! Sessions: who beats for several instances at once.
//!
//! Which instances belong to a session is kept in their rows. Its epoch, the number of its set and the hash are memory only: after
//! a restart of ours, and for a server that never saw it, a session is there but its epoch is not known, so that its
//! next beat is answered `unknown-session` and the agent sends its full set. That set is the same, so nothing changes.

use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::model::packed::{Reader, put_number};
use crate::model::{Labelled, Packed, Packer, Revision, ServerNumber, SessionRow};

/// A session with what it beats for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    /// Its name.
    pub(super) name: Arc<str>,
    /// Of the set that this server has seen; `None` after a restart.
    pub(super) epoch: Option<Box<str>>,
    /// The greatest number of a set of this epoch.
    pub(super) sequence: u64,
    /// Of its instances, as [`set_hash`] makes it; kept up to date when an instance leaves for another session. Empty
    /// after a restart, until the agent sends its set.
    pub(super) hash: Box<str>,
    /// How long it may be silent.
    pub(super) lease_seconds: u32,
    /// The server that counts its lease, where several share the registry.
    pub(super) owner: ServerNumber,
    /// Its lease ran out, and its instances are out of the answers.
    pub(super) lapsed: bool,
    /// Its instances: service and id, with their incarnation.
    pub(super) members: Members,
}

/// Services and ids, in their order, with the incarnation of each: about 20 octets a member. One that comes or goes
/// costs a leaf of 32, however large the session is.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Members(Packed);

impl Labelled for Session {
    fn label(&self) -> &str {
        &self.name
    }
}

impl Session {
    /// A session without instances.
    pub(super) fn new(name: Arc<str>, lease_seconds: u32) -> Self {
        let hash = set_hash(std::iter::empty()).into();
        Self {
            name,
            epoch: None,
            sequence: 0,
            hash,
            lease_seconds,
            owner: ServerNumber::NONE,
            lapsed: false,
            members: Members::default(),
        }
    }

    /// What others have to know of it; nothing where there are none.
    pub(super) fn row(&self) -> Option<SessionRow> {
        let epoch = self.epoch.clone().filter(|_| !self.owner.is_none())?;
        Some(SessionRow { owner: self.owner, epoch, sequence: self.sequence, lease_seconds: self.lease_seconds })
    }

    /// The same without its hash, which nobody asks before the epoch is known.
    pub(super) fn unhashed(self) -> Self {
        Self { hash: Box::default(), ..self }
    }

    /// Makes the hash if there is none.
    pub(super) fn need_hash(&mut self) {
        if self.hash.is_empty() {
            self.rehash();
        }
    }

    /// Makes the hash that of the members.
    pub(super) fn rehash(&mut self) {
        self.hash = set_hash(self.members.iter()).into();
    }
}

impl Members {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Service, id and incarnation of each.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str, Revision)> {
        self.0.iter().map(|(key, value)| {
            let key = std::str::from_utf8(key).expect("it was packed from texts");
            let (service, id) = key.split_once(BETWEEN).expect("it was packed from two texts");
            (service, id, Revision(Reader(value).number()))
        })
    }

    /// The services of the instances, each once.
    pub(super) fn services(&self) -> impl Iterator<Item = &str> {
        let mut last = None;
        self.iter().map(|(service, ..)| service).filter(move |service| last.replace(*service) != Some(*service))
    }

    /// Puts an instance in, or gives it another incarnation.
    pub(super) fn insert(&mut self, service: &str, id: &str, incarnation: Revision) {
        let mut value = Vec::with_capacity(10);
        put_number(&mut value, incarnation.0);
        self.0.insert(member(service, id).as_bytes(), &value);
    }

    /// Takes an instance out, if it is there.
    pub(super) fn remove(&mut self, service: &str, id: &str) {
        self.0.remove(member(service, id).as_bytes());
    }
}

impl std::fmt::Debug for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Packs members that come in their order.
#[derive(Default)]
pub(super) struct MembersPacker(Packer);

impl MembersPacker {
    /// Adds an instance behind all others.
    pub(super) fn push(&mut self, service: &str, id: &str, incarnation: Revision) {
        let mut value = Vec::with_capacity(10);
        put_number(&mut value, incarnation.0);
        self.0.push(member(service, id).as_bytes(), &value);
    }

    /// The members.
    pub(super) fn finish(&mut self) -> Members {
        Members(self.0.finish())
    }
}

/// Less than every character of a label, so that keys are in the order of service and id.
const BETWEEN: char = '\0';

fn member(service: &str, id: &str) -> String {
    format!("{service}{BETWEEN}{id}")
}

/// The hash of a session's set, which its beats carry: the first 32 hexadecimal digits of SHA-256 over the lines
/// `service/id@incarnation`, sorted by octets, each ended by a line feed.
pub fn set_hash<'a>(instances: impl Iterator<Item = (&'a str, &'a str, Revision)>) -> String {
    let mut lines: Vec<String> =
        instances.map(|(service, id, incarnation)| format!("{service}/{id}@{incarnation}\n")).collect();
    lines.sort_unstable();
    let mut hasher = Sha256::new();
    for line in &lines {
        hasher.update(line.as_bytes());
    }
    hasher.finalize().iter().take(16).fold(String::with_capacity(32), |mut text, octet| {
        write!(text, "{octet:02x}").expect("a String takes every write");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_of_a_session_is_named_once() {
        let mut session = Session::new("host-17".into(), 15);
        for (service, id) in [("search", "a1"), ("index", "b1"), ("search", "a2"), ("index", "b2")] {
            session.members.insert(service, id, Revision(1));
        }
        assert_eq!(session.members.services().collect::<Vec<_>>(), ["index", "search"]);
    }

    #[test]
    fn the_hash_is_that_of_the_documented_lines() {
        // printf 'a-b/x@2\na/x@1\n' | sha256sum
        let hash = set_hash([("a", "x", Revision(1)), ("a-b", "x", Revision(2))].into_iter());
        assert_eq!(hash, set_hash([("a-b", "x", Revision(2)), ("a", "x", Revision(1))].into_iter()));
        assert_eq!(hash, "595c70dff8726e901e96a0035e3ef267");
        assert_eq!(set_hash(std::iter::empty()), "e3b0c44298fc1c149afbf4c8996fb924");
    }
}
