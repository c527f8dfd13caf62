//! Clients that are slow, many or silent take nobody else's answers.

#![allow(clippy::disallowed_methods)] // real processes live in real time
#![allow(clippy::unwrap_used)] // a test helper may stop the test

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use support::dns::{Packet, Tcp, rtype, try_udp};
use support::faults::{Kept, connect_from, cpu_time};
use support::{Server, Setup, ZONE, eventually};

/// Connections of one client address.
const PER_CLIENT: u8 = 16;
/// The most processor time that a server may use that has nothing to do, per second.
const IDLE: Duration = Duration::from_millis(200);

fn query(id: u16) -> Vec<u8> {
    Packet::query(id, ZONE, rtype::SOA).0
}

/// Asks over a connection from this address; whether there was an answer.
fn is_answered(client: [u8; 2], server: &Server) -> bool {
    let Ok(stream) = connect_from(client, server.dns()) else { return false };
    let mut connection = Tcp(stream);
    connection.send(&query(1)).is_ok() && connection.receive().is_ok_and(|answer| answer.rcode() == 0)
}

/// Connections that say the first octet of a query and no more.
fn slow(client: [u8; 2], server: &Server, number: u8) -> Vec<TcpStream> {
    let open = |_| {
        let mut stream = connect_from(client, server.dns()).expect("the kernel takes a connection");
        let _ = stream.write_all(&[0]); // it may be refused already
        stream
    };
    (0..number).map(open).collect()
}

fn assert_udp(server: &Server) {
    for id in 0..20 {
        assert!(try_udp(server.dns(), &query(id), Duration::from_secs(1)).is_some(), "UDP is not concerned");
    }
}

fn assert_calm(server: &Server) {
    let before = cpu_time(server.pid());
    thread::sleep(Duration::from_secs(1));
    let used = cpu_time(server.pid()) - before;
    assert!(used < IDLE, "{used:?} of processor time in a second");
}

/// Whether the server has ended the connection.
fn is_closed(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut stream = stream;
    match stream.read(&mut [0; 1]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

#[test]
fn slow_clients_of_one_address_do_not_concern_another() {
    let server = Server::start();
    let mut connections = slow([0, 2], &server, 100);
    assert!(is_answered([0, 3], &server));
    assert_udp(&server);
    assert_calm(&server);
    eventually("who says no query within 2 s is closed", || {
        connections.retain(|connection| !is_closed(connection));
        connections.is_empty()
    });
    assert!(is_answered([0, 2], &server));
}

#[test]
fn slow_clients_of_many_addresses_give_way_to_a_fresh_one() {
    let server = Setup::new().start_with_files(256);
    let connections: Vec<_> = (10..20).flat_map(|last| slow([0, last], &server, PER_CLIENT)).collect();
    assert_udp(&server);
    let waiting = Instant::now();
    eventually("a fresh client is answered", || is_answered([0, 3], &server));
    assert!(waiting.elapsed() < Duration::from_secs(1), "{:?}", waiting.elapsed());
    assert_eq!(server.call("GET", "/healthz", None).status, 200, "HTTP has descriptors of its own");
    server.register("search", "a1", &json!({ "port": 80, "addresses": ["192.0.2.7"] }));
    drop(connections);
}

#[test]
fn one_connection_too_many_displaces_the_oldest_idle_one() {
    let server = Server::start();
    let mut connections: Vec<Tcp> = (0..PER_CLIENT).map(|_| Tcp(connect_from([0, 2], server.dns()).unwrap())).collect();
    for (id, connection) in connections.iter_mut().enumerate() {
        connection.send(&query(id as u16)).unwrap();
        assert_eq!(connection.receive().unwrap().id(), id as u16);
    }
    let mut one_more = Tcp(connect_from([0, 2], server.dns()).unwrap());
    one_more.send(&query(99)).unwrap();
    assert_eq!(one_more.receive().unwrap().id(), 99);
    assert_eq!(connections[0].0.read(&mut [0; 1]).expect("closed, not reset"), 0);
    for connection in &mut connections[1..] {
        connection.send(&query(7)).unwrap();
        assert_eq!(connection.receive().unwrap().id(), 7);
    }
}

/// A resolver that opens connections and forgets them is answered over the newest one (RFC 7766 section 6.2.2).
#[test]
fn sixty_idle_connections_of_one_client_give_way_one_by_one() {
    let server = Server::start();
    let forgotten: Vec<TcpStream> = (0..60).map(|_| connect_from([0, 2], server.dns()).unwrap()).collect();
    assert!(is_answered([0, 2], &server));
    drop(forgotten);
}

#[test]
fn silent_http_clients_give_way_to_one_that_calls() {
    let server = Setup::new().start_with_files(256);
    let mut kept = Kept::connect(server.http()).unwrap();
    assert_eq!(kept.call("GET", "/healthz", None).unwrap().status, 200);
    let mut silent: Vec<TcpStream> = Vec::new();
    for _ in 0..150 {
        let mut stream = TcpStream::connect(server.http()).unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost").unwrap();
        silent.push(stream);
    }
    let asked = Instant::now();
    assert_eq!(server.call("GET", "/healthz", None).status, 200);
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert!(is_answered([0, 3], &server), "DNS over TCP has descriptors of its own");
    assert_udp(&server);
    assert_calm(&server);
}

#[test]
fn without_descriptors_the_server_stays_calm_and_recovers() {
    let server = Server::start();
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    let limit = format!("--nofile={}:{}", open + 8, open + 8);
    let done = std::process::Command::new("prlimit").args(["--pid", &server.pid().to_string(), &limit]).status();
    assert!(done.expect("prlimit (Debian package util-linux) is missing").success());

    let dns: Vec<_> = (10..16).flat_map(|last| slow([0, last], &server, 5)).collect();
    let http: Vec<TcpStream> = (0..30).map(|_| TcpStream::connect(server.http()).unwrap()).collect();
    assert_udp(&server);
    assert_calm(&server);
    assert_udp(&server);
    assert_eq!(server.log().matches("accepting TCP connections failed").count(), 1, "once per episode");
    let warnings = server.log().lines().filter(|line| line.contains("WARN")).count();
    assert!(warnings < 10, "{warnings} warnings in a second:\n{}", server.log());

    drop((dns, http));
    eventually("a fresh client is answered", || is_answered([0, 3], &server));
    eventually("HTTP is answered", || {
        let mut fresh = Kept::connect(server.http()).unwrap();
        fresh.call("GET", "/healthz", None).is_ok_and(|reply| reply.status == 200)
    });
}
