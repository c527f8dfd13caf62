//! Two thousand slow clients of a server that may open 1024 files: a fresh client is answered in under a second, the
//! processor is idle afterwards, and what each connection can hold is bounded.

#![allow(clippy::disallowed_methods)] // real processes live in real time
#![allow(clippy::unwrap_used)] // a test helper may stop the test
#![allow(clippy::print_stdout)] // figures are told, and parts tell theirs

mod support;

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use support::dns::{Packet, Tcp, rtype, try_udp};
use support::faults::{connect_from, cpu_time};
use support::{Server, Setup, ZONE, eventually, pass};

const CLIENTS: usize = 2000;
/// Connections of one client address.
const PER_CLIENT: usize = 16;
const FILES: usize = 1024;
/// In how much time a fresh client is answered.
const FRESH: Duration = Duration::from_secs(1);
/// The most processor time in two seconds of a server that has nothing to do: a fifth, and most of that is the noise of a
/// build for tests on a machine that is shared.
const IDLE: Duration = Duration::from_millis(400);

fn query(id: u16) -> Vec<u8> {
    Packet::query(id, ZONE, rtype::SOA).0
}

/// Lets this process open as many connections as the tests need.
fn raise_own_limit() {
    let own = std::process::id().to_string();
    let done = Command::new("prlimit").args(["--pid", &own, "--nofile=8192:"]).status();
    assert!(
        done.expect("prlimit (Debian package util-linux) is missing").success(),
        "the limit of open files is fixed"
    );
}

/// Connections from many addresses, `PER_CLIENT` of each, that say the same and no more.
fn slow(number: usize, says: &[u8]) -> impl Fn(&Server) -> Vec<TcpStream> {
    move |server| {
        let open = |index: usize| {
            let client = index / PER_CLIENT;
            let stream = connect_from([1 + (client / 200) as u8, 1 + (client % 200) as u8], server.dns());
            let mut stream = stream.expect("the kernel takes a connection");
            let _ = stream.write_all(says); // it may have been displaced already
            stream
        };
        (0..number).map(open).collect()
    }
}

/// How long a fresh client waits for its answer.
fn fresh(server: &Server, number: u8) -> Duration {
    let asked = Instant::now();
    let mut connection = Tcp(connect_from([250, number], server.dns()).expect("the kernel takes a connection"));
    connection.send(&query(u16::from(number))).expect("the server reads");
    let answer = connection.receive().expect("the server answers a fresh client");
    assert_eq!((answer.id(), answer.rcode()), (u16::from(number), 0));
    asked.elapsed()
}

fn assert_calm(server: &Server) {
    eventually("the processor is idle for two seconds", || {
        let before = cpu_time(server.pid());
        pass(Duration::from_secs(2));
        cpu_time(server.pid()) - before < IDLE
    });
}

fn harms_nobody(says: &[u8]) {
    raise_own_limit();
    let server = Setup::new().start_with_files(FILES);
    let connections = slow(CLIENTS, says)(&server);
    let times: Vec<Duration> = (1..=10).map(|number| fresh(&server, number)).collect();
    let slowest = times.iter().max().unwrap();
    println!("fresh clients were answered within {slowest:?}");
    assert!(*slowest < FRESH, "{times:?}");
    let answered = try_udp(server.dns(), &query(1), FRESH).is_some();
    assert!(answered, "UDP is not concerned");
    assert_eq!(server.call("GET", "/healthz", None).status, 200, "HTTP has descriptors of its own");
    assert_calm(&server);
    drop(connections);
}

#[test]
fn clients_that_never_finish_a_query() {
    harms_nobody(&[0]);
}

#[test]
fn clients_that_say_nothing() {
    harms_nobody(&[]);
}

#[test]
fn clients_that_ask_once_and_stay() {
    let query = query(7);
    harms_nobody(&[&(query.len() as u16).to_be_bytes(), &*query].concat());
}

/// Resident octets of a process.
fn resident(server: &Server) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells it");
    line.split_whitespace().next().unwrap().parse::<usize>().unwrap() * 1024
}

/// Resident octets that each of these connections costs.
fn cost(setup: &Setup, number: usize, says: &[u8]) -> usize {
    let server = &setup.clone().start_with_files(4096);
    drop(slow(PER_CLIENT, says)(server)); // what the first connections cost once
    pass(Duration::from_millis(500));
    let before = resident(server);
    let connections = slow(number, says)(server);
    pass(Duration::from_secs(1));
    let after = resident(server);
    drop(connections);
    after.saturating_sub(before) / number
}

/// The figures that docs/operations.md promises.
#[test]
fn a_connection_holds_little_memory() {
    raise_own_limit();
    let config = "[dns.tcp]\nfirst_query = \"30s\"\nidle = \"30s\"\n";
    let big: String = (0..300).map(|n| format!("big TXT \"{n:0>200}\"\n")).collect();
    let zone = format!("$TTL 300\n@ SOA ns1 hostmaster 1 1h 10m 1w 5\n NS ns1\nns1 A 192.0.2.1\n{big}");
    let setup = Setup::bare().config(config).zone_file(ZONE, &zone);
    let silent = cost(&setup, 800, &[]);
    let half = cost(&setup, 400, &[&[0xFF, 0xFF], &[0; 60_000][..]].concat());
    let large = Packet::query(1, &format!("big.{ZONE}"), rtype::TXT).0;
    let large = [&(large.len() as u16).to_be_bytes(), &*large].concat();
    let unread = cost(&setup, 200, &large.repeat(64));
    println!("octets per connection: silent {silent}, half a message {half}, answers that are not read {unread}");
    assert!(silent < 16 << 10, "{silent} octets of a silent connection");
    assert!(half < 160 << 10, "{half} octets of a connection with half a message");
    assert!(unread < 400 << 10, "{unread} octets of a connection whose answers are not read");
}
