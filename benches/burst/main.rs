//! A load of DNS queries over UDP that costs little itself: `cargo bench --bench burst -- --help`.
//!
//! Queries come from a file as dnsperf reads it. Queries of one length go out in bursts, which the kernel cuts into
//! datagrams (UDP_SEGMENT); the next burst is another client's. Clients are addresses of 127.0.0.0/8 on one socket, so
//! that one call sends for all of them. Every answer is checked: its client, its id and its question must be those of a
//! query that waits. So what is lost and what is wrong is known.
//!
//! Without `--rate` a new burst goes out whenever less than `--in-flight` queries wait: the server is saturated, never
//! flooded. With it, bursts go out by the clock whatever comes back, and latencies say how the server does at this
//! rate. `--every` shows what happens over time, for changes under load.

#![allow(missing_docs, clippy::print_stdout)] // a program that prints a table
#![allow(clippy::disallowed_methods)] // because time is what it measures

#[path = "../support/datagrams.rs"]
mod datagrams;
mod pending;
mod queries;
mod report;

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use datagrams::{BATCH, Incoming, Outgoing};
use pending::{Pending, Verdict};
use queries::{Burst, Plan};
use report::Report;

/// What a datagram or several joined by the kernel can have.
const LARGEST: usize = 65_536;
const BUFFERS: i32 = 8 << 20;
/// How long the load waits for answers at most before it looks at the clock again.
const NAP: Duration = Duration::from_millis(1);

/// Sends DNS queries in bursts and counts the answers.
#[derive(Parser)]
struct Options {
    /// Where the server listens.
    #[arg(long)]
    server: SocketAddrV4,
    /// File of queries: a name and a type per line.
    #[arg(long)]
    queries: PathBuf,
    /// Ask with EDNS and a payload size of 1232.
    #[arg(long)]
    edns: bool,
    /// How long to send.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Clients that take turns: 127.0.1.1 and the following addresses.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=250))]
    clients: u32,
    /// Queries of one client that follow each other.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=64))]
    burst: u32,
    /// Never two queries of one client in a row; the same as a burst of 1.
    #[arg(long)]
    interleave: bool,
    /// Queries per second; without it, as many as are answered.
    #[arg(long)]
    rate: Option<f64>,
    /// Queries that may wait for their answers, without a rate.
    #[arg(long, default_value_t = 256)]
    in_flight: usize,
    /// After how many seconds a query is lost.
    #[arg(long, default_value_t = 1.0)]
    timeout: f64,
    /// Receive each answer for itself, although the kernel could hand out several at once.
    #[arg(long)]
    no_gro: bool,
    /// Print what happened every so many seconds.
    #[arg(long)]
    every: Option<f64>,
    /// Print JSON, an object per line.
    #[arg(long)]
    json: bool,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut options = Options::parse();
    if options.interleave {
        options.burst = 1;
    }
    let text = std::fs::read_to_string(&options.queries)?;
    let plan = Plan::parse(&text, options.burst as usize, options.edns)?;
    let mut load = Load::new(&options, plan)?;
    load.run(&options)?;
    load.total.print("total", &options);
    Ok(())
}

/// The state of a run.
struct Load {
    socket: UdpSocket,
    incoming: Incoming,
    outgoing: Outgoing,
    plan: Plan,
    pending: Pending,
    /// The burst that is next, and the client whose turn it is.
    next: usize,
    client: u32,
    begin: Instant,
    total: Report,
    interval: Report,
}

