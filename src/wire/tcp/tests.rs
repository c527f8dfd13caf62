//! The service over real loopback connections, with a responder that needs no view.
#![allow(clippy::disallowed_methods)] // because these tests measure real connections and own their tasks

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::writer::framed;
use super::*;
use crate::metrics::dns::DnsCounters;
use crate::wire::limits::TcpLimits;

/// Sends messages back; some words mean something else.
#[derive(Default)]
struct Stub {
    streamed: Arc<AtomicUsize>,
}

impl Respond for Stub {
    fn respond(&self, message: &[u8], _origin: Origin, out: &mut [u8]) -> Action {
        match message {
            b"bye" => Action::Close,
            b"stream" => Action::Stream(Box::new(Counting { made: self.streamed.clone(), left: 200 })),
            b"broken" => Action::Stream(Box::new(Broken)),
            b"large" => Action::Reply(out.len()),
            echoed => {
                out[..echoed.len()].copy_from_slice(echoed);
                Action::Reply(echoed.len())
            }
        }
    }
}

/// Messages of 60,000 octets.
struct Counting {
    made: Arc<AtomicUsize>,
    left: usize,
}

impl MakeMessages for Counting {
    fn next_message(&mut self, message: &mut Vec<u8>) -> Made {
        if self.left == 0 {
            return Made::End;
        }
        self.left -= 1;
        self.made.fetch_add(1, Ordering::Relaxed);
        message.clear();
        message.resize(60_000, b's');
        Made::Message
    }
}

struct Broken;

impl MakeMessages for Broken {
    fn next_message(&mut self, _message: &mut Vec<u8>) -> Made {
        panic!("a bug in a transfer");
    }
}

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    served: JoinHandle<()>,
    streamed: Arc<AtomicUsize>,
}

impl Server {
    async fn start(limits: TcpLimits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let stub = Stub::default();
        let streamed = stub.streamed.clone();
        let service = Service::new(stub, limits, Arc::new(DnsCounters::default()), stop.clone());
        let served = tokio::spawn(serve(vec![Door { listener, carry: Arc::new(Plain) }], Arc::new(service)));
        Self { address, stop, served, streamed }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Stops, and says how long that took.
    async fn stop(self) -> Duration {
        let asked = Instant::now();
        self.stop.cancel();
        self.served.await.unwrap();
        asked.elapsed()
    }
}

async fn send(stream: &mut TcpStream, message: &[u8]) {
    stream.write_all(&framed(message)).await.unwrap();
}

/// The next message; `None` when the server has ended the connection.
async fn receive(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let read = async {
        let len = stream.read_u16().await.ok()?;
        let mut message = vec![0; usize::from(len)];
        stream.read_exact(&mut message).await.ok()?;
        Some(message)
    };
    timeout(Duration::from_secs(10), read).await.expect("an answer or the end within 10 s")
}

#[tokio::test]
async fn rfc7766_6_2_1_1_pipelined_queries_are_all_answered() {
    let server = Server::start(TcpLimits::default()).await;
    let mut client = server.connect().await;
    let queries: Vec<Vec<u8>> = (0..500u16).map(|number| number.to_be_bytes().to_vec()).collect();
    let octets: Vec<u8> = queries.iter().flat_map(|query| framed(query)).collect();
    client.write_all(&octets).await.unwrap();
    let mut answers = BTreeSet::new();
    for _ in 0..500 {
        answers.insert(receive(&mut client).await.unwrap());
    }
    assert_eq!(answers, queries.into_iter().collect());
    server.stop().await;
}

#[tokio::test]
async fn a_query_is_answered_after_the_client_has_closed_its_half() {
    let server = Server::start(TcpLimits::default()).await;
    let mut client = server.connect().await;
    send(&mut client, b"last").await;
    client.shutdown().await.unwrap();
    assert_eq!(receive(&mut client).await.unwrap(), b"last");
    assert_eq!(receive(&mut client).await, None);
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_speak_dns_gets_its_earlier_answers_and_the_end() {
    let server = Server::start(TcpLimits::default()).await;
    let mut client = server.connect().await;
    send(&mut client, b"one").await;
    send(&mut client, b"bye").await;
    send(&mut client, b"two").await;
    assert_eq!(receive(&mut client).await.unwrap(), b"one");
    assert_eq!(receive(&mut client).await, None);
    server.stop().await;
}

#[tokio::test]
async fn silence_ends_a_connection_sooner_before_the_first_query() {
    let (first_query, idle) = (Duration::from_millis(200), Duration::from_secs(2));
    let server = Server::start(TcpLimits { first_query, idle, ..TcpLimits::default() }).await;
    let mut silent = server.connect().await;
    let started = Instant::now();
    silent.write_all(&[0, 9, 1]).await.unwrap(); // not a whole query
    assert_eq!(receive(&mut silent).await, None);
    assert!((first_query / 2..idle).contains(&started.elapsed()), "{:?}", started.elapsed());
    let mut client = server.connect().await;
    let started = Instant::now();
    send(&mut client, b"one").await;
    assert!(receive(&mut client).await.is_some());
    assert_eq!(receive(&mut client).await, None);
    assert!(started.elapsed() >= idle, "{:?}", started.elapsed());
    server.stop().await;
}

#[tokio::test]
async fn a_connection_ends_with_its_lifetime_but_not_in_the_middle_of_a_transfer() {
    let lifetime = Duration::from_millis(300);
    let server = Server::start(TcpLimits { lifetime, ..TcpLimits::default() }).await;
    let mut busy = server.connect().await;
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < Duration::from_secs(20), "it goes on");
        if busy.write_all(&framed(b"more")).await.is_err() || receive(&mut busy).await.is_none() {
            break;
        }
    }
    assert!(started.elapsed() >= lifetime / 2, "{:?}", started.elapsed());
    let mut slow = server.connect().await;
    send(&mut slow, b"stream").await;
    for _ in 0..200 {
        sleep(Duration::from_millis(3)).await;
        assert_eq!(receive(&mut slow).await.expect("the whole transfer").len(), 60_000);
    }
    assert_eq!(receive(&mut slow).await, None);
    server.stop().await;
}

