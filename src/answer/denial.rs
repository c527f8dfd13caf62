//! Proofs of absence from a signed zone: which NSEC or NSEC3 records an answer carries (RFC 4035 section 3.1.3,
//! RFC 5155 section 7.2).

use super::compose::{Composed, Owner, Part};
use super::lookup::{closest_encloser, wildcard_name};
use crate::model::Rtype;
use crate::model::name::{MAX_NAME, parent};
use crate::view::denial::{Denial, Nsec3Chain, nsec};
use crate::view::{RrSet, View, Zone};

/// Writes proofs from one zone into the authority section.
pub(super) struct Prover<'v, 'c> {
    pub(super) view: &'v View,
    pub(super) zone: &'v Zone,
    pub(super) composed: &'c mut Composed<'v>,
}

impl<'v> Prover<'v, '_> {
    /// The name exists, or a wildcard stands for it, but not with this type.
    pub(super) fn no_data(self, name: &[u8]) {
        match self.view.find(name) {
            Some(_) => self.at(name),
            None => self.no_name(name),
        }
    }

    /// The name does not exist, and its wildcard does not either or has no such type: the record at the
    /// wildcard or over it says which.
    pub(super) fn no_name(mut self, name: &[u8]) {
        let Some(encloser) = closest_encloser(self.view, name) else { return };
        let mut room = [0; MAX_NAME];
        match self.zone.denial() {
            Some(Denial::Nsec(_)) => {
                self.nsec(name);
                if let Some(wildcard) = wildcard_name(encloser.name(), &mut room) {
                    self.nsec(wildcard);
                }
            }
            Some(Denial::Nsec3(chain)) => {
                let provable = self.enclosed(chain, name, encloser.name());
                if let Some(wildcard) = provable.and_then(|provable| wildcard_name(provable, &mut room)) {
                    self.nsec3(chain, wildcard);
                }
            }
            None => {}
        }
    }

    /// A wildcard stands for the name: the name itself does not exist.
    pub(super) fn expanded(mut self, name: &[u8]) {
        let Some(encloser) = closest_encloser(self.view, name) else { return };
        match self.zone.denial() {
            Some(Denial::Nsec(_)) => self.nsec(name),
            Some(Denial::Nsec3(chain)) => self.nsec3(chain, next_closer(name, encloser.name())),
            None => {}
        }
    }

    /// A name that exists has no such type: its own record says so. Without one (an opted-out delegation, or a name
    /// that exists only above one) the span that it would be in says so (RFC 5155 sections 7.2.4 and 7.2.7).
    pub(super) fn at(mut self, name: &[u8]) {
        match self.zone.denial() {
            Some(Denial::Nsec(_)) => self.nsec(name),
            Some(Denial::Nsec3(chain)) => match chain.find(name).filter(|link| link.matches) {
                Some(link) => self.aside(link.at),
                None => {
                    self.enclosed(chain, name, parent(name).unwrap_or(name));
                }
            },
            None => {}
        }
    }

    /// The closest provable encloser's record, and the one that covers the next closer name (RFC 5155
    /// section 7.2.1). Where spans are opted out it may stand above the closest encloser, and the wildcard
    /// that counts is the one below it.
    fn enclosed<'n>(&mut self, chain: &Nsec3Chain, name: &[u8], encloser: &'n [u8]) -> Option<&'n [u8]> {
        let mut provable = Some(encloser);
        while let Some(above) = provable {
            if let Some(link) = chain.find(above).filter(|link| link.matches) {
                self.aside(link.at);
                self.nsec3(chain, next_closer(name, above));
                return Some(above);
            }
            provable = parent(above).filter(|above| above.len() >= self.zone.apex.as_wire().len());
        }
        None
    }

    fn nsec3(&mut self, chain: &Nsec3Chain, name: &[u8]) {
        if let Some(link) = chain.find(name) {
            self.aside(link.at);
        }
    }

    fn aside(&mut self, at: usize) {
        let aside = &self.zone.aside()[at];
        self.put(aside.set(Rtype::NSEC3), aside.signatures(Rtype::NSEC3));
    }

    fn nsec(&mut self, name: &[u8]) {
        let Some(Denial::Nsec(owners)) = self.zone.denial() else { return };
        let Some(link) = nsec(owners, name) else { return };
        let owner = link.at.as_wire();
        let set = set_of(self.view, self.zone, owner, Rtype::NSEC);
        self.put(set, signatures_of(self.view, self.zone, owner, Rtype::NSEC));
    }

    /// Adds a record and its signatures unless they are there already.
    fn put(&mut self, set: Option<RrSet<'v>>, signatures: Option<RrSet<'v>>) {
        let authority = &mut self.composed.authority;
        for set in set.into_iter().chain(signatures) {
            let is_there = authority.iter().any(|part| part.is(&set));
            if !is_there {
                authority.push(Part::Set { owner: Owner::Stored(set.owner), set, ttl: None });
            }
        }
    }
}

/// A zone's set at an owner, wherever it keeps it.
fn set_of<'v>(view: &'v View, zone: &'v Zone, owner: &[u8], rtype: Rtype) -> Option<RrSet<'v>> {
    match view.find(owner).filter(|entry| std::ptr::eq(view.zone_of(entry), zone)) {
        Some(entry) => entry.set(rtype),
        None => zone.aside_at(owner)?.set(rtype),
    }
}

/// The signatures of a zone's set at an owner.
pub(super) fn signatures_of<'v>(view: &'v View, zone: &'v Zone, owner: &[u8], covered: Rtype) -> Option<RrSet<'v>> {
    match view.find(owner).filter(|entry| std::ptr::eq(view.zone_of(entry), zone)) {
        Some(entry) => entry.signatures(covered),
        None => zone.aside_at(owner)?.signatures(covered),
    }
}

/// The name one label longer than `encloser` on the way to `name`, which lies below it.
fn next_closer<'n>(name: &'n [u8], encloser: &[u8]) -> &'n [u8] {
    let mut next = name;
    while let Some(above) = parent(next).filter(|above| above.len() > encloser.len()) {
        next = above;
    }
    next
}
