//! SIGHUP: zone files are read again. A file with an error is refused whole, and its last good data stay.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::plan::{self, Plan};
use super::publisher::Slot;
use super::statics::SharedHolders;
use crate::config::{Config, ConfigError};
use crate::model::{Principal, Refusal};
use crate::registry::{Action, Command, Registry};

/// What a reload needs and changes.
pub(super) struct Reload {
    pub(super) config: Config,
    pub(super) identity: String,
    pub(super) plan: Plan,
    pub(super) slot: Slot,
    pub(super) holders: SharedHolders,
    pub(super) registry: Registry,
}

/// Why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
enum ReloadError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{0}; the zones stay as they are, send SIGHUP again when the registry is back")]
    Registry(Refusal),
}

/// Reloads at every SIGHUP until the server stops.
pub(super) fn on_hangup(mut reload: Reload, stop: CancellationToken) -> std::io::Result<impl Future<Output = ()>> {
    let mut hangups = signal(SignalKind::hangup())?;
    Ok(async move {
        loop {
            tokio::select! {
                Some(()) = hangups.recv() => {}
                () = stop.cancelled() => return,
            }
            super::supervise::reloading();
            match reload.run().await {
                Ok(zones) => tracing::info!(zones, "zone files loaded again"),
                Err(error) => tracing::error!(%error, "zone files not loaded"),
            }
            super::supervise::reloaded();
        }
    })
}

impl Reload {
    /// Reads all files and puts them in force; says how many zones there are now.
    async fn run(&mut self) -> Result<usize, ReloadError> {
        let loaded = plan::read_files(&self.config)?;
        plan::tell(&loaded.findings);
        let plan = self.plan.reread(&self.config, loaded.or_keep(&self.plan.statics));
        self.slot.put(plan.compiler(&self.config, &self.identity));
        let reason = "zone files were loaded again".to_owned();
        let command = Command { principal: Principal::Server, reason, action: Action::ReloadStatics };
        if let Err(refusal) = self.registry.submit(command).await {
            self.slot.take();
            return Err(ReloadError::Registry(refusal));
        }
        self.holders.replace(plan.holders());
        self.plan = plan;
        Ok(self.plan.statics.len())
    }
}
