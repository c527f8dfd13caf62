//! Places in the order of batches, and what makes one order differ from another.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::fault::{Fault, Result};
use crate::model::Revision;

/// A place behind a batch. As the value of `head` it is compared as it stands, so its form must not change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// Random text, made with the first batch; empty before that.
    pub(super) identity: String,
    /// The batch; they are numbered without gaps, from 1.
    pub(super) number: u64,
    /// The last change of it and of all before it.
    pub(super) revision: Revision,
    /// A hash over all frames up to it.
    pub(super) chain: String,
}

impl Head {
    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers are JSON")
    }

    pub(super) fn parse(json: &[u8]) -> Result<Self> {
        serde_json::from_slice(json).map_err(|error| Fault::Strange(format!("its head does not decode: {error}")))
    }

    /// The place behind one more frame.
    pub(super) fn after(&self, identity: &str, revision: Revision, frame: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(&self.chain);
        hash.update(frame);
        let chain = hex(&hash.finalize()[..16]);
        Self { identity: identity.to_owned(), number: self.number + 1, revision, chain }
    }

    /// Fails if what etcd has cannot have come after this place, which is known.
    pub(super) fn check_leads_to(&self, found: Option<&Self>) -> Result<()> {
        let (known, strange) = (self.number, |detail| Err(Fault::Strange(detail)));
        match found {
            _ if known == 0 => Ok(()),
            None => strange(format!("it is empty, but batch {known} is known")),
            Some(found) if found.identity != self.identity => {
                strange(format!("it is another registry: {}, not {}", found.identity, self.identity))
            }
            Some(found) if found.number < known => strange(format!(
                "it is older than what is known: at batch {} and revision {}, not at {known} and {}",
                found.number, found.revision, self.revision
            )),
            Some(found) if found.number == known && found != self => {
                strange(format!("it has another history: batch {known} is not the one that is known"))
            }
            Some(_) => Ok(()),
        }
    }
}

/// 128 random bits.
pub(super) fn random_id() -> Result<String> {
    let mut octets = [0; 16];
    getrandom::fill(&mut octets).map_err(|error| Fault::Refused(format!("no random numbers: {error}")))?;
    Ok(hex(&octets))
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
