//! One packet, one response: what UDP and TCP share.
//!
//! Later checks that decide on a client or a query (rate limits, ACLs, cookies) belong here, between decoding and
//! answering, so that every transport has them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::decode::{Decoded, DropReason, ErrorReply};
use super::encode::{encode, is_truncated};
use super::error::write_error;
use super::rules::Rules;
use crate::answer::{Query, Rcode, answer};
use crate::model::Rtype;
use crate::view::View;

/// The largest message over TCP: what its two octets of length can say.
pub const MAX_TCP: usize = 65_535;

/// A response that has been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// Octets of the message.
    pub len: usize,
    /// Its response code, with the upper bits that OPT carries.
    pub rcode: Rcode,
    /// The type that was asked for; 0 if the question could not be read.
    pub rtype: Rtype,
    /// Whether TC is set: the client has to come back over TCP.
    pub truncated: bool,
    /// Whether answering panicked, and this is a SERVFAIL in its place.
    pub panicked: bool,
}

/// Writes the response to `decoded` into `out`, which has room for the limit of the transport.
pub fn respond(view: &View, decoded: &Decoded<'_>, rules: &Rules, out: &mut [u8]) -> Result<Reply, DropReason> {
    match decoded {
        Decoded::Drop(reason) => Err(*reason),
        Decoded::Error(error) => Ok(refuse(view, error, out)),
        Decoded::Query(query) => Ok(solve(view, query, rules, out)),
    }
}

/// Writes an error response.
fn refuse(view: &View, error: &ErrorReply<'_>, out: &mut [u8]) -> Reply {
    let len = write_error(error, view.server.udp_size, out);
    let rtype = match *error.question {
        [.., t0, t1, _, _] => Rtype(u16::from_be_bytes([t0, t1])),
        _ => Rtype(0),
    };
    Reply { len, rcode: error.rcode, rtype, truncated: false, panicked: false }
}

/// Answers a query from the view. A panic costs this query only: it is answered with SERVFAIL.
fn solve(view: &View, query: &Query<'_>, rules: &Rules, out: &mut [u8]) -> Reply {
    let limit = match query.transport.is_datagram() {
        true => rules.udp.limit(query.client, query.edns.map(|edns| edns.udp_size)),
        false => MAX_TCP,
    };
    let written = catch_unwind(AssertUnwindSafe(|| encode(view, query, &answer(view, query), limit, out)));
    match written {
        Ok(len) => {
            let (rcode, truncated) = (Rcode(u16::from(out[3] & 15)), is_truncated(&out[..len]));
            Reply { len, rcode, rtype: query.rtype, truncated, panicked: false }
        }
        Err(_) => Reply { panicked: true, ..refuse(view, &ErrorReply::new(query, Rcode::SERVFAIL), out) },
    }
}
