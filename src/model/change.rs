//! Changes: what history keeps of every commit.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::service::ServiceRow;
use super::{Instance, Revision, Scope, Timestamp};

/// What happened to what is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Transition {
    /// A new instance.
    Register,
    /// Other facts about a known instance, or a new incarnation of it.
    Update,
    /// It left on purpose.
    Deregister,
    /// Its lease ran out.
    Lapse,
    /// It beats again after a lapse, or after it was held.
    Return,
    /// An operator took it out of the answers.
    Drain,
    /// An operator lets it be answered again.
    Undrain,
    /// An operator gave it another weight, or the registered one counts again.
    Weight,
    /// Its lease ran out, and the guard keeps it in the answers; of the subject `*`: the fleet's lapses are held.
    Hold,
    /// An operator ended that; of the subject `*`: it ended.
    Release,
    /// Its record was removed an hour after its lapse.
    Reap,
    /// The owner said something about the service.
    Declare,
    /// The owner took the declaration back.
    Undeclare,
    /// The owner let another token write the service.
    Grant,
    /// The owner took that back.
    Revoke,
    /// The service belongs to another token.
    Transfer,
    /// An hour after its last instance left, the service is no longer known.
    Forget,
    /// A token was created.
    TokenCreate,
    /// A token was revoked.
    TokenRevoke,
    /// The static records of a zone changed.
    Static,
    /// An UPDATE message changed static records of a zone.
    Records,
    /// The whole registry came from a backup; the revisions since the one before are skipped.
    Restore,
}

impl Transition {
    /// The word for people and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Update => "update",
            Self::Deregister => "deregister",
            Self::Lapse => "lapse",
            Self::Return => "return",
            Self::Drain => "drain",
            Self::Undrain => "undrain",
            Self::Weight => "weight",
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Reap => "reap",
            Self::Declare => "declare",
            Self::Undeclare => "undeclare",
            Self::Grant => "grant",
            Self::Revoke => "revoke",
            Self::Transfer => "transfer",
            Self::Forget => "forget",
            Self::TokenCreate => "token-create",
            Self::TokenRevoke => "token-revoke",
            Self::Static => "static",
            Self::Records => "records",
            Self::Restore => "restore",
        }
    }

    /// Whether it may change what the names of a service answer.
    pub fn concerns_names(self) -> bool {
        !matches!(
            self,
            Self::Grant
                | Self::Revoke
                | Self::Transfer
                | Self::TokenCreate
                | Self::TokenRevoke
                | Self::Static
                | Self::Records
                | Self::Restore
        )
    }
}

/// What changed, before or after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// An instance.
    Instance(Arc<Instance>),
    /// A service without its instances.
    Service(ServiceRow),
    /// A token without its hash.
    Token {
        /// Public id.
        #[schema(value_type = String)]
        id: Arc<str>,
        /// What people call it.
        name: String,
        /// What it may write.
        scope: Scope,
    },
    /// The static records of a zone, by the hash of their content.
    Static {
        /// Hexadecimal hash of the records.
        hash: String,
    },
    /// Records of the names that an UPDATE message changed, those that stayed included.
    Records {
        /// A line for each, as in a zone file.
        records: Vec<String>,
    },
}

/// The subject of changes of the whole fleet; no service can be called so.
pub const FLEET: &str = "*";

/// One committed change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Change {
    /// Its number.
    pub revision: Revision,
    /// When it was committed.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// Who: a token's or a TSIG key's name, `anonymous`, or `zonebeat` itself.
    #[schema(value_type = String)]
    pub author: Arc<str>,
    /// From where: an address, or `server`.
    #[schema(value_type = String)]
    pub source: Arc<str>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String)]
    pub reason: Arc<str>,
    /// What happened.
    pub transition: Transition,
    /// The service, token or zone it happened to.
    #[schema(value_type = String)]
    pub subject: Arc<str>,
    /// The instance, when it happened to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub instance: Option<Box<str>>,
    /// Name of the token that was granted, revoked or given the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub token: Option<Box<str>>,
    /// How it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Item>,
    /// How it is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Item>,
}
