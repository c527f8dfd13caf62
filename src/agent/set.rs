//! The set of a session as it is kept and sent, and the calls of a session over HTTP.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::client::Client;
use super::outcome::{ClientError, Reply};
use super::services::Key;
use super::session::CarrySession;
use crate::model::api::{Beaten, Registration, SessionBeat, SessionStored};

/// One instance of the set: a `SessionInstance` of the HTTP interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Service label.
    pub service: String,
    /// Instance label.
    pub id: String,
    /// What is registered.
    pub registration: Registration,
}

impl Member {
    /// Its labels.
    pub fn key(&self) -> Key {
        Key { service: self.service.clone(), id: self.id.clone() }
    }

    /// Why it is to be out of the answers while its lease lives.
    pub fn out(&self) -> Option<&str> {
        self.registration.out.as_deref()
    }
}

/// Everything that a session beats for: a `SessionSet` whose members are shared with whoever compares them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Set {
    /// Another one for each life of the session.
    pub epoch: String,
    /// Grows with each set.
    pub sequence: u64,
    /// How long the session may be silent.
    pub lease_seconds: Option<i64>,
    /// Its instances.
    pub instances: Arc<[Member]>,
    /// Why some that were in it are no longer, for history.
    #[serde(skip)]
    pub reason: Option<Arc<str>>,
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
    async fn send(&self, set: &Set) -> Result<Reply<SessionStored>, ClientError> {
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
