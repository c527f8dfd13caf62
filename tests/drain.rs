//! SIGTERM under load: what was asked is answered, what was acknowledged is kept, and the end comes soon.

#![allow(clippy::disallowed_methods)] // real processes live in real time
#![allow(clippy::unwrap_used)] // a test helper may stop the test

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::dns::{Packet, Tcp, rtype};
use support::faults::Kept;
use support::{Server, ZONE};

/// The end of a server that has clients, none of them slow.
const SOON: Duration = Duration::from_secs(3);
/// How long the load runs before the signal.
const LOAD: Duration = Duration::from_millis(400);

fn body(port: usize) -> Value {
    json!({ "port": port, "addresses": ["192.0.2.7"], "lease_seconds": 300 })
}

fn loaded_server() -> Server {
    let server = Server::start();
    (0..5).for_each(|number| drop(server.register("search", &format!("i{number}"), &body(8000 + number))));
    server
}

fn srv_query(id: u16) -> Vec<u8> {
    Packet::query(id, &format!("_search._tcp.{ZONE}."), rtype::SRV).edns(1232, 0, &[]).0
}

/// SIGTERM; says when, and fails unless the server ends with 0 and soon.
fn stop(server: &mut Server) -> Instant {
    let told = Instant::now();
    let status = server.stop();
    assert_eq!(status.code(), Some(0), "{}", server.log());
    assert!(told.elapsed() < SOON, "the end took {:?}:\n{}", told.elapsed(), server.log());
    told
}

#[test]
fn every_udp_query_sent_before_the_signal_is_answered() {
    let mut server = loaded_server();
    let dns = server.dns();
    let clients: Vec<_> = (0..8).map(|_| thread::spawn(move || ask_until_gone(dns))).collect();
    thread::sleep(LOAD);
    let told = stop(&mut server);
    for client in clients {
        let (answered, lost) = client.join().expect("no client panics");
        assert!(answered > 20, "only {answered} answers");
        assert!(lost.is_none_or(|sent| sent >= told), "a query was lost {:?} before the signal", told - lost.unwrap());
    }
}

/// Asks one query after the other; says how many were answered, and when the one was sent that was not.
fn ask_until_gone(server: SocketAddr) -> (usize, Option<Instant>) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    socket.connect(server).expect("loopback");
    socket.set_read_timeout(Some(Duration::from_secs(1))).expect("not zero");
    let mut buffer = [0; 2048];
    for answered in 0.. {
        let sent = Instant::now();
        if socket.send(&srv_query(answered as u16)).is_err() {
            return (answered, None); // the port is closed, and says so
        }
        match socket.recv(&mut buffer) {
            Ok(_) => assert_eq!(&buffer[..2], (answered as u16).to_be_bytes()),
            Err(_) => return (answered, Some(sent)),
        }
    }
    unreachable!("the server is stopped long before")
}

#[test]
fn every_pipelined_tcp_query_is_answered_and_the_end_is_clean() {
    const QUERIES: u16 = 30;
    let mut server = loaded_server();
    let mut clients: Vec<Tcp> = (0..12).map(|_| Tcp::connect(server.dns())).collect();
    let mut burst = Vec::new();
    for id in 0..QUERIES {
        let query = srv_query(id);
        burst.extend((query.len() as u16).to_be_bytes());
        burst.extend(query);
    }
    for client in &mut clients {
        client.0.write_all(&burst).expect("the server reads");
    }
    stop(&mut server);
    for (number, client) in clients.iter_mut().enumerate() {
        let mut ids: Vec<u16> = Vec::new();
        for _ in 0..QUERIES {
            let answer = client.receive().unwrap_or_else(|error| panic!("client {number} after {ids:?}: {error}"));
            ids.push(answer.id());
        }
        ids.sort_unstable();
        assert!(ids.into_iter().eq(0..QUERIES));
        assert_eq!(client.0.read(&mut [0; 1]).expect("closed, not reset"), 0);
    }
}

#[test]
fn every_acknowledged_registration_is_kept_and_no_reply_is_cut() {
    let mut server = loaded_server();
    let http = server.http();
    let count = Arc::new(AtomicUsize::new(0));
    let start = |number| {
        let count = count.clone();
        thread::spawn(move || register_until_gone(http, number, &count))
    };
    let clients: Vec<JoinHandle<Vec<String>>> = (0..8).map(start).collect();
    support::eventually("some registrations are acknowledged", || count.load(Ordering::Relaxed) > 40);
    stop(&mut server);
    let acknowledged: Vec<String> =
        clients.into_iter().flat_map(|client| client.join().expect("no client panics")).collect();
    assert!(acknowledged.len() > 40, "only {} registrations", acknowledged.len());
    let server = server.setup().clone().start();
    for path in &acknowledged {
        assert_eq!(server.http_json("GET", path, None).0, 200, "{path} was acknowledged");
    }
}

