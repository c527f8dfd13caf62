//! What a request asks (RFC 8484 section 4.1).

use data_encoding::BASE64URL_NOPAD;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName};
use hyper::{Method, Request, StatusCode};
use tokio::sync::Semaphore;

use crate::wire::decode::HEADER;
use crate::wire::respond::MAX_TCP;

/// The one media type of queries and answers.
pub(super) const MEDIA_TYPE: &str = "application/dns-message";

/// Octets of a body that are taken and thrown away.
const MOST_DISCARDED: usize = 2 * MAX_TCP;

/// Why a request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) text: &'static str,
}

const fn refusal(status: StatusCode, text: &'static str) -> Refusal {
    Refusal { status, text }
}

const NO_SUCH_PATH: Refusal = refusal(StatusCode::NOT_FOUND, "there is nothing here; queries have another path\n");
const METHOD: Refusal = refusal(StatusCode::METHOD_NOT_ALLOWED, "expected GET or POST\n");
const TYPE: Refusal =
    refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected the content type application/dns-message\n");
const ACCEPTABLE: Refusal =
    refusal(StatusCode::NOT_ACCEPTABLE, "answers are application/dns-message, which Accept leaves out\n");
const NO_PARAMETER: Refusal = refusal(StatusCode::BAD_REQUEST, "expected the parameter dns with a query\n");
const BASE64: Refusal = refusal(StatusCode::BAD_REQUEST, "the parameter dns is not base64url (RFC 4648 section 5)\n");
const TOO_LONG: Refusal = refusal(StatusCode::PAYLOAD_TOO_LARGE, "a DNS message has at most 65535 octets\n");
const BROKEN: Refusal = refusal(StatusCode::BAD_REQUEST, "the body ended before its end\n");
/// The connection has no room for bodies.
pub(super) const BUSY: Refusal = refusal(
    StatusCode::SERVICE_UNAVAILABLE,
    "too many bodies of this connection are not complete; send fewer at once\n",
);
/// The answer to HEAD has no body, not even one that says why.
pub(super) const HEAD: Refusal = refusal(StatusCode::METHOD_NOT_ALLOWED, "");
/// The body took too long.
pub(super) const LATE: Refusal = refusal(StatusCode::REQUEST_TIMEOUT, "the query did not come in time\n");
/// What came is nothing that is answered: no header, or a response.
pub(super) const NO_QUERY: Refusal = refusal(StatusCode::BAD_REQUEST, "this is not a DNS query\n");

/// The query of a request. A body takes permits of `inbox` as long as it is not complete.
pub(super) async fn read(request: &mut Request<Incoming>, path: &str, inbox: &Semaphore) -> Result<Vec<u8>, Refusal> {
    if request.uri().path() != path {
        return Err(NO_SUCH_PATH);
    }
    if !accepts(request.headers()) {
        return Err(ACCEPTABLE);
    }
    let query = match *request.method() {
        Method::GET => parameter(request.uri().query().unwrap_or_default())?,
        Method::POST if essence(request.headers(), &CONTENT_TYPE) != Some(MEDIA_TYPE.to_owned()) => return Err(TYPE),
        Method::POST => collect(request.body_mut(), inbox).await?,
        _ => return Err(METHOD),
    };
    if query.len() < HEADER { Err(NO_QUERY) } else { Ok(query) }
}

/// The query of a GET. Padding does not belong there, and is tolerated at the end.
fn parameter(query: &str) -> Result<Vec<u8>, Refusal> {
    let text = query.split('&').find_map(|pair| pair.strip_prefix("dns=")).ok_or(NO_PARAMETER)?;
    BASE64URL_NOPAD.decode(text.trim_end_matches('=').as_bytes()).map_err(|_| BASE64)
}

/// The body of a POST.
async fn collect(body: &mut Incoming, inbox: &Semaphore) -> Result<Vec<u8>, Refusal> {
    if body.size_hint().lower() > MAX_TCP as u64 {
        return Err(TOO_LONG);
    }
    let (mut octets, mut permits) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(|_| BROKEN)?.into_data() else { continue };
        if octets.len() + piece.len() > MAX_TCP {
            return Err(TOO_LONG);
        }
        let more = inbox.try_acquire_many(piece.len() as u32).map_err(|_| BUSY)?;
        match &mut permits {
            None => permits = Some(more),
            Some(permits) => permits.merge(more),
        }
        octets.extend_from_slice(&piece);
    }
    Ok(octets)
}

/// Takes what is left of a body that nobody reads, up to a limit: many clients do not see a refusal that comes
/// before they have sent everything.
pub(super) async fn discard(body: &mut Incoming) {
    let mut room = MOST_DISCARDED;
    while let Some(Ok(frame)) = body.frame().await {
        match frame.data_ref().map_or(Some(room), |piece| room.checked_sub(piece.len())) {
            Some(left) => room = left,
            None => return,
        }
    }
}

/// Whether the client takes answers of our media type; it does if it says nothing.
fn accepts(headers: &HeaderMap) -> bool {
    let mut ranges = headers.get_all(ACCEPT).iter().flat_map(|value| value.as_bytes().split(|octet| *octet == b','));
    let taken = |range: &[u8]| {
        let essence = range.split(|octet| *octet == b';').next().unwrap_or_default().trim_ascii();
        ["*/*", "application/*", MEDIA_TYPE].iter().any(|known| essence.eq_ignore_ascii_case(known.as_bytes()))
    };
    !headers.contains_key(ACCEPT) || ranges.any(taken)
}

/// A media type without its parameters, in lower case.
fn essence(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?;
    Some(text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// The query of a GET as it is read from a request's target and its Accept header, for the fuzz target.
#[cfg(feature = "fuzzing")]
pub fn read_get(target: &str, accept: Option<&[u8]>) -> Option<Result<Vec<u8>, u16>> {
    let uri: hyper::Uri = target.parse().ok()?;
    let mut headers = HeaderMap::new();
    if let Some(accept) = accept {
        headers.insert(ACCEPT, hyper::header::HeaderValue::from_bytes(accept).ok()?);
    }
    let query = if accepts(&headers) { parameter(uri.query().unwrap_or_default()) } else { Err(ACCEPTABLE) };
    Some(query.map_err(|refusal| refusal.status.as_u16()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8484_4_1_1_the_parameter_is_base64url_without_padding() {
        assert_eq!(parameter("dns=AAAB").unwrap(), [0, 0, 1]);
        assert_eq!(parameter("ct&dns=-_8&more=1").unwrap(), [0xFB, 0xFF]);
        assert_eq!(parameter("dns=AA==").unwrap(), [0], "tolerated");
        assert_eq!(parameter("dns="), Ok(vec![]));
        for (bad, why) in [("", NO_PARAMETER), ("xdns=AAAB", NO_PARAMETER), ("dns=A+/B", BASE64), ("dns=A", BASE64)] {
            assert_eq!(parameter(bad), Err(why), "{bad}");
        }
    }

    #[test]
    fn rfc9110_12_5_1_accept_may_leave_our_media_type_out() {
        let headers = |value: &str| HeaderMap::from_iter([(ACCEPT, value.parse().unwrap())]);
        assert!(accepts(&HeaderMap::new()));
        for value in
            ["*/*", "text/html, application/*;q=0.1", "Application/DNS-Message", "a/b,application/dns-message;q=1"]
        {
            assert!(accepts(&headers(value)), "{value}");
        }
        for value in ["application/dns-json", "text/*", ""] {
            assert!(!accepts(&headers(value)), "{value}");
        }
    }
}
