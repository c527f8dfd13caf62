//! What surrounds every call: a time limit, the end of a panic, and a word to the observer.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use utoipa::openapi::OpenApi;

use super::openapi::operations;
use crate::model::{Refusal, Word};

/// What the observer is told of a request that is no call.
const UNKNOWN: &str = "unknown";

/// Told of every call; implemented by the composition root, which counts them.
pub trait Observe: Send + Sync + 'static {
    /// A call was answered. `call` is its `operationId` in the OpenAPI document, or `unknown`; the time of a stream of
    /// events ends with its head.
    fn answered(&self, call: &str, status: u16, took: Duration);
}

/// The names of the calls, and what is done around each.
pub(super) struct Watch {
    calls: HashMap<String, Vec<(Method, Arc<str>)>>,
    observer: Arc<dyn Observe>,
    limit: Duration,
}

impl Watch {
    /// For the calls of a document.
    pub(super) fn new(document: &OpenApi, observer: Arc<dyn Observe>, limit: Duration) -> Self {
        let mut calls: HashMap<String, Vec<(Method, Arc<str>)>> = HashMap::new();
        for (path, method, operation) in operations(document) {
            let id = operation.operation_id.as_deref().unwrap_or(UNKNOWN).into();
            calls.entry(path.to_owned()).or_default().push((method, id));
        }
        Self { calls, observer, limit }
    }

    fn call(&self, request: &Request) -> Option<Arc<str>> {
        let path = request.extensions().get::<MatchedPath>()?;
        let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
        let calls = self.calls.get(path.as_str())?;
        calls.iter().find(|(known, _)| known == method).map(|(_, id)| id.clone())
    }
}

/// Runs a call.
pub(super) async fn watch(State(watch): State<Arc<Watch>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let call = watch.call(&request);
    let answer = tokio::time::timeout(watch.limit, AssertUnwindSafe(next.run(request)).catch_unwind());
    let response = match answer.await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => Refusal::new(Word::Internal, "the server failed while it worked on this call").into_response(),
        Err(_) => slow(watch.limit).into_response(),
    };
    watch.observer.answered(call.as_deref().unwrap_or(UNKNOWN), response.status().as_u16(), started.elapsed());
    response
}

fn slow(limit: Duration) -> Refusal {
    let detail = format!("no answer within {} s; a write may still be applied: repeat the call", limit.as_secs_f64());
    Refusal::new(Word::Busy, detail)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use tower_service::Service;

    use super::*;

    #[derive(Default)]
    struct Seen(Mutex<Vec<(String, u16)>>);

    impl Observe for Seen {
        fn answered(&self, call: &str, status: u16, _: Duration) {
            self.0.lock().expect("lock").push((call.to_owned(), status));
        }
    }

    #[tokio::test]
    async fn panics_and_slow_calls_are_answered_and_counted() {
        let seen = Arc::new(Seen::default());
        let calls = HashMap::from([("/healthz".to_owned(), vec![(Method::GET, Arc::from("healthz"))])]);
        let state = Arc::new(Watch { calls, observer: seen.clone(), limit: Duration::from_millis(30) });
        async fn panics() {
            panic!("on purpose")
        }
        let mut router: Router = Router::new()
            .route("/healthz", get(|| async { "ok" }))
            .route("/panics", get(panics))
            .route("/slow", get(std::future::pending::<()>))
            .layer(axum::middleware::from_fn_with_state(state, watch));
        for (path, status) in [("/healthz", 200), ("/panics", 500), ("/slow", 503), ("/none", 404)] {
            let request = Request::builder().uri(path).body(Body::empty()).expect("request");
            let response = router.call(request).await.expect("infallible");
            assert_eq!(response.status().as_u16(), status, "{path}");
        }
        let expected = [("healthz", 200), ("unknown", 500), ("unknown", 503), ("unknown", 404)];
        assert_eq!(*seen.0.lock().expect("lock"), expected.map(|(call, status)| (call.to_owned(), status)));
    }
}
