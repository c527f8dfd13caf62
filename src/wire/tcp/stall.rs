//! Whether a client takes what waits for it.
//!
//! Each seat notes since when octets wait for its client without any of them being taken, in one atomic that the
//! connection writes and [`super::clients`] reads. A patience is earned: a connection whose client has read for a
//! second or more may pause for a second, a new one for less, so that clients that connect again and again only to
//! stall do not keep the places that they take.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::clients::Seat;

/// How long a client may take nothing before its connection gives way: one that has only come, and one that has read.
pub(super) const PATIENCE: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];
/// Nothing waits for the client.
const NOTHING: u64 = 0;

/// Since when a client has taken nothing of what waits for it.
pub(in crate::wire) struct Stall {
    pub(super) born: Instant,
    /// Milliseconds from `born` and one.
    since: AtomicU64,
}

impl Stall {
    pub(super) fn new(born: Instant) -> Self {
        Self { born, since: AtomicU64::new(NOTHING) }
    }

    /// Something waits for the client, from now on if nothing did before.
    fn begin(&self) {
        if self.since.load(Ordering::Relaxed) == NOTHING {
            self.moved();
        }
    }

    /// The client took something, and more may wait from now on.
    pub(in crate::wire) fn moved(&self) {
        let age = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.since.store(age + 1, Ordering::Relaxed);
    }

    /// Nothing waits for the client now.
    pub(in crate::wire) fn end(&self) {
        self.since.store(NOTHING, Ordering::Relaxed);
    }

    /// Since when, and whether that is too long.
    pub(super) fn since(&self, now: Instant) -> Option<(Instant, bool)> {
        let age = Duration::from_millis(self.since.load(Ordering::Relaxed).checked_sub(1)?);
        let since = self.born + age;
        Some((since, now >= since + age.clamp(PATIENCE[0], PATIENCE[1])))
    }
}

/// A stream that notes when it has to wait for its client.
pub(in crate::wire) struct Watched<S> {
    stream: S,
    seat: Arc<Seat>,
}

impl<S> Watched<S> {
    pub(in crate::wire) fn new(stream: S, seat: Arc<Seat>) -> Self {
        Self { stream, seat }
    }

    fn note<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match written {
            Poll::Pending => self.seat.stall.begin(),
            Poll::Ready(_) => self.seat.stall.end(),
        }
        written
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, octets);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}
