//! Handles the batches of one worker: decode all, then answer all, from one view.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use super::own::OwnAddresses;
use super::worker::{BATCH, Fault, HandleBatch, Received, Replies, Sent};
use crate::answer::{Query, Transport};
use crate::metrics::dns::{Block, Dropped, Limited};
use crate::view::{Published, View};
use crate::wire::count::{count_cookie, count_drop, count_reply};
use crate::wire::decode::{Decoded, DropReason, HEADER, Origin};
use crate::wire::rate::{Moment, Rates, Verdict};
use crate::wire::respond::{Datagram, Settled, Silence, settle, write};
use crate::wire::rotation::Rotation;
use crate::wire::rules::Rules;

/// Truncated answers of one batch to prefixes in debt: sending is what costs most, and a flood must not set its price.
const SLIPS_PER_BATCH: usize = 4;

/// What one worker needs to answer.
pub(in crate::wire) struct Answerer {
    /// The data.
    pub published: Published,
    /// What every response keeps.
    pub rules: Arc<Rules>,
    /// The addresses that answers are never sent to.
    pub own: Arc<OwnAddresses>,
    /// The counters of this worker.
    pub counters: Arc<Block>,
    /// Where the sets of the next answer start.
    pub rotation: Arc<Rotation>,
    /// When the batch that is being answered was received; before the first one, never.
    pub started: Option<Instant>,
    /// Whether the last receive call failed, so that a lasting failure is logged once.
    pub failing: bool,
}

/// One datagram of a batch, decoded. Written in place: it is larger than most answers.
struct Arrived<'p> {
    index: usize,
    decoded: Decoded<'p>,
    /// Set if answers to it may be limited.
    datagram: Option<Datagram>,
}

impl Arrived<'_> {
    /// None yet.
    fn room() -> Self {
        Self { index: 0, decoded: Decoded::Drop(DropReason::Short), datagram: None }
    }

    /// The name to look up; empty if there is none.
    fn name(&self) -> &[u8] {
        match &self.decoded {
            Decoded::Query(query) => query.name.as_wire(),
            _ => &[],
        }
    }
}

impl HandleBatch for Answerer {
    /// Decodes every query, then answers them.
    #[allow(clippy::disallowed_methods)] // because latency is measured, and balances follow the clock
    fn handle(&mut self, received: &Received, count: usize, replies: &mut Replies) {
        let started = Instant::now();
        self.started = Some(started);
        let rates = self.rules.rates.as_deref().map(|rates| (rates, rates.moment(started)));
        let view = self.published.load();
        let mut slips = SLIPS_PER_BATCH;
        let mut arrived = std::array::from_fn::<_, BATCH, _>(|_| Arrived::room());
        let mut taken = 0;
        if let Some((rates, _)) = rates {
            rates.prefetch_prefixes((0..count).filter_map(|index| received.source(index)).map(|source| source.ip()));
        }
        for index in 0..count {
            taken += usize::from(self.take(received, index, rates, &mut slips, &mut arrived[taken]));
        }
        let arrived = &mut arrived[..taken];
        if let Some((rates, _)) = rates
            && count == BATCH
            && arrived.iter().any(|arrived| arrived.datagram.is_some())
        {
            rates.pressed();
        }
        self.answer(&view, arrived, replies);
    }

    fn sent(&mut self, sent: Sent) {
        self.failing = false;
        if let Some(started) = self.started {
            self.counters.observe(started.elapsed(), sent.replies as u64);
        }
        self.counters.dropped(Dropped::Send, sent.failed as u64);
    }

    fn failed(&mut self, fault: Fault) {
        match fault {
            Fault::Panic => self.counters.panicked(),
            Fault::Receive(error) => {
                self.counters.dropped(Dropped::Receive, 1);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(%error, "receiving over UDP failed; trying again every few milliseconds");
                }
            }
        }
    }
}

