//! The registry's publisher: compiles views and swaps them in.
//!
//! It holds the snapshot that the published view shows, because a view is compiled from what differs, and up to two
//! views that are not published yet: the one that the store has, and the one that is compiled on top of it. Zone files
//! come from a slot that a reload fills: the next `reload` takes them, so they are never half applied.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::health::Freshness;
use crate::metrics::Metrics;
use crate::model::name::MAX_NAME;
use crate::model::{Clock, Name, Revision, Rtype};
use crate::registry::update::{Found, Look};
use crate::registry::{Publisher, Snapshot, Touched, TouchedName, ZoneRow};
use crate::view::{Compiler, Spare, View};
use crate::zone::canonical;

/// Where a reload leaves the compiler made from new zone files.
#[derive(Debug, Clone, Default)]
pub(super) struct Slot(Arc<Mutex<Option<Compiler>>>);

impl Slot {
    /// Leaves a compiler for the next reload.
    pub(super) fn put(&self, compiler: Compiler) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(compiler);
    }

    /// Takes what was left.
    pub(super) fn take(&self) -> Option<Compiler> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Compiles and publishes.
pub(super) struct ViewPublisher {
    compiler: Compiler,
    slot: Slot,
    freshness: Arc<Freshness>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    shown: Snapshot,
    /// What the store has now.
    closed: Option<Prepared>,
    /// What was compiled since.
    prepared: Option<Prepared>,
    /// What replaced shards leave to the next ones.
    spare: Spare,
}

/// A view that is not published yet, and what it takes with it.
struct Prepared {
    view: View,
    shows: Snapshot,
    compiler: Option<Compiler>,
}

impl ViewPublisher {
    pub(super) fn new(
        compiler: Compiler,
        slot: Slot,
        freshness: Arc<Freshness>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
    ) -> Self {
        let (shown, spare) = (Snapshot::default(), Spare::default());
        Self { compiler, slot, freshness, clock, metrics, shown, closed: None, prepared: None, spare }
    }

    /// Reads the view that was compiled last, published or not.
    fn latest<T>(&self, read: impl FnOnce(&View) -> T) -> T {
        match self.prepared.as_ref().or(self.closed.as_ref()) {
            Some(prepared) => read(&prepared.view),
            None => read(&self.freshness.published().load()),
        }
    }

    fn compiled(&self, started: Duration) {
        self.metrics.view().compiled(self.clock.monotonic().saturating_sub(started));
    }

    /// Zones of the published view with the last change of their content.
    fn changed(&self) -> Vec<(Name, Revision)> {
        let view = self.freshness.published().load();
        view.zones.iter().filter(|zone| zone.dynamic).map(|zone| (zone.apex.clone(), zone.changed())).collect()
    }

    fn prepare_full(&mut self, snapshot: &Snapshot, changed: &[(Name, Revision)], compiler: Option<Compiler>) {
        let started = self.clock.monotonic();
        let mut view = compiler.as_ref().unwrap_or(&self.compiler).full(snapshot, changed);
        view.stale = self.freshness.published().load().stale;
        self.compiled(started);
        self.prepared = Some(Prepared { view, shows: snapshot.clone(), compiler });
    }
}

impl Look for ViewPublisher {
    fn find(&self, name: &Name) -> Found {
        self.latest(|view| {
            let apex = view.zone(name).map(|_| Rtype::SOA);
            let Some(entry) = view.find(name.as_wire()) else { return Found::default() };
            let types = entry.sets().map(|set| set.rtype).chain(apex).collect();
            Found { types, registered: entry.is_registered() }
        })
    }

    fn data(&self, name: &Name, rtype: Rtype) -> Vec<Box<[u8]>> {
        self.latest(|view| {
            if let (Rtype::SOA, Some(zone)) = (rtype, view.zone(name)) {
                return vec![canonical(rtype, &zone.soa).into()];
            }
            let Some(set) = view.find(name.as_wire()).and_then(|entry| entry.set(rtype)) else { return Vec::new() };
            let mut room = [0; MAX_NAME];
            set.records().map(|record| canonical(rtype, set.expand(record.rdata, &mut room)).into()).collect()
        })
    }

