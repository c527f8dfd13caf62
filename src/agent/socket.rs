//! The agent's local socket: HTTP over a Unix socket, so that `curl --unix-socket` and every language can use it.
//!
//! | call | meaning |
//! | --- | --- |
//! | `GET /v1/status` | what `zonebeat agent status --json` prints |
//! | `PUT /v1/checks/{service}/{id}/pass`, `.../fail` | a report for `ttl` checks; the body is a note in words |
//!
//! Who may open the socket may report: it belongs to the agent's user and group and is closed to others. The supervisor
//! answers every call; this module carries it there. At most `MOST` connections at once, each for `LONGEST`.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::plain_http::{Answered, exchange};
use super::services::Key;
use super::status::Status;

/// Connections at once.
const MOST: usize = 32;
/// How long one may last.
const LONGEST: Duration = Duration::from_secs(5);
/// How long an agent may take to listen, and how often it is tried meanwhile.
const START: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(50);
/// The longest note.
const NOTE: usize = 4096;
/// The largest status that a client reads.
const LARGEST: usize = 16 << 20;

/// What somebody asks of the agent, and where the reply goes.
#[derive(Debug)]
pub enum Ask {
    /// How it stands.
    Status(oneshot::Sender<Box<Status>>),
    /// A service reports itself; the reply is how many checks wait for that.
    Report {
        /// Which instance.
        key: Key,
        /// Whether it is well.
        passing: bool,
        /// What it says.
        note: String,
        /// Where the number goes.
        reply: oneshot::Sender<usize>,
    },
}

/// A socket that listens; its file goes away with it.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Whoever comes next takes its place all the same.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Socket {
    /// Listens at `path`. A file that nobody listens at any more is replaced.
    pub async fn bind(path: &Path) -> io::Result<Self> {
        if UnixStream::connect(path).await.is_ok() {
            let text = format!("another agent listens at {}", path.display());
            return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes calls until it is dropped.
    pub async fn serve(self, asks: mpsc::Sender<Ask>) {
        let room = Arc::new(Semaphore::new(MOST));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let Ok(permit) = room.clone().acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let asks = asks.clone();
                    connections.spawn(async move {
                        let service = service_fn(move |request| answer(request, asks.clone()));
                        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                        // A client that hangs up or dawdles harms only itself.
                        let _ = timeout(LONGEST, connection).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!("the agent's socket cannot accept: {error}");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn answer(request: Request<Incoming>, asks: mpsc::Sender<Ask>) -> Result<Response<String>, hyper::http::Error> {
    let (status, kind, text) = match handle(request, &asks).await {
        Ok(text) => (200, "application/json", text),
        Err((status, text)) => (status, "text/plain; charset=utf-8", format!("{text}\n")),
    };
    Response::builder().status(status).header(CONTENT_TYPE, kind).body(text)
}

async fn handle(request: Request<Incoming>, asks: &mpsc::Sender<Ask>) -> Result<String, (u16, String)> {
    let stopping = || (503, "the agent is stopping".to_owned());
    let path = request.uri().path().to_owned();
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match (request.method(), parts.as_slice()) {
        (&Method::GET, ["v1", "status"]) => {
            let (reply, status) = oneshot::channel();
            asks.send(Ask::Status(reply)).await.map_err(|_| stopping())?;
            let status = status.await.map_err(|_| stopping())?;
            Ok(serde_json::to_string(&status).expect("a status has string keys only"))
        }
        (&Method::PUT, ["v1", "checks", service, id, verdict @ ("pass" | "fail")]) => {
            let key = Key { service: service.to_ascii_lowercase(), id: id.to_ascii_lowercase() };
            let passing = *verdict == "pass";
            let body = Limited::new(request.into_body(), NOTE).collect().await;
            let body = body.map_err(|_| (413, format!("a note has at most {NOTE} octets")))?.to_bytes();
            let note = String::from_utf8_lossy(&body).into_owned();
            let (reply, checks) = oneshot::channel();
            asks.send(Ask::Report { key: key.clone(), passing, note, reply }).await.map_err(|_| stopping())?;
            match checks.await.map_err(|_| stopping())? {
                0 => Err((404, format!("{key} has no ttl check here"))),
                checks => Ok(format!("{{\"checks\":{checks}}}")),
            }
        }
        (method, _) => {
            let known = "GET /v1/status, PUT /v1/checks/{service}/{id}/pass and .../fail";
            Err((404, format!("{method} {path} is not known; known are {known}")))
        }
    }
}

/// Waits until somebody listens at the socket, for as long as an agent takes to start again and no longer.
pub async fn await_listener(socket: &Path) {
    let listening = async {
        while UnixStream::connect(socket).await.is_err() {
            sleep(LOOK).await;
        }
    };
    // Whoever calls then is told why it cannot.
    let _ = timeout(START, listening).await;
}

/// Makes one call to an agent. The error says what would help.
pub async fn call(socket: &Path, method: &str, path: &str, body: &str) -> Result<String, String> {
    let stream = UnixStream::connect(socket).await.map_err(|error| {
        format!(
            "no agent answers at {} ({error}); is `zonebeat agent` running? name its socket with --socket",
            socket.display()
        )
    })?;
    let request = Request::builder().method(method).uri(path).header(HOST, "agent").body(body.to_owned());
    let request = request.map_err(|error| error.to_string())?;
    let answered = timeout(LONGEST, exchange(stream, request, LARGEST)).await;
    let answered = answered.map_err(|_| format!("the agent did not answer within {} s", LONGEST.as_secs()))?;
    let Answered { status, body } = answered.map_err(|error| format!("the agent hung up: {error}"))?;
    let text = String::from_utf8_lossy(&body).trim().to_owned();
    if status == 200 { Ok(text) } else { Err(text) }
}