impl Answerer {
    /// Decodes a datagram into `arrived` and decides how it may be limited; `false` if it is done with.
    ///
    /// A prefix in debt is looked at first: what cannot have a cookie is then not even decoded, unless it slips.
    fn take<'p>(
        &self,
        received: &'p Received,
        index: usize,
        rates: Option<(&Rates, Moment)>,
        slips: &mut usize,
        arrived: &mut Arrived<'p>,
    ) -> bool {
        (arrived.index, arrived.datagram) = (index, None);
        let source = received.source(index).filter(|source| source.port() != 0);
        let source = source.filter(|source| !self.own.has(*source, received.destination(index)));
        let Some(client) = source.map(|source| source.ip()) else {
            count_drop(&self.counters, DropReason::Source);
            return false;
        };
        let packet = received.packet(index);
        let origin = Origin { transport: Transport::Udp, client };
        let limited = rates.filter(|(rates, _)| !rates.is_exempt(client));
        let Some((rates, now)) = limited else {
            self.decode(packet, origin, &mut arrived.decoded);
            return true;
        };
        let in_debt = is_query(packet) && rates.is_in_debt(client, now);
        let early = (in_debt && !has_additional(packet)).then(|| self.charge(rates, origin, now, slips));
        if early == Some(Verdict::Drop) {
            return false;
        }
        self.decode(packet, origin, &mut arrived.decoded);
        if matches!(&arrived.decoded, Decoded::Drop(_) | Decoded::Query(Query { verified: true, .. })) {
            return true;
        }
        let prefix = early.unwrap_or_else(|| self.charge(rates, origin, now, slips));
        if prefix == Verdict::Drop && !rates.is_log_only() {
            return false;
        }
        arrived.datagram = Some(Datagram { now, len: packet.len(), client, prefix });
        true
    }

    /// Charges the prefix of a datagram; of those that are limited, some slip.
    fn charge(&self, rates: &Rates, origin: Origin, now: Moment, slips: &mut usize) -> Verdict {
        match rates.charge_prefix(origin.client, now) {
            Verdict::Pass => Verdict::Pass,
            verdict if rates.is_log_only() => verdict,
            Verdict::Slip if *slips > 0 => {
                *slips -= 1;
                Verdict::Slip
            }
            _ => {
                self.counters.limited(Limited::Dropped);
                Verdict::Drop
            }
        }
    }

    fn decode<'p>(&self, packet: &'p [u8], origin: Origin, decoded: &mut Decoded<'p>) {
        let cookie = self.rules.decode_into(packet, origin, decoded);
        count_cookie(&self.counters, cookie);
    }

    /// Answers what has been decoded: all names are looked up, all answers are settled, then all are written, so that the
    /// processor waits for the memory of many at the same time.
    fn answer(&self, view: &View, arrived: &mut [Arrived<'_>], replies: &mut Replies) {
        let mut names: [&[u8]; BATCH] = [&[]; BATCH];
        names.iter_mut().zip(&*arrived).for_each(|(name, arrived)| *name = arrived.name());
        let located = view.locate(&names[..arrived.len()]);
        let mut settled = std::array::from_fn::<_, BATCH, _>(|_| Settled::Elsewhere);
        for ((arrived, located), settled) in arrived.iter_mut().zip(&located).zip(&mut settled) {
            if let Decoded::Query(query) = &mut arrived.decoded {
                self.rotation.turn(query, located.hash);
            }
            *settled = settle(view, located.entry, &arrived.decoded, &self.rules, arrived.datagram);
        }
        let touch = |(arrived, settled): (&Arrived<'_>, &Settled<'_>)| settled.touch(&arrived.decoded, &self.rules);
        black_box(arrived.iter().zip(&settled).map(touch).fold(0, |all, read| all ^ read));
        for (arrived, settled) in arrived.iter().zip(&settled) {
            match write(view, &arrived.decoded, settled, &self.rules, arrived.datagram, replies.buffer()) {
                Ok(reply) => {
                    replies.push(arrived.index, reply.len);
                    count_reply(&self.counters, &reply);
                }
                Err(Silence::Dropped(reason)) => count_drop(&self.counters, reason),
                Err(Silence::Limited) => self.counters.limited(Limited::Dropped),
            }
        }
    }
}

/// Whether a packet may be a query; the decoder counts what is not.
fn is_query(packet: &[u8]) -> bool {
    packet.len() >= HEADER && packet[2] & 0x80 == 0
}

/// Whether a packet says that it has additional records: OPT, and in it a cookie.
fn has_additional(packet: &[u8]) -> bool {
    packet[10..HEADER] != [0, 0]
}
