//! Composition root: builds the parts, owns every task, stops them in order.
//!
//! Start: configuration and zone files are read and checked, all sockets are bound, zones that need no registry answer
//! at once (the others with SERVFAIL until the store has been read), then the registry and HTTP start. Stop (SIGTERM,
//! SIGINT): HTTP finishes what is in flight, the registry commits what is queued, and DNS, which answered all the
//! while, drains last. SIGHUP loads the zone files again.

mod health;
mod log;
mod own;
mod plan;
mod publisher;
mod reload;
mod statics;
mod supervise;
mod welcome;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
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
use crate::registry::{Registry, Store};
use crate::view::Published;
use crate::wire::{self, BindError};
use plan::Plan;
use publisher::{Slot, ViewPublisher};
use reload::Reload;
use statics::SharedHolders;

/// How long the first look at the store may take before the server says that it is ready all the same.
const FIRST_LOAD: Duration = Duration::from_secs(60);

/// What `zonebeat serve` was given.
#[derive(Debug, Clone, Default)]
pub struct ServeOptions {
    /// The configuration file, if one was named.
    pub config: Option<PathBuf>,
    /// Flags over it.
    pub overrides: Overrides,
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
    /// The system refuses threads, signals or the like.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
    /// A part ended with a bug of ours.
    #[error("{0}")]
    Broken(String),
}

/// Runs the server until SIGTERM or SIGINT.
pub fn run(options: ServeOptions) -> Result<(), ServeError> {
    let config = read_config(options)?;
    log::start(config.log.level.as_str(), config.log.format);
    config.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(config))
}

fn read_config(options: ServeOptions) -> Result<Config, ServeError> {
    let mut config = options.config.as_deref().map(Config::load).transpose()?.unwrap_or_default();
    config.apply(options.overrides);
    config.validate()?;
    Ok(config)
}

async fn serve(config: Config) -> Result<(), ServeError> {
    let plan = Plan::read(&config)?;
    let wire = wire::bind(plan::wire_options(&config))?;
    let http = listen_http(&config.http.listen).await?;
    let dns_addresses = wire.local_addrs();
    let http_addresses = http.iter().map(TcpListener::local_addr).collect::<Result<Vec<_>, _>>()?;

    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let metrics = Metrics::new();
    let counters = Arc::new(DnsCounters::default());
    register_dns_metrics(&metrics, &counters);
    let identity = config.server_id(hostname().as_deref());
    let compiler = plan.compiler(&config, &identity);
    let published = Published::new(compiler.unready());
    let holders = SharedHolders::new(plan.holders());
    let slot = Slot::default();
    let freshness = Arc::new(health::Freshness::new(published.clone(), Arc::clone(&clock)));
    let publisher =
        ViewPublisher::new(compiler, slot.clone(), Arc::clone(&freshness), Arc::clone(&clock), metrics.clone());

    let (dns_stop, http_stop) = (CancellationToken::new(), CancellationToken::new());
    let dns = wire.serve(published.clone(), counters, dns_stop.clone())?;
    let data_dir = config.data_dir.clone();
    let (registry, writer) = Registry::start(
        plan::registry_options(&config, &plan, &http_addresses),
        Box::new(move || open_store(&data_dir)),
        Box::new(publisher),
        Arc::new(holders.clone()),
        Arc::clone(&clock),
        Arc::new(health::Observer::new(metrics.clone())),
    );

    let tasks = TaskTracker::new();
    let state = api::ApiState {
        registry: registry.clone(),
        metrics: Arc::new(health::Exposition::new(metrics.clone(), registry.clone())),
        freshness,
        observer: Arc::new(health::Calls(metrics)),
        clock,
        shutdown: http_stop.clone(),
        limits: api::Limits { body: config.http.body_limit, ..api::Limits::default() },
        dns: dns_addresses.clone().into(),
    };
    let limits = state.limits.clone();
    let router = api::router(state);
    for listener in http {
        tasks.spawn(api::serve(listener, router.clone(), limits.clone(), http_stop.clone()));
    }
    let reload =
        Reload { config, identity: identity.clone(), plan: plan.clone(), slot, holders, registry: registry.clone() };
    tasks.spawn(reload::on_hangup(reload, http_stop.clone())?);
    tasks.spawn(supervise::watchdog(http_stop.clone()));

    supervise::first_load(&registry, FIRST_LOAD).await;
    if plan.registers_itself() {
        let kept = own::keep_registered(registry.clone(), identity, http_addresses.clone(), http_stop.clone());
        tasks.spawn(kept);
    }
    supervise::ready(&dns_addresses, &http_addresses);
    welcome::print(&plan, &dns_addresses, &http_addresses);

    supervise::until_told_to_stop().await?;
    supervise::stopping();
    http_stop.cancel();
    tasks.close();
    tasks.wait().await;
    registry.stop();
    let written = tokio::task::spawn_blocking(move || writer.join()).await;
    dns_stop.cancel();
    dns.join().await.map_err(ServeError::Broken)?;
    match written {
        Ok(Ok(())) => Ok(()),
        _ => Err(ServeError::Broken("the registry's writer panicked; the log has its message".to_owned())),
    }
}

fn register_dns_metrics(metrics: &Metrics, counters: &Arc<DnsCounters>) {
    let registered =
        DnsCollector::new(Arc::clone(counters)).and_then(|collector| metrics.register(Box::new(collector)));
    registered.expect("the names of the DNS metrics are constants and nobody else has them");
}

async fn listen_http(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, ServeError> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for &address in addresses {
        let listener = TcpListener::bind(address).await.map_err(|source| ServeError::Http { address, source })?;
        listeners.push(listener);
    }
    Ok(listeners)
}

fn open_store(data_dir: &std::path::Path) -> Result<Arc<dyn Store>, crate::registry::StoreError> {
    Ok(Arc::new(EmbeddedStore::open(data_dir)?))
}
