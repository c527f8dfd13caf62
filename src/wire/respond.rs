//! One packet, one response: what all transports share.
//!
//! What can be known of a query before it is answered (its cookie, say) has been settled by [`Rules::decode`]. Rate
//! limits are kept here, because they go by the answer; they concern datagrams alone.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::decode::{Decoded, DropReason, ErrorReply};
use super::encode::{encode, is_truncated};
use super::error::write_error;
use super::rate::kind::Kind;
use super::rate::{Charge, Moment, Rates, Verdict};
use super::rules::Rules;
use super::tsig;
use crate::answer::{Answer, Content, Query, Rcode, answer_at};
use crate::metrics::dns::Limited;
use crate::model::Rtype;
use crate::view::{Entry, View};

/// TC in the third octet of a header.
const TC: u8 = 2;

/// The largest message over TCP: what its two octets of length can say.
pub const MAX_TCP: usize = 65_535;

/// A response that has been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// Octets of the message.
    pub len: usize,
    /// Its response code, with the upper bits that OPT carries.
    pub rcode: Rcode,
    /// The type that was asked for; 0 if the question could not be read.
    pub rtype: Rtype,
    /// Whether TC is set: the client has to come back over TCP.
    pub truncated: bool,
    /// Whether answering panicked, and this is a SERVFAIL in its place.
    pub panicked: bool,
    /// What became of it if the client's prefix has had enough answers.
    pub limited: Option<Limited>,
}

/// Why a packet gets no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// Nothing that is ever answered.
    Dropped(DropReason),
    /// Its client's prefix has had enough answers.
    Limited,
}

/// A datagram whose sender may be an impostor: when it came, and how long it was.
#[derive(Debug, Clone, Copy)]
pub struct Datagram {
    /// When its batch was received.
    pub now: Moment,
    /// Its octets.
    pub len: usize,
    /// Who sent it.
    pub client: IpAddr,
    /// What the account of its prefix says: unless it passes, at most a truncated answer is sent.
    pub prefix: Verdict,
}

/// Writes the response to `decoded` into `out`, which has room for the limit of the transport.
pub fn respond(view: &View, decoded: &Decoded<'_>, rules: &Rules, out: &mut [u8]) -> Result<Reply, DropReason> {
    respond_limited(view, decoded, rules, None, out).map_err(|silence| match silence {
        Silence::Dropped(reason) => reason,
        Silence::Limited => DropReason::Source, // only datagrams are limited
    })
}

/// The same for a datagram, whose response may be limited; `None`: it is not.
pub fn respond_limited(
    view: &View,
    decoded: &Decoded<'_>,
    rules: &Rules,
    datagram: Option<Datagram>,
    out: &mut [u8],
) -> Result<Reply, Silence> {
    let entry = match decoded {
        Decoded::Query(query) => view.find(query.name.as_wire()),
        _ => None,
    };
    let datagram = datagram.as_ref();
    write(view, decoded, &settle(view, entry, decoded, rules, datagram), rules, datagram, out)
}

/// Writes the response to a packet that has been settled.
pub fn write(
    view: &View,
    decoded: &Decoded<'_>,
    settled: &Settled<'_>,
    rules: &Rules,
    datagram: Option<&Datagram>,
    out: &mut [u8],
) -> Result<Reply, Silence> {
    let limits = Limits { rates: rules.rates.as_deref(), datagram };
    match decoded {
        Decoded::Drop(reason) => Err(Silence::Dropped(*reason)),
        Decoded::Error(error) => match limits.of_error() {
            Verdict::Pass => Ok(refuse(view, error, out)),
            _ if limits.are_log_only() => Ok(Reply { limited: Some(Limited::LogOnly), ..refuse(view, error, out) }),
            Verdict::Slip if !error.question.is_empty() => Ok(slip(view, *error, limits, out)),
            _ => Err(Silence::Limited),
        },
        Decoded::Query(query) => finish(view, query, settled, rules, limits, out),
        Decoded::Signed(signed) => tsig::respond(view, signed, rules, datagram.copied(), out),
    }
}

/// How one packet is limited.
#[derive(Clone, Copy)]
struct Limits<'r> {
    rates: Option<&'r Rates>,
    datagram: Option<&'r Datagram>,
}

