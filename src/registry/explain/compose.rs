//! An explanation put together: the instances that a name was considered for, what DNS says, and what is near.
//!
//! It looks through all instances of the service, or through all services when there is none of that label: tens of
//! milliseconds where there are a hundred thousand. The edges call it on a thread that may block, a few at a time.

use std::collections::HashSet;
use std::time::Duration;

use super::nearest::Nearest;
use super::{Reading, readings};
use crate::model::explanation::{Explained, Explanation, Known, Said};
use crate::model::naming::Publishes;
use crate::model::{InstanceRef, Name, Rtype, Timestamp};
use crate::registry::{Registry, Snapshot};

/// Names that are offered instead.
const NEAREST: usize = 3;

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

    /// Where the static record of this name stands.
    fn static_record(&self, _name: &Name) -> Option<String> {
        None
    }
}

/// Explains a name.
pub fn explain(registry: &Registry, answers: &dyn Answers, asked: &Asked, now: Timestamp) -> Explanation {
    let snapshot = registry.snapshot();
    let found = readings(registry.options(), &snapshot, &asked.name);
    let rtype = asked.rtype.unwrap_or_else(|| usual(&found));
    let mut rows = rows(&found);
    rows.sort_by_key(|row| row.is_in);
    let (all, serving) = (rows.len(), rows.iter().filter(|row| row.is_in).count());
    rows.truncate(asked.limit);
    let answer = answers.said(&asked.name, rtype);
    let static_record = answers.static_record(&asked.name);
    let summary = summary(&asked.name, &found, (serving, all), answer.as_ref(), static_record.as_deref());
    Explanation {
        name: asked.name.to_string(),
        rtype: rtype.to_string(),
        answer,
        summary,
        static_record,
        instances: rows.iter().map(|row| row.explained(registry, now)).collect(),
        omitted: all - rows.len(),
        nearest: if all == 0 { nearest(registry, &snapshot, &found) } else { Vec::new() },
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

/// The type that such a name is asked for.
fn usual(found: &[Reading]) -> Rtype {
    match found.first().map(|reading| reading.publishes) {
        Some(Publishes::Addresses | Publishes::Host) | None => Rtype::A,
        Some(Publishes::Service | Publishes::Instance) => Rtype::SRV,
        Some(Publishes::Subtype | Publishes::Types | Publishes::Browse) => Rtype::PTR,
    }
}

/// The same name with a label that there is: that of a service, or an instance, site or tag of the service.
fn nearest(registry: &Registry, snapshot: &Snapshot, found: &[Reading]) -> Vec<String> {
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
    nearest.labels().filter_map(|label| reading.renamed(label, options)).map(|name| name.to_string()).collect()
}

fn summary(
    name: &Name,
    found: &[Reading],
    (serving, all): (usize, usize),
    answer: Option<&Said>,
    static_record: Option<&str>,
) -> String {
    if let Some(place) = static_record {
        return format!("{name} is a static record: {place}");
    }
    let Some(reading) = found.iter().find(|reading| reading.service.is_some()).or(found.first()) else {
        let said = answer.map(|said| format!("; DNS answers {} with {} records", said.rcode, said.records));
        return format!("{name} is no name that a registration can have here{}", said.unwrap_or_default());
    };
    let label = &reading.label;
    match (&reading.service, all) {
        (None, _) => format!("there is no service {label}: nobody declared or registered it within the last hour"),
        (Some(service), 0) if service.instances.is_empty() => {
            format!("{label} has no instance: all have left; their names are known for an hour after that")
        }
        (Some(_), 0) => format!("{label} has instances, but none that this name is about"),
        (Some(_), all) => format!("{serving} of {all} instances of {label} that {name} is about are in the answer"),
    }
}
