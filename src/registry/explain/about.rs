//! What kind of name it is, and in a sentence what there is to say of it.

use std::net::IpAddr;

use super::{Reading, readings};
use crate::model::explanation::Said;
use crate::model::naming::{Pattern, Publishes, Values, reverse_address};
use crate::model::{Name, Rtype};
use crate::registry::{Options, Snapshot};

/// What a name is about.
pub(super) enum About {
    /// The apex of a zone that takes registrations.
    Apex,
    /// The reverse name of an address.
    Address(IpAddr),
    /// A list of all service types, or the domain that clients browse.
    List(Publishes),
    /// Services and their instances, in each way that the name can be read; in none, if no template gives such a name.
    Services(Vec<Reading>),
}

impl About {
    pub(super) fn of(options: &Options, snapshot: &Snapshot, name: &Name) -> Self {
        if options.zones.contains(name) {
            return Self::Apex;
        }
        if let Some(address) = reverse_address(name) {
            return Self::Address(address);
        }
        match list(options, name) {
            Some(publishes) => Self::List(publishes),
            None => Self::Services(readings(options, snapshot, name)),
        }
    }

    /// The ways in which the name can be read.
    pub(super) fn readings(&self) -> &[Reading] {
        if let Self::Services(found) = self { found } else { &[] }
    }

    /// The type that such a name is asked for.
    pub(super) fn usual(&self) -> Rtype {
        match self {
            Self::Apex => Rtype::SOA,
            Self::Address(_) | Self::List(_) => Rtype::PTR,
            Self::Services(found) => match found.first().map(|reading| reading.publishes) {
                Some(Publishes::Addresses | Publishes::Host) | None => Rtype::A,
                Some(Publishes::Service | Publishes::Instance) => Rtype::SRV,
                Some(Publishes::Subtype | Publishes::Types | Publishes::Browse) => Rtype::PTR,
            },
        }
    }

    /// What there is to say: of `all` instances `serving` are in the answer, of `services` services in all.
    pub(super) fn summary(&self, name: &Name, (serving, all): (usize, usize), services: usize, is: &Is) -> String {
        let name = plain(name);
        if let (Self::Apex, place) = (self, is.static_record.as_deref()) {
            let place = place.map(|place| format!("; its own records: {place}")).unwrap_or_default();
            return format!("{name} is a zone that services are registered in, {services} now{place}");
        }
        if let Some(place) = &is.static_record {
            return format!("{name} is a static record: {place}");
        }
        match self {
            Self::Apex => String::new(), // said above
            Self::Address(address) if all == 0 => format!("no registered instance has the address {address}"),
            Self::Address(address) => {
                let (instances, are) = number(serving, all);
                format!("{serving} of {all} {instances} with the address {address} {are} in the answers of their names")
            }
            Self::List(Publishes::Browse) => format!("{name} tells clients of DNS-SD which domain to browse"),
            Self::List(_) => format!("{name} lists the service types of all {services} services"),
            Self::Services(found) => of_services(&name, found, (serving, all), is.answer.as_ref()),
        }
    }
}

/// What stands at a name besides registrations.
pub(super) struct Is {
    pub(super) answer: Option<Said>,
    pub(super) static_record: Option<String>,
}

/// What a template without a service publishes at this name.
fn list(options: &Options, name: &Name) -> Option<Publishes> {
    let is_list = |publishes| matches!(publishes, Publishes::Types | Publishes::Browse);
    let values = |domain| Values { service: "", proto: None, site: None, instance: None, tag: None, domain };
    let mut patterns = options.naming.patterns().iter().filter(|pattern| is_list(pattern.publishes));
    let gives = |pattern: &Pattern, zone| pattern.name(&values(zone)).is_some_and(|given| given.as_ref() == Ok(name));
    let found = patterns.find(|pattern| options.zones.iter().any(|zone| gives(pattern, zone)));
    found.map(|pattern| pattern.publishes)
}

/// A name as people write it, without its final dot.
pub(super) fn plain(name: &Name) -> String {
    let text = name.to_string();
    text.strip_suffix('.').filter(|text| !text.is_empty()).unwrap_or(&text).to_owned()
}

/// The words for `serving` of `all`.
fn number(serving: usize, all: usize) -> (&'static str, &'static str) {
    (if all == 1 { "instance" } else { "instances" }, if serving == 1 { "is" } else { "are" })
}

fn of_services(name: &str, found: &[Reading], (serving, all): (usize, usize), answer: Option<&Said>) -> String {
    let Some(reading) = found.iter().find(|reading| reading.service.is_some()).or(found.first()) else {
        return format!("{name} is no name that a registration can have here");
    };
    let label = &reading.label;
    match (&reading.service, all) {
        (None, _) if answer.is_some_and(|said| said.rcode == "NOERROR" && said.records == 0) => {
            format!("there is no service {label}, only names below {name}, as there are for a site")
        }
        (None, _) => format!("there is no service {label}: nobody declared or registered it within the last hour"),
        (Some(service), 0) if service.instances.is_empty() => {
            format!("{label} has no instance: all have left; their names are known for an hour after that")
        }
        (Some(_), 0) => format!("{label} has instances, but none that {name} could answer with"),
        (Some(_), all) => {
            let (instances, are) = number(serving, all);
            format!("{serving} of {all} {instances} of {label} {are} in the answers of {name}")
        }
    }
}
