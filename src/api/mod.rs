//! The HTTP interface, version 1: one file per resource, `docs/http.md` for people, `/v1/openapi.json` for programs.
//!
//! ```text
//! serve     connections: accept, limits, graceful end; seats: who gives way when there are too many; stall: who
//!           does not read
//! watch     around every call: time limit, panics, counters
//! auth      who asks
//! extract   path, query and body, strictly
//! instances sessions heartbeats services orders held owners dependencies explain zones changes events tokens health
//! status backup metrics   the calls
//! turns     walks over all services, in turns with other calls
//! desk      longer ones, on threads that may block
//! show      rows of the registry -> bodies
//! problem   refusals -> problem documents, the only place that knows statuses
//! openapi   the document, made from the same routes
//! ```
//!
//! A call reads the published snapshot or submits one command; nothing is kept here between calls. Reads need no
//! token. A write is refused before its body is read when the caller cannot be allowed to write at all; whether it may
//! write this name is decided by the registry.

mod auth;
mod backup;
mod changes;
mod dependencies;
mod desk;
mod events;
mod explain;
mod extract;
mod feed;
mod health;
mod held;
mod heartbeats;
mod instances;
mod json;
mod metrics;
pub mod openapi;
mod owners;
mod orders;
pub mod problem;
mod query;
#[cfg(feature = "fuzzing")]
pub use query::read_query;
mod seats;
mod serve;
mod services;
mod sessions;
mod show;
mod stall;
mod status;
mod tokens;
mod turns;
mod watch;
mod zones;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::model::{Clock, Refusal, Timestamp, Word};
use crate::registry::{Registry, Snapshot};

pub use health::{Freshness, ViewStatus};
pub use metrics::Exposition;
pub use openapi::router;
pub use serve::serve;
pub use watch::Observe;
pub use zones::Zones;

/// Bounds of the HTTP interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The most octets a body may have.
    pub body: usize,
    /// How long a body may take to arrive.
    pub body_time: Duration,
    /// How long the head of a request may take, and how long an idle connection is kept.
    pub head_time: Duration,
    /// How long a call may take; events excepted.
    pub call_time: Duration,
    /// Connections at once. One more takes the place of the quietest; it waits while all have calls in flight.
    pub connections: usize,
    /// How long a client may take nothing of what is sent to it, before its connection is closed.
    pub write_time: Duration,
    /// Streams of events at once, at most half of the connections; one more is refused.
    pub streams: usize,
    /// How long calls in flight may take at the end, before their connections are cut.
    pub drain_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 64 * 1024,
            body_time: Duration::from_secs(5),
            head_time: Duration::from_secs(30),
            call_time: Duration::from_secs(10),
            connections: 4096,
            write_time: Duration::from_secs(10),
            streams: 256,
            drain_time: Duration::from_secs(15),
        }
    }
}

/// What the calls work with; built by the composition root.
#[derive(Clone)]
pub struct ApiState {
    /// Who is alive.
    pub registry: Registry,
    /// What `/metrics` shows.
    pub metrics: Arc<dyn Exposition>,
    /// What is published, and how old it is.
    pub freshness: Arc<dyn Freshness>,
    /// Which zones there are.
    pub zones: Arc<dyn Zones>,
    /// Told of every call.
    pub observer: Arc<dyn Observe>,
    /// For ages and creation times.
    pub clock: Arc<dyn Clock>,
    /// Cancelled when the server stops: ends the streams of events.
    pub shutdown: CancellationToken,
    /// Bounds.
    pub limits: Limits,
    /// What this server calls itself.
    pub id: Arc<str>,
    /// When it was started.
    pub since: Timestamp,
    /// Where this server answers DNS: registration replies name it, so that a client can wait until it is answered.
    pub dns: Arc<[SocketAddr]>,
}

impl ApiState {
    /// The published state, unless there is none yet: an empty registry and one that was never loaded differ.
    fn snapshot(&self) -> Result<Arc<Snapshot>, Refusal> {
        self.loaded()?;
        Ok(self.registry.snapshot())
    }

    /// Refuses while the registry has no data.
    fn loaded(&self) -> Result<(), Refusal> {
        let health = self.registry.health();
        if health.loaded {
            return Ok(());
        }
        let why = health.trouble.unwrap_or_else(|| "its store is being read".to_owned());
        Err(Refusal::new(Word::NotReady, format!("the registry has not been loaded: {why}; try again")))
    }
}

/// What every handler gets.
type Shared = axum::extract::State<Arc<ApiState>>;

/// What every handler gives.
type Answer = Result<axum::response::Response, Refusal>;

/// An outcome that does not belong to the command: a fault of ours.
fn unexpected(outcome: &crate::registry::Outcome) -> Refusal {
    Refusal::new(Word::Internal, format!("the registry answered with another outcome: {outcome:?}"))
}
