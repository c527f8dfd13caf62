//! An instance: one running endpoint of a service, as the registry keeps it and the store writes it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Name, Revision, ServerNumber, Timestamp};

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

/// Whether an instance is answered, and if not, why. The first of these that holds, from the last on, is its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its lease runs: it is in the answers.
    Serving,
    /// Its lease ran out, and the guard keeps it in the answers.
    Held,
    /// Its lease runs, and whoever registered it says that it is not to be answered now.
    Out,
    /// Its lease runs, and an operator has taken it out of the answers.
    Drained,
    /// Its lease ran out: it is out of the answers and comes back with the next beat.
    Lapsed,
}

/// What an operator said of an instance: by whom, why and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Mark {
    /// Who: a token's name or `anonymous`.
    #[schema(value_type = String)]
    pub author: Box<str>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String)]
    pub reason: Box<str>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// The change that said it.
    pub revision: Revision,
}

/// A weight that an operator gave an instance, instead of the registered one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SetWeight {
    /// SRV weight.
    pub weight: u16,
    /// When the registered weight counts again; never by itself without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// Who said so, when and why.
    pub mark: Mark,
}

/// What operators said of an instance. It is theirs: registering does not change it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct Orders {
    /// It is to be out of the answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drained: Option<Mark>,
    /// It has another weight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<SetWeight>,
}

impl State {
    /// The word for tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Held => "held",
            Self::Out => "out",
            Self::Drained => "drained",
            Self::Lapsed => "lapsed",
        }
    }

    /// Every state.
    pub const ALL: [Self; 5] = [Self::Serving, Self::Held, Self::Out, Self::Drained, Self::Lapsed];

    /// Whether an instance in this state is in the answers.
    pub fn is_serving(self) -> bool {
        matches!(self, Self::Serving | Self::Held)
    }

    /// Whether its lease has run out.
    pub fn is_silent(self) -> bool {
        matches!(self, Self::Held | Self::Lapsed)
    }
}

impl SetWeight {
    /// How long it counts on from `now`, if not for ever. Never longer than it was set for, also if the clock was set
    /// back since.
    pub fn left(&self, now: Timestamp) -> Option<Duration> {
        let until = self.until?;
        Some(until.ahead(now).min(until.ahead(self.mark.time)))
    }
}

impl Orders {
    /// Whether nothing is ordered.
    pub fn is_empty(&self) -> bool {
        self.drained.is_none() && self.weight.is_none()
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
    /// Of a lone instance: the server that counts its lease, where several share the registry. What a session beats for
    /// names none: the session's row does.
    #[serde(default, skip_serializing_if = "ServerNumber::is_none")]
    pub owner: ServerNumber,
    /// Why it is not to be answered now, as whoever registered it says: a check fails, or it is stopping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub out: Option<Box<str>>,
    /// What operators said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Orders>)]
    pub orders: Option<Box<Orders>>,
    /// Which life of this id it is: the revision of the registration that began it.
    pub incarnation: Revision,
    /// Whether it is answered, and if not, why.
    pub state: State,
    /// It is held, and answered under the names of its site alone: others serve elsewhere.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub site_only: bool,
    /// Since when it is in that state.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// The last change of it.
    pub revision: Revision,
}

impl Instance {
    /// Whether it is in answers.
    pub fn is_serving(&self) -> bool {
        self.state.is_serving()
    }

    /// Whether it is in the answers of names that name its site, or of those that name none.
    pub fn serves_under(&self, site: bool) -> bool {
        self.is_serving() && (site || !self.site_only)
    }

    /// Whether its lease has run out.
    pub fn is_silent(&self) -> bool {
        self.state.is_silent()
    }

    /// Its state while its lease runs.
    pub fn resting(&self) -> State {
        match (self.drained(), &self.out) {
            (Some(_), _) => State::Drained,
            (None, Some(_)) => State::Out,
            (None, None) => State::Serving,
        }
    }

    /// Who drained it, and why.
    pub fn drained(&self) -> Option<&Mark> {
        self.orders.as_ref()?.drained.as_ref()
    }

    /// The weight that an operator gave it.
    pub fn set_weight(&self) -> Option<&SetWeight> {
        self.orders.as_ref()?.weight.as_ref()
    }

    /// The weight that is answered.
    pub fn answered_weight(&self) -> u16 {
        self.set_weight().map_or(self.weight, |set| set.weight)
    }

    /// Gives it a state; since `now` if that is another one.
    pub fn enter(&mut self, state: State, now: Timestamp) {
        if self.state != state {
            (self.state, self.since, self.site_only) = (state, now, false);
        }
    }

    /// Changes what operators said of it.
    pub fn order(&mut self, change: impl FnOnce(&mut Orders)) {
        let mut orders = self.orders.take().unwrap_or_default();
        change(&mut orders);
        self.orders = (!orders.is_empty()).then_some(orders);
    }

    /// Whether two registrations of an instance say the same: everything that a caller can register.
    pub fn same_registration(&self, other: &Instance) -> bool {
        self.same_life(other) && self.out == other.out
    }

    /// Whether two registrations are of one life of an instance: all they say is the same, but for whether it is to be
    /// answered.
    pub fn same_life(&self, other: &Instance) -> bool {
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
            owner: ServerNumber::NONE,
            out: None,
            orders: None,
            incarnation: Revision(1),
            state: State::Serving,
            site_only: false,
            since: Timestamp(0),
            revision: Revision(1),
        }
    }
}
