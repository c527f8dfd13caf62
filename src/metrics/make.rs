//! Makes and registers one metric. Names, labels and buckets are constants, so a mistake shows in the first test.

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, Result,
};

/// Seconds of work in memory or on a disk.
pub(super) const SECONDS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// How many of something came at once.
pub(super) const COUNTS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0];

fn add<C: Collector + Clone + 'static>(all: &Registry, metric: Result<C>) -> C {
    let metric = metric.expect("names, labels and buckets of metrics are constants that fit together");
    all.register(Box::new(metric.clone())).expect("no two metrics have one name");
    metric
}

pub(super) fn counter(all: &Registry, name: &str, help: &str) -> IntCounter {
    add(all, IntCounter::new(name, help))
}

pub(super) fn counters(all: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    add(all, IntCounterVec::new(Opts::new(name, help), labels))
}

pub(super) fn gauge(all: &Registry, name: &str, help: &str) -> IntGauge {
    add(all, IntGauge::new(name, help))
}

pub(super) fn gauges(all: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    add(all, IntGaugeVec::new(Opts::new(name, help), labels))
}

pub(super) fn histogram(all: &Registry, name: &str, help: &str, buckets: &[f64]) -> Histogram {
    add(all, Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
}

pub(super) fn histograms(all: &Registry, name: &str, help: &str, buckets: &[f64], labels: &[&str]) -> HistogramVec {
    add(all, HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels))
}
