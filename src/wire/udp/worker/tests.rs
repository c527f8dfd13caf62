#![allow(clippy::disallowed_methods)] // because these tests measure and slow down real threads

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::super::socket;
use super::*;

/// Sends every datagram back; panics at `panic`, and waits before each batch when told to.
#[derive(Default)]
struct Echo {
    delay: Duration,
    batches: Arc<AtomicUsize>,
    panics: Arc<AtomicUsize>,
}

impl HandleBatch for Echo {
    fn handle(&mut self, received: &Received, count: usize, replies: &mut Replies) {
        thread::sleep(self.delay);
        self.batches.fetch_add(1, Ordering::Relaxed);
        for index in 0..count {
            let packet = received.packet(index);
            assert_ne!(packet, b"panic");
            replies.buffer()[..packet.len()].copy_from_slice(packet);
            replies.push(index, packet.len());
        }
    }

    fn failed(&mut self, fault: Fault) {
        assert!(matches!(fault, Fault::Panic), "{fault:?}");
        self.panics.fetch_add(1, Ordering::Relaxed);
    }
}

/// More than a batch, and no more than a socket of the client takes by default.
const QUEUED: u16 = 200;

struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Server {
    fn start(mut handler: Echo) -> Self {
        let socket = socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let (address, stop) = (socket.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let stopped = stop.clone();
        let thread = thread::spawn(move || serve(&socket, false, &stopped, &mut handler));
        Self { address, stop, thread }
    }

    fn client(&self) -> UdpSocket {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        client.connect(self.address).unwrap();
        client
    }
}

fn receive(client: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 2048];
    let len = client.recv(&mut buffer).unwrap();
    buffer[..len].to_vec()
}

#[test]
fn a_worker_answers_and_stops_soon_when_nobody_asks() {
    let server = Server::start(Echo::default());
    let client = server.client();
    client.send(b"hello").unwrap();
    assert_eq!(receive(&client), b"hello");
    let asked = Instant::now();
    server.stop.store(true, Ordering::Relaxed);
    server.thread.join().unwrap();
    assert!(asked.elapsed() < 50 * NOTICE, "{:?}", asked.elapsed());
}

#[test]
fn what_is_queued_when_the_server_stops_is_answered() {
    let handler = Echo { delay: Duration::from_millis(50), ..Echo::default() };
    let batches = handler.batches.clone();
    let server = Server::start(handler);
    let client = server.client();
    for number in 0..QUEUED {
        client.send(&number.to_be_bytes()).unwrap();
    }
    server.stop.store(true, Ordering::Relaxed);
    let mut answers: Vec<_> = (0..QUEUED).map(|_| receive(&client)).collect();
    server.thread.join().unwrap();
    answers.sort();
    assert!(answers.iter().enumerate().all(|(number, answer)| *answer == (number as u16).to_be_bytes()));
    let batches = batches.load(Ordering::Relaxed);
    assert!((usize::from(QUEUED) / BATCH..=100).contains(&batches), "{batches} batches");
}

#[test]
fn a_panic_costs_the_rest_of_its_batch_and_the_worker_goes_on() {
    let handler = Echo::default();
    let panics = handler.panics.clone();
    let server = Server::start(handler);
    let client = server.client();
    client.send(b"panic").unwrap();
    let started = Instant::now();
    while panics.load(Ordering::Relaxed) == 0 {
        assert!(started.elapsed() < Duration::from_secs(10), "no panic was reported");
        thread::sleep(Duration::from_millis(1));
    }
    client.send(b"hello").unwrap();
    assert_eq!(receive(&client), b"hello");
    assert_eq!(panics.load(Ordering::Relaxed), 1);
    server.stop.store(true, Ordering::Relaxed);
    server.thread.join().unwrap();
}

#[test]
fn an_address_that_somebody_has_is_not_shared_by_accident() {
    let other = socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = other.local_addr().unwrap();
    assert!(socket::bind(address).is_ok(), "SO_REUSEPORT would share it");
    assert_eq!(socket::probe(address).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
}
