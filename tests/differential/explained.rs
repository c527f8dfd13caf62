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
        name: "RFC 1034 chains end with the zone",
        reason: "section 4.3.2 step 3a: the search starts again at all zones of the server (we, NSD); BIND and Knot stay                  in the zone of the question. NSD is not given every zone",
        peers: EVERYBODY,
        aspects: &[Answer, Authority, Additional, Rcode, Aa, Tc],
        applies: stops_at_zone,
    },
    Explained {
        name: "RFC 4035 types beside CNAME",
        reason: "RRSIG and NSEC stand beside a CNAME (section 2.5), so that a query for them need not follow it: BIND and                  Knot do not, NSD does",
        peers: EVERYBODY,
        aspects: &[Answer, Authority, Additional, Rcode, Tc],
        applies: |case| {
            let alone = |response: &Response| response.answer.is_empty() && !response.truncated();
            let one = alone(case.ours) != alone(case.theirs) || case.ours.truncated();
            matches!(case.query.rtype, types::RRSIG | types::NSEC)
                && one
                && aliases(case.ours) + aliases(case.theirs) > 0
        },
    },
    Explained {
        name: "RFC 8020 names above a zone of ours",
        reason: "a name between an apex and a zone below it that we serve exists, delegated or not; BIND and Knot look at                  one zone alone",
        peers: &[Peer::Bind, Peer::Knot],
        aspects: &[Rcode],
        applies: |case| {
            let zones = case.batch.zones.iter();
            let above = |name: &Name| zones.clone().any(|zone| zone.apex != *name && zone.apex.is_within(name));
            case.ours.rcode == 0 && case.theirs.rcode == 3 && above(&last_name(case.ours, case.query))
        },
    },
    Explained {
        name: "RFC 1034 names of the zone above (NSD)",
        reason: "NSD keeps one tree of names for all zones, and finds names in a child zone that only the parent's file has;                  they are hidden by the delegation (section 4.2)",
        peers: &[Peer::Nsd],
        aspects: &[Rcode],
        applies: |case| {
            let name = last_name(case.ours, case.query);
            let apex = case.batch.zone_of(&name).map(|zone| &zone.apex);
            let hides = |apex: &Name| {
                let above = case.batch.zones.iter().filter(|zone| zone.apex != *apex && apex.is_within(&zone.apex));
                above.into_iter().any(|zone| zone.owners().iter().any(|owner| owner != apex && owner.is_within(apex)))
            };
            let agreed = case.all.iter().all(|(peer, other)| *peer == Peer::Nsd || other.rcode == case.ours.rcode);
            agreed && case.ours.rcode == 3 && case.theirs.rcode == 0 && apex.is_some_and(hides)
        },
    },
    Explained {
        name: "RFC 6672 too long a name (Knot)",
        reason: "section 3.2: YXDOMAIN when the new name would be too long; Knot says NXDOMAIN",
        peers: &[Peer::Knot],
        aspects: &[Rcode, Authority],
        applies: |case| case.ours.rcode == 6 && case.theirs.rcode == 3,
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

/// Their chain ends where the next name lies in another zone, and ours goes on from there.
fn stops_at_zone(case: &Case<'_>) -> bool {
    let (ours, theirs) = (case.ours.chain(), case.theirs.chain());
    let Some(last) = case.theirs.answer.last().filter(|record| record.rtype == types::CNAME) else { return false };
    let Some(target) = last.target() else { return false };
    let zone = |name: &Name| case.batch.zone_of(name).map(|zone| &zone.apex);
    let leaves =
        zone(&last.owner) != zone(&target) && (case.peer != Peer::Nsd || !case.batch.is_served_by(Peer::Nsd, &target));
    leaves && ours.starts_with(&theirs) && case.theirs.authority.is_empty() && case.theirs.additional.is_empty()
}

/// The name at the end of the aliases.
fn last_name(response: &Response, query: &Query) -> Name {
    let last = response.answer.iter().rev().find(|record| record.rtype == types::CNAME);
    last.and_then(Record::target).unwrap_or_else(|| query.name.clone())
}

fn aliases(response: &Response) -> usize {
    response.answer.iter().filter(|record| record.rtype == types::CNAME).count()
}

/// Whether the last alias leads to a name that was answered before.
fn is_loop(response: &Response) -> bool {
    let last = response.answer.last().and_then(Record::target);
    last.is_some_and(|target| response.answer.iter().any(|record| record.owner == target))
}
