//! Handles the batches of one worker: decode all, then answer all, from one view.

use std::sync::Arc;
use std::time::Instant;

use super::own::OwnAddresses;
use super::worker::{BATCH, Fault, HandleBatch, Received, Replies, Sent};
use crate::answer::Transport;
use crate::metrics::dns::{Block, Dropped, Limited};
use crate::view::{Published, View};
use crate::wire::count::{count_cookie, count_drop, count_reply};
use crate::wire::decode::{Decoded, DropReason, HEADER, Origin};
use crate::wire::rate::{Moment, Rates, Verdict};
use crate::wire::respond::{Datagram, Silence, respond_limited};
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

/// One datagram of a batch between the two passes.
struct Arrived<'p> {
    index: usize,
    decoded: Decoded<'p>,
    /// Set if answers to it may be limited.
    datagram: Option<Datagram>,
}

impl HandleBatch for Answerer {
    /// Two passes: the first decodes every query and lets the processor fetch what the second will read. Both hash the
    /// name, which takes 4 ns; a hash handed from one to the other could be used with the wrong view.
    #[allow(clippy::disallowed_methods)] // because latency is measured, and balances follow the clock
    fn handle(&mut self, received: &Received, count: usize, replies: &mut Replies) {
        let started = Instant::now();
        self.started = Some(started);
        let rates = self.rules.rates.as_deref().map(|rates| (rates, rates.moment(started)));
        let view = self.published.load();
        let mut slips = SLIPS_PER_BATCH;
        let mut arrived = [const { None }; BATCH];
        for (index, slot) in arrived[..count].iter_mut().enumerate() {
            *slot = self.take(received, index, rates, &mut slips);
        }
        if let Some((rates, _)) = rates {
            let is_limited = arrived.iter().flatten().any(|arrived| arrived.datagram.is_some());
            if is_limited && count == BATCH {
                rates.pressed();
            }
        }
        view.prefetch(arrived.iter().filter_map(|slot| match slot {
            Some(Arrived { decoded: Decoded::Query(query), .. }) => Some(query.name.as_wire()),
            _ => None,
        }));
        for arrived in arrived.iter().flatten() {
            self.answer(&view, arrived, replies);
        }
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
    /// Decodes a datagram and decides how it may be limited; `None` if it is done with.
    ///
    /// A prefix in debt is looked at first: what cannot have a cookie is then not even decoded, unless it slips.
    fn take<'p>(
        &self,
        received: &'p Received,
        index: usize,
        rates: Option<(&Rates, Moment)>,
        slips: &mut usize,
    ) -> Option<Arrived<'p>> {
        let source = received.source(index).filter(|source| source.port() != 0);
        let source = source.filter(|source| !self.own.has(*source, received.destination(index)));
        let Some(client) = source.map(|source| source.ip()) else {
            count_drop(&self.counters, DropReason::Source);
            return None;
        };
        let packet = received.packet(index);
        let origin = Origin { transport: Transport::Udp, client };
        let limited = rates.filter(|(rates, _)| !rates.is_exempt(client));
        let Some((rates, now)) = limited else {
            return Some(Arrived { index, decoded: self.decode(packet, origin), datagram: None });
        };
        let in_debt = is_query(packet) && rates.is_in_debt(client, now);
        let early = (in_debt && !has_additional(packet)).then(|| self.charge(rates, origin, now, slips));
        if early == Some(Verdict::Drop) {
            return None;
        }
        let decoded = self.decode(packet, origin);
        if matches!(decoded, Decoded::Drop(_)) || matches!(&decoded, Decoded::Query(query) if query.verified) {
            return Some(Arrived { index, decoded, datagram: None });
        }
        let prefix = early.unwrap_or_else(|| self.charge(rates, origin, now, slips));
        if prefix == Verdict::Drop && !rates.is_log_only() {
            return None;
        }
        Some(Arrived { index, decoded, datagram: Some(Datagram { now, len: packet.len(), client, prefix }) })
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

    fn decode<'p>(&self, packet: &'p [u8], origin: Origin) -> Decoded<'p> {
        let (mut decoded, cookie) = self.rules.decode(packet, origin);
        count_cookie(&self.counters, cookie);
        if let Decoded::Query(query) = &mut decoded {
            self.rotation.turn(query);
        }
        decoded
    }

    fn answer(&self, view: &View, arrived: &Arrived<'_>, replies: &mut Replies) {
        match respond_limited(view, &arrived.decoded, &self.rules, arrived.datagram, replies.buffer()) {
            Ok(reply) => {
                replies.push(arrived.index, reply.len);
                count_reply(&self.counters, &reply);
            }
            Err(Silence::Dropped(reason)) => count_drop(&self.counters, reason),
            Err(Silence::Limited) => self.counters.limited(Limited::Dropped),
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
