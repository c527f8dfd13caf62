//! What is published: revision and age of the view, its size, what compiling costs, serials.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus::{Gauge, Histogram, IntGauge, IntGaugeVec, Registry};

use super::make;
use crate::model::{Name, Revision, Serial};

/// Metrics of the view.
pub struct ViewMetrics {
    revision: IntGauge,
    age: Gauge,
    published: Mutex<Instant>,
    seconds: Histogram,
    names: IntGauge,
    bytes: IntGauge,
    serials: IntGaugeVec,
}

impl ViewMetrics {
    pub(super) fn new(all: &Registry) -> Self {
        let age = Gauge::new(
            "zonebeat_view_age_seconds",
            "Time since a view was last published, or since the start; grows while nothing changes.",
        )
        .expect("the name is a constant");
        all.register(Box::new(age.clone())).expect("no two metrics have one name");
        Self {
            revision: make::gauge(all, "zonebeat_view_revision", "The last change that the published view contains."),
            age,
            published: Mutex::new(Instant::now()),
            seconds: make::histogram(
                all,
                "zonebeat_view_compile_seconds",
                "Time to compile what a batch touched, or everything after a load.",
                make::SECONDS,
            ),
            names: make::gauge(all, "zonebeat_view_names", "Owner names in the published view."),
            bytes: make::gauge(
                all,
                "zonebeat_view_bytes",
                "Memory that the names and records of the published view take, without sets of very many records.",
            ),
            serials: make::gauges(all, "zonebeat_zone_serial", "The SOA serial of a zone.", &["zone"]),
        }
    }

    /// A view was compiled.
    pub fn compiled(&self, took: Duration) {
        self.seconds.observe(took.as_secs_f64());
    }

    /// A view became the published one.
    pub fn published(&self, revision: Revision, names: usize, octets: usize) {
        self.revision.set(revision.0 as i64);
        self.names.set(names as i64);
        self.bytes.set(octets as i64);
        *self.published.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// A zone's serial in the published view.
    pub fn set_serial(&self, zone: &Name, serial: Serial) {
        self.serials.with_label_values(&[&zone.to_string()]).set(serial.0.into());
    }

    /// A zone is no longer served.
    pub fn forget_serial(&self, zone: &Name) {
        // Fails only if it has no series, which is what we want.
        let _ = self.serials.remove_label_values(&[&zone.to_string()]);
    }

    /// Brings the age up to date.
    pub(super) fn refresh(&self) {
        let published = *self.published.lock().unwrap_or_else(PoisonError::into_inner);
        self.age.set(published.elapsed().as_secs_f64());
    }
}
