//! What a service and its instances publish in one zone: owner names and their sets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::Compiler;
use super::census::is_big;
use crate::model::naming::{Publishes, Template, Values};
use crate::model::service::split_remembered;
use crate::model::{Declaration, Endpoint, Instance, Name, Service};
use crate::view::edit::Published;
use crate::view::large::{self, LargeSet};
use crate::view::rrset::{RrSetBuf, Srv, compress};
use crate::view::zone::ZoneSource;

/// Owner names of one zone.
pub(super) struct Owners<'c> {
    compiler: &'c Compiler,
    zone: u16,
    source: &'c ZoneSource,
    /// Sets are left out: of what goes, only the names are asked.
    names_only: bool,
}

/// Names and shared records that come from one service or instance.
#[derive(Default)]
pub(super) struct Content {
    pub(super) names: BTreeMap<Name, Published>,
    pub(super) members: BTreeSet<Member>,
}

/// A PTR record in a set to which many services contribute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Member {
    pub(super) zone: u16,
    pub(super) owner: Name,
    pub(super) rdata: Vec<u8>,
    pub(super) ttl: u32,
}

/// What selects the instances of a name: protocol, site and tag, as far as its template uses them.
type Key<'s> = (Option<&'s str>, Option<&'s str>, Option<&'s str>);

impl Content {
    pub(super) fn extend(&mut self, other: Content) {
        self.names.extend(other.names);
        self.members.extend(other.members);
    }
}

impl<'c> Owners<'c> {
    pub(super) fn new(compiler: &'c Compiler, zone: u16, source: &'c ZoneSource) -> Self {
        Self { compiler, zone, source, names_only: false }
    }

    /// The same names, without their sets.
    pub(super) fn names_only(self) -> Self {
        Self { names_only: true, ..self }
    }

    /// The PTR records that lead a DNS-SD browser to the zone (RFC 6763 section 11).
    pub(super) fn browse(&self) -> Vec<(Name, RrSetBuf)> {
        let names = self.templates(Publishes::Browse).filter_map(|template| self.fixed(template));
        names
            .map(|name| {
                let set = RrSetBuf::ptr(&name, self.source.ttl, std::iter::once(&self.source.apex));
                (name, set)
            })
            .collect()
    }

    /// Names that the service's instances share.
    pub(super) fn of_service(&self, service: &Service) -> Content {
        let mut content = Content::default();
        for template in self.compiler.naming.templates() {
            if template.publishes.is_shared() {
                self.add_shared(&mut content, service, template);
            }
        }
        let protos: BTreeSet<&str> = service.serving().map(|instance| &*instance.proto).collect();
        for proto in protos {
            self.add_types(&mut content, service, proto);
        }
        content
    }

    /// Names of one instance alone; nothing unless it serves.
    pub(super) fn of_instance(&self, service: &Service, instance: &Instance) -> Content {
        let mut content = Content::default();
        if !instance.is_serving() {
            return content;
        }
        let ttl = self.ttl(service);
        let values = self.values(service, instance);
        for template in self.compiler.naming.templates() {
            if !matches!(template.publishes, Publishes::Host | Publishes::Instance) {
                continue;
            }
            let Some(Ok(name)) = template.name(&values) else { continue };
            let sets = match (template.publishes, &instance.endpoint) {
                (Publishes::Instance, _) | (_, Endpoint::Addresses(_)) if self.names_only => Vec::new(),
                (Publishes::Host, Endpoint::Addresses(addresses)) => RrSetBuf::addresses(ttl, addresses.iter()),
                (Publishes::Instance, _) => self.instance_sets(service, instance, &name),
                _ => continue,
            };
            content.names.insert(name, Published { sets, ..Published::default() });
        }
        if let Endpoint::Addresses(addresses) = &instance.endpoint {
            addresses.iter().for_each(|address| self.add_reverse(&mut content, service, instance, *address));
        }
        content
    }

