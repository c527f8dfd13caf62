//! Addresses of the names that records point to, for the additional section.

use super::compose::{Composed, Extra};
use super::denial::signatures_of;
use super::lookup::{closest_encloser, wildcard_below};
use super::{Query, QueryName};
use crate::model::Rtype;
use crate::model::name::is_within;
use crate::view::shard::{CUT, OCCLUDED};
use crate::view::{Entry, RrSet, View};

/// A longer answer goes over UDP without additional section, or not at all.
const MOST_OVER_UDP: usize = 8192;
/// For how many targets addresses are added: no message holds more SRV records.
const MAX_TARGETS: usize = 2048;
/// How far back a target's addresses are looked for, so that two records with one target give them once.
const RECENT: usize = 256;

/// The addresses of a set's targets; those that are not ours are left to the resolver.
pub(super) fn add_targets<'v>(
    view: &'v View,
    query: &Query<'_>,
    set: &RrSet<'v>,
    dnssec: bool,
    additional: &mut Vec<Extra<'v>>,
) {
    if query.transport.is_datagram() && set.answer_len() > MOST_OVER_UDP {
        return;
    }
    additional.reserve(2 * MAX_TARGETS.min(set.count as usize));
    for record in set.records().take(MAX_TARGETS) {
        let Some(target) = set.target(record.rdata) else { continue };
        let Some(entry) = addresses(view, target) else { continue };
        if set.is_alias(record.rdata) && target != set.owner {
            add(view, target, &entry, &[set.rtype], dnssec, additional);
        }
        add(view, target, &entry, &[Rtype::A, Rtype::AAAA], dnssec, additional);
    }
}

/// Glue of a delegation: first the addresses of name servers below it, without which nobody finds them (RFC 9471).
pub(super) fn add_glue<'v>(view: &'v View, servers: &RrSet<'v>, dnssec: bool, composed: &mut Composed<'v>) {
    composed.additional.reserve(2 * MAX_TARGETS.min(servers.count as usize));
    for required in [true, false] {
        for record in servers.records().take(MAX_TARGETS) {
            let Some(target) = servers.target(record.rdata) else { continue };
            let folded = QueryName::new(target);
            if is_within(folded.as_wire(), servers.owner) == required
                && let Some(entry) = addresses(view, target)
            {
                add(view, target, &entry, &[Rtype::A, Rtype::AAAA], dnssec, &mut composed.additional);
            }
        }
        if required {
            composed.required = composed.additional.len();
        }
    }
}

/// Where the addresses of a target stand, glue included: at its name, or at the wildcard for it.
fn addresses<'v>(view: &'v View, target: &[u8]) -> Option<Entry<'v>> {
    let target = QueryName::new(target);
    let entry = match view.find(target.as_wire()) {
        Some(entry) => entry,
        None => {
            let encloser = closest_encloser(view, target.as_wire())?;
            wildcard_below(view, &encloser).filter(|_| encloser.flags() & (CUT | OCCLUDED) == 0)?
        }
    };
    Some(entry).filter(|entry| view.zone_of(entry).ready)
}

/// Adds the sets of these types with what signs them, unless they are there already.
fn add<'v>(
    view: &'v View,
    owner: &'v [u8],
    entry: &Entry<'v>,
    types: &[Rtype],
    dnssec: bool,
    additional: &mut Vec<Extra<'v>>,
) {
    let zone = view.zone_of(entry);
    for set in types.iter().filter_map(|rtype| entry.set(*rtype)) {
        let is_same = |extra: &Extra<'_>| extra.set.is_same(&set) && extra.owner.eq_ignore_ascii_case(owner);
        if !additional.iter().rev().take(RECENT).any(is_same) {
            let signed = dnssec && zone.is_signed();
            let signatures = signed.then(|| signatures_of(view, zone, set.owner, set.rtype)).flatten();
            additional.push(Extra { owner, set, signatures });
        }
    }
}
