//! Heartbeats: of an instance, of a session, and of many at once.
//!
//! A beat is no command: it reads the published state, moves a deadline in the lease table and is answered. Only one
//! that comes after its lease ran out asks the writer to bring back what it beats for; and where several servers share
//! the registry, one that another of them counts asks the writer to count it here.
//!
//! A server that is cut off from the others takes beats as ever and says `store: away`: it lapses nothing, but the
//! others may, so clients should beat to one of them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use futures_util::future::join_all;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Caller, ReasonHeader};
use super::extract::{Body, InstancePath, OptionalBody, ROOM_FOR_MANY, Segments, SessionPath, fold};
use super::instances::unknown_instance;
use super::query::Query;
use super::{Answer, ApiState, Shared, json, problem};
use crate::model::api::{
    Beat, Beaten as BeatenBody, ManyBeat, ManyBeaten, ManyBeats, ManyHeard, SessionBeat, StoreWord,
};
use crate::model::{Refusal, Revision, Word};
use crate::registry::{Action, Beaten, Outcome, Snapshot};

/// The most beats of one call.
const MOST_BEATS: usize = 1000;

/// The calls of this file.
pub(super) fn routes() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::new().routes(routes!(beat)).routes(routes!(beat_session)).routes(routes!(beat_many))
}

/// A beat that was heard: the lease runs anew.
struct Heard {
    lease_seconds: u32,
    /// It brought something back.
    returned: bool,
}

/// Beat for an instance.
///
/// Renews the lease and writes nothing. A beat after the lease ran out brings the instance back. 404
/// `unknown-instance` says: register again. The body may be empty.
#[utoipa::path(
    post, path = "/v1/services/{service}/instances/{id}/heartbeat", tag = "instances",
    params(InstancePath, ReasonHeader),
    request_body(content = Option<Beat>, description = "May be empty"),
    responses((status = 200, description = "The lease runs anew", body = BeatenBody)),
    security((), ("token" = [])),
)]
async fn beat(
    State(state): Shared,
    Segments(at): Segments<InstancePath>,
    Query(()): Query<()>,
    caller: Caller,
    OptionalBody(body): OptionalBody<Beat>,
) -> Answer {
    let heard = hear_instance(&state, &caller, &at.service, &at.id, body.incarnation).await?;
    Ok(beaten(&state, &heard))
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
    let heard = hear_session(&state, &caller, &at.session, &body.epoch, body.hash.as_deref()).await?;
    Ok(beaten(&state, &heard))
}

/// Beat for many instances and sessions.
///
/// Each of up to 1,000 beats names an instance (`service`, `id`) or a session (`session`, `epoch`), and is what its own
/// call would be: allowed, refused or bringing back on its own. The reply has one entry per beat, in the same order.
/// The body may have 512,000 octets, or `http.body_limit` if that is more.
#[utoipa::path(
    post, path = "/v1/heartbeats", tag = "sessions",
    params(ReasonHeader),
    request_body = ManyBeats,
    responses((status = 200, description = "What came of each beat", body = ManyBeaten)),
    security((), ("token" = [])),
)]
async fn beat_many(
    State(state): Shared,
    Query(()): Query<()>,
    caller: Caller,
    Body(body): Body<ManyBeats, ROOM_FOR_MANY>,
) -> Answer {
    if body.beats.len() > MOST_BEATS {
        let detail = format!("field \"beats\" has {} entries; at most {MOST_BEATS} are accepted", body.beats.len());
        return Err(Refusal::new(Word::BadValue, detail));
    }
    // Those that bring something back wait for the writer, together.
    let heard = join_all(body.beats.iter().map(|beat| hear(&state, &caller, beat))).await;
    let beats = heard.into_iter().map(|heard| match heard {
        Ok(Heard { lease_seconds, returned }) => {
            let heartbeat_seconds = state.registry.heartbeat_seconds(lease_seconds);
            ManyHeard::Beaten { lease_seconds, heartbeat_seconds, returned }
        }
        Err(refusal) => ManyHeard::Refused { problem: problem::document(problem::status(refusal.word), &refusal) },
    });
    let servers = state.registry.options().servers.clone();
    let body = ManyBeaten { beats: beats.collect(), servers, store: store(&state) };
    Ok(json::reply(StatusCode::OK, &body))
}

/// Takes one of many beats.
async fn hear(state: &ApiState, caller: &Caller, beat: &ManyBeat) -> Result<Heard, Refusal> {
    let ManyBeat { service, id, incarnation, session, epoch, hash } = beat;
    match (service, id, session, epoch) {
        (Some(service), Some(id), None, None) if hash.is_none() => {
            hear_instance(state, caller, service, id, *incarnation).await
        }
        (None, None, Some(session), Some(epoch)) if incarnation.is_none() => {
            hear_session(state, caller, session, epoch, hash.as_deref()).await
        }
        _ => {
            let detail = "a beat has service and id, and perhaps incarnation; or session and epoch, and perhaps hash";
            Err(Refusal::new(Word::BadValue, detail))
        }
    }
}

