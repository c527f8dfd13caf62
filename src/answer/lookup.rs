//! Finding a name and type in a view: RFC 1034 section 4.3.2 with RFC 4592 wildcards and RFC 6672 DNAME.
//!
//! A name belongs to the deepest zone of ours that it lies in, but for one type: DS at the apex of a zone belongs to
//! the zone above (RFC 4035 section 3.1.4.1).

use crate::model::Rtype;
use crate::model::name::{MAX_NAME, parent};
use crate::view::shard::{APEX, CUT, OCCLUDED, WILDCARD};
use crate::view::{Entry, RrSet, View, Zone};

/// What stands at a name. Outcomes, not errors.
pub enum Found<'v> {
    /// The set that was asked. Its owner is another name if a wildcard stands for the name.
    Set(&'v Zone, RrSet<'v>),
    /// The SOA of the apex was asked.
    Soa(&'v Zone),
    /// ANY was asked of a name with records.
    Any(&'v Zone, Entry<'v>),
    /// RRSIG was asked of a name with signatures.
    Signatures(&'v Zone, Entry<'v>),
    /// An alias stands there: its CNAME set.
    Alias(&'v Zone, RrSet<'v>),
    /// A DNAME stands above: its set, whose owner is to be replaced by its target.
    Redirect(&'v Zone, RrSet<'v>),
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
    Referral(&'v Zone, RrSet<'v>),
    /// The zone's content is not known yet.
    NotReady(&'v Zone),
    /// No zone of ours.
    NotOurs,
}

impl<'v> Found<'v> {
    /// The zone that answers.
    pub fn zone(&self) -> Option<&'v Zone> {
        match self {
            Self::Set(zone, _)
            | Self::Soa(zone)
            | Self::Any(zone, _)
            | Self::Signatures(zone, _)
            | Self::Alias(zone, _)
            | Self::Redirect(zone, _)
            | Self::NoData { zone, .. }
            | Self::NoName(zone)
            | Self::Referral(zone, _)
            | Self::NotReady(zone) => Some(zone),
            Self::NotOurs => None,
        }
    }
}

/// Finds what stands at a whole, lower-case name.
pub fn find<'v>(view: &'v View, name: &[u8], rtype: Rtype) -> Found<'v> {
    find_at(view, view.find(name), name, rtype)
}

/// The same for a name whose entry has been looked up.
#[inline]
pub fn find_at<'v>(view: &'v View, entry: Option<Entry<'v>>, name: &[u8], rtype: Rtype) -> Found<'v> {
    match entry {
        Some(entry) => exact(view, entry, name, rtype),
        None => missing(view, name, rtype),
    }
}

#[inline]
fn exact<'v>(view: &'v View, entry: Entry<'v>, name: &[u8], rtype: Rtype) -> Found<'v> {
    if rtype == Rtype::DS
        && entry.is(APEX)
        && let Some(found) = at_parent(view, name)
    {
        return found;
    }
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

/// What an entry that is ours to answer has of a type. RRSIG and NSEC stand beside an alias (RFC 4035 section 2.5), so
/// it does not lead to those of another name.
#[inline]
fn at_entry<'v>(zone: &'v Zone, entry: Entry<'v>, rtype: Rtype) -> Found<'v> {
    let set = entry.set_or(rtype, Rtype::CNAME);
    if let Some(set) = set.filter(|set| set.rtype == rtype) {
        return Found::Set(zone, set);
    }
    if rtype == Rtype::RRSIG && entry.is_signed() {
        return Found::Signatures(zone, entry);
    }
    let follows = !matches!(rtype, Rtype::RRSIG | Rtype::NSEC);
    if let Some(alias) = set.filter(|_| follows) {
        return if rtype == Rtype::ANY { Found::Any(zone, entry) } else { Found::Alias(zone, alias) };
    }
    if rtype == Rtype::ANY && (!entry.is_empty() || entry.is(APEX)) {
        return Found::Any(zone, entry);
    }
    Found::NoData { zone, note: entry.note() }
}

/// The DS of a zone of ours, as the zone above says it; `None` when that is not ours.
fn at_parent<'v>(view: &'v View, apex: &[u8]) -> Option<Found<'v>> {
    let above = parent(apex)?;
    let encloser = view.find(above).or_else(|| closest_encloser(view, above))?;
    let zone = view.zone_of(&encloser);
    if !zone.ready {
        return Some(Found::NotReady(zone));
    }
    if encloser.flags() & (CUT | OCCLUDED) != 0 {
        return Some(below_cut(view, encloser, apex, Rtype::DS));
    }
    let set = zone.aside_at(apex).and_then(|aside| aside.set(Rtype::DS));
    Some(set.map_or(Found::NoData { zone, note: "" }, |set| Found::Set(zone, set)))
}

