//! What the server says of itself: freshness for `/readyz`, counts for `/metrics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::api::{self, ViewStatus};
use crate::metrics::Metrics;
use crate::model::{Change, Clock, State};
use crate::registry::{self, Beaten, Health, Registry};
use crate::view::{Published, View};

/// The published view and when it was published.
pub(super) struct Freshness {
    published: Published,
    clock: Arc<dyn Clock>,
    since_ms: AtomicU64,
}

impl Freshness {
    pub(super) fn new(published: Published, clock: Arc<dyn Clock>) -> Self {
        let since_ms = AtomicU64::new(clock.monotonic().as_millis() as u64);
        Self { published, clock, since_ms }
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

/// With the embedded store nobody else writes: an answer is never older than the registry. A disk that takes no writes
/// shows in `/readyz` as not writable, and in answers as EDE 3. A zone that takes registrations and whose file was
/// refused at start answers nothing of what is registered, so the server is not ready.
impl api::Freshness for Freshness {
    fn view(&self) -> Option<ViewStatus> {
        let view = self.published.load();
        let since = Duration::from_millis(self.since_ms.load(Ordering::Relaxed));
        let unreadable = view.zones.iter().find(|zone| zone.dynamic && !zone.readable);
        let stale = unreadable.map(|zone| format!("zone {} has no content: its file has an error", zone.apex));
        Some(ViewStatus { revision: view.revision, age: self.clock.monotonic().saturating_sub(since), stale })
    }
}

/// Counts what the registry does, and logs what becomes of its store: once per change, not once per try.
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
            Beaten::Elsewhere { .. } => beats.elsewhere.inc(),
            Beaten::Unknown => beats.unknown.inc(),
            Beaten::OldIncarnation { .. } => beats.old_incarnation.inc(),
            Beaten::OutOfSync => beats.out_of_sync.inc(),
        }
    }

    fn health_changed(&self, before: &Health, after: &Health) {
        match &after.trouble {
            Some(trouble) if before.loaded && before.trouble.is_some() => {
                tracing::warn!(trouble, "the store still takes no writes, for another reason")
            }
            Some(trouble) if after.loaded => {
                tracing::error!(trouble, "the store takes no writes: changes are refused, answers go on")
            }
            Some(trouble) => {
                tracing::error!(trouble, "the registry is not loaded: registered names answer SERVFAIL")
            }
            None if before.trouble.is_some() => tracing::info!("the store takes writes again"),
            None => {}
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
    fn exposition(&self) -> String {
        let (census, health) = (self.registry.census(), self.registry.health());
        let registry = self.metrics.registry();
        State::ALL.into_iter().for_each(|state| registry.set_instances(state, census.states.get(state)));
        let fleet = self.registry.snapshot().fleet_hold.is_some();
        registry.set_held(census.states.get(State::Held), fleet, census.fleet_held);
        registry.set_services(census.services);
        registry.set_unowned(census.unowned);
        registry.set_sessions(census.sessions);
        registry.set_revision(self.registry.snapshot().revision);
        self.metrics.store().set_writable(health.writable);
        self.metrics.store().set_journal(self.registry.store_behind());
        self.metrics.encode()
    }
}
