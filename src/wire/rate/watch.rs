//! What is done about floods beside the query path: the gauge, the log, and a filter in the kernel.
//!
//! One plain thread that sleeps until a worker raises the alarm, and then looks every few milliseconds until all is
//! quiet. Once workers cannot keep up, packets of everybody wait and get lost in the queues of the sockets. So a prefix
//! that is in debt, or that is far ahead while queues grow, is filtered by the kernel: [`SAMPLE`] says how few of its
//! packets get through, and each of them is charged for all. The filter goes when the prefix owes nothing any more.
//!
//! Bounds: [`MOST_FILTERED`] prefixes at a time, the worst first. If the kernel takes no filter, everything else works.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use super::table::SECOND;
use super::{MOST_FILTERED, Moment, Prefix, Rates};
use crate::metrics::dns::DnsCounters;
use crate::wire::udp::{self, filter};

/// How often it looks while there is something to see.
const LOOK: Duration = Duration::from_millis(5);
/// How often it looks whether the server stops.
const IDLE: Duration = Duration::from_millis(100);
/// How far ahead a prefix must at least be to be filtered when a queue is filling.
const PRESSED: u64 = SECOND / 1000;
/// For how long it looks after workers have received more than a batch.
const VIGILANT: Duration = Duration::from_millis(200);
/// Which part of a queue is taken when workers cannot keep up.
const FILLING: f64 = 0.25;
/// Without a limited answer for so long, a flood is over.
const OVER: Duration = Duration::from_secs(10);

/// The thread's state.
pub(in crate::wire) struct Watch {
    rates: Arc<Rates>,
    sockets: Vec<UdpSocket>,
    counters: Arc<DnsCounters>,
    filtered: Vec<Prefix>,
    /// Prefixes in debt when it last looked.
    in_debt: usize,
    /// Until when queues are looked at.
    vigilant: Option<Instant>,
    /// Since when answers are being limited, what was counted before, and when the last one was seen.
    flood: Option<Flood>,
    limited: u64,
    failing: bool,
    /// What the kernel has dropped at each socket so far; the kernel counts in 32 bits.
    dropped: Vec<u32>,
}

struct Flood {
    began: Instant,
    limited_before: u64,
    last_seen: Instant,
}

impl Watch {
    /// A watch over the sockets of the workers.
    pub(in crate::wire) fn new(rates: Arc<Rates>, sockets: Vec<UdpSocket>, counters: Arc<DnsCounters>) -> Self {
        let dropped = vec![0; sockets.len()];
        Self {
            rates,
            sockets,
            counters,
            filtered: Vec::new(),
            in_debt: 0,
            vigilant: None,
            flood: None,
            limited: 0,
            failing: false,
            dropped,
        }
    }

    /// Watches until `stop` is set.
    #[allow(clippy::disallowed_methods)] // because a plain thread reads the clock it waits by
    pub(in crate::wire) fn run(mut self, stop: &AtomicBool) {
        let _ = self.rates.watch.set(thread::current()); // there is one watch
        while !stop.load(Relaxed) {
            self.count_dropped();
            let (alarm, at) = (self.rates.alarm.swap(false, Relaxed), Instant::now());
            if self.rates.pressed.swap(false, Relaxed) {
                self.vigilant = Some(at + VIGILANT);
            }
            self.vigilant = self.vigilant.filter(|until| at < *until);
            let pressed = self.vigilant.is_some() && self.sockets.iter().any(|socket| waiting(socket) > FILLING);
            let is_busy = self.in_debt > 0 || self.flood.is_some() || !self.filtered.is_empty();
            if alarm || pressed || is_busy {
                self.look(at, pressed);
            }
            if alarm || is_busy || self.vigilant.is_some() {
                thread::sleep(LOOK); // not to be woken: workers raise the alarm all the time now
            } else {
                thread::park_timeout(IDLE);
            }
        }
    }

    fn count_dropped(&mut self) {
        for (socket, before) in self.sockets.iter().zip(&mut self.dropped) {
            let now = udp::queue(socket).map_or(*before, |queue| queue.lost);
            self.counters.kernel_dropped(now.wrapping_sub(std::mem::replace(before, now)).into());
        }
    }

