//! A hundred thousand malformed and forged packets: the server lives, never answers a response, its own address or
//! port 0, and a normal client sees no loss.

#![allow(unreachable_pub)] // `pub` is what the tests may use; there is no crate around it

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use crate::namespaces::{CLIENT, FLOOD, Lab, MIDDLE, SERVER};
use crate::roles::{RESULT, ZONE};
use crate::support::dns::{Packet, rtype};
use crate::support::{eventually, http};

/// Packets of the barrage.
const PACKETS: u64 = 100_000;
/// Each burst of a hundred takes that long: a tenth of what a flood has, since this is about what packets say.
const PACE: Duration = Duration::from_millis(5);
/// Forged packets from one of the server's own addresses, and from port 0.
const FORGED: u64 = 500;

#[test]
fn malformed_and_forged_packets_harm_nobody() {
    let _alone = crate::alone();
    let lab = Lab::new();
    let mut server = crate::serve(&lab, "[dns.rate_limit]\nenabled = false\n");
    let numbers = |lab: &Lab| lab.play(MIDDLE, &format!("metrics {}", server.http().port())).result();
    let before = numbers(&lab);
    let client = lab.play(CLIENT, "client 9000");
    let barrage = lab.play(FLOOD, "barrage 0").result();
    lab.play(FLOOD, "port-0 0").result();
    lab.play(MIDDLE, "own-address 0").result();
    let [asked, lost] = client.result()[..] else { panic!("the client tells two numbers") };
    let [sent, responses, short, answered] = barrage[..] else { panic!("the barrage tells four numbers") };
    let mut seen = [0; 4];
    eventually("all that is dropped is counted", || {
        let now = numbers(&lab);
        seen = [0, 1, 2, 3].map(|index| now[index].saturating_sub(before[index]));
        seen[2] >= 2 * FORGED && seen[1] >= responses && seen[0] >= short
    });
    let [short_seen, responses_seen, forged_seen, panics] = seen;
    println!(
        "{sent} packets, {answered} answered; {responses_seen} responses, {short_seen} short, {forged_seen} forged; \
         {lost} of {asked} lost"
    );
    assert_eq!(sent, PACKETS);
    assert_eq!(lost, 0, "{lost} of {asked} queries of a normal client were lost");
    assert!(answered > sent / 10, "errors are told: {answered} answers");
    assert_eq!(forged_seen, 2 * FORGED, "own address and port 0 are dropped");
    assert_eq!(panics, 0, "panics while answering");
    assert!(server.stop().success(), "the server lives, and stops when told so");
}

/// Plays the roles of this file; whether it was one of them.
pub fn play(role: &str, argument: u64) -> bool {
    match role {
        "barrage" => barrage(),
        "port-0" => forge(SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 2), 0)),
        "own-address" => forge(SERVER.parse().expect("an address")),
        "metrics" => metrics(argument as u16),
        _ => return false,
    }
    true
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % sides
    }
}

/// A packet that is wrong in some way, or in none.
fn malformed(dice: &mut Dice, id: u16) -> Vec<u8> {
    let names = [format!("_search._tcp.{ZONE}"), format!("h000001.{ZONE}"), format!("nobody.{ZONE}"), ".".to_owned()];
    let types = [rtype::A, rtype::SRV, rtype::TXT, rtype::ANY, rtype::AXFR, rtype::SOA];
    let query = Packet::query(id, &names[dice.roll(names.len())], types[dice.roll(types.len())]);
    let mut octets = match dice.roll(4) {
        0 => query.edns(dice.roll(65536) as u16, dice.roll(3) as u8, &[0, 3, 0, 0]).0,
        1 => query.edns(1232, 0, &[0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]).edns(1232, 0, &[]).0,
        2 => query.count(dice.roll(4), dice.roll(65536) as u16).0,
        _ => query.0,
    };
    for _ in 0..dice.roll(6) {
        let at = 2 + dice.roll(octets.len() - 2);
        octets[at] = match dice.roll(3) {
            0 => 0xC0 | dice.roll(64) as u8, // a pointer, perhaps to itself
            1 => octets[at] ^ 1 << dice.roll(8),
            _ => dice.roll(256) as u8,
        };
    }
    if dice.roll(5) == 0 {
        octets.truncate(12 + dice.roll(octets.len() - 11));
    }
    if dice.roll(8) == 0 {
        octets.extend((0..dice.roll(300)).map(|n| n as u8));
    }
    octets
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("198.51.100.2:0").expect("a socket");
    socket.connect(SERVER).expect("a route");
    socket.set_nonblocking(true).expect("it can");
    socket
}

