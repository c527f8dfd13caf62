//! Sessions: an agent's whole set at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::Outcome;
use super::super::draft::Draft;
use super::super::guard::check_min;
use super::super::lease::{Effect, Subject};
use super::super::session::Session;
use super::Caller;
use super::instance::{leave, serve_again};
use super::place::{Placed, Placing, place};
use super::validate::{epoch, label, lease, session_name, validate};
use crate::model::api::{SessionInstance, SessionSet};
use crate::model::label::LabelKind;
use crate::model::{Instance, Refusal, SessionRow, Word};
use crate::security::Want;

/// An instance with the service it belongs to.
pub(super) type Member = (Arc<str>, Arc<Instance>);

const MOST_INSTANCES: usize = 1000;

/// Replaces everything that a session beats for; all of it or nothing.
pub(super) fn set(draft: &mut Draft, caller: &Caller<'_>, session: &str, set: &SessionSet) -> Result<Outcome, Refusal> {
    let name = session_name(session)?;
    let lease_seconds = lease(set.lease_seconds)?;
    let sequence = check_sequence(draft, &name, set)?;
    let placings = parse(draft, caller, &name, set, lease_seconds)?;
    let savepoint = draft.savepoint();
    let row = draft.session_row(&name);
    let header = Header { name: &name, epoch: &set.epoch, sequence, lease_seconds };
    match replace(draft, caller, &header, placings) {
        Ok(placed) => {
            draft.settle();
            let hash = count_here(draft, &name, row).hash.to_string();
            let instances = placed.into_iter().map(|placed| (placed.service, placed.instance)).collect();
            Ok(Outcome::Session { session: name, epoch: set.epoch.clone(), hash, lease_seconds, instances })
        }
        Err(refusal) => {
            draft.roll_back(savepoint);
            Err(refusal)
        }
    }
}

/// A set that waited somewhere while a newer one of its epoch was taken comes too late. A call that is made twice carries
/// the same number twice. What the number of the session is with this set.
fn check_sequence(draft: &Draft, name: &str, set: &SessionSet) -> Result<u64, Refusal> {
    let session = draft.state.sessions.get(name);
    let taken = session.filter(|session| session.epoch.as_deref() == Some(&*set.epoch)).map(|session| session.sequence);
    let taken = taken.unwrap_or_default();
    match set.sequence {
        Some(number) if number < taken => {
            let detail = format!("set {number} of session {name} is older than set {taken}, which was taken already");
            Err(Refusal::new(Word::OutOfSync, detail))
        }
        number => Ok(number.unwrap_or(taken)),
    }
}

/// What a set says of its session.
struct Header<'s> {
    name: &'s Arc<str>,
    epoch: &'s str,
    sequence: u64,
    lease_seconds: u32,
}

/// Makes us the server that counts the lease of a session; one that has lapsed is brought back.
pub(super) fn claim(
    draft: &mut Draft,
    caller: &Caller<'_>,
    session: &str,
    epoch: &str,
    hash: Option<&str>,
) -> Result<Outcome, Refusal> {
    let name = find(draft, session)?;
    draft.state.change_session(&name, Session::need_hash);
    let current = draft.state.sessions.get(&name).expect("it was found").clone();
    let Some(known) = current.epoch.as_deref() else {
        return Err(Refusal::new(Word::UnknownSession, format!("the set of session {name} is not known; send it")));
    };
    if known != epoch || hash.is_some_and(|hash| *current.hash != *hash) {
        let detail = format!("the epoch or hash of session {name} differs from its set here; send its full set");
        return Err(Refusal::new(Word::OutOfSync, detail));
    }
    if current.lapsed {
        bring_back(draft, caller, session)?;
    } else {
        all_members(draft, caller, &name)?;
        let row = draft.session_row(&name);
        count_here(draft, &name, row);
    }
    Ok(Outcome::Applied { revision: draft.state.snapshot.revision, changed: current.lapsed })
}

/// The lease of a session that somebody beat for begins here, full; `row` is what others knew of it.
fn count_here(draft: &mut Draft, name: &Arc<str>, row: Option<SessionRow>) -> Arc<Session> {
    draft.own_session(name, row);
    let current = draft.state.sessions.get(name).expect("it was found and nothing left it").clone();
    draft.effects.push(Effect::Start(Subject::Session(current.clone())));
    current
}

