//! Sessions: an agent that beats once for all its instances.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Caller, ReasonHeader};
use super::extract::{Body, NoBody, Segments, SessionPath};
use super::instances::beaten;
use super::query::{Pairs, Parameters, Query};
use super::{Answer, ApiState, Shared, json, show, unexpected};
use crate::model::api::{Applied, Beaten as BeatenBody, SessionBeat, SessionSet, SessionStored};
use crate::model::{Refusal, Word};
use crate::registry::{Action, Beaten, Outcome};

/// The calls of this file.
pub(super) fn routes() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::new().routes(routes!(set_session, end_session)).routes(routes!(beat_session))
}

/// Replace everything that a session beats for.
///
/// Instances of the session that the set does not name leave at once. All of the set is applied, or nothing. The
/// reply's `hash` goes into the beats.
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
    Body(set): Body<SessionSet>,
) -> Answer {
    let action = Action::SetSession { session: at.session, set };
    match state.registry.submit(caller.command(action)).await? {
        Outcome::Session { session, epoch, hash, lease_seconds, instances } => {
            let body = SessionStored {
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

/// Beat for all instances of a session.
///
/// Whoever may write all services of the session may beat for it. 404 `unknown-session` and 409 `out-of-sync` say: send
/// the full set again.
#[utoipa::path(
    post, path = "/v1/sessions/{session}/heartbeat", tag = "sessions",
    params(SessionPath, ReasonHeader),
    request_body = SessionBeat,
    responses((status = 200, description = "The lease runs anew", body = BeatenBody)),
    security((), ("token" = [])),
)]
async fn beat_session(
    State(state): Shared,
    Segments(at): Segments<SessionPath>,
    Query(()): Query<()>,
    caller: Caller,
    Body(body): Body<SessionBeat>,
) -> Answer {
    state.registry.check_services(&at.session, |service| caller.may_beat(service))?;
    match state.registry.beat_session(&at.session, &body.epoch, body.hash.as_deref()) {
        Beaten::Renewed { lease_seconds } => Ok(beaten(&state, lease_seconds, false)),
        Beaten::Lapsed { lease_seconds } => {
            state.registry.submit(caller.command(Action::ReturnSession { session: at.session })).await?;
            Ok(beaten(&state, lease_seconds, true))
        }
        Beaten::OutOfSync => Err(out_of_sync(&at.session)),
        Beaten::Unknown | Beaten::OldIncarnation { .. } => {
            state.loaded()?;
            Err(unknown_session(&at.session))
        }
    }
}

/// What ending a session may name.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Ending {
    /// The epoch that ends; refused if another one has sent its set since.
    #[param(required = false)]
    epoch: Option<String>,
}

impl Parameters for Ending {
    const NAMES: &'static [&'static str] = &["epoch"];

    fn read(query: &Pairs) -> Result<Self, Refusal> {
        Ok(Self { epoch: query.text("epoch")?.map(str::to_owned) })
    }
}

/// Take all instances of a session out now.
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
    let action = Action::EndSession { session: at.session, epoch: ending.epoch };
    let outcome = state.registry.submit(caller.command(action)).await?;
    Ok(json::reply(StatusCode::OK, &show::applied(outcome)?))
}

fn unknown_session(session: &str) -> Refusal {
    let session = session.escape_debug();
    let detail = format!("there is no session \"{session}\"; send its full set with PUT /v1/sessions/{session}");
    Refusal::new(Word::UnknownSession, detail)
}

fn out_of_sync(session: &str) -> Refusal {
    let session = session.escape_debug();
    let detail = format!(
        "the epoch or hash of session \"{session}\" differs from its set here; send its full set with PUT \
         /v1/sessions/{session}"
    );
    Refusal::new(Word::OutOfSync, detail)
}
