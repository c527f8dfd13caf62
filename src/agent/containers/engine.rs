//! The socket of a container engine and the three calls that are made over it: list, inspect, events.
//!
//! Docker's HTTP interface, which Podman's service has as well. Paths without a version: the calls and fields that are
//! used here have been the same since long ago, and engines refuse versions that they find too old. One connection for
//! each call; the one of events stays. Every call is bounded in time and size.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::super::plain_http::{Answered, exchange};
use super::facts::{Container, Event, Listed};

/// Where engines listen, besides what the environment says.
const SOCKETS: [&str; 2] = ["/run/docker.sock", "/run/podman/podman.sock"];
/// How long a call may take. An engine that starts or stops many containers can be slow.
const CALL_TIME: Duration = Duration::from_secs(10);
/// The largest answer that is read.
const LARGEST: usize = 16 << 20;
/// The largest event.
const LARGEST_EVENT: usize = 1 << 20;
/// Running and paused containers: `{"status":["running","paused"]}`.
const LIST: &str = "/containers/json?filters=%7B%22status%22%3A%5B%22running%22%2C%22paused%22%5D%7D";
/// Events of containers: `{"type":["container"]}`.
const EVENTS: &str = "/events?filters=%7B%22type%22%3A%5B%22container%22%5D%7D";

/// Why an engine cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EngineError(String);

/// An engine that may or may not be there: the places where its socket is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    places: Vec<PathBuf>,
}

impl Engine {
    /// The engine at this socket: a path, or a path after `unix://`.
    pub fn at(socket: &str) -> Result<Self, EngineError> {
        Ok(Self { places: vec![path(socket)?] })
    }

    /// The engine of this machine: at `DOCKER_HOST`, or the first that is there of Docker's socket, Podman's, and that
    /// of Podman of this user. `variable` reads the environment.
    pub fn find(variable: impl Fn(&str) -> Option<String>) -> Result<Self, EngineError> {
        let given = |name| variable(name).filter(|text| !text.is_empty());
        if let Some(host) = given("DOCKER_HOST") {
            let wrong = |EngineError(why)| EngineError(format!("DOCKER_HOST: {why}"));
            return Self::at(&host).map_err(wrong);
        }
        let mut places: Vec<PathBuf> = SOCKETS.iter().map(PathBuf::from).collect();
        places.extend(given("XDG_RUNTIME_DIR").map(|dir| PathBuf::from(dir).join("podman/podman.sock")));
        Ok(Self { places })
    }

    /// The socket, or all that may be it.
    pub fn name(&self) -> String {
        let names: Vec<_> = self.places.iter().map(|path| path.display().to_string()).collect();
        names.join(" or ")
    }

    /// The first socket that is there, if somebody listens at it. One that is there and silent is not passed over: the
    /// containers of the next one are others.
    pub(super) async fn connect(&self) -> Result<Socket, EngineError> {
        let Some(path) = self.places.iter().find(|path| path.exists()) else {
            return Err(EngineError(format!("there is no {}", self.name())));
        };
        let connected = UnixStream::connect(path).await;
        connected.map_err(|error| EngineError(format!("no engine answers at {}: {error}", path.display())))?;
        Ok(Socket { path: path.clone() })
    }

    /// From now on only the engine at this socket, which is the one whose containers are known.
    pub(super) fn keep(&mut self, socket: &Socket) {
        self.places = vec![socket.path.clone()];
    }
}

/// A path as people and `DOCKER_HOST` write it.
fn path(socket: &str) -> Result<PathBuf, EngineError> {
    let path = socket.strip_prefix("unix://").unwrap_or(socket);
    match path.starts_with('/') || (!path.is_empty() && !path.contains("://")) {
        true => Ok(path.into()),
        false => Err(EngineError(format!(
            "\"{}\" is not a Unix socket; write it as /run/docker.sock or unix:///run/podman/podman.sock. Engines on \
             other hosts are for the agents of those hosts",
            socket.escape_debug()
        ))),
    }
}

/// A socket at which an engine listened.
#[derive(Debug, Clone)]
pub(super) struct Socket {
    path: PathBuf,
}

impl Socket {
    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The containers that run or are paused.
    pub(super) async fn list(&self) -> Result<Vec<Listed>, EngineError> {
        match self.get(LIST).await? {
            (200, body) => serde_json::from_slice(&body).map_err(said),
            (other, body) => Err(EngineError(format!("GET /containers/json: {}", refusal(other, &body)))),
        }
    }

    /// One container. That the engine cannot tell about it is no error: it can about others.
    pub(super) async fn inspect(&self, id: &str) -> Result<Inspected, EngineError> {
        let right = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if id.is_empty() || !id.chars().all(right) {
            return Ok(Inspected::Unclear(format!("\"{}\" is no id of a container", id.escape_debug())));
        }
        Ok(match self.get(&format!("/containers/{id}/json")).await? {
            (200, body) => match serde_json::from_slice(&body) {
                Ok(container) => Inspected::There(container),
                Err(error) => Inspected::Unclear(error.to_string()),
            },
            (404, _) => Inspected::Gone,
            (other, body) => Inspected::Unclear(refusal(other, &body)),
        })
    }

    /// What happens to containers from now on.
    pub(super) async fn events(&self) -> Result<Events, EngineError> {
        let asking = async {
            let stream = UnixStream::connect(&self.path).await.map_err(said)?;
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(said)?;
            let mut connection: Connection = Box::pin(async move {
                // The body says that it has ended, and why.
                let _ = connection.await;
            });
            let response = tokio::select! {
                biased;
                response = sender.send_request(request(EVENTS)?) => response.map_err(said)?,
                () = &mut connection => return Err(EngineError("hung up".to_owned())),
            };
            match response.status().as_u16() {
                200 => Ok(Events { body: response.into_body(), connection, open: true, read: Vec::new() }),
                other => Err(EngineError(format!("answered {other}"))),
            }
        };
        let events = timeout(CALL_TIME, asking).await.unwrap_or_else(|_| Err(late()));
        events.map_err(|why| EngineError(format!("GET /events: {why}")))
    }

