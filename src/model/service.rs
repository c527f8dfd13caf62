//! A service: a named set of instances, with what its owner declared about it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Grants, Instance, InstanceRef, Instances, Labelled, Orders, RareMap, Revision, Timestamp};

/// The service that servers register themselves as; its owner is whoever runs them.
pub const OWN_SERVICE: &str = "zonebeat";

/// What the owner says of a service. Everything is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({"owner": "squad-search", "contact": "#search", "dependencies": ["index"], "tier": 1, "min": 2,
    "tiers": [["lon"], ["sto", "ash"]]}))]
pub struct Declaration {
    /// Protocol label under which it is known even before an instance registers; `tcp` if missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proto: Option<String>,
    /// Who answers for it: a team or squad.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// How to reach the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// Where the instructions for trouble are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runbook: Option<String>,
    /// Services that it needs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<String>,
    /// How important it is, 0 to 9; lower is more important. Says nothing about sites: those are `tiers`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 9)]
    pub tier: Option<u32>,
    /// The fewest serving instances that are enough: for a tier of sites to answer, and before the guard holds those
    /// that fall silent and refuses to take others out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<u32>,
    /// How long silent instances are kept in the answers where nobody would be left, or fewer than `min`, in seconds;
    /// 0: not at all. Ten minutes without it, or as the server is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<u32>,
    /// TTL of its records in seconds; the zone's default without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u32>,
    /// Sites in order of preference: the name without a site answers with the first tier that has enough instances.
    /// Says nothing about how important the service is: that is `tier`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<Vec<String>>,
    /// The most records of one type that an answer has, 1 to 65535: of more instances each client prefix gets a part of
    /// its own. The zone's default without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_limit: Option<u32>,
}

/// A service and its instances, in one snapshot of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its label.
    pub name: Arc<str>,
    /// The row without its instances.
    pub row: ServiceRow,
    /// Serving and lapsed, sorted by id.
    pub instances: Instances,
}

/// What the store keeps of a service besides its instances.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct ServiceRow {
    /// Present when somebody declared it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declaration: Option<Arc<Declaration>>,
    /// Id of the token that owns the name; `None` while only registrations without a token were made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub owned_by: Option<Arc<str>>,
    /// Ids of other tokens that may write it because its owner granted it; only where there is an owner.
    #[serde(skip_serializing_if = "Grants::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub grants: Grants,
    /// Protocols and sites (`None`: the name without a site) under which it was published less than an hour ago,
    /// with the last time: those names answer NODATA, not NXDOMAIN.
    #[serde(skip_serializing_if = "RareMap::is_empty")]
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub remembered: RareMap<Timestamp>,
    /// What operators said of instances that are not registered now, by id: it counts when they are again.
    #[serde(skip_serializing_if = "RareMap::is_empty")]
    #[schema(value_type = std::collections::BTreeMap<String, Orders>)]
    pub orders: RareMap<Orders>,
    /// Why nobody serves, in words, for EDE; kept with the last transition that emptied it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub empty_reason: Option<Box<str>>,
    /// The last change of it or of one of its instances.
    pub revision: Revision,
}

impl Labelled for Service {
    fn label(&self) -> &str {
        &self.name
    }
}

impl Service {
    /// A service that nobody has declared or registered yet.
    pub fn new(name: Arc<str>) -> Self {
        Self { name, row: ServiceRow::default(), instances: Instances::default() }
    }

    /// A copy of the instance of that id.
    pub fn instance(&self, id: &str) -> Option<Arc<Instance>> {
        self.instances.get(id).map(Arc::new)
    }

    /// The same, with texts that it has together with others where they are the same.
    pub fn instance_sharing(&self, id: &str, texts: &[&Arc<str>]) -> Option<Arc<Instance>> {
        self.instances.find(id).map(|found| Arc::new(found.to_instance_sharing(texts)))
    }

    /// Instances that are in the answers.
    pub fn serving(&self) -> impl Iterator<Item = InstanceRef<'_>> {
        self.instances.serving()
    }

    /// Whether DNS knows it: declared, registered, or left less than an hour ago.
    pub fn is_known(&self) -> bool {
        self.row.declaration.is_some() || !self.instances.is_empty() || !self.row.remembered.is_empty()
    }

    /// The owner that was declared: who answers for it. Which token may write it is another matter.
    pub fn owner(&self) -> Option<&str> {
        self.row.declaration.as_ref()?.owner.as_deref()
    }

    /// Whether DNS knows it and nobody has declared who answers for it. Never the servers' own service.
    pub fn is_unowned(&self) -> bool {
        self.owner().is_none() && *self.name != *OWN_SERVICE && self.is_known()
    }
}

/// The key of [`ServiceRow::remembered`]: `proto` or `proto/site`.
pub fn remembered_key(proto: &str, site: Option<&str>) -> Box<str> {
    match site {
        None => proto.into(),
        Some(site) => format!("{proto}/{site}").into(),
    }
}

/// Protocol and site of a key of [`ServiceRow::remembered`].
pub fn split_remembered(key: &str) -> (&str, Option<&str>) {
    match key.split_once('/') {
        None => (key, None),
        Some((proto, site)) => (proto, Some(site)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_has_a_size_of_an_allocator() {
        // With its two counters it fills 128 octets, which the allocator has a class for; the next one has 160.
        assert!(size_of::<Service>() <= 112, "{}", size_of::<Service>());
    }

    #[test]
    fn unowned_is_known_without_an_owner() {
        let declared = |name: &str, owner: Option<&str>| {
            let mut service = Service::new(name.into());
            service.row.declaration =
                Some(Declaration { owner: owner.map(str::to_owned), ..Declaration::default() }.into());
            service
        };
        assert!(declared("search", None).is_unowned());
        assert!(!declared("search", Some("squad-search")).is_unowned());
        assert!(!declared(OWN_SERVICE, None).is_unowned());
        assert!(!Service::new("search".into()).is_unowned(), "nobody knows it");
    }
}