#[tokio::test]
async fn rfc7766_7_a_query_overtakes_a_transfer() {
    let server = Server::start(TcpLimits::default()).await;
    let mut client = server.connect().await;
    send(&mut client, b"stream").await;
    assert_eq!(receive(&mut client).await.unwrap().len(), 60_000);
    send(&mut client, b"quick").await;
    let mut before = 1;
    while receive(&mut client).await.unwrap() != b"quick" {
        before += 1;
    }
    assert!(before < 200, "the answer came behind the whole transfer");
    for _ in before..200 {
        assert_eq!(receive(&mut client).await.unwrap().len(), 60_000);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_transfer_is_made_as_fast_as_it_is_read_and_ends_when_it_is_not() {
    let write_stall = Duration::from_millis(300);
    let server = Server::start(TcpLimits { write_stall, ..TcpLimits::default() }).await;
    let mut client = server.connect().await;
    send(&mut client, b"stream").await;
    sleep(write_stall / 3).await;
    let made = server.streamed.load(Ordering::Relaxed);
    assert!(made < 200, "all {made} messages lie in memory");
    sleep(3 * write_stall).await;
    let mut received = 0;
    while receive(&mut client).await.is_some() {
        received += 1;
    }
    assert!(received < 200, "the transfer went on although nobody read it");
    server.stop().await;
}

#[tokio::test]
async fn one_connection_does_not_take_all_transfers() {
    let server = Server::start(TcpLimits { transfers: 3, ..TcpLimits::default() }).await;
    let (mut greedy, mut other) = (server.connect().await, server.connect().await);
    for _ in 0..8 {
        send(&mut greedy, b"stream").await;
    }
    assert!(receive(&mut greedy).await.is_some());
    send(&mut other, b"stream").await;
    for _ in 0..200 {
        assert_eq!(receive(&mut other).await.expect("a message of the transfer").len(), 60_000);
    }
    for _ in 1..8 * 200 {
        assert_eq!(receive(&mut greedy).await.expect("each transfer in its turn").len(), 60_000);
    }
    server.stop().await;
}

#[tokio::test]
async fn one_client_does_not_take_all_transfers_with_many_connections() {
    let limits = TcpLimits { transfers: 3, transfers_per_client: 2, ..TcpLimits::default() };
    let server = Server::start(limits).await;
    let mut greedy = Vec::new();
    for _ in 0..8 {
        let mut connection = server.connect().await;
        send(&mut connection, b"stream").await;
        greedy.push(connection);
    }
    sleep(Duration::from_millis(100)).await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = socket.connect(server.address).await.unwrap();
    send(&mut other, b"stream").await;
    for _ in 0..200 {
        assert_eq!(receive(&mut other).await.expect("a message of the transfer").len(), 60_000);
    }
    drop((greedy, other));
    server.stop().await;
}

#[tokio::test]
async fn a_transfer_that_is_read_too_slowly_ends() {
    let (lifetime, transfer_time) = (Duration::from_millis(300), Duration::from_millis(300));
    let server = Server::start(TcpLimits { lifetime, transfer_time, ..TcpLimits::default() }).await;
    let mut client = server.connect().await;
    let started = Instant::now();
    for _ in 0..20 {
        send(&mut client, b"stream").await;
    }
    while receive(&mut client).await.is_some() {
        assert!(started.elapsed() < Duration::from_secs(20), "it goes on");
        sleep(Duration::from_millis(10)).await;
    }
    assert!(started.elapsed() >= lifetime + transfer_time, "{:?}", started.elapsed());
    assert!(server.streamed.load(Ordering::Relaxed) < 20 * 200);
    server.stop().await;
}

#[tokio::test]
async fn answers_that_are_not_read_stop_the_reading_of_queries() {
    let write_stall = Duration::from_millis(300);
    let server = Server::start(TcpLimits { write_stall, ..TcpLimits::default() }).await;
    let mut client = server.connect().await;
    let queries = framed(b"large").repeat(100);
    let flood = async { while client.write_all(&queries).await.is_ok() {} };
    // 64 KiB for each 7 octets: without a bound this would take gigabytes, with one the connection ends.
    timeout(Duration::from_secs(20), flood).await.expect("the server ends the connection");
    server.stop().await;
}

#[tokio::test]
async fn one_connection_more_than_a_client_may_have_ends_its_oldest_idle_one() {
    let server = Server::start(TcpLimits { connections_per_client: 2, ..TcpLimits::default() }).await;
    let (mut one, mut two) = (server.connect().await, server.connect().await);
    for client in [&mut one, &mut two] {
        send(client, b"hello").await;
        assert!(receive(client).await.is_some());
    }
    let mut three = server.connect().await;
    send(&mut three, b"hello").await;
    assert_eq!(receive(&mut three).await.unwrap(), b"hello");
    assert_eq!(receive(&mut one).await, None, "the oldest makes room");
    send(&mut two, b"hello").await;
    assert_eq!(receive(&mut two).await.unwrap(), b"hello");
    server.stop().await;
}

/// Sends one message octet by octet, as slowly as a connection lets it, until the server ends the connection.
async fn trickle(mut stream: TcpStream) {
    let (mut reader, mut writer) = stream.split();
    let octets = async {
        while writer.write_all(&[0xFF]).await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let mut end = [0];
    let ended = async {
        tokio::select! {
            _ = reader.read(&mut end) => {}
            () = octets => {}
        }
    };
    timeout(Duration::from_secs(20), ended).await.expect("the server ends the connection");
}

#[tokio::test]
async fn octets_that_trickle_do_not_keep_a_place() {
    let minutes = Duration::from_secs(600);
    let limits = TcpLimits { first_query: minutes, idle: minutes, connections_per_client: 1, ..TcpLimits::default() };
    let server = Server::start(limits.clone()).await;
    let displaced = tokio::spawn(trickle(server.connect().await));
    sleep(Duration::from_millis(100)).await;
    let mut other = server.connect().await;
    displaced.await.unwrap();
    send(&mut other, b"hello").await;
    assert_eq!(receive(&mut other).await.unwrap(), b"hello");
    server.stop().await;

    let server = Server::start(TcpLimits { lifetime: Duration::from_millis(300), ..limits.clone() }).await;
    trickle(server.connect().await).await;
    server.stop().await;

    let server = Server::start(TcpLimits { first_query: Duration::from_millis(300), ..limits }).await;
    trickle(server.connect().await).await;
    server.stop().await;
}

#[tokio::test]
async fn more_connections_than_allowed_are_refused_at_once() {
    let server = Server::start(TcpLimits { connections: 1, ..TcpLimits::default() }).await;
    let mut one = server.connect().await;
    send(&mut one, b"hello").await;
    assert!(receive(&mut one).await.is_some());
    assert_eq!(receive(&mut server.connect().await).await, None);
    drop(one);
    let again = async {
        loop {
            let mut two = server.connect().await;
            if two.write_all(&framed(b"hello")).await.is_ok() && receive(&mut two).await.is_some() {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), again).await.expect("the place is free again");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_are_taken_clients_that_do_not_read_give_way_and_those_that_read_stay() {
    let server = Server::start(TcpLimits { connections: 4, ..TcpLimits::default() }).await;
    let mut reader = server.connect().await;
    send(&mut reader, b"large").await;
    let mut stalled = Vec::new();
    for _ in 1..4 {
        let mut client = server.connect().await;
        client.write_all(&framed(b"large").repeat(200)).await.unwrap();
        stalled.push(client);
    }
    let over = CancellationToken::new();
    let reads = async {
        while !over.is_cancelled() {
            send(&mut reader, b"large").await; // one answer is in flight at all times
            assert!(receive(&mut reader).await.is_some(), "who reads stays");
            sleep(Duration::from_millis(20)).await;
        }
    };
    let come = async {
        sleep(Duration::from_millis(1500)).await;
        for _ in 0..3 {
            let asked = Instant::now();
            let mut fresh = server.connect().await;
            fresh.write_all(&framed(b"large").repeat(200)).await.unwrap();
            assert!(receive(&mut fresh).await.is_some(), "one that does not read gives way");
            assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
            stalled.push(fresh);
            sleep(Duration::from_millis(1500)).await;
        }
        over.cancel();
    };
    tokio::join!(reads, come);
    drop(stalled);
    server.stop().await;
}

#[tokio::test]
async fn a_transfer_that_panics_ends_its_connection_and_nothing_else() {
    let server = Server::start(TcpLimits::default()).await;
    let (mut broken, mut other) = (server.connect().await, server.connect().await);
    send(&mut broken, b"broken").await;
    assert_eq!(receive(&mut broken).await, None);
    send(&mut other, b"hello").await;
    assert!(receive(&mut other).await.is_some());
    server.stop().await;
}

#[tokio::test]
async fn what_has_arrived_when_the_server_stops_is_answered_and_idle_clients_do_not_delay_it() {
    let server = Server::start(TcpLimits::default()).await;
    let mut client = server.connect().await;
    let _idle = server.connect().await;
    for number in 0..100u8 {
        send(&mut client, &[number]).await;
    }
    let stopped = tokio::spawn(server.stop());
    for number in 0..100u8 {
        assert_eq!(receive(&mut client).await.unwrap(), [number]);
    }
    assert_eq!(receive(&mut client).await, None);
    let took = stopped.await.unwrap();
    assert!(took < TcpLimits::default().drain, "{took:?}");
}

#[tokio::test]
async fn a_transfer_that_runs_when_the_server_stops_is_cut_off_after_the_drain_time() {
    let drain = Duration::from_millis(300);
    let server = Server::start(TcpLimits { drain, ..TcpLimits::default() }).await;
    let mut client = server.connect().await;
    send(&mut client, b"stream").await;
    assert!(receive(&mut client).await.is_some());
    let took = server.stop().await;
    assert!((drain..drain + Duration::from_secs(10)).contains(&took), "{took:?}");
}
