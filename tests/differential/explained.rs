//! The differences between servers that are no fault: each with its RFC and its reason,
//! matched as narrowly as it can be.

use crate::message::{Record, Response};
use crate::name::Name;
use crate::peers::Peer;
use crate::queries::Query;
use crate::types;
use crate::zones::{Batch, Zone};

/// A part of a response in which two may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Aspect {
    Rcode,
    Aa,
    Tc,
    /// QR, opcode, RD, RA, AD, CD.
    Flags,
    /// Whether there is an OPT record, its version and its DO bit.
    Edns,
    Answer,
    /// Of the answer section.
    Signatures,
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
    /// Whether we may be the only one. Otherwise one of the three has to agree with us, if all three have the zone.
    pub(crate) alone: bool,
    pub(crate) applies: fn(&Case<'_>) -> bool,
}

use Aspect::{Aa, Additional, Answer, Authority, Rcode, Signatures, Tc};

const EVERYBODY: &[Peer] = &Peer::ALL;

pub(crate) const EXPLAINED: &[Explained] = &[
    Explained {
        name: "RFC 4592 addresses made by a wildcard (NSD)",
        reason: "NSD gives the addresses that a wildcard has for a target under a name that lies above it",
        peers: &[Peer::Nsd],
        aspects: &[Authority, Additional],
        alone: false,
        applies: |case| {
            let made = |name: &Name| case.batch.zone_of(name).is_some_and(|zone| !zone.types_at(name).any(|_| true));
            case.ours.additional.iter().any(|record| made(&record.owner)) && case.ours.chain() == case.theirs.chain()
        },
    },
    Explained {
        name: "RFC 8482 ANY",
        reason: "ANY may be answered by HINFO (section 4.2, as we do), by one set (4.1: BIND, Knot) or by TC (4.4: NSD, \
                 whatever the name)",
        peers: EVERYBODY,
        aspects: &[Tc, Answer, Signatures, Authority, Additional],
        alone: true,
        applies: |case| {
            let one = is_hinfo(case.ours) || case.ours.chain().len() == 1;
            case.query.rtype == types::ANY && one
        },
    },
    Explained {
        name: "RFC 8482 ANY refused before the name is looked up (NSD)",
        reason: "NSD's refuse-any answers TC over UDP without looking at the name; over TCP it answers",
        peers: &[Peer::Nsd],
        aspects: &[Rcode, Aa, Tc, Answer, Signatures, Authority, Additional],
        alone: false,
        applies: |case| case.query.rtype == types::ANY && case.theirs.truncated() && case.theirs.answer.is_empty(),
    },
    Explained {
        name: "RFC 1034 length of chains",
        reason: "section 3.6.2 sets no limit to chains of aliases; Knot stops after 5, NSD after 7 or at a DNAME that leads \
                 below itself, BIND with SERVFAIL after 11, we after 16",
        peers: EVERYBODY,
        aspects: &[Answer, Signatures, Rcode, Authority, Additional, Tc],
        alone: true,
        applies: stops_early,
    },
    Explained {
        name: "RFC 8482 ANY and DNAME",
        reason: "the CNAME made from a DNAME is an answer to ANY; BIND stops there, Knot, NSD and we go on and add some \
                 set that we find, or none",
        peers: EVERYBODY,
        aspects: &[Rcode, Answer, Signatures, Authority, Additional],
        alone: true,
        applies: |case| {
            let (ours, theirs) = (case.ours.chain(), case.theirs.chain());
            let is_made = ours.len() >= 2 && ours[0].0.1 == types::DNAME;
            let other_set = ours.len() == theirs.len()
                && ours.split_last().map(|(_, rest)| rest) == theirs.split_last().map(|(_, rest)| rest);
            let part = ours.starts_with(&theirs) || theirs.starts_with(&ours);
            case.query.rtype == types::ANY && is_made && (part || other_set)
        },
    },
    Explained {
        name: "RFC 1034 NS in authority (NSD)",
        reason: "NSD adds the zone's NS set and its addresses to positive answers when there is room; section 6.2 shows \
                 it, RFC 1034 section 4.3.2 does not ask for it",
        peers: &[Peer::Nsd],
        aspects: &[Authority, Additional],
        alone: false,
        applies: has_own_servers,
    },
    Explained {
        name: "RFC 4035 other proofs",
        reason: "RFC 4035 section 3.1.3 and RFC 5155 section 7.2 say which records prove that something is absent; some \
                 add one that is not needed, or leave out that an empty wildcard is empty. Our proof is that of another \
                 server, or holds all of BIND's or Knot's",
        peers: EVERYBODY,
        aspects: &[Authority],
        alone: true,
        applies: |case| {
            let (ours, theirs) = (case.ours.authority_set(), case.theirs.authority_set());
            let is_proof = |record: &Record| is_denial(record.rtype) || is_denial(record.covered());
            let mut others = case.all.iter().filter(|(peer, other)| {
                let other = other.authority_set();
                other == ours || (*peer != Peer::Nsd && !other.is_empty() && other.is_subset(&ours))
            });
            others.next().is_some() && ours.symmetric_difference(&theirs).all(|record| is_proof(record))
        },
    },
    Explained {
        name: "RFC 4035 NSEC of a delegation (BIND)",
        reason: "section 3.1.4: a delegation is answered by a referral, whose NSEC proves that there is no DS; BIND answers \
                 the NSEC to who asks for it",
        peers: &[Peer::Bind],
        aspects: &[Aa, Answer, Signatures, Authority, Additional],
        alone: false,
        applies: |case| case.query.rtype == types::NSEC && cut_of(case.ours) == Some(&case.query.name),
    },
    Explained {
        name: "RFC 2181 what fits of longer proofs",
        reason: "section 9: who adds a proof that others leave out needs TC earlier; the question is asked again over TCP",
        peers: EVERYBODY,
        aspects: &[Tc],
        alone: true,
        applies: |case| {
            let whole = if case.ours.truncated() { case.theirs } else { case.ours };
            let mut records = whole.authority.iter().chain(&whole.answer);
            records.any(|record| is_denial(record.rtype)) && whole.length * 2 > case.query.limit()
        },
    },
    Explained {
        name: "RFC 4035 question for RRSIG",
        reason: "signatures are no set of their own (section 2.2): some answer all of a name (we, NSD), some one",
        peers: EVERYBODY,
        aspects: &[Signatures, Tc],
        alone: true,
        applies: |case| {
            let (ours, theirs) = (case.ours.signatures(), case.theirs.signatures());
            let part = theirs.is_subset(&ours) || case.ours.truncated();
            case.query.rtype == types::RRSIG && !theirs.is_empty() && part
        },
    },
    Explained {
        name: "RFC 9471 glue of other names (BIND)",
        reason: "a referral needs the addresses of servers below the delegation; BIND leaves out those of servers beside \
                 it (section 2.2: sibling glue may be added)",
        peers: &[Peer::Bind],
        aspects: &[Additional],
        alone: false,
        applies: |case| {
            let Some(cut) = cut_of(case.theirs) else { return false };
            let mut more = case.ours.additional.iter().filter(|record| !case.theirs.additional.contains(record));
            let zone = |name: &Name| case.batch.zone_of(name).map(|zone| &zone.apex);
            let sibling = |record: &Record| !record.owner.is_within(cut) && zone(&record.owner) == zone(cut);
            more.all(sibling) && is_part(&case.theirs.additional, &case.ours.additional)
        },
    },
    Explained {
        name: "RFC 2181 additional data that a delegation hides",
        reason: "section 5.4.1: data below a delegation or DNAME are glue at best. Glue of the answered delegation is \
                 compared strictly; of others some add it to MX, SRV and NS sets (we, Knot), or make it from a hidden \
                 wildcard (Knot, NSD), and some do not (BIND)",
        peers: EVERYBODY,
        aspects: &[Additional],
        alone: true,
        applies: |case| {
            let (ours, theirs) = (case.ours.additional_set(), case.theirs.additional_set());
            let mut differing = ours.symmetric_difference(&theirs);
            differing.all(|record| is_hidden(case, &record.owner))
        },
    },
    Explained {
        name: "RFC 1034 loops are SERVFAIL (BIND)",
        reason: "section 3.6.2: a loop of aliases is an error for resolvers; servers return what they found. BIND says \
                 SERVFAIL as well, also at the end of what it follows",
        peers: &[Peer::Bind],
        aspects: &[Rcode],
        alone: false,
        applies: |case| {
            let given_up = is_loop(case.theirs) || aliases(case.theirs) >= LONG_CHAIN;
            case.theirs.rcode == 2 && case.ours.rcode != 3 && given_up
        },
    },
    Explained {
        name: "RFC 1034 chains end with the zone",
        reason: "section 4.3.2 step 3a: the search starts again at all zones of the server (we, NSD); BIND and Knot stay                  in the zone of the question. NSD is not given every zone",
        peers: EVERYBODY,
        aspects: &[Answer, Signatures, Authority, Additional, Rcode, Aa, Tc],
        alone: true,
        applies: stops_at_zone,
    },
    Explained {
        name: "RFC 4035 types beside CNAME",
        reason: "RRSIG and NSEC stand beside a CNAME (section 2.5), so that a query for them need not follow it: BIND and \
                 Knot do not, NSD does",
        peers: EVERYBODY,
        aspects: &[Answer, Signatures, Authority, Additional, Rcode, Tc],
        alone: true,
        applies: |case| {
            let (ours, theirs) = (case.ours.chain(), case.theirs.chain());
            let part = ours.starts_with(&theirs) || theirs.starts_with(&ours);
            let some = aliases(case.ours) + aliases(case.theirs) > 0 && ours.len() != theirs.len();
            matches!(case.query.rtype, types::RRSIG | types::NSEC) && some && (part || case.ours.truncated())
        },
    },
    Explained {
        name: "RFC 8020 names above a zone of ours",
        reason: "a name between an apex and a zone below it that is not delegated: it exists, so that nobody takes the zone \
                 below for missing, and no wildcard stands for it (we, NSD); BIND and Knot look at one zone alone",
        peers: &[Peer::Bind, Peer::Knot],
        aspects: &[Rcode, Answer, Signatures, Authority, Additional, Tc],
        alone: false,
        applies: |case| !case.batch.signed && is_above_zone(case),
    },
    Explained {
        name: "RFC 4592 names above a zone in signed zones (NSD)",
        reason: "there the name is none of the zone above, because its proofs cannot show it, and a wildcard stands for it \
                 (we, BIND, Knot); NSD keeps one tree of names for all zones",
        peers: &[Peer::Nsd],
        aspects: &[Rcode, Answer, Signatures, Authority, Additional, Tc],
        alone: false,
        applies: |case| case.batch.signed && is_above_zone(case),
    },
    Explained {
        name: "RFC 1034 additional data of another zone",
        reason: "section 4.3.2 step 6: whatever local data are useful; we add the addresses that another of our zones has \
                 for a target, where the others look into the zone of the answer, which may have a copy as glue",
        peers: EVERYBODY,
        aspects: &[Additional],
        alone: true,
        applies: |case| {
            let last = case.ours.authority.iter().chain(&case.ours.answer).rfind(|record| record.target().is_some());
            let zone = |name: &Name| case.batch.zone_of(name).map(|zone| &zone.apex);
            let home = zone(&last.map_or_else(|| case.query.name.clone(), |record| record.owner.clone()));
            let (ours, theirs) = (case.ours.additional_set(), case.theirs.additional_set());
            let cut = cut_of(case.ours).filter(|_| case.peer == Peer::Bind);
            let beside = |record: &Record| cut.is_some_and(|cut| !record.owner.is_within(cut)); // as explained above
            let other =
                |record: &&Record| zone(&record.owner) != home || beside(record) || is_hidden(case, &record.owner);
            ours.symmetric_difference(&theirs).all(other)
        },
    },
    Explained {
        name: "RFC 1034 additional data of many targets (BIND)",
        reason: "additional data are optional; BIND looks up 13 targets of an answer at most",
        peers: &[Peer::Bind],
        aspects: &[Additional],
        alone: false,
        applies: |case| case.ours.answer.len() > 13 && is_part(&case.theirs.additional, &case.ours.additional),
    },
    Explained {
        name: "RFC 4035 other proofs at the end of a chain (NSD)",
        reason: "NSD leaves out records of NSEC3 proofs, or adds some; where BIND and Knot do not follow into the other zone \
                 there is no third opinion",
        peers: &[Peer::Nsd],
        aspects: &[Authority],
        alone: true,
        applies: |case| {
            let (ours, theirs) = (case.ours.authority_set(), case.theirs.authority_set());
            let is_proof = |record: &Record| {
                let servers = record.rtype == types::NS || record.covered() == types::NS;
                is_denial(record.rtype) || is_denial(record.covered()) || (servers && case.batch.is_apex(&record.owner))
            };
            let zone = |name: &Name| case.batch.zone_of(name).map(|zone| &zone.apex);
            let left = zone(&last_name(case.ours, case.query)) != zone(&case.query.name);
            left && ours.symmetric_difference(&theirs).all(|record| is_proof(record))
        },
    },
    Explained {
        name: "RFC 4035 proofs that BIND does not find",
        reason: "BIND says SERVFAIL, without AA, at some names above or below wildcards in zones with NSEC; Knot and NSD answer",
        peers: &[Peer::Bind],
        aspects: &[Rcode, Aa, Answer, Signatures, Authority, Additional, Tc],
        alone: false,
        applies: |case| {
            let fails = case.theirs.rcode == 2 && !case.theirs.authoritative() && case.theirs.answer.is_empty();
            let mut others = case.all.iter().filter(|(peer, _)| *peer != Peer::Bind);
            case.batch.signed && fails && others.any(|(_, other)| other.rcode == case.ours.rcode)
        },
    },
    Explained {
        name: "RFC 5155 no such name in an opt-out span (Knot)",
        reason: "Knot gives up, without AA and SOA, when the wildcard exists that the closest provable encloser has, which \
                 does not stand for the name; BIND and we answer",
        peers: &[Peer::Knot],
        aspects: &[Aa, Answer, Signatures, Authority, Tc],
        alone: false,
        applies: |case| {
            let gives_up = !case.theirs.authoritative() && case.theirs.authority.is_empty();
            case.batch.signed && case.ours.rcode == 3 && case.theirs.rcode == 3 && gives_up
        },
    },
    Explained {
        name: "RFC 2181 what fits",
        reason: "section 9: additional data that do not fit are left out, all or some of them, and what is required sets \
                 TC. How much fits depends on compression, which BIND does by case and others leave out in places",
        peers: EVERYBODY,
        aspects: &[Tc, Additional],
        alone: true,
        applies: |case| {
            let (ours, theirs) = (case.ours, case.theirs);
            let parts = is_part(&ours.additional, &theirs.additional) || is_part(&theirs.additional, &ours.additional);
            let same = ours.chain() == theirs.chain() && ours.authority_set() == theirs.authority_set();
            // NSD adds nothing beyond what every network carries, whatever the client takes.
            let limit = if case.peer == Peer::Nsd { case.query.limit().min(1232) } else { case.query.limit() };
            let comparable = same || parts || ours.truncated() || theirs.truncated();
            comparable && ours.plain_length().max(theirs.plain_length()).max(length_of_all(case)) > limit
        },
    },
    Explained {
        name: "RFC 1034 additional data at 512 octets (BIND)",
        reason: "additional data are optional; BIND leaves some out when EDNS says 512",
        peers: &[Peer::Bind],
        aspects: &[Additional],
        alone: false,
        applies: |case| {
            let small = case.query.edns.is_some_and(|(size, _)| size == 512);
            small && case.ours.authoritative() && is_part(&case.theirs.additional, &case.ours.additional)
        },
    },
    Explained {
        name: "RFC 1034 loop through a wildcard (Knot)",
        reason: "Knot answers the first alias of a loop a second time when its name is that of the wildcard",
        peers: &[Peer::Knot],
        aspects: &[Answer, Signatures],
        alone: false,
        applies: |case| is_loop(case.ours) && case.theirs.chain().starts_with(&case.ours.chain()),
    },
    Explained {
        name: "RFC 4035 DS between parent and grandparent (NSD)",
        reason: "section 3.1.4.1: DS is answered by the parent's zone, as BIND and Knot do; NSD goes up by two when a \
                 zone, its child and its grandchild are all served",
        peers: &[Peer::Nsd],
        aspects: &[Aa, Answer, Signatures, Authority, Additional, Rcode],
        alone: false,
        applies: |case| {
            let name = last_name(case.ours, case.query);
            let above = case.batch.zones.iter().filter(|zone| name.is_within(&zone.apex)).count();
            case.query.rtype == types::DS && case.batch.is_apex(&name) && above >= 3 && cut_of(case.theirs).is_some()
        },
    },
    Explained {
        name: "RFC 6672 too long a name (Knot)",
        reason: "section 3.2: YXDOMAIN and nothing more when the new name would be too long; Knot goes on with a part of it, \
                 or shows the SOA, or sets TC",
        peers: &[Peer::Knot],
        aspects: &[Rcode, Aa, Answer, Signatures, Authority, Additional, Tc],
        alone: false,
        applies: |case| case.ours.rcode == 6,
    },
    Explained {
        name: "RFC 2181 what fits of a longer chain",
        reason: "section 9: who follows more aliases needs TC earlier; the question is asked again over TCP",
        peers: EVERYBODY,
        aspects: &[Tc],
        alone: true,
        applies: |case| {
            let whole = if case.ours.truncated() { case.theirs } else { case.ours };
            aliases(whole) > 0
        },
    },
    Explained {
        name: "RFC 4035 DS of a zone that is not delegated",
        reason: "a zone that is served and not delegated by the served zone above it: no data of type DS (we, NSD), or no \
                 such name there but for its wildcard (BIND, Knot)",
        peers: EVERYBODY,
        aspects: &[Rcode, Answer, Signatures, Authority],
        alone: true,
        applies: |case| {
            let name = last_name(case.ours, case.query);
            let parent = name.parent().and_then(|parent| case.batch.zone_of(&parent));
            let delegated = parent.is_some_and(|parent| parent.types_at(&name).any(|_| true));
            case.query.rtype == types::DS && case.batch.is_apex(&name) && parent.is_some() && !delegated
        },
    },
    Explained {
        name: "RFC 4035 DS at the end of an alias",
        reason: "section 3.1.4.1: DS of an apex is the parent's, also behind an alias (we, NSD); BIND and Knot ask the child",
        peers: &[Peer::Bind, Peer::Knot],
        aspects: &[Rcode, Answer, Signatures, Authority],
        alone: true,
        applies: |case| {
            let name = last_name(case.ours, case.query);
            let is_apex = case.batch.is_apex(&name);
            let same = case.ours.chain().starts_with(&case.theirs.chain());
            case.query.rtype == types::DS && is_apex && aliases(case.ours) > 0 && same
        },
    },
    Explained {
        name: "RFC 9460 additional data of aliases",
        reason: "section 4.1: the SVCB, A and AAAA records of targets. BIND also adds their CNAME and follows \
                 further aliases, Knot adds a set that was answered already, names the wildcard instead of the \
                 target, and does not know the target \".\"",
        peers: &[Peer::Bind, Peer::Knot],
        aspects: &[Additional],
        alone: true,
        applies: |case| {
            let is_binding = |record: &&Record| matches!(record.rtype, types::SVCB | types::HTTPS | types::CNAME);
            let sections = [&case.ours.answer, &case.ours.additional, &case.theirs.additional];
            let bindings: Vec<&Record> = sections.into_iter().flatten().filter(is_binding).collect();
            let named: Vec<Name> =
                bindings.iter().flat_map(|record| record.target().into_iter().chain([record.owner.clone()])).collect();
            let (ours, theirs) = (case.ours.additional_set(), case.theirs.additional_set());
            let odd = |record: &Record| {
                let proof = is_denial(record.rtype) || is_denial(record.covered());
                record.owner.is_wildcard() || record.rtype == types::CNAME || proof
            };
            case.ours.last().as_ref().is_some_and(is_binding)
                && ours.symmetric_difference(&theirs).all(|record| named.contains(&record.owner) || odd(record))
        },
    },
    Explained {
        name: "RFC 9471 glue that does not fit",
        reason: "section 3: TC for glue that does not fit. NSD sets it also for addresses that it makes from hidden \
                 wildcards, BIND not for a server named like the delegation; the question is asked again over TCP",
        peers: &[Peer::Bind, Peer::Nsd],
        aspects: &[Tc],
        alone: false,
        applies: |case| cut_of(if case.theirs.truncated() { case.ours } else { case.theirs }).is_some(),
    },
    Explained {
        name: "RFC 1034 names of the zone above (NSD)",
        reason: "NSD keeps one tree of names for all zones, and finds names in a child zone that only the parent's file \
                 has; they are hidden by the delegation (section 4.2)",
        peers: &[Peer::Nsd],
        aspects: &[Rcode, Answer, Signatures, Authority, Additional],
        alone: false,
        applies: |case| {
            let hidden = |name: &Name| {
                let Some(own) = case.batch.zone_of(name) else { return false };
                let above =
                    case.batch.zones.iter().filter(|zone| zone.apex != own.apex && own.apex.is_within(&zone.apex));
                let mut owners = above.flat_map(Zone::owners);
                owners.any(|owner| owner != own.apex && owner.is_within(&own.apex))
            };
            hidden(&last_name(case.ours, case.query)) || hidden(&case.query.name)
        },
    },
    Explained {
        name: "RFC 6672 data below a DNAME (Knot)",
        reason: "section 2.4 forbids them; Knot finds names below a DNAME, BIND and we redirect them",
        peers: &[Peer::Knot],
        aspects: &[Answer, Signatures, Rcode, Aa, Authority, Additional, Tc],
        alone: false,
        applies: |case| {
            let zone = |name: &Name| case.batch.zone_of(name).is_some_and(Zone::has_data_below_redirects);
            let owner = case.ours.last().map_or(&case.query.name, |record| &record.owner);
            let redirected = case.ours.answer.iter().any(|record| record.rtype == types::DNAME);
            (redirected || case.ours.truncated()) && (zone(&case.query.name) || zone(owner))
        },
    },
    Explained {
        name: "RFC 3403 additional data of rare types",
        reason: "BIND, NSD or both add the addresses of NAPTR, AFSDB, RT, KX, LP and such targets; nothing requires them",
        peers: EVERYBODY,
        aspects: &[Additional],
        alone: false,
        applies: |case| {
            const RARE: &[u16] = &[3, 4, 7, 14, 18, 21, 35, 36, 107];
            let is_rare = case.ours.last().is_some_and(|record| RARE.contains(&record.rtype));
            let (ours, theirs) = (&case.ours.additional, &case.theirs.additional);
            is_rare && (is_part(ours, theirs) || is_part(theirs, ours))
        },
    },
];

