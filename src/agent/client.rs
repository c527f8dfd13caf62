//! The HTTP client: one call over an ordered list of servers.
//!
//! A call goes to the server that worked last, then round the others: to the next one when it cannot be connected to,
//! does not reply within [`PATIENCE`], or replies 5xx. After a whole round without an answer it may wait (full jitter)
//! and go round again. Two things can come of it besides a reply: some server refused ([`Refused`], not asked
//! elsewhere, because every server has the same policy), or none answered ([`Unreachable`], with every server's reason).
//!
//! Holds no state but the server list and pooled connections. Plain HTTP only; proxies of the environment are ignored,
//! because a beat must not take a detour that its server's address policy would see as the caller.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::jitter::full_jitter;
use super::servers::{Servers, shown};
use crate::model::api::{
    Applied, Beat, Beaten, ChangeList, InstanceInfo, InstanceList, Problem, Registered, Registration, ServiceInfo,
    ServiceList, SessionBeat, SessionSet, SessionStored, TokenCreated, TokenList, TokenRequest,
};
use crate::model::{Declaration, Revision};

/// How long a server may take until its reply begins.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// The same for a call that must not be sent twice.
const PATIENCE_ONCE: Duration = Duration::from_secs(10);
/// How long the whole reply may take.
const BODY_TIME: Duration = Duration::from_secs(30);
/// The largest reply that is read.
const BODY_LIMIT: usize = 256 << 20;
/// The first wait between two rounds over all servers.
const ROUND_PAUSE: Duration = Duration::from_millis(250);
/// The reply header that says where the server answers DNS: `ip:port`, separated by commas.
pub const DNS_HEADER: &str = "x-zonebeat-dns";

/// A client of one set of servers.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    authorization: Option<HeaderValue>,
    servers: Mutex<Servers>,
    rounds: u32,
}

/// A reply, decoded and as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply<T> {
    /// The decoded body.
    pub body: T,
    /// The body as the server wrote it.
    pub text: String,
    /// The server that replied.
    pub server: String,
    /// Where that server answers DNS, if it said so.
    pub dns: Vec<SocketAddr>,
}

/// Why a call has no reply to give.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// A server understood and said no.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// No server answered.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
}

/// A server's problem document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// The stable word that ends the problem's type.
    pub word: String,
    /// What was wrong, with which value, and what would be accepted.
    pub detail: String,
    /// The server that said it.
    pub server: String,
    /// True when an earlier attempt of the same call got no reply and so may have been applied.
    pub repeated: bool,
}

impl Refused {
    /// Whether it is policy that refuses, and not a request about something that is not there.
    pub fn is_policy(&self) -> bool {
        matches!(self.status, 401 | 403 | 409 | 422)
    }

    fn from_reply(status: StatusCode, server: &Url, text: &str) -> Self {
        let (word, detail) = match serde_json::from_str::<Problem>(text) {
            Ok(problem) => (last_word(&problem.kind), problem.detail),
            Err(_) => (
                "unknown-call".to_owned(),
                format!("HTTP {status} without a problem document; is this zonebeat's HTTP?"),
            ),
        };
        Self { status: status.as_u16(), word, detail, server: shown(server), repeated: false }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.word, self.detail, self.server)
    }
}

impl std::error::Error for Refused {}

/// Every server that was asked, with the reason why it gave no answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unreachable {
    /// Server and reason, in the order of asking; the last reason of each.
    pub servers: Vec<(String, String)>,
}

impl Unreachable {
    fn note(&mut self, server: String, reason: String) {
        self.servers.retain(|(known, _)| *known != server);
        self.servers.push((server, reason));
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no server answered: ")?;
        for (at, (server, reason)) in self.servers.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{server} ({reason})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Unreachable {}

/// The word at the end of a problem's type, whatever stands in front of it.
fn last_word(kind: &str) -> String {
    kind.rsplit(['/', '#', ':']).next().unwrap_or(kind).to_owned()
}

/// What to send.
struct Call<'a> {
    method: Method,
    path: &'a [&'a str],
    query: Vec<(&'a str, String)>,
    body: Option<Vec<u8>>,
    /// Not sent again once it may have arrived.
    once: bool,
}

impl<'a> Call<'a> {
    fn new(method: Method, path: &'a [&'a str]) -> Self {
        Self { method, path, query: Vec::new(), body: None, once: false }
    }

    fn json(mut self, body: &impl Serialize) -> Self {
        self.body = Some(serde_json::to_vec(body).expect("bodies of model::api have string keys only"));
        self
    }

    fn query(mut self, key: &'a str, value: Option<String>) -> Self {
        self.query.extend(value.map(|value| (key, value)));
        self
    }

