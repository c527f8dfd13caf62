//! Who may ask about a zone.
//!
//! A zone with a list answers only clients of its prefixes; all others get REFUSED with EDE 18. The same holds for what
//! another zone leads to: an alias into such a zone is answered and not followed, as a server without the zone would
//! do, and addresses of targets in it are left out.

use std::net::IpAddr;

use super::{Answer, Composed, Content, Ede, Extra, Part, Query, Rcode};
use crate::model::Rtype;
use crate::model::name::parent;
use crate::view::shard::APEX;
use crate::view::{Entry, View, Zone};

const TEXT: &str = "this zone does not answer queries from this address";

/// Whether a zone answers this client.
pub fn may_ask(zone: &Zone, client: IpAddr) -> bool {
    zone.allow_query.as_ref().is_none_or(|allowed| allowed.iter().any(|prefix| prefix.contains(&client)))
}

/// What is left of an answer for this client.
pub(super) fn enforce<'v>(view: &'v View, query: &Query<'_>, answer: Answer<'v>) -> Answer<'v> {
    let closed = |name: &[u8]| zone_of(view, name).is_some_and(|zone| !may_ask(zone, query.client));
    let asked = query.name.as_wire();
    if closed(asked) || (query.rtype == Rtype::DS && parent_side(view, asked).is_some_and(closed)) {
        return Answer::error(Rcode::REFUSED, Some(Ede { code: Ede::PROHIBITED, text: TEXT }));
    }
    let Answer { content: Content::Composed(mut composed), .. } = answer else { return answer };
    let is_closed = |part: &Part<'_>| is_closed(part, query.client, closed);
    let kept = composed.answer.iter().position(is_closed);
    if kept.is_some() || composed.authority.iter().any(is_closed) {
        composed.answer.truncate(kept.unwrap_or(composed.answer.len()));
        return cut_off(composed.answer);
    }
    let is_open = |extra: &Extra<'_>| !closed(extra.owner);
    composed.required = composed.additional.iter().take(composed.required).filter(|extra| is_open(extra)).count();
    composed.additional.retain(is_open);
    Answer { content: Content::Composed(composed), ..answer }
}

/// The aliases that may be told, and that the rest may not.
fn cut_off(answer: Vec<Part<'_>>) -> Answer<'_> {
    let content = Content::Composed(Box::new(Composed { answer, ..Composed::default() }));
    Answer { ede: Some(Ede { code: Ede::PROHIBITED, text: TEXT }), ..Answer::yes(content) }
}

fn is_closed(part: &Part<'_>, client: IpAddr, closed: impl Fn(&[u8]) -> bool) -> bool {
    match part {
        Part::Set { set, .. } => closed(set.owner),
        Part::Soa(zone, _) => !may_ask(zone, client),
        Part::Synthesized { .. } => false, // it stands behind its DNAME
    }
}

/// The zone that a name belongs to: that of the deepest name above it which exists.
fn zone_of<'v>(view: &'v View, name: &[u8]) -> Option<&'v Zone> {
    deepest(view, name).map(|entry| view.zone_of(&entry))
}

fn deepest<'v>(view: &'v View, name: &[u8]) -> Option<Entry<'v>> {
    let mut above = Some(name);
    while let Some(candidate) = above {
        if let Some(entry) = view.find(candidate) {
            return Some(entry);
        }
        above = parent(candidate);
    }
    None
}

/// DS stands in the zone above a zone's apex (RFC 4035 section 3.1.4.1).
fn parent_side<'n>(view: &View, name: &'n [u8]) -> Option<&'n [u8]> {
    parent(name).filter(|_| view.find(name).is_some_and(|entry| entry.is(APEX)))
}
