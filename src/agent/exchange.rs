//! One HTTP call over an ordered list of servers.
//!
//! A call that somebody's lease waits for ([`Call::pressing`]) is made a second time beside the first when nothing has come
//! after [`BESIDE`]: on a connection that loses packets the next repetition may be a second away. Such calls say the same
//! twice as once.
//!
//! A call goes to the server that worked last, then round the others: to the next one when it cannot be connected to,
//! does not reply within [`PATIENCE`], or replies 5xx. After a whole round without an answer it may wait (full jitter)
//! and go round again. Two things can come of it besides a reply: some server refused ([`Refused`], not asked
//! elsewhere, because every server has the same policy), or none answered ([`Unreachable`], with each one's reason).
//!
//! Holds no state but the server list and pooled connections (`connect` makes them). Plain HTTP only; redirects are not
//! followed, and proxies of the environment are ignored, because a beat must not take a detour that its server's address
//! policy would see as the caller.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpInfo;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::connect::Connector;
use super::jitter::full_jitter;
use super::outcome::{ClientError, Refused, Reply, Unreachable};
use super::servers::{Servers, shown};

/// How long a server may take until its reply begins.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long nothing has come until a pressing call is made once more beside itself.
const BESIDE: Duration = Duration::from_millis(300);
/// The patience for a call that must not be sent twice.
const PATIENCE_ONCE: Duration = Duration::from_secs(10);
/// How long the rest of a reply may take: lists are long, and nobody's lease waits for them.
const LIST_TIME: Duration = Duration::from_secs(30);
/// The same of a write or a beat.
const REPLY_TIME: Duration = Duration::from_secs(3);
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
    http: legacy::Client<Connector, Full<Bytes>>,
    authorization: Option<HeaderValue>,
    servers: Mutex<Servers>,
    rounds: u32,
}

