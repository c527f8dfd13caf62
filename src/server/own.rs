//! The server's own registration: `_zonebeat._tcp` answers before anybody else has registered.
//!
//! It goes the way of every registration, with a lease and beats, so it also shows that the way is open. Clients find
//! the HTTP interface there. Its instance is named after the server, so that several servers stand side by side.

use std::net::SocketAddr;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::model::api::Registration;
use crate::model::{Principal, Refusal};
use crate::registry::{Action, Beaten, Command, Registry};
use crate::security::OWN_SERVICE;

const RETRY: Duration = Duration::from_secs(1);

/// The server as an instance of its own registry.
pub(super) struct OwnRegistration {
    registry: Registry,
    id: String,
    http: SocketAddr,
    told: Option<Refusal>,
    /// Whether this process has registered; the record of one before it may have another port or version.
    registered: bool,
}

impl OwnRegistration {
    /// `None`, and a line in the log, when policy lets none of the HTTP addresses into DNS.
    pub(super) fn new(registry: Registry, id: String, http: &[SocketAddr]) -> Option<Self> {
        let allowed = |address: &&SocketAddr| registry.options().policy.check_address(address.ip()).is_ok();
        let Some(http) = http.iter().find(allowed).copied() else {
            tracing::info!("policy lets no HTTP address of this server into DNS, so it does not register itself");
            return None;
        };
        Some(Self { registry, id, http, told: None, registered: false })
    }

    /// Registers, so that the very first query has an answer.
    pub(super) async fn first_beat(&mut self) {
        if self.registry.health().loaded {
            let _ = self.register().await; // the beats come back to it, and tell why it was refused
        }
    }

    /// Beats until the server stops. It does not leave then: a restart goes on where it was.
    pub(super) async fn keep(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let wait = match self.beat().await {
                Ok(seconds) => Duration::from_secs_f64(seconds),
                Err(refusal) => {
                    self.tell(refusal);
                    RETRY
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// One beat, or a registration where a beat is not enough; says when the next one is due, in seconds.
    async fn beat(&mut self) -> Result<f64, Refusal> {
        if self.registered
            && let Beaten::Renewed { lease_seconds } = self.registry.beat(OWN_SERVICE, &self.id, None)
        {
            return Ok(self.registry.heartbeat_seconds(lease_seconds));
        }
        self.register().await?;
        Ok(RETRY.as_secs_f64())
    }

    async fn register(&mut self) -> Result<(), Refusal> {
        let registration = Registration {
            port: i64::from(self.http.port()),
            addresses: Some(vec![self.http.ip().to_string()]),
            metadata: [("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned())].into(),
            ..Registration::default()
        };
        let action = Action::Register { service: OWN_SERVICE.into(), id: self.id.clone(), registration };
        let reason = "the server registers itself".to_owned();
        self.registry.submit(Command { principal: Principal::Server, reason, action }).await?;
        self.registered = true;
        Ok(())
    }

    /// Logs a refusal once, not every second.
    fn tell(&mut self, refusal: Refusal) {
        if self.told.as_ref() != Some(&refusal) {
            tracing::warn!(service = OWN_SERVICE, id = self.id, %refusal, "the server's own registration was refused");
            self.told = Some(refusal);
        }
    }
}
