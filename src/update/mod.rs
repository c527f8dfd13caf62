//! UPDATE (RFC 2136): a message becomes a command.
//!
//! The message comes from `wire`, which has verified its signature and answers it; here it is read (`message`,
//! `rdata`), the key is asked whether it may update the zone, and the registry applies all of it or nothing. What
//! the registry says becomes a response code and, for clients that speak EDNS, a sentence; nsupdate shows the code
//! alone, so refusals are logged too.
//!
//! Prerequisites and changes are judged by the registry's single writer, against the view as it is then. An answer of
//! NOERROR means durable and published. A message that comes twice, as it may over UDP, does nothing the second time:
//! adding what is there and deleting what is not are no changes, but a prerequisite that held may hold no more.
//!
//! Nothing is kept here; how many messages may wait is bounded by whoever hands them over.

mod message;
mod rdata;

use std::net::IpAddr;
use std::sync::Arc;

pub use message::{Fault, parse, zone};

use crate::answer::{Ede, Rcode};
use crate::model::{Name, Principal, Refusal, Word};
use crate::registry::{Action, Command, Outcome, Registry, Unmet};
use crate::security::Key;
use crate::view::Published;

/// What history says of why.
const REASON: &str = "UPDATE";

/// Handles UPDATE messages.
#[derive(Clone)]
pub struct Updater {
    /// Who applies them.
    pub registry: Registry,
    /// The zones that are served.
    pub published: Published,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The response code.
    pub rcode: Rcode,
    /// Code and text of the extended error, if there is something to say.
    pub extended: Option<(u16, String)>,
}

impl Answer {
    fn new(rcode: Rcode, code: u16, text: impl Into<String>) -> Self {
        Self { rcode, extended: Some((code, text.into())) }
    }
}

impl Updater {
    /// Does what a message asks that `key` has signed and `client` has sent.
    pub async fn answer(&self, message: &[u8], key: &Key, client: IpAddr) -> Answer {
        let zone = match zone(message) {
            Ok(zone) => zone,
            Err(fault) => return fault.into(),
        };
        let answer = match self.admit(&zone, key) {
            Ok(()) => self.apply(message, key, client).await,
            Err(answer) => answer,
        };
        let text = answer.extended.as_ref().map_or("", |(_, text)| text.as_str());
        let (zone, key) = (written(&zone), written(key.name()));
        match answer.rcode {
            Rcode::NOERROR => tracing::debug!(zone, key, %client, "UPDATE applied"),
            rcode => tracing::info!(zone, key, %client, %rcode, text, "UPDATE not applied"),
        }
        answer
    }

    /// The zone has to be ours, and the key has to be one that may update it.
    fn admit(&self, zone: &Name, key: &Key) -> Result<(), Answer> {
        if self.published.load().zone(zone).is_none() {
            let text = format!("{zone} is no zone of this server");
            return Err(Answer::new(Rcode::NOTAUTH, Ede::NOT_AUTHORITATIVE, text));
        }
        if !key.may_update(zone.as_wire()) {
            let (key, zone) = (written(key.name()), written(zone));
            let text = format!("key {key} may not update zone {zone}; list it in the key's update");
            return Err(Answer::new(Rcode::REFUSED, Ede::PROHIBITED, text));
        }
        Ok(())
    }

    async fn apply(&self, message: &[u8], key: &Key, client: IpAddr) -> Answer {
        let update = match parse(message) {
            Ok(update) => update,
            Err(fault) => return fault.into(),
        };
        let name: Arc<str> = written(key.name()).into();
        let principal = Principal::Key { name, peer: client };
        let command = Command { principal, reason: REASON.to_owned(), action: Action::Update(update) };
        match self.registry.submit(command).await {
            Ok(Outcome::Unmet(unmet)) => unmet.into(),
            Ok(_) => Answer { rcode: Rcode::NOERROR, extended: None },
            Err(refusal) => refusal.into(),
        }
    }
}

/// A name as people write it in a configuration, without its final dot.
fn written(name: &Name) -> String {
    let text = name.to_string();
    text.strip_suffix('.').filter(|text| !text.is_empty()).unwrap_or(&text).to_owned()
}

impl From<Fault> for Answer {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Malformed(text) => Self::new(Rcode::FORMERR, Ede::OTHER, text),
            Fault::OtherClass => Self::new(Rcode::NOTAUTH, Ede::OTHER, "only zones of class IN are served"),
            Fault::OutOfZone(name) => Self::new(Rcode::NOTZONE, Ede::OTHER, format!("{name} is not in the zone")),
        }
    }
}

impl From<Unmet> for Answer {
    fn from(unmet: Unmet) -> Self {
        let (rcode, text) = match unmet {
            Unmet::NoName => (Rcode::NXDOMAIN, "prerequisite: a name that should have records has none"),
            Unmet::NameInUse => (Rcode::YXDOMAIN, "prerequisite: a name that should have no records has some"),
            Unmet::NoSet => (Rcode::NXRRSET, "prerequisite: a set that should exist does not, or has other records"),
            Unmet::SetExists => (Rcode::YXRRSET, "prerequisite: a set that should not exist does"),
        };
        Self::new(rcode, Ede::OTHER, text)
    }
}

/// What is refused was asked in vain; what failed may be asked again.
impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let (rcode, code) = match refusal.word {
            Word::NotReady => (Rcode::SERVFAIL, Ede::NOT_READY),
            Word::StoreUnavailable | Word::Busy | Word::Internal => (Rcode::SERVFAIL, Ede::OTHER),
            Word::Forbidden | Word::Unauthorized => (Rcode::REFUSED, Ede::PROHIBITED),
            _ => (Rcode::REFUSED, Ede::OTHER),
        };
        Self::new(rcode, code, refusal.detail)
    }
}
