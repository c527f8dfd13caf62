//! Questions about a name, for people: TXT at `NAME._explain.ZONE` asks why `NAME.ZONE` answers as it does.
//!
//! Only clients that the operator lists are told; for all others there is no such name, and no octet of their answers
//! differs. A view does not know the reasons, so this says no more than which name is to be explained: over UDP the
//! client is sent to TCP, where its address is no forgery and somebody may take the time to look.
//!
//! This is looked at where the answer would be that there is no such name, so it costs nothing elsewhere. A wildcard or
//! DNAME at the apex therefore answers over UDP as ever, and names are explained over TCP alone.
//!
//! A zone with records of its own at or below `_explain` keeps them. A signed zone is not explained to those who want
//! signatures: the proof that there is no such name stands in it, and a record without a signature beside it would be
//! a lie to whoever validates.

use super::{Content, Query};
use crate::model::name::parent;
use crate::model::{Name, Rtype};
use crate::view::shard::APEX;
use crate::view::{View, Zone};

/// The label between the name and its zone, with its length.
const LABEL: &[u8] = b"\x08_explain";

/// What a query for a name that does not exist gets all the same, if the client is explained names there: TXT has to be
/// given by somebody else, other types are not there.
#[inline]
pub(super) fn content<'v>(view: &'v View, query: &Query<'_>) -> Option<Content<'v>> {
    if view.explain_to.is_empty() { None } else { content_for(view, query) }
}

#[cold]
fn content_for<'v>(view: &'v View, query: &Query<'_>) -> Option<Content<'v>> {
    let (zone, _) = split(view, query)?;
    Some(if query.rtype == Rtype::TXT { Content::Explanation } else { Content::Negative(zone) })
}

/// The name that the client wants to have explained, if it may.
pub fn asked(view: &View, query: &Query<'_>) -> Option<Name> {
    if query.rtype != Rtype::TXT || !matches!(query.class, super::CLASS_IN | super::CLASS_ANY) {
        return None;
    }
    let (zone, name) = split(view, query)?;
    Name::from_wire(&[name, zone.apex.as_wire()].concat()).ok()
}

/// The zone, and the labels of the name in it.
fn split<'v, 'q>(view: &'v View, query: &'q Query<'_>) -> Option<(&'v Zone, &'q [u8])> {
    if !view.explain_to.iter().any(|prefix| prefix.contains(&query.client)) {
        return None;
    }
    let (zone, labels) = place(view, query.name.as_wire())?;
    let is_told = !(zone.is_signed() && query.wants_signatures()) && super::access::may_ask(zone, query.client);
    is_told.then_some((zone, labels))
}

/// The name that this one explains to those who may ask.
pub fn target(view: &View, name: &Name) -> Option<Name> {
    let (zone, labels) = place(view, name.as_wire())?;
    Name::from_wire(&[labels, zone.apex.as_wire()].concat()).ok()
}

/// The zone that is explained at such names and has no records of its own there, and the labels of a name in it.
fn place<'v, 'q>(view: &'v View, whole: &'q [u8]) -> Option<(&'v Zone, &'q [u8])> {
    let mut rest = Some(whole);
    while let Some(name) = rest {
        let above = parent(name);
        if name.starts_with(LABEL)
            && let Some(zone) = above.and_then(|above| zone_at(view, above))
        {
            let is_free = zone.ready && view.find(name).is_none();
            return is_free.then_some((zone, &whole[..whole.len() - name.len()]));
        }
        rest = above;
    }
    None
}

/// The zone with that apex.
fn zone_at<'v>(view: &'v View, apex: &[u8]) -> Option<&'v Zone> {
    view.find(apex).filter(|entry| entry.is(APEX)).map(|entry| view.zone_of(&entry))
}
