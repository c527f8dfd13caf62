//! An explanation put together: the instances that a name was considered for, what DNS says, and what is near.
//!
//! It looks through all instances of the service, through all services when there is none of that label, and for a
//! reverse name through all instances: tens of milliseconds where there are a hundred thousand services. The edges call
//! it on a thread that may block, a few at a time.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use super::Reading;
use super::about::{About, Is, plain};
use super::nearest::Nearest;
use crate::model::explanation::{Explained, Explanation, Known, RefusedAttempt, Said};
use crate::model::{Attempt, EndpointRef, InstanceRef, Name, Rtype, Timestamp};
use crate::registry::names::{updated, written_at};
use crate::registry::{Refused, Registry, Snapshot};

/// Names that are offered instead.
const NEAREST: usize = 3;
/// Refused registrations that are shown.
const REFUSED: usize = 10;

/// Instances that are shown over DNS: their lines fit a message.
pub const OVER_DNS: usize = 50;

/// What is to be explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The name, as DNS is asked for it.
    pub name: Name,
    /// The type; without it the one that such a name is asked for.
    pub rtype: Option<Rtype>,
    /// The most instances that are shown.
    pub limit: usize,
}

/// What the registry does not know of a name; implemented by the composition root, which has the view and the zone
/// files.
pub trait Answers: Send + Sync + 'static {
    /// What DNS answers to a question for this name and type.
    fn said(&self, _name: &Name, _rtype: Rtype) -> Option<Said> {
        None
    }

    /// What the name explains over DNS, if it is such a name.
    fn explains(&self, _name: &Name) -> Option<Explains> {
        None
    }

    /// Where the static record of this name stands.
    fn static_record(&self, _name: &Name) -> Option<String> {
        None
    }
}

/// What is explained over DNS at a name, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explains {
    /// The name that is explained.
    pub target: Name,
    /// The prefixes of the clients that are told.
    pub to: Vec<String>,
}

/// Explains a name at which another one is explained over DNS: what listed clients get there.
fn explain_explaining(
    registry: &Registry,
    answers: &dyn Answers,
    asked: &Asked,
    Explains { target, to }: Explains,
    now: Timestamp,
) -> Explanation {
    let rtype = asked.rtype.unwrap_or(Rtype::TXT);
    let (name, of) = (plain(&asked.name), plain(&target));
    let (summary, answer) = if to.is_empty() {
        let summary = format!("{name} would explain {of}, but dns.explain_to lists nobody");
        (summary, answers.said(&asked.name, rtype))
    } else {
        let to = to.join(", ");
        let summary =
            format!("{name} explains {of}, as TXT over TCP, to clients of dns.explain_to ({to}); others hear NXDOMAIN");
        let inner = Asked { name: target, rtype: None, limit: OVER_DNS };
        let lines = || explain(registry, answers, &inner, now).lines().len();
        let records = if rtype == Rtype::TXT { lines() } else { 0 };
        (summary, Some(Said { rcode: "NOERROR".to_owned(), records, ede: None }))
    };
    Explanation { name: asked.name.to_string(), rtype: rtype.to_string(), summary, answer, ..Explanation::default() }
}

/// Explains a name.
pub fn explain(registry: &Registry, answers: &dyn Answers, asked: &Asked, now: Timestamp) -> Explanation {
    if let Some(explains) = answers.explains(&asked.name) {
        return explain_explaining(registry, answers, asked, explains, now);
    }
    let snapshot = registry.snapshot();
    let about = About::of(registry.options(), &snapshot, &asked.name);
    let rtype = asked.rtype.unwrap_or_else(|| about.usual());
    let found = about.readings();
    let mut rows = match about {
        About::Address(address) => rows_at(&snapshot, address),
        _ => rows(found),
    };
    rows.sort_by_key(|row| row.is_in);
    let (all, serving) = (rows.len(), rows.iter().filter(|row| row.is_in).count());
    rows.truncate(asked.limit);
    let static_record = answers.static_record(&asked.name).or_else(|| written_at(&snapshot, &asked.name).map(updated));
    let is = Is { answer: answers.said(&asked.name, rtype), static_record };
    Explanation {
        name: asked.name.to_string(),
        rtype: rtype.to_string(),
        summary: about.summary(&asked.name, (serving, all), registry.census().services, &is),
        answer: is.answer,
        static_record: is.static_record,
        instances: rows.iter().map(|row| row.explained(registry, now)).collect(),
        omitted: all - rows.len(),
        refused: refused(registry, &snapshot, found),
        nearest: if all == 0 { nearest(registry, answers, &snapshot, found) } else { Vec::new() },
    }
}