/// Registers one instance after the other; says which were acknowledged. Between whole replies the connection may end.
fn register_until_gone(server: SocketAddr, client: usize, count: &AtomicUsize) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let mut connection = Kept::connect(server).expect("the server takes a connection");
    for number in 0.. {
        let path = format!("/v1/services/s{client}/instances/i{number}");
        match connection.call("PUT", &path, Some(&body(1 + number))) {
            Ok(reply) if reply.status == 201 => {
                acknowledged.push(path);
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok(reply) => {
                assert_eq!((reply.status, reply.word().as_str()), (503, "not-ready"), "{}", reply.text());
                break;
            }
            Err(error) if error.kind() == ErrorKind::InvalidData => panic!("{error}"),
            Err(_) => break,
        }
    }
    acknowledged
}

#[test]
fn every_http_request_sent_before_the_signal_gets_its_reply() {
    for round in 0..5 {
        let mut server = loaded_server();
        let mut clients: Vec<Kept> = (0..24).map(|_| Kept::connect(server.http()).unwrap()).collect();
        for client in &mut clients {
            assert_eq!(client.call("GET", "/healthz", None).unwrap().status, 200); // the connection is idle and kept
        }
        for (number, client) in clients.iter_mut().enumerate() {
            client.send("PUT", &format!("/v1/services/s{number}/instances/i1"), Some(&body(9000))).unwrap();
        }
        stop(&mut server);
        for (number, client) in clients.iter_mut().enumerate() {
            let reply = client.receive().unwrap_or_else(|error| panic!("round {round}, request {number}: {error}"));
            assert_eq!(reply.status, 201, "{}", reply.text());
        }
        let server = server.setup().clone().start();
        let (_, list) = server.http_json("GET", "/v1/services?limit=1000", None);
        assert_eq!(list["services"].as_array().unwrap().len(), 25, "{list}");
    }
}

#[test]
fn streams_of_events_end_cleanly() {
    let mut server = loaded_server();
    let mut stream = TcpStream::connect(server.http()).unwrap();
    stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
    stream.write_all(b"GET /v1/events HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    server.register("search", "i9", &body(8009));
    stop(&mut server);
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("closed, not reset");
    assert!(text.contains("\"i9\""), "{text}");
    assert!(text.ends_with("0\r\n\r\n"), "the stream is whole: {text}");
}

#[test]
fn idle_and_half_open_connections_do_not_delay_the_end() {
    let mut server = loaded_server();
    let mut idle_http = Kept::connect(server.http()).unwrap();
    assert_eq!(idle_http.call("GET", "/healthz", None).unwrap().status, 200);
    let _silent_http = TcpStream::connect(server.http()).unwrap();
    let mut idle_dns = Tcp::connect(server.dns());
    idle_dns.send(&srv_query(1)).unwrap();
    idle_dns.receive().unwrap();
    let _silent_dns = Tcp::connect(server.dns());
    let mut half_dns = Tcp::connect(server.dns());
    half_dns.0.write_all(&[0, 40, 1]).unwrap();
    thread::sleep(Duration::from_millis(100));
    stop(&mut server);
    assert_eq!(idle_http.receive().unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(idle_dns.0.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn a_slow_request_is_waited_for_and_only_for_a_while() {
    let mut server = loaded_server();
    let mut slow = TcpStream::connect(server.http()).unwrap();
    slow.write_all(b"PUT /v1/services/slow/instances/i1 HTTP/1.1\r\nhost: test\r\ncontent-le").unwrap();
    let mut slow_body = TcpStream::connect(server.http()).unwrap();
    let head = "PUT /v1/services/slow/instances/i2 HTTP/1.1\r\nhost: test\r\ncontent-length: 100\r\n\r\n{";
    slow_body.write_all(head.as_bytes()).unwrap();
    thread::sleep(Duration::from_millis(100));
    let told = Instant::now();
    server.signal("TERM");
    thread::sleep(Duration::from_millis(500));
    let answer = support::dns::try_udp(server.dns(), &srv_query(1), Duration::from_secs(1));
    assert!(answer.is_some(), "DNS answers while HTTP drains");
    let status = server.wait();
    assert_eq!(status.code(), Some(0), "{}", server.log());
    assert!(told.elapsed() < Duration::from_secs(20), "within the unit's TimeoutStopSec: {:?}", told.elapsed());
    eprintln!("a slow head and a slow body delayed the end by {:?}", told.elapsed());
}

#[test]
fn a_signal_at_any_moment_of_the_start_ends_it() {
    use std::os::unix::process::ExitStatusExt;
    const SIGTERM: i32 = 15;
    for milliseconds in (0..60).step_by(3) {
        let mut server = support::Setup::new().spawn();
        thread::sleep(Duration::from_millis(milliseconds));
        let told = Instant::now();
        let status = server.stop();
        let clean = status.code() == Some(0) || status.signal() == Some(SIGTERM); // before it could catch the signal
        assert!(clean && told.elapsed() < SOON, "{status} after {:?}:\n{}", told.elapsed(), server.log());
    }
}