/// No entry of that name: the closest encloser decides.
fn missing<'v>(view: &'v View, name: &[u8], rtype: Rtype) -> Found<'v> {
    let Some(encloser) = closest_encloser(view, name) else { return Found::NotOurs };
    let zone = view.zone_of(&encloser);
    if !zone.ready {
        return Found::NotReady(zone);
    }
    if encloser.flags() & (CUT | OCCLUDED) != 0 {
        return below_cut(view, encloser, name, rtype);
    }
    if zone.has_redirects()
        && let Some(redirect) = encloser.set(Rtype::DNAME)
    {
        return Found::Redirect(zone, redirect);
    }
    match wildcard_below(view, &encloser) {
        Some(wildcard) => at_entry(zone, wildcard, rtype),
        None => Found::NoName(zone),
    }
}

/// The deepest existing name above `name` (RFC 4592 section 3.3.1).
pub(super) fn closest_encloser<'v>(view: &'v View, name: &[u8]) -> Option<Entry<'v>> {
    let mut above = parent(name);
    while let Some(candidate) = above {
        if let Some(entry) = view.find(candidate) {
            return Some(entry);
        }
        above = parent(candidate);
    }
    None
}

/// The wildcard that stands for names below `encloser` which do not exist; it may have no records itself (RFC 4592
/// section 4.7 counts it all the same).
pub(super) fn wildcard_below<'v>(view: &'v View, encloser: &Entry<'v>) -> Option<Entry<'v>> {
    if !encloser.is(WILDCARD) {
        return None;
    }
    let mut room = [0; MAX_NAME];
    view.find(wildcard_name(encloser.name(), &mut room)?)
}

/// The name of the wildcard below `encloser`; `None` when it would be too long.
pub(super) fn wildcard_name<'r>(encloser: &[u8], room: &'r mut [u8; MAX_NAME]) -> Option<&'r [u8]> {
    let whole = room.get_mut(..encloser.len() + 2)?;
    whole[..2].copy_from_slice(b"\x01*");
    whole[2..].copy_from_slice(encloser);
    Some(whole)
}

/// At or below a delegation or DNAME: the topmost one decides.
fn below_cut<'v>(view: &'v View, entry: Entry<'v>, name: &[u8], rtype: Rtype) -> Found<'v> {
    let mut topmost = None;
    let mut above = Some(name);
    while let Some(candidate) = above {
        if let Some(found) = view.find(candidate).filter(|found| found.zone() == entry.zone()) {
            if found.is(CUT) || (candidate.len() < name.len() && found.set(Rtype::DNAME).is_some()) {
                topmost = Some(found);
            }
            if found.is(APEX) {
                break;
            }
        }
        above = parent(candidate);
    }
    let zone = view.zone_of(&entry);
    let Some(cut) = topmost else { return at_entry(zone, entry, rtype) };
    if cut.is(CUT) {
        if rtype == Rtype::DS && cut.name() == name {
            return cut.set(Rtype::DS).map_or(Found::NoData { zone, note: "" }, |set| Found::Set(zone, set));
        }
        if let Some(servers) = cut.set(Rtype::NS) {
            return Found::Referral(zone, servers);
        }
    }
    cut.set(Rtype::DNAME).map_or(Found::NoName(zone), |set| Found::Redirect(zone, set))
}
