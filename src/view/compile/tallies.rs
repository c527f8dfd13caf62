//! How many instances of big services belong to which groups: what tells whether a name that they share comes or goes,
//! without a look at all of them.
//!
//! A view has the counts of every service of more than [`BIG`] instances. They follow from its instances alone; a
//! change costs what it changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use super::large::Pair;
use crate::model::naming::{Naming, Pattern, Placeholder, Values};
use crate::model::{InstanceRef, Service, State};
use crate::view::large::BIG;

/// What selects the instances of a shared name: protocol, site and tag, as far as its pattern uses them.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group {
    pub(super) proto: Option<Arc<str>>,
    pub(super) site: Option<Arc<str>>,
    pub(super) tag: Option<Box<str>>,
}

/// Which of them a pattern uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Selects {
    pub(super) proto: bool,
    pub(super) site: bool,
    pub(super) tag: bool,
}

/// Instances of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) serving: u32,
    /// Of those, held by the guard.
    pub(super) held: u32,
    /// Lapsed ones too.
    pub(super) all: u32,
}

/// The groups of one service.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts(RedBlackTreeMapSync<Group, Count>);

/// The groups of all big services.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tallies(RedBlackTreeMapSync<Arc<str>, Arc<Counts>>);

impl Selects {
    /// What tells instances of one protocol from others.
    pub(super) const PROTO: Self = Self { proto: true, site: false, tag: false };

    /// What a pattern uses.
    pub(super) fn of(pattern: &Pattern) -> Self {
        let uses = |placeholder| pattern.uses(placeholder);
        Self { proto: uses(Placeholder::Proto), site: uses(Placeholder::Site), tag: uses(Placeholder::Tag) }
    }

    /// Everything that some shared name selects by.
    pub(super) fn all(naming: &Naming) -> Vec<Self> {
        let shared = naming.patterns().iter().filter(|pattern| pattern.publishes.is_shared());
        let all: BTreeSet<Self> = shared.map(Self::of).chain([Self::PROTO]).collect();
        all.into_iter().collect()
    }

    /// The group of the values that a pattern was filled with.
    pub(super) fn group(self, values: &Values<'_>) -> Group {
        Group {
            proto: values.proto.filter(|_| self.proto).map(Arc::from),
            site: values.site.filter(|_| self.site).map(Arc::from),
            tag: values.tag.filter(|_| self.tag).map(Box::from),
        }
    }

    /// The group of a protocol and site under which a service is known; `None` if they give no name.
    pub(super) fn known(self, proto: &str, site: Option<&str>) -> Option<Group> {
        let group = Group {
            proto: self.proto.then(|| proto.into()),
            site: site.filter(|_| self.site).map(Arc::from),
            tag: None,
        };
        (!self.tag && group.site.is_some() == self.site).then_some(group)
    }

    /// The groups that an instance belongs to. A name with a site has no instance without one, and a name with a tag
    /// none that does not serve.
    pub(super) fn groups(self, instance: &InstanceRef<'_>) -> Vec<Group> {
        if (self.site && instance.site.is_none()) || (self.tag && !instance.serves_under(self.site)) {
            return Vec::new();
        }
        let group = |tag: Option<&str>| Group {
            proto: self.proto.then(|| Arc::from(instance.proto)),
            site: instance.site.filter(|_| self.site).map(Arc::from),
            tag: tag.map(Box::from),
        };
        match self.tag {
            true => instance.tags().map(|tag| group(Some(tag))).collect(),
            false => vec![group(None)],
        }
    }
}

impl Counts {
    /// Counts the instances of a service.
    pub(super) fn of(service: &Service, selects: &[Selects]) -> Self {
        let mut counts = Self::default();
        service.instances.refs().for_each(|instance| counts.change(&instance, selects, 1));
        counts
    }

    /// The count of a group.
    pub(super) fn get(&self, group: &Group) -> Count {
        self.0.get(group).copied().unwrap_or_default()
    }

    /// The protocols of all instances.
    pub(super) fn protos(&self) -> impl Iterator<Item = &Arc<str>> {
        let first = |least: String| Group { proto: Some(least.into()), ..Group::default() };
        let mut next = first(String::new());
        std::iter::from_fn(move || {
            let (group, _) = self.0.range(&next..).next()?;
            let proto = group.proto.as_ref()?;
            next = first(format!("{proto}\0")); // what comes after all groups of the protocol
            Some(proto)
        })
    }

    /// The same after some instances have changed.
    pub(super) fn after(&self, changed: &[Pair<'_>], selects: &[Selects]) -> Self {
        let mut counts = self.clone();
        for (old, new) in changed {
            old.iter().for_each(|old| counts.change(old, selects, -1));
            new.iter().for_each(|new| counts.change(new, selects, 1));
        }
        counts
    }

    fn change(&mut self, instance: &InstanceRef<'_>, selects: &[Selects], by: i32) {
        for group in selects.iter().flat_map(|selects| selects.groups(instance)) {
            let Count { serving, held, all } = self.get(&group);
            let add = |count: u32, counts: bool| count.saturating_add_signed(if counts { by } else { 0 });
            let serves = instance.serves_under(group.site.is_some());
            let (serving, held) = (add(serving, serves), add(held, serves && instance.state == State::Held));
            let count = Count { serving, held, all: add(all, true) };
            match count.all {
                0 => drop(self.0.remove_mut(&group)),
                _ => self.0.insert_mut(group, count),
            }
        }
    }
}

impl Tallies {
    /// Counts all big services.
    pub(super) fn of<'s>(services: impl Iterator<Item = &'s Service>, selects: &[Selects]) -> Self {
        let mut tallies = Self::default();
        services.filter(|service| is_big(service)).for_each(|service| {
            tallies.put(service, Counts::of(service, selects));
        });
        tallies
    }

    /// The counts of a service, if it is big.
    pub(super) fn get(&self, service: &str) -> Option<&Arc<Counts>> {
        self.0.get(service)
    }

    /// Notes the counts of a big service.
    pub(super) fn put(&mut self, service: &Service, counts: Counts) {
        self.0.insert_mut(Arc::clone(&service.name), Arc::new(counts));
    }

    /// Counts a service anew; forgets it if it is not big.
    pub(super) fn count(&mut self, name: &str, service: Option<&Service>, selects: &[Selects]) {
        match service.filter(|service| is_big(service)) {
            Some(service) => self.put(service, Counts::of(service, selects)),
            None => drop(self.0.remove_mut(name)),
        }
    }
}

/// Whether the sets that the service's instances share are large.
pub(super) fn is_big(service: &Service) -> bool {
    service.instances.are_more_than(BIG)
}
