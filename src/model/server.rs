//! Servers that share a registry, and what rows say of them.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// Names one of the servers that share a registry: 1 to 255. Rows name by it the server that counts a lease, its owner.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct ServerNumber(pub u8);

impl ServerNumber {
    /// No server: what the only one of its registry calls itself, and what its rows name, which say nothing then.
    pub const NONE: Self = Self(0);

    /// Whether it names none.
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }
}

/// A session, where several servers share the registry: what another one has to know to take a beat of it. Its members
/// name it in their own rows, and the hash of its set follows from them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRow {
    /// The server that counts its lease.
    pub owner: ServerNumber,
    /// Of the last set.
    pub epoch: Box<str>,
    /// Of the last set, within its epoch.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sequence: u64,
    /// How long it may be silent.
    pub lease_seconds: u32,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A server that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerRow {
    /// As it is configured.
    pub name: String,
    /// What leases name it by. Never two servers' at a time; that of one that has gone may be given again.
    pub number: ServerNumber,
    /// Where clients reach it; base URLs.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// When it started.
    pub started: Timestamp,
}
