//! The body of a response, which hyper takes piece by piece as the client makes room.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use super::pulse::Pulse;

/// Octets that are given to hyper at once: what it has taken is no longer counted.
const PIECE: usize = 4 * 1024;

/// A request that is not done yet.
pub(super) struct Flight {
    pulse: Arc<Pulse>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Flight {
    pub(super) fn new(pulse: Arc<Pulse>, permit: Option<OwnedSemaphorePermit>) -> Self {
        Self { pulse, _permit: permit }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.pulse.end();
    }
}

/// What is left of an answer.
pub(super) struct Answer {
    octets: Bytes,
    flight: Flight,
    _room: Option<OwnedSemaphorePermit>,
}

impl Answer {
    pub(super) fn new(octets: Bytes, flight: Flight, room: Option<OwnedSemaphorePermit>) -> Self {
        Self { octets, flight, _room: room }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.octets.is_empty() {
            return Poll::Ready(None);
        }
        self.flight.pulse.moved();
        let size = PIECE.min(self.octets.len());
        Poll::Ready(Some(Ok(Frame::data(self.octets.split_to(size)))))
    }

    fn is_end_stream(&self) -> bool {
        self.octets.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.octets.len() as u64)
    }
}
