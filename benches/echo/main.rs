//! What the kernel's UDP path costs: a server that copies an answer of the right size and knows no DNS:
//! `cargo bench --bench echo -- --help`.
//!
//! It receives and sends as zonebeat does, 64 datagrams per call and buffers of 4 MiB. `--group` joins answers of one
//! length to one client, which the kernel cuts again (UDP_SEGMENT). The length of an answer is that of the `--answer`
//! for the query's length and type. It prints its port, and runs until it is stopped.

#![allow(missing_docs, clippy::print_stdout)] // a program that prints its port

#[path = "../support/datagrams.rs"]
mod datagrams;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::ops::Range;

use clap::Parser;
use datagrams::{BATCH, Incoming, Outgoing};

const BUFFERS: i32 = 4 << 20;
const LONGEST_QUERY: usize = 4096 + 64;
const LONGEST_ANSWER: usize = 4096 + 64;
const LENGTHS: usize = 512;
const KINDS: usize = 256;
/// The longest answer that is grouped, and the longest group, as in zonebeat.
const MAX_SEGMENT: usize = 1232;
const MAX_GROUPED: usize = 65_000;

/// Answers every datagram with octets of a given length.
#[derive(Parser)]
struct Options {
    /// Port on 127.0.0.1; 0 is any.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Octets of an answer.
    #[arg(long, default_value_t = 512)]
    size: usize,
    /// Octets of the answers to queries of a length and a kind, as LENGTH:KIND:ANSWER; may be repeated. The kind is the
    /// third octet from the end: without EDNS the type, else 0.
    #[arg(long = "answer", value_parser = parse_answer)]
    answers: Vec<[usize; 3]>,
    /// Group answers to one client.
    #[arg(long)]
    group: bool,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn parse_answer(text: &str) -> Result<[usize; 3], String> {
    let numbers: Result<Vec<usize>, _> = text.split(':').map(str::parse).collect();
    let answer: Option<[usize; 3]> = numbers.ok().and_then(|numbers| numbers.try_into().ok());
    answer.filter(|[len, kind, _]| *len < LENGTHS && *kind < KINDS).ok_or_else(|| "write LENGTH:KIND:ANSWER".to_owned())
}

/// Octets of answers by length and kind of the query.
struct Sizes(Vec<usize>);

impl Sizes {
    fn new(options: &Options) -> Self {
        let mut sizes = vec![options.size.min(LONGEST_ANSWER); LENGTHS * KINDS];
        for [len, kind, answer] in &options.answers {
            sizes[len * KINDS + kind] = (*answer).min(LONGEST_ANSWER);
        }
        Self(sizes)
    }

    fn of(&self, query: &[u8]) -> usize {
        let kind = query.len().checked_sub(3).map_or(0, |at| usize::from(query[at]));
        self.0[query.len().min(LENGTHS - 1) * KINDS + kind].max(query.len())
    }
}

fn main() -> std::io::Result<()> {
    let options = Options::parse();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, options.port))?;
    datagrams::set_buffers(&socket, BUFFERS)?;
    println!("{}", socket.local_addr()?.port());
    let sizes = Sizes::new(&options);
    let answer: Vec<u8> = (0..LONGEST_ANSWER).map(|index| index as u8).collect();
    let mut incoming = Incoming::new(LONGEST_QUERY, false);
    let mut outgoing = Outgoing::new(BATCH * LONGEST_ANSWER);
    let mut groups = Groups::default();
    loop {
        let count = incoming.receive(&socket, true)?;
        outgoing.clear();
        for index in 0..count {
            let query = incoming.packet(index);
            let (range, out) = outgoing.write(sizes.of(query));
            out.copy_from_slice(&answer[..out.len()]);
            out[..query.len()].copy_from_slice(query);
            if let [_, _, flags, ..] = out {
                *flags |= 0x80;
            }
            match options.group {
                true => groups.add(incoming.source(index), range),
                false => outgoing.push(incoming.source(index), None, None, [range]),
            }
        }
        groups.push(&mut outgoing);
        outgoing.send(&socket)?;
    }
}

/// Answers of one length to one client.
#[derive(Default)]
struct Groups {
    open: HashMap<(SocketAddrV4, usize), usize, foldhash::fast::FixedState>,
    ready: Vec<(SocketAddrV4, usize, Vec<Range<usize>>)>,
    used: usize,
}

impl Groups {
    fn add(&mut self, client: SocketAddrV4, range: Range<usize>) {
        let len = range.len();
        let fits = |ranges: &Vec<Range<usize>>| len <= MAX_SEGMENT && (ranges.len() + 1) * len <= MAX_GROUPED;
        if let Some(group) = self.open.get(&(client, len)).filter(|group| fits(&self.ready[**group].2)) {
            self.ready[*group].2.push(range);
            return;
        }
        if self.used == self.ready.len() {
            self.ready.push((client, len, Vec::with_capacity(BATCH)));
        }
        let group = &mut self.ready[self.used];
        (group.0, group.1) = (client, len);
        group.2.push(range);
        self.open.insert((client, len), self.used);
        self.used += 1;
    }

    /// Hands all groups over, and begins anew.
    fn push(&mut self, outgoing: &mut Outgoing) {
        for (client, len, ranges) in &mut self.ready[..self.used] {
            outgoing.push(*client, None, (ranges.len() > 1).then_some(*len), ranges.drain(..));
        }
        self.open.clear();
        self.used = 0;
    }
}
