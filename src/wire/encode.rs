//! An answer becomes octets.
//!
//! The plain case copies: header, the client's question, the ready sections of one set (or, for a set of one record,
//! its head and its data), OPT. Rotating a set is copying its tail before its head and adding the difference to each
//! additional owner pointer. Composed answers are written record by record in `wire::compose`.

use super::compose;
use super::decode::{FLAG_QR, HEADER};
use super::message::{Message, Section};
use super::opt::Opt;
use super::subset::{self, Part};
use crate::answer::{Answer, Content, Ede, Query, Rcode};
use crate::model::Rtype;
use crate::view::rrset::{Addresses, Body, MAX_POINTER, QNAME_AT, RECORD_HEAD, only_target};
use crate::view::{RrSet, View, Zone};

/// The largest message over UDP that this server is ever configured to send.
pub const MAX_UDP: usize = 8192;

/// A pointer to the question.
pub(super) const ASKED: [u8; 2] = [0xC0, QNAME_AT as u8];
pub(super) const AA: u16 = 0x0400;
const TC: u16 = 0x0200;
/// Opcode, RD and CD are copied from the query.
pub(super) const COPIED: u16 = 0x7910;

/// Writes the whole response message into `out` and returns its length.
///
/// `limit` is the largest message that the client takes (see `wire::limits`); `out` has at least that room. What does
/// not fit: the additional section goes first, then the extended error, then TC is set and the answer section stays
/// empty. Over TCP there is nothing larger to come back for. A large set of registrations is answered in part then and
/// says so (see `wire::subset`); a part of any other set would be taken for the whole: that is SERVFAIL.
pub fn encode(view: &View, query: &Query<'_>, answer: &Answer<'_>, limit: usize, out: &mut [u8]) -> usize {
    let length = write(view, query, answer, limit, out);
    if !query.transport.is_datagram() && is_truncated(&out[..length]) {
        let text = "the answer is longer than a DNS message can be; ask for a part of it, such as one site";
        let too_long = Answer::error(Rcode::SERVFAIL, Some(Ede { code: Ede::OTHER, text }));
        return write(view, query, &too_long, limit, out);
    }
    length
}

fn write(view: &View, query: &Query<'_>, answer: &Answer<'_>, limit: usize, out: &mut [u8]) -> usize {
    let limit = limit.min(out.len());
    let mut opt = Opt::of(view, query, answer, limit.saturating_sub(HEADER + query.question.len()));
    let mut message = Message::new(out, limit.saturating_sub(opt.length()));
    let mut flags = FLAG_QR | query.flags & COPIED | answer.rcode.0 & 0xF;
    if answer.authoritative {
        flags |= AA;
    }
    message.start(query.id, query.question);
    let mut fits = write_content(query, answer, &mut message);
    if !fits && let Some(shorter) = opt.without_error() {
        message.truncate(HEADER + query.question.len());
        message.raise_limit(limit.saturating_sub(shorter.length()));
        fits = write_content(query, answer, &mut message);
        opt = if fits { shorter } else { opt };
    }
    if !fits {
        flags |= TC;
        message.truncate(HEADER + query.question.len());
    }
    message.raise_limit(limit);
    let part = Part::of(answer, message.answers());
    let opt = part.as_ref().map_or(opt, |part| opt.with_error(part.ede(), limit - message.len()));
    opt.write(&mut message);
    message.finish(flags)
}

/// Writes the sections; `false` when they do not fit and the client has to come back over TCP.
fn write_content(query: &Query<'_>, answer: &Answer<'_>, message: &mut Message<'_>) -> bool {
    match &answer.content {
        Content::Empty => true,
        Content::Set(set) => copy_set(query, set, message),
        Content::Soa(zone) => {
            message.record(Section::Answer, &apex(query, zone), Rtype::SOA, 1, zone.soa_ttl, &zone.soa)
        }
        Content::Negative(zone) => message.copy(Section::Authority, 1, &apex(query, zone), &zone.negative),
        Content::Composed(composed) => compose::write(query, composed, message),
        Content::Identity(text) => write_identity(text, message),
        Content::Explanation => false,
        Content::Any => message.record(Section::Answer, &ASKED, Rtype::HINFO, 1, 3600, b"\x07RFC8482\0"),
    }
}

/// Writes a set as it is stored, starting at a record that the rotation chooses.
fn copy_set(query: &Query<'_>, set: &RrSet<'_>, message: &mut Message<'_>) -> bool {
    match set.body {
        Body::Ready { answer, additional } => copy_ready(query, set, (answer, additional), message),
        Body::Large(large) => subset::write(query, set, large, message),
        Body::One { ttl, rdata, addresses } => {
            let head = record_head(ASKED, set.rtype, ttl, rdata.len());
            if !message.copy(Section::Answer, 1, &head, rdata) {
                return false;
            }
            if !addresses.is_empty() {
                write_addresses(only_target(set.owner), ttl, addresses, message);
            }
            true
        }
    }
}

