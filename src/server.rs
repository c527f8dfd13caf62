//! Composition root: builds the parts, owns every task, stops them in order.
//!
//! Start: configuration and zone files are read and checked, all sockets are bound, zones that need no registry answer
//! at once (the others with SERVFAIL until the store has been read), then the registry and HTTP start. A store that
//! does not open is tried again for ever, except one that another process has: then the server ends, since two on one
//! store are a mistake that nobody would see in answers of SERVFAIL. Stop (SIGTERM, SIGINT): HTTP finishes what is in
//! flight, the registry commits what is queued, and DNS, which answered all the while, drains last. SIGHUP loads the
//! zone files, the certificate and the secrets of cookies and TSIG keys again.

mod cookies;
mod explain;
mod health;
mod keys;
pub mod log;
mod own;
mod plan;
mod publisher;
mod reload;
mod statics;
mod supervise;
mod updates;
mod welcome;
mod zones;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api;
use crate::config::{Config, ConfigError, Overrides, zones::hostname};
use crate::metrics::Metrics;
use crate::metrics::dns::{DnsCollector, DnsCounters};
use crate::model::Clock;
use crate::model::clock::SystemClock;
use crate::registry::store::embedded::EmbeddedStore;
use crate::registry::{Registry, Store, StoreError};
use crate::view::{Compiler, Published};
use crate::wire::{self, BindError};
use explain::DnsExplainer;
use health::Freshness;
use own::OwnRegistration;
use plan::Plan;
use publisher::{Slot, ViewPublisher};
use reload::{Reload, ReloadFiles};
use statics::SharedHolders;
use supervise::StopSignals;
use updates::Updates;
use zones::SharedZones;

/// How long the first look at the store may take before the server says that it is ready all the same.
const FIRST_LOAD: Duration = Duration::from_secs(60);

/// What `zonebeat serve` was given.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The configuration file, if one was named.
    pub config: Option<PathBuf>,
    /// Flags over it.
    pub overrides: Overrides,
    /// Called once when the registry is loaded, or has been waited for in vain.
    pub loaded: fn(),
}

/// Why the server did not start, or stopped with an error.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration or the directory of zone files is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A DNS address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// An HTTP address cannot be listened on.
    #[error("cannot listen on {address} for HTTP: {source}; stop what listens there, or choose another --http")]
    Http {
        /// The address.
        address: SocketAddr,
        /// The system's word.
        source: std::io::Error,
    },
    /// Another server has the store.
    #[error("{0}")]
    Store(String),
    /// The system refuses threads, signals or the like.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
    /// A part ended with a bug of ours.
    #[error("{0}")]
    Broken(String),
}

/// Runs the server until SIGTERM or SIGINT.
pub fn run(options: ServeOptions) -> Result<(), ServeError> {
    let loaded = options.loaded;
    let config = read_config(options)?;
    log::start(config.log.level.as_str(), config.log.format);
    config.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(config, loaded))
}

fn read_config(options: ServeOptions) -> Result<Config, ServeError> {
    let mut config = options.config.as_deref().map(Config::load).transpose()?.unwrap_or_default();
    config.apply(options.overrides);
    config.validate()?;
    Ok(config)
}

/// Builds the parts upstream first, runs them, and stops them downstream last.
async fn serve(config: Config, loaded: fn()) -> Result<(), ServeError> {
    let plan = Arc::new(Plan::read(&config)?);
    let certificates = plan::certificates(&config)?;
    let keys = keys::Reload::start(&config)?;
    let options = plan::wire_options(&config, certificates.clone(), keys.keys());
    let wire = wire::bind(cookies::with_secrets(options, &config)?)?;
    let secrets = cookies::Reload { settings: config.dns.cookies.clone(), cookies: wire.cookies() };
    let http = HttpListeners::bind(&config.http.listen).await?;
    let explainer = wire.explainer();
    let (dns_addresses, encrypted_addresses) = (wire.local_addrs(), wire.encrypted_addrs().clone());

    let parts = Parts::new(&config, &plan)?;
    let dns_stop = CancellationToken::new();
    let updates = Updates::default();
    let wire = wire.with_updates(Arc::new(updates.clone()));
    let dns = wire.serve(parts.freshness.published().clone(), Arc::clone(&parts.counters), dns_stop.clone())?;
    let (registry, writer) = parts.start_registry(&config, &plan, &http.addresses);
    updates.start(registry.clone(), parts.freshness.published().clone());

    explainer.set(DnsExplainer::new(registry.clone(), parts.zones.clone(), Arc::clone(&parts.clock)));

    let (edges, edges_stop) = (TaskTracker::new(), CancellationToken::new());
    let router = api::router(parts.api_state(&config, &registry, &dns_addresses, &edges_stop));
    let limits = http_limits(&config);
    for listener in http.listeners {
        edges.spawn(api::serve(listener, router.clone(), limits.clone(), edges_stop.clone()));
    }
    let files = ReloadFiles { secrets, keys, certificates };
    let reload = parts.reload(config, files, plan.clone(), registry.clone());
    edges.spawn(reload::on_hangup(reload, edges_stop.clone())?);
    edges.spawn(supervise::watchdog(edges_stop.clone()));

    let mut stop_signals = StopSignals::new()?;
    supervise::first_load(&registry, FIRST_LOAD, &mut stop_signals, &writer).await;
    if let Some(error) = parts.store_in_use.get() {
        return Err(ServeError::Store(error.clone()));
    }
    loaded();
    let registers_itself = parts.register_itself(&plan, &registry, &http.addresses, &edges, &edges_stop).await;
    supervise::ready_encrypted(&encrypted_addresses);
    supervise::ready(&dns_addresses, &http.addresses);
    welcome::print(&plan.registering(), &dns_addresses, &http.addresses, registers_itself);
    drop(plan); // reloads hold the one that counts

    stop_signals.told(&writer).await;
    supervise::stopping();
    edges_stop.cancel();
    edges.close();
    edges.wait().await;
    registry.stop();
    let written = tokio::task::spawn_blocking(move || writer.join()).await;
    dns_stop.cancel();
    dns.join().await.map_err(ServeError::Broken)?;
    match written {
        Ok(Ok(())) => Ok(()),
        _ => Err(ServeError::Broken("the registry's writer panicked; the log has its message".to_owned())),
    }
}

