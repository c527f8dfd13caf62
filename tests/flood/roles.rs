//! What runs in the namespaces: the flood, and the client whose losses count.

#![allow(unreachable_pub)] // `pub` is what the tests may use; there is no crate around it
#![allow(unsafe_code)] // because the standard library cannot set UDP_SEGMENT, without which one core makes no flood

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use crate::hostile;
use crate::namespaces::SERVER;
use crate::support::dns::{Packet, rtype};

/// The environment variable that says which role is to be played, and for how long.
pub const ROLE: &str = "ZONEBEAT_FLOOD_ROLE";
/// What stands before the numbers of a result.
pub const RESULT: &str = "result:";
/// The zone.
pub const ZONE: &str = "flood.example.org";
/// Names `h000000` and so on that exist.
pub const NAMES: u32 = 20_000;

/// Queries of one system call; the kernel cuts them apart.
const SEGMENTS: usize = 60;
/// Sockets of the flood, each with another address.
const SOURCES: u8 = 120;

/// What the flood asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// SRV records of one name, with EDNS.
    OneName,
    /// Names that do not exist, each another one.
    NoName,
    /// Names that exist, in turn.
    ManyNames,
}

/// Plays the role that the environment names, if it does.
pub fn play() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (role, time) = role.split_once(' ').expect("a role and its time");
    let number = time.parse().expect("milliseconds, or another number");
    if hostile::play(role, number) {
        return;
    }
    let time = Duration::from_millis(number);
    match role {
        "client" => ask(time),
        "probe" => probe(time),
        role => {
            let kinds = [Kind::OneName, Kind::NoName, Kind::ManyNames];
            flood(kinds.into_iter().find(|kind| format!("{kind:?}") == role).expect("a kind"), time);
        }
    }
}

/// Sends as much as one core can.
fn flood(kind: Kind, time: Duration) {
    let query = |n: u32| match kind {
        Kind::OneName => Packet::query(n as u16, &format!("_search._tcp.{ZONE}"), rtype::SRV),
        Kind::NoName => Packet::query(n as u16, &format!("x{n:08x}.{ZONE}"), rtype::A),
        Kind::ManyNames => Packet::query(n as u16, &format!("h{:06}.{ZONE}", n % NAMES), rtype::TXT),
    };
    let packet = |n: u32| query(n).edns(1232, 0, &[]).0;
    let bursts = NAMES as usize / SEGMENTS;
    let bursts: Vec<Vec<u8>> = (0..bursts)
        .map(|burst| {
            (0..SEGMENTS).flat_map(|n| packet(((burst * SEGMENTS + n) as u32).wrapping_mul(2_654_435))).collect()
        })
        .collect();
    let sockets: Vec<UdpSocket> = (0..SOURCES).map(|n| source(n, packet(0).len()).expect("a socket")).collect();
    let (end, mut sent) = (Instant::now() + time, 0);
    for (turn, burst) in bursts.iter().cycle().enumerate() {
        if sockets[turn % sockets.len()].send(burst).is_ok() {
            sent += SEGMENTS;
        }
        if turn % 64 == 0 && Instant::now() > end {
            break;
        }
    }
    println!("{RESULT} {sent}");
}

/// A socket of the flood whose messages are cut into queries of `segment` octets. It hears no answers.
fn source(number: u8, segment: usize) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::new(198, 51, 100, 3 + number), 0))?;
    socket.connect(SERVER)?;
    let segment = segment as libc::c_int;
    let size = size_of::<libc::c_int>() as u32;
    // SAFETY: the option's value is an integer that lives, and its size is given.
    let done = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, (&raw const segment).cast(), size)
    };
    if done == 0 { Ok(socket) } else { Err(io::Error::last_os_error()) }
}

/// Asks a hundred names from the prefix of the flood, and tells how many were answered in time.
fn probe(time: Duration) {
    let socket = UdpSocket::bind("198.51.100.2:0").expect("a socket");
    socket.connect(SERVER).expect("a route");
    socket.set_read_timeout(Some(time)).expect("the timeout is not zero");
    for n in 0..100 {
        socket.send(&Packet::query(n, &format!("h{n:06}.{ZONE}"), rtype::TXT).0).expect("a route");
    }
    let whole = |len: usize, room: &[u8; 2048]| len > 12 && room[2] & 2 == 0;
    let mut room = [0; 2048];
    let answered = std::iter::from_fn(|| socket.recv(&mut room).ok().map(|len| whole(len, &room)));
    println!("{RESULT} {}", answered.take(100).filter(|whole| *whole).count());
}

/// Asks a thousand times a second, each query once, from some sockets so that all workers are asked.
fn ask(time: Duration) {
    let open = |_| {
        let socket = UdpSocket::bind("203.0.113.2:0").expect("a socket");
        socket.connect(SERVER).expect("a route");
        socket.set_nonblocking(true).expect("it can");
        socket
    };
    let sockets: Vec<UdpSocket> = (0..8).map(open).collect();
    let mut waiting: HashSet<u16> = HashSet::new();
    let began = Instant::now();
    let mut asked: u64 = 0;
    let hear = |waiting: &mut HashSet<u16>| {
        let mut room = [0; 2048];
        for socket in &sockets {
            while let Ok(len) = socket.recv(&mut room) {
                assert!(len > 12 && room[2] & 2 == 0 && room[3] & 15 == 0, "a whole answer");
                waiting.remove(&u16::from_be_bytes([room[0], room[1]]));
            }
        }
    };
    while began.elapsed() < time {
        while u128::from(asked) < began.elapsed().as_millis() {
            let name = format!("h{:06}.{ZONE}", asked % u64::from(NAMES));
            let packet = Packet::query(asked as u16, &name, rtype::TXT).0;
            if sockets[asked as usize % sockets.len()].send(&packet).is_ok() {
                waiting.insert(asked as u16);
            }
            asked += 1;
        }
        hear(&mut waiting);
        std::thread::sleep(Duration::from_micros(500));
    }
    let end = Instant::now() + Duration::from_secs(3);
    while !waiting.is_empty() && Instant::now() < end {
        hear(&mut waiting);
        std::thread::sleep(Duration::from_millis(5));
    }
    println!("{RESULT} {asked} {}", waiting.len());
}
