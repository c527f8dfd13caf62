//! Handles the batches of one worker: who is answered, and what is counted.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Instant;

use super::batch::send_one;
use super::own::OwnAddresses;
use super::worker::{BATCH, Fault, HandleBatch, Received, Replies, Sent};
use crate::answer::{Query, Transport};
use crate::metrics::dns::{Block, Dropped, Limited};
use crate::model::Rtype;
use crate::view::Published;
use crate::wire::batch::{Arrived, HandleDatagrams, answer};
use crate::wire::count::{count_cookie, count_drop, count_reply};
use crate::wire::decode::{Decoded, DropReason, HEADER, Origin};
use crate::wire::rate::{Moment, Rates, Verdict};
use crate::wire::respond::{Datagram, Reply, Silence};
use crate::wire::rotation::Rotation;
use crate::wire::rules::Rules;
use crate::wire::tsig::SignedPacket;
use crate::wire::updates;

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
    /// What answers after the batch.
    pub later: Arc<Later>,
    /// The counters of this worker.
    pub counters: Arc<Block>,
    /// Where the sets of the next answer start.
    pub rotation: Arc<Rotation>,
    /// When the batch that is being answered was received; before the first one, never.
    pub started: Option<Instant>,
    /// Whether the last receive call failed, so that a lasting failure is logged once.
    pub failing: bool,
}

/// What it takes to answer a datagram when its batch is over.
pub(in crate::wire) struct Later {
    /// The socket that it came from.
    pub socket: UdpSocket,
    /// The counters of such answers.
    pub counters: Arc<Block>,
}

impl HandleBatch for Answerer {
    /// Answers the queries of a batch from the view as it is now.
    #[allow(clippy::disallowed_methods)] // because latency is measured, and balances follow the clock
    fn handle(&mut self, received: &Received, count: usize, replies: &mut Replies) {
        let started = Instant::now();
        self.started = Some(started);
        let rates = self.rules.rates.as_deref().map(|rates| (rates, rates.moment(started)));
        if let Some((rates, _)) = rates {
            rates.prefetch_prefixes((0..count).filter_map(|index| received.source(index)).map(|source| source.ip()));
        }
        let view = self.published.load();
        let mut turn = Turn { answerer: self, received, replies, rates, slips: SLIPS_PER_BATCH, limitable: false };
        answer(&view, &self.rules, count, &mut turn);
        if let Some((rates, _)) = rates
            && count == BATCH
            && turn.limitable
        {
            rates.pressed();
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

/// One batch of a worker: what came, what goes, and what its prefixes may still get.
struct Turn<'t, 'p> {
    answerer: &'t Answerer,
    received: &'p Received,
    replies: &'t mut Replies,
    rates: Option<(&'t Rates, Moment)>,
    slips: usize,
    /// Whether an answer may be limited.
    limitable: bool,
}

impl<'p> HandleDatagrams<'p> for Turn<'_, 'p> {
    fn decode(&mut self, index: usize, arrived: &mut Arrived<'p>) -> bool {
        let is_here = self.admit(index, arrived);
        match &arrived.decoded {
            Decoded::Signed(signed) if is_here => !self.hand_over(index, signed),
            _ => is_here,
        }
    }

    fn turn(&mut self, query: &mut Query<'p>, hash: u32) {
        self.answerer.rotation.turn(query, hash);
    }

    fn buffer(&mut self) -> &mut [u8] {
        self.replies.buffer()
    }

    fn answered(&mut self, arrived: &Arrived<'p>, outcome: Result<Reply, Silence>) {
        let counters = &self.answerer.counters;
        match outcome {
            Ok(reply) => {
                self.replies.push(arrived.index, reply.len);
                count_reply(counters, &reply);
            }
            Err(Silence::Dropped(reason)) => count_drop(counters, reason),
            Err(Silence::Limited) => counters.limited(Limited::Dropped),
        }
    }
}

impl<'p> Turn<'_, 'p> {
    /// Reads a datagram, and decides how it may be limited; `false` if there is nothing to answer.
    ///
    /// A prefix in debt is looked at first: what cannot have a cookie is then not even decoded, unless it slips.
    fn admit(&mut self, index: usize, arrived: &mut Arrived<'p>) -> bool {
        let Answerer { own, counters, .. } = self.answerer;
        let source = self.received.source(index).filter(|source| source.port() != 0);
        let source = source.filter(|source| !own.has(*source, self.received.destination(index)));
        let Some(client) = source.map(|source| source.ip()) else {
            count_drop(counters, DropReason::Source);
            return false;
        };
        let packet = self.received.packet(index);
        let origin = Origin { transport: Transport::Udp, client };
        let limited = self.rates.filter(|(rates, _)| !rates.is_exempt(client));
        let Some((rates, now)) = limited else {
            self.read(packet, origin, &mut arrived.decoded);
            return true;
        };
        let in_debt = is_query(packet) && rates.is_in_debt(client, now);
        let early = (in_debt && !has_additional(packet)).then(|| self.charge(rates, origin, now));
        if early == Some(Verdict::Drop) {
            return false;
        }
        self.read(packet, origin, &mut arrived.decoded);
        if matches!(&arrived.decoded, Decoded::Drop(_) | Decoded::Query(Query { verified: true, .. })) {
            return true;
        }
        let prefix = early.unwrap_or_else(|| self.charge(rates, origin, now));
        if prefix == Verdict::Drop && !rates.is_log_only() {
            return false;
        }
        arrived.datagram = Some(Datagram { now, len: packet.len(), client, prefix });
        self.limitable = true;
        true
    }

    /// Hands an UPDATE with a good signature to a task that answers it; says whether it did.
    #[cold]
    fn hand_over(&self, index: usize, signed: &SignedPacket<'_>) -> bool {
        let Answerer { rules, later, .. } = self.answerer;
        let (Some(desk), Some(source)) = (&rules.updates, self.received.source(index)) else { return false };
        let Some(pending) = updates::take(rules, signed) else { return false };
        let (later, destination) = (later.clone(), self.received.destination(index));
        desk.spawn(async move {
            let (response, rcode) = pending.response().await;
            later.counters.answered(rcode.0, Rtype::SOA.0);
            if send_one(&later.socket, &response, source, destination).is_err() {
                later.counters.dropped(Dropped::Send, 1);
            }
        });
        true
    }

    /// Charges the prefix of a datagram; of those that are limited, some slip.
    fn charge(&mut self, rates: &Rates, origin: Origin, now: Moment) -> Verdict {
        match rates.charge_prefix(origin.client, now) {
            Verdict::Pass => Verdict::Pass,
            verdict if rates.is_log_only() => verdict,
            Verdict::Slip if self.slips > 0 => {
                self.slips -= 1;
                Verdict::Slip
            }
            _ => {
                self.answerer.counters.limited(Limited::Dropped);
                Verdict::Drop
            }
        }
    }

    fn read(&self, packet: &'p [u8], origin: Origin, decoded: &mut Decoded<'p>) {
        let cookie = self.answerer.rules.decode_into(packet, origin, decoded);
        count_cookie(&self.answerer.counters, cookie);
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