/// Checks everything that does not depend on what is registered.
fn parse(
    draft: &Draft,
    caller: &Caller<'_>,
    session: &Arc<str>,
    set: &SessionSet,
    lease_seconds: u32,
) -> Result<Vec<Placing>, Refusal> {
    let session_epoch = epoch(&set.epoch)?;
    if set.instances.len() > MOST_INSTANCES {
        let detail = format!("the set has {} instances; at most {MOST_INSTANCES} are allowed", set.instances.len());
        return Err(Refusal::new(Word::BadValue, detail));
    }
    let mut placings = Vec::with_capacity(set.instances.len());
    for wanted in &set.instances {
        let placing = parse_one(draft, caller, session, wanted, lease_seconds, &session_epoch);
        placings.push(placing.map_err(|refusal| of(wanted, refusal))?);
    }
    let mut seen = BTreeSet::new();
    let twice = placings.iter().position(|placing| !seen.insert((&placing.service, &placing.id)));
    match twice.map(|at| &set.instances[at]) {
        Some(wanted) => Err(of(wanted, Refusal::new(Word::BadValue, "stands in the set twice; name it once"))),
        None => Ok(placings),
    }
}

fn parse_one(
    draft: &Draft,
    caller: &Caller<'_>,
    session: &Arc<str>,
    wanted: &SessionInstance,
    lease_seconds: u32,
    session_epoch: &Arc<str>,
) -> Result<Placing, Refusal> {
    if wanted.registration.epoch.is_some() {
        let detail = "epoch stands in an instance; the session's counts, leave it out here";
        return Err(Refusal::new(Word::BadValue, detail));
    }
    let service = label(LabelKind::Service, &wanted.service)?.into();
    let id = label(LabelKind::Instance, &wanted.id)?.into();
    if let Some(own) = wanted.registration.lease_seconds {
        let detail = format!("lease_seconds {own} stands in an instance; the session's counts, leave it out here");
        return Err(Refusal::new(Word::BadLease, detail));
    }
    let mut facts = validate(draft.options(), caller.principal, &wanted.registration)?;
    facts.lease_seconds = lease_seconds;
    facts.epoch = Some(session_epoch.clone());
    let incarnation = wanted.registration.incarnation;
    Ok(Placing { service, id, facts, session: Some(session.clone()), incarnation })
}

/// Deregisters what is not in the set and places what is.
fn replace(
    draft: &mut Draft,
    caller: &Caller<'_>,
    header: &Header<'_>,
    placings: Vec<Placing>,
) -> Result<Vec<Placed>, Refusal> {
    let Header { name, epoch, sequence, lease_seconds } = *header;
    if !draft.state.sessions.contains(name) {
        let session = Session::new(name.clone(), lease_seconds);
        draft.state.sessions.insert(Arc::new(session));
    }
    draft.state.change_session(name, |session| {
        session.epoch = Some(epoch.into());
        session.sequence = sequence;
        session.lease_seconds = lease_seconds;
        session.lapsed = false;
        session.need_hash();
    });
    draft.state.read_ahead(placings.iter().map(|placing| &*placing.service));
    let kept: BTreeSet<(&str, &str)> = placings.iter().map(|placing| (&*placing.service, &*placing.id)).collect();
    // Whoever places what stays has to be allowed to write it anyway.
    for (service, instance) in writable_members(draft, caller, name, |service, id| !kept.contains(&(service, id)))? {
        leave(draft, caller, &service, instance);
    }
    let mut placed = Vec::with_capacity(placings.len());
    for placing in &placings {
        let refused = |refusal| in_set(&placing.service, &placing.id, refusal);
        placed.push(place(draft, caller, placing).map_err(refused)?);
    }
    Ok(placed)
}

/// Brings the lapsed instances of a session back.
pub(super) fn bring_back(draft: &mut Draft, caller: &Caller<'_>, session: &str) -> Result<Outcome, Refusal> {
    let name = find(draft, session)?;
    let members = all_members(draft, caller, &name)?;
    draft.state.change_session(&name, |session| {
        session.lapsed = false;
        session.need_hash();
    });
    let mut instances = Vec::with_capacity(members.len());
    for (service, instance) in members {
        let instance = match instance.is_silent() {
            false => instance,
            true => serve_again(draft, caller, &service, instance),
        };
        instances.push((service, instance));
    }
    draft.settle();
    let row = draft.session_row(&name);
    let current = count_here(draft, &name, row);
    Ok(Outcome::Session {
        session: name,
        epoch: current.epoch.as_deref().unwrap_or_default().to_owned(),
        hash: current.hash.to_string(),
        lease_seconds: current.lease_seconds,
        instances,
    })
}

