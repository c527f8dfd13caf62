//! Instructions per query from packet to packet: a fixed workload for `valgrind --tool=callgrind`, which counts them.
//!
//! Each mix is one function that is never inlined and runs once, so what callgrind says of it, with all that it calls, is
//! the cost of [`QUERIES`] queries. `scripts/instructions.sh` builds this, runs it and compares with
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
use zonebeat::wire::decode::{Decoded, DropReason, Origin};
use zonebeat::wire::rate::{Rates, Verdict};
use zonebeat::wire::respond::{Datagram, Settled, respond, settle, write};
use zonebeat::wire::{CookieOptions, Cookies, Rules};

const SERVICES: usize = 200;
/// Queries of each mix.
const QUERIES: usize = 4096;
const BATCH: usize = 64;
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

/// What answers, and the room for an answer.
struct Load {
    view: View,
    rules: Rules,
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

mixes!(mix_a, mix_b, mix_c, mix_d, mix_nxdomain, mix_nodata, mix_edns, mix_charged);

/// What one mix is: its function, and the packet of a number.
type Mix<'m> = (fn(&mut Load, &[Vec<u8>]) -> usize, &'m dyn Fn(usize) -> Vec<u8>);

fn main() {
    let snapshot = zone::snapshot(SERVICES, |number| format!("svc{number}"));
    let view = zone::compiler(&[]).full(&snapshot, &[]);
    let mut load = Load { view, rules: Rules::default(), out: vec![0; 8192] };
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
    /// What a worker does with batches of datagrams, without network, own addresses, counters and clock.
    fn answer(&mut self, packets: &[Vec<u8>]) -> usize {
        let Self { view, rules, out } = self;
        let mut octets = 0;
        let now = rules.rates.as_ref().map(|rates| rates.moment(Instant::now()));
        for packets in packets.chunks(BATCH) {
            let mut decoded = std::array::from_fn::<_, BATCH, _>(|_| Decoded::Drop(DropReason::Short));
            for (index, (packet, decoded)) in packets.iter().zip(&mut decoded).enumerate() {
                rules.decode_into(packet, Origin { transport: Transport::Udp, client: CLIENT }, decoded);
                if let Decoded::Query(query) = decoded {
                    query.rotation = index as u32;
                }
                if let Some((rates, now)) = rules.rates.as_ref().zip(now) {
                    assert_eq!(rates.charge_prefix(CLIENT, now), Verdict::Pass);
                }
            }
            let names = std::array::from_fn::<&[u8], BATCH, _>(|index| match &decoded[index] {
                Decoded::Query(query) => query.name.as_wire(),
                _ => &[],
            });
            let datagram = now.map(|now| Datagram { now, len: 64, client: CLIENT, prefix: Verdict::Pass });
            let located = view.locate(&names);
            let mut settled = std::array::from_fn::<_, BATCH, _>(|_| Settled::Elsewhere);
            for ((decoded, located), settled) in decoded.iter().zip(&located).zip(&mut settled) {
                *settled = settle(view, located.entry, decoded, rules, datagram);
            }
            let touch = |(decoded, settled): (&Decoded<'_>, &Settled<'_>)| settled.touch(decoded, rules);
            black_box(decoded.iter().zip(&settled).map(touch).fold(0, |all, read| all ^ read));
            for (decoded, settled) in decoded.iter().zip(&settled) {
                octets += write(view, decoded, settled, rules, datagram, out).expect("every query is answered").len;
            }
        }
        octets
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
