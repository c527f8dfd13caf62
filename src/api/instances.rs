//! Instances: register, beat, look, leave.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::IntoResponse;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Caller, ReasonHeader};
use super::extract::{Body, InstancePath, NoBody, OptionalBody, PageQuery, Segments, ServicePath, fold};
use super::query::{MAX_REVISION, Pairs, Parameters, Query};
use super::{Answer, ApiState, Shared, json, show, unexpected};
use crate::model::api::{Applied, Beat, Beaten as BeatenBody, InstanceInfo, InstanceList, Registered, Registration};
use crate::model::{Refusal, Revision, Word};
use crate::registry::{Action, Beaten, Outcome, Snapshot};

/// The calls of this file.
pub(super) fn routes() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::new()
        .routes(routes!(register, show_instance, deregister))
        .routes(routes!(beat))
        .routes(routes!(list_instances))
}

/// What `DELETE` may name.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Leaving {
    /// The incarnation that leaves; refused if it has been replaced.
    #[param(required = false)]
    incarnation: Option<u64>,
}

impl Parameters for Leaving {
    const NAMES: &'static [&'static str] = &["incarnation"];

    fn read(query: &Pairs) -> Result<Self, Refusal> {
        Ok(Self { incarnation: query.number("incarnation", 0..=MAX_REVISION)? })
    }
}

/// Register or update an instance, and beat for it.
///
/// Repeating the same body is a heartbeat: it changes nothing and moves no revision. The answer comes when the change
/// is durable and the names answer with it on this server.
#[utoipa::path(
    put, path = "/v1/services/{service}/instances/{id}", tag = "instances",
    params(InstancePath, ReasonHeader),
    request_body = Registration,
    responses(
        (status = 201, description = "New; `Location` names it", body = Registered),
        (status = 200, description = "Known before: updated, or only beaten for", body = Registered),
    ),
    security((), ("token" = [])),
)]
async fn register(
    State(state): Shared,
    Segments(at): Segments<InstancePath>,
    Query(()): Query<()>,
    caller: Caller,
    Body(registration): Body<Registration>,
) -> Answer {
    let action = Action::Register { service: at.service, id: at.id, registration };
    match state.registry.submit(caller.command(action)).await? {
        Outcome::Instance { service, instance, new, .. } => {
            let body = show::registered(&state.registry, &service, &instance);
            let dns = [(DNS, dns_addresses(&state.dns))];
            if !new {
                return Ok((dns, json::reply(StatusCode::OK, &body)).into_response());
            }
            let place = HeaderValue::from_str(&format!("/v1/services/{service}/instances/{}", instance.id));
            let place = place.expect("labels are letters, digits and hyphens");
            Ok((dns, [(LOCATION, place)], json::reply(StatusCode::CREATED, &body)).into_response())
        }
        other => Err(unexpected(&other)),
    }
}

/// The header that says where this server answers DNS: `ip:port`, separated by commas.
const DNS: HeaderName = HeaderName::from_static("x-zonebeat-dns");

fn dns_addresses(addresses: &[SocketAddr]) -> HeaderValue {
    let list: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
    HeaderValue::from_str(&list.join(",")).expect("addresses are printable ASCII")
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
    let (service, id) = (fold(&at.service), fold(&at.id));
    caller.may_beat(&service)?;
    match state.registry.beat(&service, &id, body.incarnation) {
        Beaten::Renewed { lease_seconds } => Ok(beaten(&state, lease_seconds, false)),
        Beaten::Lapsed { lease_seconds } => {
            let action = Action::Return { service, id, incarnation: body.incarnation };
            state.registry.submit(caller.command(action)).await?;
            Ok(beaten(&state, lease_seconds, true))
        }
        Beaten::OldIncarnation { current } => {
            let named = body.incarnation.expect("only a named incarnation can be an old one");
            Err(old_incarnation(&service, &id, named, current))
        }
        Beaten::Unknown | Beaten::OutOfSync => {
            state.loaded()?;
            Err(unknown_beat(&caller.snapshot, &service, &id))
        }
    }
}

/// Reply to a beat of an instance or a session.
pub(super) fn beaten(state: &ApiState, lease_seconds: u32, returned: bool) -> axum::response::Response {
    let body = BeatenBody {
        lease_seconds,
        heartbeat_seconds: state.registry.heartbeat_seconds(lease_seconds),
        servers: state.registry.options().servers.clone(),
        returned,
    };
    json::reply(StatusCode::OK, &body)
}

/// Show an instance.
#[utoipa::path(
    get, path = "/v1/services/{service}/instances/{id}", tag = "instances",
    params(InstancePath),
    responses((status = 200, description = "The instance", body = InstanceInfo)),
)]
async fn show_instance(State(state): Shared, Segments(at): Segments<InstancePath>, Query(()): Query<()>) -> Answer {
    let (service, id) = (fold(&at.service), fold(&at.id));
    let snapshot = state.snapshot()?;
    match snapshot.service(&service).and_then(|found| found.instance(&id)) {
        Some(found) => {
            let body = show::instance(&state.registry, state.clock.wall(), &service, &found);
            Ok(json::reply(StatusCode::OK, &body))
        }
        None => Err(unknown_instance(&service, &id)),
    }
}

/// Take an instance out now.
///
/// It leaves the answers before the reply. With `incarnation` only that life of the id leaves.
#[utoipa::path(
    delete, path = "/v1/services/{service}/instances/{id}", tag = "instances",
    params(InstancePath, Leaving, ReasonHeader),
    responses((status = 200, description = "It left", body = Applied)),
    security((), ("token" = [])),
)]
async fn deregister(
    State(state): Shared,
    Segments(at): Segments<InstancePath>,
    Query(leaving): Query<Leaving>,
    NoBody: NoBody,
    caller: Caller,
) -> Answer {
    let action = Action::Deregister { service: at.service, id: at.id, incarnation: leaving.incarnation };
    let outcome = state.registry.submit(caller.command(action)).await?;
    Ok(json::reply(StatusCode::OK, &show::applied(outcome)?))
}

/// List the instances of a service.
///
/// Sorted by label, in pages: pass `next` as `after` until it is missing.
#[utoipa::path(
    get, path = "/v1/services/{service}/instances", tag = "instances",
    params(ServicePath, PageQuery),
    responses((status = 200, description = "A page of the service's instances", body = InstanceList)),
)]
async fn list_instances(
    State(state): Shared,
    Segments(at): Segments<ServicePath>,
    Query(page): Query<PageQuery>,
) -> Answer {
    let snapshot = state.snapshot()?;
    let label = fold(&at.service);
    let service = snapshot.service(&label).ok_or_else(|| super::services::unknown_service(&label))?;
    let now = state.clock.wall();
    let mut following = service.instances.refs_after(page.after.as_deref());
    let shown = following.by_ref().take(page.limit).map(|found| found.to_instance());
    let instances: Vec<_> = shown.map(|found| show::instance(&state.registry, now, &label, &found)).collect();
    let body = InstanceList {
        revision: snapshot.revision,
        next: instances.last().filter(|_| following.next().is_some()).map(|last| last.id.clone()),
        instances,
    };
    Ok(json::reply(StatusCode::OK, &body))
}

/// The refusal that says: register again.
fn unknown_instance(service: &str, id: &str) -> Refusal {
    let (service, id) = (service.escape_debug(), id.escape_debug());
    let detail = format!(
        "service \"{service}\" has no instance \"{id}\"; register it with PUT /v1/services/{service}/instances/{id}"
    );
    Refusal::new(Word::UnknownInstance, detail)
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
