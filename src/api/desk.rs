//! Where long reads are made: walks over all services or instances, tens of milliseconds each.
//!
//! They are made on threads that may block, a few at a time, so that neither the calls of others nor the other cores
//! notice; who comes when all desks are taken waits. A walk that has begun goes on to its end when its caller has gone.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::model::{Refusal, Word};

/// Long reads at the same time.
const DESKS: usize = 2;

/// All desks.
#[derive(Clone)]
pub(super) struct Desk(Arc<Semaphore>);

impl Desk {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(DESKS)))
    }

    /// Does the work when there is a place.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let failed = |error: &dyn std::fmt::Display| Refusal::new(Word::Internal, format!("the read failed: {error}"));
        let place = self.0.clone().acquire_owned().await.map_err(|error| failed(&error))?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(place);
            done
        });
        done.await.map_err(|error| failed(&error))
    }
}
