//! `GET` is answered with an expected status and body. One connection for each probe, driven by the probe itself.

use hyper::header::{HOST, USER_AGENT};
use hyper::{Method, Request};
use tokio::io::{AsyncRead, AsyncWrite};

use super::super::plain_http::{Answered, exchange};
use super::spec::HttpProbe;
use super::{Outcome, tcp, tls};

/// How much of a body is searched.
const BODY_LIMIT: usize = 64 << 10;

/// Asks once.
pub(super) async fn probe(probe: &HttpProbe) -> Outcome {
    let stream = tcp::connect(&probe.target).await?;
    match &probe.tls {
        None => ask(stream, probe).await,
        Some(tls) => ask(tls::connect(stream, tls, &[]).await?, probe).await,
    }
}

async fn ask(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, probe: &HttpProbe) -> Outcome {
    let path = &probe.path;
    let request = Request::builder()
        .method(Method::GET)
        .uri(path)
        .header(HOST, probe.target.to_string())
        .header(USER_AGENT, concat!("zonebeat-agent/", env!("CARGO_PKG_VERSION")))
        .body(String::new())
        .map_err(|error| format!("GET {path}: {error}"))?;
    let limit = if probe.contains.is_some() { BODY_LIMIT } else { 0 };
    let Answered { status, body } =
        exchange(stream, request, limit).await.map_err(|error| format!("GET {path}: {error}"))?;
    let (first, last) = probe.status;
    if !(first..=last).contains(&status) {
        return Err(format!("GET {path} answered {status}"));
    }
    match &probe.contains {
        Some(text) if !contains(&body, text.as_bytes()) => {
            Err(format!("GET {path} answered {status} without \"{text}\""))
        }
        _ => Ok(format!("GET {path} answered {status}")),
    }
}

fn contains(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || body.windows(text.len()).any(|part| part == text)
}
