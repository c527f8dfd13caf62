//! Responses to signed messages: written like any other, in what room the signature leaves, and signed.

use super::{SignedPacket, Signer, now};
use crate::answer::Transport;
use crate::view::View;
use crate::wire::decode::{Decoded, ErrorReply, HEADER};
use crate::wire::limits::MIN_UDP;
use crate::wire::respond::{Datagram, MAX_TCP, Reply, Silence, respond_limited};
use crate::wire::rules::Rules;

/// The octets that OPT takes at most without an extended error: it fits into the smallest response with the longest
/// question.
const OPT: usize = MIN_UDP - HEADER - 259;

/// Verifies a signature and writes the response, whose sets start where the message's id says.
#[cold]
pub(in crate::wire) fn respond(
    view: &View,
    signed: &SignedPacket<'_>,
    rules: &Rules,
    datagram: Option<Datagram>,
    out: &mut [u8],
) -> Result<Reply, Silence> {
    let mut opened = signed.open(&rules.keys.load(), now());
    let signer = opened.signer.take();
    let (mut decoded, _) = opened.decode(rules, signed.origin);
    if let Decoded::Query(query) = &mut decoded {
        query.rotation = u32::from(query.id);
    }
    respond_to(view, &mut decoded, signer, rules, datagram, out)
}

/// Writes the response to what was signed, and signs it.
///
/// Over UDP it is as long as the client takes, the signature included. Only where question and signature are longer
/// than that, and so was the message that they came with, is it longer.
pub(in crate::wire) fn respond_to(
    view: &View,
    decoded: &mut Decoded<'_>,
    signer: Option<Signer>,
    rules: &Rules,
    datagram: Option<Datagram>,
    out: &mut [u8],
) -> Result<Reply, Silence> {
    let Some(mut signer) = signer else { return respond_limited(view, decoded, rules, datagram, out) };
    let room = match decoded {
        Decoded::Query(query) => {
            let limit = limit(rules, query.transport, query.client, query.edns.map(|edns| edns.udp_size));
            let least = HEADER + query.question.len() + query.edns.map_or(0, |_| OPT);
            (limit.min(out.len()) - signer.length()).max(least)
        }
        Decoded::Error(error) => {
            shorten(error, rules, signer.length());
            out.len() - signer.length()
        }
        Decoded::Drop(_) | Decoded::Signed(_) => return respond_limited(view, decoded, rules, datagram, out),
    };
    let reply = respond_limited(view, decoded, rules, datagram, &mut out[..room])?;
    Ok(Reply { len: signer.sign(out, reply.len, now()), ..reply })
}

/// Octets that the client takes in one message.
fn limit(rules: &Rules, transport: Transport, client: std::net::IpAddr, edns_size: Option<u16>) -> usize {
    match transport.is_datagram() {
        true => rules.udp.limit(client, edns_size),
        false => MAX_TCP,
    }
}

/// Leaves the words of an error out where the client has no room for them.
fn shorten(error: &mut ErrorReply<'_>, rules: &Rules, signature: usize) {
    let size = error.edns.map(|edns| edns.udp_size);
    let words = error.extended.map_or(0, |extended| 6 + extended.text.len());
    let length = HEADER + error.question.len() + OPT + words + signature;
    if length > limit(rules, error.origin.transport, error.origin.client, size) {
        error.extended = None;
    }
}
