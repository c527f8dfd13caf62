//! Delegations: what they hide, glue that nothing uses, DS records without one.

use std::collections::{BTreeSet, HashSet};

use super::draft::NSEC;
use super::index::Zone;
use crate::model::{Finding, Name, Rtype};
use crate::zone::parse::Draft;
use crate::zone::types;

/// Records that a delegation or DNAME above them hides, once for each owner; glue that no NS record names.
pub(super) fn delegations(zone: &Zone<'_>, owners: &[(&Name, Vec<&Draft>)], remarks: &mut Vec<Finding>) {
    let servers = zone.drafts.iter().filter(|draft| draft.rtype() == Rtype::NS).filter_map(Draft::target);
    let servers: HashSet<Name> = servers.collect();
    for (owner, all) in owners {
        match zone.cut(owner.as_wire(), false) {
            Some((above, by)) => {
                let hidden = |draft: &&&Draft| !(by == Rtype::NS && is_address(draft));
                let above = Name::from_trusted(above);
                if let Some(first) = all.iter().find(hidden) {
                    let message = format!("{owner} is below the {by} record of {above} and never seen");
                    remarks.push(first.warning(message));
                } else if !servers.contains(*owner) {
                    let message =
                        format!("{owner} is below the delegation of {above}, and no NS record needs its address");
                    remarks.push(all[0].warning(message));
                }
            }
            None if zone.is_cut(owner) => beside(owner, all, servers.contains(*owner), remarks),
            None => {}
        }
        ds(zone, owner, all, remarks);
    }
}

/// Data at a delegation that belong to the child.
fn beside(owner: &Name, all: &[&Draft], is_server: bool, remarks: &mut Vec<Finding>) {
    const OURS: [Rtype; 5] = [Rtype::NS, Rtype::DS, NSEC, Rtype::RRSIG, Rtype::DNAME];
    let hidden = |draft: &&&Draft| !(OURS.contains(&draft.rtype()) || is_server && is_address(draft));
    let hidden: Vec<&&Draft> = all.iter().filter(hidden).collect();
    let names: BTreeSet<_> = hidden.iter().map(|draft| types::mnemonic(draft.rtype())).collect();
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    if let Some(first) = hidden.first() {
        let message = format!("{owner} is delegated: its {names} records belong to the zone below and are never seen");
        remarks.push(first.warning(message));
    }
}

fn is_address(draft: &Draft) -> bool {
    matches!(draft.rtype(), Rtype::A | Rtype::AAAA)
}

/// DS records need a delegation, and digests that are still accepted.
fn ds(zone: &Zone<'_>, owner: &Name, all: &[&Draft], remarks: &mut Vec<Finding>) {
    let records: Vec<&&Draft> = all.iter().filter(|draft| draft.rtype() == Rtype::DS).collect();
    let Some(first) = records.first().filter(|_| owner != zone.apex) else { return };
    if !zone.is_cut(owner) {
        remarks.push(first.warning(format!("{owner} has a DS record and is no delegation")));
    }
    for draft in &records {
        let [_, _, algorithm, digest, ..] = *draft.record().rdata else { continue };
        if let Some(why) = deprecated_digest(digest) {
            remarks.push(draft.warning(format!("a DS record of digest type {digest} is {why}")));
        }
        if algorithm == 0 {
            remarks
                .push(draft.warning("a DS record of algorithm 0 deletes nothing; that is for CDS (RFC 8078)".into()));
        }
    }
}

/// Why a digest of a DS record is no longer of use.
fn deprecated_digest(digest: u8) -> Option<&'static str> {
    match digest {
        1 => Some("deprecated (SHA-1); use 2, SHA-256"),
        3 => Some("deprecated (GOST R 34.11-94); use 2, SHA-256"),
        2 | 4..=6 => None,
        _ => Some("not known to anybody; use 2, SHA-256"),
    }
}
