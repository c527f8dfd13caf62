//! Static records as the rest of the server needs them: sources for the compiler, holders of names for the registry.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::model::name::parent;
use crate::model::{Name, Rtype};
use crate::registry::StaticNames;
use crate::zone::StaticZone;

/// Which static record holds a name, and where it stands.
#[derive(Debug, Default)]
pub(super) struct Holders {
    apexes: Vec<Name>,
    names: Places,
    cuts: Places,
    aliases: Places,
    /// Apexes with a DNAME: it leads every name of the zone elsewhere.
    renamed: Places,
}

/// Where the record of a name stands; names in wire format, because each registration asks about some.
type Places = HashMap<Box<[u8]>, String>;

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
                let wire = || Box::from(owner.as_wire());
                let place = match entry.place.line {
                    0 => entry.place.file.to_string(),
                    line => format!("{}:{line}", entry.place.file),
                };
                let ends_zone = entry.record.rtype == Rtype::DNAME || entry.record.rtype == Rtype::NS;
                if ends_zone && *owner != zone.origin {
                    holders.cuts.entry(wire()).or_insert_with(|| place.clone());
                } else if entry.record.rtype == Rtype::DNAME {
                    holders.renamed.insert(wire(), place.clone());
                }
                if entry.record.rtype == Rtype::CNAME {
                    holders.aliases.insert(wire(), place.clone());
                }
                holders.names.entry(wire()).or_insert(place);
            }
        }
        holders
    }

    fn holder(&self, name: &[u8]) -> Option<String> {
        if let Some(place) = self.names.get(name) {
            return Some(place.clone());
        }
        if self.cuts.is_empty() && self.renamed.is_empty() {
            return None;
        }
        let mut above = parent(name);
        while let Some(candidate) = above {
            if self.apexes.iter().any(|apex| apex.as_wire() == candidate) {
                return self.renamed.get(candidate).cloned();
            }
            if let Some(place) = self.cuts.get(candidate) {
                return Some(place.clone());
            }
            above = parent(candidate);
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
    fn holder(&self, name: &[u8]) -> Option<String> {
        self.0.load().holder(name)
    }

    fn alias(&self, name: &Name) -> Option<String> {
        self.0.load().aliases.get(name.as_wire()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Place, Record};
    use crate::zone::StaticRecord;

    fn zone(origin: &str, records: &[(&str, Rtype)]) -> StaticZone {
        let name = |text: &str| text.parse::<Name>().expect("name");
        let records = records.iter().map(|&(owner, rtype)| StaticRecord {
            record: Record { owner: name(owner), rtype, ttl: 300, rdata: [].into() },
            place: Place::whole("file"),
        });
        StaticZone { origin: name(origin), records: records.collect() }
    }

    fn holds(zones: &[StaticZone], name: &str) -> bool {
        Holders::of(zones).holder(name.parse::<Name>().expect("name").as_wire()).is_some()
    }

    #[test]
    fn a_record_holds_its_name_and_a_cut_what_is_below() {
        let sd = zone(
            "sd.example.org",
            &[
                ("lon.sd.example.org", Rtype::TXT),
                ("sub.sd.example.org", Rtype::NS),
                ("old.sd.example.org", Rtype::DNAME),
            ],
        );
        assert!(holds(std::slice::from_ref(&sd), "lon.sd.example.org"));
        assert!(!holds(std::slice::from_ref(&sd), "web.lon.sd.example.org"));
        assert!(holds(std::slice::from_ref(&sd), "web.sub.sd.example.org"));
        assert!(holds(std::slice::from_ref(&sd), "a.b.old.sd.example.org"));
        let child = zone("sub.sd.example.org", &[("sub.sd.example.org", Rtype::NS)]);
        assert!(!holds(&[sd, child], "web.sub.sd.example.org"));
    }

    #[test]
    fn a_dname_at_the_apex_holds_every_name_of_its_zone() {
        let sd = zone("sd.example.org", &[("sd.example.org", Rtype::DNAME)]);
        assert!(holds(std::slice::from_ref(&sd), "web.lon.sd.example.org"));
        assert!(!holds(&[sd], "web.example.org"));
    }
}
