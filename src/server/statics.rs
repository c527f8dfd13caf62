//! Static records as the rest of the server needs them: sources for the compiler, holders of names for the registry.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::model::{Name, Rtype};
use crate::registry::StaticNames;
use crate::zone::StaticZone;

/// Which static record holds a name, and where it stands.
#[derive(Debug, Default)]
pub(super) struct Holders {
    apexes: Vec<Name>,
    names: HashMap<Name, String>,
    cuts: HashMap<Name, String>,
    aliases: HashMap<Name, String>,
    /// Apexes with a DNAME: it leads every name of the zone elsewhere.
    renamed: HashMap<Name, String>,
}

/// The holders of the zone files that are in force.
#[derive(Debug, Clone)]
pub(super) struct SharedHolders(Arc<ArcSwap<Holders>>);

impl Holders {
    /// All records of the zone files. The apex belongs to its zone anyway.
    pub(super) fn of(zones: &[StaticZone]) -> Self {
        let mut holders = Self { apexes: zones.iter().map(|zone| zone.origin.clone()).collect(), ..Self::default() };
        for zone in zones {
            for entry in &zone.records {
                let owner = &entry.record.owner;
                let place = match entry.place.line {
                    0 => entry.place.file.to_string(),
                    line => format!("{}:{line}", entry.place.file),
                };
                let ends_zone = entry.record.rtype == Rtype::DNAME || entry.record.rtype == Rtype::NS;
                if ends_zone && *owner != zone.origin {
                    holders.cuts.entry(owner.clone()).or_insert_with(|| place.clone());
                } else if entry.record.rtype == Rtype::DNAME {
                    holders.renamed.insert(owner.clone(), place.clone());
                }
                if entry.record.rtype == Rtype::CNAME {
                    holders.aliases.insert(owner.clone(), place.clone());
                }
                holders.names.entry(owner.clone()).or_insert(place);
            }
        }
        holders
    }

    fn holder(&self, name: &Name) -> Option<String> {
        if let Some(place) = self.names.get(name) {
            return Some(place.clone());
        }
        let mut above = name.parent();
        while let Some(candidate) = above {
            if self.apexes.contains(&candidate) {
                return self.renamed.get(&candidate).cloned();
            }
            if let Some(place) = self.cuts.get(&candidate) {
                return Some(place.clone());
            }
            above = candidate.parent();
        }
        None
    }
}

impl SharedHolders {
    pub(super) fn new(holders: Holders) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(holders)))
    }

    /// Puts other zone files in force.
    pub(super) fn replace(&self, holders: Holders) {
        self.0.store(Arc::new(holders));
    }
}

impl StaticNames for SharedHolders {
    fn holder(&self, name: &Name) -> Option<String> {
        self.0.load().holder(name)
    }

    fn alias(&self, name: &Name) -> Option<String> {
        self.0.load().aliases.get(name).cloned()
    }
}
