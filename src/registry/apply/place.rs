//! Placing an instance: the common part of a registration and of a session's set.

use std::sync::Arc;

use super::super::draft::{Draft, Step};
use super::super::names::check_names;
use super::Caller;
use super::instance::count_here;
use super::validate::Facts;
use crate::model::label::LabelKind;
use crate::model::{Instance, Refusal, Revision, ServerNumber, Service, State, Transition, Word};
use crate::security::Want;

/// An instance that somebody wants registered; labels and facts are checked.
pub(super) struct Placing {
    pub(super) service: Arc<str>,
    pub(super) id: Box<str>,
    pub(super) facts: Facts,
    /// The session that beats for it; a lone instance has none.
    pub(super) session: Option<Arc<str>>,
    /// The incarnation that the caller believes is current.
    pub(super) incarnation: Option<u64>,
}

/// What came of it.
pub(super) struct Placed {
    pub(super) service: Arc<str>,
    pub(super) instance: Arc<Instance>,
    pub(super) new: bool,
    pub(super) changed: bool,
}

/// Registers, updates, brings back or only beats: whatever makes the instance what the caller wants.
pub(super) fn place(draft: &mut Draft, caller: &Caller<'_>, placing: &Placing) -> Result<Placed, Refusal> {
    let entry = draft.state.service(&placing.service).cloned();
    let Facts { proto, site, epoch, .. } = &placing.facts;
    let texts =
        [Some(proto), site.as_ref(), epoch.as_ref(), placing.session.as_ref()].map(|text| text.unwrap_or(proto));
    let before = entry.as_ref().and_then(|service| service.instance_sharing(&placing.id, &texts));
    let wanted = build(draft, placing, entry.as_deref(), before.as_deref());
    authorize_both(draft, caller, entry.as_deref(), before.as_deref(), &wanted, &placing.service)?;
    check_incarnation(&placing.service, &placing.id, before.as_deref(), placing.incarnation)?;
    let unchanged = before.clone().filter(|before| before.same_registration(&wanted));
    if let Some(before) = unchanged.clone().filter(|before| !before.is_silent()) {
        return Ok(beat(draft, caller, placing.service.clone(), before));
    }
    if unchanged.is_none() {
        check_labels(draft, &placing.service, &wanted)?;
        check_names(draft.options(), draft.taken(), &placing.service, &wanted)?;
    }
    let transition = match (&before, &unchanged) {
        (None, _) => Transition::Register,
        (Some(_), Some(_)) => Transition::Return,
        (Some(_), None) => Transition::Update,
    };
    let new = before.is_none();
    let (service, after) = (&placing.service, Some(wanted));
    let step = Step { by: &caller.by, transition, service, before, after, claim: caller.claim() };
    let instance = draft.step(step).expect("the step has an instance afterwards");
    Ok(Placed { service: placing.service.clone(), instance, new, changed: true })
}

/// The instance as it would be after the next change.
fn build(draft: &Draft, placing: &Placing, entry: Option<&Service>, before: Option<&Instance>) -> Instance {
    let revision = draft.next();
    let facts = placing.facts.clone();
    let mut wanted = Instance {
        id: placing.id.clone(),
        proto: facts.proto,
        port: facts.port,
        priority: facts.priority,
        weight: facts.weight,
        site: facts.site,
        endpoint: facts.endpoint,
        tags: facts.tags,
        metadata: facts.metadata,
        lease_seconds: facts.lease_seconds,
        session: placing.session.clone(),
        epoch: facts.epoch.or_else(|| before.and_then(|before| before.epoch.clone())),
        owner: if placing.session.is_none() { draft.servers.own() } else { ServerNumber::NONE },
        out: facts.out,
        orders: match before {
            Some(before) => before.orders.clone(),
            None => entry.and_then(|entry| entry.row.orders.get(&placing.id)).cloned().map(Box::new),
        },
        incarnation: revision,
        state: State::Serving,
        site_only: false,
        since: draft.now,
        revision,
    };
    wanted.state = wanted.resting();
    let same_life = |before: &&Instance| placing.incarnation.is_some() || before.same_life(&wanted);
    if let Some(before) = before.filter(same_life) {
        wanted.incarnation = before.incarnation;
        if before.state == wanted.state {
            wanted.since = before.since;
        }
    }
    wanted
}

