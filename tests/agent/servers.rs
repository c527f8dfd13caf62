//! Servers that die, freeze and come back.

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::support::{Server, Setup, eventually, pass};
use super::world::{Home, answered, free_port, service, transitions};

#[test]
fn a_server_that_is_killed_and_back_has_everything_again() {
    let home = Home::new();
    let http = format!("127.0.0.1:{}", free_port());
    let setup = || Setup::new().arg("--http").arg(&http);
    let server = setup().start();
    let url = format!("http://{http}");
    home.write("a.toml", &service(80, ""));
    let agent = home.agent(&[&url], &[]);
    home.await_in_sync();
    let setup = server.kill();
    agent.await_log("no server answered");
    assert_eq!(home.status()["in_sync"], false);
    pass(Duration::from_millis(500));
    let server = setup.start();
    home.await_in_sync();
    assert_eq!(answered(&server), 1);
    assert_eq!(transitions(&server), ["register a1"], "it was known all the time");
}

#[test]
fn a_frozen_server_is_left_for_the_next_one() {
    let (first, second, home) = (Server::start(), Server::start(), Home::new());
    home.write("a.toml", &service(80, ""));
    let _agent = home.agent(&[&first.url(), &second.url()], &[]);
    home.await_in_sync();
    assert_eq!((answered(&first), answered(&second)), (1, 0));
    first.signal("STOP");
    let began = Instant::now();
    eventually("the second server has it", || answered(&second) == 1);
    // A beat within 1 s (a third of the lease of 2 s, and its jitter), 1 s without reply, and slack.
    let took = began.elapsed();
    first.signal("CONT");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn without_any_server_it_tries_for_ever() {
    let home = Home::new();
    let http = format!("127.0.0.1:{}", free_port());
    home.write("a.toml", &service(80, ""));
    let agent = home.agent(&[&format!("http://{http}")], &[]);
    agent.await_log("no server answered");
    eventually("the status tells it", || {
        home.status()["trouble"].as_str().is_some_and(|text| text.contains("connection refused"))
    });
    let server = Setup::new().arg("--http").arg(&http).start();
    eventually("it is registered", || answered(&server) == 1);
}

/// Registers by way of two servers of which the first is `hole`, which says nothing.
fn assert_passed_over(hole: &str) -> (Server, Home, super::support::Staying) {
    let (second, home) = (Server::start(), Home::new());
    home.write("a.toml", &service(80, ""));
    let began = Instant::now();
    let agent = home.agent(&[hole, &second.url()], &[]);
    home.await_in_sync();
    assert!(began.elapsed() < Duration::from_secs(8), "1 s without reply, and slack: {:?}", began.elapsed());
    assert_eq!(home.status()["server"], second.url());
    assert_eq!(answered(&second), 1);
    (second, home, agent)
}

#[test]
fn a_server_that_takes_connections_and_says_nothing_is_passed_over() {
    let hole = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}", hole.local_addr().expect("it has an address"));
    let (second, home, _agent) = assert_passed_over(&url);
    pass(Duration::from_secs(3)); // a few beats
    assert_eq!(transitions(&second), ["register a1"], "the lease has never run out");
    assert_eq!(home.status()["in_sync"], true);
    hole.set_nonblocking(true).expect("it can be");
    let asked = std::iter::from_fn(|| hole.accept().ok()).count();
    assert_eq!(asked, 2, "one call, made again beside itself; then it stays with the one that answers");
}

#[test]
fn a_server_whose_network_drops_everything_is_passed_over() {
    // The kernel drops what comes to a full queue, as a firewall does.
    let hole = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().expect("an address");
    hole.bind(&any.into()).expect("a port is free");
    hole.listen(0).expect("it listens");
    let address = hole.local_addr().expect("it has one").as_socket().expect("an address of IP");
    let try_to_connect = || TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok();
    let queue: Vec<TcpStream> = std::iter::from_fn(try_to_connect).take(16).collect();
    assert!(queue.len() < 16, "the queue is full now");
    assert_passed_over(&format!("http://{address}"));
}
