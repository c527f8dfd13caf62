//! The registry's publisher: compiles views and swaps them in.
//!
//! It holds the snapshot that the published view shows, because a view is compiled from what differs. Zone files come
//! from a slot that a reload fills: the next `reload` takes them, so they are never half applied.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::metrics::Metrics;
use crate::model::{Name, Revision};
use crate::registry::{Publisher, Snapshot, Touched, ZoneRow};
use crate::view::{Compiler, Published, View};

/// Where a reload leaves the compiler made from new zone files.
pub(super) type Slot = Arc<Mutex<Option<Compiler>>>;

/// Compiles and publishes.
pub(super) struct ViewPublisher {
    compiler: Compiler,
    slot: Slot,
    published: Published,
    metrics: Metrics,
    shown: Snapshot,
    prepared: Option<Prepared>,
}

/// A view that is not published yet, and what it takes with it.
struct Prepared {
    view: View,
    shows: Snapshot,
    compiler: Option<Compiler>,
}

impl ViewPublisher {
    pub(super) fn new(compiler: Compiler, slot: Slot, published: Published, metrics: Metrics) -> Self {
        Self { compiler, slot, published, metrics, shown: Snapshot::default(), prepared: None }
    }

    /// Zones of the published view with the last change of their content.
    fn changed(&self) -> Vec<(Name, Revision)> {
        let view = self.published.load();
        view.zones.iter().filter(|zone| zone.dynamic).map(|zone| (zone.apex.clone(), zone.changed())).collect()
    }

    fn prepare_full(&mut self, snapshot: &Snapshot, changed: &[(Name, Revision)], compiler: Option<Compiler>) {
        let started = Instant::now();
        let mut view = compiler.as_ref().unwrap_or(&self.compiler).full(snapshot, changed);
        view.stale = self.published.load().stale;
        self.metrics.view_compiled(started.elapsed());
        self.prepared = Some(Prepared { view, shows: snapshot.clone(), compiler });
    }
}

impl Publisher for ViewPublisher {
    fn load(&mut self, snapshot: &Snapshot, zones: &[(Name, ZoneRow)]) -> Vec<(Name, String)> {
        let changed: Vec<_> = zones.iter().map(|(name, row)| (name.clone(), row.changed)).collect();
        self.prepare_full(snapshot, &changed, None);
        self.compiler.bases()
    }

    fn reload(&mut self, snapshot: &Snapshot) -> Vec<(Name, String)> {
        let waiting = self.slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        let compiler = waiting.unwrap_or_else(|| self.compiler.clone());
        let bases = compiler.bases();
        self.prepare_full(snapshot, &self.changed(), Some(compiler));
        bases
    }

    fn mark(&mut self, zones: &[(Name, Revision)]) {
        if let Some(prepared) = &mut self.prepared {
            prepared.view.mark(zones);
        }
    }

    fn prepare(&mut self, after: &Snapshot, touched: &[Touched]) -> Vec<(Name, Revision)> {
        let started = Instant::now();
        let current = self.published.load();
        let (view, moved) = self.compiler.update(&current, &self.shown, after, touched);
        self.metrics.view_compiled(started.elapsed());
        self.prepared = Some(Prepared { view, shows: after.clone(), compiler: None });
        moved
    }

    fn publish(&mut self) {
        let Some(prepared) = self.prepared.take() else { return };
        if let Some(compiler) = prepared.compiler {
            self.compiler = compiler;
        }
        self.shown = prepared.shows;
        let zones = prepared.view.zones.iter().map(|zone| (zone.apex.to_string(), zone.serial.0));
        self.metrics.view_published(prepared.view.revision.0, prepared.view.table.names(), zones);
        self.published.publish(Arc::new(prepared.view));
    }

    fn discard(&mut self) {
        self.prepared = None;
    }

    fn set_stale(&mut self, stale: bool) {
        let current = self.published.load_full();
        if current.stale != stale {
            self.published.publish(Arc::new(View { stale, ..(*current).clone() }));
        }
        if let Some(prepared) = &mut self.prepared {
            prepared.view.stale = stale;
        }
    }
}
