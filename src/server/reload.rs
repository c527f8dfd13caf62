//! SIGHUP: zone files are read again, and so are the secrets of cookies and TSIG keys and the certificate. A file with
//! an error is refused whole, and its last good data stay.
//!
//! Files are read, parsed and compiled on a thread that may block. What panics there is a failed reload: the zones stay
//! as they are, and the next SIGHUP is heard.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::plan::{self, Plan};
use super::publisher::Slot;
use super::statics::SharedHolders;
use super::zones::SharedZones;
use crate::config::{Config, ConfigError};
use crate::model::{Instance, Principal, Refusal, Service};
use crate::registry::{Action, Command, Registry, StaticNames, names_of};
use crate::view::Compiler;
use crate::wire::Certificates;

/// What a reload needs and changes.
pub(super) struct Reload {
    pub(super) config: Config,
    pub(super) identity: String,
    pub(super) files: ReloadFiles,
    pub(super) plan: Arc<Plan>,
    pub(super) slot: Slot,
    pub(super) holders: SharedHolders,
    pub(super) zones: SharedZones,
    pub(super) registry: Registry,
}

/// What is read again besides zone files.
#[derive(Clone)]
pub(super) struct ReloadFiles {
    pub(super) secrets: super::cookies::Reload,
    pub(super) keys: super::keys::Reload,
    pub(super) certificates: Option<Arc<Certificates>>,
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
            reload.files.read().await;
            match reload.run().await {
                Ok(zones) => tracing::info!(zones, "zone files loaded again"),
                Err(error) => tracing::error!(%error, "zone files not loaded"),
            }
            super::supervise::reloaded();
        }
    })
}

impl ReloadFiles {
    /// Reads the secrets of cookies and keys and the certificate; what is wrong with them is logged there.
    async fn read(&self) {
        let Self { secrets, keys, certificates } = self.clone();
        let reading = tokio::task::spawn_blocking(move || {
            secrets.run();
            keys.run();
            if let Some(certificates) = certificates {
                certificates.reload();
            }
        });
        if let Err(error) = reading.await {
            tracing::error!(%error, "reading secrets and certificates is broken, which is a fault of ours");
        }
    }
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
        self.plan = Arc::new(plan);
        if !refused.is_empty() {
            tracing::warn!(
                files = refused.join(" "),
                "zone files with errors were refused; the last good data of their zones, if there are any, stay"
            );
        }
        let (registry, holders) = (self.registry.clone(), self.holders.clone());
        let (zones, plan) = (self.zones.clone(), Arc::clone(&self.plan));
        let after = move || {
            zones.replace(&plan.statics);
            tell_collisions(&registry, &holders);
        };
        tokio::task::spawn_blocking(after).await?;
        Ok(self.plan.statics.len())
    }

    /// What reads the files; it changes nothing.
    fn reading(&self) -> impl FnOnce() -> Result<(Plan, Compiler, Vec<String>), ConfigError> + Send + use<> {
        let (config, identity, before) = (self.config.clone(), self.identity.clone(), Arc::clone(&self.plan));
        move || {
            let loaded = plan::read_files(&config, |zone| before.publishes_into(zone))?;
            plan::tell(&loaded.findings);
            let refused = loaded.broken.iter().map(|broken| broken.file.clone()).collect();
            let plan = before.reread(&config, loaded.or_keep(&before.statics));
            let compiler = plan.compiler(&config, &identity)?;
            Ok((plan, compiler, refused))
        }
    }
}

/// Static records win: says which services are registered under a name that a file has taken.
fn tell_collisions(registry: &Registry, holders: &SharedHolders) {
    let (options, snapshot) = (registry.options(), registry.snapshot());
    let held = |service: &Service, instance: &Instance| {
        let names = names_of(options, &service.name, instance);
        names.into_iter().find_map(|name| holders.holder(name.as_wire()).map(|place| (name, place)))
    };
    for service in snapshot.services.values() {
        if let Some((name, place)) = service.instances.iter().find_map(|instance| held(service, &instance)) {
            tracing::warn!(service = &*service.name, %name, place, "a static record took a registered name; it wins");
        }
    }
}
