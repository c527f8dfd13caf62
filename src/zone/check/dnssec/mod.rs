//! A zone that was signed elsewhere: whether keys, signatures and proofs fit its records.
//!
//! Nothing here is an error: a zone with a fault in its signatures is answered as it stands, and validators decide.
//! Signatures are not verified by calculation (`ldns-verify-zone` does that); what is compared is everything that a
//! signature and a proof say of themselves. A fault that many signatures share is told once, with their number.

mod children;
mod keys;
mod nsec;
mod nsec3;
mod signatures;

use std::collections::BTreeSet;

use super::draft::{DNSKEY, NSEC, NSEC3, NSEC3PARAM};
use super::index::Zone;
use crate::model::{Finding, Name, Rtype};
use crate::zone::fields;
use crate::zone::parse::Draft;

/// A name that this zone answers for, with the records that count there.
pub(super) struct Node<'z, 'd> {
    name: &'d Name,
    all: &'z [&'d Draft],
    /// It is delegated: only NS, DS and what DNSSEC says of them count.
    is_cut: bool,
}

/// The owners of a zone with their records.
pub(super) type Owners<'d> = [(&'d Name, Vec<&'d Draft>)];

impl<'d> Node<'_, 'd> {
    /// The types that proofs about the name list, RRSIG and proofs themselves aside.
    fn types(&self) -> BTreeSet<Rtype> {
        let proofs = [Rtype::RRSIG, NSEC, NSEC3];
        let counts =
            |rtype: &Rtype| !proofs.contains(rtype) && (!self.is_cut || [Rtype::NS, Rtype::DS].contains(rtype));
        self.all.iter().map(|draft| draft.rtype()).filter(counts).collect()
    }

    /// Types with a set or a signature, and not both: told as that, so proofs are not compared for them.
    fn half_signed(&self) -> BTreeSet<Rtype> {
        let signed: BTreeSet<Rtype> = self.all.iter().filter_map(|draft| draft.covered()).collect();
        let mut sets = self.types();
        if self.is_cut {
            sets.remove(&Rtype::NS);
        }
        sets.symmetric_difference(&signed).copied().collect()
    }

    /// Whether nothing at the name is signed, which is told as that: it came after the signatures.
    fn is_unsigned(&self) -> bool {
        !self.is_insecure_cut() && !self.all.iter().any(|draft| draft.rtype() == Rtype::RRSIG)
    }

    fn first(&self, rtype: Rtype) -> Option<&'d Draft> {
        self.all.iter().find(|draft| draft.rtype() == rtype).copied()
    }

    fn is_insecure_cut(&self) -> bool {
        self.is_cut && self.first(Rtype::DS).is_none()
    }

    /// The owner of an NSEC3 record, which is no name of the zone otherwise.
    fn is_hash(&self) -> bool {
        self.all.iter().all(|draft| draft.rtype() == NSEC3 || draft.covered() == Some(NSEC3))
    }
}

/// Checks keys, signatures and proofs if the zone is signed.
pub(super) fn dnssec(zone: &Zone<'_>, owners: &Owners<'_>, now: Option<u32>, remarks: &mut Vec<Finding>) {
    keys::delegation_signers(zone, remarks);
    keys::obsolete(zone, remarks);
    let keys = keys::keys(zone, remarks);
    children::children(zone, remarks);
    nsec3::parameters(zone, remarks);
    let signed = zone.at_apex(Rtype::RRSIG).any(|draft| {
        let covered = draft.covered();
        [Rtype::SOA, Rtype::NS, DNSKEY].map(Some).contains(&covered)
    });
    if !signed {
        return;
    }
    let visible = owners.iter().filter(|(owner, _)| zone.cut(owner.as_wire(), false).is_none());
    let nodes: Vec<Node<'_, '_>> = visible.map(|(name, all)| Node { name, all, is_cut: zone.is_cut(name) }).collect();
    keys.told_missing(zone, remarks);
    signatures::signatures(zone, &nodes, &keys, now, remarks);
    proofs(zone, &nodes, remarks);
}

/// The chain of names, or of their hashes: one of them.
fn proofs(zone: &Zone<'_>, nodes: &[Node<'_, '_>], remarks: &mut Vec<Finding>) {
    let first = |rtype: Rtype| nodes.iter().find_map(|node| node.first(rtype));
    match (first(NSEC), first(NSEC3), zone.at_apex(NSEC3PARAM).next()) {
        (Some(nsec), Some(nsec3), _) => {
            let message = format!("the zone has both NSEC and NSEC3 records ({}); only one can prove", nsec3.place());
            remarks.push(nsec.warning(message));
        }
        (Some(_), None, Some(param)) => {
            remarks.push(param.warning("the zone has an NSEC3PARAM record and is signed with NSEC".to_owned()));
            nsec::chain(zone, nodes, remarks);
        }
        (Some(_), None, None) => nsec::chain(zone, nodes, remarks),
        (None, Some(_), _) | (None, None, Some(_)) => nsec3::chain(zone, nodes, remarks),
        (None, None, None) => {
            if let Some(soa) = zone.at_apex(Rtype::SOA).next() {
                let message =
                    "the zone is signed and has no NSEC or NSEC3 records: it cannot prove that a name does not exist";
                remarks.push(soa.warning(message.to_owned()));
            }
        }
    }
}

/// The types in the bitmap that ends the data of an NSEC or NSEC3 record.
fn bitmap(draft: &Draft) -> BTreeSet<Rtype> {
    let parts = fields::split(draft.rtype(), &draft.record().rdata).unwrap_or_default();
    let octets = parts.last().map_or(&[][..], |(_, octets)| octets);
    fields::windows(octets).unwrap_or_default().into_iter().collect()
}

/// What a bitmap has too much and too little, types in `told` aside; `None` if it is right.
fn difference(found: &BTreeSet<Rtype>, expected: &BTreeSet<Rtype>, told: &BTreeSet<Rtype>) -> Option<String> {
    let list = |types: BTreeSet<&Rtype>| {
        let names: Vec<_> = types.into_iter().map(|rtype| crate::zone::types::mnemonic(*rtype)).collect();
        names.join(" ")
    };
    let missing = list(expected.difference(found).filter(|rtype| !told.contains(rtype)).collect());
    let extra = list(found.difference(expected).filter(|rtype| !told.contains(rtype)).collect());
    match (missing.as_str(), extra.as_str()) {
        ("", "") => None,
        (missing, "") => Some(format!("it lacks {missing}")),
        ("", extra) => Some(format!("it has {extra} without records")),
        (missing, extra) => Some(format!("it lacks {missing}, and has {extra} without records")),
    }
}