/// Takes all instances of a session out, and forgets it; below the `min` of a service only with `force`. An agent that
/// names its epoch cannot end the session of the one that came after it.
pub(super) fn end(
    draft: &mut Draft,
    caller: &Caller<'_>,
    session: &str,
    epoch: Option<&str>,
    force: bool,
) -> Result<Outcome, Refusal> {
    let name = find(draft, session)?;
    let current = draft.state.sessions.get(&name).and_then(|session| session.epoch.clone());
    if let (Some(named), Some(current)) = (epoch, current.as_deref())
        && named != current
    {
        let detail = format!("epoch \"{}\" of session {name} has been replaced", named.escape_debug());
        return Err(Refusal::new(Word::OldIncarnation, detail));
    }
    let members = all_members(draft, caller, &name)?;
    let changed = !members.is_empty();
    if !force {
        check_all(draft, &members)?;
    }
    for (service, instance) in members {
        leave(draft, caller, &service, instance);
    }
    draft.settle();
    draft.end_session(&name);
    Ok(Outcome::Applied { revision: draft.state.snapshot.revision, changed })
}

/// Refuses to take instances out together where that leaves a service with fewer than its `min`. They are sorted by
/// service.
pub(super) fn check_all(draft: &Draft, members: &[Member]) -> Result<(), Refusal> {
    let serving = members.iter().filter(|(_, instance)| instance.serves_under(false));
    let serving: Vec<&Member> = serving.collect();
    for of_one in serving.chunk_by(|(a, _), (b, _)| a == b) {
        let (service, first) = of_one[0];
        if let Some(entry) = draft.state.service(service) {
            check_min(entry, first, of_one.len())?;
        }
    }
    Ok(())
}

fn find(draft: &Draft, session: &str) -> Result<Arc<str>, Refusal> {
    let name = session_name(session)?;
    match draft.state.sessions.contains(&name) {
        true => Ok(name),
        false => Err(Refusal::new(Word::UnknownSession, format!("no session {name}; send its full set"))),
    }
}

/// All instances of a session, if the caller may write them.
fn all_members(draft: &Draft, caller: &Caller<'_>, name: &Arc<str>) -> Result<Vec<Member>, Refusal> {
    let session = draft.state.sessions.get(name);
    draft.state.read_ahead(session.into_iter().flat_map(|session| session.members.services()));
    writable_members(draft, caller, name, |_, _| true)
}

/// Those instances of a session that are `wanted` by service and id, if the caller may write all of them.
fn writable_members(
    draft: &Draft,
    caller: &Caller<'_>,
    name: &Arc<str>,
    wanted: impl Fn(&str, &str) -> bool,
) -> Result<Vec<Member>, Refusal> {
    let session = draft.state.sessions.get(name);
    let mut members = Vec::new();
    let all = session.into_iter().flat_map(|session| session.members.iter());
    for (service, id, _) in all.filter(|(service, id, _)| wanted(service, id)) {
        let entry = draft.state.service(service).expect("a session's members are registered");
        let instance = entry.instance_sharing(id, &[name]).expect("a session's members are registered");
        let want = Want::Instance { service, row: Some(&entry.row), instance: &instance };
        caller.may(draft, want).map_err(|refusal| in_set(service, id, refusal))?;
        members.push((entry.name.clone(), instance));
    }
    Ok(members)
}

fn of(wanted: &SessionInstance, refusal: Refusal) -> Refusal {
    in_set(&wanted.service, &wanted.id, refusal)
}

/// Says which instance of the set the refusal is about.
fn in_set(service: &str, id: &str, refusal: Refusal) -> Refusal {
    let refusal = refusal.of(service, id);
    let detail =
        format!("instance {}/{} of the session: {}", service.escape_debug(), id.escape_debug(), refusal.detail);
    Refusal { detail, ..refusal }
}
