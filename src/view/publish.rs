//! The only swap: the writer publishes, readers load.
//!
//! Readers hold a view through a guard for one batch of queries and never wait. Old views are freed on the writer's
//! side: it keeps each until no reader holds it, so that no query pays for freeing shards.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};

use super::View;

/// The current view, shared by every reader.
#[derive(Debug, Clone)]
pub struct Published(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    current: ArcSwap<View>,
    retired: Mutex<Vec<Arc<View>>>,
}

impl Published {
    /// Publishes a first view.
    pub fn new(view: View) -> Self {
        Self(Arc::new(Shared { current: ArcSwap::from_pointee(view), retired: Mutex::default() }))
    }

    /// The current view, for as long as the guard lives: one batch of queries, never longer. Does not wait.
    pub fn load(&self) -> Guard<Arc<View>> {
        self.0.current.load()
    }

    /// The current view for long work, such as a transfer.
    pub fn load_full(&self) -> Arc<View> {
        self.0.current.load_full()
    }

    /// Makes a view the current one. Only the writer calls this.
    pub fn publish(&self, view: Arc<View>) {
        let old = self.0.current.swap(view);
        let mut retired = self.0.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.push(old);
        retired.retain(|view| Arc::strong_count(view) > 1);
    }
}
