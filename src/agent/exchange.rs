//! One HTTP call over an ordered list of servers.
//!
//! A call goes to the server that worked last, then round the others: to the next one when it cannot be connected to,
//! does not reply within [`PATIENCE`], or replies 5xx. After a whole round without an answer it may wait (full jitter)
//! and go round again. Two things can come of it besides a reply: some server refused ([`Refused`], not asked
//! elsewhere, because every server has the same policy), or none answered ([`Unreachable`], with each one's reason).
//!
//! Holds no state but the server list and pooled connections. Plain HTTP only; proxies of the environment are ignored,
//! because a beat must not take a detour that its server's address policy would see as the caller.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::jitter::full_jitter;
use super::outcome::{ClientError, Refused, Reply, Unreachable};
use super::servers::{Servers, shown};

/// How long a server may take until its reply begins.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long connecting may take: shorter, so that a call that never arrived is told from one without a reply.
const CONNECT_TIME: Duration = Duration::from_millis(800);
/// The patience for a call that must not be sent twice.
const PATIENCE_ONCE: Duration = Duration::from_secs(10);
/// How long the whole reply may take.
const BODY_TIME: Duration = Duration::from_secs(30);
/// The largest reply that is read.
const BODY_LIMIT: usize = 256 << 20;
/// The first wait between two rounds over all servers.
const ROUND_PAUSE: Duration = Duration::from_millis(250);
/// The reply header that says where the server answers DNS: `ip:port`, separated by commas.
const DNS_HEADER: &str = "x-zonebeat-dns";
/// The request header that says why, for history.
const REASON_HEADER: &str = "x-zonebeat-reason";

/// Carries calls to one set of servers.
#[derive(Debug)]
pub(super) struct Exchange {
    http: reqwest::Client,
    authorization: Option<HeaderValue>,
    servers: Mutex<Servers>,
    rounds: u32,
}

impl Exchange {
    /// For these servers. `rounds` is how often all of them are asked before a call fails.
    pub(super) fn new(servers: Servers, token: Option<&str>, rounds: u32) -> Result<Self, String> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIME)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(1)
            .user_agent(concat!("zonebeat/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| format!("cannot set up HTTP: {}", reason(&error)))?;
        let authorization = token.map(bearer).transpose()?;
        Ok(Self { http, authorization, servers: Mutex::new(servers), rounds: rounds.max(1) })
    }

    /// Adds servers that a reply named to those that are asked.
    pub(super) fn learn(&self, named: &[String]) {
        self.servers().learn(named);
    }

    /// One call over all servers.
    pub(super) async fn call<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<Reply<T>, ClientError> {
        let mut unreachable = Unreachable::default();
        let mut repeated = false;
        for round in 0..self.rounds {
            if round > 0 {
                tokio::time::sleep(full_jitter(round, ROUND_PAUSE, PATIENCE)).await;
            }
            let order = self.servers().in_order();
            for server in order {
                let reason = match self.attempt(&server, call).await {
                    Ok(reply) => {
                        self.servers().worked(&server);
                        return Ok(reply);
                    }
                    Err(Missed::Refused(refused)) => {
                        self.servers().worked(&server);
                        return Err(Refused { repeated, ..refused }.into());
                    }
                    Err(Missed::NotSent(reason)) => reason,
                    Err(Missed::NoReply(reason)) => {
                        repeated = true;
                        reason
                    }
                };
                unreachable.note(shown(&server), reason);
                if call.once && repeated {
                    return Err(unreachable.into());
                }
            }
        }
        Err(unreachable.into())
    }

    async fn attempt<T: DeserializeOwned>(&self, server: &Url, call: &Call<'_>) -> Result<Reply<T>, Missed> {
        let response = self.send(server, call).await?;
        let status = response.status();
        let dns = dns_addresses(&response);
        let text = tokio::time::timeout(BODY_TIME, read(response))
            .await
            .map_err(|_| Missed::NoReply(format!("its reply did not end within {} s", BODY_TIME.as_secs())))?
            .map_err(Missed::NoReply)?;
        if status.is_success() {
            let body = serde_json::from_str(&text).map_err(|error| Missed::NoReply(not_understood(&error)))?;
            return Ok(Reply { body, text, server: shown(server), dns });
        }
        let refused = Refused::from_reply(status, server, &text);
        match is_trouble(status) {
            true => Err(Missed::NoReply(format!("{}: {}", refused.word, refused.detail))),
            false => Err(Missed::Refused(refused)),
        }
    }

    async fn send(&self, server: &Url, call: &Call<'_>) -> Result<Response, Missed> {
        let mut request = self.http.request(call.method.clone(), call.url(server));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        if let Some(reason) = &call.reason {
            request = request.header(REASON_HEADER, reason.clone());
        }
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        match tokio::time::timeout(call.patience(), request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_connect() => Err(Missed::NotSent(reason(&error))),
            Ok(Err(error)) => Err(Missed::NoReply(reason(&error))),
            Err(_) => Err(Missed::NoReply(format!("no reply within {} s", call.patience().as_secs()))),
        }
    }

    fn servers(&self) -> std::sync::MutexGuard<'_, Servers> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What to send.
pub(super) struct Call<'a> {
    method: Method,
    path: &'a [&'a str],
    query: Vec<(&'a str, String)>,
    body: Option<Vec<u8>>,
    reason: Option<HeaderValue>,
    /// Not sent again once it may have arrived.
    once: bool,
}

