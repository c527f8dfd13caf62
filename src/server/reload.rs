//! SIGHUP: zone files are read again. A file with an error is refused whole, and its last good data stay.
//!
//! Files are read, parsed and compiled on a thread that may block. What panics there is a failed reload: the zones stay
//! as they are, and the next SIGHUP is heard.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::plan::{self, Plan};
use super::publisher::Slot;
use super::statics::SharedHolders;
use crate::config::{Config, ConfigError};
use crate::model::{Instance, Principal, Refusal, Service};
use crate::registry::{Action, Command, Registry, StaticNames, names_of};
use crate::view::Compiler;

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
    #[error("reading zone files is broken, which is a fault of ours: {0}; the zones stay as they are")]
    Broken(#[from] tokio::task::JoinError),
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
        let read = self.reading();
        let (plan, compiler, refused) = tokio::task::spawn_blocking(read).await??;
        self.slot.put(compiler);
        let reason = "zone files were loaded again".to_owned();
        let command = Command { principal: Principal::Server, reason, action: Action::ReloadStatics };
        if let Err(refusal) = self.registry.submit(command).await {
            self.slot.take();
            return Err(ReloadError::Registry(refusal));
        }
        self.holders.replace(plan.holders());
        self.plan = plan;
        if !refused.is_empty() {
            tracing::warn!(files = refused.join(" "), "zone files with errors were refused; their last good data stay");
        }
        let (registry, holders) = (self.registry.clone(), self.holders.clone());
        tokio::task::spawn_blocking(move || tell_collisions(&registry, &holders)).await?;
        Ok(self.plan.statics.len())
    }

    /// What reads the files; it changes nothing.
    fn reading(&self) -> impl FnOnce() -> Result<(Plan, Compiler, Vec<String>), ConfigError> + Send + use<> {
        let (config, identity, before) = (self.config.clone(), self.identity.clone(), self.plan.clone());
        move || {
            let loaded = plan::read_files(&config, |zone| before.publishes_into(zone))?;
            plan::tell(&loaded.findings);
            let refused = loaded.broken.iter().map(|broken| broken.file.clone()).collect();
            let plan = before.reread(&config, loaded.or_keep(&before.statics));
            let compiler = plan.compiler(&config, &identity);
            Ok((plan, compiler, refused))
        }
    }
}

/// Static records win: says which services are registered under a name that a file has taken.
fn tell_collisions(registry: &Registry, holders: &SharedHolders) {
    let (options, snapshot) = (registry.options(), registry.snapshot());
    let held = |service: &Service, instance: &Instance| {
        let names = names_of(options, &service.name, instance);
        names.into_iter().find_map(|name| holders.holder(&name).map(|place| (name, place)))
    };
    for service in snapshot.services.values() {
        if let Some((name, place)) = service.instances.iter().find_map(|instance| held(service, instance)) {
            tracing::warn!(service = &*service.name, %name, place, "a static record took a registered name; it wins");
        }
    }
}
