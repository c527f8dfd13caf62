//! What the counters hear of a packet.

use super::decode::DropReason;
use super::respond::Reply;
use crate::metrics::dns::{Block, CookieOutcome, Dropped};

/// Counts a response.
pub(super) fn count_reply(block: &Block, reply: &Reply) {
    block.answered(reply.rcode.0, reply.rtype.0);
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
