//! What operators say of instances: drain, undrain, weight. It is theirs: registering does not change it.

use std::sync::Arc;
use std::time::Duration;

use super::super::Outcome;
use super::super::draft::{Draft, Step, Timer};
use super::super::guard::check_min;
use super::Caller;
use super::instance::find;
use super::session::{Member, check_all};
use super::validate::{label, number};
use crate::model::label::LabelKind;
use crate::model::{Instance, Orders, Refusal, SetWeight, State, Timestamp, Transition, Word};
use crate::security::Want;

/// Longest time of a weight: a year.
const LONGEST: i64 = 366 * 86_400;

/// Takes an instance out of the answers; below the service's `min` only with `force`.
pub(super) fn drain(
    draft: &mut Draft,
    caller: &Caller<'_>,
    service: &str,
    id: &str,
    force: bool,
) -> Result<Outcome, Refusal> {
    let (service, before) = find(draft, caller, service, id, None)?;
    if before.drained().is_some() {
        return Ok(unchanged(service, before));
    }
    if let Some(entry) = draft.state.service(&service).filter(|_| !force) {
        check_min(entry, &before, 1)?;
    }
    Ok(drain_one(draft, caller, service, before))
}

/// Takes many instances out of the answers, all of them or none. Those that are gone meanwhile are left out.
pub(super) fn drain_many(
    draft: &mut Draft,
    caller: &Caller<'_>,
    instances: &[(String, String)],
    force: bool,
) -> Result<Outcome, Refusal> {
    let mut found = find_all(draft, caller, instances)?;
    found.retain(|(_, before)| before.drained().is_none());
    if !force {
        check_all(draft, &found)?;
    }
    let changed = !found.is_empty();
    for (service, before) in found {
        drain_one(draft, caller, service, before);
    }
    Ok(Outcome::Applied { revision: draft.state.snapshot.revision, changed })
}

/// Lets many drained instances be answered again.
pub(super) fn undrain_many(
    draft: &mut Draft,
    caller: &Caller<'_>,
    instances: &[(String, String)],
) -> Result<Outcome, Refusal> {
    let mut found = find_all(draft, caller, instances)?;
    found.retain(|(_, before)| before.drained().is_some());
    let changed = !found.is_empty();
    for (service, before) in found {
        order(draft, caller, service, before, Transition::Undrain, |orders| orders.drained = None);
    }
    Ok(Outcome::Applied { revision: draft.state.snapshot.revision, changed })
}

/// Those of the instances that are registered; the caller may write all of them.
fn find_all(draft: &Draft, caller: &Caller<'_>, instances: &[(String, String)]) -> Result<Vec<Member>, Refusal> {
    let mut found = Vec::with_capacity(instances.len());
    for (service, id) in instances {
        match find(draft, caller, service, id, None) {
            Err(refusal) if refusal.word == Word::UnknownInstance => {}
            one => found.push(one?),
        }
    }
    Ok(found)
}

fn drain_one(draft: &mut Draft, caller: &Caller<'_>, service: Arc<str>, before: Arc<Instance>) -> Outcome {
    let mark = caller.by.mark(draft.next(), draft.now);
    order(draft, caller, service, before, Transition::Drain, |orders| orders.drained = Some(mark))
}

/// Lets a drained instance be answered again.
pub(super) fn undrain(draft: &mut Draft, caller: &Caller<'_>, service: &str, id: &str) -> Result<Outcome, Refusal> {
    if let Some(outcome) = forget(draft, caller, service, id)? {
        return Ok(outcome);
    }
    let (service, before) = find(draft, caller, service, id, None)?;
    if before.drained().is_none() {
        return Ok(unchanged(service, before));
    }
    Ok(order(draft, caller, service, before, Transition::Undrain, |orders| orders.drained = None))
}

/// Forgets what was ordered of an instance that is not registered now; `None` if nothing was.
fn forget(draft: &mut Draft, caller: &Caller<'_>, service: &str, id: &str) -> Result<Option<Outcome>, Refusal> {
    let (name, id) = (label(LabelKind::Service, service)?, label(LabelKind::Instance, id)?);
    let Some(entry) = draft.state.service(&name).filter(|entry| entry.row.orders.contains_key(&id)).cloned() else {
        return Ok(None);
    };
    caller.may(draft, Want::Service { service: &name, row: Some(&entry.row) })?;
    draft.step_service(&caller.by, Transition::Undrain, &entry.name, |row| drop(row.orders.remove(&id)));
    Ok(Some(Outcome::Applied { revision: draft.state.snapshot.revision, changed: true }))
}

/// Answers another weight, or the registered one again.
pub(super) fn set_weight(
    draft: &mut Draft,
    caller: &Caller<'_>,
    service: &str,
    id: &str,
    weight: Option<i64>,
    seconds: Option<i64>,
) -> Result<Outcome, Refusal> {
    let (service, before) = find(draft, caller, service, id, None)?;
    let Some(weight) = weight else {
        if before.set_weight().is_none() {
            return Ok(unchanged(service, before));
        }
        return Ok(order(draft, caller, service, before, Transition::Weight, |orders| orders.weight = None));
    };
    let weight = number("weight", Some(weight), 0)?;
    let after = seconds.map(time_of).transpose()?;
    let until = after.map(|after| Timestamp(draft.now.0.saturating_add(after.as_millis() as u64)));
    let is_same = before.set_weight().is_some_and(|set| set.weight == weight && set.until.is_none());
    if is_same && until.is_none() {
        return Ok(unchanged(service, before));
    }
    let mark = caller.by.mark(draft.next(), draft.now);
    if let Some(after) = after {
        let (service, id, revision) = (service.clone(), before.id.clone(), mark.revision);
        draft.timers.push(Timer::EndWeight { service, id, revision, after });
    }
    let set = SetWeight { weight, until, mark };
    Ok(order(draft, caller, service, before, Transition::Weight, |orders| orders.weight = Some(set)))
}

fn time_of(seconds: i64) -> Result<Duration, Refusal> {
    match u64::try_from(seconds) {
        Ok(positive) if (1..=LONGEST).contains(&seconds) => Ok(Duration::from_secs(positive)),
        _ => {
            let detail = format!("for_seconds {seconds} is out of range; use 1 to {LONGEST}, or leave it out");
            Err(Refusal::new(Word::BadValue, detail))
        }
    }
}

/// Changes what is ordered of an instance, and its state by that. A held one that is to leave the answers has lapsed:
/// nothing was heard of it.
fn order(
    draft: &mut Draft,
    caller: &Caller<'_>,
    service: Arc<str>,
    before: Arc<Instance>,
    transition: Transition,
    change: impl FnOnce(&mut Orders),
) -> Outcome {
    let mut after = Instance { revision: draft.next(), ..(*before).clone() };
    after.order(change);
    let state = match (before.state, after.resting()) {
        (State::Held, State::Serving) => State::Held,
        (State::Held | State::Lapsed, _) => State::Lapsed,
        (_, resting) => resting,
    };
    after.enter(state, draft.now);
    let (before, after) = (Some(before), Some(after));
    let step = Step { by: &caller.by, transition, service: &service, before, after, claim: None };
    let instance = draft.step(step).expect("the step has an instance afterwards");
    Outcome::Instance { service, instance, new: false, changed: true }
}

fn unchanged(service: Arc<str>, instance: Arc<Instance>) -> Outcome {
    Outcome::Instance { service, instance, new: false, changed: false }
}
