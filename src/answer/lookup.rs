//! Finding a name and type in a view: RFC 1034 section 4.3.2 with RFC 4592 wildcards and RFC 6672 DNAME.

use crate::model::Rtype;
use crate::model::name::parent;
use crate::view::shard::{APEX, CUT, OCCLUDED, WILDCARD};
use crate::view::{Entry, RrSet, View, Zone};

/// What stands at a name. Outcomes, not errors.
pub enum Found<'v> {
    /// The set that was asked.
    Set(RrSet<'v>),
    /// The SOA of the apex was asked.
    Soa(&'v Zone),
    /// ANY was asked of a name with records.
    Any,
    /// An alias stands there: its CNAME set.
    Alias(RrSet<'v>),
    /// A DNAME stands above: its set, whose owner is to be replaced by its target.
    Redirect(RrSet<'v>),
    /// The name exists, the type does not.
    NoData {
        /// The zone.
        zone: &'v Zone,
        /// Why, in words; may be empty.
        note: &'v str,
    },
    /// No such name in this zone.
    NoName(&'v Zone),
    /// A delegation stands at or above the name: its NS set.
    Referral(RrSet<'v>),
    /// The zone's content is not known yet.
    NotReady(&'v Zone),
    /// No zone of ours.
    NotOurs,
}

/// Finds what stands at a whole, lower-case name.
pub fn find<'v>(view: &'v View, name: &[u8], rtype: Rtype) -> Found<'v> {
    match view.find(name) {
        Some(entry) => exact(view, entry, name, rtype),
        None => missing(view, name, rtype),
    }
}

fn exact<'v>(view: &'v View, entry: Entry<'v>, name: &[u8], rtype: Rtype) -> Found<'v> {
    let zone = view.zone_of(&entry);
    if !zone.ready {
        return Found::NotReady(zone);
    }
    if entry.flags() & (CUT | OCCLUDED) != 0 {
        return below_cut(view, entry, name, rtype);
    }
    if rtype == Rtype::SOA && entry.is(APEX) {
        return Found::Soa(zone);
    }
    at_entry(zone, entry, rtype)
}

/// What an entry that is ours to answer has of a type.
fn at_entry<'v>(zone: &'v Zone, entry: Entry<'v>, rtype: Rtype) -> Found<'v> {
    if let Some(set) = entry.set(rtype) {
        return Found::Set(set);
    }
    if let Some(alias) = entry.set(Rtype::CNAME) {
        return if rtype == Rtype::ANY { Found::Any } else { Found::Alias(alias) };
    }
    if rtype == Rtype::ANY && (!entry.is_empty() || entry.is(APEX)) {
        return Found::Any;
    }
    Found::NoData { zone, note: entry.note() }
}

/// No entry of that name: the closest encloser decides.
fn missing<'v>(view: &'v View, name: &[u8], rtype: Rtype) -> Found<'v> {
    let Some(encloser) = closest_encloser(view, name) else { return Found::NotOurs };
    let zone = view.zone_of(&encloser);
    if !zone.ready {
        return Found::NotReady(zone);
    }
    if encloser.flags() & (CUT | OCCLUDED) != 0 {
        return below_cut(view, encloser, encloser.name(), rtype);
    }
    if let Some(redirect) = encloser.set(Rtype::DNAME) {
        return Found::Redirect(redirect);
    }
    if encloser.is(WILDCARD) {
        let wildcard = wildcard_of(view, encloser.name());
        if let Some(wildcard) = wildcard.filter(|wildcard| !wildcard.is_empty()) {
            return at_entry(zone, wildcard, rtype);
        }
    }
    Found::NoName(zone)
}

/// The deepest existing name above `name` (RFC 4592 section 3.3.1).
fn closest_encloser<'v>(view: &'v View, name: &[u8]) -> Option<Entry<'v>> {
    let mut above = parent(name);
    while let Some(candidate) = above {
        if let Some(entry) = view.find(candidate) {
            return Some(entry);
        }
        above = parent(candidate);
    }
    None
}

fn wildcard_of<'v>(view: &'v View, encloser: &[u8]) -> Option<Entry<'v>> {
    let mut name = [0; crate::model::name::MAX_NAME];
    let whole = name.get_mut(..encloser.len() + 2)?;
    whole[..2].copy_from_slice(b"\x01*");
    whole[2..].copy_from_slice(encloser);
    view.find(whole)
}

/// At or below a delegation or DNAME: the topmost one decides.
fn below_cut<'v>(view: &'v View, entry: Entry<'v>, name: &[u8], rtype: Rtype) -> Found<'v> {
    let mut topmost = None;
    let mut above = Some(name);
    while let Some(candidate) = above {
        if let Some(found) = view.find(candidate).filter(|found| found.zone() == entry.zone()) {
            if found.is(APEX) {
                break;
            }
            let is_end = found.is(CUT) || (candidate.len() < name.len() && found.set(Rtype::DNAME).is_some());
            if is_end {
                topmost = Some(found);
            }
        }
        above = parent(candidate);
    }
    let zone = view.zone_of(&entry);
    let Some(cut) = topmost else { return at_entry(zone, entry, rtype) };
    if cut.is(CUT) {
        if rtype == Rtype::DS && cut.name() == name {
            return cut.set(Rtype::DS).map_or(Found::NoData { zone, note: "" }, Found::Set);
        }
        if let Some(servers) = cut.set(Rtype::NS) {
            return Found::Referral(servers);
        }
    }
    cut.set(Rtype::DNAME).map_or(Found::NoName(zone), Found::Redirect)
}