/// The caller must be allowed to write what is there and what would be there.
fn authorize_both(
    draft: &Draft,
    caller: &Caller<'_>,
    entry: Option<&Service>,
    before: Option<&Instance>,
    wanted: &Instance,
    service: &str,
) -> Result<(), Refusal> {
    let row = entry.map(|service| &service.row);
    for instance in before.into_iter().chain([wanted]) {
        caller.may(draft, Want::Instance { service, row, instance })?;
    }
    Ok(())
}

/// Refuses what names another life of the instance than the current one.
pub(super) fn check_incarnation(
    service: &str,
    id: &str,
    current: Option<&Instance>,
    named: Option<u64>,
) -> Result<(), Refusal> {
    let Some(named) = named else { return Ok(()) };
    let detail = match current.map(|instance| instance.incarnation) {
        Some(Revision(current)) if current == named => return Ok(()),
        Some(current) => {
            format!("incarnation {named} of {service}/{id} has been replaced by {current}; name that one, or none")
        }
        None => format!("incarnation {named} of {service}/{id} is over; register without naming an incarnation"),
    };
    Err(Refusal::new(Word::OldIncarnation, detail))
}

/// Nothing changes but the lease, and perhaps the owner: the first token that registers an unowned service gets it.
fn beat(draft: &mut Draft, caller: &Caller<'_>, service: Arc<str>, instance: Arc<Instance>) -> Placed {
    let unowned = draft.state.service(&service).is_some_and(|entry| entry.row.owned_by.is_none());
    let claim = caller.claim().filter(|_| unowned).cloned();
    let changed = claim.is_some();
    if let Some(token) = claim {
        draft.step_service(&caller.by, Transition::Declare, &service, |row| row.owned_by = Some(token));
    }
    let instance = if instance.session.is_none() { count_here(draft, &service, instance) } else { instance };
    Placed { service, instance, new: false, changed }
}

/// Refuses labels that are reserved, sites that are not on the list, and a label that is both service and site.
fn check_labels(draft: &Draft, service: &str, wanted: &Instance) -> Result<(), Refusal> {
    let (policy, naming) = (&draft.options().policy, &draft.options().naming);
    check_service_label(draft, service)?;
    policy.check_label(LabelKind::Instance, &wanted.id, naming)?;
    let Some(site) = wanted.site.as_deref() else { return Ok(()) };
    check_site_label(draft, site)?;
    match site == service {
        true => Err(shared_label(site)),
        false => Ok(()),
    }
}

/// Refuses a service label that is reserved or a site's.
pub(super) fn check_service_label(draft: &Draft, service: &str) -> Result<(), Refusal> {
    draft.options().policy.check_label(LabelKind::Service, service, &draft.options().naming)?;
    if draft.options().policy.has_site(service) || draft.state.sites.contains_key(service) {
        return Err(shared_label(service));
    }
    Ok(())
}

/// Refuses a site label that is reserved, not on the list, or a service's.
pub(super) fn check_site_label(draft: &Draft, site: &str) -> Result<(), Refusal> {
    draft.options().policy.check_label(LabelKind::Site, site, &draft.options().naming)?;
    draft.options().policy.check_site(site)?;
    match draft.state.service(site) {
        Some(_) => Err(shared_label(site)),
        None => Ok(()),
    }
}

fn shared_label(label: &str) -> Refusal {
    let detail = format!(
        "\"{label}\" would be both a service and a site, and {label}.ZONE could not be told apart; choose another label"
    );
    Refusal::new(Word::SiteLabel, detail)
}
