//! Zones: what this server answers for, with serials to compare zone files with.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::query::Query;
use super::{Answer, ApiState, Shared, json};
use crate::model::api::{ZoneInfo, ZoneList};
use crate::registry::explain::Answers;

/// Says which zones there are; implemented by the composition root, which has the view and the zone files.
pub trait Zones: Answers {
    /// Every zone, as it is answered now.
    fn zones(&self) -> Vec<ZoneInfo>;
}

/// The calls of this file.
pub(super) fn routes() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::new().routes(routes!(list_zones))
}

/// List the zones.
///
/// Every zone with its serial, where that begins, and a digest of its own records: what `zonebeat check --server`
/// compares zone files with. Answered also while the registry has not been loaded.
#[utoipa::path(
    get, path = "/v1/zones", tag = "zones",
    responses((status = 200, description = "All zones", body = ZoneList)),
)]
async fn list_zones(State(state): Shared, Query(()): Query<()>) -> Answer {
    let mut zones = state.zones.zones();
    zones.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(json::reply(StatusCode::OK, &ZoneList { zones }))
}
