//! What the guard holds, and releasing it.

use std::ops::Bound;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Caller, ReasonHeader};
use super::extract::{Body, PageQuery};
use super::query::Query;
use super::{Answer, ApiState, Shared, json, show};
use crate::model::api::{Applied, FleetHeld, HeldList, InstanceInfo, ReleaseOrder};
use crate::model::{Refusal, State as Liveness, Word};
use crate::registry::{Action, Census, Snapshot};

/// Instances that one page looks at while the whole fleet is held: most of them may be silent, or hardly any.
const LOOKED_AT: usize = 20_000;

/// The calls of this file.
pub(super) fn routes() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::new().routes(routes!(list_held)).routes(routes!(release))
}

/// List what the guard holds.
///
/// Instances that are in the answers although they are silent, and whether the lapses of the whole fleet are held.
/// Sorted by service and label, in pages: pass `next` as `after` until it is missing.
#[utoipa::path(
    get, path = "/v1/held", tag = "guard",
    params(PageQuery),
    responses((status = 200, description = "A page of what is held", body = HeldList)),
)]
async fn list_held(State(state): Shared, Query(page): Query<PageQuery>) -> Answer {
    let snapshot = state.snapshot()?;
    let after = page.after.as_deref().unwrap_or_default();
    let after = after.split_once(',').unwrap_or((after, ""));
    let fleet = fleet(&snapshot, &state.registry.census());
    let (instances, next) = match fleet {
        Some(_) => of_fleet(&state, &snapshot, after, page.limit),
        None => one_by_one(&state, &snapshot, after, page.limit),
    };
    Ok(json::reply(StatusCode::OK, &HeldList { revision: snapshot.revision, fleet, instances, next }))
}

/// The hold of the whole fleet, while there is one.
pub(super) fn fleet(snapshot: &Snapshot, census: &Census) -> Option<FleetHeld> {
    snapshot.fleet_hold.map(|hold| FleetHeld {
        since: hold.since,
        revision: hold.revision,
        silent: census.fleet_held,
        sessions: census.sessions,
    })
}

type Listed = (Vec<InstanceInfo>, Option<String>);

/// Those that are held one by one: nobody else is looked at.
fn one_by_one(state: &ApiState, snapshot: &Snapshot, (service, id): (&str, &str), limit: usize) -> Listed {
    let mut held = snapshot.held.page(service, id, limit + 1);
    let has_more = held.len() > limit;
    held.truncate(limit);
    let next = held.last().filter(|_| has_more).map(|(service, id)| format!("{service},{id}"));
    let now = state.clock.wall();
    let info = |(service, id): (String, String)| {
        let instance = snapshot.service(&service)?.instance(&id)?;
        Some(show::instance(&state.registry, now, &service, &instance))
    };
    (held.into_iter().filter_map(info).collect(), next)
}

/// Those of the fleet: instances are looked at in their order, a bounded number of them.
fn of_fleet(state: &ApiState, snapshot: &Snapshot, (service, id): (&str, &str), limit: usize) -> Listed {
    let (now, mut looked_at, mut found) = (state.clock.wall(), 0, Vec::new());
    for entry in snapshot.services.values_from(Bound::Included(service)) {
        let name = &entry.name;
        let after = (**name == *service && !id.is_empty()).then_some(id);
        for one in entry.instances.refs_after(after) {
            looked_at += 1;
            let instance = one.to_instance();
            if instance.state == Liveness::Held || state.registry.is_fleet_held(name, &instance) {
                found.push(show::instance(&state.registry, now, name, &instance));
            }
            if looked_at == LOOKED_AT || found.len() == limit {
                return (found, Some(format!("{name},{}", one.id)));
            }
        }
    }
    (found, None)
}

/// Let what the guard holds lapse now.
///
/// Of a service, all of its held instances or one; with `fleet`, the leases that are out while the whole fleet is held:
/// the guard of each service goes on. Only administrators release the fleet.
#[utoipa::path(
    post, path = "/v1/held/release", tag = "guard",
    params(ReasonHeader),
    request_body = ReleaseOrder,
    responses((status = 200, description = "It is released", body = Applied)),
    security((), ("token" = [])),
)]
async fn release(
    State(state): Shared,
    Query(()): Query<()>,
    caller: Caller,
    Body(order): Body<ReleaseOrder>,
) -> Answer {
    let action = match (order.fleet, order.service, order.id) {
        (false, Some(service), id) => Action::Release { service, id },
        (true, None, None) => Action::ReleaseFleet,
        _ => {
            let detail = "name the service, and the instance if only one is meant; or say \"fleet\": true";
            return Err(Refusal::new(Word::BadValue, detail));
        }
    };
    let outcome = state.registry.submit(caller.because(order.reason)?.command(action)).await?;
    Ok(json::reply(StatusCode::OK, &show::applied(outcome)?))
}
