//! Owner names of an instance: which names answer with it, and whether it may have them.

use super::{Options, Snapshot, StaticNames};
use crate::model::name::NameError;
use crate::model::naming::{NameBuf, Pattern, Placeholder, Publishes, Values};
use crate::model::{Endpoint, Instance, Name, Refusal, Rtype, Word, Written};

/// The owner names that answer with the instance while it serves: zones in order, templates in order, without those
/// that list every service.
pub fn names_of(options: &Options, service: &str, instance: &Instance) -> Vec<Name> {
    let mut names = Vec::new();
    for zone in &options.zones {
        for pattern in patterns(options, instance) {
            names.extend(values(pattern, zone, service, instance).filter_map(|values| pattern.name(&values)).flatten());
        }
    }
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// Refuses an instance that has no name, or one that does not fit into DNS or that a static record has.
pub(super) fn check_names(
    options: &Options,
    taken: Taken<'_>,
    service: &str,
    instance: &Instance,
) -> Result<(), Refusal> {
    if let Endpoint::Host(target) = &instance.endpoint {
        taken.check_target(target)?;
    }
    let (mut named, mut name) = (false, NameBuf::default());
    for zone in zones(options)? {
        for pattern in patterns(options, instance) {
            for values in values(pattern, zone, service, instance) {
                let Some(written) = pattern.write(&values, &mut name) else { continue };
                written.map_err(|error| too_long(pattern, &error))?;
                taken.check_name(zone, name.as_wire())?;
                named = true;
            }
        }
    }
    if named { Ok(()) } else { Err(nameless(instance)) }
}

/// Refuses a declaration of a service whose names do not fit into DNS, or that a static record has.
pub(super) fn check_service_names(options: &Options, taken: Taken<'_>, service: &str) -> Result<(), Refusal> {
    for zone in zones(options)? {
        let values =
            Values { service, proto: Some(super::DEFAULT_PROTO), site: None, instance: None, tag: None, domain: zone };
        for pattern in options.naming.patterns().iter().filter(|pattern| !lists_services(pattern)) {
            if let Some(name) = pattern.name(&values) {
                taken.check_name(zone, name.map_err(|error| too_long(pattern, &error))?.as_wire())?;
            }
        }
    }
    Ok(())
}

/// The names that static records have: from zone files and from UPDATE.
#[derive(Clone, Copy)]
pub(super) struct Taken<'t> {
    pub(super) statics: &'t dyn StaticNames,
    pub(super) snapshot: &'t Snapshot,
}

impl Taken<'_> {
    /// The target of an SRV record must not be an alias (RFC 2782).
    fn check_target(self, target: &Name) -> Result<(), Refusal> {
        let alias = || Some(updated(written_at(self.snapshot, target).filter(|row| row.set(Rtype::CNAME).is_some())?));
        let Some(place) = self.statics.alias(target).or_else(alias) else { return Ok(()) };
        let detail = format!("target {target} is an alias: {place} has its CNAME; name the host that it leads to");
        Err(Refusal::new(Word::AddressRefused, detail))
    }

    /// A static record of the name, or what ends the zone above it, keeps the name from being registered.
    fn check_name(self, zone: &Name, name: &[u8]) -> Result<(), Refusal> {
        let holder = || self.statics.holder(name).filter(|_| name != zone.as_wire());
        let written = || match self.snapshot.written.is_empty() {
            true => None,
            false => written_at(self.snapshot, &Name::from_trusted(name)).map(updated),
        };
        let Some(place) = holder().or_else(written) else { return Ok(()) };
        let name = Name::from_trusted(name);
        let detail = format!("{name} cannot be registered: {place} has it in a static record; choose another label");
        Err(Refusal::new(Word::StaticName, detail))
    }
}

/// What UPDATE wrote at a name, in whichever zone.
pub(super) fn written_at<'s>(snapshot: &'s Snapshot, name: &Name) -> Option<&'s Written> {
    let mut zone = Some(name.clone()).filter(|_| !snapshot.written.is_empty());
    while let Some(apex) = zone {
        if let Some(row) = snapshot.written(&apex, name) {
            return Some(row);
        }
        zone = apex.parent();
    }
    None
}

