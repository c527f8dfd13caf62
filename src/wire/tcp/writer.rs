//! The writing half of a connection: queued answers go out together, streams behind them.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, timeout_at};

/// Octets that are written at once, where there are so many.
const COALESCE: usize = 16 * 1024;

/// An answer on its way to the client.
pub(super) struct Message {
    /// The message behind its length.
    pub(super) octets: Vec<u8>,
    /// What it counts against while it waits: one query, and its octets.
    pub(super) _permits: [OwnedSemaphorePermit; 2],
}

/// Puts the length of a message before it.
pub(in crate::wire) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("messages are made in buffers of at most 65,535 octets");
    let mut octets = Vec::with_capacity(2 + message.len());
    octets.extend_from_slice(&length.to_be_bytes());
    octets.extend_from_slice(message);
    octets
}

/// Writes until both queues are closed and empty, then ends the stream.
///
/// Fails when the client takes longer than `stall` for one piece, or has not read its answers by the first of the
/// `deadlines`, its streams by the second.
pub(super) async fn write<W: AsyncWrite + Unpin>(
    mut socket: W,
    mut answers: mpsc::Receiver<Message>,
    mut streams: mpsc::Receiver<Vec<u8>>,
    stall: Duration,
    deadlines: [Instant; 2],
) -> io::Result<()> {
    let by_stall = |deadline: Instant| deadline.min(Instant::now() + stall);
    loop {
        tokio::select! {
            biased;
            Some(first) = answers.recv() => {
                let mut octets = Vec::new();
                let mut permits = Vec::new();
                let mut next = Some(first);
                while let Some(Message { octets: message, _permits }) = next {
                    octets.extend_from_slice(&message);
                    permits.push(_permits);
                    next = if octets.len() < COALESCE { answers.try_recv().ok() } else { None };
                }
                timeout_at(by_stall(deadlines[0]), send(&mut socket, &octets)).await??;
            }
            Some(message) = streams.recv() => {
                timeout_at(by_stall(deadlines[1]), send(&mut socket, &message)).await??;
            }
            else => return socket.shutdown().await,
        }
    }
}

/// Writes to the end: what encrypts keeps octets back until it is flushed.
async fn send<W: AsyncWrite + Unpin>(socket: &mut W, octets: &[u8]) -> io::Result<()> {
    socket.write_all(octets).await?;
    socket.flush().await
}
