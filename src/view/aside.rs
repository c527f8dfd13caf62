//! Records of a zone that queries for their own names do not find, and that the zone has all the same.
//!
//! The table has one entry for each name. Two kinds of records cannot be there: what a zone says at and below the apex
//! of a deeper zone of ours (NS, DS and NSEC of the delegation, glue), because the deeper zone answers those names; and
//! NSEC3 records, whose hashed owners are no names of the zone (RFC 5155 section 7.2.8). They are read for DS, for
//! proofs of absence and for transfers. Sorted, made when zone files are read, and never changed.

use super::RrSet;
use super::rrset::RrSetBuf;
use crate::model::name::canonical_cmp;
use crate::model::{Name, Rtype};

/// The sets of one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sets {
    /// Those that are no signatures.
    pub(crate) plain: Vec<RrSetBuf>,
    /// RRSIG sets, one for each type that is covered.
    pub(crate) signatures: Vec<RrSetBuf>,
}

/// A name that stands aside, with its sets.
#[derive(Debug, Clone)]
pub struct Aside {
    /// The owner.
    pub owner: Name,
    pub(crate) sets: Sets,
}

impl Aside {
    /// The set of a type.
    pub fn set(&self, rtype: Rtype) -> Option<RrSet<'_>> {
        let set = self.sets.plain.iter().find(|set| set.rtype == rtype.0);
        set.map(|set| set.as_set(self.owner.as_wire()))
    }

    /// The signatures that cover its set of a type.
    pub fn signatures(&self, covered: Rtype) -> Option<RrSet<'_>> {
        let set = self.sets.signatures.iter().find(|set| set.covered() == Some(covered));
        set.map(|set| set.as_set(self.owner.as_wire()))
    }

    /// All sets, signatures last.
    pub fn all(&self) -> impl Iterator<Item = RrSet<'_>> {
        let sets = self.sets.plain.iter().chain(&self.sets.signatures);
        sets.map(|set| set.as_set(self.owner.as_wire()))
    }
}

/// The records of a name in a sorted list.
pub(crate) fn find<'a>(aside: &'a [Aside], name: &[u8]) -> Option<&'a Aside> {
    let at = aside.binary_search_by(|known| canonical_cmp(known.owner.as_wire(), name));
    at.ok().map(|at| &aside[at])
}
