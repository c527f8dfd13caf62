//! Tokens: create, list, revoke. For administrators; and for local callers while there is no token.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Caller, ReasonHeader};
use super::extract::{Body, Segments};
use super::query::Query;
use super::{Answer, ApiState, Shared, json, show};
use crate::model::Token;
use crate::model::api::{Applied, TokenCreated, TokenInfo, TokenList, TokenRequest};
use crate::registry::{Action, Snapshot};
use crate::security::create_token as make_token;

/// The calls of this file.
pub(super) fn routes() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::new().routes(routes!(list_tokens, create_token)).routes(routes!(revoke_token))
}

/// Which token a call is about.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
struct TokenPath {
    /// Public id of the token, or its name.
    #[param(example = "squad-search")]
    id: String,
}

/// Create a token.
///
/// The reply is the only time that the secret is shown; the registry keeps its hash. Needs an administrator, or a
/// local caller while there is no token; from then on every write needs one.
#[utoipa::path(
    post, path = "/v1/tokens", tag = "tokens",
    params(ReasonHeader),
    request_body = TokenRequest,
    responses((status = 201, description = "Created", body = TokenCreated)),
    security((), ("token" = [])),
)]
async fn create_token(
    State(state): Shared,
    Query(()): Query<()>,
    caller: Caller,
    Body(request): Body<TokenRequest>,
) -> Answer {
    let (token, secret) = make_token(&request.name, request.scope, state.clock.wall())?;
    let Token { id, name, scope, .. } = token.clone();
    state.registry.submit(caller.command(Action::CreateToken(token))).await?;
    Ok(json::reply(StatusCode::CREATED, &TokenCreated { id: id.to_string(), name, scope, secret }))
}

/// List the tokens.
///
/// Never their secrets. Needs an administrator, or a local caller while there is no token.
#[utoipa::path(
    get, path = "/v1/tokens", tag = "tokens",
    responses((status = 200, description = "All tokens", body = TokenList)),
    security((), ("token" = [])),
)]
async fn list_tokens(State(state): Shared, Query(()): Query<()>, caller: Caller) -> Answer {
    let snapshot = state.snapshot()?;
    caller.check_admin("the list of tokens")?;
    Ok(json::reply(StatusCode::OK, &TokenList { tokens: infos(&snapshot) }))
}

/// Revoke a token.
///
/// It is refused from now on, and the names it owned are free again. Needs an administrator.
#[utoipa::path(
    delete, path = "/v1/tokens/{id}", tag = "tokens",
    params(TokenPath, ReasonHeader),
    responses((status = 200, description = "Revoked", body = Applied)),
    security((), ("token" = [])),
)]
async fn revoke_token(
    State(state): Shared,
    Segments(at): Segments<TokenPath>,
    Query(()): Query<()>,
    caller: Caller,
) -> Answer {
    let outcome = state.registry.submit(caller.command(Action::RevokeToken { token: at.id })).await?;
    Ok(json::reply(StatusCode::OK, &show::applied(outcome)?))
}

/// All tokens, oldest first.
fn infos(snapshot: &Snapshot) -> Vec<TokenInfo> {
    let mut owns: HashMap<&str, usize> = HashMap::new();
    for owner in snapshot.services.values().filter_map(|service| service.row.owned_by.as_deref()) {
        *owns.entry(owner).or_default() += 1;
    }
    let info = |token: &Arc<Token>| TokenInfo {
        id: token.id.to_string(),
        name: token.name.clone(),
        scope: token.scope.clone(),
        created: token.created,
        owns: owns.get(&*token.id).copied().unwrap_or_default(),
    };
    let mut tokens: Vec<TokenInfo> = snapshot.tokens.values().map(info).collect();
    tokens.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Scope, Service, Timestamp};

    #[test]
    fn tokens_are_listed_with_what_they_own_and_without_secrets() {
        let mut snapshot = Snapshot::default();
        for (id, created) in [("b", 1), ("a", 2)] {
            let scope = Scope::default();
            let token = Token { id: id.into(), name: id.into(), hash: "00".into(), scope, created: Timestamp(created) };
            snapshot.tokens.insert_mut(id.into(), Arc::new(token));
        }
        let mut service = Service::new("search".into());
        service.row.owned_by = Some("a".into());
        snapshot.services.insert(Arc::new(service));
        let listed: Vec<(String, usize)> = infos(&snapshot).into_iter().map(|info| (info.id, info.owns)).collect();
        assert_eq!(listed, [("b".to_owned(), 0), ("a".to_owned(), 1)]);
    }
}
