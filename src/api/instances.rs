//! Instances: register, look, leave. They beat in `heartbeats`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::IntoResponse;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Caller, ReasonHeader};
use super::extract::{Body, InstancePath, NoBody, PageQuery, Segments, ServicePath, fold};
use super::query::{MAX_REVISION, Pairs, Parameters, Query};
use super::{Answer, ApiState, Shared, json, show, unexpected};
use crate::model::api::{Applied, InstanceInfo, InstanceList, Registered, Registration};
use crate::model::{Refusal, Word};
use crate::registry::{Action, Outcome};

/// The calls of this file.
pub(super) fn routes() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::new().routes(routes!(register, show_instance, deregister)).routes(routes!(list_instances))
}

/// What `DELETE` may name.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Leaving {
    /// The incarnation that leaves; refused if it has been replaced.
    #[param(required = false)]
    incarnation: Option<u64>,
    /// Also below the service's `min`: `true` or `false`.
    #[param(required = false)]
    force: bool,
}

impl Parameters for Leaving {
    const NAMES: &'static [&'static str] = &["incarnation", "force"];

    fn read(query: &Pairs) -> Result<Self, Refusal> {
        Ok(Self { incarnation: query.number("incarnation", 0..=MAX_REVISION)?, force: query.flag("force")? })
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
/// It leaves the answers before the reply. With `incarnation` only that life of the id leaves. Refused with `guard`
/// when it serves and the service would have fewer serving than its `min`, unless `force` is true.
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
    let ttl_seconds = Some(state.registry.longest_ttl(&fold(&at.service)));
    let Leaving { incarnation, force } = leaving;
    let action = Action::Deregister { service: at.service, id: at.id, incarnation, force };
    let outcome = state.registry.submit(caller.command(action)).await?;
    Ok(json::reply(StatusCode::OK, &Applied { ttl_seconds, ..show::applied(outcome)? }))
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
pub(super) fn unknown_instance(service: &str, id: &str) -> Refusal {
    let (service, id) = (service.escape_debug(), id.escape_debug());
    let detail = format!(
        "service \"{service}\" has no instance \"{id}\"; register it with PUT /v1/services/{service}/instances/{id}"
    );
    Refusal::new(Word::UnknownInstance, detail)
}
