//! Aliases: what may not stand beside CNAME and DNAME, and where they lead.

use std::collections::HashSet;

use super::index::Zone;
use crate::model::{Finding, Name, Rtype};
use crate::zone::parse::Draft;
use crate::zone::types;

/// Types that may stand beside a CNAME (RFC 2181 section 10.1, RFC 4034): SIG, KEY, NXT, RRSIG, NSEC.
const BESIDE_ALIAS: [u16; 5] = [24, 25, 30, 46, 47];

/// One CNAME and nothing beside it; one DNAME; no DNAME beside a delegation.
pub(super) fn exclusive(zone: &Zone<'_>, owners: &[(&Name, Vec<&Draft>)], remarks: &mut Vec<Finding>) {
    for (owner, all) in owners {
        for rtype in [Rtype::CNAME, Rtype::DNAME] {
            let mut of_type = all.iter().filter(|draft| draft.rtype() == rtype);
            let Some(first) = of_type.next() else { continue };
            for other in of_type {
                let message = format!("{owner} has a {rtype} record at {} already", first.place());
                remarks.push(other.error(message));
            }
        }
        let first = |rtype: Rtype| all.iter().find(|draft| draft.rtype() == rtype);
        if let Some(alias) = first(Rtype::CNAME) {
            beside(alias, all, remarks);
        }
        if let Some((dname, ns)) = first(Rtype::DNAME).zip(first(Rtype::NS).filter(|_| *owner != zone.apex)) {
            let message =
                format!("{owner} has NS records at {} beside this DNAME record, which is never seen", ns.place());
            remarks.push(dname.warning(message).with_help("RFC 6672 section 2.3 allows it only at the apex"));
        }
        if let Some(dname) = first(Rtype::DNAME).filter(|_| owner.as_wire().starts_with(b"\x01*")) {
            let message =
                format!("a DNAME record at the wildcard {owner} leads nothing elsewhere (RFC 6672 section 3.3)");
            remarks.push(dname.warning(message));
        }
    }
    loops(zone, remarks);
}

/// Each type beside a CNAME once.
fn beside(alias: &Draft, all: &[&Draft], remarks: &mut Vec<Finding>) {
    let mut told = HashSet::new();
    for other in all.iter().filter(|other| other.rtype() != Rtype::CNAME && !BESIDE_ALIAS.contains(&other.rtype().0)) {
        if told.insert(other.rtype()) {
            let name = types::mnemonic(other.rtype());
            let message = format!("{} has a CNAME record at {} and so no {name} record", other.owner(), alias.place());
            remarks.push(other.error(message));
        }
    }
}

/// CNAME records that lead back to where they began, each loop once.
fn loops(zone: &Zone<'_>, remarks: &mut Vec<Finding>) {
    let mut seen: HashSet<Name> = HashSet::new();
    for draft in zone.drafts.iter().filter(|draft| draft.rtype() == Rtype::CNAME) {
        let mut chain: HashSet<Name> = HashSet::new();
        let mut at = Some(draft);
        while let Some(alias) = at.filter(|alias| !seen.contains(alias.owner())) {
            if !chain.insert(alias.owner().clone()) {
                remarks.push(alias.warning(format!("the CNAME records of {} lead back to it", alias.owner())));
                break;
            }
            let next = alias.target();
            at = next.and_then(|name| zone.at(name.as_wire()).find(|other| other.rtype() == Rtype::CNAME));
        }
        seen.extend(chain);
    }
}
