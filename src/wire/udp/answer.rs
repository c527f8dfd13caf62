//! Handles the batches of one worker: decode all, then answer all, from one view.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use super::worker::{BATCH, Fault, HandleBatch, Received, Replies, Sent};
use crate::answer::Transport;
use crate::metrics::dns::{Block, Dropped};
use crate::view::Published;
use crate::wire::count::{count_cookie, count_drop, count_reply};
use crate::wire::decode::{Decoded, DropReason, Origin};
use crate::wire::respond::respond;
use crate::wire::rotation::Rotation;
use crate::wire::rules::Rules;

/// What one worker needs to answer.
pub(in crate::wire) struct Answerer {
    /// The data.
    pub published: Published,
    /// What every response keeps.
    pub rules: Arc<Rules>,
    /// Every address that this server listens on.
    pub listen: Arc<[SocketAddr]>,
    /// The counters of this worker.
    pub counters: Arc<Block>,
    /// Where the sets of the next answer start.
    pub rotation: Arc<Rotation>,
    /// When the batch that is being answered was received; before the first one, never.
    pub started: Option<Instant>,
    /// Whether the last receive call failed, so that a lasting failure is logged once.
    pub failing: bool,
}

impl HandleBatch for Answerer {
    /// Two passes: the first decodes every query and lets the processor fetch what the second will read. Both hash the
    /// name, which takes 4 ns; a hash handed from one to the other could be used with the wrong view.
    #[allow(clippy::disallowed_methods)] // because latency is measured, not decided on
    fn handle(&mut self, received: &Received, count: usize, replies: &mut Replies) {
        self.started = Some(Instant::now());
        let view = self.published.load();
        let mut decoded = [const { None }; BATCH];
        for (index, slot) in decoded[..count].iter_mut().enumerate() {
            *slot = Some(self.decode(received, index));
        }
        view.prefetch(decoded.iter().filter_map(|slot| match slot {
            Some(Decoded::Query(query)) => Some(query.name.as_wire()),
            _ => None,
        }));
        for (index, decoded) in decoded.iter().enumerate().filter_map(|(index, slot)| Some((index, slot.as_ref()?))) {
            match respond(&view, decoded, &self.rules, replies.buffer()) {
                Ok(reply) => {
                    replies.push(index, reply.len);
                    count_reply(&self.counters, &reply);
                }
                Err(reason) => count_drop(&self.counters, reason),
            }
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
    fn decode<'p>(&mut self, received: &'p Received, index: usize) -> Decoded<'p> {
        let Some(source) = received.source(index) else { return Decoded::Drop(DropReason::Source) };
        if source.port() == 0 || self.is_ours(source, received.destination(index)) {
            return Decoded::Drop(DropReason::Source);
        }
        let origin = Origin { transport: Transport::Udp, client: source.ip() };
        let (mut decoded, cookie) = self.rules.decode(received.packet(index), origin);
        count_cookie(&self.counters, cookie);
        if let Decoded::Query(query) = &mut decoded {
            self.rotation.turn(query);
        }
        decoded
    }

    /// Whether a datagram claims to come from one of our own sockets. With a wildcard address those are the loopback
    /// addresses and the one that the datagram was sent to.
    fn is_ours(&self, source: SocketAddr, destination: Option<IpAddr>) -> bool {
        let mut same_port = self.listen.iter().filter(|listen| listen.port() == source.port());
        same_port.any(|listen| match listen.ip() {
            ip if ip.is_unspecified() => source.ip().is_loopback() || destination == Some(source.ip()),
            ip => ip == source.ip(),
        })
    }
}