    /// What is at a path: the status and the body.
    async fn get(&self, path: &str) -> Result<(u16, Vec<u8>), EngineError> {
        let asking = async {
            let stream = UnixStream::connect(&self.path).await.map_err(said)?;
            let Answered { status, body } = exchange(stream, request(path)?, LARGEST).await.map_err(EngineError)?;
            match body.len() < LARGEST {
                true => Ok((status, body)),
                false => Err(EngineError(format!("the answer has more than {LARGEST} octets"))),
            }
        };
        let answer = timeout(CALL_TIME, asking).await.unwrap_or_else(|_| Err(late()));
        let short = path.split('?').next().unwrap_or(path);
        answer.map_err(|why| EngineError(format!("GET {short}: {why}")))
    }
}

/// What an engine says about a container.
#[derive(Debug)]
pub(super) enum Inspected {
    /// This.
    There(Box<Container>),
    /// It is not there any more.
    Gone,
    /// Something that is not understood.
    Unclear(String),
}

type Connection = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A stream of events.
pub(super) struct Events {
    body: Incoming,
    connection: Connection,
    /// The connection has to be driven on.
    open: bool,
    /// What has come of the next event, and of those behind it.
    read: Vec<u8>,
}

impl Events {
    /// The next event; the error is why there will be none. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Result<Event, EngineError> {
        loop {
            if let Some(end) = self.read.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                // An event that is not understood is one of something else.
                if let Ok(event) = serde_json::from_slice(&line) {
                    return Ok(event);
                }
                continue;
            }
            let frame = tokio::select! {
                biased;
                frame = self.body.frame() => frame,
                () = &mut self.connection, if self.open => {
                    self.open = false;
                    continue;
                }
            };
            match frame {
                Some(Ok(frame)) => self.read.extend_from_slice(frame.data_ref().map(AsRef::as_ref).unwrap_or_default()),
                Some(Err(error)) => return Err(said(error)),
                None => return Err(EngineError("the engine has ended its events".to_owned())),
            }
            if self.read.len() > LARGEST_EVENT {
                return Err(EngineError(format!("an event has more than {LARGEST_EVENT} octets")));
            }
        }
    }
}

fn request(path: &str) -> Result<Request<String>, EngineError> {
    Request::builder().uri(path).header(HOST, "localhost").body(String::new()).map_err(said)
}

fn refusal(status: u16, body: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
    format!("answered {status}: {}", text.trim())
}

fn said(error: impl std::fmt::Display) -> EngineError {
    EngineError(error.to_string())
}

fn late() -> EngineError {
    EngineError(format!("no answer within {} s", CALL_TIME.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> Result<String, String> {
        let read = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned());
        Engine::find(read).map(|engine| engine.name()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_environment_names_the_socket() {
        assert_eq!(found(&[("DOCKER_HOST", "unix:///x/y.sock")]), Ok("/x/y.sock".into()));
        assert_eq!(found(&[("DOCKER_HOST", "")]), Ok("/run/docker.sock or /run/podman/podman.sock".into()));
        let all = found(&[("XDG_RUNTIME_DIR", "/run/user/7")]).expect("places");
        assert!(all.ends_with(" or /run/user/7/podman/podman.sock"), "{all}");
        let refused = found(&[("DOCKER_HOST", "tcp://192.0.2.1:2375")]).expect_err("a port of another host");
        assert!(refused.starts_with("DOCKER_HOST: \"tcp://192.0.2.1:2375\" is not a Unix socket"), "{refused}");
    }

    #[tokio::test]
    async fn a_socket_that_is_there_is_not_passed_over() {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let (first, second) = (dir.path().join("first"), dir.path().join("second"));
        let mut engine = Engine { places: vec![first.clone(), second.clone()] };
        let why = engine.connect().await.expect_err("neither is there").to_string();
        assert!(why.starts_with("there is no ") && why.contains(" or "), "{why}");
        let _second = tokio::net::UnixListener::bind(&second).expect("it can be bound");
        drop(tokio::net::UnixListener::bind(&first).expect("it can be bound"));
        let why = engine.connect().await.expect_err("the first has been left behind").to_string();
        assert!(why.contains("first: "), "{why}");
        std::fs::remove_file(&first).expect("it can be removed");
        let socket = engine.connect().await.expect("the second is there");
        engine.keep(&socket);
        let _first = tokio::net::UnixListener::bind(&first).expect("it can be bound");
        assert_eq!(engine.connect().await.expect("it is kept").path(), second);
    }

    #[test]
    fn events_are_read_as_docker_and_podman_write_them() {
        let docker = r#"{"status":"health_status: healthy","id":"a","from":"x","Type":"container",
            "Action":"health_status: healthy","Actor":{"ID":"a","Attributes":{"name":"web"}},"scope":"local","time":1}"#;
        let podman =
            r#"{"status":"die","id":"a","Action":"die","Actor":{"ID":"a","Attributes":null},"HealthStatus":""}"#;
        let read = |text| serde_json::from_str::<Event>(text).expect("an event");
        assert_eq!(read(docker).action, "health_status: healthy");
        assert_eq!(read(docker).actor.attributes["name"], "web");
        assert!(read(podman).actor.attributes.is_empty());
    }
}
