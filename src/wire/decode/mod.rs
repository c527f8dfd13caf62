//! A packet becomes a query, or says what is wrong with it. By hand, in one pass, without allocation.
//!
//! The checks go from the outside in, so that what can be echoed is known when one of them fails: header, question,
//! the records behind it (only OPT and TSIG mean something in a query), then what the question asks for. Every octet
//! has to belong to something: what is left over behind the last record is malformed.
//!
//! A message that ends in a TSIG record is found and not read on: `wire::tsig` looks at the signature first, and has
//! what was signed decoded here then. Later kinds of message get their place next to the check of the opcode, as
//! further variants of [`Decoded`].

mod options;
mod records;

use std::net::IpAddr;

use super::tsig::SignedPacket;
use crate::answer::{Ede, Edns, Query, QueryName, Rcode, Transport};
use crate::model::Rtype;
use crate::model::name::{MAX_LABEL, MAX_NAME};

/// Octets of a message header (RFC 1035 section 4.1.1).
pub const HEADER: usize = 12;
/// The bit of the second header word that marks a response.
pub const FLAG_QR: u16 = 0x8000;
/// Recursion desired; copied into responses.
pub const FLAG_RD: u16 = 0x0100;

/// The opcode of UPDATE (RFC 2136 section 2.2).
pub const UPDATE: u16 = 5;

/// Negotiation of keys (RFC 2930).
const TKEY: Rtype = Rtype(249);

/// Where a packet comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// How it came.
    pub transport: Transport,
    /// Who sent it.
    pub client: IpAddr,
}

/// What a packet turned out to be.
#[derive(Clone, Copy)]
#[expect(
    clippy::large_enum_variant,
    reason = "lives on the stack for one batch; a box would be an allocation per query"
)]
pub enum Decoded<'p> {
    /// Nothing that is ever answered.
    Drop(DropReason),
    /// Answered without looking into the view.
    Error(ErrorReply<'p>),
    /// A question for the view.
    Query(Query<'p>),
    /// A message of any opcode with a signature, which is to be verified before anything else is done with it.
    Signed(SignedPacket<'p>),
}

/// Why a packet gets no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// Shorter than a header: there is no id to answer to.
    Short,
    /// A response (QR=1): answering would make two servers talk for ever.
    Response,
    /// From a port that nobody can listen on, or from one of our own sockets.
    Source,
}

/// A response that needs nothing but the query. With NOERROR it is one to a query that asks for nothing but a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorReply<'p> {
    /// Message id of the query.
    pub id: u16,
    /// The second header word of the query.
    pub flags: u16,
    /// What is wrong.
    pub rcode: Rcode,
    /// The question section as sent; empty if it could not be read.
    pub question: &'p [u8],
    /// Where the query comes from.
    pub origin: Origin,
    /// EDNS of the query, if there was a sound OPT record: the response then has one too (RFC 6891 section 7).
    pub edns: Option<Edns>,
    /// An extended error (RFC 8914), sent only to clients that use EDNS.
    pub extended: Option<Ede<'p>>,
}

impl<'p> ErrorReply<'p> {
    /// The error `rcode` as the response to `query`.
    pub fn new(query: &Query<'p>, rcode: Rcode) -> Self {
        let Query { id, flags, question, edns, transport, client, .. } = *query;
        Self { id, flags, rcode, question, origin: Origin { transport, client }, edns, extended: None }
    }
}

/// Reads one packet.
pub fn decode(packet: &[u8], origin: Origin) -> Decoded<'_> {
    let mut decoded = Decoded::Drop(DropReason::Short);
    decode_into(packet, origin, &mut decoded);
    decoded
}

/// The same into `decoded`, whatever it was: a query is half a kilobyte, and the hot path does not copy it.
pub(super) fn decode_into<'p>(packet: &'p [u8], origin: Origin, decoded: &mut Decoded<'p>) {
    match read(packet, origin) {
        Read::Drop(reason) => *decoded = Decoded::Drop(reason),
        Read::Error(reply) => *decoded = Decoded::Error(reply),
        Read::Question(question, reply) => question.into_query(&reply, decoded),
        Read::Unusual => unusual(packet, origin, decoded),
    }
}

