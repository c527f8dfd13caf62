//! `/metrics`: whatever the metrics registry shows, in Prometheus' text format.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::query::Query;
use super::{Answer, ApiState, Shared};

/// The media type of the text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Shows the metrics; implemented by the composition root, so that this module knows none of them.
pub trait Exposition: Send + Sync + 'static {
    /// All metrics in Prometheus' text format 0.0.4.
    fn exposition(&self) -> String;
}

/// The calls of this file.
pub(super) fn routes() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// Show the metrics.
///
/// Prometheus' text format.
#[utoipa::path(
    get, path = "/metrics", tag = "health",
    responses((status = 200, description = "All metrics", body = String, content_type = "text/plain")),
)]
async fn metrics(State(state): Shared, Query(()): Query<()>) -> Answer {
    Ok((StatusCode::OK, [(CONTENT_TYPE, TEXT_FORMAT)], state.metrics.exposition()).into_response())
}
