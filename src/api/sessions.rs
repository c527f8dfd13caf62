//! Sessions: an agent that beats once for all its instances. They beat in `heartbeats`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Caller, ReasonHeader};
use super::extract::{Body, NoBody, ROOM_FOR_MANY, Segments, SessionPath};
use super::query::{Pairs, Parameters, Query};
use super::{Answer, ApiState, Shared, json, show, unexpected};
use crate::model::Refusal;
use crate::model::api::{Applied, InstanceList, SessionSet, SessionStored};
use crate::registry::{Action, Outcome};

/// The calls of this file.
pub(super) fn routes() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::new().routes(routes!(set_session, show_session, end_session))
}

/// Replace everything that a session beats for.
///
/// Instances of the session that the set does not name leave at once. All of the set is applied, or nothing. The
/// reply's `hash` goes into the beats. A set has up to 1,000 instances; the body may have 512,000 octets, or
/// `http.body_limit` if that is more.
#[utoipa::path(
    put, path = "/v1/sessions/{session}", tag = "sessions",
    params(SessionPath, ReasonHeader),
    request_body = SessionSet,
    responses((status = 200, description = "The set as registered", body = SessionStored)),
    security((), ("token" = [])),
)]
async fn set_session(
    State(state): Shared,
    Segments(at): Segments<SessionPath>,
    Query(()): Query<()>,
    caller: Caller,
    Body(set): Body<SessionSet, ROOM_FOR_MANY>,
) -> Answer {
    let action = Action::SetSession { session: at.session, set };
    match state.registry.submit(caller.command(action)).await? {
        Outcome::Session { session, epoch, hash, lease_seconds, instances } => {
            let ttls = instances.iter().map(|(service, _)| state.registry.longest_ttl(service));
            let body = SessionStored {
                ttl_seconds: ttls.max().unwrap_or_default(),
                session: session.to_string(),
                epoch,
                hash,
                lease_seconds,
                heartbeat_seconds: state.registry.heartbeat_seconds(lease_seconds),
                instances: instances.iter().map(|(of, found)| show::registered(&state.registry, of, found)).collect(),
            };
            Ok(json::reply(StatusCode::OK, &body))
        }
        other => Err(unexpected(&other)),
    }
}

/// List what a session beats for.
///
/// Sorted by service and label: each instance as it stands here, with what operators ordered and what the guard holds.
#[utoipa::path(
    get, path = "/v1/sessions/{session}", tag = "sessions",
    params(SessionPath),
    responses((status = 200, description = "The session's instances", body = InstanceList)),
)]
async fn show_session(State(state): Shared, Segments(at): Segments<SessionPath>, Query(()): Query<()>) -> Answer {
    let (snapshot, now) = (state.snapshot()?, state.clock.wall());
    let members = state.registry.members_of_session(&at.session);
    let members = members.ok_or_else(|| super::heartbeats::unknown_session(&at.session))?;
    let show = |(service, id): &(String, String)| {
        let found = snapshot.service(service)?.instance(id)?;
        Some(show::instance(&state.registry, now, service, &found))
    };
    let instances = members.iter().filter_map(show).collect();
    Ok(json::reply(StatusCode::OK, &InstanceList { revision: snapshot.revision, instances, next: None }))
}

/// What ending a session may name.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Ending {
    /// The epoch that ends; refused if another one has sent its set since.
    #[param(required = false)]
    epoch: Option<String>,
    /// Also below the `min` of services: `true` or `false`.
    #[param(required = false)]
    force: bool,
}

impl Parameters for Ending {
    const NAMES: &'static [&'static str] = &["epoch", "force"];

    fn read(query: &Pairs) -> Result<Self, Refusal> {
        Ok(Self { epoch: query.text("epoch")?.map(str::to_owned), force: query.flag("force")? })
    }
}

/// Take all instances of a session out now.
///
/// Refused with `guard` when a service would have fewer serving than its `min`, unless `force` is true: instances that
/// are `out` are not counted, so an agent that says so first, waits for `ttl_seconds` and ends its session is not
/// refused.
#[utoipa::path(
    delete, path = "/v1/sessions/{session}", tag = "sessions",
    params(SessionPath, Ending, ReasonHeader),
    responses((status = 200, description = "They left", body = Applied)),
    security((), ("token" = [])),
)]
async fn end_session(
    State(state): Shared,
    Segments(at): Segments<SessionPath>,
    Query(ending): Query<Ending>,
    NoBody: NoBody,
    caller: Caller,
) -> Answer {
    let ttl_seconds = Some(state.registry.longest_ttl_of_session(&at.session));
    let action = Action::EndSession { session: at.session, epoch: ending.epoch, force: ending.force };
    let outcome = state.registry.submit(caller.command(action)).await?;
    Ok(json::reply(StatusCode::OK, &Applied { ttl_seconds, ..show::applied(outcome)? }))
}
