//! The differences between servers that are no fault: each with its RFC and its reason, matched as narrowly as it can be.

use crate::message::Response;
use crate::peers::Peer;
use crate::queries::Query;
use crate::types;
use crate::zones::Batch;

/// A part of a response in which two may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aspect {
    Rcode,
    Aa,
    Tc,
    /// QR, opcode, RD, RA, AD, CD.
    Flags,
    /// Whether there is an OPT record, its version and its DO bit.
    Edns,
    Answer,
    Authority,
    Additional,
}

/// One question with our answer and that of one peer.
pub(crate) struct Case<'c> {
    pub(crate) batch: &'c Batch,
    pub(crate) query: &'c Query,
    pub(crate) peer: Peer,
    pub(crate) ours: &'c Response,
    pub(crate) theirs: &'c Response,
    /// The answers of all peers.
    pub(crate) all: &'c [(Peer, &'c Response)],
}

/// A line of the table.
pub(crate) struct Explained {
    /// The RFC and a few words, for the summary.
    pub(crate) name: &'static str,
    /// Why this is no fault of ours.
    #[allow(dead_code)] // for the reader
    pub(crate) reason: &'static str,
    /// Whose answers it explains.
    pub(crate) peers: &'static [Peer],
    pub(crate) aspects: &'static [Aspect],
    pub(crate) applies: fn(&Case<'_>) -> bool,
}

use Aspect::{Aa, Additional, Answer, Authority, Edns, Flags, Rcode, Tc};

const EVERYBODY: &[Peer] = &Peer::ALL;

pub(crate) const EXPLAINED: &[Explained] = &[Explained {
    name: "RFC 8482 ANY",
    reason: "ANY may be answered by HINFO (section 4.2, as we do), by one set (4.1: BIND, Knot) or by TC (4.4: NSD)",
    peers: EVERYBODY,
    aspects: &[Tc, Answer, Authority, Additional],
    applies: |case| case.query.rtype == types::ANY && is_hinfo(case.ours),
}];

fn is_hinfo(response: &Response) -> bool {
    response.answer.last().is_some_and(|record| record.rtype == types::HINFO && record.rdata == b"\x07RFC8482\0")
}
