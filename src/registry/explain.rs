//! What a name is about: read through the naming patterns, from the name to services and their instances, and put
//! together into an explanation ([`explain`]).
//!
//! A name may read in several ways, because several patterns are active while a fleet moves from one to another.
//! Reading costs a few comparisons per pattern; looking through the instances of what was found costs as many steps as
//! the service has instances, so it belongs to the edges and not to the query path.

mod about;
mod compose;
mod nearest;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use compose::{Answers, Asked, Explains, OVER_DNS, explain};

use super::{Options, Snapshot};
use crate::model::name::is_within;
use crate::model::naming::{Pattern, Publishes, Values};
use crate::model::{EndpointRef, InstanceRef, Name, Service};

/// In front of the zone: the names below answer with every tier of sites.
const ALL: &[u8] = b"all";

/// One way to read a name.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The zone that takes registrations.
    pub zone: Name,
    /// The template that gives the name.
    pub pattern: Box<str>,
    /// What the template publishes.
    pub publishes: Publishes,
    /// The service's label.
    pub label: Box<str>,
    /// The service, if DNS knows one of that label.
    pub service: Option<Arc<Service>>,
    proto: Option<Box<str>>,
    site: Option<Box<str>>,
    instance: Option<Box<str>>,
    tag: Option<Box<str>>,
    /// The name answers with every tier of sites.
    whole: bool,
}

/// The ways in which a name can be read, in the order of zones and templates; none if no template gives such a name.
pub fn readings(options: &Options, snapshot: &Snapshot, name: &Name) -> Vec<Reading> {
    let mut found = Vec::new();
    for zone in options.zones.iter().filter(|zone| name.is_within(zone)) {
        let all = zone.child(ALL).ok().filter(|all| is_within(name.as_wire(), all.as_wire()));
        for (domain, whole) in std::iter::once((zone, false)).chain(all.iter().map(|all| (all, true))) {
            let patterns = options.naming.patterns().iter();
            found.extend(patterns.filter_map(|pattern| read(snapshot, pattern, name, zone, domain, whole)));
        }
    }
    found
}

fn read(
    snapshot: &Snapshot,
    pattern: &Pattern,
    name: &Name,
    zone: &Name,
    domain: &Name,
    whole: bool,
) -> Option<Reading> {
    let label = pattern.service_in(name.as_wire())?;
    let Values { proto, site, instance, tag, .. } = pattern.read(name.as_wire(), label, domain)?;
    Some(Reading {
        zone: zone.clone(),
        pattern: pattern.text().into(),
        publishes: pattern.publishes,
        label: label.into(),
        service: snapshot.service(label).cloned(),
        proto: proto.map(Into::into),
        site: site.map(Into::into),
        instance: instance.map(Into::into),
        tag: tag.map(Into::into),
        whole,
    })
}

impl Reading {
    /// The instances that the name answers with while they serve.
    pub fn instances(&self) -> impl Iterator<Item = InstanceRef<'_>> {
        let all = self.service.iter().flat_map(|service| service.instances.refs());
        all.filter(|instance| self.has(instance))
    }

    /// The label of the one instance that the name is about, if it is about one.
    pub fn instance_label(&self) -> Option<&str> {
        self.instance.as_deref()
    }

    fn has(&self, instance: &InstanceRef<'_>) -> bool {
        let is = |wanted: &Option<Box<str>>, value: Option<&str>| wanted.is_none() || wanted.as_deref() == value;
        let needs_addresses = matches!(self.publishes, Publishes::Host | Publishes::Addresses);
        is(&self.proto, Some(instance.proto))
            && is(&self.site, instance.site)
            && is(&self.instance, Some(instance.id))
            && self.tag.as_deref().is_none_or(|tag| instance.tags().any(|own| own == tag))
            && (!needs_addresses || matches!(instance.endpoint(), EndpointRef::Addresses(_)))
    }

    /// The label that nothing has, as far as the name goes: that of the service, or, if there is such a service, of an
    /// instance, a tag or a site of it.
    fn sought(&self) -> &str {
        let inner = [&self.instance, &self.tag, &self.site];
        let inner = inner.into_iter().flatten().next().filter(|_| self.service.is_some());
        inner.unwrap_or(&self.label)
    }

    /// The labels of an instance that could stand in the place of [`Self::sought`].
    fn labels_of<'i>(&self, instance: InstanceRef<'i>) -> impl Iterator<Item = &'i str> {
        let (id, tag, site) = match (&self.instance, &self.tag) {
            (Some(_), _) => (Some(instance.id), None, None),
            (None, Some(_)) => (None, Some(instance.tags()), None),
            (None, None) => (None, None, instance.site),
        };
        id.into_iter().chain(tag.into_iter().flatten()).chain(site)
    }

    /// The same name with another label in the place of [`Self::sought`].
    fn renamed(&self, label: &str, options: &Options) -> Option<Name> {
        let pattern = options.naming.patterns().iter().find(|pattern| pattern.text() == &*self.pattern)?;
        let mut values = Values {
            service: &self.label,
            proto: self.proto.as_deref(),
            site: self.site.as_deref(),
            instance: self.instance.as_deref(),
            tag: self.tag.as_deref(),
            domain: &self.zone,
        };
        let place = match (&self.service, values.instance, values.tag, values.site) {
            (Some(_), Some(_), ..) => values.instance.as_mut(),
            (Some(_), None, Some(_), _) => values.tag.as_mut(),
            (Some(_), None, None, Some(_)) => values.site.as_mut(),
            _ => Some(&mut values.service),
        };
        *place? = label;
        pattern.name(&values)?.ok()
    }

    /// Whether the name answers with this instance, tiers of sites aside: the guard may hold it for its site alone.
    pub fn serves(&self, instance: &InstanceRef<'_>) -> bool {
        let is_own = self.instance.is_some();
        instance.serves_under(is_own || self.site.is_some())
    }

    /// The sites that the name answers with, where the service has tiers of sites: the first tier with enough serving
    /// instances. `None`: it answers with all of them.
    pub fn tier(&self) -> Option<Vec<String>> {
        let declared = self.service.as_ref()?.row.declaration.clone()?;
        let is_shared = self.publishes.is_shared();
        if self.whole || self.site.is_some() || !is_shared || declared.tiers.is_empty() {
            return None;
        }
        let mut serving: BTreeMap<&str, usize> = BTreeMap::new();
        for site in self.instances().filter(InstanceRef::is_serving).filter_map(|instance| instance.site) {
            *serving.entry(site).or_default() += 1;
        }
        let enough = declared.min.unwrap_or(1).max(1) as usize;
        let of = |tier: &&Vec<String>| tier.iter().filter_map(|site| serving.get(&**site)).sum::<usize>() >= enough;
        declared.tiers.iter().find(of).cloned()
    }
}
