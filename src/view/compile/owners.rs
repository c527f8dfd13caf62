//! What a service and its instances publish in one zone: owner names and their sets.
//!
//! First the names are listed, cheaply ([`Owners::list_shared`], [`Owners::list_own`]); then whoever listed them asks
//! for the content of those that it wants.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::Compiler;
use super::names::{Names, What};
use super::roster::Roster;
use super::tallies::is_big;
use crate::model::naming::{NameBuf, Pattern, Placeholder, Publishes, Values};
use crate::model::packed_instance::{Addresses, EndpointRef};
use crate::model::{Declaration, InstanceRef, Name, Rtype, Service, State};
use crate::view::HELD;
use crate::view::edit::Published;
use crate::view::large::{self, LargeSet};
use crate::view::rrset::{RECORD_HEAD, RrSetBuf};
use crate::view::zone::ZoneSource;

/// Owner names of one zone.
#[derive(Clone, Copy)]
pub(super) struct Owners<'c> {
    compiler: &'c Compiler,
    pub(super) zone: u16,
    source: &'c ZoneSource,
}

impl<'c> Owners<'c> {
    pub(super) fn new(compiler: &'c Compiler, zone: u16) -> Self {
        Self { compiler, zone, source: &compiler.sources[usize::from(zone)] }
    }

    /// The PTR records that lead a DNS-SD browser to the zone (RFC 6763 section 11).
    pub(super) fn browse(&self) -> Vec<(Name, RrSetBuf)> {
        let names = self.patterns(Publishes::Browse).filter_map(|pattern| self.fixed(pattern));
        names
            .map(|name| {
                let set = RrSetBuf::ptr(&name, self.source.ttl, std::iter::once(&self.source.apex));
                (name, set)
            })
            .collect()
    }

    /// Lists the names that the service's instances share.
    pub(super) fn list_shared(&self, roster: &mut Roster<'_>, names: &mut Names<'_>) {
        let all = if tiers(roster.service).is_empty() { None } else { self.source.apex.child(b"all").ok() };
        for pattern in self.shared_patterns() {
            for number in roster.group_by(pattern) {
                let what = |whole| What::Group { publishes: pattern.publishes, number: number as u32, whole };
                self.list(roster, pattern, &self.source.apex, number, what(false), names);
                if let Some(all) = all.as_ref().filter(|_| !pattern.uses(Placeholder::Site)) {
                    self.list(roster, pattern, all, number, what(true), names);
                }
            }
        }
    }

    fn list(
        &self,
        roster: &Roster<'_>,
        pattern: &Pattern,
        domain: &Name,
        group: usize,
        what: What,
        names: &mut Names<'_>,
    ) {
        let (key, _) = roster.group(group);
        let (proto, site, tag) = (key.proto, key.site, key.tag);
        let values = Values { service: &roster.service.name, proto, site, instance: None, tag, domain };
        self.put(pattern, &values, what, names);
    }

    /// Lists the names of one serving instance alone, by its place in the roster.
    pub(super) fn list_own(&self, roster: &Roster<'_>, number: usize, names: &mut Names<'_>) {
        let instance = roster.serving()[number];
        let has_addresses = matches!(instance.endpoint(), EndpointRef::Addresses(_));
        let values = self.values(roster.service, &instance);
        for pattern in self.compiler.naming.patterns() {
            let publishes = pattern.publishes;
            if publishes == Publishes::Instance || publishes == Publishes::Host && has_addresses {
                let what = What::Instance { publishes, number: number as u32 };
                self.put(pattern, &values, what, names);
            }
        }
    }

    fn put(&self, pattern: &Pattern, values: &Values<'_>, what: What, names: &mut Names<'_>) {
        let mut name = NameBuf::default();
        let Some(Ok(())) = pattern.write(values, &mut name) else { return };
        if self.publishes_at(name.as_wire()) {
            names.put(name.as_wire(), pattern.own_above(), what);
        }
    }

    /// What stands at a listed name.
    pub(super) fn content(&self, roster: &Roster<'_>, name: &[u8], what: What) -> Published {
        match what {
            What::Above => Published::default(),
            What::Group { publishes, number, whole } => self.of_group(roster, name, publishes, number as usize, whole),
            What::Instance { publishes, number } => {
                let instance = &roster.serving()[number as usize];
                let sets = match (publishes, instance.endpoint()) {
                    (Publishes::Host, EndpointRef::Addresses(addresses)) => {
                        RrSetBuf::addresses(self.ttl(roster.service), addresses)
                    }
                    _ => self.instance_sets(roster.service, instance, name),
                };
                Published { sets, note: held(&[*instance]), ..Published::default() }
            }
        }
    }

