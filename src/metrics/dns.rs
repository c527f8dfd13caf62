//! What the DNS side counts.
//!
//! # Shape
//!
//! Each worker has a [`Block`] of plain atomic numbers on cache lines of its own and is the only one that writes there,
//! so that counting never waits and never disturbs another worker ([`DnsCounters::block_of_one`]: it adds by a load and
//! a store); the TCP tasks share one. [`DnsCounters`] knows every block and adds them up when somebody scrapes. Labels
//! have a fixed set of values: what clients send cannot make more series. A block is registered when its worker starts
//! and is never removed: its numbers count until the process ends.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use super::encrypted::EncryptedCounters;

/// Types that are counted by name, with their numbers; the rest is OTHER.
const TYPES: [(&str, u16); 10] = [
    ("A", 1),
    ("AAAA", 28),
    ("SRV", 33),
    ("TXT", 16),
    ("PTR", 12),
    ("SOA", 6),
    ("NS", 2),
    ("ANY", 255),
    ("AXFR", 252),
    ("OTHER", 0),
];

/// Response codes that are counted by name, with their numbers; the rest is OTHER.
const RCODES: [(&str, u16); 10] = [
    ("NOERROR", 0),
    ("FORMERR", 1),
    ("SERVFAIL", 2),
    ("NXDOMAIN", 3),
    ("NOTIMP", 4),
    ("REFUSED", 5),
    ("NOTAUTH", 9),
    ("BADVERS", 16),
    ("BADCOOKIE", 23),
    ("OTHER", 0),
];

/// Upper bounds of the latency histogram.
const BUCKETS: [Duration; 15] = [
    Duration::from_micros(10),
    Duration::from_micros(25),
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_secs(1),
];

/// Why a packet got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// Shorter than a header.
    Short,
    /// A response.
    Response,
    /// From port 0 or from one of our own sockets.
    Source,
    /// The kernel failed to hand it out.
    Receive,
    /// The kernel refused to send the answer.
    Send,
}

const DROPPED: [&str; 5] = ["short", "response", "source", "receive", "send"];

/// What the cookie of a query was worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieOutcome {
    /// The client has none of ours yet.
    New,
    /// Ours.
    Valid,
    /// Ours, and so old that the client was given another one.
    Renewed,
    /// Not ours, not of this client, or too old.
    Bad,
}

const COOKIES: [&str; 4] = ["new", "valid", "renewed", "bad"];

/// What became of an answer over UDP that was limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limited {
    /// It was not sent.
    Dropped,
    /// It was sent truncated.
    Slipped,
    /// It was sent, because limits are only counted.
    LogOnly,
}

const LIMITED: [&str; 3] = ["dropped", "slipped", "log-only"];

/// Why a TCP connection was closed as soon as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// All connections are taken.
    Connections,
    /// All connections of the client are busy.
    Client,
    /// The process is out of file descriptors.
    Descriptors,
}

const REFUSED: [&str; 3] = ["connections", "client", "descriptors"];

/// How a zone transfer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferOutcome {
    /// The whole zone was handed to the client's connection.
    Done,
    /// The client went away or stopped reading.
    Aborted,
    /// The client may not transfer.
    Refused,
    /// The zone is not ours.
    NotAuthoritative,
    /// The zone's content is not known yet.
    NotReady,
    /// A record of the zone does not fit a message.
    TooLong,
}

const OUTCOMES: [&str; 6] = ["done", "aborted", "refused", "not-authoritative", "not-ready", "too-long"];

/// The numbers of one worker.
#[derive(Debug)]
#[repr(align(128))]
pub struct Block {
    transport: &'static str,
    /// Whether one thread alone counts here: then adding needs no lock of the bus.
    alone: bool,
    queries: [[AtomicU64; TYPES.len()]; RCODES.len()],
    dropped: [AtomicU64; DROPPED.len()],
    limited: [AtomicU64; LIMITED.len()],
    truncated: AtomicU64,
    panics: AtomicU64,
    cookies: [AtomicU64; COOKIES.len()],
    latency: [AtomicU64; BUCKETS.len() + 1],
    latency_nanoseconds: AtomicU64,
}