/// Aliases in an answer from which on a server may stop.
const LONG_CHAIN: usize = 5;

fn is_hinfo(response: &Response) -> bool {
    response.last().is_some_and(|record| record.rtype == types::HINFO && record.rdata == b"\x07RFC8482\0")
}

fn is_denial(rtype: u16) -> bool {
    matches!(rtype, types::NSEC | types::NSEC3)
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
    let is_apex = |record: &Record| {
        (record.rtype == types::NS || record.covered() == types::NS) && case.batch.is_apex(&record.owner)
    };
    let (ours, theirs) = (case.ours.authority_set(), case.theirs.authority_set());
    let positive = !case.ours.answer.is_empty() && !ours.iter().any(|record| record.rtype == types::SOA);
    if !positive || !ours.is_subset(&theirs) || !theirs.difference(&ours).all(|record| is_apex(record)) {
        return false;
    }
    let servers: Vec<&Record> = servers.iter().filter(|record| record.rtype == types::NS).collect();
    let targets: Vec<Name> = servers.iter().filter_map(|record| record.target()).collect();
    let mut more = case.theirs.additional.iter().filter(|record| !case.ours.additional.contains(record));
    let bindings = case.ours.last().is_some_and(|record| matches!(record.rtype, types::SVCB | types::HTTPS));
    let zone = |name: &Name| case.batch.zone_of(name).map(|zone| &zone.apex);
    let mut less = case.ours.additional.iter().filter(|record| !case.theirs.additional.contains(record));
    let home = servers.first().map(|record| &record.owner);
    // Beyond what every network carries, NSD adds nothing.
    let limit = case.query.limit().min(1232);
    let added: usize = theirs.difference(&ours).map(|record| record.owner.wire_len() + 10 + record.rdata.len()).sum();
    let full = length_of_all(case).max(case.ours.plain_length()).max(case.theirs.plain_length()) + added > limit;
    // NSD does not know RFC 9460.
    let optional = |record: &Record| bindings || full || zone(&record.owner) != home || is_hidden(case, &record.owner);
    less.all(optional) && more.all(|record| targets.contains(&record.owner))
}

