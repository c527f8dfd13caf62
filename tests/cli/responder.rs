//! A counterpart on a port of its own: gives scripted replies per call and keeps what it was asked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A reply.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    delay: Duration,
}

/// A JSON reply.
pub(crate) fn reply(status: u16, body: &Value) -> Reply {
    Reply { status, headers: Vec::new(), body: body.to_string(), delay: Duration::ZERO }
}

/// A problem document.
pub(crate) fn problem(status: u16, word: &str, detail: &str) -> Reply {
    let kind = format!("https://zonebeat.example.org/problems/{word}");
    reply(status, &json!({ "type": kind, "title": "No", "status": status, "detail": detail }))
}

impl Reply {
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Method, path and query, as `GET /v1/services`.
    pub(crate) call: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

#[derive(Default)]
struct Script {
    replies: HashMap<String, VecDeque<Reply>>,
    asked: Vec<Asked>,
}

/// The counterpart; stops with the test's runtime.
#[derive(Clone)]
pub(crate) struct Responder {
    pub(crate) url: String,
    script: Arc<Mutex<Script>>,
}

impl Responder {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let url = format!("http://{}", listener.local_addr().expect("address"));
        let script = Arc::new(Mutex::new(Script::default()));
        let router = Router::new().fallback(answer).with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, script }
    }

    /// The next reply to a call; the last one repeats.
    pub(crate) fn on(self, call: &str, reply: Reply) -> Self {
        self.script.lock().expect("lock").replies.entry(call.to_owned()).or_default().push_back(reply);
        self
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.script.lock().expect("lock").asked.clone()
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.call).collect()
    }
}

async fn answer(
    State(script): State<Arc<Mutex<Script>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = format!("{method} {uri}");
    let reply = {
        let mut script = script.lock().expect("lock");
        let body = serde_json::from_slice(&body).unwrap_or_default();
        script.asked.push(Asked { call: call.clone(), headers, body });
        let scripted = script.replies.get_mut(&call);
        scripted.and_then(|replies| if replies.len() > 1 { replies.pop_front() } else { replies.front().cloned() })
    };
    let reply = reply.unwrap_or_else(|| problem(404, "unknown-call", &format!("no reply for {call}")));
    tokio::time::sleep(reply.delay).await;
    let mut response = (StatusCode::from_u16(reply.status).expect("status"), reply.body).into_response();
    for (name, value) in reply.headers {
        response.headers_mut().insert(name, value.parse().expect("header"));
    }
    response
}
