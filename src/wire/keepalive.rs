//! What clients are told of the idle timeout of their connection (RFC 7828): the one that is applied; or that they
//! should leave, when connections become scarce.

use std::sync::Arc;
use std::time::Duration;

use super::decode::Decoded;
use super::limits::TcpLimits;
use crate::metrics::dns::DnsCounters;

/// The unit of the option.
const UNIT: Duration = Duration::from_millis(100);

/// The idle timeout, and what it depends on.
#[derive(Debug, Default)]
pub struct Keepalive {
    timeout: u16,
    /// From so many connections on clients are asked to close theirs when they have their answers.
    scarce: usize,
    counters: Arc<DnsCounters>,
}

impl Keepalive {
    /// What follows from the limits; nine tenths of all connections are many.
    pub fn new(limits: &TcpLimits, counters: Arc<DnsCounters>) -> Self {
        let units = limits.idle.as_millis() / UNIT.as_millis();
        let timeout = u16::try_from(units).unwrap_or(u16::MAX);
        Self { timeout, scarce: limits.connections - limits.connections / 10, counters }
    }

    /// Fills in the timeout where it was asked for.
    pub(super) fn settle(&self, decoded: &mut Decoded<'_>) {
        let edns = match decoded {
            Decoded::Query(query) => query.edns.as_mut(),
            Decoded::Error(reply) => reply.edns.as_mut(),
            Decoded::Drop(_) | Decoded::Signed(_) => None,
        };
        if let Some(edns) = edns.filter(|edns| edns.keepalive) {
            let scarce = self.counters.connections() >= self.scarce;
            edns.told.keepalive = Some(if scarce { 0 } else { self.timeout });
        }
    }
}