/// The name, or the one that a wildcard would have to stand for, lies above a zone of ours and only therefore exists.
fn is_above_zone(case: &Case<'_>) -> bool {
    [case.query.name.clone(), last_name(case.ours, case.query)].into_iter().any(|name| {
        let parent = name.parent().filter(|_| case.query.rtype == types::DS && case.batch.is_apex(&name));
        let Some(own) = case.batch.zone_of(parent.as_ref().unwrap_or(&name)) else { return false };
        let owners = own.owners();
        let exists = |name: &Name| owners.iter().any(|owner| owner.is_within(name));
        let mut above = Some(name);
        while let Some(name) = above.filter(|name| *name != own.apex) {
            if !exists(&name) && case.batch.zones.iter().any(|zone| zone.apex.is_within(&name)) {
                return true;
            }
            above = name.parent();
        }
        false
    })
}

/// Both chains lead into another zone, where ours goes on; theirs ends, or goes on in what the first zone says of it.
fn stops_at_zone(case: &Case<'_>) -> bool {
    let (ours, theirs) = (case.ours.chain(), case.theirs.chain());
    let common = ours.iter().zip(&theirs).take_while(|(ours, theirs)| ours == theirs).count();
    let Some(last) = common.checked_sub(1).and_then(|at| ours[at].1.first()) else { return false };
    let Some(target) = last.target().filter(|_| last.rtype == types::CNAME) else { return false };
    let zone = |name: &Name| case.batch.zone_of(name).map(|zone| &zone.apex);
    let home = |name: &Name| zone(&last.owner).is_some_and(|home| name.is_within(home));
    let ends = common == theirs.len() || (case.peer == Peer::Knot && home(&target));
    let own = |record: &Record| match case.peer {
        Peer::Knot => home(&record.owner),
        _ => record.rtype == types::SOA && Some(&record.owner) == zone(&last.owner),
    };
    let shared = |record: &Record| own(record) || case.ours.authority.contains(record);
    let lacks = case.peer != Peer::Nsd || !case.batch.is_served_by(Peer::Nsd, &target);
    zone(&last.owner) != zone(&target) && lacks && ends && case.theirs.authority.iter().all(shared)
}

