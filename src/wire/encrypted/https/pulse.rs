//! Whether a connection still does something: when it has to end if nothing more happens.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::body::Flight;
use crate::wire::limits::TcpLimits;
use crate::wire::tcp::{Admission, LINGER, Seat};

/// The heart of one connection.
pub(super) struct Pulse {
    born: Instant,
    limits: TcpLimits,
    seat: Arc<Seat>,
    /// When the last request ended.
    last: Mutex<Instant>,
    answered: AtomicBool,
    in_flight: AtomicU64,
}

impl Pulse {
    pub(super) fn new(admission: &Admission, limits: &TcpLimits) -> Self {
        Self {
            born: admission.born,
            limits: limits.clone(),
            seat: admission.seat.clone(),
            last: Mutex::new(admission.born),
            answered: AtomicBool::new(false),
            in_flight: AtomicU64::new(0),
        }
    }

    /// A request begins; it is in flight until what this returns is dropped. Waits while there are too many.
    pub(super) async fn begin(self: &Arc<Self>) -> Flight {
        let permit = self.seat.flight().await.ok(); // nobody closes the semaphore
        if self.in_flight.fetch_add(1, Ordering::AcqRel) == 0 {
            self.touch();
        }
        Flight::new(self.clone(), permit)
    }

    /// A request has ended, and its answer was taken or given up.
    pub(super) fn end(&self) {
        self.touch();
        self.moved();
        self.answered.store(true, Ordering::Release);
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
    }

    /// The client has taken a piece of an answer.
    pub(super) fn moved(&self) {
        self.seat.stall.moved();
    }

    fn touch(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// When the connection has to end, as things are.
    pub(super) fn deadline(&self) -> Instant {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let patience = match (self.answered.load(Ordering::Acquire), self.in_flight.load(Ordering::Acquire)) {
            (false, _) => self.born + self.limits.first_query,
            (true, 0) => last + self.limits.idle,
            (true, _) => last + self.limits.write_stall,
        };
        patience.min(self.end_of_life())
    }

    /// When to see how things are: the deadline may come nearer when a request begins.
    pub(super) fn next_look(&self) -> Instant {
        self.deadline().min(Instant::now() + self.limits.write_stall)
    }

    /// Whether the deadline has passed, and how long what is in flight may then take.
    pub(super) fn is_over(&self) -> Option<Duration> {
        let now = Instant::now();
        if now < self.deadline() {
            return None;
        }
        Some(if now < self.end_of_life() { LINGER } else { self.limits.write_stall })
    }

    fn end_of_life(&self) -> Instant {
        self.born + self.limits.lifetime
    }
}
