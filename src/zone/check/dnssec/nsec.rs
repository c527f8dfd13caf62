//! The NSEC chain: one record at each name, which lists its types and leads to the next name (RFC 4035 section 2.3).

use super::{Node, bitmap, difference};
use crate::model::{Finding, Name, Rtype};
use crate::zone::check::draft::NSEC;
use crate::zone::check::index::Zone;

/// Names without their NSEC record, and records that say something else than the zone has.
pub(super) fn chain(zone: &Zone<'_>, nodes: &[Node<'_, '_>], remarks: &mut Vec<Finding>) {
    let mut sorted: Vec<&Node<'_, '_>> = nodes.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(b.name));
    for (index, node) in sorted.iter().enumerate() {
        let Some(nsec) = node.first(NSEC) else {
            if !node.is_unsigned() {
                remarks.push(node.all[0].warning(format!("{} has no NSEC record", node.name)));
            }
            continue;
        };
        let mut expected = node.types();
        if expected.is_empty() {
            remarks.push(nsec.warning(format!("{} has an NSEC record and nothing else", node.name)));
            continue;
        }
        expected.extend([Rtype::RRSIG, NSEC]);
        if let Some(difference) = difference(&bitmap(nsec), &expected, &node.half_signed()) {
            let message = format!("the NSEC record of {} lists other types than there are: {difference}", node.name);
            remarks.push(nsec.warning(message));
        }
        let Some(next) = nsec.names().into_iter().next() else { continue };
        if !leads_on(zone, &sorted[index + 1..], &next) {
            let following = sorted.get(index + 1).map_or(zone.apex, |node| node.name);
            let message = format!("the NSEC record of {} leads to {next}; the next name is {following}", node.name);
            remarks.push(nsec.warning(message));
        }
    }
}

/// Whether `next` follows: names that lack their NSEC record have been told, and may be left out.
fn leads_on(zone: &Zone<'_>, following: &[&Node<'_, '_>], next: &Name) -> bool {
    for node in following {
        if node.name == next {
            return true;
        }
        if node.first(NSEC).is_some() {
            return false;
        }
    }
    next == zone.apex
}
