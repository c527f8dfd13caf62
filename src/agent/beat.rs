//! The life of a registration: register, beat when the server says, leave when asked to.
//!
//! What it holds: the incarnation that the server gave, and since when no server answers. Shape:
//!
//! ```text
//!   register --ok--> beat --stop--> leave --> done
//!      ^  | no server  |  | no server: wait (jitter), beat again
//!      |  +-- wait     |  +-- ...
//!      +--unknown------+--old incarnation, refused--> lost
//! ```
//!
//! Only the task that runs [`run`] changes it. A crash of this process is what leases are for: the instance lapses. A
//! process that is asked to stop leaves within [`LEAVE_TIME`] or lets the lease do it. A fleet that lost its server
//! comes back spread out: retries wait with full jitter, beats are timed by the server, which adds its own jitter.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Client;
use super::jitter::full_jitter;
use super::outcome::{ClientError, Refused, Unreachable};
use crate::model::Word;
use crate::model::api::{Beat, Beaten, Registered, Registration};

/// The most time that leaving may take, all attempts together.
pub const LEAVE_TIME: Duration = Duration::from_secs(3);
/// The first wait after a failure; doubles with each.
const RETRY_BASE: Duration = Duration::from_millis(250);
/// The longest wait between two attempts to register.
const RETRY_CAP: Duration = Duration::from_secs(10);
/// The longest wait between two attempts to leave.
const LEAVE_CAP: Duration = Duration::from_millis(500);
/// The bounds of what a server may say about when to beat.
const HEARTBEAT: std::ops::RangeInclusive<f64> = 0.05..=3600.0;

/// Carries the three calls of a registration's life; a test carries them to nowhere.
pub trait Transport: Sync {
    /// Registers.
    fn register(&self) -> impl Future<Output = Result<Enrolled, ClientError>> + Send;
    /// Beats for that incarnation.
    fn beat(&self, incarnation: u64) -> impl Future<Output = Result<Beaten, ClientError>> + Send;
    /// Takes that incarnation out.
    fn leave(&self, incarnation: u64) -> impl Future<Output = Result<(), ClientError>> + Send;
}

/// What came of a registration.
#[derive(Debug, Clone, PartialEq)]
pub struct Enrolled {
    /// The server's reply.
    pub registered: Registered,
    /// The server that gave it.
    pub server: String,
    /// Where that server answers DNS, if it said so.
    pub dns: Vec<SocketAddr>,
}

/// What happened, for a log.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// It is registered; `again` when not for the first time.
    Registered {
        /// The reply.
        enrolled: Enrolled,
        /// Whether it had been registered before.
        again: bool,
    },
    /// The first attempt that no server answered; those that follow are not reported.
    Unreachable(Unreachable),
    /// A server answers again.
    Reachable,
    /// The lease had run out; the beat brought the instance back.
    Returned,
    /// The server does not know the instance; it is registered again.
    Forgotten,
    /// It has left, or was gone already.
    Left,
    /// It could not leave, and why; its lease will run out.
    NotLeft(String),
}

/// Why a registration ended although nobody asked it to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The server refused it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Another process registered the same id.
    #[error("another process has registered this id ({0}); give each process its own --id")]
    TakenOver(Refused),
}

/// Registers, beats until `stop` is cancelled, then leaves. Retries for ever while no server answers.
pub async fn run<T: Transport>(transport: &T, stop: &CancellationToken, report: impl FnMut(Event)) -> Result<(), Lost> {
    let mut life = Life { transport, stop, report, reachable: true };
    let end = tokio::select! {
        end = life.live() => Some(end),
        () = time_to_leave_is_over(stop) => None,
    };
    end.unwrap_or_else(|| {
        let why = format!("no server took it within {} s", LEAVE_TIME.as_secs());
        (life.report)(Event::NotLeft(why));
        Ok(())
    })
}

async fn time_to_leave_is_over(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(LEAVE_TIME).await;
}

struct Life<'a, T, R> {
    transport: &'a T,
    stop: &'a CancellationToken,
    report: R,
    reachable: bool,
}

/// How the beating of one incarnation ended.
enum Next {
    RegisterAgain,
    Leave,
}

