//! What readers see of the registry: one immutable state, cheap to take, sharing everything that did not change.

use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use super::guard::Held;
use crate::model::{LabelMap, Name, Revision, Service, Timestamp, Token, Written};

/// The registry at one revision.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The last committed change it contains.
    pub revision: Revision,
    /// Every service with a row or an instance, by label.
    pub services: LabelMap<Service>,
    /// Every token, by id.
    pub tokens: RedBlackTreeMapSync<Arc<str>, Arc<Token>>,
    /// The static records that UPDATE wrote, by zone and name.
    pub written: RedBlackTreeMapSync<(Name, Name), Arc<Written>>,
    /// The instances that the guard holds one by one.
    pub held: Held,
    /// Present while it holds the lapses of the whole fleet.
    pub fleet_hold: Option<FleetHold>,
}

/// Since when and by which change the fleet's lapses are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FleetHold {
    /// When it began.
    pub since: Timestamp,
    /// The change.
    pub revision: Revision,
}

impl Snapshot {
    /// The service of that label.
    pub fn service(&self, name: &str) -> Option<&Arc<Service>> {
        self.services.get(name)
    }

    /// The records that UPDATE wrote at a name of a zone.
    pub fn written(&self, zone: &Name, name: &Name) -> Option<&Arc<Written>> {
        if self.written.is_empty() { None } else { self.written.get(&(zone.clone(), name.clone())) }
    }
}

/// A name whose records UPDATE changed between two snapshots, and by which change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TouchedName {
    /// The zone.
    pub zone: Name,
    /// The name.
    pub name: Name,
    /// The change.
    pub revision: Revision,
}

/// A service whose published names may have changed between two snapshots, and by which change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// The service.
    pub service: Arc<str>,
    /// The instance; `None` when only the service's own row changed.
    pub instance: Option<Box<str>>,
    /// The change.
    pub revision: Revision,
}
