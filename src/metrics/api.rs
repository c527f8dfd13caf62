//! What is asked over HTTP.

use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec, Registry};

use super::make;

/// Metrics of the HTTP interface.
pub struct ApiMetrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
}

impl ApiMetrics {
    pub(super) fn new(all: &Registry) -> Self {
        Self {
            requests: make::counters(
                all,
                "zonebeat_http_requests_total",
                "Requests that were answered, by call and status.",
                &["call", "status"],
            ),
            seconds: make::histograms(
                all,
                "zonebeat_http_request_seconds",
                "Time from the head of a request to the head of its answer.",
                make::SECONDS,
                &["call"],
            ),
        }
    }

    /// A request was answered. `call` is the method and the path's pattern, never the path that a caller wrote: labels
    /// from outside would make series without end.
    pub fn answered(&self, call: &str, status: u16, took: Duration) {
        self.requests.with_label_values(&[call, &status.to_string()]).inc();
        self.seconds.with_label_values(&[call]).observe(took.as_secs_f64());
    }
}
