//! Large sets of a service, and changes in them that cost what they change.
//!
//! A service is big when it has more than [`BIG`](crate::view::large::BIG) instances. The names that the instances of a
//! big service share are not compiled from all of them when one changes: what the instance contributed to each set is
//! taken out, what it contributes now is put in. Everything else of such a change follows from counts (`tallies`).
//!
//! Compiled from all instances, as in any other service, are: a service that becomes big or ceases to be, one whose
//! declaration changes, one that declares tiers, because there one instance decides about all, and a name that two
//! patterns give, because that of the last of them counts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::Compiler;
use super::owners::{Owners, held_of_many, nobody, tiers};
use super::roster::Roster;
use super::service::{each, replace_members, replace_own};
use super::tallies::{Count, Counts, Group, Selects, is_big};
use crate::model::naming::{NameBuf, Pattern, Publishes, Values};
use crate::model::packed_instance::EndpointRef;
use crate::model::service::split_remembered;
use crate::model::{InstanceRef, Name, Revision, Rtype, Service};
use crate::view::edit::{Editor, Published};
use crate::view::large::{self, Edit, LargeSet, Op, stable_hash};
use crate::view::rrset::{RrSetBuf, compress};

/// What an instance was and is.
pub(super) type Pair<'s> = (Option<InstanceRef<'s>>, Option<InstanceRef<'s>>);

/// What one instance contributes to the sets of one name.
type Contribution = Vec<(Rtype, Edit)>;

/// What happens to a shared name.
struct Altered<'p> {
    pattern: &'p Pattern,
    group: Group,
    edits: Contribution,
}

/// What a change of a big service alters, found before anything is edited.
pub(super) struct Change<'s, 'c> {
    old: &'s Service,
    pub(super) new: &'s Service,
    /// What the instances that changed were and are.
    pairs: Vec<Pair<'s>>,
    before: Arc<Counts>,
    pub(super) after: Counts,
    /// The shared names that it concerns, in each zone.
    zones: Vec<(Owners<'c>, BTreeMap<Name, Altered<'c>>)>,
}

impl<'s, 'c> Change<'s, 'c> {
    /// The change of these instances of a service that was counted; `None` if it cannot be made instance by instance.
    pub(super) fn of(
        compiler: &'c Compiler,
        (old, new): (Option<&'s Service>, Option<&'s Service>),
        before: Option<&Arc<Counts>>,
        ids: &[&str],
    ) -> Option<Self> {
        let (old, new, before) = (old?, new?, Arc::clone(before?));
        if !is_incremental(old, new) {
            return None;
        }
        let pairs: Vec<Pair<'_>> = each(ids).map(|id| (old.instances.find(id), new.instances.find(id))).collect();
        let after = before.after(&pairs, &compiler.selects);
        let mut change = Self { old, new, pairs, before, after, zones: Vec::new() };
        change.zones = compiler.owners().map(|owners| (owners, owners.altered(&change))).collect();
        Some(change)
    }

    /// Whether two patterns give a name that it concerns, before or after it: a template of the
    /// configuration and a preset, or labels that `policy.allow_labels` let in. What stands there is then
    /// decided by more than what changed.
    pub(super) fn has_rivals(&self) -> bool {
        let instances = || self.pairs.iter().flat_map(|(was, is)| was.iter().chain(is));
        self.zones.iter().any(|(owners, altered)| {
            altered.iter().any(|(name, altered)| self.is_rivalled(*owners, altered.pattern, name.as_wire()))
                || instances().any(|instance| self.has_rivalled_name(*owners, instance))
        })
    }

    /// Whether a name that an instance has alone is given by another pattern too.
    fn has_rivalled_name(&self, owners: Owners<'_>, instance: &InstanceRef<'_>) -> bool {
        let mut name = NameBuf::default();
        let own = owners.patterns(Publishes::Host).chain(owners.patterns(Publishes::Instance));
        own.into_iter().any(|pattern| {
            matches!(pattern.write(&owners.values(self.new, instance), &mut name), Some(Ok(())))
                && self.is_rivalled(owners, pattern, name.as_wire())
        })
    }

    /// Whether another pattern than this one gives a name.
    fn is_rivalled(&self, owners: Owners<'_>, pattern: &Pattern, name: &[u8]) -> bool {
        let others = owners.all_patterns().filter(|other| *other != pattern);
        let mut read = others.filter_map(|other| Some((other, other.read(name, &self.new.name, owners.apex())?)));
        read.any(|(other, values)| {
            let serves = |service: &Service, id: &str| service.instances.find(id).is_some_and(|one| one.is_serving());
            match values.instance {
                Some(id) => serves(self.old, id) || serves(self.new, id),
                None => {
                    let group = Selects::of(other).group(&values);
                    is_listed(self.old, other, &group, &self.before) || is_listed(self.new, other, &group, &self.after)
                }
            }
        })
    }
}

/// Whether a change of a service can be made instance by instance.
fn is_incremental(old: &Service, new: &Service) -> bool {
    is_big(old) && is_big(new) && old.row.declaration == new.row.declaration && tiers(new).is_empty()
}

