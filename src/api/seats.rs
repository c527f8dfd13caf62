//! Seats for connections: how many there are, and who gives way when all are taken.
//!
//! Clients keep connections open and forget them, or open them and say nothing. When all seats are taken, the
//! connection that has been quiet for longest gives its seat to the new one, which is the one that is needed. Only
//! while every connection has a call in flight does a new one wait. A stream of events counts as quiet once it runs:
//! its client comes back and goes on where it was.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// How often those who have a call in flight are looked at again while somebody waits.
const LOOK: Duration = Duration::from_millis(50);

/// All seats of one listener. The lock is held for a look at each of them, only when none is free.
pub(super) struct Seats {
    free: Arc<Semaphore>,
    taken: Mutex<Vec<Weak<Seat>>>,
    /// Counts connections and calls: orders them without a clock.
    turn: Arc<AtomicU64>,
}

/// The seat of one connection; free again when it is dropped.
pub(super) struct Seat {
    calls: AtomicUsize,
    last: AtomicU64,
    turn: Arc<AtomicU64>,
    leave: Notify,
    _permit: OwnedSemaphorePermit,
}

/// A call in flight.
pub(super) struct Call(Arc<Seat>);

impl Seats {
    pub(super) fn new(number: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(number)), taken: Mutex::default(), turn: Arc::default() }
    }

    /// A seat, if one is free.
    pub(super) fn try_take(&self) -> Option<Arc<Seat>> {
        self.free.clone().try_acquire_owned().ok().map(|permit| self.seat(permit))
    }

    /// A seat; the quietest connection gives way if none is free.
    pub(super) async fn take(&self) -> Arc<Seat> {
        loop {
            if let Some(seat) = self.try_take() {
                return seat;
            }
            self.displace();
            if let Ok(permit) = tokio::time::timeout(LOOK, self.free.clone().acquire_owned()).await {
                return self.seat(permit.expect("the semaphore is never closed"));
            }
        }
    }

    fn seat(&self, permit: OwnedSemaphorePermit) -> Arc<Seat> {
        let last = self.turn.fetch_add(1, Ordering::Relaxed).into();
        let turn = Arc::clone(&self.turn);
        let seat = Arc::new(Seat { calls: 0.into(), last, turn, leave: Notify::new(), _permit: permit });
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.len() == taken.capacity() {
            taken.retain(|seat| seat.strong_count() > 0);
        }
        taken.push(Arc::downgrade(&seat));
        seat
    }

    /// Tells the connection to leave that has no call in flight and had its last one longest ago.
    pub(super) fn displace(&self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|seat| seat.strong_count() > 0);
        let seats = taken.iter().filter_map(Weak::upgrade);
        let idle = seats.filter(|seat| seat.calls.load(Ordering::Relaxed) == 0);
        if let Some(seat) = idle.min_by_key(|seat| seat.last.load(Ordering::Relaxed)) {
            seat.leave.notify_one();
        }
    }
}

impl Seat {
    /// Returns when the connection has to give way. A call that began in the meantime is finished first.
    pub(super) async fn displaced(&self) {
        loop {
            self.leave.notified().await;
            if self.calls.load(Ordering::Relaxed) == 0 {
                return;
            }
        }
    }

    /// Notes that a call is in flight until the returned value is dropped.
    pub(super) fn call(self: &Arc<Self>) -> Call {
        self.calls.fetch_add(1, Ordering::Relaxed);
        Call(Arc::clone(self))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.last.store(self.0.turn.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}