/// What several parts share.
struct Parts {
    identity: String,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    counters: Arc<DnsCounters>,
    compiler: Compiler,
    slot: Slot,
    freshness: Arc<Freshness>,
    holders: SharedHolders,
    zones: SharedZones,
    /// Set when another process has the store.
    store_in_use: Arc<OnceLock<String>>,
}

impl Parts {
    fn new(config: &Config, plan: &Plan) -> Result<Self, ConfigError> {
        let identity = config.server_id(hostname().as_deref());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let metrics = Metrics::new();
        let counters = Arc::new(DnsCounters::default());
        register_dns_metrics(&metrics, &counters);
        let compiler = plan.compiler(config, &identity)?;
        let freshness = Arc::new(Freshness::new(Published::new(compiler.unready()), Arc::clone(&clock)));
        let holders = SharedHolders::new(plan.holders());
        let zones = SharedZones::new(Arc::clone(&freshness), holders.clone(), &plan.statics);
        let (slot, store_in_use) = (Slot::default(), Arc::default());
        Ok(Self { identity, clock, metrics, counters, compiler, slot, freshness, holders, zones, store_in_use })
    }

    fn start_registry(&self, config: &Config, plan: &Plan, http: &[SocketAddr]) -> (Registry, JoinHandle<()>) {
        let (data_dir, store_in_use) = (config.data_dir.clone(), Arc::clone(&self.store_in_use));
        let most_changes = config.store.history_changes;
        let (freshness, clock) = (Arc::clone(&self.freshness), Arc::clone(&self.clock));
        let compiler = self.compiler.clone();
        let publisher = ViewPublisher::new(compiler, self.slot.clone(), freshness, clock, self.metrics.clone());
        Registry::start(
            plan::registry_options(config, plan, http),
            Box::new(move || open_store(&data_dir, most_changes, &store_in_use)),
            Box::new(publisher),
            Arc::new(self.holders.clone()),
            Arc::clone(&self.clock),
            Arc::new(health::Observer::new(self.metrics.clone())),
        )
    }

    fn api_state(
        &self,
        config: &Config,
        registry: &Registry,
        dns: &[SocketAddr],
        shutdown: &CancellationToken,
    ) -> api::ApiState {
        api::ApiState {
            registry: registry.clone(),
            metrics: Arc::new(health::Exposition::new(self.metrics.clone(), registry.clone())),
            freshness: Arc::clone(&self.freshness) as Arc<dyn api::Freshness>,
            zones: Arc::new(self.zones.clone()),
            observer: Arc::new(health::Calls(self.metrics.clone())),
            clock: Arc::clone(&self.clock),
            shutdown: shutdown.clone(),
            limits: http_limits(config),
            id: self.identity.as_str().into(),
            since: self.clock.wall(),
            dns: dns.into(),
        }
    }

    /// Registers the server itself where configuration and policy let it; says whether it does.
    async fn register_itself(
        &self,
        plan: &Plan,
        registry: &Registry,
        http: &[SocketAddr],
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> bool {
        if !plan.registers_itself() {
            return false;
        }
        let Some(mut own) = OwnRegistration::new(registry.clone(), self.identity.clone(), http) else { return false };
        own.first_beat().await;
        tasks.spawn(own.keep(stop.clone()));
        true
    }

    fn reload(&self, config: Config, files: ReloadFiles, plan: Arc<Plan>, registry: Registry) -> Reload {
        let (slot, holders, zones) = (self.slot.clone(), self.holders.clone(), self.zones.clone());
        Reload { config, identity: self.identity.clone(), files, plan, slot, holders, zones, registry }
    }
}

/// Open HTTP sockets, with the ports that 0 became.
struct HttpListeners {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
}

impl HttpListeners {
    async fn bind(addresses: &[SocketAddr]) -> Result<Self, ServeError> {
        let mut bound = Self { listeners: Vec::new(), addresses: Vec::new() };
        for &address in addresses {
            let listener = TcpListener::bind(address).await.map_err(|source| ServeError::Http { address, source })?;
            bound.addresses.push(listener.local_addr()?);
            bound.listeners.push(listener);
        }
        Ok(bound)
    }
}

/// DNS over TCP may take half of the descriptors, HTTP a quarter: neither can starve the other, nor the store.
fn http_limits(config: &Config) -> api::Limits {
    let defaults = api::Limits::default();
    let connections = defaults.connections.min(wire::limits::descriptor_limit() / 4).max(1);
    api::Limits { body: config.http.body_limit, connections, ..defaults }
}

fn register_dns_metrics(metrics: &Metrics, counters: &Arc<DnsCounters>) {
    let registered =
        DnsCollector::new(Arc::clone(counters)).and_then(|collector| metrics.register(Box::new(collector)));
    registered.expect("the names of the DNS metrics are constants and nobody else has them");
}

fn open_store(data_dir: &Path, changes: u64, in_use: &OnceLock<String>) -> Result<Arc<dyn Store>, StoreError> {
    let opened = EmbeddedStore::open(data_dir);
    if let Err(error @ StoreError::Locked(_)) = &opened {
        let _ = in_use.set(error.to_string()); // the first time is what counts
    }
    Ok(Arc::new(opened?.keeping(changes)))
}