impl Load {
    fn new(options: &Options, plan: Plan) -> std::io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        datagrams::set_buffers(&socket, BUFFERS)?;
        datagrams::ask_for_destination(&socket)?;
        if !options.no_gro {
            datagrams::accept_grouped(&socket)?;
        }
        datagrams::wait_exactly();
        let ids = if options.rate.is_some() { 1 << 16 } else { 1 << 12 };
        let begin = Instant::now();
        Ok(Self {
            socket,
            incoming: Incoming::new(LARGEST, true),
            outgoing: Outgoing::new(LARGEST),
            plan,
            pending: Pending::new(options.clients, ids, Duration::from_secs_f64(options.timeout)),
            next: 0,
            client: 0,
            begin,
            total: Report::new(begin),
            interval: Report::new(begin),
        })
    }

    /// Sends until the time is over, then waits for the last answers.
    fn run(&mut self, options: &Options) -> std::io::Result<()> {
        let (length, every) = (Duration::from_secs_f64(options.seconds), options.every.map(Duration::from_secs_f64));
        let mut shown = every;
        while self.begin.elapsed() < length {
            let quiet = match options.rate {
                Some(rate) => self.send_due(options, rate)?,
                None => self.send_if_room(options)?,
            };
            let received = self.receive_all()?;
            if received == 0 {
                self.total.add_lost(self.pending.expire(self.now()));
                datagrams::wait_for(&self.socket, quiet.min(NAP));
            }
            if shown.is_some_and(|at| self.begin.elapsed() >= at) {
                self.show_interval(options);
                shown = shown.zip(every).map(|(at, every)| at + every);
            }
        }
        self.total.stop(Instant::now());
        let patience = self.begin.elapsed() + Duration::from_secs_f64(options.timeout);
        while self.pending.waiting() > 0 && self.begin.elapsed() < patience {
            if self.receive_all()? == 0 {
                datagrams::wait_for(&self.socket, NAP);
            }
        }
        self.total.add_lost(self.pending.waiting());
        Ok(())
    }

    /// Nanoseconds since the begin.
    fn now(&self) -> u64 {
        self.begin.elapsed().as_nanos() as u64
    }

    /// Sends what the rate says has to be sent by now; returns the time until the next burst is due.
    fn send_due(&mut self, options: &Options, rate: f64) -> std::io::Result<Duration> {
        let now = self.begin.elapsed().as_secs_f64();
        let due = (now * rate) as u64;
        let behind = due.saturating_sub(self.total.sent);
        let burst = u64::from(options.burst);
        if behind >= burst {
            self.total.lags((behind - burst) as f64 / rate);
            self.send(options, (behind as usize).min(BATCH))?;
            return Ok(Duration::ZERO);
        }
        Ok(Duration::from_secs_f64(((self.total.sent + burst) as f64 / rate - now).max(0.0)))
    }

    /// Sends what may wait beside what waits already; returns how long answers may be waited for.
    fn send_if_room(&mut self, options: &Options) -> std::io::Result<Duration> {
        let room = options.in_flight.saturating_sub(self.pending.waiting() as usize);
        // An answer alone is not worth a system call; the burst is complete soon.
        if room >= (options.burst as usize).max(BATCH / 4).min(options.in_flight) {
            self.send(options, room.min(BATCH))?;
        }
        Ok(NAP)
    }

    /// One send call of at most `most` queries, but at least one burst.
    fn send(&mut self, options: &Options, most: usize) -> std::io::Result<()> {
        self.outgoing.clear();
        let (at, mut queries) = (self.now(), 0);
        while queries == 0 || queries + self.plan.bursts[self.next].count <= most {
            let burst = self.plan.bursts[self.next];
            self.write(options, burst, at);
            queries += burst.count;
            self.next = (self.next + 1) % self.plan.bursts.len();
            self.client = (self.client + 1) % options.clients;
        }
        self.outgoing.send(&self.socket)?;
        self.total.add_sent(queries as u64);
        Ok(())
    }

    fn write(&mut self, options: &Options, burst: Burst, at: u64) {
        let (range, room) = self.outgoing.write(burst.len * burst.count);
        room.copy_from_slice(&self.plan.octets[burst.start..][..burst.len * burst.count]);
        for (index, packet) in room.chunks_exact_mut(burst.len).enumerate() {
            let (id, evicted) = self.pending.take(self.client, at, burst.start + index * burst.len, burst.len);
            packet[..2].copy_from_slice(&id.to_be_bytes());
            self.total.add_lost(u64::from(evicted));
        }
        let from = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 0, 1, 1)) + self.client);
        let segment = (burst.count > 1).then_some(burst.len);
        self.outgoing.push(options.server, Some(from), segment, [range]);
    }

    /// Takes every answer that is there; returns how many.
    fn receive_all(&mut self) -> std::io::Result<usize> {
        let mut all = 0;
        loop {
            let count = self.incoming.receive(&self.socket, false)?;
            let now = self.now();
            for index in 0..count {
                let client = self.incoming.destination(index).map(|ip| u32::from(ip).wrapping_sub(0x7F00_0101));
                for packet in self.incoming.packets(index) {
                    all += 1;
                    match self.pending.check(client, packet, &self.plan.octets, now) {
                        Verdict::Answer(waited) => {
                            self.total.add_answer(packet, waited);
                            self.interval.add_answer(packet, waited);
                        }
                        Verdict::Late => self.total.late += 1,
                        Verdict::Wrong => self.total.wrong += 1,
                    }
                }
            }
            if count < BATCH {
                return Ok(all);
            }
        }
    }

    /// Prints the interval that ends now, and begins the next.
    fn show_interval(&mut self, options: &Options) {
        let now = Instant::now();
        self.interval.stop(now);
        self.interval.counts_since(&self.total);
        self.interval.print("interval", options);
        self.interval = Report::new(now);
        self.interval.base(&self.total);
    }
}