/// Sends everything that is wrong, each sort from a socket of its own, and hears what comes back.
fn barrage() {
    let [queries, responses, short] = [(); 3].map(|()| socket());
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let (mut counts, mut answered) = ([0_u64; 3], 0);
    let mut room = [0; 9000];
    for n in 0..PACKETS {
        let mut packet = malformed(&mut dice, n as u16);
        let sort = [0, 0, 1, 2][dice.roll(4)];
        match sort {
            0 => packet[2] &= 0x7F,
            1 => packet[2] |= 0x80,
            _ => packet.truncate(dice.roll(12)),
        }
        let socket = [&queries, &responses, &short][sort];
        while socket.send(&packet).is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
        counts[sort] += 1;
        if n % 100 == 0 {
            answered += hear(&queries, &mut room);
            std::thread::sleep(PACE);
        }
    }
    let end = Instant::now() + Duration::from_millis(500);
    while Instant::now() < end {
        answered += hear(&queries, &mut room);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(hear(&responses, &mut room), 0, "a response was answered");
    assert_eq!(hear(&short, &mut room), 0, "a packet without a header was answered");
    println!("{RESULT} {} {} {} {answered}", counts.iter().sum::<u64>(), counts[1], counts[2]);
}

/// How many answers have come. Each is a response, and none is for the question of another.
fn hear(socket: &UdpSocket, room: &mut [u8]) -> u64 {
    let mut heard = 0;
    while let Ok(len) = socket.recv(room) {
        assert!((12..=8192).contains(&len) && room[2] & 0x80 != 0, "not a response: {:02x?}", &room[..len]);
        heard += 1;
    }
    heard
}

/// Sends sound queries that claim to come from `source`.
fn forge(source: SocketAddrV4) {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255))).expect("a raw socket");
    let server: SocketAddrV4 = SERVER.parse().expect("an address");
    for n in 0..FORGED {
        let query = Packet::query(n as u16, &format!("h000001.{ZONE}"), rtype::TXT).0;
        let packet = datagram(source, server, &query);
        socket.send_to(&packet, &SocketAddr::from(server).into()).expect("a route");
        std::thread::sleep(Duration::from_micros(200));
    }
    println!("{RESULT} {FORGED}");
}

/// A whole IPv4 packet; the kernel fills in the checksum of its header, and UDP needs none.
fn datagram(source: SocketAddrV4, destination: SocketAddrV4, payload: &[u8]) -> Vec<u8> {
    let udp = 8 + payload.len() as u16;
    let mut packet = vec![0x45, 0];
    packet.extend((20 + udp).to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    packet.extend(source.ip().octets());
    packet.extend(destination.ip().octets());
    packet.extend(source.port().to_be_bytes());
    packet.extend(destination.port().to_be_bytes());
    packet.extend(udp.to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(payload);
    packet
}

/// Tells how many packets the server has dropped as short, as responses and for their source, and how often it
/// panicked.
fn metrics(port: u16) {
    let server = SocketAddr::from(([127, 0, 0, 1], port));
    let reply = http::request(server, "GET", "/metrics", &[], None).expect("the server answers HTTP");
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    let number = |name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name} in\n{text}"));
        line.trim().parse().expect("a number")
    };
    let dropped =
        ["short", "response", "source"].map(|why| number(&format!("zonebeat_dns_dropped_total{{reason=\"{why}\"}}")));
    println!("{RESULT} {} {} {} {}", dropped[0], dropped[1], dropped[2], number("zonebeat_dns_panics_total"));
}
