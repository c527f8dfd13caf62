//! The only swap: the writer publishes, readers load.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::View;

/// The current view, shared by every reader.
#[derive(Debug, Clone)]
pub struct Published(Arc<ArcSwap<View>>);

impl Published {
    /// Publishes a first view.
    pub fn new(view: View) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(view)))
    }

    /// The current view, for as long as the guard lives: one batch of queries, never longer. Does not wait.
    pub fn load(&self) -> Guard<Arc<View>> {
        self.0.load()
    }

    /// The current view for long work, such as a transfer.
    pub fn load_full(&self) -> Arc<View> {
        self.0.load_full()
    }
}
