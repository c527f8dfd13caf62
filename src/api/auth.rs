//! Who asks: the caller's address and bearer token, and the reason for history.
//!
//! This refuses those who may not write at all; what a token covers is decided by the registry, where the name's owner
//! and the scope are looked at together with the write. A browser page is never taken for a local caller.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, ORIGIN};
use axum::http::request::Parts;

use super::ApiState;
use crate::model::{Principal, Refusal, Word};
use crate::registry::{Action, Command, Snapshot};
use crate::security::{Want, authenticate, authorize};

/// The header whose text goes into history.
pub(super) const REASON: &str = "x-zonebeat-reason";

/// The longest reason, in octets.
const MAX_REASON: usize = 500;

/// The header of a write.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes the header in the OpenAPI document; `reason` reads it")]
pub(super) struct ReasonHeader {
    /// Why, in words; goes into history. At most 500 octets of UTF-8.
    #[param(rename = "X-Zonebeat-Reason", required = false, example = "kernel update", max_length = 500)]
    reason: Option<String>,
}

/// Somebody who may write, as far as can be said before the body is known.
#[derive(Debug)]
pub(super) struct Caller {
    /// Who.
    pub(super) principal: Principal,
    /// Why.
    pub(super) reason: String,
    /// The state in which the caller was let in.
    pub(super) snapshot: Arc<Snapshot>,
}

impl Caller {
    /// Whether it may beat for an instance of this service: a beat is no command, so the registry does not ask.
    pub(super) fn may_beat(&self, service: &str) -> Result<(), Refusal> {
        // Who owns the service matters to tokens with a scope alone; the others are spared the search.
        let row = match &self.principal {
            Principal::Token { token, .. } if !token.scope.admin => {
                self.snapshot.service(service).map(|service| &service.row)
            }
            _ => None,
        };
        authorize(&self.snapshot.tokens, &self.principal, Want::Service { service, row })
    }

    /// Refuses a token that is no administrator's; `what` is what only they get.
    pub(super) fn check_admin(&self, what: &str) -> Result<(), Refusal> {
        match &self.principal {
            Principal::Token { token, .. } if !token.scope.admin => {
                let detail = format!("{what} is for administrators; use a token whose scope has admin");
                Err(Refusal::new(Word::Forbidden, detail))
            }
            _ => Ok(()),
        }
    }

    /// The same caller with the reason that stands in the body, if one does.
    pub(super) fn because(self, reason: Option<String>) -> Result<Self, Refusal> {
        let Some(reason) = reason else { return Ok(self) };
        if reason.len() > MAX_REASON {
            let detail = format!("reason has {} octets; at most {MAX_REASON} are accepted", reason.len());
            return Err(Refusal::new(Word::BadValue, detail));
        }
        Ok(Self { reason: reason.trim().to_owned(), ..self })
    }

    /// A command of this caller.
    pub(super) fn command(&self, action: Action) -> Command {
        Command { principal: self.principal.clone(), reason: self.reason.clone(), action }
    }
}

impl FromRequestParts<Arc<ApiState>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<ApiState>) -> Result<Self, Refusal> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| canonical(*peer));
        let peer = peer.ok_or_else(|| Refusal::new(Word::Internal, "the connection has no peer address"))?;
        let snapshot = state.registry.snapshot();
        match identify(&snapshot, &parts.headers, peer) {
            Ok(principal) => Ok(Self { principal, reason: reason(&parts.headers)?, snapshot }),
            Err(refusal) => {
                state.loaded()?;
                Err(refusal)
            }
        }
    }
}

/// IPv4 callers of a dual-stack socket are IPv4 callers.
fn canonical(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

/// Who a request comes from, and whether he may write at all.
fn identify(snapshot: &Snapshot, headers: &HeaderMap, peer: SocketAddr) -> Result<Principal, Refusal> {
    let principal = match headers.get(AUTHORIZATION) {
        Some(header) => {
            let token = authenticate(&snapshot.tokens, &String::from_utf8_lossy(header.as_bytes()))?;
            Principal::Token { token, peer }
        }
        None if headers.contains_key(ORIGIN) => {
            let detail = "a web page asked for this without a token; send it as \"Authorization: Bearer zb_...\"";
            return Err(Refusal::new(Word::Unauthorized, detail));
        }
        None => Principal::Anonymous(peer),
    };
    authorize(&snapshot.tokens, &principal, Want::Write)?;
    Ok(principal)
}

/// The text of the reason header.
fn reason(headers: &HeaderMap) -> Result<String, Refusal> {
    let Some(value) = headers.get(REASON) else { return Ok(String::new()) };
    let refuse = |why: &str| {
        let detail = format!("the header X-Zonebeat-Reason {why}; at most {MAX_REASON} octets of UTF-8 are accepted");
        Err(Refusal::new(Word::BadRequest, detail))
    };
    match std::str::from_utf8(value.as_bytes()) {
        Err(_) => refuse("is not UTF-8"),
        Ok(text) if text.len() > MAX_REASON => refuse(&format!("has {} octets", text.len())),
        Ok(text) => Ok(text.trim().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: &str = "127.0.0.1:40000";
    const AWAY: &str = "192.0.2.7:40000";

    fn ask(snapshot: &Snapshot, headers: &[(&'static str, &'static str)], peer: &str) -> Result<Principal, Refusal> {
        let pairs = headers.iter().map(|(name, value)| (name.parse().expect("name"), value.parse().expect("value")));
        identify(snapshot, &pairs.collect(), canonical(peer.parse().expect("address")))
    }

    #[test]
    fn without_tokens_only_local_programs_write() {
        let empty = Snapshot::default();
        assert!(matches!(ask(&empty, &[], LOCAL), Ok(Principal::Anonymous(_))));
        assert!(matches!(ask(&empty, &[], "[::1]:40000"), Ok(Principal::Anonymous(_))));
        assert!(matches!(ask(&empty, &[], "[::ffff:127.0.0.1]:40000"), Ok(Principal::Anonymous(_))));
        for (headers, peer) in [
            (&[][..], AWAY),
            (&[("origin", "https://page.example.org")], LOCAL),
            (&[("authorization", "Bearer nonsense")], LOCAL),
        ] {
            let refusal = ask(&empty, headers, peer).expect_err(peer);
            assert_eq!(refusal.word, Word::Unauthorized, "{}", refusal.detail);
        }
    }

    #[test]
    fn a_reason_is_short_text() {
        let with = |value: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(REASON, axum::http::HeaderValue::from_bytes(value).expect("header"));
            reason(&headers)
        };
        assert_eq!(with(" kernel ".as_bytes()).as_deref(), Ok("kernel"));
        assert_eq!(with("Ärger".as_bytes()).as_deref(), Ok("Ärger"));
        assert_eq!(with(b"\xff").expect_err("not UTF-8").word, Word::BadRequest);
        assert_eq!(with(&[b'x'; 501]).expect_err("too long").word, Word::BadRequest);
        assert_eq!(reason(&HeaderMap::new()).as_deref(), Ok(""));
    }
}