    fn of_group(
        &self,
        roster: &Roster<'_>,
        name: &[u8],
        publishes: Publishes,
        number: usize,
        whole: bool,
    ) -> Published {
        let service = roster.service;
        let (key, members) = roster.group(number);
        let tier = if whole || key.site.is_some() { None } else { preferred(service, members) };
        let members = tier.as_deref().unwrap_or(members);
        let (ttl, mut sets) = (self.ttl(service), Vec::with_capacity(2));
        match publishes {
            _ if members.is_empty() || is_big(service) => {}
            Publishes::Addresses => sets.extend(self.addresses(ttl, members)),
            _ => {
                sets.extend(self.srv(service, members, name));
                sets.extend(self.instance_pointers(service, members, name));
            }
        }
        let (most, mut large) = (self.limit(service).unwrap_or(u32::MAX), Vec::new());
        if is_big(service) || sets.iter().any(|set| set.count > most) {
            large = self.large_sets(service, publishes, name, members);
            sets = large.iter().cloned().map(RrSetBuf::from).collect();
        }
        sets.extend(self.facts(service, publishes, &large, name));
        let note = match members {
            [] => nobody(service, key.site),
            _ if is_big(service) => held_of_many(members.iter().filter(|member| member.state == State::Held).count()),
            _ => held(members),
        };
        Published { sets, known: true, note }
    }

