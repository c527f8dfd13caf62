//! The only swap: the writer publishes, readers load.
//!
//! Readers hold a view through a guard for one batch of queries and never wait. Old views are freed on the writer's
//! side: it keeps each until no reader holds it, so that no query pays for freeing shards. What it keeps is what
//! readers hold, one view for each of them at most (a worker's batch, a transfer of which there are only so many at
//! once), however many were published since; and of a view only the shards that were replaced after it are its own.
//! Freeing one gives back those and counts down some hundred pointers.

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Revision;
    use crate::view::Table;

    fn view(revision: u64) -> View {
        View {
            revision: Revision(revision),
            stale: false,
            fleet_held: false,
            restricted: false,
            minimal: false,
            explain_to: [].into(),
            server: Arc::default(),
            zones: [].into(),
            table: Table::empty(7),
            tallies: Default::default(),
        }
    }

    #[test]
    fn a_view_that_is_held_keeps_none_of_those_after_it() {
        let published = Published::new(view(0));
        let held = published.load_full();
        let mut later = Vec::new();
        for revision in 1..100 {
            let next = Arc::new(view(revision));
            later.push(Arc::downgrade(&next));
            published.publish(next);
        }
        let retired = || published.0.retired.lock().unwrap_or_else(PoisonError::into_inner).len();
        assert_eq!((retired(), held.revision), (1, Revision(0)));
        assert_eq!(later.iter().filter(|view| view.strong_count() > 0).count(), 1, "the current one");
        drop(held);
        published.publish(Arc::new(view(100)));
        assert_eq!(retired(), 0);
    }
}
