//! Answers of several sets: aliases followed inside our zones, delegations, targets with their addresses.

use super::lookup::{Found, find};
use super::{Answer, Content, Query, QueryName, Rcode};
use crate::model::name::{MAX_NAME, is_within};
use crate::model::{Name, Rtype};
use crate::view::{Entry, RrSet, View, Zone};

/// How many aliases are followed before the client has to go on itself.
const MAX_ALIASES: usize = 16;
/// A longer answer goes over UDP without additional section, or not at all.
const MOST_OVER_UDP: usize = 8192;
/// For how many targets addresses are added: no message holds more SRV records.
const MAX_TARGETS: usize = 2048;

/// Sections put together from several sets.
#[derive(Debug, Default)]
pub struct Composed<'v> {
    /// Answer section.
    pub answer: Vec<Part<'v>>,
    /// NS of a delegation in the authority section.
    pub referral: Option<RrSet<'v>>,
    /// SOA in the authority section.
    pub negative: Option<&'v Zone>,
    /// Address sets of targets.
    pub additional: Vec<RrSet<'v>>,
    /// The additional section holds glue, without which the answer is of no use.
    pub needs_additional: bool,
}

/// One part of an answer section.
#[derive(Debug)]
pub enum Part<'v> {
    /// A set, at its own name or (by a wildcard) at another one.
    Set {
        /// The name it is answered at.
        owner: Name,
        /// The set.
        set: RrSet<'v>,
    },
    /// A CNAME made from a DNAME (RFC 6672 section 3.1).
    Synthesized {
        /// The name that was asked.
        owner: Name,
        /// Where it leads.
        target: Name,
        /// The DNAME's TTL.
        ttl: u32,
    },
    /// The SOA of an alias's target.
    Soa(&'v Zone),
}

/// A set whose targets' addresses belong into the additional section.
pub(super) fn with_targets<'v>(view: &'v View, query: &Query<'_>, set: RrSet<'v>) -> Answer<'v> {
    let mut composed = Composed::default();
    if !query.transport.is_datagram() || set.answer.len() <= MOST_OVER_UDP {
        add_targets(view, &set, &mut composed.additional);
    }
    let owner = Name::from_trusted(set.owner);
    composed.answer.push(Part::Set { owner, set });
    Answer::yes(Content::Composed(Box::new(composed)))
}

/// A delegation: NS in the authority section, glue in the additional one (RFC 1034 section 4.3.2, step 3b).
pub(super) fn referral<'v>(view: &'v View, servers: RrSet<'v>) -> Answer<'v> {
    let mut composed = Composed { referral: Some(servers), ..Composed::default() };
    add_targets(view, &servers, &mut composed.additional);
    composed.needs_additional = composed.additional.iter().any(|glue| is_within(glue.owner, servers.owner));
    Answer { authoritative: false, ..Answer::yes(Content::Composed(Box::new(composed))) }
}

/// Follows aliases as long as they stay in our zones; the last name decides the rcode (RFC 6604 section 2).
pub(super) fn chain<'v>(view: &'v View, query: &Query<'_>) -> Answer<'v> {
    let mut composed = Composed::default();
    let mut rcode = Rcode::NOERROR;
    let mut owner = Name::from_trusted(query.name.as_wire());
    for step in 0..=MAX_ALIASES {
        let next = match find(view, owner.as_wire(), query.rtype) {
            Found::Alias(set) => follow_alias(&mut composed, &owner, set),
            Found::Redirect(set) => match follow_redirect(&mut composed, &owner, set) {
                Some(target) => Some(target),
                None => return Answer { rcode: Rcode(6), ..Answer::yes(Content::Composed(Box::new(composed))) },
            },
            last => {
                rcode = end_of_chain(view, &mut composed, &owner, last);
                None
            }
        };
        let Some(target) = next.filter(|target| step < MAX_ALIASES && !is_answered(&composed, target)) else { break };
        owner = target;
    }
    Answer { rcode, ..Answer::yes(Content::Composed(Box::new(composed))) }
}

fn follow_alias<'v>(composed: &mut Composed<'v>, owner: &Name, set: RrSet<'v>) -> Option<Name> {
    let target = set.records().next().and_then(|record| Name::from_wire(record.rdata).ok());
    composed.answer.push(Part::Set { owner: owner.clone(), set });
    target
}

/// Replaces the DNAME's owner by its target; `None` when the result would be too long (YXDOMAIN).
fn follow_redirect<'v>(composed: &mut Composed<'v>, owner: &Name, set: RrSet<'v>) -> Option<Name> {
    let record = set.records().next()?;
    composed.answer.push(Part::Set { owner: Name::from_trusted(set.owner), set });
    let prefix = &owner.as_wire()[..owner.as_wire().len() - set.owner.len()];
    if prefix.len() + record.rdata.len() > MAX_NAME {
        return None;
    }
    let target = Name::from_wire(&[prefix, record.rdata].concat()).ok()?;
    composed.answer.push(Part::Synthesized { owner: owner.clone(), target: target.clone(), ttl: record.ttl });
    Some(target)
}

fn end_of_chain<'v>(view: &'v View, composed: &mut Composed<'v>, owner: &Name, last: Found<'v>) -> Rcode {
    match last {
        Found::Set(set) => {
            if set.follows_targets() {
                add_targets(view, &set, &mut composed.additional);
            }
            composed.answer.push(Part::Set { owner: owner.clone(), set });
        }
        Found::Soa(zone) => composed.answer.push(Part::Soa(zone)),
        Found::NoData { zone, .. } => composed.negative = Some(zone),
        Found::NoName(zone) => {
            composed.negative = Some(zone);
            return Rcode::NXDOMAIN;
        }
        Found::Referral(servers) => {
            add_targets(view, &servers, &mut composed.additional);
            composed.referral = Some(servers);
        }
        Found::NotReady(_) => return Rcode::SERVFAIL,
        Found::Any | Found::Alias(_) | Found::Redirect(_) | Found::NotOurs => {}
    }
    Rcode::NOERROR
}

fn is_answered(composed: &Composed<'_>, target: &Name) -> bool {
    composed.answer.iter().any(|part| matches!(part, Part::Set { owner, .. } if owner == target))
}

/// The addresses of a set's targets, glue included; those that are not ours are left to the resolver.
fn add_targets<'v>(view: &'v View, set: &RrSet<'v>, additional: &mut Vec<RrSet<'v>>) {
    additional.reserve(2 * MAX_TARGETS.min(set.count as usize));
    for record in set.records().take(MAX_TARGETS) {
        let Some(target) = set.target(record.rdata).filter(|target| target.len() <= MAX_NAME) else { continue };
        let target = QueryName::new(target);
        let entry = view.find(target.as_wire()).filter(|entry| view.zone_of(entry).ready);
        let is_new = |entry: &Entry<'_>| additional.iter().all(|set| !std::ptr::eq(set.owner, entry.name()));
        let Some(entry) = entry.filter(is_new) else { continue };
        additional.extend([Rtype::A, Rtype::AAAA].iter().filter_map(|rtype| entry.set(*rtype)));
    }
}