/// What a packet turned out to be, before the name is folded.
enum Read<'p> {
    Drop(DropReason),
    Error(ErrorReply<'p>),
    /// The reply holds what else there is to know of the query.
    Question(Question<'p>, ErrorReply<'p>),
    /// Something that is read elsewhere, so that nothing is in the way of queries: another opcode, no question, a
    /// signature.
    Unusual,
}

fn read(packet: &[u8], origin: Origin) -> Read<'_> {
    let Some(header) = packet.first_chunk::<HEADER>() else { return Read::Drop(DropReason::Short) };
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let (id, flags) = (word(0), word(2));
    if flags & FLAG_QR != 0 {
        return Read::Drop(DropReason::Response);
    }
    if opcode(flags) != 0 {
        return Read::Unusual;
    }
    let mut reply = ErrorReply { id, flags, rcode: Rcode::FORMERR, question: &[], origin, edns: None, extended: None };
    let question = match word(4) {
        0 => return Read::Unusual,
        1 => Question::read(packet),
        _ => None,
    };
    let Some(question) = question else { return Read::Error(reply) };
    reply.question = question.octets;
    let counts = [word(6), word(8), word(10)];
    let Some(extras) = records::read(packet, HEADER + question.octets.len(), counts, origin.transport) else {
        return Read::Error(reply);
    };
    if extras.signed.is_some() {
        return Read::Unusual;
    }
    reply.edns = extras.edns;
    if extras.broken_options {
        return Read::Error(reply);
    }
    if let Some((rcode, extended)) = refusal(&question, &extras, origin.transport) {
        return Read::Error(ErrorReply { rcode, extended, ..reply });
    }
    Read::Question(question, reply)
}

/// Reads a message that is no plain query: what is signed is found to be so, whatever its opcode; other opcodes than
/// QUERY are not implemented, or not without a signature.
#[cold]
#[inline(never)]
fn unusual<'p>(packet: &'p [u8], origin: Origin, decoded: &mut Decoded<'p>) {
    let word = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    let (id, flags, counts) = (word(0), word(2), [word(6), word(8), word(10)]);
    let start = match word(4) {
        0 => Some(HEADER),
        1 => Question::read(packet).map(|question| HEADER + question.octets.len()),
        _ => None,
    };
    let extras = start.and_then(|at| records::read(packet, at, counts, origin.transport));
    if let Some(at) = extras.as_ref().and_then(|extras| extras.signed) {
        *decoded = Decoded::Signed(SignedPacket { packet, at, origin });
        return;
    }
    let reply = ErrorReply { id, flags, rcode: Rcode::NOTIMP, question: &[], origin, edns: None, extended: None };
    *decoded = Decoded::Error(match opcode(flags) {
        0 => without_question(extras, reply),
        UPDATE => {
            let text = "an UPDATE needs the TSIG signature of a key that may update the zone";
            let extended = Some(Ede { code: Ede::PROHIBITED, text });
            ErrorReply { rcode: Rcode::REFUSED, extended, ..read_update(packet, origin) }
        }
        _ => reply,
    });
}

/// The response to an UPDATE as far as it follows from the message alone, with NOERROR if that is well-formed: id, zone
/// section, EDNS.
pub(super) fn read_update(packet: &[u8], origin: Origin) -> ErrorReply<'_> {
    let word = |at: usize| packet.get(at..at + 2).map_or(0, |octets| u16::from_be_bytes([octets[0], octets[1]]));
    let (id, flags, rcode) = (word(0), word(2), Rcode::FORMERR);
    let reply = ErrorReply { id, flags, rcode, question: &[], origin, edns: None, extended: None };
    let Some(zone) = Question::read(packet).filter(|_| word(4) == 1) else { return reply };
    let reply = ErrorReply { question: zone.octets, ..reply };
    let counts = [word(6), word(8), word(10)];
    match records::read(packet, HEADER + zone.octets.len(), counts, origin.transport) {
        Some(extras) if extras.broken_options => ErrorReply { edns: extras.edns, ..reply },
        Some(extras) => {
            let is_known = extras.edns.is_none_or(|edns| edns.version == 0);
            let rcode = if is_known { Rcode::NOERROR } else { Rcode::BADVERS };
            ErrorReply { rcode, edns: extras.edns, ..reply }
        }
        None => reply,
    }
}