    fn add_shared(&self, content: &mut Content, service: &Service, template: &Template) {
        for (key, instances) in self.groups(service, template) {
            let tiered = key.1.is_none().then(|| preferred(service, &instances)).flatten();
            self.add_group(content, service, template, &self.source.apex, key, tiered.as_deref().unwrap_or(&instances));
            if key.1.is_none() && !tiers(service).is_empty() {
                let Ok(all) = self.source.apex.child(b"all") else { continue };
                self.add_group(content, service, template, &all, key, &instances);
            }
        }
    }

    /// The serving instances for each combination that the template tells apart; known combinations may be empty.
    fn groups<'s>(&self, service: &'s Service, template: &Template) -> BTreeMap<Key<'s>, Vec<&'s Instance>> {
        let (by_proto, by_site) = (template.uses("proto"), template.uses("site"));
        let by_tag = template.uses("tag");
        let mut groups: BTreeMap<Key<'s>, Vec<&Instance>> = BTreeMap::new();
        let key =
            |proto: &'s str, site: Option<&'s str>, tag| (by_proto.then_some(proto), site.filter(|_| by_site), tag);
        if !by_tag {
            for (proto, site) in known(service) {
                groups.entry(key(proto, site, None)).or_default();
            }
        }
        for instance in service.serving() {
            let (proto, site) = (&*instance.proto, instance.site.as_deref());
            let tags: Vec<Option<&str>> = match by_tag {
                true => instance.tags.iter().map(|tag| Some(&**tag)).collect(),
                false => vec![None],
            };
            tags.into_iter().for_each(|tag| groups.entry(key(proto, site, tag)).or_default().push(instance));
        }
        groups
    }

    fn add_group(
        &self,
        content: &mut Content,
        service: &Service,
        template: &Template,
        domain: &Name,
        (proto, site, tag): Key<'_>,
        instances: &[&Instance],
    ) {
        let values = Values { service: &service.name, proto, site, instance: None, tag, domain };
        let Some(Ok(name)) = template.name(&values) else { return };
        if self.names_only {
            content.names.insert(name, Published::default());
            return;
        }
        let (ttl, mut sets, mut large) = (self.ttl(service), Vec::new(), Vec::new());
        if !instances.is_empty() && !is_big(service) {
            match template.publishes {
                Publishes::Addresses => sets.extend(RrSetBuf::addresses(ttl, addresses(instances).iter())),
                _ => {
                    sets.extend(self.srv(service, instances, &name));
                    sets.extend(self.instance_pointers(service, instances, &name));
                }
            }
        }
        let most = self.limit(service).unwrap_or(u32::MAX);
        if is_big(service) || sets.iter().any(|set| set.count > most) {
            sets.clear();
            large = self.large_sets(service, template.publishes, &name, instances);
            sets.extend(large.iter().cloned().map(RrSetBuf::from));
        }
        sets.extend(self.facts(service, template.publishes, &large, &name));
        let note = if instances.is_empty() { nobody(service, site) } else { String::new() };
        content.names.insert(name, Published { sets, known: true, note });
    }

    /// SRV of the instances, each with a target of its own; `None` when the naming gives none of them a target.
    fn srv(&self, service: &Service, instances: &[&Instance], owner: &Name) -> Option<RrSetBuf> {
        let records: Vec<Srv<'_>> =
            instances.iter().filter_map(|instance| self.srv_record(service, instance)).collect();
        (!records.is_empty()).then(|| RrSetBuf::srv(owner, self.ttl(service), &records))
    }

    pub(super) fn srv_record<'i>(&self, service: &Service, instance: &'i Instance) -> Option<Srv<'i>> {
        let (target, addresses) = match &instance.endpoint {
            Endpoint::Host(host) => (host.clone(), None),
            Endpoint::Addresses(addresses) => (self.host(service, instance)?, Some(&**addresses)),
        };
        let Instance { priority, weight, port, .. } = *instance;
        Some(Srv { priority, weight, port, target, addresses })
    }

    /// PTR to the DNS-SD names of the instances, if the naming has such names.
    fn instance_pointers(&self, service: &Service, instances: &[&Instance], owner: &Name) -> Option<RrSetBuf> {
        let names: Vec<Name> = instances.iter().filter_map(|instance| self.instance_name(service, instance)).collect();
        (!names.is_empty()).then(|| RrSetBuf::ptr(owner, self.ttl(service), names.iter()))
    }

    /// The DNS-SD name of an instance, if the naming has such names.
    pub(super) fn instance_name(&self, service: &Service, instance: &Instance) -> Option<Name> {
        self.templates(Publishes::Instance).next()?.name(&self.values(service, instance))?.ok()
    }

    /// TXT of a shared name: what the owner declared, and how many records are answered if not all are.
    pub(super) fn facts(
        &self,
        service: &Service,
        publishes: Publishes,
        large: &[Arc<LargeSet>],
        owner: &Name,
    ) -> Option<RrSetBuf> {
        let answers = large::answers(large, owner.as_wire());
        let is_told = publishes != Publishes::Subtype;
        is_told.then(|| facts(self.ttl(service), service.row.declaration.as_ref(), answers)).flatten()
    }

    /// SRV and TXT of one instance's DNS-SD name; the TXT record is there even if empty (RFC 6763 section 6.1).
    fn instance_sets(&self, service: &Service, instance: &Instance, owner: &Name) -> Vec<RrSetBuf> {
        let pairs: Vec<String> = instance.metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let txt = RrSetBuf::txt(self.ttl(service), pairs.iter().map(String::as_bytes));
        self.srv(service, &[instance], owner).into_iter().chain([txt]).collect()
    }

    pub(super) fn add_types(&self, content: &mut Content, service: &Service, proto: &str) {
        let values = Values {
            service: &service.name,
            proto: Some(proto),
            site: None,
            instance: None,
            tag: None,
            domain: &self.source.apex,
        };
        let kind = self.templates(Publishes::Service).find_map(|template| template.name(&values)?.ok());
        let Some(kind) = kind else { return };
        for owner in self.templates(Publishes::Types).filter_map(|template| self.fixed(template)) {
            let rdata = compress(&owner, &kind);
            content.members.insert(Member { zone: self.zone, owner, rdata, ttl: self.source.ttl });
        }
    }

    fn add_reverse(&self, content: &mut Content, service: &Service, instance: &Instance, address: IpAddr) {
        let owner = reverse_name(address);
        let Some(zone) = self.compiler.zone_number(&owner) else { return };
        if !self.compiler.sources[zone as usize].reverse {
            return;
        }
        if let Some(host) = self.host(service, instance) {
            let rdata = compress(&owner, &host);
            content.members.insert(Member { zone, owner, rdata, ttl: self.ttl(service) });
        }
    }

    fn host(&self, service: &Service, instance: &Instance) -> Option<Name> {
        self.compiler.naming.host(&self.values(service, instance))
    }

    fn values<'v>(&'v self, service: &'v Service, instance: &'v Instance) -> Values<'v> {
        Values {
            service: &service.name,
            proto: Some(&instance.proto),
            site: instance.site.as_deref(),
            instance: Some(&instance.id),
            tag: None,
            domain: &self.source.apex,
        }
    }

    /// The name of a template that depends on nothing but the zone.
    fn fixed(&self, template: &Template) -> Option<Name> {
        let values =
            Values { service: "", proto: None, site: None, instance: None, tag: None, domain: &self.source.apex };
        template.name(&values)?.ok()
    }

    fn templates(&self, publishes: Publishes) -> impl Iterator<Item = &'c Template> + use<'c> {
        let templates = self.compiler.naming.templates().iter();
        templates.filter(move |template| template.publishes == publishes)
    }

    /// Templates of names that instances share.
    pub(super) fn shared_templates(&self) -> impl Iterator<Item = &'c Template> + use<'c> {
        self.compiler.naming.templates().iter().filter(|template| template.publishes.is_shared())
    }

    /// The zone's apex.
    pub(super) fn apex(&self) -> &Name {
        &self.source.apex
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

/// Protocols and sites under which the service is known, whether somebody serves there or not.
fn known(service: &Service) -> BTreeSet<(&str, Option<&str>)> {
    let mut known: BTreeSet<(&str, Option<&str>)> =
        service.row.remembered.keys().map(|key| split_remembered(key)).collect();
    if let Some(declared) = &service.row.declaration {
        known.insert((declared.proto.as_deref().unwrap_or("tcp"), None));
    }
    for instance in &service.instances {
        known.insert((&instance.proto, None));
        known.insert((&instance.proto, instance.site.as_deref()));
    }
    known
}

pub(super) fn tiers(service: &Service) -> &[Vec<String>] {
    service.row.declaration.as_ref().map_or(&[], |declared| &declared.tiers)
}

/// The instances of the first tier of sites that has enough of them; `None` when there is no such tier.
fn preferred<'i>(service: &Service, instances: &[&'i Instance]) -> Option<Vec<&'i Instance>> {
    let enough = service.row.declaration.as_ref().and_then(|declared| declared.min).unwrap_or(1).max(1) as usize;
    let mut candidates = tiers(service).iter().map(|tier| {
        let in_tier =
            |instance: &&&Instance| instance.site.as_deref().is_some_and(|site| tier.iter().any(|s| s == site));
        instances.iter().filter(in_tier).copied().collect::<Vec<_>>()
    });
    candidates.find(|tier| tier.len() >= enough)
}

