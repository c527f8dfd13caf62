//! What the server says of itself: freshness for `/readyz`, counts for `/metrics`.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::api::{self, ViewStatus};
use crate::metrics::Metrics;
use crate::model::{Change, Clock, State};
use crate::registry::{self, Beaten, Registry};
use crate::view::{Published, View};

/// The published view and when it was published.
pub(super) struct Freshness {
    published: Published,
    clock: Arc<dyn Clock>,
    since_ms: AtomicU64,
    registry: OnceLock<Registry>,
}

impl Freshness {
    pub(super) fn new(published: Published, clock: Arc<dyn Clock>) -> Self {
        let since_ms = AtomicU64::new(clock.monotonic().as_millis() as u64);
        Self { published, clock, since_ms, registry: OnceLock::new() }
    }

    /// The registry whose trouble makes answers stale.
    pub(super) fn watch(&self, registry: Registry) {
        let first = self.registry.set(registry);
        debug_assert!(first.is_ok(), "there is one registry");
    }

    /// The view that queries read.
    pub(super) fn published(&self) -> &Published {
        &self.published
    }

    /// Publishes and notes when.
    pub(super) fn publish(&self, view: Arc<View>) {
        self.published.publish(view);
        self.since_ms.store(self.clock.monotonic().as_millis() as u64, Ordering::Relaxed);
    }
}

impl api::Freshness for Freshness {
    fn view(&self) -> Option<ViewStatus> {
        let view = self.published.load();
        let since = Duration::from_millis(self.since_ms.load(Ordering::Relaxed));
        let trouble = self.registry.get().and_then(|registry| registry.health().trouble);
        let unreadable = view.zones.iter().find(|zone| !zone.ready).map(|zone| format!("zone {} has no content: its file has an error, or the registry has not been loaded", zone.apex));
        let stale = match view.stale {
            true => trouble.or_else(|| Some("the registry's store is away".to_owned())),
            false => unreadable,
        };
        Some(ViewStatus { revision: view.revision, age: self.clock.monotonic().saturating_sub(since), stale })
    }
}

/// Counts what the registry does.
pub(super) struct Observer {
    metrics: Metrics,
}

impl Observer {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { metrics }
    }
}

impl registry::Observer for Observer {
    fn committed(&self, changes: &[Arc<Change>], took: Duration) {
        self.metrics.store().committed(took, changes.len());
        changes.iter().for_each(|change| self.metrics.registry().transition(change.transition));
    }

    fn commit_failed(&self) {
        self.metrics.store().failed();
    }

    fn beat(&self, beaten: Beaten) {
        let beats = self.metrics.registry().beats();
        match beaten {
            Beaten::Renewed { .. } => beats.renewed.inc(),
            Beaten::Lapsed { .. } => beats.lapsed.inc(),
            Beaten::Unknown => beats.unknown.inc(),
            Beaten::OldIncarnation { .. } => beats.old_incarnation.inc(),
            Beaten::OutOfSync => beats.out_of_sync.inc(),
        }
    }
}

/// Counts calls over HTTP.
pub(super) struct Calls(pub(super) Metrics);

impl api::Observe for Calls {
    fn answered(&self, call: &str, status: u16, took: Duration) {
        self.0.api().answered(call, status, took);
    }
}

/// Text for `/metrics`; what is only counted now and then is brought up to date first.
pub(super) struct Exposition {
    metrics: Metrics,
    registry: Registry,
}

impl Exposition {
    pub(super) fn new(metrics: Metrics, registry: Registry) -> Self {
        Self { metrics, registry }
    }
}

impl api::Exposition for Exposition {
    fn encode(&self) -> String {
        let (census, health) = (self.registry.census(), self.registry.health());
        let registry = self.metrics.registry();
        registry.set_instances(State::Serving, census.serving);
        registry.set_instances(State::Lapsed, census.lapsed);
        registry.set_services(census.services);
        registry.set_sessions(census.sessions);
        registry.set_revision(self.registry.snapshot().revision);
        self.metrics.store().set_writable(health.writable);
        self.metrics.encode()
    }
}
