//! Services: what is registered, and what owners declare.

use std::ops::Bound;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Caller, ReasonHeader};
use super::extract::{Body, PageQuery, Segments, ServicePath, fold};
use super::query::Query;
use super::{Answer, ApiState, Shared, json, show};
use crate::model::api::{Applied, ServiceInfo, ServiceList};
use crate::model::{Change, Declaration, Refusal, Revision, Service, Word};
use crate::registry::{Action, Snapshot};

/// The calls of this file.
pub(super) fn routes() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::new().routes(routes!(list_services)).routes(routes!(show_service, declare, undeclare))
}

/// List the services.
///
/// Every service that DNS knows: declared, registered, or left less than an hour ago. Sorted by label, in pages: pass
/// `next` as `after` until it is missing.
#[utoipa::path(
    get, path = "/v1/services", tag = "services",
    params(PageQuery),
    responses((status = 200, description = "A page of the services", body = ServiceList)),
)]
async fn list_services(State(state): Shared, Query(page): Query<PageQuery>) -> Answer {
    let snapshot = state.snapshot()?;
    let after = page.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let mut following = snapshot.services.values_from(after);
    let shown: Vec<&Service> = following.by_ref().take(page.limit).map(|service| &**service).collect();
    let services = infos(&state, &snapshot, &shown).await;
    let next = services.last().filter(|_| following.next().is_some()).map(|last| last.service.clone());
    Ok(json::reply(StatusCode::OK, &ServiceList { revision: snapshot.revision, services, next }))
}

/// Show a service.
#[utoipa::path(
    get, path = "/v1/services/{service}", tag = "services",
    params(ServicePath),
    responses((status = 200, description = "The service", body = ServiceInfo)),
)]
async fn show_service(State(state): Shared, Segments(at): Segments<ServicePath>, Query(()): Query<()>) -> Answer {
    let snapshot = state.snapshot()?;
    let label = fold(&at.service);
    let service = snapshot.service(&label).ok_or_else(|| unknown_service(&label))?;
    let infos = infos(&state, &snapshot, &[service]).await;
    Ok(json::reply(StatusCode::OK, &infos[0]))
}

/// Declare a service.
///
/// Owner, contact, runbook, dependencies, the fewest instances that are enough, TTL, tiers of sites. Replaces what was
/// declared before. A declared service is known to DNS also while it has no instance.
#[utoipa::path(
    put, path = "/v1/services/{service}", tag = "services",
    params(ServicePath, ReasonHeader),
    request_body = Declaration,
    responses((status = 200, description = "Declared", body = Applied)),
    security((), ("token" = [])),
)]
async fn declare(
    State(state): Shared,
    Segments(at): Segments<ServicePath>,
    Query(()): Query<()>,
    caller: Caller,
    Body(declaration): Body<Declaration>,
) -> Answer {
    let action = Action::Declare { service: at.service, declaration };
    let outcome = state.registry.submit(caller.command(action)).await?;
    Ok(json::reply(StatusCode::OK, &show::applied(outcome)?))
}

/// Take a declaration back and give the name up.
///
/// Refused with `in-use` while instances are registered.
#[utoipa::path(
    delete, path = "/v1/services/{service}", tag = "services",
    params(ServicePath, ReasonHeader),
    responses((status = 200, description = "No longer declared", body = Applied)),
    security((), ("token" = [])),
)]
async fn undeclare(
    State(state): Shared,
    Segments(at): Segments<ServicePath>,
    Query(()): Query<()>,
    caller: Caller,
) -> Answer {
    let outcome = state.registry.submit(caller.command(Action::Undeclare { service: at.service })).await?;
    Ok(json::reply(StatusCode::OK, &show::applied(outcome)?))
}

/// The bodies of services, in their order; history is read once for all of them. The last change is left out when
/// history does not have it, or cannot be read: the rest is known without the store.
async fn infos(state: &ApiState, snapshot: &Snapshot, services: &[&Service]) -> Vec<ServiceInfo> {
    let revisions: Vec<Revision> = services.iter().map(|service| service.row.revision).collect();
    let mut changes = state.registry.changes(&revisions).await.unwrap_or_default();
    changes.resize_with(services.len(), || None);
    let with_change = services.iter().zip(changes);
    with_change.map(|(service, change)| info(snapshot, service, change.as_ref())).collect()
}

fn info(snapshot: &Snapshot, service: &Service, change: Option<&Change>) -> ServiceInfo {
    let owner = service.row.owned_by.as_ref().and_then(|id| snapshot.tokens.get(id)).map(|token| token.name.clone());
    show::service(service, owner, change.map(show::last_change))
}

/// The refusal of a service that DNS does not know.
pub(super) fn unknown_service(service: &str) -> Refusal {
    let service = service.escape_debug();
    let detail = format!("there is no service \"{service}\"; declare it, or register an instance of it");
    Refusal::new(Word::UnknownService, detail)
}
