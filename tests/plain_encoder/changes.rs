//! Random changes of services, as a server goes through them.

use std::sync::Arc;

use proptest::prelude::*;
use zonebeat::model::{Declaration, Instance, Service, State};
use zonebeat::registry::{Snapshot, Touched};

use super::random::{id, member};

/// One change.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    service: usize,
    instance: usize,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Register(Box<Instance>),
    Lapse,
    Return,
    Leave,
    Declare { ttl: Option<u32>, limit: Option<u32> },
    Explain(String),
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let what = prop_oneof![
        4 => member().prop_map(|member| What::Register(Box::new(member))),
        2 => Just(What::Lapse),
        1 => Just(What::Return),
        3 => Just(What::Leave),
        1 => (prop::option::of(1u32..600), prop::option::of(1u32..40)).prop_map(|(ttl, limit)| What::Declare { ttl, limit }),
        1 => "[a-z ]{1,90}".prop_map(What::Explain),
    ];
    (0usize..3, any::<prop::sample::Index>(), what).prop_map(|(service, instance, what)| Step {
        service,
        instance: instance.index(1 << 20),
        what,
    })
}

/// The snapshot after a batch, and what it touched.
pub(crate) fn apply(before: &Snapshot, batch: &[Step]) -> (Snapshot, Vec<Touched>) {
    let (mut after, mut touched) = (before.clone(), Vec::new());
    for step in batch {
        after.revision = after.revision.next();
        let labels: Vec<Arc<str>> = after.services.values().map(|service| service.name.clone()).collect();
        let label = labels[step.service % labels.len()].clone();
        let mut service = Service::clone(after.service(&label).expect("it is there"));
        let instance = change(&mut service, step);
        after.services.insert(Arc::new(service));
        touched.push(Touched { service: label, instance, revision: after.revision });
    }
    (after, touched)
}

/// Applies one change; says which instance it is about.
fn change(service: &mut Service, step: &Step) -> Option<Box<str>> {
    let first = service.instances.iter().next();
    let is_long = first.as_ref().is_some_and(|instance| instance.id.len() > 9);
    let known = service.instances.iter().nth(step.instance % (service.instances.len() + 1));
    let id = known.as_ref().map_or_else(|| id(step.instance as u32 % 9999, is_long), |known| known.id.clone());
    let become_ = |service: &mut Service, state| {
        let instance = known.as_ref().map(|known| Instance { state, ..known.clone() });
        instance.iter().for_each(|instance| service.instances.insert(instance));
    };
    match &step.what {
        What::Register(instance) => service.instances.insert(&Instance { id: id.clone(), ..Instance::clone(instance) }),
        What::Lapse => become_(service, State::Lapsed),
        What::Return => become_(service, State::Serving),
        What::Leave => drop(service.instances.remove(&id)),
        What::Declare { ttl, limit } => {
            let declaration = Declaration { ttl: *ttl, answer_limit: *limit, ..Declaration::default() };
            service.row.declaration = Some(Arc::new(declaration));
            return None;
        }
        What::Explain(reason) => {
            service.row.empty_reason = Some(reason.as_str().into());
            return None;
        }
    }
    Some(id)
}
