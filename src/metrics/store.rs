//! What the disk does: commits, their time, and whether they are taken at all.

use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntGauge, Registry};

use super::make;

/// Metrics of the store.
pub struct StoreMetrics {
    seconds: Histogram,
    changes: Histogram,
    failures: IntCounter,
    went_back: IntCounter,
    writable: IntGauge,
    journal: IntGauge,
}

impl StoreMetrics {
    pub(super) fn new(all: &Registry) -> Self {
        Self {
            seconds: make::histogram(
                all,
                "zonebeat_store_commit_seconds",
                "Time that a commit took until it was durable.",
                make::SECONDS,
            ),
            changes: make::histogram(
                all,
                "zonebeat_store_commit_changes",
                "Changes that were committed together.",
                make::COUNTS,
            ),
            failures: make::counter(
                all,
                "zonebeat_store_commit_failures_total",
                "Commits that the store did not take; nothing of them is visible.",
            ),
            went_back: make::counter(
                all,
                "zonebeat_store_went_back_total",
                "Requests that name an incarnation newer than the store, as if an older copy of it were in its place.",
            ),
            writable: make::gauge(
                all,
                "zonebeat_store_writable",
                "1 while the store takes writes, 0 while it does not.",
            ),
            journal: make::gauge(
                all,
                "zonebeat_store_journal_bytes",
                "Octets of the journal that are durable and not in the trees yet.",
            ),
        }
    }

    /// A commit became durable.
    pub fn committed(&self, took: Duration, changes: usize) {
        self.seconds.observe(took.as_secs_f64());
        self.changes.observe(changes as f64);
    }

    /// A commit was not taken.
    pub fn failed(&self) {
        self.failures.inc();
    }

    /// Somebody named what the store does not have yet.
    pub fn went_back(&self) {
        self.went_back.inc();
    }

    /// Whether writes are taken.
    pub fn set_writable(&self, writable: bool) {
        self.writable.set(writable.into());
    }

    /// What of the journal is not in the trees.
    pub fn set_journal(&self, octets: u64) {
        self.journal.set(octets as i64);
    }
}
