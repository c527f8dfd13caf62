//! AXFR against a view: pure (RFC 5936).

use std::sync::Arc;

use crate::answer::Query;
use crate::model::Name;
use crate::view::View;

/// The messages of one zone transfer, made one by one from one view.
pub struct Transfer {}

impl Transfer {
    /// Starts a transfer of the zone whose apex is the query's name; `None` if there is no such zone here.
    pub fn start(view: Arc<View>, query: &Query<'_>) -> Option<Self> {
        todo!()
    }

    /// The zone that is transferred.
    pub fn zone(&self) -> &Name {
        todo!()
    }

    /// Writes the next message (without the TCP length) into `message`, which it clears; `false` after the last one.
    pub fn next_message(&mut self, message: &mut Vec<u8>) -> bool {
        todo!()
    }
}
