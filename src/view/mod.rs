//! The compiled, immutable data that queries read.
//!
//! A view is everything at one revision: the zones with their SOA, and one table of all names. It is made aside by
//! [`compile::Compiler`] and becomes visible by the one swap in [`publish`]. A transition touches the shards of its own
//! names; all others are shared with the view before, so a change costs what it changes and not what there is.

mod aside;
pub mod compile;
pub mod denial;
mod edit;
mod entry;
pub mod large;
mod pack;
mod patch;
pub mod publish;
pub mod rrset;
pub(crate) mod shard;
pub mod size;
mod slots;
mod spare;
pub mod table;
pub mod zone;

use std::sync::Arc;

use ipnet::IpNet;

pub use aside::Aside;
pub use compile::Compiler;
pub(crate) use entry::HELD;
pub use publish::Published;
pub use rrset::RrSet;
pub use shard::Entry;
pub use size::Size;
pub use spare::Spare;
pub use table::{FEW, Located, TOGETHER, Table};
pub use zone::{Zone, ZoneSource};

use crate::model::{Name, Revision};

/// Everything that queries read, at one revision.
#[derive(Debug, Clone)]
pub struct View {
    /// The registry's revision that it shows.
    pub revision: Revision,
    /// The store is gone: answers go on and say so with EDE 3.
    pub stale: bool,
    /// The lapses of the whole fleet are held: answers say so with EDE 3.
    pub fleet_held: bool,
    /// Whether some zone answers only some clients.
    pub restricted: bool,
    /// Additional sections hold only what an answer is useless without.
    pub minimal: bool,
    /// The clients that may have names explained.
    pub explain_to: Arc<[IpNet]>,
    /// What the server says of itself.
    pub server: Arc<ServerFacts>,
    /// The zones, numbered as the entries name them.
    pub zones: Arc<[Arc<Zone>]>,
    /// All names of all zones.
    pub table: Table,
    /// What is counted of big services.
    pub(crate) tallies: compile::Tallies,
}

/// What the server says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerFacts {
    /// The answer to CH TXT `hostname.bind` and `id.server`, and NSID; `None` refuses them.
    pub identity: Option<Box<str>>,
    /// The answer to CH TXT `version.bind`; `None` refuses it.
    pub version: Option<Box<str>>,
    /// The EDNS UDP size that answers announce.
    pub udp_size: u16,
}

impl View {
    /// The entry of a whole, lower-case name.
    pub fn find(&self, name: &[u8]) -> Option<Entry<'_>> {
        self.table.find(name)
    }

    /// The entries of a batch of whole, lower-case names, found together.
    pub fn locate<'v>(&'v self, names: &[&[u8]], located: &mut [Located<'v>]) {
        self.table.locate(names, located);
    }

    /// The zone an entry belongs to.
    pub fn zone_of(&self, entry: &Entry<'_>) -> &Zone {
        &self.zones[entry.zone()]
    }

    /// The zone with that apex.
    pub fn zone(&self, apex: &Name) -> Option<&Zone> {
        self.zones.iter().map(AsRef::as_ref).find(|zone: &&Zone| zone.apex == *apex)
    }

    /// Moves the serials of these zones to the changes named.
    pub fn mark(&mut self, zones: &[(Name, Revision)]) {
        let mut all = self.zones.to_vec();
        for (apex, revision) in zones {
            for zone in all.iter_mut().filter(|zone| zone.apex == *apex) {
                Arc::make_mut(zone).mark(*revision);
            }
        }
        self.zones = all.into();
    }
}