/// Every address of the instances once, in the order of the instances.
fn addresses(instances: &[&Instance]) -> Vec<IpAddr> {
    let mut seen = BTreeSet::new();
    let all = instances.iter().flat_map(|instance| match &instance.endpoint {
        Endpoint::Addresses(addresses) => addresses.iter(),
        Endpoint::Host(_) => [].iter(),
    });
    all.filter(|address| seen.insert(**address)).copied().collect()
}

/// What the owner declared, and how many are answered, as key=value; nothing when there is nothing to say.
fn facts(ttl: u32, declared: Option<&Declaration>, answers: Option<String>) -> Option<RrSetBuf> {
    let none = Declaration::default();
    let declared = declared.unwrap_or(&none);
    let deps = declared.dependencies.join(",");
    let facts = [
        ("owner", declared.owner.as_deref().unwrap_or_default()),
        ("contact", declared.contact.as_deref().unwrap_or_default()),
        ("runbook", declared.runbook.as_deref().unwrap_or_default()),
        ("deps", &deps),
        ("answers", answers.as_deref().unwrap_or_default()),
    ];
    let strings: Vec<String> =
        facts.iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| format!("{key}={value}")).collect();
    (!strings.is_empty()).then(|| RrSetBuf::txt(ttl, strings.iter().map(String::as_bytes)))
}

/// Why a name of the service is empty, in words.
pub(super) fn nobody(service: &Service, site: Option<&str>) -> String {
    match (site, &service.row.empty_reason) {
        (None, Some(reason)) => reason.clone(),
        (None, None) => format!("nobody serves {}: no instance has registered", service.name),
        (Some(site), _) => format!("nobody serves {} in {site}", service.name),
    }
}

/// The owner of an address's PTR record (RFC 1035 section 3.5, RFC 3596 section 2.5).
pub(crate) fn reverse_name(address: IpAddr) -> Name {
    let text = match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa.")
        }
        IpAddr::V6(v6) => {
            let nibbles = v6.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
            nibbles.map(|nibble| format!("{nibble:x}.")).collect::<String>() + "ip6.arpa."
        }
    };
    Name::parse_absolute(&text).expect("reverse names are short and made of digits")
}
