//! The records of a zone by owner, and what a name is in it: seen, hidden, delegated, an alias.

use std::collections::HashMap;

use crate::model::name::parent;
use crate::model::{Name, Rtype};
use crate::zone::parse::Draft;

/// The records of a zone by owner.
pub(super) struct Zone<'d> {
    pub(super) apex: &'d Name,
    pub(super) drafts: &'d [Draft],
    owners: HashMap<&'d [u8], Vec<usize>>,
    has_wildcards: bool,
}

/// What stands at a name that a record points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Not in this zone.
    Elsewhere,
    /// A or AAAA.
    Addresses,
    /// A CNAME, or below a DNAME.
    Alias,
    /// Below a delegation, without glue.
    Delegated,
    /// Nothing, or no address.
    Nothing,
}

impl<'d> Zone<'d> {
    pub(super) fn new(apex: &'d Name, drafts: &'d [Draft]) -> Self {
        let mut owners: HashMap<&[u8], Vec<usize>> = HashMap::with_capacity(drafts.len());
        for (index, draft) in drafts.iter().enumerate() {
            owners.entry(draft.owner().as_wire()).or_default().push(index);
        }
        let has_wildcards = owners.keys().any(|wire| wire.starts_with(b"\x01*"));
        Self { apex, drafts, owners, has_wildcards }
    }

    /// Every owner with its records: owners in the order of their first record.
    pub(super) fn owners(&self) -> Vec<(&'d Name, Vec<&'d Draft>)> {
        let mut sets: Vec<&Vec<usize>> = self.owners.values().collect();
        sets.sort_unstable_by_key(|indexes| indexes[0]);
        let drafts = |indexes: &Vec<usize>| indexes.iter().map(|index| &self.drafts[*index]).collect();
        sets.into_iter().map(|indexes| (self.drafts[indexes[0]].owner(), drafts(indexes))).collect()
    }

    pub(super) fn at(&self, wire: &[u8]) -> impl Iterator<Item = &'d Draft> + use<'_, 'd> {
        self.owners.get(wire).into_iter().flatten().map(|index| &self.drafts[*index])
    }

    pub(super) fn has(&self, wire: &[u8], rtype: Rtype) -> bool {
        self.at(wire).any(|draft| draft.rtype() == rtype)
    }

    /// The records of one type at the apex.
    pub(super) fn at_apex(&self, rtype: Rtype) -> impl Iterator<Item = &'d Draft> + use<'_, 'd> {
        self.at(self.apex.as_wire()).filter(move |draft| draft.rtype() == rtype)
    }

    /// The name above `wire`, itself included if `own`, where a delegation or DNAME takes it out of the zone.
    pub(super) fn cut<'w>(&self, wire: &'w [u8], own: bool) -> Option<(&'w [u8], Rtype)> {
        let mut found = None;
        let mut next = Some(wire);
        while let Some(name) = next.filter(|name| name.len() >= self.apex.as_wire().len()) {
            let (is_self, is_apex) = (name.len() == wire.len(), name.len() == self.apex.as_wire().len());
            if !is_apex && (own || !is_self) && self.has(name, Rtype::NS) {
                found = Some((name, Rtype::NS));
            } else if !is_self && self.has(name, Rtype::DNAME) {
                found = Some((name, Rtype::DNAME));
            }
            next = parent(name);
        }
        found
    }

    /// Whether there is a delegation at the name.
    pub(super) fn is_cut(&self, name: &Name) -> bool {
        name != self.apex && self.has(name.as_wire(), Rtype::NS)
    }

    /// What stands at a name that a record points to.
    pub(super) fn target(&self, name: &Name) -> Target {
        let wire = name.as_wire();
        if !name.is_within(self.apex) {
            return Target::Elsewhere;
        }
        let addresses = |wire: &[u8]| self.has(wire, Rtype::A) || self.has(wire, Rtype::AAAA);
        match self.cut(wire, true) {
            Some((_, Rtype::DNAME)) => return Target::Alias,
            _ if addresses(wire) => return Target::Addresses,
            Some(_) => return Target::Delegated,
            None => {}
        }
        match self.wildcard(wire) {
            _ if self.has(wire, Rtype::CNAME) => Target::Alias,
            Some(wildcard) if addresses(&wildcard) => Target::Addresses,
            Some(wildcard) if self.has(&wildcard, Rtype::CNAME) => Target::Alias,
            _ => Target::Nothing,
        }
    }

    /// The wildcard that stands for a name which has no records (RFC 4592), as far as owner names tell.
    fn wildcard(&self, wire: &[u8]) -> Option<Vec<u8>> {
        if !self.has_wildcards || self.owners.contains_key(wire) {
            return None;
        }
        let mut encloser = parent(wire);
        while let Some(name) = encloser {
            let wildcard = [b"\x01*", name].concat();
            if self.owners.contains_key(&wildcard[..]) {
                return Some(wildcard);
            }
            if self.owners.contains_key(name) || name.len() <= self.apex.as_wire().len() {
                return None;
            }
            encloser = parent(name);
        }
        None
    }
}
