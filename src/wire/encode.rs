//! An answer becomes octets.

use crate::answer::{Answer, Query};
use crate::view::View;

/// The largest message over UDP that this server is ever configured to send.
pub const MAX_UDP: usize = 8192;

/// Writes the whole response message into `out` and returns its length.
///
/// `limit` is the largest message that the client takes (see `wire::limits`); `out` has at least that room. What does
/// not fit: the additional section goes first, then TC is set and the answer section stays empty.
pub fn encode(view: &View, query: &Query<'_>, answer: &Answer<'_>, limit: usize, out: &mut [u8]) -> usize {
    todo!()
}
