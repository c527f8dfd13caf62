//! The service manager and signals: ready, reloading, stopping, watchdog.

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::registry::Registry;
use crate::wire::EncryptedAddrs;

const LOOK: Duration = Duration::from_millis(10);
/// How often the writer's thread is looked at.
const WRITER_LOOK: Duration = Duration::from_secs(1);

/// Waits until the store has been read, or until it is known that it cannot be, or until the server is told to stop.
pub(super) async fn first_load(
    registry: &Registry,
    longest: Duration,
    signals: &mut StopSignals,
    writer: &JoinHandle<()>,
) {
    let settled = async {
        loop {
            let health = registry.health();
            if health.loaded || health.trouble.is_some() {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let settled = tokio::time::timeout(longest, settled);
    let loaded = tokio::select! {
        in_time = settled => in_time.is_ok(),
        () = signals.told(writer) => return,
    };
    if !loaded {
        tracing::warn!("the registry is still being loaded; registered names answer SERVFAIL until then");
    }
}

/// Says that the server answers: in the log, with the addresses, and to the service manager.
pub(super) fn ready(dns: &[SocketAddr], http: &[SocketAddr]) {
    tracing::info!(dns = list(dns), http = list(http), "ready");
    notify(&[NotifyState::Ready]);
}

/// Says where the encrypted transports answer, if any does.
pub(super) fn ready_encrypted(addresses: &EncryptedAddrs) {
    let EncryptedAddrs { tls, https, quic } = addresses;
    if [tls, https, quic].into_iter().any(|listen| !listen.is_empty()) {
        tracing::info!(tls = list(tls), https = list(https), quic = list(quic), "encrypted transports");
    }
}

/// Says that the server drains.
pub(super) fn stopping() {
    tracing::info!("stopping: finishing what is in flight");
    notify(&[NotifyState::Stopping]);
}

/// Says that a reload begins.
pub(super) fn reloading() {
    let monotonic = NotifyState::monotonic_usec_now();
    match monotonic {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(_) => notify(&[NotifyState::Reloading]),
    }
}

/// Says that a reload has ended.
pub(super) fn reloaded() {
    notify(&[NotifyState::Ready]);
}

/// Tells the service manager's watchdog that the runtime still gets round, as often as it wants.
pub(super) async fn watchdog(stop: CancellationToken) {
    let Some(interval) = sd_notify::watchdog_enabled() else { return };
    loop {
        tokio::select! {
            () = tokio::time::sleep(interval / 2) => notify(&[NotifyState::Watchdog]),
            () = stop.cancelled() => return,
        }
    }
}

/// The signals that end the server. From when it is made they no longer kill the process.
pub(super) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    told: bool,
}

impl StopSignals {
    pub(super) fn new() -> std::io::Result<Self> {
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self { terminate, interrupt, told: false })
    }

    /// Returns at the first signal, or when the registry's writer has ended by itself, which is a bug of ours; and at
    /// once when that has happened before.
    pub(super) async fn told(&mut self, writer: &JoinHandle<()>) {
        let mut looks = tokio::time::interval(WRITER_LOOK);
        while !self.told {
            self.told = tokio::select! {
                _ = self.terminate.recv() => true,
                _ = self.interrupt.recv() => true,
                _ = looks.tick() => writer.is_finished(),
            };
        }
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager was not told");
    }
}

fn list(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(",")
}
