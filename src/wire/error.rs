//! Responses that say only what is wrong.

use super::decode::{ErrorReply, FLAG_QR, FLAG_RD, opcode};
use super::message::Message;
use super::opt::Opt;

/// The most octets that [`write_error`] writes, padding apart: header, the longest question, OPT with what fits of an
/// extended error.
pub const MAX_ERROR: usize = 512;

/// Writes the response to `out`, which has room for [`MAX_ERROR`] octets, and returns its length. `udp_size` is what
/// the server announces in OPT. Padding over an encrypted transport fills a block of `out` if it is that long.
///
/// Id and opcode are those of the query; so are RD and the question, except for an opcode that is not QUERY: the other
/// bits and sections of such a message have a meaning that we do not know (RFC 8906 section 3.1.3).
pub fn write_error(reply: &ErrorReply<'_>, udp_size: u16, out: &mut [u8]) -> usize {
    let kept = if opcode(reply.flags) == 0 { reply.flags & FLAG_RD } else { 0 };
    let mut message = Message::new(out, usize::MAX);
    message.start(reply.id, reply.question);
    let room = MAX_ERROR - message.len();
    Opt::of_error(reply, udp_size, room).write(&mut message);
    message.finish(FLAG_QR | reply.flags & 0x7800 | kept | reply.rcode.0 & 15)
}
