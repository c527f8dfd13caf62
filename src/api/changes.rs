//! History, in pages.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::query::{MAX_REVISION, Pairs, Parameters, Query};
use super::{Answer, ApiState, Shared, json};
use crate::model::api::ChangeList;
use crate::model::{Refusal, Revision, Word};
use crate::registry::Page;

/// The calls of this file.
pub(super) fn routes() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::new().routes(routes!(list_changes))
}

/// Which changes are asked for.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ChangesQuery {
    /// Show the changes after this revision; the oldest that are kept if missing.
    #[param(required = false)]
    since: Option<u64>,
    /// The most changes of a page; 100 if missing.
    #[param(required = false, minimum = 1, maximum = 1000)]
    limit: usize,
}

impl Parameters for ChangesQuery {
    const NAMES: &'static [&'static str] = &["since", "limit"];

    fn read(query: &Pairs) -> Result<Self, Refusal> {
        let limit = query.number("limit", 1..=1000)?.unwrap_or(100) as usize;
        Ok(Self { since: query.number("since", 0..=MAX_REVISION)?, limit })
    }
}

/// Read history.
///
/// Changes after `since`, oldest first. Pass `next` as `since` to go on. A revision before the oldest that is kept, or
/// ahead of the registry, is answered 410 `unknown-revision`: a page from there would have a gap.
#[utoipa::path(
    get, path = "/v1/changes", tag = "history",
    params(ChangesQuery),
    responses((status = 200, description = "A page of history", body = ChangeList)),
)]
async fn list_changes(State(state): Shared, Query(query): Query<ChangesQuery>) -> Answer {
    let newest = state.snapshot()?.revision;
    let since = query.since.map(Revision);
    let page = state.registry.history(since.unwrap_or_default(), query.limit).await?;
    if let Some(since) = since {
        reachable(since, newest, &page)?;
    }
    let last = page.changes.last().map(|change| change.revision);
    let next = last.or(since).unwrap_or(newest);
    let body = ChangeList { changes: page.changes, next, more: page.more, oldest: page.oldest };
    Ok(json::reply(StatusCode::OK, &body))
}

/// Refuses a starting point from which `page` leaves something out.
pub(super) fn reachable(since: Revision, newest: Revision, page: &Page) -> Result<(), Refusal> {
    if since > newest && page.changes.is_empty() {
        let detail = format!(
            "revision {since} is ahead of the registry, which is at {newest}: its data are not those you read before; \
             read everything again and go on from {newest}"
        );
        return Err(Refusal::new(Word::UnknownRevision, detail));
    }
    if page.oldest > since.next() {
        let detail = format!(
            "history after revision {since} is no longer kept; the oldest change is {}: read everything again and go on \
             from {newest}",
            page.oldest
        );
        return Err(Refusal::new(Word::UnknownRevision, detail));
    }
    Ok(())
}
