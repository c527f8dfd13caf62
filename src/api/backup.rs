//! A backup of the registry, streamed while the server runs.
//!
//! A thread reads the store and writes lines; they wait in a few buffers for the client, so memory is bounded however
//! large the registry is. As long as it is read the store keeps the pages that changed since, and its file grows, so one
//! backup is made at a time, and one that has not ended within [`MOST`] is cut. What was cut, or failed, ends without the
//! last line, and its connection ends before the body does.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Caller;
use super::query::Query;
use super::{Answer, ApiState, Shared};
use crate::model::api::BackupStatus;
use crate::model::{Refusal, Word};
use crate::registry::Registry;
use crate::registry::store::backup::Header;

/// Octets that are sent at once.
const PIECE: usize = 64 << 10;
/// Pieces that may wait for the client.
const PIECES: usize = 8;
/// How long a backup may take.
const MOST: Duration = Duration::from_secs(3600);

/// The calls of this file.
pub(super) fn routes() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::new().routes(routes!(back_up))
}

/// The backup that is being made, and the last one.
#[derive(Clone)]
pub(super) struct Backups {
    place: Arc<Semaphore>,
    last: Arc<Mutex<Option<BackupStatus>>>,
}

impl Backups {
    pub(super) fn new() -> Self {
        Self { place: Arc::new(Semaphore::new(1)), last: Arc::default() }
    }

    /// The last one that went to its client whole.
    pub(super) fn last(&self) -> Option<BackupStatus> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, Header { made, revision, .. }: &Header) {
        let last = BackupStatus { made: *made, revision: *revision };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
    }

    fn take_place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let busy = || Refusal::new(Word::Busy, "another backup is being made; try again when it is done");
        self.place.clone().try_acquire_owned().map_err(|_| busy())
    }
}

/// Back the registry up.
///
/// Everything, rows and history, at one revision, as lines of JSON: `zonebeat restore` makes a store of them. The last
/// line has counts and a checksum; a backup without it was cut off. Needs an administrator, or a local caller while
/// there is no token: hashes of tokens are in it. One at a time.
#[utoipa::path(
    get, path = "/v1/backup", tag = "health",
    responses((status = 200, description = "The backup", body = String, content_type = "application/x-ndjson")),
    security((), ("token" = [])),
)]
async fn back_up(
    State(state): Shared,
    Extension(backups): Extension<Backups>,
    Query(()): Query<()>,
    caller: Caller,
) -> Answer {
    state.loaded()?;
    caller.check_admin("a backup")?;
    let place = backups.take_place()?;
    let (sender, mut pieces) = channel(PIECES);
    let registry = state.registry.clone();
    tokio::task::spawn_blocking(move || {
        make(&registry, &sender);
        drop(place);
    });
    let first = match pieces.recv().await {
        Some(Piece::Failed(refusal)) => return Err(refusal),
        Some(first) => first,
        None => return Err(Refusal::new(Word::Internal, "the backup ended before it began")),
    };
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], body(first, pieces, backups)).into_response())
}

/// What the thread sends.
enum Piece {
    Octets(Bytes),
    /// It has been sent whole.
    Done(Box<Header>),
    Failed(Refusal),
}

/// Makes the backup, on a thread that may block.
fn make(registry: &Registry, sender: &Sender<Piece>) {
    let out = Pieces { sender, buffer: Vec::with_capacity(PIECE), until: Instant::now() + MOST };
    let last = match registry.back_up(out) {
        Ok(summary) => Piece::Done(Box::new(summary.header)),
        Err(refusal) => Piece::Failed(refusal),
    };
    let _ = sender.blocking_send(last); // whoever asked is gone
}

/// Sends what is written, in pieces.
struct Pieces<'a> {
    sender: &'a Sender<Piece>,
    buffer: Vec<u8>,
    until: Instant,
}

impl Write for Pieces<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(octets);
        if self.buffer.len() >= PIECE {
            self.flush()?;
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if Instant::now() > self.until {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("it took more than {} s", MOST.as_secs())));
        }
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        let sent = self.sender.blocking_send(Piece::Octets(piece.into()));
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the client is gone"))
    }
}

/// The pieces as a body; one that failed breaks off.
fn body(first: Piece, pieces: Receiver<Piece>, backups: Backups) -> Body {
    Body::from_stream(stream::unfold((Some(first), pieces), move |(first, mut pieces)| {
        let backups = backups.clone();
        async move {
            let piece = match first {
                Some(first) => Some(first),
                None => pieces.recv().await,
            };
            match piece {
                Some(Piece::Octets(octets)) => Some((Ok(octets), (None, pieces))),
                Some(Piece::Done(header)) => {
                    backups.note(&header);
                    None
                }
                Some(Piece::Failed(refusal)) => Some((Err(io::Error::other(refusal.detail)), (None, pieces))),
                None => Some((Err(io::Error::other("the backup ended too early")), (None, pieces))),
            }
        }
    }))
}