    /// SRV of the instances, each with a target of its own; `None` when the naming gives none of them a target.
    fn srv(&self, service: &Service, instances: &[InstanceRef<'_>], owner: &[u8]) -> Option<RrSetBuf> {
        let (ttl, mut set) = (self.ttl(service), RrSetBuf::new(Rtype::SRV));
        set.answer.reserve(instances.len() * (RECORD_HEAD + 6 + owner.len() + 8));
        let mut host = NameBuf::default();
        let mut glue: Vec<Option<Addresses<'_>>> = Vec::with_capacity(instances.len());
        for instance in instances {
            let fields = [instance.priority, instance.answered_weight(), instance.port];
            match instance.endpoint() {
                EndpointRef::Host(host) => {
                    set.push_srv(ttl, fields, host);
                    glue.push(None);
                }
                EndpointRef::Addresses(addresses) if self.write_host(service, instance, &mut host) => {
                    set.push_srv(ttl, fields, host.as_wire());
                    glue.push(Some(addresses));
                }
                EndpointRef::Addresses(_) => {}
            }
        }
        match glue.as_slice() {
            [] => return None,
            glue if glue.iter().any(Option::is_none) => set = set.following(),
            glue => set.push_glue(owner, ttl, glue.iter().copied().flatten()),
        }
        Some(set)
    }

    /// A and AAAA of every address of the instances once, in the order of the instances.
    fn addresses(&self, ttl: u32, instances: &[InstanceRef<'_>]) -> Vec<RrSetBuf> {
        let all = instances.iter().flat_map(InstanceRef::addresses);
        if let [_] = instances {
            return RrSetBuf::addresses(ttl, all);
        }
        let hasher = FixedState::with_seed(self.compiler.seed);
        let mut seen = HashSet::with_capacity_and_hasher(instances.len(), hasher);
        RrSetBuf::addresses(ttl, all.filter(|address| seen.insert(*address)))
    }

    /// PTR to the DNS-SD names of the instances, if the naming has such names.
    fn instance_pointers(&self, service: &Service, instances: &[InstanceRef<'_>], owner: &[u8]) -> Option<RrSetBuf> {
        let pattern = self.patterns(Publishes::Instance).next()?;
        let (ttl, mut set) = (self.ttl(service), RrSetBuf::new(Rtype::PTR));
        set.answer.reserve(instances.len() * (RECORD_HEAD + 8));
        let mut name = NameBuf::default();
        for instance in instances {
            if let Some(Ok(())) = pattern.write(&self.values(service, instance), &mut name) {
                set.push_ptr(owner, ttl, name.as_wire());
            }
        }
        (set.count > 0).then_some(set)
    }

    /// TXT of a shared name: what the owner declared, and how many records are answered if not all are.
    pub(super) fn facts(
        &self,
        service: &Service,
        publishes: Publishes,
        large: &[Arc<LargeSet>],
        owner: &[u8],
    ) -> Option<RrSetBuf> {
        let answers = large::answers(large, owner);
        let is_told = publishes != Publishes::Subtype;
        is_told.then(|| facts(self.ttl(service), service.row.declaration.as_deref(), answers)).flatten()
    }

    /// SRV and TXT of one instance's DNS-SD name; the TXT record is there even if empty (RFC 6763 section 6.1).
    fn instance_sets(&self, service: &Service, instance: &InstanceRef<'_>, owner: &[u8]) -> Vec<RrSetBuf> {
        let pairs: Vec<String> = instance.metadata().map(|(key, value)| format!("{key}={value}")).collect();
        let mut sets = Vec::with_capacity(2);
        sets.extend(self.srv(service, std::slice::from_ref(instance), owner));
        sets.push(RrSetBuf::txt(self.ttl(service), pairs.iter().map(String::as_bytes)));
        sets
    }

    /// The names that list every type of service, and the name of this service's type that they point to.
    pub(super) fn types(&self, service: &Service, proto: &str, mut each: impl FnMut(&[u8], &[u8], u32)) {
        let values = Values {
            service: &service.name,
            proto: Some(proto),
            site: None,
            instance: None,
            tag: None,
            domain: &self.source.apex,
        };
        let mut kind = NameBuf::default();
        let mut kinds = self.patterns(Publishes::Service);
        if !kinds.any(|pattern| matches!(pattern.write(&values, &mut kind), Some(Ok(())))) {
            return;
        }
        for owner in self.patterns(Publishes::Types).filter_map(|pattern| self.fixed(pattern)) {
            if self.compiler.publishes_at(self.zone, owner.as_wire()) {
                each(owner.as_wire(), kind.as_wire(), self.source.ttl);
            }
        }
    }

    /// The zone that has the reverse name of each address of a serving instance, the address, and the host.
    pub(super) fn reverses(
        &self,
        service: &Service,
        instance: &InstanceRef<'_>,
        mut each: impl FnMut(u16, IpAddr, &NameBuf, &[u8], u32),
    ) {
        let EndpointRef::Addresses(addresses) = instance.endpoint() else { return };
        let mut host = NameBuf::default();
        if !self.compiler.has_reverse || !self.write_host(service, instance, &mut host) {
            return;
        }
        for address in addresses {
            let owner = NameBuf::reverse(address);
            let zone = self.compiler.apexes.zone_of(owner.as_wire());
            let zone = zone.filter(|zone| self.compiler.sources[usize::from(*zone)].reverse);
            if let Some(zone) = zone.filter(|zone| self.compiler.publishes_at(*zone, owner.as_wire())) {
                each(zone, address, &owner, host.as_wire(), self.ttl(service));
            }
        }
    }

    pub(super) fn write_host(&self, service: &Service, instance: &InstanceRef<'_>, into: &mut NameBuf) -> bool {
        self.compiler.naming.write_host(&self.values(service, instance), into)
    }

    pub(super) fn values<'v>(&'v self, service: &'v Service, instance: &InstanceRef<'v>) -> Values<'v> {
        Values {
            service: &service.name,
            proto: Some(instance.proto),
            site: instance.site,
            instance: Some(instance.id),
            tag: None,
            domain: &self.source.apex,
        }
    }

    /// The name of a pattern that depends on nothing but the zone.
    fn fixed(&self, pattern: &Pattern) -> Option<Name> {
        let values =
            Values { service: "", proto: None, site: None, instance: None, tag: None, domain: &self.source.apex };
        pattern.name(&values)?.ok()
    }

    pub(super) fn patterns(&self, publishes: Publishes) -> impl Iterator<Item = &'c Pattern> + use<'c> {
        let patterns = self.compiler.naming.patterns().iter();
        patterns.filter(move |pattern| pattern.publishes == publishes)
    }

    /// Patterns of all names of services and instances.
    pub(super) fn all_patterns(&self) -> impl Iterator<Item = &'c Pattern> + use<'c> {
        let of_services = |pattern: &&Pattern| !matches!(pattern.publishes, Publishes::Types | Publishes::Browse);
        self.compiler.naming.patterns().iter().filter(of_services)
    }

    /// Patterns of names that instances share.
    pub(super) fn shared_patterns(&self) -> impl Iterator<Item = &'c Pattern> + use<'c> {
        self.compiler.naming.patterns().iter().filter(|pattern| pattern.publishes.is_shared())
    }

    /// The zone's apex.
    pub(super) fn apex(&self) -> &'c Name {
        &self.source.apex
    }

