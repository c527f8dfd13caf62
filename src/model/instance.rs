//! An instance: one running endpoint of a service, as the registry keeps it and the store writes it.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Name, Revision, Timestamp};

/// Where an instance is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// Its own addresses; it gets its own host name. Sorted, without repetition, never empty.
    #[schema(value_type = Vec<String>)]
    Addresses(Box<[IpAddr]>),
    /// An existing host, which becomes the SRV target.
    #[schema(value_type = String)]
    Host(Name),
}

/// What an instance's session does, and so whether it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its lease runs: it is in the answers.
    Serving,
    /// Its lease ran out: it is out of the answers and comes back with the next beat.
    Lapsed,
}

impl State {
    /// The word for tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Lapsed => "lapsed",
        }
    }
}

/// One running endpoint of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Instance {
    /// Its label, unique within the service.
    #[schema(value_type = String)]
    pub id: Box<str>,
    /// Protocol label without the underscore: `tcp`, `udp`.
    #[schema(value_type = String)]
    pub proto: Arc<str>,
    /// Port, 1 to 65535.
    pub port: u16,
    /// SRV priority: lower is preferred (RFC 2782).
    pub priority: u16,
    /// SRV weight among equal priorities (RFC 2782).
    pub weight: u16,
    /// Data centre or region label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub site: Option<Arc<str>>,
    /// Where it is reached.
    pub endpoint: Endpoint,
    /// Labels that select subsets; sorted, without repetition.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub tags: Box<[Box<str>]>,
    /// Facts for the DNS-SD TXT record; sorted by key.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Vec<Vec<String>>)]
    pub metadata: Box<[(Box<str>, Box<str>)]>,
    /// How long it may be silent, in seconds.
    pub lease_seconds: u32,
    /// The session that beats for it; `None` for a lone instance, which beats for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub session: Option<Arc<str>>,
    /// The start of the process, if that was named: another one begins a new incarnation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Arc<str>>,
    /// Which life of this id it is: the revision of the registration that began it.
    pub incarnation: Revision,
    /// Serving or lapsed.
    pub state: State,
    /// Since when it is in that state.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// The last change of it.
    pub revision: Revision,
}

impl Instance {
    /// Whether it is in the answers.
    pub fn is_serving(&self) -> bool {
        self.state == State::Serving
    }

    /// Whether two lives of an instance publish and behave the same: everything that a caller can register.
    pub fn same_registration(&self, other: &Instance) -> bool {
        let Self { id, proto, port, priority, weight, site, endpoint, tags, metadata, .. } = self;
        let Self { lease_seconds, session, epoch, .. } = self;
        *id == other.id
            && *proto == other.proto
            && *port == other.port
            && *priority == other.priority
            && *weight == other.weight
            && *site == other.site
            && *endpoint == other.endpoint
            && *tags == other.tags
            && *metadata == other.metadata
            && *lease_seconds == other.lease_seconds
            && *session == other.session
            && *epoch == other.epoch
    }
}

#[cfg(test)]
impl Instance {
    /// One that serves, for tests that say what matters to them.
    pub(crate) fn example(id: &str) -> Self {
        Self {
            id: id.into(),
            proto: "tcp".into(),
            port: 80,
            priority: 10,
            weight: 100,
            site: None,
            endpoint: Endpoint::Addresses(["192.0.2.7".parse().expect("address")].into()),
            tags: [].into(),
            metadata: [].into(),
            lease_seconds: 15,
            session: None,
            epoch: None,
            incarnation: Revision(1),
            state: State::Serving,
            since: Timestamp(0),
            revision: Revision(1),
        }
    }
}
