//! Instructions per query from packet to packet: a fixed workload for `valgrind --tool=callgrind`, which counts them.
//!
//! Queries come in full batches; those of `single` come one by one, and show what a batch costs however small it is.
//! Each mix is one function that is never inlined and runs once, so what callgrind says of it, with all that it calls,
//! is the cost of [`QUERIES`] queries. `scripts/instructions.sh` builds this, runs it and compares with
//! `benches/instructions.txt`. Nothing here depends on chance or on the clock, apart from the secret of the cookies,
//! which does not change what happens.

#![allow(missing_docs, clippy::print_stdout)] // a program that prints what it did
#![allow(clippy::disallowed_methods)] // because accounts follow a clock

#[path = "../tests/support/instance.rs"]
mod instance;
#[path = "support/zone.rs"]
mod zone;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use zone::{PER_SERVICE, random};
use zonebeat::answer::Transport;
use zonebeat::config::RateLimit;
use zonebeat::model::Name;
use zonebeat::view::View;
use zonebeat::wire::batch::{Arrived, BATCH, HandleDatagrams, answer};
use zonebeat::wire::decode::{Decoded, Origin};
use zonebeat::wire::rate::{Moment, Rates, Verdict};
use zonebeat::wire::respond::{Datagram, Reply, Silence, respond};
use zonebeat::wire::{CookieOptions, Cookies, Rules};

const SERVICES: usize = 200;
/// Queries of each mix.
const QUERIES: usize = 4096;
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

/// What answers, how many queries at once, and the room for an answer.
struct Load {
    view: View,
    rules: Rules,
    batch: usize,
    out: Vec<u8>,
}

/// One function per mix, under the name by which it is found in the profile.
macro_rules! mixes {
    ($($name:ident),*) => { $(
        #[inline(never)]
        fn $name(load: &mut Load, packets: &[Vec<u8>]) -> usize {
            black_box(stringify!($name)); // or the compiler would make one function of all
            load.answer(packets)
        }
    )* };
}

mixes!(mix_a, mix_b, mix_c, mix_d, mix_nxdomain, mix_nodata, mix_edns, mix_charged, mix_single);

/// What one mix is: its function, and the packet of a number.
type Mix<'m> = (fn(&mut Load, &[Vec<u8>]) -> usize, &'m dyn Fn(usize) -> Vec<u8>);

fn main() {
    let snapshot = zone::snapshot(SERVICES, |number| format!("svc{number}"));
    let view = zone::compiler(&[]).full(&snapshot, &[]);
    let mut load = Load { view, rules: Rules::default(), batch: BATCH, out: vec![0; 8192] };
    load.rules.cookies = Arc::new(Cookies::new(&CookieOptions { secrets: vec![[7; 16]], ..CookieOptions::default() }));
    let mixed = |number: usize| match number % 10 {
        0..6 => srv(number),
        6..9 if number.is_multiple_of(2) => host(number, &[]),
        6..9 => addresses(number),
        _ => missing(number),
    };
    let options = options(&mut load);
    let with_options = |number: usize| host(number, &options);
    let no_type = |number: usize| question(&format!("svc{}", random(number) % SERVICES), 16, &[]);
    let no_options = |number: usize| host(number, &[]);
    let mixes: [Mix<'_>; 7] = [
        (mix_a, &no_options),
        (mix_b, &addresses),
        (mix_c, &srv),
        (mix_d, &mixed),
        (mix_nxdomain, &missing),
        (mix_nodata, &no_type),
        (mix_edns, &with_options),
    ];
    let mut octets = 0;
    for (answer, packet) in mixes {
        octets += run(&mut load, answer, packet);
    }
    load.batch = 1;
    octets += run(&mut load, mix_single, &no_options);
    load.batch = BATCH;
    let most = 1 << 20;
    let settings = RateLimit { per_name: most, per_zone: most, per_prefix: most, ..RateLimit::default() };
    load.rules.rates = Rates::new(&settings, 7).map(Arc::new);
    octets += run(&mut load, mix_charged, &mixed);
    println!("{QUERIES} queries of each mix, {octets} octets of answers");
}

