//! Generated zones: small ones, in which names meet each other as often as possible.
//!
//! A zone is a handful of shapes put on names over a small alphabet, so that wildcards, empty non-terminals, aliases,
//! delegations and data below them fall onto and beside each other. What no server loads (data beside a CNAME, two
//! DNAMEs of one name) is left out when it is added.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write;

use crate::name::Name;
use crate::peers::Peer;
use crate::rng::Rng;
use crate::shapes;

/// Records of one name and type.
#[derive(Debug, Clone, Default)]
pub(crate) struct Set {
    pub(crate) ttl: u32,
    pub(crate) rdata: BTreeSet<String>,
}

/// A zone as it is written into a file.
#[derive(Debug, Clone)]
pub(crate) struct Zone {
    pub(crate) apex: Name,
    pub(crate) sets: BTreeMap<(Name, String), Set>,
    /// Whether there may be data below a DNAME, which RFC 6672 section 2.4 forbids and only NSD refuses.
    below_redirects: bool,
    /// Seed of the odd ways in which its file is written.
    style: u64,
}

/// How a signed zone proves what is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denial {
    Nsec,
    Nsec3,
    /// NSEC3 without records for delegations that are not signed (RFC 5155 section 6).
    OptOut,
}

/// Zones that are served together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batch {
    pub(crate) zones: Vec<Zone>,
    /// Whether they are signed.
    pub(crate) signed: bool,
    /// Families with data below a DNAME.
    redirected: HashSet<Name>,
}

fn family(name: &Name) -> Name {
    Name(name.0[name.0.len().saturating_sub(3)..].to_vec())
}

fn is_redirected(zones: &[Zone], family: &Name) -> bool {
    let keys = || zones.iter().filter(|zone| zone.apex.is_within(family)).flat_map(|zone| zone.sets.keys());
    let redirects: Vec<&Name> = keys().filter(|key| key.1 == "DNAME").map(|key| &key.0).collect();
    let is_below = |name: &Name| redirects.iter().any(|above| name != *above && name.is_within(above));
    keys().any(|(name, _)| is_below(name))
}

impl Batch {
    /// About `count` zones from one seed, numbered from `first`: a third of them with children beside them.
    pub(crate) fn generate(seed: u64, count: usize, signed: bool) -> Self {
        let mut rng = Rng::new(seed);
        let mut apexes = Vec::new();
        while apexes.len() < count {
            let apex = Name::of(&format!("z{}.example.org", apexes.len()));
            let mut deepest = apex.clone();
            apexes.push(apex);
            while rng.chance(33) {
                let label = *rng.pick(&["child", "a", "b", "sub"]);
                let between = if rng.chance(30) { deepest.child(b"deep") } else { Some(deepest.clone()) };
                let Some(child) = between.and_then(|name| name.child(label.as_bytes())) else { break };
                apexes.push(child.clone());
                deepest = child;
            }
        }
        let zones: Vec<Zone> = apexes.iter().map(|apex| shapes::zone(&mut rng, apex, &apexes, signed)).collect();
        let families: HashSet<Name> = apexes.iter().map(family).collect();
        let redirected = families.into_iter().filter(|family| is_redirected(&zones, family)).collect();
        Self { zones, signed, redirected }
    }

    /// Whether a server has the zones of a name's family, which are those below the same name of three labels: NSD
    /// refuses data below a DNAME, also when one stands in a zone and the other in the zone above it.
    pub(crate) fn is_served_by(&self, peer: Peer, name: &Name) -> bool {
        peer != Peer::Nsd || !self.redirected.contains(&family(name))
    }

    /// Whether a zone begins at a name.
    pub(crate) fn is_apex(&self, name: &Name) -> bool {
        self.zones.iter().any(|zone| zone.apex == *name)
    }

    /// The deepest zone that a name lies in.
    pub(crate) fn zone_of(&self, name: &Name) -> Option<&Zone> {
        let within = self.zones.iter().filter(|zone| name.is_within(&zone.apex));
        within.max_by_key(|zone| zone.apex.0.len())
    }
}

impl Zone {
    pub(crate) fn new(apex: Name, style: u64, below_redirects: bool) -> Self {
        Self { apex, sets: BTreeMap::new(), style, below_redirects }
    }

