//! Which account an answer belongs to.

use crate::answer::{Answer, Composed, Content, Part, Query, Rcode};

/// What kind of answer it is: kinds do not share accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Records at a name that exists.
    Name,
    /// Something that random names of a zone can produce: a wildcard, a DNAME.
    Wildcard,
    /// The name exists, the type does not.
    NoData,
    /// No such name.
    NoName,
    /// A delegation.
    Referral,
    /// Nothing but an error.
    Error,
}

/// The kind of an answer and the name that its account goes by: what was asked if records stand there, else the zone,
/// the delegation, the wildcard or DNAME that gave the answer, so that random names share one account.
pub(super) fn of<'a>(query: &'a Query<'_>, answer: &'a Answer<'_>) -> (Kind, &'a [u8]) {
    let negative = if answer.rcode == Rcode::NXDOMAIN { Kind::NoName } else { Kind::NoData };
    match &answer.content {
        Content::Negative(zone) => (negative, zone.apex.as_wire()),
        Content::Composed(composed) => of_composed(query, composed, negative),
        _ if answer.rcode != Rcode::NOERROR => (Kind::Error, &[]),
        Content::Set(set) => at(query, set.owner),
        _ => (Kind::Name, query.name.as_wire()),
    }
}

fn of_composed<'a>(query: &'a Query<'_>, composed: &'a Composed<'_>, negative: Kind) -> (Kind, &'a [u8]) {
    match (composed.answer.first(), composed.authority.first()) {
        (Some(Part::Set { set, .. }), _) => at(query, set.owner),
        (None, Some(Part::Soa(zone, _))) => (negative, zone.apex.as_wire()),
        (None, Some(Part::Set { set, .. })) => (Kind::Referral, set.owner),
        _ => (Kind::Name, query.name.as_wire()),
    }
}

/// A set that stands at another name than was asked for was put there by a wildcard or a DNAME.
fn at<'a>(query: &'a Query<'_>, owner: &'a [u8]) -> (Kind, &'a [u8]) {
    match owner == query.name.as_wire() {
        true => (Kind::Name, owner),
        false => (Kind::Wildcard, owner),
    }
}