    fn refusal(&self, zone: &Name, name: &Name) -> Option<String> {
        self.compiler.refuses_records(zone, name)
    }
}

impl Publisher for ViewPublisher {
    fn load(&mut self, snapshot: &Snapshot, zones: &[(Name, ZoneRow)]) -> Vec<(Name, String)> {
        let changed: Vec<_> = zones.iter().map(|(name, row)| (name.clone(), row.changed)).collect();
        self.prepare_full(snapshot, &changed, None);
        self.compiler.bases()
    }

    fn reload(&mut self, snapshot: &Snapshot) -> Vec<(Name, String)> {
        let compiler = self.slot.take().unwrap_or_else(|| self.compiler.clone());
        let bases = compiler.bases();
        self.prepare_full(snapshot, &self.changed(), Some(compiler));
        bases
    }

    fn mark(&mut self, zones: &[(Name, Revision)]) {
        if let Some(prepared) = &mut self.prepared {
            prepared.view.mark(zones);
        }
    }

    fn prepare(&mut self, after: &Snapshot, touched: &[Touched], names: &[TouchedName]) -> Vec<(Name, Revision)> {
        let started = self.clock.monotonic();
        // What was compiled since the last close is nobody else's yet, so it is changed in place.
        let (view, shows, compiler) = match (self.prepared.take(), &self.closed) {
            (Some(last), _) => (last.view, last.shows, last.compiler),
            (None, Some(last)) => (last.view.clone(), last.shows.clone(), None),
            (None, None) => ((*self.freshness.published().load_full()).clone(), self.shown.clone(), None),
        };
        let by = compiler.as_ref().unwrap_or(&self.compiler);
        let (view, moved) = by.update_own(view, &shows, after, (touched, names), &mut self.spare);
        self.compiled(started);
        self.prepared = Some(Prepared { view, shows: after.clone(), compiler });
        moved
    }

    fn close(&mut self) {
        self.closed = self.prepared.take();
    }

    fn publish(&mut self) {
        let Some(prepared) = self.closed.take().or_else(|| self.prepared.take()) else { return };
        if let Some(compiler) = prepared.compiler {
            self.compiler = compiler;
        }
        self.shown = prepared.shows;
        tell_of_lower_serials(&self.freshness.published().load(), &prepared.view);
        let metrics = self.metrics.view();
        let before = self.freshness.published().load_full();
        let left = before.zones.iter().filter(|zone| prepared.view.zone(&zone.apex).is_none());
        left.for_each(|zone| metrics.forget_serial(&zone.apex));
        prepared.view.zones.iter().for_each(|zone| metrics.set_serial(&zone.apex, zone.serial));
        let table = &prepared.view.table;
        metrics.published(prepared.view.revision, table.names(), table.octets());
        self.freshness.publish(Arc::new(prepared.view));
    }

    fn discard(&mut self) {
        (self.closed, self.prepared) = (None, None);
        // What was replaced in them still stands in the published view.
        self.spare = Spare::default();
    }

    fn set_stale(&mut self, stale: bool) {
        let current = self.freshness.published().load_full();
        if current.stale != stale {
            self.freshness.publish(Arc::new(View { stale, ..(*current).clone() }));
        }
        for prepared in self.closed.iter_mut().chain(&mut self.prepared) {
            prepared.view.stale = stale;
        }
    }
}

/// Warns of zones that secondaries will not transfer, because what they have counts as newer (RFC 1982). Zones of a
/// view are in the order of their apexes.
fn tell_of_lower_serials(served: &View, next: &View) {
    for zone in next.zones.iter().filter(|zone| zone.ready) {
        let Ok(at) = served.zones.binary_search_by(|before| before.apex.cmp(&zone.apex)) else { continue };
        let before = &served.zones[at];
        if before.ready && (zone.serial.0.wrapping_sub(before.serial.0) as i32) < 0 {
            let before = before.serial;
            tracing::warn!(
                zone = %zone.apex,
                "the serial goes back from {before} to {}: secondaries keep what they have until it is above {before}; \
                 raise the serial in the zone file's SOA, or zone.serial in the configuration",
                zone.serial
            );
        }
    }
}

#[cfg(test)]
mod tests;