    /// Whether the zone is the one to answer a name in it.
    pub(super) fn publishes_at(&self, name: &[u8]) -> bool {
        self.compiler.publishes_at(self.zone, name)
    }

    /// The most records of one type in an answer: as the service declares, or as the zone has it.
    pub(super) fn limit(&self, service: &Service) -> Option<u32> {
        let declared = service.row.declaration.as_ref().and_then(|declared| declared.answer_limit);
        declared.or(self.compiler.zone_limit(usize::from(self.zone)))
    }

    pub(super) fn ttl(&self, service: &Service) -> u32 {
        service.row.declaration.as_ref().and_then(|declared| declared.ttl).unwrap_or(self.source.ttl)
    }
}

pub(super) fn tiers(service: &Service) -> &[Vec<String>] {
    service.row.declaration.as_ref().map_or(&[], |declared| &declared.tiers)
}

/// The instances of the first tier of sites that has enough of them; `None` when there is no such tier.
fn preferred<'i>(service: &Service, instances: &[InstanceRef<'i>]) -> Option<Vec<InstanceRef<'i>>> {
    let enough = service.row.declaration.as_ref().and_then(|declared| declared.min).unwrap_or(1).max(1) as usize;
    let mut candidates = tiers(service).iter().map(|tier| {
        let in_tier = |instance: &&InstanceRef<'_>| instance.site.is_some_and(|site| tier.iter().any(|s| s == site));
        instances.iter().filter(in_tier).copied().collect::<Vec<_>>()
    });
    candidates.find(|tier| tier.len() >= enough)
}

/// What the owner declared, and how many are answered, as key=value; nothing when there is nothing to say.
fn facts(ttl: u32, declared: Option<&Declaration>, answers: Option<String>) -> Option<RrSetBuf> {
    if declared.is_none() && answers.is_none() {
        return None;
    }
    let none = Declaration::default();
    let declared = declared.unwrap_or(&none);
    let deps = declared.dependencies.join(",");
    let tier = declared.tier.map(|tier| tier.to_string()).unwrap_or_default();
    let facts = [
        ("owner", declared.owner.as_deref().unwrap_or_default()),
        ("contact", declared.contact.as_deref().unwrap_or_default()),
        ("runbook", declared.runbook.as_deref().unwrap_or_default()),
        ("deps", &deps),
        ("tier", &tier),
        ("answers", answers.as_deref().unwrap_or_default()),
    ];
    let strings: Vec<String> =
        facts.iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| format!("{key}={value}")).collect();
    (!strings.is_empty()).then(|| RrSetBuf::txt(ttl, strings.iter().map(String::as_bytes)))
}

/// What answers made of these instances say if the guard holds some of them; else nothing.
fn held(instances: &[InstanceRef<'_>]) -> String {
    let mut held = instances.iter().filter(|instance| instance.state == State::Held);
    match (held.next(), held.count()) {
        (None, _) => String::new(),
        (Some(one), 0) => format!("{HELD}{} is silent and held by the guard since {}", one.id, one.since),
        (Some(one), more) => format!("{HELD}{} and {more} more are silent and held by the guard", one.id),
    }
}

/// The same of a big service, of whose instances only counts are at hand.
pub(super) fn held_of_many(held: usize) -> String {
    if held == 0 { String::new() } else { format!("{HELD}{held} instances are silent and held by the guard") }
}

/// Why a name of the service is empty, in words.
pub(super) fn nobody(service: &Service, site: Option<&str>) -> String {
    match (site, &service.row.empty_reason) {
        (None, Some(reason)) => reason.to_string(),
        (None, None) => format!("nobody serves {}: no instance has registered", service.name),
        (Some(site), _) => format!("nobody serves {} in {site}", service.name),
    }
}
