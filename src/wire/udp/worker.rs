//! The loop of one UDP thread: receive, handle, send.

use std::net::UdpSocket;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use super::batch::{BATCH, Received, Replies, Sent, Wait};

/// How long a worker may take to notice that it has to stop: the receive timeout of its socket.
pub(crate) const NOTICE: Duration = Duration::from_millis(100);
/// How long a stopping worker answers at most: what was queued when it stopped takes milliseconds, the rest is new.
const DRAIN: Duration = Duration::from_secs(1);
/// The pause after a receive call that failed, so that a lasting failure does not take the core.
const FAILURE_PAUSE: Duration = Duration::from_millis(20);

/// What a worker does with the datagrams it receives.
pub(crate) trait HandleBatch {
    /// Writes the replies to the `count` datagrams in `received`. Runs between two system calls and must not wait.
    fn handle(&mut self, received: &Received, count: usize, replies: &mut Replies);

    /// Hears what became of the replies.
    fn sent(&mut self, _sent: Sent) {}

    /// Hears that a receive call failed, or that handling panicked.
    fn failed(&mut self, _fault: Fault) {}
}

/// What went wrong with a whole batch.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The kernel did not hand out datagrams.
    Receive(std::io::Error),
    /// Handling panicked; the replies of the batch are lost.
    Panic,
}

/// Serves `socket` until `stop` is set and what was queued before is answered.
///
/// The socket's receive timeout is [`NOTICE`]; `with_destination` says whether it listens on the wildcard address and
/// tells which address each datagram was sent to.
#[allow(clippy::disallowed_methods)] // because a plain thread waits here, for the network or the end of the process
pub(crate) fn serve(socket: &UdpSocket, with_destination: bool, stop: &AtomicBool, handler: &mut impl HandleBatch) {
    let mut received = Received::new(with_destination);
    let mut replies = Replies::new();
    let mut drain_until = None;
    loop {
        if drain_until.is_none() && stop.load(Ordering::Relaxed) {
            drain_until = Some(Instant::now() + DRAIN);
        }
        let wait = if drain_until.is_some() { Wait::Never } else { Wait::ForOne };
        match received.receive(socket, wait) {
            Ok(0) if drain_until.is_some() => return,
            Ok(0) => continue,
            Ok(count) => turn(socket, &mut received, count, &mut replies, handler),
            Err(error) => {
                handler.failed(Fault::Receive(error));
                thread::sleep(FAILURE_PAUSE);
            }
        }
        if drain_until.is_some_and(|until| Instant::now() > until) {
            return;
        }
    }
}

/// Handles one batch and sends its replies, those of before a panic included.
fn turn(
    socket: &UdpSocket,
    received: &mut Received,
    count: usize,
    replies: &mut Replies,
    handler: &mut impl HandleBatch,
) {
    if catch_unwind(AssertUnwindSafe(|| handler.handle(received, count, replies))).is_err() {
        handler.failed(Fault::Panic);
    }
    handler.sent(replies.send(socket, received));
}

#[cfg(test)]
mod tests;