impl Block {
    fn new(transport: &'static str, alone: bool) -> Self {
        Self {
            transport,
            alone,
            queries: Default::default(),
            dropped: Default::default(),
            limited: Default::default(),
            truncated: AtomicU64::default(),
            panics: AtomicU64::default(),
            cookies: Default::default(),
            latency: Default::default(),
            latency_nanoseconds: AtomicU64::default(),
        }
    }

    /// Counts an answered query.
    pub fn answered(&self, rcode: u16, rtype: u16) {
        self.add(&self.queries[index_of(&RCODES, rcode)][index_of(&TYPES, rtype)], 1);
    }

    /// Counts packets without an answer.
    pub fn dropped(&self, why: Dropped, count: u64) {
        if count > 0 {
            self.add(&self.dropped[why as usize], count);
        }
    }

    /// Counts an answer that was limited.
    pub fn limited(&self, outcome: Limited) {
        self.add(&self.limited[outcome as usize], 1);
    }

    /// Counts an answer that was truncated.
    pub fn truncated(&self) {
        self.add(&self.truncated, 1);
    }

    /// Panics so far.
    pub fn panics(&self) -> u64 {
        self.panics.load(Relaxed)
    }

    /// Counts a panic that was caught.
    pub fn panicked(&self) {
        self.add(&self.panics, 1);
    }

    /// Counts a query with a cookie.
    pub fn cookie(&self, outcome: CookieOutcome) {
        self.add(&self.cookies[outcome as usize], 1);
    }

    /// Counts `answers` that took `time` from the receive call to the end of the send call, all of their batch.
    pub fn observe(&self, time: Duration, answers: u64) {
        let bucket = BUCKETS.iter().position(|bound| time <= *bound).unwrap_or(BUCKETS.len());
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.add(&self.latency[bucket], answers);
        self.add(&self.latency_nanoseconds, nanoseconds.saturating_mul(answers));
    }

    fn add(&self, number: &AtomicU64, count: u64) {
        match self.alone {
            true => number.store(number.load(Relaxed).wrapping_add(count), Relaxed),
            false => drop(number.fetch_add(count, Relaxed)),
        }
    }
}

/// The place of `number` in a table whose last row stands for the rest.
fn index_of<const N: usize>(table: &[(&str, u16); N], number: u16) -> usize {
    table[..N - 1].iter().position(|&(_, known)| known == number).unwrap_or(N - 1)
}

/// Everything the DNS side counts.
#[derive(Debug, Default)]
pub struct DnsCounters {
    blocks: Mutex<Vec<Arc<Block>>>,
    prefixes_in_debt: AtomicI64,
    kernel_dropped: AtomicU64,
    connections: AtomicI64,
    refused: [AtomicU64; REFUSED.len()],
    transfers: [AtomicU64; OUTCOMES.len()],
    /// What the encrypted transports count besides queries.
    pub encrypted: EncryptedCounters,
}

impl DnsCounters {
    /// A new block for all tasks of `transport`.
    pub fn block(&self, transport: &'static str) -> Arc<Block> {
        self.register(Block::new(transport, false))
    }

    /// A new block for a worker of `transport`: for one thread that counts there, and no other.
    pub fn block_of_one(&self, transport: &'static str) -> Arc<Block> {
        self.register(Block::new(transport, true))
    }

