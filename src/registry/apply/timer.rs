//! What time does: lapses, or holds in their place, the end of holds and of weights that were set for a time, and an
//! hour later the end of records and names.

use std::sync::Arc;

use super::super::draft::{Author, Draft, Step};
use super::super::guard::{Where, keeps};
use super::super::lease::{Effect, Subject};
use super::super::session::Session;
use crate::model::{Instance, Revision, ServerNumber, State, Timestamp, Transition};

/// Takes the instances of a lease that ran out from the answers. What the lease stood for when it ran out may be gone
/// by now; then nothing happens.
pub(in super::super) fn lapse(draft: &mut Draft, subject: &Subject) {
    match subject {
        Subject::Lone(lone) => {
            let current = draft.state.service(&lone.service).and_then(|entry| entry.instance(&lone.id));
            let same = |current: &Arc<Instance>| current.session.is_none() && current.incarnation == lone.incarnation;
            match current.filter(same) {
                Some(current) if may_lapse(draft, lone.owner, current.owner) => {
                    lapse_one(draft, &lone.service, current, &silent(lone.lease_seconds));
                }
                Some(current) => draft.effects.push(Effect::Start(Subject::lone(&lone.service, &current))),
                None => {}
            }
        }
        Subject::Session(session) => lapse_session(draft, session),
    }
    draft.settle();
}

/// Whether a lease that ran out here may lapse: its owner is still the same, and is us or gone. Else it is left to
/// whoever counts it now.
fn may_lapse(draft: &Draft, counted: ServerNumber, owner: ServerNumber) -> bool {
    counted == owner && draft.servers.counts(owner)
}

fn lapse_session(draft: &mut Draft, out: &Session) {
    let name = &out.name;
    let Some(session) = draft.state.sessions.get(name).cloned() else { return };
    if !may_lapse(draft, out.owner, session.owner) {
        return draft.effects.push(Effect::Start(Subject::Session(session)));
    }
    if session.members.is_empty() {
        return draft.end_session(name);
    }
    let by = silent(session.lease_seconds);
    draft.state.read_ahead(session.members.services());
    for (service, id, _) in session.members.iter() {
        let Some(entry) = draft.state.service(service).cloned() else { continue };
        if let Some(current) = entry.instance_sharing(id, &[name]) {
            lapse_one(draft, &entry.name, current, &by);
        }
    }
    draft.state.change_session(name, |session| session.lapsed = true);
    if let Some(session) = draft.state.sessions.get(name) {
        draft.effects.push(Effect::Replace(Subject::Session(session.clone())));
    }
}

/// The author of lapses of such a lease.
fn silent(lease_seconds: u32) -> Author {
    Author::server(format!("no beat for its lease of {lease_seconds} s"))
}

fn lapse_one(draft: &mut Draft, service: &Arc<str>, before: Arc<Instance>, by: &Author) {
    if before.is_silent() {
        return;
    }
    let entry = draft.state.service(service).filter(|_| before.is_serving());
    match entry.and_then(|entry| keeps(entry, &before, &draft.options().guard)) {
        Some((place, why)) => hold(draft, &by.but(&why), place, service, before),
        None => let_lapse(draft, by, Transition::Lapse, service, before),
    }
}

/// Keeps a silent instance in answers.
fn hold(draft: &mut Draft, by: &Author, place: Where, service: &Arc<str>, before: Arc<Instance>) {
    let mut after = Instance { revision: draft.next(), ..(*before).clone() };
    after.enter(State::Held, draft.now);
    after.site_only = place == Where::Site;
    let (transition, before, after) = (Transition::Hold, Some(before), Some(after));
    draft.step(Step { by, transition, service, before, after, claim: None });
}

/// Takes a silent instance out of the answers.
pub(super) fn let_lapse(
    draft: &mut Draft,
    by: &Author,
    transition: Transition,
    service: &Arc<str>,
    before: Arc<Instance>,
) {
    let mut after = Instance { revision: draft.next(), ..(*before).clone() };
    after.enter(State::Lapsed, draft.now);
    let (before, after) = (Some(before), Some(after));
    draft.step(Step { by, transition, service, before, after, claim: None });
}

/// Lets the held instances of a service lapse that are needed no more, because others serve or less is demanded.
pub(in super::super) fn relieve(draft: &mut Draft, service: &Arc<str>) {
    for id in draft.state.snapshot.held.of(service) {
        let Some(entry) = draft.state.service(service) else { return };
        let Some(before) = entry.instance(&id).filter(|before| before.state == State::Held) else { continue };
        match keeps(entry, &before, &draft.options().guard) {
            None => {
                let by = Author::server(format!("silent and held since {}, and no longer needed", before.since));
                let_lapse(draft, &by, Transition::Lapse, service, before);
            }
            Some((Where::Site, why)) if !before.site_only => {
                hold(draft, &Author::server(format!("silent, but {why}")), Where::Site, service, before);
            }
            Some(_) => {}
        }
    }
}

/// Lets an instance lapse that has been held for its time since then, also if it is needed by less than at first.
pub(in super::super) fn end_hold(draft: &mut Draft, service: &Arc<str>, id: &str, since: Timestamp) {
    let current = draft.state.service(service).and_then(|entry| entry.instance(id));
    let same = |current: &Arc<Instance>| current.since == since && current.state == State::Held;
    if let Some(before) = current.filter(same) {
        let by = Author::server(format!("silent, and held since {} for as long as its service says", before.since));
        let_lapse(draft, &by, Transition::Lapse, service, before);
        draft.settle();
    }
}

/// Lets the registered weight count again, if the other one was set by the change of this revision.
pub(in super::super) fn end_weight(draft: &mut Draft, service: &Arc<str>, id: &str, revision: Revision) {
    let current = draft.state.service(service).and_then(|entry| entry.instance(id));
    let same = |current: &Arc<Instance>| current.set_weight().is_some_and(|set| set.mark.revision == revision);
    if let Some(before) = current.filter(same) {
        let by = Author::server("the time of the other weight is over");
        let mut after = Instance { revision: draft.next(), ..(*before).clone() };
        after.order(|orders| orders.weight = None);
        let (before, after) = (Some(before), Some(after));
        draft.step(Step { by: &by, transition: Transition::Weight, service, before, after, claim: None });
        draft.settle();
    }
}

/// Removes the record of an instance that lapsed at `revision` and has not come back.
pub(in super::super) fn reap(draft: &mut Draft, service: &Arc<str>, id: &str, revision: Revision) {
    let current = draft.state.service(service).and_then(|entry| entry.instance(id));
    let same = |current: &Arc<Instance>| current.revision == revision && current.state == State::Lapsed;
    if let Some(before) = current.filter(same) {
        let by = Author::server("lapsed an hour ago and did not come back");
        let (transition, before) = (Transition::Reap, Some(before));
        draft.step(Step { by: &by, transition, service, before, after: None, claim: None });
        draft.settle();
    }
}

/// Forgets the protocols and sites of a service that nobody has served since.
pub(in super::super) fn forget(draft: &mut Draft, service: &Arc<str>, keys: &[(Box<str>, Timestamp)]) {
    let Some(entry) = draft.state.service(service) else { return };
    let due = |(key, at): &&(Box<str>, Timestamp)| entry.row.remembered.get(key) == Some(at);
    let due: Vec<Box<str>> = keys.iter().filter(due).map(|(key, _)| key.clone()).collect();
    if due.is_empty() {
        return;
    }
    let by = Author::server("nobody has served it for an hour");
    draft.step_service(&by, Transition::Forget, service, |row| {
        row.remembered.retain(|key, _| !due.contains(key));
    });
}
