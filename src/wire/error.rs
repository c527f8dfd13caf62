//! Responses that say only what is wrong.

use super::decode::{ErrorReply, ExtendedError, FLAG_QR, FLAG_RD, HEADER, opcode};
use crate::answer::Edns;
use crate::model::Rtype;

/// The most octets that [`write_error`] writes: header, the longest question, OPT with an extended error.
pub const MAX_ERROR: usize = 512;

/// The UDP payload that we take ourselves, as our OPT records say (RFC 6891 section 6.2.3).
const UDP_PAYLOAD: u16 = 1232;
/// Extended DNS error (RFC 8914).
const OPTION_EDE: u16 = 15;

/// Writes the response to `out`, which has room for [`MAX_ERROR`] octets, and returns its length.
///
/// Id and opcode are those of the query; so are RD and the question, except for an opcode that is not QUERY: the other
/// bits and sections of such a message have a meaning that we do not know (RFC 8906 section 3.1.3).
pub fn write_error(reply: &ErrorReply<'_>, out: &mut [u8]) -> usize {
    let rcode = u16::from(reply.rcode);
    let kept = if opcode(reply.flags) == 0 { reply.flags & FLAG_RD } else { 0 };
    let flags = FLAG_QR | reply.flags & 0x7800 | kept | rcode & 15;
    let (questions, additionals) = (u16::from(!reply.question.is_empty()), u16::from(reply.edns.is_some()));
    let words = [reply.id, flags, questions, 0, 0, additionals];
    for (octets, word) in out.chunks_exact_mut(2).zip(words) {
        octets.copy_from_slice(&word.to_be_bytes());
    }
    let mut end = put(out, HEADER, reply.question);
    if let Some(edns) = &reply.edns {
        end = put_opt(out, end, edns, rcode, reply.extended);
    }
    end
}

/// Appends the OPT record: version 0, the upper bits of `rcode`, the DO bit of the query.
fn put_opt(out: &mut [u8], at: usize, edns: &Edns, rcode: u16, extended: Option<ExtendedError>) -> usize {
    let flags = u16::from(edns.dnssec_ok) << 15;
    let [payload, rtype] = [UDP_PAYLOAD, Rtype::OPT.0].map(u16::to_be_bytes);
    let mut end = put(out, at, &[0]);
    end = put(out, end, &rtype);
    end = put(out, end, &payload);
    end = put(out, end, &[(rcode >> 4) as u8, 0]);
    end = put(out, end, &flags.to_be_bytes());
    let Some((code, text)) = extended else { return put(out, end, &[0, 0]) };
    let length = 2 + text.len() as u16;
    for word in [4 + length, OPTION_EDE, length, code] {
        end = put(out, end, &word.to_be_bytes());
    }
    put(out, end, text.as_bytes())
}

fn put(out: &mut [u8], at: usize, octets: &[u8]) -> usize {
    out[at..at + octets.len()].copy_from_slice(octets);
    at + octets.len()
}