impl Limits<'_> {
    fn of_error(self) -> Verdict {
        let (Some(rates), Some(datagram)) = (self.rates, self.datagram) else { return Verdict::Pass };
        match datagram.prefix {
            Verdict::Pass => rates.charge_name(datagram.client, Kind::Error, &[], datagram.now),
            limited => limited,
        }
    }

    fn are_log_only(self) -> bool {
        self.rates.is_some_and(Rates::is_log_only)
    }

    /// What an answer will cost its client; `None` if it is not limited.
    fn price(self, query: &Query<'_>, answer: &Answer<'_>) -> Option<Charge> {
        let (rates, datagram) = self.rates.zip(self.datagram)?;
        if datagram.prefix == Verdict::Pass { rates.price(query, answer) } else { None }
    }

    /// Charges an answer, unless the prefix has decided already.
    fn charge(self, charge: Option<&Charge>) -> Verdict {
        let (Some(rates), Some(datagram)) = (self.rates, self.datagram) else { return Verdict::Pass };
        match (datagram.prefix, charge) {
            (Verdict::Pass, Some(charge)) => rates.charge(charge, datagram.now),
            (verdict, _) => verdict,
        }
    }

    /// What is known before the answer.
    fn of_prefix(self) -> Verdict {
        self.datagram.filter(|_| !self.are_log_only()).map_or(Verdict::Pass, |datagram| datagram.prefix)
    }
}

/// Writes a response that is truncated for no other reason than that the client has had enough: header, question, OPT,
/// never longer than the query.
fn slip(view: &View, error: ErrorReply<'_>, limits: Limits<'_>, out: &mut [u8]) -> Reply {
    let truncated = ErrorReply { rcode: Rcode::NOERROR, extended: None, ..error };
    let mut reply = refuse(view, &truncated, out);
    if limits.datagram.is_some_and(|datagram| reply.len > datagram.len) {
        reply = refuse(view, &ErrorReply { edns: None, ..truncated }, out);
    }
    out[2] |= TC;
    Reply { truncated: true, limited: Some(Limited::Slipped), ..reply }
}

/// Writes an error response.
fn refuse(view: &View, error: &ErrorReply<'_>, out: &mut [u8]) -> Reply {
    let len = write_error(error, view.server.udp_size, out);
    let rtype = match *error.question {
        [.., t0, t1, _, _] => Rtype(u16::from_be_bytes([t0, t1])),
        _ => Rtype(0),
    };
    Reply { len, rcode: error.rcode, rtype, truncated: false, panicked: false, limited: None }
}

/// What a packet gets, before it is written: of a batch all are settled, then what they will copy is
/// fetched, then all are written.
pub enum Settled<'v> {
    /// Known without the view, or by its limit.
    Elsewhere,
    /// The answer to a query, and what it costs.
    Answer(Answer<'v>, Option<Charge>),
    /// Answering panicked.
    Panicked,
}

impl Settled<'_> {
    /// Reads what will be copied, and the account that will be charged; returns nothing that means anything.
    pub fn touch(&self, decoded: &Decoded<'_>, rules: &Rules) -> u8 {
        let (Self::Answer(answer, charge), Decoded::Query(query)) = (self, decoded) else { return 0 };
        if let Some((charge, rates)) = charge.as_ref().zip(rules.rates.as_ref()) {
            rates.touch(charge);
        }
        if let Content::Set(set) = &answer.content { set.touch(limit(query, rules)) } else { 0 }
    }
}

/// Answers a query from the view, whose entry has been looked up. A panic costs this query only: it is answered with
/// SERVFAIL.
pub fn settle<'v>(
    view: &'v View,
    entry: Option<Entry<'v>>,
    decoded: &Decoded<'_>,
    rules: &Rules,
    datagram: Option<&Datagram>,
) -> Settled<'v> {
    let limits = Limits { rates: rules.rates.as_deref(), datagram };
    match decoded {
        Decoded::Query(query) if limits.of_prefix() == Verdict::Pass => settle_with(|| {
            let answer = answer_at(view, entry, query);
            let charge = limits.price(query, &answer);
            Settled::Answer(answer, charge)
        }),
        _ => Settled::Elsewhere,
    }
}

fn settle_with<'v>(answer: impl FnOnce() -> Settled<'v>) -> Settled<'v> {
    catch_unwind(AssertUnwindSafe(answer)).unwrap_or(Settled::Panicked)
}

