//! Lone instances: register, deregister, return.

use std::sync::Arc;

use super::super::Outcome;
use super::super::draft::{Draft, Step};
use super::super::guard::check_min;
use super::super::lease::{Effect, Subject};
use super::Caller;
use super::place::{Placing, check_incarnation, place};
use super::validate::{label, validate};
use crate::model::api::Registration;
use crate::model::label::LabelKind;
use crate::model::{Instance, Refusal, Transition, Word};
use crate::security::Want;

/// Registers or updates an instance, and beats for it.
pub(super) fn register(
    draft: &mut Draft,
    caller: &Caller<'_>,
    service: &str,
    id: &str,
    registration: &Registration,
) -> Result<Outcome, Refusal> {
    let service = label(LabelKind::Service, service)?.into();
    let id = label(LabelKind::Instance, id)?.into();
    let facts = validate(draft.options(), caller.principal, registration)?;
    let placing = Placing { service, id, facts, session: None, incarnation: registration.incarnation };
    let placed = place(draft, caller, &placing)?;
    let (service, instance) = (placed.service, placed.instance);
    Ok(Outcome::Instance { service, instance, new: placed.new, changed: placed.changed })
}

/// Takes an instance out now; below the service's `min` only with `force`.
pub(super) fn deregister(
    draft: &mut Draft,
    caller: &Caller<'_>,
    service: &str,
    id: &str,
    incarnation: Option<u64>,
    force: bool,
) -> Result<Outcome, Refusal> {
    let (service, before) = find(draft, caller, service, id, incarnation)?;
    if let Some(entry) = draft.state.service(&service).filter(|_| !force) {
        check_min(entry, &before, 1)?;
    }
    leave(draft, caller, &service, before);
    Ok(Outcome::Applied { revision: draft.state.snapshot.revision, changed: true })
}

/// Removes an instance; the caller may.
pub(super) fn leave(draft: &mut Draft, caller: &Caller<'_>, service: &Arc<str>, before: Arc<Instance>) {
    let transition = Transition::Deregister;
    draft.step(Step { by: &caller.by, transition, service, before: Some(before), after: None, claim: None });
}

/// Brings a lone instance back that lapsed or is held. Another one is beaten for: its lapse was not committed after all.
pub(super) fn bring_back(
    draft: &mut Draft,
    caller: &Caller<'_>,
    service: &str,
    id: &str,
    incarnation: Option<u64>,
) -> Result<Outcome, Refusal> {
    let (service, before) = find_lone(draft, caller, service, id, incarnation)?;
    if !before.is_silent() {
        let instance = count_here(draft, &service, before);
        return Ok(Outcome::Instance { service, instance, new: false, changed: false });
    }
    let instance = serve_again(draft, caller, &service, before);
    Ok(Outcome::Instance { service, instance, new: false, changed: true })
}

/// Makes us the server that counts the lease of a lone instance; one that is silent is brought back.
pub(super) fn claim(
    draft: &mut Draft,
    caller: &Caller<'_>,
    service: &str,
    id: &str,
    incarnation: Option<u64>,
) -> Result<Outcome, Refusal> {
    let (service, before) = find_lone(draft, caller, service, id, incarnation)?;
    let changed = before.is_silent();
    match changed {
        true => serve_again(draft, caller, &service, before),
        false => count_here(draft, &service, before),
    };
    Ok(Outcome::Applied { revision: draft.state.snapshot.revision, changed })
}

/// The lease of a lone instance that somebody beat for begins here, full; the row says so if another server counted it.
pub(super) fn count_here(draft: &mut Draft, service: &Arc<str>, before: Arc<Instance>) -> Arc<Instance> {
    let instance = draft.own_instance(service, before);
    draft.effects.push(Effect::Start(Subject::lone(service, &instance)));
    instance
}

/// The instance that a caller names and may write, which beats for itself.
fn find_lone(
    draft: &Draft,
    caller: &Caller<'_>,
    service: &str,
    id: &str,
    incarnation: Option<u64>,
) -> Result<(Arc<str>, Arc<Instance>), Refusal> {
    let (service, instance) = find(draft, caller, service, id, incarnation)?;
    match &instance.session {
        None => Ok((service, instance)),
        Some(session) => {
            let detail = format!("{service}/{id} beats with session {session}; beat for that session");
            Err(Refusal::new(Word::UnknownInstance, detail))
        }
    }
}

/// Makes a silent instance what it is while it beats; the caller may.
pub(super) fn serve_again(
    draft: &mut Draft,
    caller: &Caller<'_>,
    service: &Arc<str>,
    before: Arc<Instance>,
) -> Arc<Instance> {
    let mut after = Instance { revision: draft.next(), ..(*before).clone() };
    after.enter(before.resting(), draft.now);
    if before.session.is_none() {
        after.owner = draft.servers.own();
    }
    let (transition, before, after) = (Transition::Return, Some(before), Some(after));
    let step = Step { by: &caller.by, transition, service, before, after, claim: None };
    draft.step(step).expect("the step has an instance afterwards")
}

/// The instance that a caller names and may write.
pub(super) fn find(
    draft: &Draft,
    caller: &Caller<'_>,
    service: &str,
    id: &str,
    incarnation: Option<u64>,
) -> Result<(Arc<str>, Arc<Instance>), Refusal> {
    let service = label(LabelKind::Service, service)?;
    let id = label(LabelKind::Instance, id)?;
    let unknown = || Refusal::new(Word::UnknownInstance, format!("no instance {id} of service {service}; register it"));
    let entry = draft.state.service(&service).ok_or_else(unknown)?;
    let instance = entry.instance(&id).ok_or_else(unknown)?;
    caller.may(draft, Want::Instance { service: &service, row: Some(&entry.row), instance: &instance })?;
    check_incarnation(&service, &id, Some(&instance), incarnation)?;
    Ok((entry.name.clone(), instance))
}
