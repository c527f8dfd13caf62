//! Which zone an answer comes from, for the options that tell something of it: ZONEVERSION and EXPIRE.

use super::{Answer, CLASS_CH, Query, Rcode};
use crate::model::Rtype;
use crate::model::name::parent;
use crate::view::shard::APEX;
use crate::view::{View, Zone};

/// The version of a zone as RFC 9660 section 2 has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZoneVersion {
    /// Labels of the zone's name, without the root.
    pub labels: u8,
    /// Its serial in this view.
    pub serial: u32,
}

impl ZoneVersion {
    /// The version of `zone`.
    pub fn of(zone: &Zone) -> Self {
        let labels = std::iter::successors(parent(zone.apex.as_wire()), |name| parent(name)).count();
        Self { labels: labels as u8, serial: zone.serial.0 }
    }
}

/// The zone of ours that encloses QNAME, of which the answer speaks: also when there is no such name or type, and when
/// it is delegated (RFC 9660 section 3.2). None for what is refused, and while the zone's content is not known.
pub fn answering_zone<'v>(view: &'v View, query: &Query<'_>, answer: &Answer<'_>) -> Option<&'v Zone> {
    if query.class == CLASS_CH || answer.rcode == Rcode::REFUSED {
        return None;
    }
    let name = query.name.as_wire();
    let closest = closest_zone(view, Some(name))?;
    let zone = match query.rtype {
        Rtype::DS if view.find(name).is_some_and(|entry| entry.is(APEX)) => {
            closest_zone(view, parent(name)).unwrap_or(closest) // RFC 4035 section 3.1.4.1: the parent knows
        }
        _ => closest,
    };
    zone.ready.then_some(zone)
}

/// How long a secondary may use what it has of the zone after it has heard from its primary, in seconds: as a primary
/// says it to whom asks for the SOA (RFC 7314 section 3.1).
pub fn expiry(zone: &Zone, query: &Query<'_>) -> Option<u32> {
    let at_apex = query.rtype == Rtype::SOA && query.name.as_wire() == zone.apex.as_wire();
    let timer = zone.soa.len().checked_sub(8)?;
    at_apex.then(|| crate::view::rrset::u32_at(&zone.soa, timer))
}

fn closest_zone<'v>(view: &'v View, name: Option<&[u8]>) -> Option<&'v Zone> {
    let mut names = std::iter::successors(name, |name| parent(name));
    names.find_map(|name| view.find(name)).map(|entry| view.zone_of(&entry))
}