/// Without a question only a cookie can be asked for (RFC 7873 section 5.4); `wire::cookie` decides on that.
fn without_question<'p>(extras: Option<records::Extras>, reply: ErrorReply<'p>) -> ErrorReply<'p> {
    let Some(extras) = extras else { return ErrorReply { rcode: Rcode::FORMERR, ..reply } };
    let rcode = match extras.edns {
        Some(edns) if edns.version > 0 => Rcode::BADVERS,
        _ if extras.broken_options => Rcode::FORMERR,
        Some(edns) if edns.cookie.is_some() => Rcode::NOERROR,
        _ => Rcode::FORMERR,
    };
    ErrorReply { rcode, edns: extras.edns, ..reply }
}

/// The opcode in the second header word.
pub fn opcode(flags: u16) -> u16 {
    (flags >> 11) & 15
}

/// What a well-formed query is turned away for.
fn refusal(
    question: &Question<'_>,
    extras: &records::Extras,
    transport: Transport,
) -> Option<(Rcode, Option<Ede<'static>>)> {
    if extras.edns.is_some_and(|edns| edns.version > 0) {
        return Some((Rcode::BADVERS, None));
    }
    match question.rtype {
        Rtype::OPT | Rtype::TSIG => Some((Rcode::FORMERR, None)),
        Rtype::MAILA | Rtype::MAILB | TKEY => Some((Rcode::NOTIMP, None)),
        Rtype::AXFR if !transport.can_stream() => Some((Rcode::FORMERR, Some(other("a zone transfer needs TCP")))),
        _ => None,
    }
}

/// An extended error whose text says everything.
fn other(text: &'static str) -> Ede<'static> {
    Ede { code: Ede::OTHER, text }
}

/// The question section (RFC 1035 section 4.1.2).
struct Question<'p> {
    octets: &'p [u8],
    rtype: Rtype,
    class: u16,
}

impl<'p> Question<'p> {
    /// Reads the one question behind the header. Its name cannot be compressed: nothing stands before it.
    fn read(packet: &'p [u8]) -> Option<Self> {
        let name_end = plain_name_end(packet, HEADER)?;
        let octets = packet.get(HEADER..name_end + 4)?;
        let &[.., t0, t1, c0, c1] = octets else { return None };
        Some(Self { octets, rtype: Rtype(u16::from_be_bytes([t0, t1])), class: u16::from_be_bytes([c0, c1]) })
    }

    /// Writes the query that asks this. IXFR over UDP asks for the SOA alone, from which a client sees whether it has
    /// to come back over TCP (RFC 1995 section 2).
    fn into_query(self, reply: &ErrorReply<'p>, decoded: &mut Decoded<'p>) {
        let ErrorReply { id, flags, edns, origin: Origin { transport, client }, .. } = *reply;
        let rtype = match self.rtype {
            Rtype::IXFR if !transport.can_stream() => Rtype::SOA,
            rtype => rtype,
        };
        let (class, rotation, verified, name) = (self.class, 0, !transport.is_datagram(), QueryName::ROOM);
        let question = self.octets;
        *decoded = Decoded::Query(Query {
            id,
            flags,
            question,
            name,
            rtype,
            class,
            edns,
            transport,
            client,
            verified,
            rotation,
        });
        if let Decoded::Query(query) = decoded {
            query.name.set(&question[..question.len() - 4]);
        }
    }
}

/// The offset behind the uncompressed name at `at`; `None` for a pointer, an unknown label type, a name that is too
/// long, or the end of the packet.
fn plain_name_end(packet: &[u8], at: usize) -> Option<usize> {
    let mut end = at;
    loop {
        let label = usize::from(*packet.get(end)?);
        end += 1 + label;
        if label > MAX_LABEL || end - at > MAX_NAME {
            return None;
        }
        if label == 0 {
            return Some(end);
        }
    }
}

#[cfg(test)]
mod tests;
