//! What operators order: drain, undrain and weigh an instance, drain a site. All are changes with author and reason.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Caller, ReasonHeader};
use super::extract::{Body, InstancePath, OptionalBody, Segments, fold};
use super::query::Query;
use super::{Answer, ApiState, Shared, json, show};
use crate::model::api::{Order, Ordered, SiteOrdered, WeightOrder};
use crate::model::{Refusal, Word};
use crate::registry::{Action, Snapshot};

/// Instances of a site that are drained together, all of them or none.
const TOGETHER: usize = 250;
/// Instances that one call drains, so that no client has to wait for long.
const MOST: usize = 5000;
/// Services that a refusal names at most.
const NAMED: usize = 10;

/// The calls of this file.
pub(super) fn routes() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::new()
        .routes(routes!(drain))
        .routes(routes!(undrain))
        .routes(routes!(set_weight))
        .routes(routes!(drain_site))
        .routes(routes!(undrain_site))
}

/// Which site a call is about.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct SitePath {
    /// Site label.
    #[param(example = "lon")]
    site: String,
}

/// Take an instance out of the answers until it is undrained.
///
/// It keeps its lease and its record, and stays drained when it registers again. `safe_seconds` says when every cache
/// has forgotten it. Refused with `guard` when the service would have fewer serving than its `min`, unless `force` is
/// true.
#[utoipa::path(
    post, path = "/v1/services/{service}/instances/{id}/drain", tag = "orders",
    params(InstancePath, ReasonHeader),
    request_body = Option<Order>,
    responses((status = 200, description = "It is drained", body = Ordered)),
    security((), ("token" = [])),
)]
async fn drain(
    State(state): Shared,
    Segments(at): Segments<InstancePath>,
    Query(()): Query<()>,
    caller: Caller,
    OptionalBody(order): OptionalBody<Order>,
) -> Answer {
    let (service, id) = (fold(&at.service), fold(&at.id));
    let action = Action::Drain { service: at.service, id: at.id, force: order.force };
    submit(&state, caller.because(order.reason)?, (service, id), action).await
}

/// Let a drained instance be answered again.
///
/// Also one that is not registered now: then nothing that was ordered of it counts when it comes back.
#[utoipa::path(
    post, path = "/v1/services/{service}/instances/{id}/undrain", tag = "orders",
    params(InstancePath, ReasonHeader),
    request_body = Option<Order>,
    responses((status = 200, description = "It is not drained", body = Ordered)),
    security((), ("token" = [])),
)]
async fn undrain(
    State(state): Shared,
    Segments(at): Segments<InstancePath>,
    Query(()): Query<()>,
    caller: Caller,
    OptionalBody(order): OptionalBody<Order>,
) -> Answer {
    let named = (fold(&at.service), fold(&at.id));
    let action = Action::Undrain { service: at.service, id: at.id };
    submit(&state, caller.because(order.reason)?, named, action).await
}

/// Answer another weight than the registered one.
///
/// With `for_seconds` the registered weight counts again after that time, also after a restart of the server; without
/// `weight` it does at once.
#[utoipa::path(
    post, path = "/v1/services/{service}/instances/{id}/weight", tag = "orders",
    params(InstancePath, ReasonHeader),
    request_body = WeightOrder,
    responses((status = 200, description = "It has that weight", body = Ordered)),
    security((), ("token" = [])),
)]
async fn set_weight(
    State(state): Shared,
    Segments(at): Segments<InstancePath>,
    Query(()): Query<()>,
    caller: Caller,
    Body(order): Body<WeightOrder>,
) -> Answer {
    let WeightOrder { weight, for_seconds, reason } = order;
    if weight.is_none() && for_seconds.is_some() {
        let detail = "for_seconds is given without weight; give both, or none of them for the registered weight";
        return Err(Refusal::new(Word::BadValue, detail));
    }
    let named = (fold(&at.service), fold(&at.id));
    let action = Action::SetWeight { service: at.service, id: at.id, weight, seconds: for_seconds };
    submit(&state, caller.because(reason)?, named, action).await
}

async fn submit(state: &ApiState, caller: Caller, at: (String, String), action: Action) -> Answer {
    let outcome = state.registry.submit(caller.command(action)).await?;
    Ok(json::reply(StatusCode::OK, &show::ordered(&state.registry, state.clock.wall(), at, outcome)?))
}

