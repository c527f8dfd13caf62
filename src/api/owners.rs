//! Who may write a service: grants to other tokens, and transfers of its ownership.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Caller, ReasonHeader};
use super::extract::{Body, Segments, ServicePath};
use super::query::Query;
use super::{Answer, ApiState, Shared, json, show};
use crate::model::api::{Applied, Grantee};
use crate::registry::Action;

/// The calls of this file.
pub(super) fn routes() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::new().routes(routes!(grant)).routes(routes!(revoke)).routes(routes!(transfer))
}

/// Which grant a call is about.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
struct GrantPath {
    /// Service label.
    #[param(example = "search")]
    service: String,
    /// Public id of the token, or its name.
    #[param(example = "squad-web")]
    token: String,
}

/// Let another token write a service.
///
/// It may register, update, deregister and declare, within its own scope; it may not grant, transfer or give the name
/// up. Needs the token that owns the service, or an administrator.
#[utoipa::path(
    post, path = "/v1/services/{service}/grants", tag = "services",
    params(ServicePath, ReasonHeader),
    request_body = Grantee,
    responses((status = 200, description = "Granted", body = Applied)),
    security((), ("token" = [])),
)]
async fn grant(
    State(state): Shared,
    Segments(at): Segments<ServicePath>,
    Query(()): Query<()>,
    caller: Caller,
    Body(to): Body<Grantee>,
) -> Answer {
    submit(&state, &caller, Action::Grant { service: at.service, token: to.token }).await
}

/// Take a grant back.
///
/// What the token registered is not touched, but it cannot beat for it any more: the leases run out. Needs the token
/// that owns the service, or an administrator.
#[utoipa::path(
    delete, path = "/v1/services/{service}/grants/{token}", tag = "services",
    params(GrantPath, ReasonHeader),
    responses((status = 200, description = "No longer granted", body = Applied)),
    security((), ("token" = [])),
)]
async fn revoke(
    State(state): Shared,
    Segments(at): Segments<GrantPath>,
    Query(()): Query<()>,
    caller: Caller,
) -> Answer {
    submit(&state, &caller, Action::Revoke { service: at.service, token: at.token }).await
}

/// Make a service another token's.
///
/// The token that owned it is granted it, so that what beats with it lives on; the new owner takes that back when
/// nothing needs it any more. Needs the token that owns the service, or an administrator.
#[utoipa::path(
    post, path = "/v1/services/{service}/transfer", tag = "services",
    params(ServicePath, ReasonHeader),
    request_body = Grantee,
    responses((status = 200, description = "Transferred", body = Applied)),
    security((), ("token" = [])),
)]
async fn transfer(
    State(state): Shared,
    Segments(at): Segments<ServicePath>,
    Query(()): Query<()>,
    caller: Caller,
    Body(to): Body<Grantee>,
) -> Answer {
    submit(&state, &caller, Action::Transfer { service: at.service, token: to.token }).await
}

async fn submit(state: &ApiState, caller: &Caller, action: Action) -> Answer {
    let outcome = state.registry.submit(caller.command(action)).await?;
    Ok(json::reply(StatusCode::OK, &show::applied(outcome)?))
}