/// An instance as one reading of the name finds it.
struct Row<'f> {
    service: &'f str,
    instance: InstanceRef<'f>,
    other_tier: Option<Vec<String>>,
    is_in: bool,
}

/// Each instance once, in the order of services and ids.
fn rows(found: &[Reading]) -> Vec<Row<'_>> {
    let (mut rows, mut seen) = (Vec::new(), HashSet::new());
    for reading in found {
        let Some(service) = &reading.service else { continue };
        let tier = reading.tier();
        let is_elsewhere = |site: Option<&str>, tier: &[String]| !tier.iter().any(|own| Some(own.as_str()) == site);
        for instance in reading.instances() {
            if seen.insert((&*service.name, instance.id)) {
                let other_tier = tier.clone().filter(|tier| is_elsewhere(instance.site, tier));
                let is_in = reading.serves(&instance) && other_tier.is_none();
                rows.push(Row { service: &service.name, instance, other_tier, is_in });
            }
        }
    }
    rows
}

/// The instances with an address, whatever their names.
fn rows_at(snapshot: &Snapshot, address: IpAddr) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    for service in snapshot.services.values() {
        let has = |instance: &InstanceRef<'_>| match instance.endpoint() {
            EndpointRef::Addresses(mut addresses) => addresses.any(|own| own == address),
            EndpointRef::Host(_) => false,
        };
        rows.extend(service.instances.refs().filter(has).map(|instance| {
            let (service, is_in) = (&*service.name, instance.is_serving());
            Row { service, instance, other_tier: None, is_in }
        }));
    }
    rows
}

impl Row<'_> {
    fn explained(&self, registry: &Registry, now: Timestamp) -> Explained {
        let instance = self.instance.to_instance();
        // Beats are counted in ticks of the lease: the beat that brought it into service is not older than the service.
        let most = if instance.is_silent() { Duration::MAX } else { instance.since.age(now) };
        let known = Known {
            beat_age: registry.beat_age(self.service, &instance.id).map(|age| age.min(most)),
            other_tier: self.other_tier.as_deref(),
            is_in: self.is_in,
            fleet_held: registry.is_fleet_held(self.service, &instance),
        };
        Explained::new(self.service, &instance, now, known)
    }
}

/// What was refused of the instances that the name could answer with, unless they have beaten since.
fn refused(registry: &Registry, snapshot: &Snapshot, found: &[Reading]) -> Vec<RefusedAttempt> {
    let mut labels: Vec<(&str, Option<&str>)> =
        found.iter().map(|reading| (&*reading.label, reading.instance.as_deref())).collect();
    labels.sort_unstable();
    labels.dedup();
    let mut shown: Vec<RefusedAttempt> = Vec::new();
    for (label, id) in labels {
        for (Refused { attempt, word, .. }, age) in registry.refused(label) {
            let has_beaten_since = || {
                let is_there =
                    snapshot.service(label).is_some_and(|service| service.instances.find(&attempt.id).is_some());
                is_there && registry.beat_age(label, &attempt.id).is_some_and(|beat| beat < age)
            };
            let is_shown = |row: &RefusedAttempt| row.service == attempt.service && row.id == attempt.id;
            if id.is_none_or(|id| id == attempt.id) && !shown.iter().any(is_shown) && !has_beaten_since() {
                let Attempt { service, id, by, detail } = attempt;
                let (age_seconds, word) = (age.as_secs_f64(), word.as_str().to_owned());
                shown.push(RefusedAttempt { service, id, age_seconds, by, word, detail });
            }
        }
    }
    shown.truncate(REFUSED);
    shown
}

/// The same name with a label that there is: that of a service, or an instance, site or tag of the service.
fn nearest(registry: &Registry, answers: &dyn Answers, snapshot: &Snapshot, found: &[Reading]) -> Vec<String> {
    let known = found.iter().find(|reading| reading.service.is_some());
    let Some(reading) = known.or(found.first()) else { return Vec::new() };
    let options = registry.options();
    let new = if known.is_some() { Nearest::among_few } else { Nearest::new };
    let mut nearest = new(reading.sought(), NEAREST);
    match &reading.service {
        None => snapshot.services.values().for_each(|service| nearest.consider(&service.name, || service.is_known())),
        Some(service) => {
            let all = service.instances.refs();
            all.for_each(|instance| reading.labels_of(instance).for_each(|label| nearest.consider(label, || true)));
        }
    }
    let names = nearest.labels().filter_map(|label| reading.renamed(label, options));
    // A label may be near in a place where it makes no name.
    let exists = |name: &Name| answers.said(name, Rtype::A).is_none_or(|said| said.rcode != "NXDOMAIN");
    names.filter(exists).map(|name| name.to_string()).collect()
}
