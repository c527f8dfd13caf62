//! What a run or a part of it brought.

use std::time::Instant;

use crate::Options;
use crate::datagrams::own_cpu_seconds;

/// Latencies in steps of 1/32 of their size, from a nanosecond to hours.
const STEPS: usize = 32;
const BUCKETS: usize = 64 * STEPS;

/// Counts of queries and answers.
pub(crate) struct Report {
    begin: Instant,
    end: Instant,
    cpu: f64,
    /// Queries sent.
    pub(crate) sent: u64,
    answers: u64,
    lost: u64,
    /// Answers to queries that were given up before.
    pub(crate) late: u64,
    /// Answers to nothing that was asked.
    pub(crate) wrong: u64,
    octets: u64,
    truncated: u64,
    empty: u64,
    rcodes: [u64; 16],
    latencies: Vec<u64>,
    longest: u64,
    lag: f64,
}

impl Report {
    /// Nothing yet.
    pub(crate) fn new(begin: Instant) -> Self {
        Self {
            begin,
            end: begin,
            cpu: own_cpu_seconds(),
            sent: 0,
            answers: 0,
            lost: 0,
            late: 0,
            wrong: 0,
            octets: 0,
            truncated: 0,
            empty: 0,
            rcodes: [0; 16],
            latencies: vec![0; BUCKETS],
            longest: 0,
            lag: 0.0,
        }
    }

    /// Remembers the counts of the whole run, so that [`Self::counts_since`] can tell what was added.
    pub(crate) fn base(&mut self, total: &Self) {
        (self.sent, self.lost, self.late, self.wrong) = (total.sent, total.lost, total.late, total.wrong);
    }

    /// Makes the counts those of the interval.
    pub(crate) fn counts_since(&mut self, total: &Self) {
        self.sent = total.sent - self.sent;
        self.lost = total.lost - self.lost;
        self.late = total.late - self.late;
        self.wrong = total.wrong - self.wrong;
    }

    /// The last query has been sent; rates count until now.
    pub(crate) fn stop(&mut self, now: Instant) {
        self.end = now;
        self.cpu = own_cpu_seconds() - self.cpu;
    }

    pub(crate) fn add_sent(&mut self, count: u64) {
        self.sent += count;
    }

    pub(crate) fn add_lost(&mut self, count: u64) {
        self.lost += count;
    }

    /// The load itself was late by so many seconds.
    pub(crate) fn lags(&mut self, seconds: f64) {
        self.lag = self.lag.max(seconds);
    }

    pub(crate) fn add_answer(&mut self, packet: &[u8], waited: u64) {
        self.answers += 1;
        self.octets += packet.len() as u64;
        let rcode = packet[3] & 15;
        self.rcodes[usize::from(rcode)] += 1;
        self.truncated += u64::from(packet[2] & 2 != 0);
        self.empty += u64::from(rcode == 0 && packet[6..8] == [0, 0]);
        self.latencies[bucket(waited)] += 1;
        self.longest = self.longest.max(waited);
    }

    /// Microseconds below which a part of all answers came.
    fn quantile(&self, part: f64) -> f64 {
        let wanted = (self.answers as f64 * part).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.latencies.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return (upper_end(index).min(self.longest)) as f64 / 1e3;
            }
        }
        0.0
    }

    /// One line: for people, or as JSON.
    pub(crate) fn print(&self, what: &str, options: &Options) {
        let seconds = (self.end - self.begin).as_secs_f64();
        let rate = self.answers as f64 / seconds;
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|part| self.quantile(part));
        let longest = self.longest as f64 / 1e3;
        if options.json {
            let value = serde_json::json!({
                "what": what, "seconds": seconds, "sent": self.sent, "answers": self.answers, "lost": self.lost,
                "late": self.late, "wrong": self.wrong, "per_second": rate, "truncated": self.truncated,
                "empty": self.empty, "rcodes": self.rcodes, "octets": self.octets as f64 / self.answers.max(1) as f64,
                "p50_us": p50, "p99_us": p99, "p999_us": p999, "max_us": longest, "lag_us": self.lag * 1e6,
                "load_cpu_seconds": self.cpu,
            });
            println!("{value}");
            return;
        }
        println!(
            "{what:<9}{rate:>9.0} answers/s, {} sent, {} answered, {} lost, {} late, {} wrong, {} truncated, {} empty, \
             latency p50 {p50:.0} p99 {p99:.0} p99.9 {p999:.0} most {longest:.0} us, load: {:.2} s of CPU, {:.0} us late",
            self.sent,
            self.answers,
            self.lost,
            self.late,
            self.wrong,
            self.truncated,
            self.empty,
            self.cpu,
            self.lag * 1e6,
        );
    }
}

fn bucket(nanoseconds: u64) -> usize {
    let value = nanoseconds.max(STEPS as u64);
    let shift = value.ilog2() - STEPS.ilog2();
    shift as usize * STEPS + (value >> shift) as usize - STEPS
}

fn upper_end(bucket: usize) -> u64 {
    ((STEPS + bucket % STEPS + 1) as u64) << (bucket / STEPS)
}
