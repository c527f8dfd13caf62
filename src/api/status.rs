//! How this server and its registry are, on one page.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::backup::Backups;
use super::query::Query;
use super::{Answer, ApiState, Shared, health, held, json};
use crate::model::State as Liveness;
use crate::model::api::{GuardStatus, InstanceCounts, ServerStatus, Status, StoreStatus};
use crate::registry::{Census, States};

/// The calls of this file.
pub(super) fn routes() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::new().routes(routes!(show_status))
}

/// Show how this server is.
///
/// Version, zones with their serials, revision, store, sessions, instances by state, guard, the last backup, and every
/// server of the registry. Answered 200 also while the server is not ready: `ready` and `reasons` say so.
#[utoipa::path(
    get, path = "/v1/status", tag = "health",
    responses((status = 200, description = "How it is", body = Status)),
)]
async fn show_status(State(state): Shared, Extension(backups): Extension<Backups>, Query(()): Query<()>) -> Answer {
    Ok(json::reply(StatusCode::OK, &status(&state, &backups)))
}

fn status(state: &ApiState, backups: &Backups) -> Status {
    let (snapshot, census) = (state.registry.snapshot(), state.registry.census());
    let readiness = health::of(state);
    let mut zones = state.zones.zones();
    zones.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let guard = GuardStatus { held: census.states.get(Liveness::Held), fleet: held::fleet(&snapshot, &census) };
    Status {
        id: state.id.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        since: state.since,
        ready: readiness.ready,
        reasons: readiness.reasons,
        revision: readiness.revision,
        view_revision: readiness.view_revision,
        zones,
        store: store(state),
        services: census.services,
        instances: instances(census.states),
        sessions: census.sessions,
        guard,
        backup: backups.last(),
        servers: vec![this_server(state, &census)],
    }
}

fn store(state: &ApiState) -> StoreStatus {
    let (about, health) = (state.registry.about_store(), state.registry.health());
    StoreStatus {
        kind: about.as_ref().map(|about| about.kind.to_owned()),
        identity: about.as_ref().map(|about| about.identity.clone()),
        writable: health.writable,
        trouble: health.trouble,
        octets: about.and_then(|about| about.octets),
        behind_octets: state.registry.store_behind(),
    }
}

fn instances(states: States) -> InstanceCounts {
    let count = |state| states.get(state);
    InstanceCounts {
        serving: count(Liveness::Serving),
        held: count(Liveness::Held),
        out: count(Liveness::Out),
        drained: count(Liveness::Drained),
        lapsed: count(Liveness::Lapsed),
    }
}

/// The one server that writes an embedded store is never behind it.
fn this_server(state: &ApiState, census: &Census) -> ServerStatus {
    let revision = state.registry.snapshot().revision;
    ServerStatus { id: state.id.to_string(), revision, lag_seconds: 0.0, sessions: census.sessions }
}
