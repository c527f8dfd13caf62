//! Path segments and bodies: strict, bounded in size and time. Any content type is taken, so that `curl -d` works.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body as Octets, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio_stream::StreamExt;

use super::query::{Pairs, Parameters};
use super::{ApiState, Limits, json};
use crate::model::{Refusal, Word};

/// How much of a body that is too large is read and thrown away, so that the client gets to see the answer.
const DRAIN: usize = 1024 * 1024;

/// Octets that the body of a call about up to 1,000 beats or instances may have: 512 for each. Beats with the longest
/// labels need half of that, and so do instances without much metadata.
pub(super) const ROOM_FOR_MANY: usize = 512_000;

/// Which service a call is about.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ServicePath {
    /// Service label.
    #[param(example = "search")]
    pub(super) service: String,
}

/// Which instance a call is about.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct InstancePath {
    /// Service label.
    #[param(example = "search")]
    pub(super) service: String,
    /// Instance label.
    #[param(example = "a1")]
    pub(super) id: String,
}

/// Which session a call is about.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct SessionPath {
    /// The session, chosen by the agent.
    #[param(example = "host-17")]
    pub(super) session: String,
}

/// Which page of a list is asked for.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// Show what sorts after this label: the `next` of the page before.
    #[param(required = false)]
    pub(super) after: Option<String>,
    /// The most entries of a page; 1000 if missing.
    #[param(required = false, minimum = 1, maximum = 10000)]
    pub(super) limit: usize,
}

impl Parameters for PageQuery {
    const NAMES: &'static [&'static str] = &["after", "limit"];

    fn read(query: &Pairs) -> Result<Self, Refusal> {
        let limit = query.number("limit", 1..=10_000)?.unwrap_or(1000) as usize;
        Ok(Self { after: query.text("after")?.map(fold), limit })
    }
}

/// The path's segments, percent-decoded.
#[derive(Debug)]
pub(super) struct Segments<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segments<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(segments)) => Ok(Self(segments)),
            Err(error) => Err(Refusal::new(Word::BadLabel, format!("the path does not read: {error}"))),
        }
    }
}

/// Labels are stored lower-case; the registry checks them on writes, reads just do not find the others.
pub(super) fn fold(label: &str) -> String {
    label.to_ascii_lowercase()
}

/// A body that must be there. It may have `ROOM` octets even where other bodies may not.
#[derive(Debug)]
pub(super) struct Body<T, const ROOM: usize = 0>(pub(super) T);

impl<T: DeserializeOwned, const ROOM: usize> FromRequest<Arc<ApiState>> for Body<T, ROOM> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &Arc<ApiState>) -> Result<Self, Refusal> {
        let limits = Limits { body: state.limits.body.max(ROOM), ..state.limits.clone() };
        json::parse(&read(request, &limits).await?).map(Self)
    }
}

/// A body that may be empty, which says nothing.
#[derive(Debug)]
pub(super) struct OptionalBody<T>(pub(super) T);

impl<T: DeserializeOwned + Default> FromRequest<Arc<ApiState>> for OptionalBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &Arc<ApiState>) -> Result<Self, Refusal> {
        let octets = read(request, &state.limits).await?;
        if octets.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self(T::default()));
        }
        json::parse(&octets).map(Self)
    }
}

/// No body: a call that would ignore what its caller wrote refuses it.
#[derive(Debug)]
pub(super) struct NoBody;

impl<S: Send + Sync> FromRequestParts<S> for NoBody {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let length = parts.headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
        if length || parts.headers.contains_key(TRANSFER_ENCODING) {
            let detail = "this call takes no body; what it can be told stands in the query, as in ?incarnation=7";
            return Err(Refusal::new(Word::BadRequest, detail));
        }
        Ok(Self)
    }
}