async fn hear_instance(
    state: &ApiState,
    caller: &Caller,
    service: &str,
    id: &str,
    incarnation: Option<u64>,
) -> Result<Heard, Refusal> {
    let (service, id) = (fold(service), fold(id));
    caller.may_beat(&service)?;
    match state.registry.beat(&service, &id, incarnation) {
        Beaten::Renewed { lease_seconds } => Ok(Heard { lease_seconds, returned: false }),
        Beaten::Lapsed { lease_seconds } => {
            let action = Action::Return { service, id, incarnation };
            state.registry.submit(caller.command(action)).await?;
            Ok(Heard { lease_seconds, returned: true })
        }
        Beaten::Elsewhere { lease_seconds } => {
            claim(state, caller, Action::Claim { service, id, incarnation }, lease_seconds).await
        }
        Beaten::OldIncarnation { current } => {
            let named = incarnation.expect("only a named incarnation can be an old one");
            Err(old_incarnation(&service, &id, named, current))
        }
        Beaten::Unknown | Beaten::OutOfSync => {
            state.loaded()?;
            Err(unknown_beat(&caller.snapshot, &service, &id))
        }
    }
}

async fn hear_session(
    state: &ApiState,
    caller: &Caller,
    session: &str,
    epoch: &str,
    hash: Option<&str>,
) -> Result<Heard, Refusal> {
    state.registry.check_services(session, |service| caller.may_beat(service))?;
    match state.registry.beat_session(session, epoch, hash) {
        Beaten::Renewed { lease_seconds } => Ok(Heard { lease_seconds, returned: false }),
        Beaten::Lapsed { lease_seconds } => {
            let action = Action::ReturnSession { session: session.to_owned() };
            state.registry.submit(caller.command(action)).await?;
            Ok(Heard { lease_seconds, returned: true })
        }
        Beaten::Elsewhere { lease_seconds } => {
            let (session, epoch, hash) = (session.to_owned(), epoch.to_owned(), hash.map(str::to_owned));
            claim(state, caller, Action::ClaimSession { session, epoch, hash }, lease_seconds).await
        }
        Beaten::OutOfSync => Err(out_of_sync(session)),
        Beaten::Unknown | Beaten::OldIncarnation { .. } => {
            state.loaded()?;
            Err(unknown_session(session))
        }
    }
}

/// Has the lease counted here. While this server is cut off it cannot be, and the beat is heard all the same.
async fn claim(state: &ApiState, caller: &Caller, action: Action, lease_seconds: u32) -> Result<Heard, Refusal> {
    let heard = |returned| Heard { lease_seconds, returned };
    if state.registry.is_cut_off() {
        return Ok(heard(false));
    }
    match state.registry.submit(caller.command(action)).await {
        Ok(Outcome::Applied { changed, .. }) => Ok(heard(changed)),
        Ok(_) => Ok(heard(false)),
        Err(refusal) if refusal.word == Word::StoreUnavailable => Ok(heard(false)),
        Err(refusal) => Err(refusal),
    }
}

/// What the reply says of the store.
fn store(state: &ApiState) -> Option<StoreWord> {
    state.registry.is_cut_off().then_some(StoreWord::Away)
}

/// Reply to a beat of an instance or a session.
fn beaten(state: &ApiState, heard: &Heard) -> axum::response::Response {
    let body = BeatenBody {
        lease_seconds: heard.lease_seconds,
        heartbeat_seconds: state.registry.heartbeat_seconds(heard.lease_seconds),
        servers: state.registry.options().servers.clone(),
        returned: heard.returned,
        store: store(state),
    };
    json::reply(StatusCode::OK, &body)
}

/// The refusal of a beat: an instance of a session is known, but does not beat for itself.
fn unknown_beat(snapshot: &Snapshot, service: &str, id: &str) -> Refusal {
    let found = snapshot.service(service).and_then(|found| found.instance(id));
    match found.as_deref().and_then(|found| found.session.as_deref()) {
        Some(session) => {
            let detail = format!(
                "session \"{session}\" beats for instance \"{id}\" of service \"{service}\"; beat with POST \
                 /v1/sessions/{session}/heartbeat, or register the instance to beat for it alone"
            );
            Refusal::new(Word::UnknownInstance, detail)
        }
        None => unknown_instance(service, id),
    }
}

fn old_incarnation(service: &str, id: &str, named: u64, current: Revision) -> Refusal {
    let detail = format!(
        "incarnation {named} of instance \"{id}\" of service \"{service}\" is not the current one, which is {current}; \
         stop, or register again"
    );
    Refusal::new(Word::OldIncarnation, detail)
}

pub(super) fn unknown_session(session: &str) -> Refusal {
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