impl<'a> Call<'a> {
    /// A call without query and body.
    pub(super) fn new(method: Method, path: &'a [&'a str]) -> Self {
        Self { method, path, query: Vec::new(), body: None, reason: None, once: false }
    }

    /// With a body.
    pub(super) fn json(mut self, body: &impl Serialize) -> Self {
        self.body = Some(serde_json::to_vec(body).expect("bodies of model::api have string keys only"));
        self
    }

    /// With a query parameter, if there is a value.
    pub(super) fn query(mut self, key: &'a str, value: Option<String>) -> Self {
        self.query.extend(value.map(|value| (key, value)));
        self
    }

    /// Why, for history. A reason that cannot stand in a header is left out: it must not keep a write from being done.
    pub(super) fn reason(mut self, reason: Option<&str>) -> Self {
        self.reason = reason.and_then(|text| HeaderValue::from_bytes(text.as_bytes()).ok());
        self
    }

    /// Not sent again once it may have arrived.
    pub(super) fn once(mut self) -> Self {
        self.once = true;
        self
    }

    fn patience(&self) -> Duration {
        if self.once { PATIENCE_ONCE } else { PATIENCE }
    }

    /// The call's URL on a server; path segments are escaped.
    fn url(&self, server: &Url) -> Url {
        let mut url = server.clone();
        url.path_segments_mut().expect("a server URL is http and so has a path").pop_if_empty().extend(self.path);
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        url
    }
}

/// Why one server gave no reply to return.
enum Missed {
    Refused(Refused),
    /// It never got the request.
    NotSent(String),
    /// It may have got it, and may have done it.
    NoReply(String),
}

/// Whether the status says that the server cannot now, rather than that it will not.
fn is_trouble(status: StatusCode) -> bool {
    status.is_server_error() || status.is_redirection() || matches!(status.as_u16(), 408 | 425 | 429)
}

/// The header that carries a token.
fn bearer(token: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| "the token has characters that no token has; copy it again as it was printed".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// Reads a reply as text, in bounds.
async fn read(mut response: Response) -> Result<String, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| reason(&error))? {
        if body.len() + chunk.len() > BODY_LIMIT {
            return Err(format!("its reply is larger than {} MiB", BODY_LIMIT >> 20));
        }
        body.extend_from_slice(&chunk);
    }
    String::from_utf8(body).map_err(|_| "its reply is not text".to_owned())
}

/// Where the server answers DNS. A listener on every address is reached where HTTP was.
fn dns_addresses(response: &Response) -> Vec<SocketAddr> {
    let header = response.headers().get(DNS_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let peer = response.remote_addr();
    let reachable = |listen: SocketAddr| match peer {
        Some(peer) if listen.ip().is_unspecified() => SocketAddr::new(peer.ip(), listen.port()),
        _ => listen,
    };
    header.split(',').filter_map(|text| text.trim().parse().ok()).map(reachable).collect()
}

/// The innermost cause of an HTTP error, which is the one that says something.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if error.is_timeout() {
        return format!("no connection within {} ms", CONNECT_TIME.as_millis());
    }
    match cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
        Some(std::io::ErrorKind::ConnectionRefused) => "connection refused".to_owned(),
        _ => cause.to_string(),
    }
}

/// Why a reply is of no use.
pub(super) fn not_understood(error: &serde_json::Error) -> String {
    format!("its reply is not understood: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::servers::parse_server;

    #[test]
    fn paths_are_escaped_and_prefixes_kept() {
        let server = parse_server("http://192.0.2.1:8053/prefix/").expect("URL");
        let path = ["v1", "tokens", "ops lon/1"];
        let call = Call::new(Method::DELETE, &path).query("after", Some("a&b".into()));
        assert_eq!(call.url(&server).as_str(), "http://192.0.2.1:8053/prefix/v1/tokens/ops%20lon%2F1?after=a%26b");
    }

    #[test]
    fn a_token_that_cannot_be_a_header_is_said_so() {
        assert!(bearer("zb_abc").is_ok());
        assert!(bearer("zb\nabc").is_err());
    }
}