impl Compiler {
    /// Edits the names of a big service of which some instances changed; no two patterns give one of them.
    pub(super) fn edit_big(&self, editor: &mut Editor<'_>, change: &Change<'_, '_>, revision: Revision) {
        let Change { old, new, pairs, before, after, zones } = change;
        let gone = Roster::new(old, pairs.iter().filter_map(|(was, _)| *was).collect());
        let come = Roster::new(new, pairs.iter().filter_map(|(_, is)| *is).collect());
        let (old_protos, new_protos) = (protos(pairs, before), protos(pairs, after));
        for (owners, altered) in zones {
            replace_own(editor, *owners, &gone, &come, revision);
            let (gone, come) = (Some((&gone, &*old_protos)), Some((&come, &*new_protos)));
            replace_members(editor, *owners, gone, come, None, revision);
            for (name, altered) in altered.iter().filter(|(name, _)| owners.publishes_at(name.as_wire())) {
                let name = name.as_wire();
                let beside = |sets: &[Arc<LargeSet>]| owners.beside(new, altered, name, sets, after);
                editor.alter(owners.zone, name, &altered.edits, owners.limit(new), beside, revision);
            }
        }
    }
}

/// The protocols of changed instances with which some instance of the service serves.
fn protos<'p>(pairs: &[Pair<'p>], counts: &Counts) -> Vec<&'p str> {
    let all = pairs.iter().flat_map(|(was, is)| was.iter().chain(is)).map(|instance| instance.proto);
    let serves = |proto: &&str| {
        let group = Group { proto: Some(Arc::from(*proto)), ..Group::default() };
        counts.get(&group).serving > 0
    };
    all.collect::<BTreeSet<_>>().into_iter().filter(serves).collect()
}