/// One of the two chains of aliases is the beginning of the other, and where it stops nobody has to go on.
fn stops_early(case: &Case<'_>) -> bool {
    let (ours, theirs) = (case.ours.chain(), case.theirs.chain());
    let shorter = ours.len().min(theirs.len());
    let differ = ours.len() != theirs.len() || case.theirs.rcode == 2;
    let cut_off = case.ours.truncated() || case.theirs.truncated();
    let is_long = |response: &Response| {
        let below_itself = |record: &Record| {
            record.rtype == types::DNAME && record.target().is_some_and(|target| target.is_within(&record.owner))
        };
        response.truncated() || aliases(response) >= LONG_CHAIN || response.answer.iter().any(below_itself)
    };
    differ && is_long(case.ours) && is_long(case.theirs) && (cut_off || ours[..shorter] == theirs[..shorter])
}

/// The name at the end of the aliases.
fn last_name(response: &Response, query: &Query) -> Name {
    let last = response.answer.iter().rev().find(|record| record.rtype == types::CNAME);
    last.and_then(Record::target).unwrap_or_else(|| query.name.clone())
}

/// Whether a name is below a delegation or DNAME of its zone, and is not glue that the answered delegation needs.
fn is_hidden(case: &Case<'_>, name: &Name) -> bool {
    let Some(zone) = case.batch.zone_of(name) else { return false };
    let needed = cut_of(case.ours).is_some_and(|cut| name.is_within(cut)) && zone.types_at(name).any(|_| true);
    let mut above = Some(name.clone());
    while let Some(at) = above.filter(|at| *at != zone.apex && !needed) {
        if zone.has(&at, "NS") || (at != *name && zone.has(&at, "DNAME")) {
            return true;
        }
        above = at.parent();
    }
    false
}

/// How long our answer would be with the addresses of every target in it, none of them left out.
fn length_of_all(case: &Case<'_>) -> usize {
    let response = case.ours;
    let records = response.answer.iter().chain(&response.authority);
    let targets: std::collections::BTreeSet<Name> = records.clone().filter_map(Record::target).collect();
    let length = |target: &Name| {
        let Some(zone) = case.batch.zone_of(target) else { return 0 };
        let count = |rtype: &str| zone.sets.get(&(target.clone(), rtype.to_owned())).map_or(0, |set| set.rdata.len());
        count("A") * (target.wire_len() + 14) + count("AAAA") * (target.wire_len() + 26)
    };
    let known: usize = records.map(|record| record.owner.wire_len() + 10 + record.rdata.len()).sum();
    12 + response.question.len() + known + targets.iter().map(length).sum::<usize>()
}

fn aliases(response: &Response) -> usize {
    response.answer.iter().filter(|record| record.rtype == types::CNAME).count()
}

/// Whether the last alias leads to a name that was answered before.
fn is_loop(response: &Response) -> bool {
    let last = response.last().and_then(Record::target);
    last.is_some_and(|target| response.answer.iter().any(|record| record.owner == target))
}
