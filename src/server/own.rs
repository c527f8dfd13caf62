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

/// The service that servers register themselves as.
pub(super) const SERVICE: &str = "zonebeat";
const RETRY: Duration = Duration::from_secs(1);

/// Registers and beats until the server stops. It does not leave then: a restart goes on where it was.
pub(super) async fn keep_registered(registry: Registry, id: String, http: Vec<SocketAddr>, stop: CancellationToken) {
    let allowed = |address: &&SocketAddr| registry.options().policy.check_address(address.ip()).is_ok();
    let Some(http) = http.iter().find(allowed).copied() else {
        tracing::info!("policy lets no HTTP address of this server into DNS, so it does not register itself");
        return;
    };
    let mut told = None;
    while !stop.is_cancelled() {
        let wait = match beat(&registry, &id, http).await {
            Ok(seconds) => {
                told = None;
                Duration::from_secs_f64(seconds)
            }
            Err(refusal) => {
                if told.as_ref() != Some(&refusal) {
                    tracing::warn!(service = SERVICE, id, %refusal, "the server's own registration was refused");
                    told = Some(refusal);
                }
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
async fn beat(registry: &Registry, id: &str, http: SocketAddr) -> Result<f64, Refusal> {
    if let Beaten::Renewed { lease_seconds } = registry.beat(SERVICE, id, None) {
        return Ok(registry.heartbeat_seconds(lease_seconds));
    }
    let registration = Registration {
        port: i64::from(http.port()),
        addresses: Some(vec![http.ip().to_string()]),
        metadata: [("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned())].into(),
        ..Registration::default()
    };
    let action = Action::Register { service: SERVICE.into(), id: id.into(), registration };
    let reason = "the server registers itself".to_owned();
    registry.submit(Command { principal: Principal::Server, reason, action }).await?;
    Ok(RETRY.as_secs_f64())
}