fn run(load: &mut Load, answer: fn(&mut Load, &[Vec<u8>]) -> usize, packet: &dyn Fn(usize) -> Vec<u8>) -> usize {
    let packets: Vec<_> = (0..QUERIES).map(packet).collect();
    black_box(answer)(load, &packets)
}

impl Load {
    /// What a worker does with batches of datagrams, without network, own addresses, counters, rotation and clock.
    fn answer(&mut self, packets: &[Vec<u8>]) -> usize {
        let Self { view, rules, batch, out } = self;
        let now = rules.rates.as_ref().map(|rates| rates.moment(Instant::now()));
        let mut octets = 0;
        for packets in packets.chunks(*batch) {
            let mut turn = Turn { packets, rules, now, out, octets: 0 };
            answer(view, rules, packets.len(), &mut turn);
            octets += turn.octets;
        }
        octets
    }
}

/// One batch.
struct Turn<'t, 'p> {
    packets: &'p [Vec<u8>],
    rules: &'t Rules,
    now: Option<Moment>,
    out: &'t mut [u8],
    octets: usize,
}

impl<'p> HandleDatagrams<'p> for Turn<'_, 'p> {
    fn decode(&mut self, index: usize, arrived: &mut Arrived<'p>) -> bool {
        let origin = Origin { transport: Transport::Udp, client: CLIENT };
        self.rules.decode_into(&self.packets[index], origin, &mut arrived.decoded);
        if let Decoded::Query(query) = &mut arrived.decoded {
            query.rotation = index as u32;
        }
        if let Some((rates, now)) = self.rules.rates.as_ref().zip(self.now) {
            assert_eq!(rates.charge_prefix(CLIENT, now), Verdict::Pass);
            arrived.datagram = Some(Datagram { now, len: 64, client: CLIENT, prefix: Verdict::Pass });
        }
        true
    }

    fn buffer(&mut self) -> &mut [u8] {
        self.out
    }

    fn answered(&mut self, _arrived: &Arrived<'p>, outcome: Result<Reply, Silence>) {
        self.octets += outcome.expect("every query is answered").len;
    }
}

/// NSID, and a cookie of a client that has come before: its server's part is taken from an answer.
fn options(load: &mut Load) -> Vec<u8> {
    let [nsid, cookie] = [[0, 3, 0, 0], [0, 10, 0, 8]];
    let first = [&nsid[..], &cookie, b"abcdefgh"].concat();
    let packet = host(0, &first);
    let (decoded, _) = load.rules.decode(&packet, Origin { transport: Transport::Udp, client: CLIENT });
    let len = respond(&load.view, &decoded, &load.rules, &mut load.out).expect("it is answered").len;
    let whole = &load.out[len - 24..len]; // the last option
    [&nsid[..], &[0, 10, 0, 24], whole].concat()
}

fn host(number: usize, options: &[u8]) -> Vec<u8> {
    let random = random(number);
    question(&format!("i{}.svc{}", random % PER_SERVICE, random / PER_SERVICE % SERVICES), 1, options)
}

fn addresses(number: usize) -> Vec<u8> {
    question(&format!("svc{}", random(number) % SERVICES), 1, &[])
}

fn srv(number: usize) -> Vec<u8> {
    let mut packet = question(&format!("_svc{}._tcp", random(number) % SERVICES), 33, &[]);
    add_opt(&mut packet, &[]);
    packet
}

fn missing(number: usize) -> Vec<u8> {
    question(&format!("nope{}", random(number)), 1, &[])
}

/// A query for a name in the zone; with EDNS if there are options.
fn question(name: &str, rtype: u16, options: &[u8]) -> Vec<u8> {
    let name = Name::parse_absolute(&format!("{name}.sd.test")).expect("a name");
    let mut packet = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    packet.extend_from_slice(name.as_wire());
    packet.extend([rtype, 1].iter().flat_map(|word: &u16| word.to_be_bytes()));
    if !options.is_empty() {
        add_opt(&mut packet, options);
    }
    packet
}

fn add_opt(packet: &mut Vec<u8>, options: &[u8]) {
    packet[11] = 1;
    packet.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, options.len() as u8]);
    packet.extend_from_slice(options);
}
