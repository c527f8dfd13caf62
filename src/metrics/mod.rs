//! The metrics and their names: what `/metrics` shows. `docs/metrics.md` lists them all; `tests/metrics.rs` compares.
//!
//! One handle, cheap to clone, owns a registry of its own. Each group is for one part of the server, and the
//! composition root hands it what happened there: no part knows of metrics it does not set. Counting is an
//! atomic addition; only series with labels that are not known beforehand are looked up. Values are in memory
//! and start at zero with the process. A part that counts in its own way, as the query path does, brings a
//! collector ([`Metrics::register`]).

mod api;
pub mod dns;
pub mod encrypted;
mod make;
mod process;
mod registry;
mod store;
mod view;

use std::sync::Arc;

use prometheus::TextEncoder;
use prometheus::core::Collector;

pub use api::ApiMetrics;
pub use registry::{Beats, RegistryMetrics};
pub use store::StoreMetrics;
pub use view::ViewMetrics;

/// Every metric of the process.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    all: prometheus::Registry,
    registry: RegistryMetrics,
    store: StoreMetrics,
    view: ViewMetrics,
    api: ApiMetrics,
}

impl Metrics {
    /// All metrics, at zero.
    pub fn new() -> Self {
        let all = prometheus::Registry::new();
        make::gauges(&all, "zonebeat_build_info", "The version that runs; always 1.", &["version"])
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        let inner = Inner {
            registry: RegistryMetrics::new(&all),
            store: StoreMetrics::new(&all),
            view: ViewMetrics::new(&all),
            api: ApiMetrics::new(&all),
            all,
        };
        let metrics = Self(Arc::new(inner));
        metrics.register(Box::new(process::Process::new())).expect("the names of the process's metrics are constants");
        metrics
    }

    /// Who is alive.
    pub fn registry(&self) -> &RegistryMetrics {
        &self.0.registry
    }

    /// What the disk does.
    pub fn store(&self) -> &StoreMetrics {
        &self.0.store
    }

    /// What is published.
    pub fn view(&self) -> &ViewMetrics {
        &self.0.view
    }

    /// What is asked over HTTP.
    pub fn api(&self) -> &ApiMetrics {
        &self.0.api
    }

    /// Adds the metrics of a part that counts in its own way. Fails if one of its names is taken.
    pub fn register(&self, collector: Box<dyn Collector>) -> prometheus::Result<()> {
        self.0.all.register(collector)
    }

    /// All metrics in Prometheus' text format 0.0.4.
    pub fn encode(&self) -> String {
        self.0.view.refresh();
        let mut text = String::new();
        // Refuses a family without name or series, which gathering leaves out; what stands before it would be kept.
        let _ = TextEncoder::new().encode_utf8(&self.0.all.gather(), &mut text);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
