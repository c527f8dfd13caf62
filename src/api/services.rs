//! Services: what is registered, and what owners declare.

use std::ops::Bound;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Caller, ReasonHeader};
use super::extract::{Body, Segments, ServicePath, fold};
use super::query::{Pairs, Parameters, Query};
use super::{Answer, ApiState, Shared, json, show, turns};
use crate::model::api::{Amendment, Applied, ServiceInfo, ServiceList};
use crate::model::{Change, Declaration, Refusal, Revision, Service, Word};
use crate::registry::{Action, Snapshot};

/// The calls of this file.
pub(super) fn routes() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::new().routes(routes!(list_services)).routes(routes!(show_service, declare, amend, undeclare))
}

/// Which page of the services is asked for.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ServicesQuery {
    /// Show what sorts after this label: the `next` of the page before.
    #[param(required = false)]
    after: Option<String>,
    /// The most entries of a page; 1000 if missing.
    #[param(required = false, minimum = 1, maximum = 10000)]
    limit: usize,
    /// Only services whose owner nobody has declared; all if missing.
    #[param(required = false)]
    unowned: bool,
}

impl Parameters for ServicesQuery {
    const NAMES: &'static [&'static str] = &["after", "limit", "unowned"];

    fn read(query: &Pairs) -> Result<Self, Refusal> {
        let limit = query.number("limit", 1..=10_000)?.unwrap_or(1000) as usize;
        Ok(Self { after: query.text("after")?.map(fold), limit, unowned: query.flag("unowned")? })
    }
}

/// List the services.
///
/// Every service that DNS knows: declared, registered, or left less than an hour ago. Sorted by label, in pages: pass
/// `next` as `after` until it is missing. With `unowned=true` only those whose owner nobody has declared, without the
/// servers' own service.
#[utoipa::path(
    get, path = "/v1/services", tag = "services",
    params(ServicesQuery),
    responses((status = 200, description = "A page of the services", body = ServiceList)),
)]
async fn list_services(State(state): Shared, Query(page): Query<ServicesQuery>) -> Answer {
    let snapshot = state.snapshot()?;
    let after = page.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let following = snapshot.services.values_from(after).map(|service| &**service);
    let wanted = |service: &Service| !page.unowned || service.is_unowned();
    let mut shown = turns::first(following, wanted, page.limit + 1).await;
    let more = shown.len() > page.limit;
    shown.truncate(page.limit);
    let services = infos(&state, &snapshot, &shown).await;
    let next = services.last().filter(|_| more).map(|last| last.service.clone());
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
/// Owner, contact, runbook, dependencies, tier (how important it is), the fewest instances that are enough, TTL, tiers
/// of sites (in order of preference). Replaces what was declared before. A declared service is known to DNS also while
/// it has no instance.
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

/// Declare some of it otherwise.
///
/// What is missing stays as it is, what is `null` is taken back (RFC 7396). Declares a service that was not declared.
#[utoipa::path(
    patch, path = "/v1/services/{service}", tag = "services",
    params(ServicePath, ReasonHeader),
    request_body = Amendment,
    responses((status = 200, description = "Declared", body = Applied)),
    security((), ("token" = [])),
)]
async fn amend(
    State(state): Shared,
    Segments(at): Segments<ServicePath>,
    Query(()): Query<()>,
    caller: Caller,
    Body(amendment): Body<Amendment>,
) -> Answer {
    let action = Action::Amend { service: at.service, amendment };
    let outcome = state.registry.submit(caller.command(action)).await?;
    Ok(json::reply(StatusCode::OK, &show::applied(outcome)?))
}

/// Take a declaration back and give the name up.
///
/// What was granted ends with it. Only for the token that owns the name, and administrators. Refused with `in-use`
/// while instances are registered.
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
    let name = |id: &Arc<str>| snapshot.tokens.get(id).map(|token| token.name.clone());
    let owner = service.row.owned_by.as_ref().and_then(name);
    let mut granted: Vec<String> = service.row.grants.iter().filter_map(name).collect();
    granted.sort_unstable();
    show::service(service, owner, granted, change.map(show::last_change))
}

/// The refusal of a service that DNS does not know.
pub(super) fn unknown_service(service: &str) -> Refusal {
    let service = service.escape_debug();
    let detail = format!("there is no service \"{service}\"; declare it, or register an instance of it");
    Refusal::new(Word::UnknownService, detail)
}