    fn register(&self, block: Block) -> Arc<Block> {
        let block = Arc::new(block);
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner).push(block.clone());
        block
    }

    /// Sets how many prefixes are in debt.
    pub fn in_debt(&self, prefixes: usize) {
        self.prefixes_in_debt.store(prefixes as i64, Relaxed);
    }

    /// Counts packets that the kernel dropped before our sockets handed them out.
    pub fn kernel_dropped(&self, packets: u64) {
        self.kernel_dropped.fetch_add(packets, Relaxed);
    }

    /// Answers that were limited so far, whatever became of them.
    pub fn limited_total(&self) -> u64 {
        let blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.iter().flat_map(|block| &block.limited).map(|count| count.load(Relaxed)).sum()
    }

    /// Counts a TCP connection that was accepted.
    pub fn connected(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    /// Counts a TCP connection that has ended.
    pub fn disconnected(&self) {
        self.connections.fetch_sub(1, Relaxed);
    }

    /// Open TCP connections.
    pub fn connections(&self) -> usize {
        usize::try_from(self.connections.load(Relaxed)).unwrap_or_default()
    }

    /// Counts a TCP connection that was refused.
    pub fn refused(&self, why: Refused) {
        self.refused[why as usize].fetch_add(1, Relaxed);
    }

    /// Counts a zone transfer.
    pub fn transferred(&self, outcome: TransferOutcome) {
        self.transfers[outcome as usize].fetch_add(1, Relaxed);
    }
}

/// Adds the blocks up for a scrape.
#[derive(Debug)]
pub struct DnsCollector {
    counters: Arc<DnsCounters>,
    descriptions: Vec<Desc>,
}

/// Name, help and variable labels of each family.
const FAMILIES: [(&str, &str, &[&str]); 12] = [
    ("zonebeat_dns_queries_total", "Answered queries.", &["transport", "rcode", "type"]),
    ("zonebeat_dns_latency_seconds", "Time from receiving a batch of queries to sending its answers.", &["transport"]),
    ("zonebeat_dns_dropped_total", "Packets without an answer.", &["reason"]),
    ("zonebeat_dns_rate_limited_total", "Answers over UDP that were limited.", &["outcome"]),
    ("zonebeat_dns_kernel_dropped_total", "Packets that the kernel dropped at our UDP sockets.", &[]),
    ("zonebeat_dns_prefixes_in_debt", "Client prefixes that are beyond their limit.", &[]),
    ("zonebeat_dns_panics_total", "Panics while answering, each caught.", &[]),
    ("zonebeat_dns_truncated_total", "Answers with the TC bit.", &["transport"]),
    ("zonebeat_dns_cookies_total", "Queries with a cookie.", &["outcome"]),
    ("zonebeat_tcp_connections", "Open TCP connections.", &[]),
    ("zonebeat_tcp_refused_total", "TCP connections that were closed as soon as they came.", &["reason"]),
    ("zonebeat_dns_transfers_total", "Zone transfers.", &["outcome"]),
];

impl DnsCollector {
    /// A collector of `counters`, to be registered once.
    pub fn new(counters: Arc<DnsCounters>) -> Result<Self, prometheus::Error> {
        let describe = |&(name, help, labels): &(&str, &str, &[&str])| {
            let labels = labels.iter().map(|&label| label.to_owned()).collect();
            Desc::new(name.to_owned(), help.to_owned(), labels, Default::default())
        };
        let mut descriptions = FAMILIES.iter().map(describe).collect::<Result<Vec<_>, _>>()?;
        descriptions.extend(counters.encrypted.descriptions());
        Ok(Self { counters, descriptions })
    }
}

impl Collector for DnsCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let blocks = self.counters.blocks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut sums: BTreeMap<&str, Sum> = BTreeMap::new();
        for block in &blocks {
            sums.entry(block.transport).or_default().add(block);
        }
        let total = |number: fn(&Sum) -> u64| sums.values().map(number).sum::<u64>();
        let dropped = |index: usize| sums.values().map(|sum| sum.dropped[index]).sum::<u64>();
        let cookies = |index: usize| sums.values().map(|sum| sum.cookies[index]).sum::<u64>();
        let by = |label: &'static str, words: &[&str], number: &dyn Fn(usize) -> u64| {
            words.iter().enumerate().map(|(i, word)| counter(number(i), &[(label, word)])).collect::<Vec<_>>()
        };
        let limited = |index: usize| sums.values().map(|sum| sum.limited[index]).sum::<u64>();
        let metrics = [
            sums.iter().flat_map(|(transport, sum)| sum.queries(transport)).collect(),
            sums.iter().map(|(transport, sum)| sum.latency(transport)).collect(),
            by("reason", &DROPPED, &dropped),
            by("outcome", &LIMITED, &limited),
            vec![counter(self.counters.kernel_dropped.load(Relaxed), &[])],
            vec![gauge(&self.counters.prefixes_in_debt)],
            vec![counter(total(|sum| sum.panics), &[])],
            sums.iter().map(|(transport, sum)| counter(sum.truncated, &[("transport", transport)])).collect(),
            by("outcome", &COOKIES, &cookies),
            vec![gauge(&self.counters.connections)],
            by("reason", &REFUSED, &|index| self.counters.refused[index].load(Relaxed)),
            by("outcome", &OUTCOMES, &|index| self.counters.transfers[index].load(Relaxed)),
        ];
        let families = FAMILIES.iter().zip(metrics).map(|(&(name, help, _), metrics)| family(name, help, metrics));
        families.chain(self.counters.encrypted.families()).collect()
    }
}

