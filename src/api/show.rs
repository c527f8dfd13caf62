//! Rows of the registry as bodies.

use std::time::Duration;

use crate::model::api::{Applied, InstanceInfo, LastChange, Ordered, Registered, ServiceInfo};
use crate::model::{Change, Endpoint, Instance, Refusal, Service, State, Timestamp, Transition};
use crate::registry::{Outcome, Registry};

use super::unexpected;

/// Reply to a registration.
pub(super) fn registered(registry: &Registry, service: &str, instance: &Instance) -> Registered {
    Registered {
        service: service.to_owned(),
        id: instance.id.to_string(),
        incarnation: instance.incarnation.0,
        revision: instance.revision,
        lease_seconds: instance.lease_seconds,
        heartbeat_seconds: registry.heartbeat_seconds(instance.lease_seconds),
        ttl_seconds: registry.longest_ttl(service),
        names: names(registry, service, instance),
    }
}

/// Reply to a write that only moves the registry on.
pub(super) fn applied(outcome: Outcome) -> Result<Applied, Refusal> {
    match outcome {
        Outcome::Applied { revision, changed } => Ok(Applied { revision, changed, ttl_seconds: None }),
        Outcome::Instance { instance, changed, .. } => {
            Ok(Applied { revision: instance.revision, changed, ttl_seconds: None })
        }
        other => Err(unexpected(&other)),
    }
}

/// Reply to an order about an instance.
pub(super) fn ordered(
    registry: &Registry,
    now: Timestamp,
    (service, id): (String, String),
    outcome: Outcome,
) -> Result<Ordered, Refusal> {
    let (service, instance, changed) = match outcome {
        Outcome::Instance { service, instance, changed, .. } => (service, instance, changed),
        Outcome::Applied { revision, changed } => {
            let (ttl_seconds, state) = (registry.longest_ttl(&service), "unregistered".to_owned());
            return Ok(Ordered { service, id, state, revision, changed, ttl_seconds, safe_seconds: None });
        }
        other => return Err(unexpected(&other)),
    };
    let ttl_seconds = registry.longest_ttl(&service);
    let left = safe_seconds(ttl_seconds).saturating_sub(instance.since.age(now).as_secs() as u32);
    Ok(Ordered {
        service: service.to_string(),
        id: instance.id.to_string(),
        state: instance.state.as_str().to_owned(),
        revision: instance.revision,
        changed,
        ttl_seconds,
        safe_seconds: (!instance.is_serving()).then_some(left),
    })
}

/// How long after it left the answers an instance is forgotten by every cache: its TTL, and a second for the way.
pub(super) fn safe_seconds(ttl: u32) -> u32 {
    ttl.saturating_add(1)
}

/// Why an instance is in its state, in words, if it does not simply serve.
fn reason(instance: &Instance, fleet_held: bool) -> Option<String> {
    let silence = || format!("no beat for its lease of {} s", instance.lease_seconds);
    match (instance.state, instance.drained()) {
        (State::Serving, _) => fleet_held.then(|| format!("{}, held with the whole fleet", silence())),
        (State::Held, _) if instance.site_only => Some(format!("{}, held by the guard for its site", silence())),
        (State::Held, _) => Some(format!("{}, held by the guard", silence())),
        (State::Lapsed, _) => Some(silence()),
        (State::Drained, Some(mark)) if mark.reason.is_empty() => Some(format!("drained by {}", mark.author)),
        (State::Drained, Some(mark)) => Some(format!("drained by {}: {}", mark.author, mark.reason)),
        (State::Drained | State::Out, _) => instance.out.as_deref().map(str::to_owned),
    }
}

