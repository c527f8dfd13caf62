//! How a server and what it works with are.

use serde::{Deserialize, Serialize};

use super::{FleetHeld, ZoneInfo};
use crate::model::{Revision, Timestamp};

/// Reply to `GET /v1/status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Status {
    /// What this server calls itself, as in NSID.
    pub id: String,
    /// Its version.
    pub version: String,
    /// When it was started.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// The data are loaded and the answers fresh, as `/readyz` says.
    pub ready: bool,
    /// Why it is not ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// The last change of the registry.
    pub revision: Revision,
    /// The last change that the answers contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view_revision: Option<Revision>,
    /// Every zone, sorted by name.
    pub zones: Vec<ZoneInfo>,
    /// Where the registry is kept.
    pub store: StoreStatus,
    /// Known services.
    pub services: usize,
    /// Instances by their state.
    pub instances: InstanceCounts,
    /// Sessions with a lease, lone instances included.
    pub sessions: usize,
    /// What the guard does.
    pub guard: GuardStatus,
    /// The last backup that this server gave whole since it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupStatus>,
    /// Every server of the registry, this one first.
    pub servers: Vec<ServerStatus>,
}

/// The store of a server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StoreStatus {
    /// `embedded` or `etcd`; missing as long as it could not be opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// A random text that no other store has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Whether it takes writes.
    pub writable: bool,
    /// What is wrong with it, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Octets that it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub octets: Option<u64>,
    /// Octets that are durable and wait for the form that they are read from.
    pub behind_octets: u64,
}

/// How many instances are in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct InstanceCounts {
    /// In the answers, and beating.
    pub serving: usize,
    /// In the answers although they are silent.
    pub held: usize,
    /// Beating, and not answered because whoever registered them says so.
    pub out: usize,
    /// Beating, and taken out by an operator.
    pub drained: usize,
    /// Out because they were silent.
    pub lapsed: usize,
}

/// What the guard does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct GuardStatus {
    /// Instances that it holds one by one.
    pub held: usize,
    /// Present while the lapses of the whole fleet are held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetHeld>,
}

/// A backup that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BackupStatus {
    /// When it was begun.
    #[schema(value_type = String, format = DateTime)]
    pub made: Timestamp,
    /// The last change that it contains.
    pub revision: Revision,
}

/// One server of the registry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ServerStatus {
    /// What it calls itself.
    pub id: String,
    /// The last change that it has applied.
    pub revision: Revision,
    /// How far it is behind the store, in seconds.
    pub lag_seconds: f64,
    /// Sessions whose leases it counts.
    pub sessions: usize,
}