impl<T: Transport, R: FnMut(Event)> Life<'_, T, R> {
    async fn live(&mut self) -> Result<(), Lost> {
        let mut again = false;
        while let Some(enrolled) = self.register().await? {
            let Registered { incarnation, heartbeat_seconds, .. } = enrolled.registered;
            (self.report)(Event::Registered { enrolled, again });
            match self.beat(incarnation, heartbeat(heartbeat_seconds)).await? {
                Next::RegisterAgain => again = true,
                Next::Leave => return self.leave(incarnation).await,
            }
        }
        Ok(())
    }

    /// `None` when it was asked to stop before any server took it. A request under way is not broken off: it may be
    /// done already, and then there is something to leave.
    async fn register(&mut self) -> Result<Option<Enrolled>, Lost> {
        let mut attempt = 0;
        while !self.stop.is_cancelled() {
            match self.transport.register().await {
                Ok(enrolled) => {
                    self.reached();
                    return Ok(Some(enrolled));
                }
                Err(ClientError::Refused(refused)) => return Err(refused.into()),
                Err(ClientError::Unreachable(why)) => self.missed(why),
            }
            self.unless_stopped(sleep(full_jitter(attempt, RETRY_BASE, RETRY_CAP))).await;
            attempt += 1;
        }
        Ok(None)
    }

    async fn beat(&mut self, incarnation: u64, first: Duration) -> Result<Next, Lost> {
        let (mut interval, mut wait, mut attempt) = (first, first, 0);
        loop {
            if self.unless_stopped(sleep(wait)).await.is_none() {
                return Ok(Next::Leave);
            }
            let Some(outcome) = self.unless_stopped(self.transport.beat(incarnation)).await else {
                return Ok(Next::Leave);
            };
            match outcome {
                Ok(beaten) => {
                    self.reached();
                    if beaten.returned {
                        (self.report)(Event::Returned);
                    }
                    interval = heartbeat(beaten.heartbeat_seconds);
                    (wait, attempt) = (interval, 0);
                }
                Err(ClientError::Unreachable(why)) => {
                    self.missed(why);
                    wait = full_jitter(attempt, RETRY_BASE, interval);
                    attempt += 1;
                }
                Err(ClientError::Refused(refused)) => return self.refused_beat(refused),
            }
        }
    }

    fn refused_beat(&mut self, refused: Refused) -> Result<Next, Lost> {
        self.reached();
        if refused.word == Word::UnknownInstance.as_str() {
            (self.report)(Event::Forgotten);
            return Ok(Next::RegisterAgain);
        }
        if refused.word == Word::OldIncarnation.as_str() {
            return Err(Lost::TakenOver(refused));
        }
        Err(refused.into())
    }

    /// Tries until a server has an opinion; [`run`] bounds how long.
    async fn leave(&mut self, incarnation: u64) -> Result<(), Lost> {
        let mut attempt = 0;
        loop {
            match self.transport.leave(incarnation).await {
                Ok(()) => break (self.report)(Event::Left),
                Err(ClientError::Refused(refused)) if is_gone(&refused) => break (self.report)(Event::Left),
                Err(ClientError::Refused(refused)) => break (self.report)(Event::NotLeft(refused.to_string())),
                Err(ClientError::Unreachable(_)) => sleep(full_jitter(attempt, RETRY_BASE, LEAVE_CAP)).await,
            }
            attempt += 1;
        }
        Ok(())
    }

    /// The output, or `None` when it was asked to stop before.
    async fn unless_stopped<F: Future>(&self, future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            output = future => Some(output),
        }
    }

    fn reached(&mut self) {
        if !self.reachable {
            self.reachable = true;
            (self.report)(Event::Reachable);
        }
    }

    fn missed(&mut self, why: Unreachable) {
        if self.reachable {
            self.reachable = false;
            (self.report)(Event::Unreachable(why));
        }
    }
}

/// Whether the instance is no longer there, or no longer ours.
fn is_gone(refused: &Refused) -> bool {
    [Word::UnknownInstance, Word::OldIncarnation].iter().any(|word| word.as_str() == refused.word)
}

/// When to beat, within bounds, whatever the server wrote.
fn heartbeat(seconds: f64) -> Duration {
    let seconds = if seconds.is_finite() { seconds } else { *HEARTBEAT.end() };
    Duration::from_secs_f64(seconds.clamp(*HEARTBEAT.start(), *HEARTBEAT.end()))
}

/// One instance over HTTP.
#[derive(Debug)]
pub struct LoneInstance {
    /// Asks each server once per attempt; the waits are this module's.
    pub client: Client,
    /// Service label.
    pub service: String,
    /// Instance label.
    pub id: String,
    /// The body.
    pub registration: Registration,
}

impl Transport for LoneInstance {
    async fn register(&self) -> Result<Enrolled, ClientError> {
        let reply = self.client.register(&self.service, &self.id, &self.registration).await?;
        Ok(Enrolled { registered: reply.body, server: reply.server, dns: reply.dns })
    }

    async fn beat(&self, incarnation: u64) -> Result<Beaten, ClientError> {
        let reply = self.client.beat(&self.service, &self.id, &Beat { incarnation: Some(incarnation) }).await?;
        self.client.learn(&reply.body.servers);
        Ok(reply.body)
    }

    async fn leave(&self, incarnation: u64) -> Result<(), ClientError> {
        self.client.deregister(&self.service, &self.id, Some(incarnation), Some("stopped")).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests;
