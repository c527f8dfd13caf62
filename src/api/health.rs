//! Whether the process is alive, and whether its answers are good: two questions, two calls.
//!
//! A store that takes no writes does not make the server unready as long as its answers are those of the registry: a
//! load balancer must not take a server away that still answers. The reply says so in `writable` and `trouble`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::query::Query;
use super::{Answer, ApiState, Shared, json};
use crate::model::Revision;
use crate::model::api::{Alive, Readiness};
use crate::registry::Health;

/// What is published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ViewStatus {
    /// The last change that the answers contain.
    pub revision: Revision,
    /// How long ago the answers were published.
    pub age: Duration,
    /// Why the answers may be older than the registry, if they may.
    pub stale: Option<String>,
}

/// Says how fresh the answers are; implemented by the composition root, which has the view.
pub trait Freshness: Send + Sync + 'static {
    /// What is published; `None` before the first time.
    fn view(&self) -> Option<ViewStatus>;
}

/// The calls of this file.
pub(super) fn routes() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz))
}

/// Is the process alive?
#[utoipa::path(
    get, path = "/healthz", tag = "health",
    responses((status = 200, description = "It is", body = Alive)),
)]
async fn healthz(Query(()): Query<()>) -> Answer {
    Ok(json::reply(StatusCode::OK, &Alive { version: env!("CARGO_PKG_VERSION").to_owned() }))
}

/// Are the data loaded and the answers fresh?
///
/// 503 with `reasons` when not. A store that takes no writes is shown, and does not make it 503.
#[utoipa::path(
    get, path = "/readyz", tag = "health",
    responses(
        (status = 200, description = "They are", body = Readiness),
        (status = 503, description = "They are not; `reasons` say why", body = Readiness),
    ),
)]
async fn readyz(State(state): Shared, Query(()): Query<()>) -> Answer {
    let body = of(&state);
    let status = if body.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok(json::reply(status, &body))
}

/// Whether the server is ready.
pub(super) fn of(state: &ApiState) -> Readiness {
    readiness(state.registry.health(), state.registry.snapshot().revision, state.freshness.view())
}

fn readiness(health: Health, revision: Revision, view: Option<ViewStatus>) -> Readiness {
    let mut reasons = Vec::new();
    if !health.loaded {
        let why = health.trouble.as_deref().unwrap_or("its store is being read");
        reasons.push(format!("the registry has not been loaded: {why}"));
    }
    match &view {
        None => reasons.push("no answers have been published".to_owned()),
        Some(view) => reasons.extend(view.stale.iter().map(|why| format!("the answers may be old: {why}"))),
    }
    Readiness {
        ready: reasons.is_empty(),
        loaded: health.loaded,
        writable: health.writable,
        trouble: health.trouble,
        revision,
        view_revision: view.as_ref().map(|view| view.revision),
        view_age_seconds: view.as_ref().map(|view| view.age.as_secs_f64()),
        reasons,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(stale: Option<&str>) -> Option<ViewStatus> {
        Some(ViewStatus { revision: Revision(7), age: Duration::from_secs(3), stale: stale.map(str::to_owned) })
    }

    #[test]
    fn ready_means_loaded_and_fresh() {
        let good = Health { loaded: true, writable: true, trouble: None };
        let ready = readiness(good.clone(), Revision(7), view(None));
        assert!(ready.ready && ready.reasons.is_empty());
        assert_eq!((ready.view_revision, ready.view_age_seconds), (Some(Revision(7)), Some(3.0)));
        let full = Health { writable: false, trouble: Some("no space left on the device".into()), ..good.clone() };
        let ready = readiness(full, Revision(7), view(None));
        assert!(ready.ready && !ready.writable && ready.trouble.is_some());
        assert!(!readiness(good.clone(), Revision(7), view(Some("the watch is broken"))).ready);
        assert!(!readiness(good, Revision(7), None).ready);
        let starting = readiness(Health::default(), Revision(0), None);
        assert_eq!(starting.reasons.len(), 2);
    }
}