/// The blocks of one transport, added up.
#[derive(Default)]
struct Sum {
    queries: [[u64; TYPES.len()]; RCODES.len()],
    dropped: [u64; DROPPED.len()],
    limited: [u64; LIMITED.len()],
    truncated: u64,
    panics: u64,
    cookies: [u64; COOKIES.len()],
    latency: [u64; BUCKETS.len() + 1],
    latency_nanoseconds: u64,
}

impl Sum {
    fn add(&mut self, block: &Block) {
        let add = |sums: &mut [u64], numbers: &[AtomicU64]| {
            sums.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number.load(Relaxed));
        };
        self.queries.iter_mut().zip(&block.queries).for_each(|(sums, numbers)| add(sums, numbers));
        add(&mut self.dropped, &block.dropped);
        add(&mut self.cookies, &block.cookies);
        add(&mut self.limited, &block.limited);
        add(&mut self.latency, &block.latency);
        self.truncated += block.truncated.load(Relaxed);
        self.panics += block.panics.load(Relaxed);
        self.latency_nanoseconds += block.latency_nanoseconds.load(Relaxed);
    }

    /// One counter per code and type that has occurred.
    fn queries<'a>(&'a self, transport: &'a str) -> impl Iterator<Item = Metric> + 'a {
        self.queries.iter().zip(RCODES).flat_map(move |(by_type, (rcode, _))| {
            let seen = by_type.iter().zip(TYPES).filter(|(count, _)| **count > 0);
            seen.map(move |(&count, (rtype, _))| {
                counter(count, &[("transport", transport), ("rcode", rcode), ("type", rtype)])
            })
        })
    }

    fn latency(&self, transport: &str) -> Metric {
        let mut cumulative = 0;
        let bucket = |(&bound, &count): (&Duration, &u64)| {
            cumulative += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound.as_secs_f64());
            bucket.set_cumulative_count(cumulative);
            bucket
        };
        let mut histogram = Histogram::default();
        histogram.set_bucket(BUCKETS.iter().zip(&self.latency).map(bucket).collect());
        histogram.set_sample_count(self.latency.iter().sum());
        histogram.set_sample_sum(self.latency_nanoseconds as f64 / 1e9);
        let mut metric = Metric::from_label(labels(&[("transport", transport)]));
        metric.set_histogram(histogram);
        metric
    }
}

fn gauge(value: &AtomicI64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value.load(Relaxed) as f64);
    Metric::from_gauge(gauge)
}

fn counter(value: u64, of: &[(&str, &str)]) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value as f64);
    let mut metric = Metric::from_label(labels(of));
    metric.set_counter(counter);
    metric
}

/// Label pairs in the order of their names, as the exposition wants them.
fn labels(of: &[(&str, &str)]) -> Vec<LabelPair> {
    let pair = |&(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    };
    let mut pairs: Vec<_> = of.iter().map(pair).collect();
    pairs.sort_by(|one, other| one.name().cmp(other.name()));
    pairs
}

fn family(name: &str, help: &str, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(match name {
        name if name.ends_with("_total") => MetricType::COUNTER,
        name if name.ends_with("_seconds") => MetricType::HISTOGRAM,
        _ => MetricType::GAUGE,
    });
    family.set_metric(metrics);
    family
}

#[cfg(test)]
mod tests;