/// Writes a settled answer.
fn finish(
    view: &View,
    query: &Query<'_>,
    settled: &Settled<'_>,
    rules: &Rules,
    limits: Limits<'_>,
    out: &mut [u8],
) -> Result<Reply, Silence> {
    let (answer, charge) = match settled {
        Settled::Answer(answer, charge) => (answer, charge.as_ref()),
        Settled::Elsewhere => return limited(view, query, limits.of_prefix(), limits, out),
        Settled::Panicked => return Ok(panicked(view, query, out)),
    };
    let only_counted = match limits.charge(charge) {
        Verdict::Pass => None,
        _ if limits.are_log_only() => Some(Limited::LogOnly),
        verdict => return limited(view, query, verdict, limits, out),
    };
    Ok(guarded(view, query, out, only_counted, |out| encode(view, query, answer, limit(query, rules), out)))
}

/// Octets that the response to a query may have.
fn limit(query: &Query<'_>, rules: &Rules) -> usize {
    match query.transport.is_datagram() {
        true => rules.udp.limit(query.client, query.edns.map(|edns| edns.udp_size)),
        false => MAX_TCP,
    }
}

/// Lets `encode` write an answer, and says what became of it.
fn guarded(
    view: &View,
    query: &Query<'_>,
    out: &mut [u8],
    limited: Option<Limited>,
    encode: impl FnOnce(&mut [u8]) -> usize,
) -> Reply {
    match catch_unwind(AssertUnwindSafe(|| encode(out))) {
        Ok(len) => {
            let (rcode, truncated) = (Rcode(u16::from(out[3] & 15)), is_truncated(&out[..len]));
            Reply { len, rcode, rtype: query.rtype, truncated, panicked: false, limited }
        }
        Err(_) => panicked(view, query, out),
    }
}

/// What a query gets instead of its answer.
fn limited(
    view: &View,
    query: &Query<'_>,
    verdict: Verdict,
    limits: Limits<'_>,
    out: &mut [u8],
) -> Result<Reply, Silence> {
    match verdict {
        Verdict::Slip => Ok(slip(view, ErrorReply::new(query, Rcode::NOERROR), limits, out)),
        _ => Err(Silence::Limited),
    }
}

fn panicked(view: &View, query: &Query<'_>, out: &mut [u8]) -> Reply {
    Reply { panicked: true, ..refuse(view, &ErrorReply::new(query, Rcode::SERVFAIL), out) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Transport;
    use crate::metrics::dns::DnsCounters;
    use crate::model::naming::Naming;
    use crate::view::{Compiler, ServerFacts};
    use crate::wire::count::count_reply;
    use crate::wire::decode::{Origin, decode};

    /// A query for `a.` with EDNS.
    const QUERY: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\x01\x01a\0\0\x01\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0";

    fn view() -> View {
        Compiler::new(Vec::new(), Naming::plain(), ServerFacts { udp_size: 1232, ..ServerFacts::default() }, 7)
            .unready()
    }

    #[test]
    fn a_panic_in_one_query_is_caught_counted_and_answered_with_servfail() {
        let view = view();
        let origin = Origin { transport: Transport::Udp, client: IpAddr::from([192, 0, 2, 1]) };
        let Decoded::Query(query) = decode(QUERY, origin) else { panic!("a sound query") };
        let mut out = vec![0; 512];
        let settled = settle_with(|| panic!("a bug in an answer"));
        let rules = Rules::default();
        let unsettled = write(&view, &Decoded::Query(query), &settled, &rules, None, &mut out).expect("it is answered");
        let unwritten = guarded(&view, &query, &mut [0; 512], None, |_| panic!("a bug in the encoder"));
        assert_eq!((unsettled, unsettled.rcode, unsettled.panicked), (unwritten, Rcode::SERVFAIL, true));
        assert_eq!(out[..12], *b"\x12\x34\x81\x02\0\x01\0\0\0\0\0\x01", "with its id, its question and OPT");
        let counters = DnsCounters::default();
        let block = counters.block("udp");
        count_reply(&block, &unsettled);
        assert_eq!(block.panics(), 1);
        let next = respond(&view, &Decoded::Query(query), &Rules::default(), &mut out).expect("the next is answered");
        assert_eq!((next.rcode, next.panicked), (Rcode::REFUSED, false));
    }
}