/// Drain every instance of a site.
///
/// Refused with `guard`, which names the services, when one of them would have fewer serving than its `min`, or nobody,
/// unless `force` is true. Instances are drained some hundred at a time, and some thousand by one call: repeat it while
/// `left` is not 0. Instances that come later are not drained.
#[utoipa::path(
    post, path = "/v1/sites/{site}/drain", tag = "orders",
    params(SitePath, ReasonHeader),
    request_body = Option<Order>,
    responses((status = 200, description = "All of them are drained", body = SiteOrdered)),
    security((), ("token" = [])),
)]
async fn drain_site(
    State(state): Shared,
    Segments(at): Segments<SitePath>,
    Query(()): Query<()>,
    caller: Caller,
    OptionalBody(order): OptionalBody<Order>,
) -> Answer {
    let caller = caller.because(order.reason)?;
    let (site, snapshot) = (fold(&at.site), state.snapshot()?);
    let Chosen { instances, already, ttl, short } = choose(&state, &snapshot, &site, false)?;
    if !order.force && !short.is_empty() {
        return Err(too_few(&site, &short));
    }
    let mut body = reply(&site, &snapshot, already, ttl);
    body.safe_seconds = Some(show::safe_seconds(ttl));
    body.left = instances.len().saturating_sub(MOST);
    for part in instances[..instances.len() - body.left].chunks(TOGETHER) {
        let action = Action::DrainMany { instances: part.to_vec(), force: order.force };
        body.revision = show::applied(state.registry.submit(caller.command(action)).await?)?.revision;
        body.instances += part.len();
    }
    Ok(json::reply(StatusCode::OK, &body))
}

/// Let every drained instance of a site be answered again.
///
/// Repeat the call while `left` is not 0.
#[utoipa::path(
    post, path = "/v1/sites/{site}/undrain", tag = "orders",
    params(SitePath, ReasonHeader),
    request_body = Option<Order>,
    responses((status = 200, description = "None of them is drained", body = SiteOrdered)),
    security((), ("token" = [])),
)]
async fn undrain_site(
    State(state): Shared,
    Segments(at): Segments<SitePath>,
    Query(()): Query<()>,
    caller: Caller,
    OptionalBody(order): OptionalBody<Order>,
) -> Answer {
    let caller = caller.because(order.reason)?;
    let (site, snapshot) = (fold(&at.site), state.snapshot()?);
    let Chosen { instances, already, ttl, .. } = choose(&state, &snapshot, &site, true)?;
    let mut body = reply(&site, &snapshot, already, ttl);
    body.left = instances.len().saturating_sub(MOST);
    for part in instances[..instances.len() - body.left].chunks(TOGETHER) {
        let action = Action::UndrainMany { instances: part.to_vec() };
        body.revision = show::applied(state.registry.submit(caller.command(action)).await?)?.revision;
        body.instances += part.len();
    }
    Ok(json::reply(StatusCode::OK, &body))
}

fn reply(site: &str, snapshot: &Snapshot, already: usize, ttl_seconds: u32) -> SiteOrdered {
    let (site, revision) = (site.to_owned(), snapshot.revision);
    SiteOrdered { site, instances: 0, already, left: 0, revision, ttl_seconds, safe_seconds: None }
}

/// The instances of a site that an order changes.
struct Chosen {
    /// Service and id of each.
    instances: Vec<(String, String)>,
    /// Instances that are so already.
    already: usize,
    /// Their longest TTL.
    ttl: u32,
    /// Services that would have fewer serving than they need: how many of how many.
    short: Vec<String>,
}

/// Looks at every service; draining a site is rare.
fn choose(state: &ApiState, snapshot: &Snapshot, site: &str, drained: bool) -> Result<Chosen, Refusal> {
    let mut chosen = Chosen { instances: Vec::new(), already: 0, ttl: 0, short: Vec::new() };
    let mut is_known = false;
    for service in snapshot.services.values() {
        let mut leaving = 0;
        for instance in service.instances.refs().filter(|instance| instance.site == Some(site)) {
            is_known = true;
            if instance.orders().is_some_and(|orders| orders.drained.is_some()) != drained {
                chosen.already += 1;
                continue;
            }
            leaving += usize::from(instance.serves_under(false));
            chosen.ttl = chosen.ttl.max(state.registry.longest_ttl(&service.name));
            chosen.instances.push((service.name.to_string(), instance.id.to_owned()));
        }
        let declared = service.row.declaration.as_ref().and_then(|declared| declared.min).unwrap_or_default();
        let (least, left) = (declared.max(1) as usize, service.instances.serving_count().saturating_sub(leaving));
        if leaving > 0 && left < least {
            chosen.short.push(format!("{} ({left} of {least})", service.name));
        }
    }
    match is_known {
        true => Ok(chosen),
        false => {
            Err(Refusal::new(Word::UnknownInstance, format!("no instance is in site \"{}\"", site.escape_debug())))
        }
    }
}

fn too_few(site: &str, short: &[String]) -> Refusal {
    let named = short.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let more = short.len().saturating_sub(NAMED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let detail = format!(
        "without site {site} these services would have fewer serving than they need: {named}{more}; add instances \
         elsewhere first, or insist with force"
    );
    Refusal::new(Word::Guard, detail)
}
