//! What the encrypted transports count besides queries: handshakes, certificates, requests that carry no query.
//!
//! None of it is on the path of a query, and no series exists before its first event: a server without encrypted
//! transports shows none of them.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGaugeVec, Opts};

use crate::model::Timestamp;

/// How a handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handshake {
    /// Both sides have keys.
    Done,
    /// The client spoke something else, refused the certificate, or went away.
    Failed,
    /// It took too long.
    Late,
    /// Too many at once, or from an address that may be forged: turned away, or asked to come again.
    Deferred,
}

impl Handshake {
    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Late => "late",
            Self::Deferred => "deferred",
        }
    }
}

/// The numbers of the encrypted transports.
#[derive(Debug)]
pub struct EncryptedCounters {
    expiry: IntGaugeVec,
    reloads: IntCounterVec,
    handshakes: IntCounterVec,
    refused: IntCounterVec,
    connections: IntGaugeVec,
}

impl Default for EncryptedCounters {
    fn default() -> Self {
        let gauge = |name: &str, help: &str| IntGaugeVec::new(Opts::new(name, help), &[]);
        let counter = |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let constant = "names and labels are constants that fit together";
        Self {
            expiry: gauge(
                "zonebeat_tls_certificate_expiry_seconds",
                "When the certificate in force ends, in Unix time.",
            )
            .expect(constant),
            reloads: counter(
                "zonebeat_tls_certificate_reloads_total",
                "Changes of the certificate files, by what came of them.",
                &["result"],
            )
            .expect(constant),
            handshakes: counter(
                "zonebeat_tls_handshakes_total",
                "TLS and QUIC handshakes by how they ended.",
                &["transport", "result"],
            )
            .expect(constant),
            refused: counter(
                "zonebeat_https_refused_total",
                "HTTPS requests that carry no query, by the status they got.",
                &["status"],
            )
            .expect(constant),
            connections: gauge("zonebeat_quic_connections", "Open QUIC connections.").expect(constant),
        }
    }
}

impl EncryptedCounters {
    /// A certificate is in force.
    pub fn certificate(&self, expires: Timestamp) {
        self.expiry.with_label_values::<&str>(&[]).set((expires.0 / 1000) as i64);
    }

    /// The certificate's files have changed, and are in force or were refused.
    pub fn reloaded(&self, in_force: bool) {
        self.reloads.with_label_values(&[if in_force { "loaded" } else { "refused" }]).inc();
    }

    /// A handshake of `transport` ended.
    pub fn handshake(&self, transport: &str, how: Handshake) {
        self.handshakes.with_label_values(&[transport, how.as_str()]).inc();
    }

    /// A request got `status` instead of an answer.
    pub fn refused(&self, status: u16) {
        self.refused.with_label_values(&[&status.to_string()]).inc();
    }

    /// A QUIC connection has begun.
    pub fn connected(&self) {
        self.connections.with_label_values::<&str>(&[]).inc();
    }

    /// A QUIC connection has ended.
    pub fn disconnected(&self) {
        self.connections.with_label_values::<&str>(&[]).dec();
    }

    fn all(&self) -> [&dyn Collector; 5] {
        [&self.expiry, &self.reloads, &self.handshakes, &self.refused, &self.connections]
    }

    /// What the families are.
    pub(super) fn descriptions(&self) -> Vec<Desc> {
        self.all().into_iter().flat_map(|family| family.desc().into_iter().cloned()).collect()
    }

    /// The families and their numbers.
    pub(super) fn families(&self) -> Vec<MetricFamily> {
        self.all().into_iter().flat_map(Collector::collect).collect()
    }
}
