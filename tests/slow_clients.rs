//! Two thousand slow clients of a server that may open 1024 files: a fresh client is answered in under a second, the
//! processor is idle afterwards, and what each connection can hold is bounded.

#![allow(clippy::disallowed_methods)] // real processes live in real time
#![allow(clippy::unwrap_used)] // a test helper may stop the test
#![allow(clippy::print_stdout)] // figures are told, and parts tell theirs

mod support;

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::dns::{Packet, Tcp, rtype, try_udp};
use support::faults::{connect_from, cpu_time, hurry_from};
use support::{Server, Setup, ZONE, eventually, pass};

const CLIENTS: usize = 2000;
/// Connections of one client address.
const PER_CLIENT: usize = 16;
/// Of the clients that were displaced, those that come again in a tenth of a second.
const BACK: usize = 200;
const FILES: usize = 1024;
/// In how much time a fresh client is answered.
const FRESH: Duration = Duration::from_secs(1);
/// The most processor time in two seconds of a server that has nothing to do: a fifth, and most of that is the noise of
/// a build for tests on a machine that is shared.
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

/// How long a fresh client waits for its answer. One that is displaced before its query was there asks again.
fn fresh(server: &Server, number: u8) -> Duration {
    let asked = Instant::now();
    let id = u16::from(number);
    let ask = || {
        let mut connection = Tcp(connect_from([250, number], server.dns()).expect("the kernel takes a connection"));
        connection.send(&query(id)).and_then(|()| connection.receive())
    };
    let answer = loop {
        match ask() {
            Ok(answer) => break answer,
            Err(error) => assert!(asked.elapsed() < FRESH, "no answer for a fresh client: {error}"),
        }
    };
    assert_eq!((answer.id(), answer.rcode()), (id, 0));
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
    assert_harmless(&server);
    assert_calm(&server);
    drop(connections);
}

fn assert_harmless(server: &Server) {
    let spaced = |number| {
        pass(Duration::from_millis(150));
        fresh(server, number)
    };
    let times: Vec<Duration> = (1..=10).map(spaced).collect();
    let slowest = times.iter().max().unwrap();
    println!("fresh clients were answered within {slowest:?}");
    assert!(*slowest < FRESH, "{times:?}");
    let answered = try_udp(server.dns(), &query(1), FRESH).is_some();
    assert!(answered, "UDP is not concerned");
    assert_eq!(server.call("GET", "/healthz", None).status, 200, "HTTP has descriptors of its own");
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

/// A zone with a name that has an answer of 64 KB, and the query for it.
fn large() -> (Setup, Vec<u8>) {
    let big: String = (0..300).map(|n| format!("big TXT \"{n:0>200}\"\n")).collect();
    let zone = format!("$TTL 300\n@ SOA ns1 hostmaster 1 1h 10m 1w 5\n NS ns1\nns1 A 192.0.2.1\n{big}");
    let query = Packet::query(1, &format!("big.{ZONE}"), rtype::TXT).0;
    (Setup::bare().zone_file(ZONE, &zone), [&(query.len() as u16).to_be_bytes(), &*query].concat())
}

/// Asks from `CLIENTS` addresses, reads nothing, and comes again from other addresses when it was
/// displaced, until it has to end.
fn ask_and_never_read(server: &Server, says: &[u8], over: &AtomicBool) {
    let mut next = (0..u16::MAX).cycle();
    let mut connect = || hurry_from(next.next().unwrap().to_be_bytes(), server.dns()).expect("there are sockets");
    let mut connections: Vec<TcpStream> = (0..CLIENTS).map(|_| connect()).collect();
    while !over.load(Ordering::Relaxed) {
        pass(Duration::from_millis(100));
        let is_gone = |connection: &mut TcpStream| {
            connection.write(says).is_err_and(|error| error.kind() != ErrorKind::WouldBlock)
        };
        let gone = connections.iter_mut().filter_map(|connection| is_gone(connection).then_some(connection));
        gone.take(BACK).for_each(|connection| *connection = connect());
    }
}

#[test]
fn clients_that_never_read_their_answers() {
    raise_own_limit();
    let (setup, query) = large();
    let server = setup.start_with_files(FILES);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let attack = scope.spawn(|| ask_and_never_read(&server, &query.repeat(60), &over));
        pass(Duration::from_secs(2));
        let harmless = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| assert_harmless(&server)));
        over.store(true, Ordering::Relaxed);
        attack.join().expect("the attack went on");
        harmless.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    assert_calm(&server);
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
    let (setup, large) = large();
    let setup = setup.config(config);
    let silent = cost(&setup, 800, &[]);
    let half = cost(&setup, 400, &[&[0xFF, 0xFF], &[0; 60_000][..]].concat());
    let unread = cost(&setup, 200, &large.repeat(64));
    println!("octets per connection: silent {silent}, half a message {half}, answers that are not read {unread}");
    assert!(silent < 16 << 10, "{silent} octets of a silent connection");
    assert!(half < 160 << 10, "{half} octets of a connection with half a message");
    assert!(unread < 400 << 10, "{unread} octets of a connection whose answers are not read");
}
