//! TSIG keys (RFC 8945): which there are, and which key may do what with which zone.
//!
//! A [`Keys`] never changes; whoever reads keys again swaps the whole set. The HMAC is ring's, and nothing here shows
//! or gives back a secret.

use std::sync::Arc;

use ring::hmac;
use subtle::ConstantTimeEq;

use crate::model::{Name, TsigAlgorithm};

/// The longest MAC: that of SHA-512.
const LONGEST: usize = 64;

/// A list with this name is a list of every zone.
const EVERY_ZONE: &[u8] = b"\x01*\0";

/// A key that two sides share.
#[derive(Debug, Clone)]
pub struct Key {
    name: Name,
    algorithm: TsigAlgorithm,
    secret: hmac::Key, // its Debug shows the algorithm alone
    transfer: Vec<Name>,
    update: Vec<Name>,
}

/// A message authentication code, whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mac {
    octets: [u8; LONGEST],
    len: usize,
}

impl Mac {
    /// Takes the octets of a MAC; more than the longest are cut off.
    pub fn new(octets: &[u8]) -> Self {
        let len = octets.len().min(LONGEST);
        let mut mac = Self { octets: [0; LONGEST], len };
        mac.octets[..len].copy_from_slice(&octets[..len]);
        mac
    }

    /// Its octets.
    pub fn as_slice(&self) -> &[u8] {
        &self.octets[..self.len]
    }
}

impl Key {
    /// A key that may do nothing yet but sign.
    pub fn new(name: Name, algorithm: TsigAlgorithm, secret: &[u8]) -> Self {
        let hash = match algorithm {
            TsigAlgorithm::HmacSha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            TsigAlgorithm::HmacSha256 => hmac::HMAC_SHA256,
            TsigAlgorithm::HmacSha384 => hmac::HMAC_SHA384,
            TsigAlgorithm::HmacSha512 => hmac::HMAC_SHA512,
        };
        Self { name, algorithm, secret: hmac::Key::new(hash, secret), transfer: Vec::new(), update: Vec::new() }
    }

    /// The same key with the zones that it may transfer and update; `*` is every zone.
    pub fn allowing(self, transfer: Vec<Name>, update: Vec<Name>) -> Self {
        Self { transfer, update, ..self }
    }

    /// Its name, by which both sides know it.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// What it signs with.
    pub fn algorithm(&self) -> TsigAlgorithm {
        self.algorithm
    }

    /// Whether it may transfer the zone with this apex (lower-case wire format).
    pub fn may_transfer(&self, zone: &[u8]) -> bool {
        lists(&self.transfer, zone)
    }

    /// Whether it may update the zone with this apex (lower-case wire format).
    pub fn may_update(&self, zone: &[u8]) -> bool {
        lists(&self.update, zone)
    }

    /// The MAC of `parts`, one behind the other.
    pub fn sign(&self, parts: &[&[u8]]) -> Mac {
        let mut context = hmac::Context::with_key(&self.secret);
        parts.iter().for_each(|part| context.update(part));
        Mac::new(context.sign().as_ref())
    }

    /// Whether `mac`, which may be truncated but not empty, is that of `parts`. Takes the same time wherever they
    /// differ.
    pub fn verify(&self, parts: &[&[u8]], mac: &[u8]) -> bool {
        let whole = self.sign(parts);
        let Some(expected) = whole.as_slice().get(..mac.len()) else { return false };
        !mac.is_empty() && bool::from(expected.ct_eq(mac))
    }
}

fn lists(zones: &[Name], zone: &[u8]) -> bool {
    zones.iter().any(|listed| listed.as_wire() == zone || listed.as_wire() == EVERY_ZONE)
}

/// The keys of the server.
#[derive(Debug, Clone, Default)]
pub struct Keys(Vec<Arc<Key>>);

impl Keys {
    /// These keys; of two with one name, the first counts.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Self {
        let mut keys: Vec<_> = keys.into_iter().map(Arc::new).collect();
        keys.sort_by(|a, b| a.name.as_wire().cmp(b.name.as_wire()));
        keys.dedup_by(|second, first| second.name == first.name);
        Self(keys)
    }

    /// The key with this name (lower-case wire format).
    pub fn find(&self, name: &[u8]) -> Option<&Arc<Key>> {
        let at = self.0.binary_search_by(|key| key.name.as_wire().cmp(name)).ok()?;
        self.0.get(at)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    fn name(text: &str) -> Name {
        Name::parse_absolute(text).expect("a name")
    }

    /// RFC 4231 section 4.3 and RFC 2202 section 3, test case 2.
    #[test]
    fn macs_are_those_of_the_rfcs() {
        let cases = [
            (TsigAlgorithm::HmacSha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            (TsigAlgorithm::HmacSha256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        ];
        for (algorithm, expected) in cases {
            let key = Key::new(name("k"), algorithm, b"Jefe");
            let mac = key.sign(&[b"what do ya want ", b"for nothing?"]);
            assert_eq!(HEXLOWER.encode(mac.as_slice()), expected);
            assert_eq!(mac.as_slice().len(), algorithm.mac_octets());
            assert!(key.verify(&[b"what do ya want for nothing?"], mac.as_slice()));
            assert!(key.verify(&[b"what do ya want for nothing?"], &mac.as_slice()[..10]), "truncated");
            assert!(!key.verify(&[b"what do ya want for nothing!"], mac.as_slice()));
            assert!(!key.verify(&[b"what do ya want for nothing?"], b""));
            assert!(!key.verify(&[b"what do ya want for nothing?"], &[mac.as_slice(), b"\0"].concat()));
        }
    }

    #[test]
    fn a_key_does_what_its_lists_say() {
        let key = Key::new(name("k"), TsigAlgorithm::HmacSha256, b"secret");
        let apex = name("Example.org");
        assert!(!key.may_transfer(apex.as_wire()) && !key.may_update(apex.as_wire()));
        let key = key.allowing(vec![name("example.org")], vec![name("*")]);
        assert!(key.may_transfer(apex.as_wire()) && !key.may_transfer(name("a.example.org").as_wire()));
        assert!(key.may_update(apex.as_wire()) && key.may_update(name("example.net").as_wire()));
    }

    #[test]
    fn keys_are_found_by_name_and_shown_without_secret() {
        let make = |text: &str| Key::new(name(text), TsigAlgorithm::HmacSha256, b"hunter2");
        let keys = Keys::new([make("b"), make("A"), make("c.example.org")]);
        assert_eq!(keys.len(), 3);
        for text in ["a", "b", "c.example.org"] {
            assert_eq!(keys.find(name(text).as_wire()).map(|key| key.name().clone()), Some(name(text)));
        }
        assert!(keys.find(name("d").as_wire()).is_none());
        assert!(!format!("{keys:?}").contains("hunter2"));
    }
}