    /// Adds a record unless the zone could not be loaded with it.
    pub(crate) fn add(&mut self, owner: &Name, rtype: &str, ttl: u32, rdata: impl Into<String>) -> bool {
        if !owner.is_within(&self.apex) || !self.may_hold(owner, rtype) || self.is_redirected(owner, rtype) {
            return false;
        }
        let set = self.sets.entry((owner.clone(), rtype.to_owned())).or_default();
        if set.rdata.is_empty() {
            set.ttl = ttl;
        }
        set.rdata.insert(rdata.into())
    }

    fn may_hold(&self, owner: &Name, rtype: &str) -> bool {
        let at_apex = *owner == self.apex;
        match rtype {
            "CNAME" => !at_apex && !self.types_at(owner).any(|_| true),
            "DNAME" if owner.is_wildcard() || self.has(owner, "DNAME") || self.has(owner, "CNAME") => false,
            "DNAME" => at_apex || !self.has(owner, "NS"),
            "NS" if owner.is_wildcard() || self.has(owner, "CNAME") => false,
            "NS" => at_apex || !self.has(owner, "DNAME"),
            "DS" => !at_apex && self.has(owner, "NS"),
            "SOA" => !self.has(owner, "SOA"),
            _ => !self.has(owner, "CNAME"),
        }
    }

    /// Whether the record would stand below a DNAME, or be one above other data, where that is not wanted.
    fn is_redirected(&self, owner: &Name, rtype: &str) -> bool {
        let is_below = |name: &Name, above: &Name| name != above && name.is_within(above);
        let redirect = self.sets.keys().any(|(above, rtype)| rtype == "DNAME" && is_below(owner, above));
        let data = rtype == "DNAME" && self.sets.keys().any(|(name, _)| is_below(name, owner));
        !self.below_redirects && (redirect || data)
    }

    /// Whether some record stands below a DNAME.
    pub(crate) fn has_data_below_redirects(&self) -> bool {
        let redirects: Vec<&Name> = self.sets.keys().filter(|key| key.1 == "DNAME").map(|key| &key.0).collect();
        let is_below = |name: &Name| redirects.iter().any(|above| name != *above && name.is_within(above));
        self.sets.keys().any(|(name, _)| is_below(name))
    }

    pub(crate) fn has(&self, owner: &Name, rtype: &str) -> bool {
        self.sets.contains_key(&(owner.clone(), rtype.to_owned()))
    }

    pub(crate) fn types_at(&self, owner: &Name) -> impl Iterator<Item = &str> {
        let from = (owner.clone(), String::new());
        self.sets.range(from..).take_while(move |((name, _), _)| name == owner).map(|((_, rtype), _)| &**rtype)
    }

    /// Every owner name once.
    pub(crate) fn owners(&self) -> Vec<Name> {
        let owners: BTreeSet<&Name> = self.sets.keys().map(|(owner, _)| owner).collect();
        owners.into_iter().cloned().collect()
    }

    /// Its name without the final dot, as files and configurations name it.
    pub(crate) fn file_name(&self) -> String {
        self.apex.to_string().trim_end_matches('.').to_owned()
    }

    /// How its absence proofs are made when it is signed.
    pub(crate) fn denial(&self) -> Denial {
        [Denial::Nsec, Denial::Nsec3, Denial::OptOut][(self.style % 3) as usize]
    }

    /// The zone file, some of its letters in upper case.
    pub(crate) fn text(&self) -> String {
        let mut rng = Rng::new(self.style);
        let mut text = String::new();
        let soa_first = |key: &&(Name, String)| key.1 != "SOA";
        let mut keys: Vec<_> = self.sets.keys().collect();
        keys.sort_by_key(soa_first);
        for key in keys {
            let set = &self.sets[key];
            for rdata in &set.rdata {
                let owner = if rng.chance(10) { key.0.to_string().to_ascii_uppercase() } else { key.0.to_string() };
                writeln!(text, "{owner} {} IN {} {rdata}", set.ttl, key.1).expect("a string takes everything");
            }
        }
        text
    }
}