impl<'c> Owners<'c> {
    /// The large sets of a shared name, from all its instances.
    pub(super) fn large_sets(
        &self,
        service: &Service,
        publishes: Publishes,
        name: &[u8],
        instances: &[InstanceRef<'_>],
    ) -> Vec<Arc<LargeSet>> {
        let all = instances.iter().flat_map(|instance| self.contribution(service, publishes, instance, name));
        let mut sets = Vec::new();
        large::apply(&mut sets, &all.collect::<Vec<_>>(), self.limit(service));
        sets
    }

    /// Every shared name that a change concerns, and the edits of its sets.
    fn altered(&self, change: &Change<'_, '_>) -> BTreeMap<Name, Altered<'c>> {
        let Change { old, new, .. } = *change;
        let mut all = BTreeMap::new();
        for pattern in self.shared_patterns() {
            let selects = Selects::of(pattern);
            let concerned = remembered_changes(old, new).chain(told_otherwise(change));
            for group in concerned.filter_map(|(proto, site)| selects.known(proto, site)) {
                self.touch(&mut all, new, pattern, group);
            }
            for (was, is) in &change.pairs {
                let mut gone = self.contributions(&mut all, new, pattern, was.as_ref());
                let mut come = self.contributions(&mut all, new, pattern, is.as_ref());
                let same: Vec<Name> = gone.keys().filter(|name| gone.get(*name) == come.get(*name)).cloned().collect();
                same.iter().for_each(|name| drop((gone.remove(name), come.remove(name))));
                for (op, edits) in [(Op::Release, gone), (Op::Hold, come)] {
                    for (name, edits) in edits {
                        let edits = edits.into_iter().map(|(rtype, edit)| (rtype, edit.with(op)));
                        all.entry(name).and_modify(|altered: &mut Altered<'_>| altered.edits.extend(edits));
                    }
                }
            }
        }
        all
    }

    /// Notes that a name has to be looked at; `None` when there is none, or the same pattern
    /// has it that was listed twice.
    fn touch(
        &self,
        all: &mut BTreeMap<Name, Altered<'c>>,
        service: &Service,
        pattern: &'c Pattern,
        group: Group,
    ) -> Option<Name> {
        let values = Values {
            service: &service.name,
            proto: group.proto.as_deref(),
            site: group.site.as_deref(),
            instance: None,
            tag: group.tag.as_deref(),
            domain: self.apex(),
        };
        let name = pattern.name(&values)?.ok()?;
        let altered = all.entry(name.clone()).or_insert(Altered { pattern, group, edits: Vec::new() });
        std::ptr::eq(altered.pattern, pattern).then_some(name)
    }

    /// What an instance contributes to each shared name of a pattern.
    fn contributions(
        &self,
        all: &mut BTreeMap<Name, Altered<'c>>,
        service: &Service,
        pattern: &'c Pattern,
        instance: Option<&InstanceRef<'_>>,
    ) -> BTreeMap<Name, Contribution> {
        let mut contributions = BTreeMap::new();
        let Some(instance) = instance else { return contributions };
        let selects = Selects::of(pattern);
        for group in selects.groups(instance) {
            if let Some(name) = self.touch(all, service, pattern, group).filter(|_| instance.serves_under(selects.site))
            {
                let contribution = self.contribution(service, pattern.publishes, instance, name.as_wire());
                contributions.insert(name, contribution);
            }
        }
        contributions
    }

    /// What an instance contributes to a shared name.
    fn contribution(
        &self,
        service: &Service,
        publishes: Publishes,
        instance: &InstanceRef<'_>,
        name: &[u8],
    ) -> Contribution {
        let (ttl, key) = (self.ttl(service), key(service, instance));
        let edit = |rtype, rdata: &[u8], additional| {
            let mut set = RrSetBuf::new(rtype);
            set.push(ttl, rdata);
            (rtype, Edit::new(Op::Hold, key, set.answer, additional))
        };
        if publishes == Publishes::Addresses {
            return instance
                .addresses()
                .map(|address| with_octets(address, |rtype, rdata| edit(rtype, rdata, Vec::new())))
                .collect();
        }
        let mut contribution = Vec::with_capacity(2);
        let mut room = NameBuf::default();
        let target = match instance.endpoint() {
            EndpointRef::Host(host) => Some(host),
            EndpointRef::Addresses(_) => self.write_host(service, instance, &mut room).then(|| room.as_wire()),
        };
        if let Some(target) = target {
            let numbers = [instance.priority, instance.answered_weight(), instance.port].map(u16::to_be_bytes).concat();
            let record =
                |address: IpAddr| with_octets(address, |rtype, rdata| edit(rtype, rdata, Vec::new()).1.without_owner());
            let additional = instance.addresses().flat_map(record).collect();
            contribution.push(edit(Rtype::SRV, &[&numbers, target].concat(), additional));
        }
        let values = self.values(service, instance);
        let pattern = self.patterns(Publishes::Instance).next();
        if let Some(Some(Ok(()))) = pattern.map(|pattern| pattern.write(&values, &mut room)) {
            contribution.push(edit(Rtype::PTR, &compress(name, room.as_wire()), Vec::new()));
        }
        contribution
    }

    /// What stands at a shared name besides its large sets.
    fn beside(
        &self,
        service: &Service,
        altered: &Altered<'_>,
        name: &[u8],
        sets: &[Arc<LargeSet>],
        counts: &Counts,
    ) -> Published {
        let Altered { pattern, group, .. } = altered;
        if !is_listed(service, pattern, group, counts) {
            return Published::default();
        }
        let facts = self.facts(service, pattern.publishes, sets, name);
        let note = match counts.get(group) {
            Count { serving: 0, .. } => nobody(service, group.site.as_deref()),
            Count { held, .. } => held_of_many(held as usize),
        };
        Published { sets: facts.into_iter().collect(), known: true, note }
    }
}

/// What clients choose instances by: the same for every record of an instance, another in every service.
fn key(service: &Service, instance: &InstanceRef<'_>) -> u32 {
    stable_hash(&[service.name.as_bytes(), b"/", instance.id.as_bytes()].concat()) as u32
}

fn with_octets<T>(address: IpAddr, then: impl FnOnce(Rtype, &[u8]) -> T) -> T {
    match address {
        IpAddr::V4(v4) => then(Rtype::A, &v4.octets()),
        IpAddr::V6(v6) => then(Rtype::AAAA, &v6.octets()),
    }
}

/// Protocols and sites that are remembered before or after, but not both.
fn remembered_changes<'s>(old: &'s Service, new: &'s Service) -> impl Iterator<Item = (&'s str, Option<&'s str>)> {
    let only = |one: &'s Service, two: &'s Service| {
        let keys = one.row.remembered.keys();
        keys.filter(|key| !two.row.remembered.contains_key(key)).map(|key| split_remembered(key))
    };
    only(old, new).chain(only(new, old))
}

/// Protocols of all names whose words change although nothing else does: a service says at each why it is empty.
fn told_otherwise<'c>(change: &'c Change<'_, '_>) -> impl Iterator<Item = (&'c str, Option<&'c str>)> {
    let Change { old, new, after, .. } = change;
    let is_new = old.row.empty_reason != new.row.empty_reason;
    let protos = after.protos().filter(move |_| is_new).map(|proto| (&**proto, None));
    let known = known_anyway(new).filter(move |(_, site)| is_new && site.is_none());
    protos.chain(known)
}

/// Whether a pattern gives the name of a group.
fn is_listed(service: &Service, pattern: &Pattern, group: &Group, counts: &Counts) -> bool {
    match group.tag {
        Some(_) => counts.get(group).serving > 0,
        None => counts.get(group).all > 0 || is_remembered(service, Selects::of(pattern), group),
    }
}

/// Whether a name is known for another reason than its instances.
fn is_remembered(service: &Service, selects: Selects, group: &Group) -> bool {
    known_anyway(service).any(|(proto, site)| selects.known(proto, site).as_ref() == Some(group))
}

/// Protocols and sites that are known for another reason than instances.
fn known_anyway(service: &Service) -> impl Iterator<Item = (&str, Option<&str>)> {
    let declared = service.row.declaration.as_ref().map(|declared| (declared.proto.as_deref().unwrap_or("tcp"), None));
    declared.into_iter().chain(service.row.remembered.keys().map(|key| split_remembered(key)))
}
