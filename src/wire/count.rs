//! What the counters hear of a packet.

use std::sync::Arc;

use super::decode::DropReason;
use super::respond::Reply;
use crate::answer::Transport;
use crate::metrics::dns::{Block, CookieOutcome, DnsCounters, Dropped};

/// The counters of the transports that share one responder.
pub(super) struct Blocks(Vec<(Transport, Arc<Block>)>);

impl Blocks {
    /// A block for each transport, of which there is at least one.
    pub(super) fn new(counters: &DnsCounters, transports: &[Transport]) -> Self {
        Self(transports.iter().map(|&transport| (transport, counters.block(transport.as_str()))).collect())
    }

    /// The block of `transport`.
    pub(super) fn of(&self, transport: Transport) -> &Arc<Block> {
        let known = self.0.iter().find(|(known, _)| *known == transport);
        &known.expect("messages come from transports that are served").1
    }
}

/// Counts a response.
pub(super) fn count_reply(block: &Block, reply: &Reply) {
    block.answered(reply.rcode.0, reply.rtype.0);
    if let Some(outcome) = reply.limited {
        block.limited(outcome);
    }
    if reply.truncated {
        block.truncated();
    }
    if reply.panicked {
        block.panicked();
    }
}

/// Counts what the cookie of a query was worth, if there was one.
pub(super) fn count_cookie(block: &Block, outcome: Option<CookieOutcome>) {
    if let Some(outcome) = outcome {
        block.cookie(outcome);
    }
}

/// Counts a packet without a response.
pub(super) fn count_drop(block: &Block, reason: DropReason) {
    let dropped = match reason {
        DropReason::Short => Dropped::Short,
        DropReason::Response => Dropped::Response,
        DropReason::Source => Dropped::Source,
    };
    block.dropped(dropped, 1);
}
