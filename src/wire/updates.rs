//! UPDATE messages (RFC 2136) on their way to the registry, and their answers on the way back.
//!
//! A message that comes here ends in a good signature; others are refused where they are decoded. It is handed to a
//! task, because the answer waits until the change is durable and published: a worker goes on with queries meanwhile.
//! At most `AT_ONCE` are under way, the next one is answered with SERVFAIL; when the server stops, those that came over
//! UDP have a second to be answered, and those of a connection as long as it has. What is in a message is for whoever
//! implements [`AnswerUpdates`], which is another edge.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use super::decode::{ErrorReply, Origin, UPDATE, opcode, read_update};
use super::error::{MAX_ERROR, write_error};
use super::respond::MAX_TCP;
use super::rules::Rules;
use super::tsig::{Refused, SignedPacket, Signer, now};
use crate::answer::{Ede, Rcode};
use crate::security::Key;

/// Updates that may wait for the registry.
const AT_ONCE: usize = 256;
/// How long answers have when the server stops.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// Seconds between two log lines about signatures that are not good.
const COMPLAIN: u64 = 10;
/// Octets of padding that a response over an encrypted transport may have.
const PADDING: usize = 512;

/// Does what UPDATE messages ask.
pub trait AnswerUpdates: std::fmt::Debug + Send + Sync + 'static {
    /// The answer to one message, when it is durable and published, or refused.
    fn answer(&self, update: SignedUpdate) -> BoxFuture<'static, Answered>;
}

/// A message whose signature is good.
#[derive(Debug, Clone)]
pub struct SignedUpdate {
    /// The message without its signature.
    pub message: Vec<u8>,
    /// Who signed it.
    pub key: Arc<Key>,
    /// Who sent it.
    pub client: IpAddr,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The response code.
    pub rcode: Rcode,
    /// Code and text of the extended error.
    pub extended: Option<(u16, String)>,
}

/// Where updates are handed over.
#[derive(Debug)]
pub struct Desk {
    handler: Arc<dyn AnswerUpdates>,
    room: Arc<Semaphore>,
    runtime: Handle,
    /// What answers datagrams.
    tasks: TaskTracker,
    /// When a signature that is not good was logged last, in seconds since 1970, and how many were not since.
    complained: AtomicU64,
    unsaid: AtomicU64,
}

/// A message that was handed over.
pub(super) struct Pending {
    update: SignedUpdate,
    signer: Signer,
    origin: Origin,
    room: Option<OwnedSemaphorePermit>,
    rules: Arc<Rules>,
}

impl Desk {
    /// Hands updates to `handler`, in the current runtime.
    pub fn new(handler: Arc<dyn AnswerUpdates>) -> Self {
        let room = Arc::new(Semaphore::new(AT_ONCE));
        let (complained, unsaid) = Default::default();
        Self { handler, room, runtime: Handle::current(), tasks: TaskTracker::new(), complained, unsaid }
    }

    /// Says that a signature is not good, once in [`COMPLAIN`] and otherwise by number: everybody can send one.
    fn complain(&self, signed: &SignedPacket<'_>, why: Refused) {
        let (now, last) = (now(), self.complained.load(Ordering::Relaxed));
        let is_turn = now.abs_diff(last) >= COMPLAIN
            && self.complained.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if !is_turn {
            self.unsaid.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let unsaid = self.unsaid.swap(0, Ordering::Relaxed);
        let (key, client) = (signed.key_name().unwrap_or_default(), signed.origin.client);
        // A worker does not wait for whoever reads the log.
        self.runtime.spawn_blocking(move || {
            let (rcode, text) = (why.rcode(), why.extended().text);
            tracing::info!(key, %client, %rcode, text, unsaid, "UPDATE with a signature that is not good");
        });
    }

    /// Runs what becomes of a datagram.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(work, &self.runtime);
    }

    /// The tasks that answer datagrams, for whoever stops the server.
    pub(super) fn tasks(&self) -> TaskTracker {
        self.tasks.clone()
    }
}

/// Waits a second at most until datagrams that came before the stop are answered.
pub(super) async fn finish(tasks: Option<TaskTracker>) {
    let Some(tasks) = tasks else { return };
    tasks.close();
    let _ = tokio::time::timeout(LAST_ANSWERS, tasks.wait()).await; // clients that hear nothing ask again
}

/// Takes a signed message if it is an UPDATE with a good signature.
#[cold]
pub(super) fn take(rules: &Arc<Rules>, signed: &SignedPacket<'_>) -> Option<Pending> {
    let desk = rules.updates.as_ref()?;
    let flags = u16::from_be_bytes([signed.packet[2], signed.packet[3]]);
    if opcode(flags) != UPDATE {
        return None;
    }
    let mut opened = signed.open(&rules.keys.load(), now());
    let key = match opened.verdict {
        Ok(key) => key,
        Err(why) => {
            desk.complain(signed, why);
            return None;
        }
    };
    let signer = opened.signer.take()?;
    let room = desk.room.clone().try_acquire_owned().ok();
    let update = SignedUpdate { message: opened.message, key, client: signed.origin.client };
    Some(Pending { update, signer, origin: signed.origin, room, rules: rules.clone() })
}

impl Pending {
    /// Waits for the answer and writes the response.
    pub(super) async fn response(self) -> (Vec<u8>, Rcode) {
        let Self { update, mut signer, origin, room, rules } = self;
        let message = update.message.clone();
        let reply = read_update(&message, origin);
        let answered = match &rules.updates {
            _ if reply.rcode != Rcode::NOERROR => Answered { rcode: reply.rcode, extended: None },
            Some(desk) if room.is_some() => desk.handler.answer(update).await,
            _ => busy(),
        };
        let mut octets = write(&reply, &answered, &rules, signer.length());
        signer.sign_message(&mut octets, now());
        (octets, answered.rcode)
    }
}

fn busy() -> Answered {
    let text = format!("{AT_ONCE} updates are waiting already; try again in a second");
    Answered { rcode: Rcode::SERVFAIL, extended: Some((Ede::OTHER, text)) }
}

/// The response, without the words if there is no room for them.
fn write(reply: &ErrorReply<'_>, answered: &Answered, rules: &Rules, signature: usize) -> Vec<u8> {
    let limit = match reply.origin.transport.is_datagram() {
        true => rules.udp.limit(reply.origin.client, reply.edns.map(|edns| edns.udp_size)),
        false => MAX_TCP,
    };
    let extended = answered.extended.as_ref().map(|(code, text)| Ede { code: *code, text });
    let mut octets = vec![0; MAX_ERROR + PADDING];
    let mut length = 0;
    for extended in [extended, None] {
        let reply = ErrorReply { rcode: answered.rcode, extended, ..*reply };
        length = write_error(&reply, rules.udp.max as u16, &mut octets);
        if length + signature <= limit {
            break;
        }
    }
    octets.truncate(length);
    octets
}