/// Copies ready sections.
fn copy_ready(
    query: &Query<'_>,
    set: &RrSet<'_>,
    (answer, additional): (&[u8], &[u8]),
    message: &mut Message<'_>,
) -> bool {
    let start = offset_of(first_record(query.rotation, set), answer);
    let (head, tail) = answer.split_at(start);
    if !message.copy(Section::Answer, set.count, tail, head) {
        return false;
    }
    let at = message.len();
    if message.copy(Section::Additional, set.additional_count, additional, &[]) {
        move_pointers(message.written(at), HEADER + query.question.len(), start, answer.len());
    }
    true
}

/// Writes the addresses of the only target of a set; all of them, or none.
fn write_addresses(owner: [u8; 2], ttl: u32, addresses: &[u8], message: &mut Message<'_>) {
    let mark = message.mark();
    let fits = Addresses(addresses).all(|(rtype, octets)| {
        let head = record_head(owner, rtype, ttl, octets.len());
        message.copy(Section::Additional, 1, &head, octets)
    });
    if !fits {
        message.rewind(mark);
    }
}

/// A record up to its RDATA.
fn record_head(owner: [u8; 2], rtype: Rtype, ttl: u32, length: usize) -> [u8; RECORD_HEAD] {
    let mut head = [0; RECORD_HEAD];
    head[..2].copy_from_slice(&owner);
    head[2..4].copy_from_slice(&rtype.0.to_be_bytes());
    head[5] = 1;
    head[6..10].copy_from_slice(&ttl.to_be_bytes());
    head[10..].copy_from_slice(&(length as u16).to_be_bytes());
    head
}

/// Which record an answer starts with. Sets of addresses and services rotate; the order of others means nothing to
/// clients.
pub(super) fn first_record(rotation: u32, set: &RrSet<'_>) -> usize {
    if !rotates(set.rtype) {
        return 0;
    }
    rotation.checked_rem(set.count).unwrap_or_default() as usize
}

/// Whether sets of a type start at a record that the rotation chooses.
pub(super) fn rotates(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::A | Rtype::AAAA | Rtype::SRV)
}

/// Where a record of an answer section starts.
fn offset_of(first: usize, answer: &[u8]) -> usize {
    let mut at = 0;
    for _ in 0..first {
        at += RECORD_HEAD + usize::from(u16::from_be_bytes([answer[at + 10], answer[at + 11]]));
    }
    at
}

/// Corrects the owner pointers of copied additional records: they point into the answer section, whose first `start`
/// octets went to its end. (Only sets of registered names have any, and they are answered at their own name, so the
/// answer begins where they expect it.)
fn move_pointers(additional: &mut [u8], answer_at: usize, start: usize, length: usize) {
    if start == 0 {
        return;
    }
    let mut at = 0;
    while at + RECORD_HEAD <= additional.len() {
        if additional[at] & 0xC0 != 0xC0 {
            return;
        }
        let stored = usize::from(u16::from_be_bytes([additional[at], additional[at + 1]])) & MAX_POINTER;
        let offset = stored.wrapping_sub(answer_at);
        let moved = if offset >= start { offset - start } else { offset + length - start };
        let pointer = 0xC000 | (answer_at + moved) as u16;
        additional[at..at + 2].copy_from_slice(&pointer.to_be_bytes());
        at += RECORD_HEAD + usize::from(u16::from_be_bytes([additional[at + 10], additional[at + 11]]));
    }
}

/// A pointer to the zone's name, which the question ends in.
fn apex(query: &Query<'_>, zone: &Zone) -> [u8; 2] {
    let asked = query.name.as_wire().len();
    (0xC000 | (QNAME_AT + asked - zone.apex.as_wire().len()) as u16).to_be_bytes()
}

fn write_identity(text: &str, message: &mut Message<'_>) -> bool {
    let text = &text.as_bytes()[..text.len().min(255)];
    let mut rdata = [0; 256];
    rdata[0] = text.len() as u8;
    rdata[1..=text.len()].copy_from_slice(text);
    message.record(Section::Answer, &ASKED, Rtype::TXT, 3, 0, &rdata[..=text.len()])
}

/// Whether an answer came out with TC set.
pub fn is_truncated(message: &[u8]) -> bool {
    message.get(2).is_some_and(|flags| flags & 2 != 0)
}