    /// Looks at the prefixes that are ahead: at those in debt, and, if a queue is filling, at those that fill it: they
    /// are not far behind the worst.
    fn look(&mut self, at: Instant, pressed: bool) {
        let now = self.rates.moment(at);
        let least = if pressed { PRESSED } else { SECOND };
        let mut busy: Vec<(u64, u64)> = self.rates.prefixes.busy(now.0, least).collect();
        busy.sort_unstable_by_key(|&(_, ahead)| std::cmp::Reverse(ahead));
        let worst = busy.first().map_or(0, |&(_, ahead)| ahead);
        busy.retain(|&(_, ahead)| ahead > SECOND || ahead >= worst / 2);
        self.in_debt = busy.iter().filter(|(_, ahead)| *ahead > SECOND).count();
        self.counters.in_debt(self.in_debt);
        if !self.rates.is_log_only() {
            self.filter(&busy, now);
            self.weigh();
        }
        self.tell(at);
    }

    /// Filters the worst prefixes, and goes on filtering those that still owe something.
    fn filter(&mut self, busy: &[(u64, u64)], now: Moment) {
        let rates = &self.rates;
        let mut wanted: Vec<Prefix> = self.filtered.clone();
        wanted.retain(|prefix| rates.prefixes.ahead(rates.hash_of(*prefix), prefix.0, now.0) > 0);
        for &(holder, _) in busy.iter().filter(|(holder, _)| *holder != 0) {
            if wanted.len() < MOST_FILTERED && !wanted.contains(&Prefix(holder)) {
                wanted.push(Prefix(holder));
            }
        }
        if wanted == self.filtered {
            return;
        }
        let networks: Vec<_> = wanted.iter().map(|prefix| rates.network(*prefix)).collect();
        let attached: std::io::Result<()> =
            self.sockets.iter().try_for_each(|socket| filter::attach(socket, &networks));
        match attached {
            Ok(()) => self.failing = false,
            Err(error) if !self.failing => {
                self.failing = true;
                tracing::warn!(%error, "the kernel takes no filter: a flood is limited by the workers alone");
            }
            Err(_) => {}
        }
        self.filtered = wanted;
    }

    /// Lets each packet of a filtered prefix be charged for all that the filter took: once what waited before the
    /// filter has been handled, since that was not filtered.
    fn weigh(&self) {
        let is_new = self.sockets.iter().all(|socket| waiting(socket) < 1.0 / 64.0) && !self.failing;
        let weighed = self.filtered.iter().filter(|prefix| is_new || self.rates.is_filtered(**prefix));
        let weighed: Vec<u64> = weighed.map(|prefix| prefix.0).collect();
        for (index, slot) in self.rates.filtered.iter().enumerate() {
            slot.store(weighed.get(index).copied().unwrap_or(0), Relaxed);
        }
    }

    /// Says once that answers are being limited, and once that it is over.
    fn tell(&mut self, at: Instant) {
        let limited = self.counters.limited_total();
        let grown = std::mem::replace(&mut self.limited, limited) != limited;
        match &mut self.flood {
            None if grown => {
                let prefix = self.rates.network(Prefix(self.rates.last_suppressed.load(Relaxed)));
                tracing::warn!(
                    %prefix,
                    log_only = self.rates.is_log_only(),
                    "a flood: answers over UDP are being limited; zonebeat_dns_rate_limited_total counts them"
                );
                self.flood = Some(Flood { began: at, limited_before: limited, last_seen: at });
            }
            None => {}
            Some(flood) if grown => flood.last_seen = at,
            Some(flood) if at - flood.last_seen > OVER => {
                let (seconds, answers) = ((flood.last_seen - flood.began).as_secs(), limited - flood.limited_before);
                tracing::warn!(seconds, answers, "the flood is over: no answer was limited for ten seconds");
                self.flood = None;
            }
            Some(_) => {}
        }
    }
}

/// Which part of a socket's receive queue is taken.
fn waiting(socket: &UdpSocket) -> f64 {
    udp::queue(socket).map_or(0.0, |queue| f64::from(queue.waiting) / f64::from(queue.room.max(1)))
}
