//! Live events (server-sent events): every change as it is published.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::changes::reachable;
use super::feed::{Feed, PAGE};
use super::query::{MAX_REVISION, Pairs, Parameters, Query};
use super::{Answer, ApiState, Limits, Shared};
use crate::model::{Change, Refusal, Revision, Word};
use crate::registry::Page;

/// How often an idle stream shows that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// When a client should come back after the stream ended.
const RETRY: Duration = Duration::from_secs(2);

/// The calls of this file.
pub(super) fn routes() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::new().routes(routes!(stream_events))
}

/// Room for the streams that run at once: each holds a connection and the changes that it waits to send.
#[derive(Clone)]
pub(super) struct Room {
    free: Arc<Semaphore>,
    all: usize,
}

impl Room {
    pub(super) fn new(limits: &Limits) -> Self {
        let all = limits.streams.min(limits.connections / 2).max(1);
        Self { free: Arc::new(Semaphore::new(all)), all }
    }

    /// Room for one stream, until the permit is dropped.
    fn take(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        self.free.clone().try_acquire_owned().map_err(|_| {
            let detail = format!("{} streams of events run already; try again, or poll GET /v1/changes", self.all);
            Refusal::new(Word::Busy, detail)
        })
    }
}

/// Where a stream starts.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsQuery {
    /// Start after this revision; with the next change if missing. `Last-Event-ID` wins.
    #[param(required = false)]
    since: Option<u64>,
}

impl Parameters for EventsQuery {
    const NAMES: &'static [&'static str] = &["since"];

    fn read(query: &Pairs) -> Result<Self, Refusal> {
        Ok(Self { since: query.number("since", 0..=MAX_REVISION)? })
    }
}

/// The header of a client that comes back.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes the header in the OpenAPI document; `last_event_id` reads it")]
struct LastEventId {
    /// The revision of the last event that the client saw.
    #[param(rename = "Last-Event-ID", required = false)]
    last_event_id: Option<u64>,
}

/// Stream changes as they are published.
///
/// Server-sent events: `id` is the revision, `event` the transition, `data` the change as JSON. A client that comes
/// back with `Last-Event-ID` misses nothing and sees nothing twice. An idle stream carries a comment every 10 s. The
/// stream ends when the server stops. When too many run already, one more is refused with `busy`.
#[utoipa::path(
    get, path = "/v1/events", tag = "history",
    params(EventsQuery, LastEventId),
    responses((status = 200, description = "The stream", body = Change, content_type = "text/event-stream")),
)]
async fn stream_events(
    State(state): Shared,
    Extension(room): Extension<Room>,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Answer {
    let permit = room.take()?;
    let live = state.registry.subscribe();
    let newest = state.snapshot()?.revision;
    let since = last_event_id(&headers)?.or(query.since).map(Revision);
    let first = match since {
        None => Page::default(),
        Some(since) => {
            let page = state.registry.history(since, PAGE).await?;
            reachable(since, newest, &page)?;
            page
        }
    };
    let last = since.unwrap_or(newest);
    let feed = Feed::new(state.registry.clone(), live, state.shutdown.clone(), last, first);
    let hello = Event::default().retry(RETRY).comment(format!("changes after revision {last}"));
    let changes = stream::unfold((Some(hello), feed, permit), |(hello, mut feed, permit)| async move {
        let event = match hello {
            Some(hello) => hello,
            None => event(&*feed.next().await?),
        };
        Some((Ok::<_, Infallible>(event), (None, feed, permit)))
    });
    let stream = Sse::new(changes).keep_alive(KeepAlive::new().interval(KEEP_ALIVE).text("alive"));
    // Proxies that buffer would hold events back.
    Ok(([("x-accel-buffering", "no")], stream).into_response())
}

/// A change as an event.
fn event(change: &Change) -> Event {
    let event = Event::default().id(change.revision.to_string()).event(change.transition.as_str());
    event.json_data(change).unwrap_or_else(|error| Event::default().comment(format!("{error}")))
}

/// Where a client that comes back stopped.
fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    match value.to_str().ok().and_then(|text| text.trim().parse().ok()) {
        Some(revision @ 0..=MAX_REVISION) => Ok(Some(revision)),
        _ => {
            let shown = String::from_utf8_lossy(value.as_bytes()).into_owned();
            let detail = format!("the header Last-Event-ID is \"{}\"; a revision is accepted", shown.escape_debug());
            Err(Refusal::new(Word::BadRequest, detail))
        }
    }
}
