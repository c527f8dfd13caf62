//! Problem documents (RFC 9457): the one translation of a refusal into HTTP.
//!
//! `type` is a stable URI that ends in the refusal's word; `detail` is its sentence. Clients compare the word, not the
//! status: a status is shared by several words.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::json;
use crate::model::api::Problem;
use crate::model::{Refusal, Word};

/// The media type of a problem document.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What stands in front of the word in a problem's `type`.
pub const TYPE_BASE: &str = "https://zonebeat.example.org/problems/";

/// Every word, in the order of its status.
pub const WORDS: [Word; 30] = [
    Word::BadRequest,
    Word::UnknownField,
    Word::BadLabel,
    Word::BadPort,
    Word::BadLease,
    Word::BadValue,
    Word::Unauthorized,
    Word::Forbidden,
    Word::NameOwned,
    Word::UnknownInstance,
    Word::UnknownSession,
    Word::UnknownService,
    Word::UnknownToken,
    Word::UnknownCall,
    Word::NoOwner,
    Word::StaticName,
    Word::SiteLabel,
    Word::OldIncarnation,
    Word::OutOfSync,
    Word::InUse,
    Word::Guard,
    Word::UnknownRevision,
    Word::TooLarge,
    Word::AddressRefused,
    Word::ReservedName,
    Word::NoZone,
    Word::Internal,
    Word::NotReady,
    Word::StoreUnavailable,
    Word::Busy,
];

/// The HTTP status of a word. [`Word::UnknownCall`] is 405 instead when the path exists with another method.
pub fn status(word: Word) -> StatusCode {
    match word {
        Word::BadRequest | Word::UnknownField | Word::BadLabel | Word::BadPort | Word::BadLease | Word::BadValue => {
            StatusCode::BAD_REQUEST
        }
        Word::Unauthorized => StatusCode::UNAUTHORIZED,
        Word::Forbidden | Word::NameOwned => StatusCode::FORBIDDEN,
        Word::UnknownInstance
        | Word::UnknownSession
        | Word::UnknownService
        | Word::UnknownToken
        | Word::UnknownCall => StatusCode::NOT_FOUND,
        Word::NoOwner
        | Word::StaticName
        | Word::SiteLabel
        | Word::OldIncarnation
        | Word::OutOfSync
        | Word::InUse
        | Word::Guard => StatusCode::CONFLICT,
        Word::UnknownRevision => StatusCode::GONE,
        Word::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Word::AddressRefused | Word::ReservedName | Word::NoZone => StatusCode::UNPROCESSABLE_ENTITY,
        Word::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Word::NotReady | Word::StoreUnavailable | Word::Busy => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// What the word means, for the OpenAPI document and `docs/http.md`.
pub fn meaning(word: Word) -> &'static str {
    match word {
        Word::BadRequest => "the body is not JSON, or a header does not read",
        Word::UnknownField => "a field or query parameter that this call does not know",
        Word::BadLabel => "a label with a character or length that is not taken",
        Word::BadPort => "a port that is not a whole number from 1 to 65535",
        Word::BadLease => "a lease shorter or longer than allowed",
        Word::BadValue => "a field that is missing, of the wrong kind or out of its range",
        Word::Unauthorized => "no token, or one that is not known",
        Word::Forbidden => "the token's scope does not cover it",
        Word::NameOwned => "the name belongs to another token",
        Word::UnknownInstance => "no such instance; register it",
        Word::UnknownSession => "no such session; send its full set",
        Word::UnknownService => "no such service",
        Word::UnknownToken => "no such token",
        Word::UnknownCall => "nothing at this path, or not with this method (405)",
        Word::NoOwner => "the name belongs to no token",
        Word::StaticName => "a static record holds the name",
        Word::SiteLabel => "a service label that is a site, the other way round, or a site that is not on the list",
        Word::OldIncarnation => "the incarnation has been replaced",
        Word::OutOfSync => "the session's epoch or hash differs; send its full set",
        Word::InUse => "it still has instances",
        Word::Guard => "it would take a service below its declared min; insist with force",
        Word::UnknownRevision => "history does not reach back, or not yet, to this revision",
        Word::TooLarge => "the body is larger than allowed",
        Word::AddressRefused => "an address or target that policy does not let into DNS",
        Word::ReservedName => "a label that is reserved",
        Word::NoZone => "no zone takes registrations",
        Word::Internal => "a fault of the server",
        Word::NotReady => "the registry has not been loaded; try again",
        Word::StoreUnavailable => "the store does not take writes now; try again",
        Word::Busy => "too much is waiting; try again",
    }
}

/// How long a client should wait before it tries again, in seconds.
fn retry_after(word: Word) -> Option<&'static str> {
    match word {
        Word::NotReady | Word::Busy => Some("1"),
        Word::StoreUnavailable => Some("5"),
        _ => None,
    }
}

/// The body of a refusal that is answered with `status`.
pub fn document(status: StatusCode, refusal: &Refusal) -> Problem {
    Problem {
        kind: format!("{TYPE_BASE}{}", refusal.word.as_str()),
        title: status.canonical_reason().unwrap_or("Error").to_owned(),
        status: status.as_u16(),
        detail: refusal.detail.clone(),
    }
}

/// The answer to a refusal, with a status other than the word's own.
pub(super) fn respond(status: StatusCode, refusal: &Refusal) -> Response {
    if refusal.word == Word::Internal {
        tracing::error!(detail = refusal.detail, "a call failed by a fault of the server");
    }
    let body = json::line(&document(status, refusal)).expect("a problem is strings and a number");
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"zonebeat\""));
    }
    if let Some(seconds) = retry_after(refusal.word) {
        headers.insert(RETRY_AFTER, HeaderValue::from_static(seconds));
    }
    response
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        respond(status(self.word), &self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_word_is_listed_once() {
        let listed: HashSet<&str> = WORDS.iter().map(|word| word.as_str()).collect();
        assert_eq!(listed.len(), WORDS.len());
        let source = include_str!("../model/refusal.rs");
        let written = source.matches(" => \"").count();
        assert_eq!(listed.len(), written, "WORDS and src/model/refusal.rs differ");
    }

    #[test]
    fn a_refusal_becomes_a_problem_document() {
        let response = Refusal::new(Word::Busy, "256 writes are waiting").into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[CONTENT_TYPE], MEDIA_TYPE);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        let document = document(status(Word::BadPort), &Refusal::new(Word::BadPort, "port 0"));
        assert_eq!(document.kind, "https://zonebeat.example.org/problems/bad-port");
        assert_eq!((document.status, document.title.as_str()), (400, "Bad Request"));
    }

    #[test]
    fn a_missing_token_is_asked_for() {
        let response = Refusal::new(Word::Unauthorized, "no token").into_response();
        assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer realm=\"zonebeat\"");
    }
}
