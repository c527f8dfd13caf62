//! The set of a session as it goes over the wire, and as it is kept.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::client::Client;
use super::outcome::{ClientError, Reply};
use super::services::Key;
use super::session::CarrySession;
use crate::model::api::{Beaten, Registration, SessionBeat};

/// One instance of the set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Service label.
    pub service: String,
    /// Instance label.
    pub id: String,
    /// What is registered.
    pub registration: Registration,
    /// Why it is to be out of the answers while its lease lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out: Option<String>,
}

impl Member {
    /// Its labels.
    pub fn key(&self) -> Key {
        Key { service: self.service.clone(), id: self.id.clone() }
    }
}

/// Everything that a session beats for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Set {
    /// Another one at each start.
    pub epoch: String,
    /// How long the session may be silent.
    pub lease_seconds: Option<i64>,
    /// Its instances.
    pub instances: Arc<[Member]>,
}

/// The part of the reply that the agent needs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Stored {
    /// The hash to send with beats.
    pub hash: String,
    /// How long the session may be silent.
    pub lease_seconds: u32,
    /// When to beat next.
    pub heartbeat_seconds: f64,
    /// The longest time that a cache may keep an answer with one of its instances.
    #[serde(default)]
    pub ttl_seconds: Option<u32>,
}

/// A session over HTTP.
#[derive(Debug)]
pub struct HttpSession {
    /// Asks each server once per attempt; the waits are the session's.
    pub client: Client,
    /// The session's name.
    pub session: String,
}

impl CarrySession for HttpSession {
    async fn send(&self, set: &Set) -> Result<Reply<Stored>, ClientError> {
        self.client.send_set(&self.session, set).await
    }

    async fn beat(&self, beat: &SessionBeat) -> Result<Reply<Beaten>, ClientError> {
        let reply = self.client.beat_session(&self.session, beat).await?;
        self.client.learn(&reply.body.servers);
        Ok(reply)
    }

    async fn end(&self, epoch: &str) -> Result<(), ClientError> {
        self.client.end_session(&self.session, epoch, "the agent stopped").await.map(|_| ())
    }
}
