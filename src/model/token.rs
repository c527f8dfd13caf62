//! Tokens and who acts: the author of every change.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Timestamp;

/// What a token may write. An empty list means: no limit of this kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Scope {
    /// Patterns of service labels; `*` stands for any run of characters.
    pub services: Vec<String>,
    /// Sites that instances may name.
    pub sites: Vec<String>,
    /// Prefixes that addresses must lie in.
    #[schema(value_type = Vec<String>, example = json!(["192.0.2.0/24"]))]
    pub addresses: Vec<IpNet>,
    /// May create and revoke tokens, and write names that other tokens own.
    pub admin: bool,
}

/// A bearer token as the store keeps it: never the secret, only its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Public id, part of the secret's text; the owner of names.
    pub id: Arc<str>,
    /// What people call it; the author in history.
    pub name: String,
    /// SHA-256 of the whole secret text, lower-case hexadecimal.
    pub hash: String,
    /// What it may write.
    pub scope: Scope,
    /// When it was created.
    pub created: Timestamp,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A caller without a token, from this address.
    Anonymous(SocketAddr),
    /// A caller with a known token.
    Token {
        /// The token.
        token: Arc<Token>,
        /// Where it called from.
        peer: SocketAddr,
    },
    /// The holder of a TSIG key, whose signature has been verified and who may update the zone at hand.
    Key {
        /// The key's name.
        name: Arc<str>,
        /// Where the message came from.
        peer: IpAddr,
    },
    /// The server itself: lapses, its own registration, zone files.
    Server,
}

impl Principal {
    /// The author that history names.
    pub fn author(&self) -> String {
        match self {
            Self::Anonymous(_) => "anonymous".into(),
            Self::Token { token, .. } => format!("token {}", token.name),
            Self::Key { name, .. } => format!("key {name}"),
            Self::Server => "zonebeat".into(),
        }
    }

    /// Where the request came from, for history.
    pub fn source(&self) -> String {
        match self {
            Self::Anonymous(peer) | Self::Token { peer, .. } => peer.ip().to_string(),
            Self::Key { peer, .. } => peer.to_string(),
            Self::Server => "server".into(),
        }
    }

    /// The token's id, which is what owns a name.
    pub fn token_id(&self) -> Option<&Arc<str>> {
        match self {
            Self::Token { token, .. } => Some(&token.id),
            Self::Anonymous(_) | Self::Key { .. } | Self::Server => None,
        }
    }

    /// Whether it may administer: an admin token, or the server.
    pub fn is_admin(&self) -> bool {
        match self {
            Self::Token { token, .. } => token.scope.admin,
            Self::Anonymous(_) | Self::Key { .. } => false,
            Self::Server => true,
        }
    }
}