/// Where a record stands that UPDATE wrote.
pub(super) fn updated(row: &Written) -> String {
    format!("an UPDATE (revision {})", row.revision)
}

fn zones(options: &Options) -> Result<&[Name], Refusal> {
    match options.zones.as_slice() {
        [] => Err(Refusal::new(
            Word::NoZone,
            "no zone takes registrations; start the server with --zone NAME, or configure a [[zone]]",
        )),
        zones => Ok(zones),
    }
}

fn lists_services(pattern: &Pattern) -> bool {
    matches!(pattern.publishes, Publishes::Types | Publishes::Browse)
}

/// The templates that publish something of this instance: one that names an existing host has no addresses of its own.
fn patterns<'a>(options: &'a Options, instance: &Instance) -> impl Iterator<Item = &'a Pattern> + use<'a> {
    let has_addresses = matches!(instance.endpoint, Endpoint::Addresses(_));
    options.naming.patterns().iter().filter(move |pattern| {
        !lists_services(pattern)
            && (has_addresses || !matches!(pattern.publishes, Publishes::Host | Publishes::Addresses))
    })
}

/// What fills a pattern in one zone: once for each tag where the pattern has a tag, else once.
fn values<'a>(
    pattern: &Pattern,
    domain: &'a Name,
    service: &'a str,
    instance: &'a Instance,
) -> impl Iterator<Item = Values<'a>> + use<'a> {
    let (proto, site, id) = (Some(&*instance.proto), instance.site.as_deref(), Some(&*instance.id));
    let whole = Values { service, proto, site, instance: id, tag: None, domain };
    let (tags, whole) = match pattern.uses(Placeholder::Tag) {
        true => (&*instance.tags, None),
        false => (&[][..], Some(whole)),
    };
    let tagged = tags.iter().map(move |tag| Values { service, proto, site, instance: id, tag: Some(tag), domain });
    whole.into_iter().chain(tagged)
}

/// An instance without names could not be found by anybody.
fn nameless(instance: &Instance) -> Refusal {
    let detail = match instance.site {
        None => "needs a site: no active naming pattern names an instance without one; give its site",
        Some(_) => {
            "no active naming pattern gives this instance a name; give it addresses or tags, as the patterns need"
        }
    };
    Refusal::new(Word::BadValue, detail)
}

fn too_long(pattern: &Pattern, error: &NameError) -> Refusal {
    let detail =
        format!("the labels do not fit into a name of the pattern {}: {error}; use shorter ones", pattern.text());
    Refusal::new(Word::BadLabel, detail)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::naming::Naming;
    use crate::security::Policy;

    fn options() -> Options {
        Options {
            zones: vec!["sd.example.org".parse().expect("name")],
            naming: Naming::plain(),
            policy: Policy::default(),
            history: Duration::ZERO,
            servers: Vec::new(),
            ttl: 30,
            guard: super::super::guard::Limits::off(),
        }
    }

    fn instance(endpoint: Endpoint) -> Instance {
        let tags = ["canary".into(), "blue".into()].into();
        Instance { site: Some("lon".into()), endpoint, tags, ..Instance::example("a1") }
    }

    fn texts(endpoint: Endpoint) -> Vec<String> {
        names_of(&options(), "search", &instance(endpoint)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_are_those_that_answer_with_the_instance() {
        let own = texts(Endpoint::Addresses(["192.0.2.7".parse().expect("address")].into()));
        assert_eq!(
            own,
            [
                "_search._tcp.sd.example.org.",
                "_search._tcp.lon.sd.example.org.",
                "search.sd.example.org.",
                "search.lon.sd.example.org.",
                "a1.search.sd.example.org.",
                "a1._search._tcp.sd.example.org.",
                "_canary._sub._search._tcp.sd.example.org.",
                "_blue._sub._search._tcp.sd.example.org.",
            ]
        );
        let host = texts(Endpoint::Host("db.example.org".parse().expect("name")));
        assert!(!host.contains(&"a1.search.sd.example.org.".to_owned()));
        assert!(host.contains(&"_search._tcp.sd.example.org.".to_owned()));
    }
}