impl Exchange {
    /// For these servers. `rounds` is how often all of them are asked before a call fails.
    pub(super) fn new(servers: Servers, token: Option<&str>, rounds: u32) -> Result<Self, String> {
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(1)
            .pool_timer(TokioTimer::new())
            .build(Connector);
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
                        return Err(Refused { repeated: repeated || refused.repeated, ..refused }.into());
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

    /// A call whose reply is read by whoever asks for it: asked of each server once, until one begins to reply.
    pub(super) async fn open(&self, call: &Call<'_>) -> Result<(Url, Incoming), ClientError> {
        let mut unreachable = Unreachable::default();
        let order = self.servers().in_order();
        for server in order {
            let reason = match self.send(&server, call).await {
                Ok(response) if response.status().is_success() => return Ok((server, response.into_body())),
                Ok(response) => match self.refusal(&server, response, call).await {
                    Missed::Refused(refused) => return Err(refused.into()),
                    Missed::NotSent(reason) | Missed::NoReply(reason) => reason,
                },
                Err(Missed::Refused(refused)) => return Err(refused.into()),
                Err(Missed::NotSent(reason) | Missed::NoReply(reason)) => reason,
            };
            unreachable.note(shown(&server), reason);
        }
        Err(unreachable.into())
    }

    /// What a reply says that is no success.
    async fn refusal(&self, server: &Url, response: Response<Incoming>, call: &Call<'_>) -> Missed {
        let status = response.status();
        let text = tokio::time::timeout(call.reply_time(), read(response.into_body())).await;
        let refused = Refused::from_reply(status, server, &text.ok().and_then(Result::ok).unwrap_or_default());
        match is_trouble(status) {
            true => Missed::NoReply(format!("{}: {}", refused.word, refused.detail)),
            false => Missed::Refused(refused),
        }
    }

    async fn attempt<T: DeserializeOwned>(&self, server: &Url, call: &Call<'_>) -> Result<Reply<T>, Missed> {
        let response = self.send(server, call).await?;
        let status = response.status();
        let twice = response.extensions().get::<Twice>().is_some();
        let dns = dns_addresses(&response);
        let time = call.reply_time();
        let text = tokio::time::timeout(time, read(response.into_body()))
            .await
            .map_err(|_| Missed::NoReply(format!("its reply did not end within {} s", time.as_secs())))?
            .map_err(Missed::NoReply)?;
        if status.is_success() {
            let body = serde_json::from_str(&text).map_err(|error| Missed::NoReply(not_understood(&error)))?;
            return Ok(Reply { body, text, server: shown(server), dns });
        }
        let refused = Refused { repeated: twice, ..Refused::from_reply(status, server, &text) };
        match is_trouble(status) {
            true => Err(Missed::NoReply(format!("{}: {}", refused.word, refused.detail))),
            false => Err(Missed::Refused(refused)),
        }
    }

    async fn send(&self, server: &Url, call: &Call<'_>) -> Result<Response<Incoming>, Missed> {
        let request = self.request(server, call).map_err(|error| Missed::NotSent(error.to_string()))?;
        match tokio::time::timeout(call.patience(), self.answer_to(request, call.pressing)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_connect() => Err(Missed::NotSent(reason(&error))),
            Ok(Err(error)) => Err(Missed::NoReply(reason(&error))),
            Err(_) => Err(Missed::NoReply(format!("no reply within {} s", call.patience().as_secs()))),
        }
    }

    /// The first response, of one request or of two. What is not waited for any more is reset (`connect`).
    async fn answer_to(
        &self,
        request: Request<Full<Bytes>>,
        pressing: bool,
    ) -> Result<Response<Incoming>, legacy::Error> {
        let first = self.http.request(request.clone());
        if !pressing {
            return first.await;
        }
        tokio::pin!(first);
        tokio::select! {
            outcome = &mut first => return outcome,
            () = tokio::time::sleep(BESIDE) => {}
        }
        let second = self.http.request(request);
        tokio::pin!(second);
        let (outcome, other) = tokio::select! {
            outcome = &mut first => (outcome, second),
            outcome = &mut second => (outcome, first),
        };
        match outcome {
            Ok(mut response) => {
                response.extensions_mut().insert(Twice);
                Ok(response)
            }
            Err(_) => other.await,
        }
    }

    fn request(&self, server: &Url, call: &Call<'_>) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let mut request = Request::builder().method(call.method.clone()).uri(call.url(server).as_str());
        request = request.header(USER_AGENT, concat!("zonebeat/", env!("CARGO_PKG_VERSION")));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        if let Some(reason) = &call.reason {
            request = request.header(REASON_HEADER, reason.clone());
        }
        if call.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        request.body(call.body.clone().unwrap_or_default().into())
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
    body: Option<Bytes>,
    reason: Option<HeaderValue>,
    /// Not sent again once it may have arrived.
    once: bool,
    /// Made again beside itself when it takes long.
    pressing: bool,
}

/// Marks the response to a request that was made twice.
#[derive(Debug, Clone, Copy)]
struct Twice;

impl<'a> Call<'a> {
    /// A call without query and body.
    pub(super) fn new(method: Method, path: &'a [&'a str]) -> Self {
        Self { method, path, query: Vec::new(), body: None, reason: None, once: false, pressing: false }
    }

    /// With a body.
    pub(super) fn json(mut self, body: &impl Serialize) -> Self {
        self.body = Some(serde_json::to_vec(body).expect("bodies of model::api have string keys only").into());
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

    /// Somebody's lease waits for it, or what he says of himself: it may be made twice at the same time.
    pub(super) fn pressing(mut self) -> Self {
        self.pressing = true;
        self
    }

    fn patience(&self) -> Duration {
        if self.once { PATIENCE_ONCE } else { PATIENCE }
    }

    fn reply_time(&self) -> Duration {
        if self.method == Method::GET { LIST_TIME } else { self.patience().max(REPLY_TIME) }
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
async fn read(mut reply: Incoming) -> Result<String, String> {
    let mut body = Vec::new();
    while let Some(frame) = reply.frame().await {
        let frame = frame.map_err(|error| reason(&error))?;
        let data = frame.data_ref().map(AsRef::as_ref).unwrap_or_default();
        if body.len() + data.len() > BODY_LIMIT {
            return Err(format!("its reply is larger than {} MiB", BODY_LIMIT >> 20));
        }
        body.extend_from_slice(data);
    }
    String::from_utf8(body).map_err(|_| "its reply is not text".to_owned())
}

/// Where the server answers DNS. A listener on every address is reached where HTTP was.
fn dns_addresses<B>(response: &Response<B>) -> Vec<SocketAddr> {
    let header = response.headers().get(DNS_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let peer = response.extensions().get::<HttpInfo>().map(HttpInfo::remote_addr);
    let reachable = |listen: SocketAddr| match peer {
        Some(peer) if listen.ip().is_unspecified() => SocketAddr::new(peer.ip(), listen.port()),
        _ => listen,
    };
    header.split(',').filter_map(|text| text.trim().parse().ok()).map(reachable).collect()
}

/// The innermost cause of an HTTP error, which is the one that says something.
pub(super) fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::agent::servers::parse_server;

    /// The first request is never answered; the second, on another connection, is.
    #[tokio::test]
    async fn a_pressing_call_does_not_wait_for_a_connection_that_is_stuck() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let server = parse_server(&listener.local_addr().expect("it is bound").to_string()).expect("URL");
        let serve = tokio::spawn(async move {
            let stuck = listener.accept().await.expect("a connection");
            let (mut second, _) = listener.accept().await.expect("another connection");
            let reply = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
            assert_ne!(second.read(&mut [0; 1024]).await.expect("a request comes"), 0);
            second.write_all(reply).await.expect("it is read");
            (stuck, second)
        });
        let exchange = Exchange::new(Servers::new([server]), None, 1).expect("a client");
        let path = ["v1", "sessions", "host-17"];
        let outcome = exchange.call::<()>(&Call::new(Method::DELETE, &path).pressing()).await;
        let Err(ClientError::Refused(refused)) = outcome else { panic!("{outcome:?}") };
        assert_eq!((refused.status, refused.repeated), (404, true), "the first may have been applied");
        serve.await.expect("it served");
    }

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