    fn once(mut self) -> Self {
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

impl Client {
    /// A client of these servers. `rounds` is how often all of them are asked before a call fails.
    pub fn new(servers: Servers, token: Option<&str>, rounds: u32) -> Result<Self, String> {
        let http = reqwest::Client::builder()
            .connect_timeout(PATIENCE)
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
    pub fn learn(&self, named: &[String]) {
        self.servers().learn(named);
    }

    /// Registers or updates an instance, and beats for it.
    pub async fn register(
        &self,
        service: &str,
        id: &str,
        body: &Registration,
    ) -> Result<Reply<Registered>, ClientError> {
        let path = ["v1", "services", service, "instances", id];
        self.call(&Call::new(Method::PUT, &path).json(body)).await
    }

    /// Beats for a lone instance.
    pub async fn beat(&self, service: &str, id: &str, body: &Beat) -> Result<Reply<Beaten>, ClientError> {
        let path = ["v1", "services", service, "instances", id, "heartbeat"];
        self.call(&Call::new(Method::POST, &path).json(body)).await
    }

    /// Takes an instance out now.
    pub async fn deregister(
        &self,
        service: &str,
        id: &str,
        incarnation: Option<u64>,
        reason: Option<&str>,
    ) -> Result<Reply<Applied>, ClientError> {
        let path = ["v1", "services", service, "instances", id];
        let call = Call::new(Method::DELETE, &path)
            .query("incarnation", incarnation.map(|number| number.to_string()))
            .query("reason", reason.map(str::to_owned));
        self.call(&call).await
    }

    /// Replaces everything that a session beats for.
    pub async fn set_session(&self, session: &str, body: &SessionSet) -> Result<Reply<SessionStored>, ClientError> {
        self.call(&Call::new(Method::PUT, &["v1", "sessions", session]).json(body)).await
    }

    /// Beats for everything in a session.
    pub async fn beat_session(&self, session: &str, body: &SessionBeat) -> Result<Reply<Beaten>, ClientError> {
        self.call(&Call::new(Method::POST, &["v1", "sessions", session, "heartbeat"]).json(body)).await
    }

    /// All services.
    pub async fn services(&self) -> Result<Reply<ServiceList>, ClientError> {
        self.call(&Call::new(Method::GET, &["v1", "services"])).await
    }

    /// One service.
    pub async fn service(&self, service: &str) -> Result<Reply<ServiceInfo>, ClientError> {
        self.call(&Call::new(Method::GET, &["v1", "services", service])).await
    }

    /// The instances of a service.
    pub async fn instances(&self, service: &str) -> Result<Reply<InstanceList>, ClientError> {
        self.call(&Call::new(Method::GET, &["v1", "services", service, "instances"])).await
    }

    /// One instance.
    pub async fn instance(&self, service: &str, id: &str) -> Result<Reply<InstanceInfo>, ClientError> {
        self.call(&Call::new(Method::GET, &["v1", "services", service, "instances", id])).await
    }

    /// Says something about a service.
    pub async fn declare(&self, service: &str, body: &Declaration) -> Result<Reply<Applied>, ClientError> {
        self.call(&Call::new(Method::PUT, &["v1", "services", service]).json(body)).await
    }

    /// Takes a declaration back and gives the name up.
    pub async fn undeclare(&self, service: &str) -> Result<Reply<Applied>, ClientError> {
        self.call(&Call::new(Method::DELETE, &["v1", "services", service])).await
    }

    /// Changes after `since`, oldest first; one page.
    pub async fn changes(&self, since: Revision) -> Result<Reply<ChangeList>, ClientError> {
        self.call(&Call::new(Method::GET, &["v1", "changes"]).query("since", Some(since.to_string()))).await
    }

    /// Creates a token. Sent once only: a second attempt could make a second token.
    pub async fn create_token(&self, body: &TokenRequest) -> Result<Reply<TokenCreated>, ClientError> {
        self.call(&Call::new(Method::POST, &["v1", "tokens"]).json(body).once()).await
    }

    /// All tokens, without their secrets.
    pub async fn tokens(&self) -> Result<Reply<TokenList>, ClientError> {
        self.call(&Call::new(Method::GET, &["v1", "tokens"])).await
    }

    /// Revokes a token by its id or name.
    pub async fn revoke_token(&self, token: &str) -> Result<Reply<Applied>, ClientError> {
        self.call(&Call::new(Method::DELETE, &["v1", "tokens", token])).await
    }

    async fn call<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<Reply<T>, ClientError> {
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
            let body = serde_json::from_str(&text)
                .map_err(|error| Missed::NoReply(format!("its reply is not understood: {error}")))?;
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
        return format!("no connection within {} s", PATIENCE.as_secs());
    }
    match cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
        Some(std::io::ErrorKind::ConnectionRefused) => "connection refused".to_owned(),
        _ => cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::servers::parse_server;

    #[test]
    fn paths_are_escaped_and_prefixes_kept() {
        let server = parse_server("http://192.0.2.1:8053/prefix/").expect("URL");
        let path = ["v1", "tokens", "ops lon/1"];
        let call = Call::new(Method::DELETE, &path).query("reason", Some("a&b".into()));
        assert_eq!(call.url(&server).as_str(), "http://192.0.2.1:8053/prefix/v1/tokens/ops%20lon%2F1?reason=a%26b");
    }

    #[test]
    fn the_word_is_found_whatever_the_type_begins_with() {
        for kind in ["https://zonebeat.example.org/problems/guard", "urn:zonebeat:guard", "/problems#guard", "guard"] {
            assert_eq!(last_word(kind), "guard");
        }
    }

    #[test]
    fn unreachable_names_each_server_once() {
        let mut unreachable = Unreachable::default();
        for reason in ["connection refused", "no reply within 1 s"] {
            unreachable.note("http://192.0.2.1:8053".into(), reason.into());
            unreachable.note("http://192.0.2.2:8053".into(), "connection refused".into());
        }
        let text = "no server answered: http://192.0.2.1:8053 (no reply within 1 s); \
                    http://192.0.2.2:8053 (connection refused)";
        assert_eq!(unreachable.to_string(), text);
    }

    #[test]
    fn a_token_that_cannot_be_a_header_is_said_so() {
        assert!(bearer("zb_abc").is_ok());
        assert!(bearer("zb\nabc").is_err());
    }
}
