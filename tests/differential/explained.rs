//! The differences between servers that are no fault: each with its RFC and its reason, matched as narrowly as it can be.

use crate::message::{Record, Response};
use crate::name::Name;
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

use Aspect::{Aa, Additional, Answer, Authority, Rcode, Tc};

const EVERYBODY: &[Peer] = &Peer::ALL;

pub(crate) const EXPLAINED: &[Explained] = &[
    Explained {
        name: "RFC 8482 ANY",
        reason: "ANY may be answered by HINFO (section 4.2, as we do), by one set (4.1: BIND, Knot) or by TC (4.4: NSD, \
                 whatever the name)",
        peers: EVERYBODY,
        aspects: &[Tc, Answer, Authority, Additional],
        applies: |case| case.query.rtype == types::ANY && is_hinfo(case.ours),
    },
    Explained {
        name: "RFC 8482 ANY refused before the name is looked up (NSD)",
        reason: "NSD's refuse-any answers TC over UDP without looking at the name; over TCP it answers",
        peers: &[Peer::Nsd],
        aspects: &[Rcode, Aa, Tc, Answer, Authority, Additional],
        applies: |case| case.query.rtype == types::ANY && case.theirs.truncated() && case.theirs.answer.is_empty(),
    },
    Explained {
        name: "RFC 1034 NS in authority (NSD)",
        reason: "NSD adds the zone's NS set and its addresses to positive answers when there is room; section 6.2 shows \
                 it, RFC 1034 section 4.3.2 does not ask for it",
        peers: &[Peer::Nsd],
        aspects: &[Authority, Additional],
        applies: has_own_servers,
    },
    Explained {
        name: "RFC 9471 glue of other names (BIND)",
        reason: "a referral needs the addresses of servers below the delegation; BIND leaves out those of servers beside \
                 it (section 2.2: sibling glue may be added)",
        peers: &[Peer::Bind],
        aspects: &[Additional],
        applies: |case| {
            let Some(cut) = cut_of(case.theirs) else { return false };
            let mut more = case.ours.additional.iter().filter(|record| !case.theirs.additional.contains(record));
            more.all(|record| !record.owner.is_within(cut)) && is_part(&case.theirs.additional, &case.ours.additional)
        },
    },
    Explained {
        name: "RFC 4592 glue made by a hidden wildcard (Knot, NSD)",
        reason: "a wildcard below a delegation is not this zone's data; no address is made from it, as in BIND",
        peers: &[Peer::Knot, Peer::Nsd],
        aspects: &[Additional],
        applies: |case| {
            let Some(cut) = cut_of(case.theirs) else { return false };
            let has_data = |name: &Name| case.batch.zone_of(name).is_some_and(|zone| zone.types_at(name).any(|_| true));
            let mut more = case.theirs.additional.iter().filter(|record| !case.ours.additional.contains(record));
            let is_made = |record: &Record| record.owner.is_within(cut) && !has_data(&record.owner);
            more.all(is_made) && is_part(&case.ours.additional, &case.theirs.additional)
        },
    },
    Explained {
        name: "RFC 1034 loops are SERVFAIL (BIND)",
        reason: "section 3.6.2: a loop of aliases is an error for resolvers; servers return what they found. BIND says \
                 SERVFAIL as well, also at the end of what it follows",
        peers: &[Peer::Bind],
        aspects: &[Rcode],
        applies: |case| {
            let given_up = is_loop(case.theirs) || aliases(case.theirs) >= LONG_CHAIN;
            case.theirs.rcode == 2 && case.ours.rcode != 3 && given_up
        },
    },
    Explained {
        name: "RFC 1034 length of chains",
        reason: "section 3.6.2 sets no limit to chains of aliases; Knot stops after 5, NSD after 7, we after 16",
        peers: EVERYBODY,
        aspects: &[Answer, Rcode, Authority, Additional, Tc],
        applies: |case| {
            let (ours, theirs) = (case.ours.chain(), case.theirs.chain());
            let shorter = ours.len().min(theirs.len());
            let is_long = aliases(case.ours).min(aliases(case.theirs)) >= LONG_CHAIN;
            is_long && ours.len() != theirs.len() && ours[..shorter] == theirs[..shorter]
        },
    },
];

/// Aliases in an answer from which on a server may stop.
const LONG_CHAIN: usize = 5;

fn is_hinfo(response: &Response) -> bool {
    response.answer.last().is_some_and(|record| record.rtype == types::HINFO && record.rdata == b"\x07RFC8482\0")
}

/// Whether every record of `part` is in `whole`.
fn is_part(part: &[Record], whole: &[Record]) -> bool {
    part.iter().all(|record| whole.contains(record))
}

/// The owner of the NS set of a referral.
fn cut_of(response: &Response) -> Option<&Name> {
    let servers = response.authority.iter().find(|record| record.rtype == types::NS);
    let is_soa = |record: &Record| record.rtype == types::SOA;
    servers.filter(|_| !response.authority.iter().any(is_soa)).map(|record| &record.owner)
}

/// A positive answer to which the peer added the NS set of the zone and nothing else but the addresses of its servers.
fn has_own_servers(case: &Case<'_>) -> bool {
    let servers = &case.theirs.authority;
    let is_apex =
        |record: &Record| record.rtype == types::NS && case.batch.zones.iter().any(|zone| zone.apex == record.owner);
    if !case.ours.authority.is_empty() || case.theirs.answer.is_empty() || !servers.iter().all(is_apex) {
        return false;
    }
    let targets: Vec<Name> = servers.iter().filter_map(Record::target).collect();
    let mut more = case.theirs.additional.iter().filter(|record| !case.ours.additional.contains(record));
    is_part(&case.ours.additional, &case.theirs.additional) && more.all(|record| targets.contains(&record.owner))
}

fn aliases(response: &Response) -> usize {
    response.answer.iter().filter(|record| record.rtype == types::CNAME).count()
}

/// Whether the last alias leads to a name that was answered before.
fn is_loop(response: &Response) -> bool {
    let last = response.answer.last().and_then(Record::target);
    last.is_some_and(|target| response.answer.iter().any(|record| record.owner == target))
}
