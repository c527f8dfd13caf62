//! Sessions: who beats for several instances at once.
//!
//! Which instances belong to a session is kept in their rows. Its epoch and the hash of its set are memory only: after
//! a restart of ours, and for a server that never saw it, a session is there but its epoch is not known, so that its
//! next beat is answered `unknown-session` and the agent sends its full set. That set is the same, so nothing changes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::model::Revision;

/// A session with what it beats for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    /// Its name.
    pub(super) name: Arc<str>,
    /// Of the set that this server has seen; `None` after a restart.
    pub(super) epoch: Option<Box<str>>,
    /// Of its instances, as [`set_hash`] makes it; kept up to date when an instance leaves for another session.
    pub(super) hash: Box<str>,
    /// How long it may be silent.
    pub(super) lease_seconds: u32,
    /// Its lease ran out, and its instances are out of the answers.
    pub(super) lapsed: bool,
    /// Its instances: service and id, with their incarnation.
    pub(super) members: BTreeMap<(Arc<str>, Box<str>), Revision>,
}

impl Session {
    /// A session without instances.
    pub(super) fn new(name: Arc<str>, lease_seconds: u32) -> Self {
        let hash = set_hash(std::iter::empty()).into();
        Self { name, epoch: None, hash, lease_seconds, lapsed: false, members: BTreeMap::new() }
    }

    /// The services of its instances, each once.
    pub(super) fn services(&self) -> impl Iterator<Item = &Arc<str>> {
        let mut last = None;
        self.members.keys().map(|(service, _)| service).filter(move |service| last.replace(*service) != Some(*service))
    }

    /// Makes the hash that of the members.
    pub(super) fn rehash(&mut self) {
        let members = self.members.iter().map(|((service, id), incarnation)| (&**service, &**id, *incarnation));
        self.hash = set_hash(members).into();
    }
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
            session.members.insert((service.into(), id.into()), Revision(1));
        }
        assert_eq!(session.services().map(|service| &**service).collect::<Vec<_>>(), ["index", "search"]);
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