/// One instance in a list.
pub(super) fn instance(registry: &Registry, now: Timestamp, service: &str, instance: &Instance) -> InstanceInfo {
    let (addresses, target) = match &instance.endpoint {
        Endpoint::Addresses(addresses) => (addresses.iter().map(ToString::to_string).collect(), None),
        Endpoint::Host(host) => (Vec::new(), Some(host.to_string())),
    };
    let age = instance.since.age(now);
    // Beats are counted in ticks of the lease: the beat that brought it into service is not older than the service.
    let most = if instance.state == State::Serving { age } else { Duration::MAX };
    let beat_age = registry.beat_age(service, &instance.id).map(|beat_age| beat_age.min(most));
    let fleet_held = registry.is_fleet_held(service, instance);
    let state = if fleet_held { State::Held } else { instance.state };
    InstanceInfo {
        service: service.to_owned(),
        id: instance.id.to_string(),
        state: state.as_str().to_owned(),
        reason: reason(instance, fleet_held),
        drained: instance.drained().cloned(),
        set_weight: instance.set_weight().cloned(),
        since: instance.since,
        age_seconds: to_milliseconds(age),
        beat_age_seconds: beat_age.map(to_milliseconds),
        proto: instance.proto.to_string(),
        port: instance.port,
        priority: instance.priority,
        weight: instance.weight,
        site: instance.site.as_deref().map(str::to_owned),
        addresses,
        target,
        tags: instance.tags.iter().map(ToString::to_string).collect(),
        metadata: instance.metadata.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
        lease_seconds: instance.lease_seconds,
        session: instance.session.as_deref().map(str::to_owned),
        incarnation: instance.incarnation.0,
        revision: instance.revision,
        names: names(registry, service, instance),
    }
}

/// One service in a list. `owner` is the name of the token that owns it, `granted` are those
/// of the tokens that may write it beside the owner.
pub(super) fn service(
    service: &Service,
    owner: Option<String>,
    granted: Vec<String>,
    last_change: Option<LastChange>,
) -> ServiceInfo {
    let (serving, held) = (service.instances.alive_count(), service.instances.held_count());
    let places = service.instances.places();
    ServiceInfo {
        service: service.name.to_string(),
        protos: distinct(places.keys().map(|(proto, _)| *proto)),
        serving,
        held,
        out: service.instances.len() - serving - held,
        sites: distinct(places.keys().filter_map(|(_, site)| *site)),
        declaration: service.row.declaration.as_deref().cloned(),
        owned_by: owner,
        granted,
        revision: service.row.revision,
        last_change,
    }
}

/// A change in one line: `a4 lapsed`.
pub(super) fn last_change(change: &Change) -> LastChange {
    let what = past(change.transition);
    let text = match (&change.instance, &change.token) {
        (Some(id), _) => format!("{id} {what}"),
        (None, Some(token)) => format!("{what}: token {token}"),
        (None, None) => what.to_owned(),
    };
    LastChange { time: change.time, text }
}

fn past(transition: Transition) -> &'static str {
    match transition {
        Transition::Register => "registered",
        Transition::Update => "updated",
        Transition::Deregister => "left",
        Transition::Lapse => "lapsed",
        Transition::Return => "returned",
        Transition::Reap => "reaped",
        Transition::Drain => "drained",
        Transition::Undrain => "undrained",
        Transition::Weight => "weighed anew",
        Transition::Hold => "held",
        Transition::Release => "released",
        Transition::Declare => "declared",
        Transition::Undeclare => "undeclared",
        Transition::Grant => "granted",
        Transition::Revoke => "grant revoked",
        Transition::Transfer => "transferred",
        Transition::Forget => "forgotten",
        Transition::TokenCreate => "token created",
        Transition::TokenRevoke => "token revoked",
        Transition::Static | Transition::Records => "static records changed",
        Transition::Restore => "restored",
    }
}

/// Seconds, to the millisecond.
fn to_milliseconds(age: Duration) -> f64 {
    (age.as_secs_f64() * 1000.0).round() / 1000.0
}

fn distinct<'a>(words: impl Iterator<Item = &'a str>) -> Vec<String> {
    let set: std::collections::BTreeSet<&str> = words.collect();
    set.into_iter().map(str::to_owned).collect()
}

fn names(registry: &Registry, service: &str, instance: &Instance) -> Vec<String> {
    let names = crate::registry::names::names_of(registry.options(), service, instance);
    names.iter().map(ToString::to_string).collect()
}
