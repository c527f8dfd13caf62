//! Who serves in a service, and where it is known: what is the same for every zone and pattern.

use std::ops::Range;

use crate::model::naming::{Pattern, Placeholder};
use crate::model::service::split_remembered;
use crate::model::{InstanceRef, Service};

/// What selects the instances of a name: protocol, site and tag, as far as its pattern uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key<'s> {
    pub(super) proto: Option<&'s str>,
    pub(super) site: Option<&'s str>,
    pub(super) tag: Option<&'s str>,
}

/// A service with its instances, ready to be asked for the instances of a name.
pub(super) struct Roster<'s> {
    pub(super) service: &'s Service,
    /// Protocols and sites under which it is known, whether somebody serves there or not; sorted.
    known: Vec<(&'s str, Option<&'s str>)>,
    /// The serving instances, then those of groups that are fewer.
    members: Vec<InstanceRef<'s>>,
    serving: usize,
    groups: Vec<(Key<'s>, Range<usize>)>,
}

impl<'s> Roster<'s> {
    /// `instances` are those that decide, by id: all of them but where only some may have changed.
    pub(super) fn new(service: &'s Service, mut instances: Vec<InstanceRef<'s>>) -> Self {
        let known = known(service, &instances);
        instances.retain(InstanceRef::is_serving);
        let members = instances;
        Self { service, known, serving: members.len(), members, groups: Vec::new() }
    }

    /// The place of the serving instance of that id.
    pub(super) fn position(&self, id: &str) -> Option<usize> {
        self.serving().binary_search_by(|instance| instance.id.cmp(id)).ok()
    }

    /// The serving instances, by id.
    pub(super) fn serving(&self) -> &[InstanceRef<'s>] {
        &self.members[..self.serving]
    }

    /// The protocols of the serving instances, sorted.
    pub(super) fn protos(&self) -> Vec<&'s str> {
        let mut protos: Vec<&str> = Vec::new();
        for instance in self.serving().iter().filter(|instance| instance.serves_under(false)) {
            if protos.last() != Some(&instance.proto) {
                protos.push(instance.proto);
            }
        }
        protos.sort_unstable();
        protos.dedup();
        protos
    }

    /// The key of a group, and the serving instances in it.
    pub(super) fn group(&self, number: usize) -> (Key<'s>, &[InstanceRef<'s>]) {
        let (key, members) = &self.groups[number];
        (*key, &self.members[members.clone()])
    }

    /// Groups the serving instances as the pattern tells them apart; gives the numbers of the groups. A known
    /// combination is a group even if nobody serves there; one that gives no name is left out.
    pub(super) fn group_by(&mut self, pattern: &Pattern) -> Range<usize> {
        let first = self.groups.len();
        let (by_proto, by_site) = (pattern.uses(Placeholder::Proto), pattern.uses(Placeholder::Site));
        let by_tag = pattern.uses(Placeholder::Tag);
        let key = |proto, site: Option<&'s str>, tag| Key {
            proto: Some(proto).filter(|_| by_proto),
            site: site.filter(|_| by_site),
            tag,
        };
        match self.known.as_slice() {
            [(_, None)] if by_site => {}
            [(proto, None)] if !by_tag => self.groups.push((key(proto, None, None), 0..self.serving)),
            known => {
                let known = known.iter().filter(|_| !by_tag).map(|(proto, site)| (key(*proto, *site, None), None));
                let mut rows: Vec<(Key<'s>, Option<usize>)> = known.collect();
                for (number, instance) in self.members[..self.serving].iter().enumerate() {
                    if !instance.serves_under(by_site) {
                        continue;
                    }
                    let of = |tag| (key(instance.proto, instance.site, tag), Some(number));
                    match by_tag {
                        true => rows.extend(instance.tags().map(|tag| of(Some(tag)))),
                        false => rows.push(of(None)),
                    }
                }
                rows.retain(|(key, _)| !by_site || key.site.is_some());
                rows.sort_by_key(|(key, _)| *key);
                self.push_groups(&rows);
            }
        }
        first..self.groups.len()
    }

    fn push_groups(&mut self, rows: &[(Key<'s>, Option<usize>)]) {
        for group in rows.chunk_by(|(a, _), (b, _)| a == b) {
            let start = self.members.len();
            for number in group.iter().filter_map(|(_, number)| *number) {
                self.members.push(self.members[number]);
            }
            self.groups.push((group[0].0, start..self.members.len()));
        }
    }
}

/// Protocols and sites under which the service is known: remembered, declared, or those of an instance.
fn known<'s>(service: &'s Service, instances: &[InstanceRef<'s>]) -> Vec<(&'s str, Option<&'s str>)> {
    let mut known: Vec<_> = service.row.remembered.keys().map(|key| split_remembered(key)).collect();
    if let Some(declared) = &service.row.declaration {
        known.push((declared.proto.as_deref().unwrap_or("tcp"), None));
    }
    let mut last = None;
    for instance in instances {
        let here = (instance.proto, instance.site);
        if last != Some(here) {
            known.extend([(here.0, None), here]);
            last = Some(here);
        }
    }
    known.sort_unstable();
    known.dedup();
    known
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::naming::Naming;
    use crate::model::{Endpoint, Instance, PackedInstance, State};

    fn instance(id: &str, site: Option<&str>, tags: &[&str], state: State) -> Instance {
        let (site, tags) = (site.map(Arc::from), tags.iter().map(|tag| Box::from(*tag)).collect());
        let endpoint = Endpoint::Addresses([].into());
        Instance { site, endpoint, tags, state, ..Instance::example(id) }
    }

    #[test]
    fn groups_are_what_the_pattern_tells_apart() {
        let naming = Naming::plain();
        let service = Service::new("search".into());
        let lapsed = instance("a3", Some("ash"), &["x"], State::Lapsed);
        let serving =
            [instance("a1", Some("lon"), &["x", "y"], State::Serving), instance("a2", None, &["y"], State::Serving)];
        let mut buffers = [const { Vec::new() }; 3];
        let packed = serving.iter().chain([&lapsed]).zip(&mut buffers);
        let instances = packed.map(|(instance, buffer)| PackedInstance::new(instance, buffer).look()).collect();
        let mut roster = Roster::new(&service, instances);
        let mut groups = |pattern: &str| {
            let pattern = naming.patterns().iter().find(|known| known.text() == pattern).expect("of the preset");
            let numbers = roster.group_by(pattern);
            let shown = numbers.map(|number| {
                let (key, members) = roster.group(number);
                let members: Vec<_> = members.iter().map(|instance| instance.id).collect();
                format!("{:?} {:?} {}", key.site, key.tag, members.join("+"))
            });
            shown.collect::<Vec<_>>()
        };
        assert_eq!(groups("_{service}._{proto}.{domain}"), ["None None a1+a2"]);
        assert_eq!(groups("{service}.{site}.{domain}"), [r#"Some("ash") None "#, r#"Some("lon") None a1"#]);
        let tags = groups("_{tag}._sub._{service}._{proto}.{domain}");
        assert_eq!(tags, [r#"None Some("x") a1"#, r#"None Some("y") a1+a2"#]);
    }
}