/// Reads a whole body, up to the limits.
async fn read(request: Request, limits: &Limits) -> Result<Vec<u8>, Refusal> {
    if let Some(encoding) = request.headers().get(CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
        let encoding = String::from_utf8_lossy(encoding.as_bytes()).into_owned();
        let detail =
            format!("Content-Encoding \"{}\" is not understood; send the body as it is", encoding.escape_debug());
        return Err(Refusal::new(Word::BadRequest, detail));
    }
    let body = request.into_body();
    let announced = body.size_hint().lower();
    if announced > limits.body as u64 {
        discard(body, limits.body_time).await;
        return Err(too_large(&format!("{announced} octets"), limits.body));
    }
    match tokio::time::timeout(limits.body_time, collect(body, limits)).await {
        Ok(octets) => octets,
        Err(_) => {
            let seconds = limits.body_time.as_secs_f64();
            Err(Refusal::new(Word::BadRequest, format!("the body did not arrive within {seconds} s")))
        }
    }
}

async fn collect(body: Octets, limits: &Limits) -> Result<Vec<u8>, Refusal> {
    let mut octets = Vec::with_capacity(body.size_hint().lower() as usize);
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| Refusal::new(Word::BadRequest, format!("the body broke off: {error}")))?;
        if octets.len() + chunk.len() > limits.body {
            discard(Octets::from_stream(chunks), limits.body_time).await;
            return Err(too_large("more", limits.body));
        }
        octets.extend_from_slice(&chunk);
    }
    Ok(octets)
}

fn too_large(size: &str, limit: usize) -> Refusal {
    Refusal::new(Word::TooLarge, format!("the body has {size}; at most {limit} octets are accepted"))
}

/// Reads on for a while: a connection that is closed with unread octets resets, and the answer may be lost.
async fn discard(body: Octets, time: Duration) {
    let mut chunks = body.into_data_stream();
    let all = async {
        let mut read = 0;
        while let Some(Ok(chunk)) = chunks.next().await {
            read += chunk.len();
            if read > DRAIN {
                break;
            }
        }
    };
    // Whether it ended in time or not, the answer is the same.
    let _ = tokio::time::timeout(time, all).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: Vec<u8>) -> Request {
        Request::new(Octets::from(body))
    }

    #[tokio::test]
    async fn a_body_may_have_just_the_limit() {
        let limits = Limits { body: 1000, ..Limits::default() };
        assert_eq!(read(request(vec![b'x'; 1000]), &limits).await.map(|octets| octets.len()), Ok(1000));
        let refusal = read(request(vec![b'x'; 1001]), &limits).await.expect_err("too large");
        assert_eq!(refusal.word, Word::TooLarge);
        assert_eq!(refusal.detail, "the body has 1001 octets; at most 1000 octets are accepted");
    }

    #[tokio::test]
    async fn a_body_of_unknown_length_is_bounded_too() {
        let limits = Limits { body: 1000, ..Limits::default() };
        let chunks = (0..50).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 100]));
        let body = Octets::from_stream(tokio_stream::iter(chunks));
        let refusal = read(Request::new(body), &limits).await.expect_err("too large");
        assert_eq!(refusal.word, Word::TooLarge);
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let limits = Limits { body_time: Duration::from_millis(20), ..Limits::default() };
        let body = Octets::from_stream(tokio_stream::pending::<Result<Vec<u8>, std::io::Error>>());
        let refusal = read(Request::new(body), &limits).await.expect_err("slow");
        assert_eq!(refusal.word, Word::BadRequest);
        assert!(refusal.detail.contains("did not arrive"), "{}", refusal.detail);
    }

    #[tokio::test]
    async fn an_encoded_body_is_refused() {
        let mut request = request(b"x".to_vec());
        request.headers_mut().insert(CONTENT_ENCODING, "gzip".parse().expect("header"));
        let refusal = read(request, &Limits::default()).await.expect_err("gzip");
        assert_eq!(refusal.word, Word::BadRequest);
    }
}
