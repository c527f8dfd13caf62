//! The changes: many kept connections on one thread, each with instances of its own, so that the order of changes of an
//! instance is known. What a connection does is in `lone` and `hosts`.

use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::ledger::Ledger;
use super::lone::Slot;
use super::{Kind, Options, ask, hosts, lone, service};

/// Seconds until a lease without beats has certainly lapsed: two, ticks, and room.
pub(super) const LAPSED: Duration = Duration::from_millis(2600);
/// Of the transitions, lapses; they take no request.
pub(super) const LAPSES: f64 = 0.15;
/// Changes whose answers are watched, per second: few, because each asks again and again and so is a load of its own.
const WATCHED: usize = 50;
/// How long a watcher waits before it asks again.
const PAUSE: Duration = Duration::from_millis(4);
const HOT: usize = 10_000;
const HOT_RATE: usize = 100;
const PER_SESSION: usize = 200;

/// What is to be changed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mix {
    pub(crate) kind: Kind,
    pub(crate) instances: usize,
    pub(crate) rate: usize,
    pub(crate) connections: usize,
    pub(crate) hot: bool,
}

/// Names with the address that was acknowledged last.
pub(super) type Expected = Vec<(String, Option<Ipv4Addr>)>;

/// A load that runs until it is stopped.
pub(crate) struct Load {
    ledger: Arc<Mutex<Ledger>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Expected>,
}

impl Load {
    pub(crate) fn start(options: &Options, http: SocketAddr, dns: SocketAddr) -> Self {
        let (ledger, stop) = (Arc::<Mutex<Ledger>>::default(), Arc::<AtomicBool>::default());
        let (mix, into, until) = (options.mix(), ledger.clone(), stop.clone());
        let thread = std::thread::spawn(move || runtime().block_on(run(mix, http, dns, &into, &until)));
        Self { ledger, stop, thread }
    }

    pub(crate) fn clear(&self) {
        let _ = self.take(); // what was before does not count
    }

    pub(crate) fn take(&self) -> Ledger {
        std::mem::take(&mut *self.ledger.lock().expect("nobody panics with it"))
    }

    /// Ends it and compares the answers with what was acknowledged.
    pub(crate) fn stop(self, dns: SocketAddr) -> Value {
        self.stop.store(true, Ordering::Release);
        let expected = self.thread.join().expect("the load does not panic");
        let wrong = runtime().block_on(async {
            let socket = ask::socket(dns).await;
            let mut wrong = Vec::new();
            for (name, address) in &expected {
                let found = ask::address(&socket, &ask::question(name, 1)).await;
                if found != Ok(*address) {
                    wrong.push(format!("{name}: {address:?} was acknowledged, {found:?} is answered"));
                }
            }
            wrong
        });
        json!({ "compared": expected.len(), "wrong": wrong.len(), "first_wrong": wrong.first() })
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be built")
}

/// What all connections share.
pub(super) struct Plan<'l> {
    pub(super) mix: Mix,
    dns: SocketAddr,
    started: Instant,
    interval: Duration,
    next: Cell<u32>,
    pub(super) ledger: &'l Mutex<Ledger>,
    stop: &'l AtomicBool,
}

impl Plan<'_> {
    /// Whether the answers to a change are to be watched, if `share` of the transitions could be.
    pub(super) fn is_watched(&self, chance: &mut Chance, share: f64) -> bool {
        chance.below((self.mix.rate as f64 * share) as usize) < WATCHED
    }

    /// Waits for the next place in the plan; false when it is over.
    pub(super) async fn turn(&self) -> bool {
        let number = self.next.replace(self.next.get() + 1);
        let at = self.started + self.interval * number;
        tokio::time::sleep_until(at.into()).await;
        let late = at.elapsed();
        let mut ledger = self.ledger.lock().expect("nobody panics with it");
        ledger.behind = ledger.behind.max(late);
        !self.stop.load(Ordering::Acquire)
    }
}

async fn run(mix: Mix, http: SocketAddr, dns: SocketAddr, ledger: &Mutex<Ledger>, stop: &AtomicBool) -> Expected {
    let requests = mix.rate as f64
        * match mix.kind {
            Kind::Lone => 1.0 - LAPSES,
            Kind::Hosts => hosts::REQUESTS,
        };
    let (started, next) = (Instant::now(), Cell::new(0));
    let plan = Plan { mix, dns, started, interval: Duration::from_secs_f64(1.0 / requests), next, ledger, stop };
    let hot = Plan { interval: Duration::from_secs(1) / HOT_RATE as u32, next: Cell::new(0), ..plan };
    let expected = Rc::new(RefCell::new(Vec::new()));
    let client = |number| {
        let expected = expected.clone();
        let plan = &plan;
        async move {
            let found = match mix.kind {
                Kind::Lone => lone::run(plan, number, http).await,
                Kind::Hosts => hosts::run(plan, number, http).await,
            };
            expected.borrow_mut().extend(found);
        }
    };
    let clients = (0..mix.connections).map(client);
    let changing = (0..if mix.hot { 32 } else { 0 }).map(|number| change_hot(&hot, number, http));
    tokio::join!(futures_util::future::join_all(clients), futures_util::future::join_all(changing));
    expected.take()
}

/// A kept connection that makes changes and notes how long they took.
pub(super) struct Connection<'p, 'l> {
    plan: &'p Plan<'l>,
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl<'p, 'l> Connection<'p, 'l> {
    pub(super) async fn open(plan: &'p Plan<'l>, http: SocketAddr) -> Self {
        let stream = TcpStream::connect(http).await.expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket");
        Self { plan, stream, buffer: Vec::with_capacity(4096) }
    }

    /// Sends a change and awaits its acknowledgement.
    pub(super) async fn change(&mut self, request: &[u8]) {
        let (took, status) = self.exchange(request).await;
        self.note(took, status);
    }

    /// The same, and notes when the answers show that the name has the address.
    pub(super) async fn watch(&mut self, request: &[u8], name: &str, address: Ipv4Addr) {
        let dns = self.plan.dns;
        let socket = ask::socket(dns).await;
        let question = ask::question(name, 7);
        let sent = Instant::now();
        let seen = async {
            while ask::address(&socket, &question).await != Ok(Some(address)) {
                tokio::time::sleep(PAUSE).await;
                assert!(sent.elapsed() < Duration::from_secs(10), "a change is not answered for ten seconds");
            }
            sent.elapsed().as_secs_f32() * 1e3
        };
        let acknowledged = async {
            let (took, status) = self.exchange(request).await;
            let at_once = ask::address(&ask::socket(dns).await, &question).await;
            (took, status, at_once)
        };
        let (answered, (took, status, at_once)) = tokio::join!(seen, acknowledged);
        self.note(took, status);
        let mut ledger = self.plan.ledger.lock().expect("nobody panics with it");
        ledger.answered.push(answered);
        ledger.not_shown += usize::from(at_once != Ok(Some(address)));
    }

    fn note(&mut self, took: f32, status: u16) {
        let mut ledger = self.plan.ledger.lock().expect("nobody panics with it");
        if status < 300 { ledger.acknowledge(took) } else { ledger.refuse(&self.buffer) }
    }

    /// Sends a request; how long its reply took, and its status.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> (f32, u16) {
        let sent = Instant::now();
        let status = exchange(&mut self.stream, &mut self.buffer, request).await;
        (sent.elapsed().as_secs_f32() * 1e3, status)
    }

    pub(super) fn reply(&self) -> &[u8] {
        &self.buffer
    }
}

/// Changes instances of the large service, one after the other.
async fn change_hot(plan: &Plan<'_>, number: usize, http: SocketAddr) {
    let mut stream = TcpStream::connect(http).await.expect("the server listens");
    stream.set_nodelay(true).expect("a TCP socket");
    let (mut buffer, mut chance) = (Vec::new(), Chance::new(number as u64 + 99));
    while plan.turn().await {
        let id = chance.below(HOT / 32) * 32 + number;
        let slot = Slot { service: "hot".into(), id: format!("h{id}"), address: None };
        let (request, sent) = (slot.put(chance.address(), 3600), Instant::now());
        let status = exchange(&mut stream, &mut buffer, &request).await;
        let mut ledger = plan.ledger.lock().expect("nobody panics with it");
        let took = sent.elapsed().as_secs_f32() * 1e3;
        if status < 300 { ledger.hot.push(took) } else { ledger.refuse(&buffer) }
    }
}

/// Registers everything that is there before, by sessions.
pub(crate) fn preload(http: SocketAddr, instances: usize, lease: u32) {
    let body = |session: usize| {
        let members = (session * PER_SESSION..instances.min((session + 1) * PER_SESSION)).map(|number| {
            let address = Ipv4Addr::from(0x0a00_0001 + number as u32);
            member(&service(number / 10, instances), &format!("i{}", number % 10), address)
        });
        let members: Vec<String> = members.collect();
        let body = format!(r#"{{"epoch":"1","lease_seconds":{lease},"instances":[{}]}}"#, members.join(","));
        request("PUT", &format!("/v1/sessions/load-{session}"), &body)
    };
    send_all(http, instances.div_ceil(PER_SESSION), body);
}

/// Registers the large service, its instances alone.
pub(crate) fn preload_hot(http: SocketAddr) {
    send_all(http, HOT, |id| {
        let slot = Slot { service: "hot".into(), id: format!("h{id}"), address: None };
        slot.put(Ipv4Addr::from(0x0b00_0001 + id as u32), 3600)
    });
}

fn send_all(http: SocketAddr, count: usize, request: impl Fn(usize) -> Vec<u8>) {
    const CONNECTIONS: usize = 64;
    let (request, next) = (&request, &Cell::new(0));
    let connection = || async move {
        let mut stream = TcpStream::connect(http).await.expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket");
        let mut buffer = Vec::new();
        while next.get() < count {
            let number = next.replace(next.get() + 1);
            let status = exchange(&mut stream, &mut buffer, &request(number)).await;
            assert!(status < 300, "{}", String::from_utf8_lossy(&buffer));
        }
    };
    runtime().block_on(futures_util::future::join_all((0..CONNECTIONS).map(|_| connection())));
}

pub(super) fn member(service: &str, id: &str, address: Ipv4Addr) -> String {
    format!(r#"{{"service":"{service}","id":"{id}","registration":{{"port":8080,"addresses":["{address}"]}}}}"#)
}

pub(super) fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
    format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{kind}content-length: {length}\r\n\r\n{body}").into_bytes()
}

/// Sends a request and reads its reply whole; returns the status.
async fn exchange(stream: &mut TcpStream, buffer: &mut Vec<u8>, request: &[u8]) -> u16 {
    stream.write_all(request).await.expect("the connection is kept");
    buffer.clear();
    loop {
        assert_ne!(stream.read_buf(buffer).await.expect("the connection is kept"), 0, "closed");
        if let Some(status) = whole(buffer) {
            return status;
        }
    }
}

/// The status of a reply that has its head and as much body as the head says.
fn whole(reply: &[u8]) -> Option<u16> {
    let end = reply.windows(4).position(|octets| octets == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&reply[..end]).ok()?;
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
    let status = head.get(9..12)?.parse().ok()?;
    (reply.len() >= end + 4 + length.unwrap_or(0usize)).then_some(status)
}

/// Random numbers that only have to spread things out (splitmix64).
pub(crate) struct Chance(u64);

impl Chance {
    /// Seeds that follow each other give sequences that have nothing in common.
    pub(crate) fn new(seed: u64) -> Self {
        Self(mixed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        (mixed(self.0) % limit as u64) as usize
    }

    pub(super) fn address(&mut self) -> Ipv4Addr {
        Ipv4Addr::from(0xc612_0000 + self.below(1 << 16) as u32)
    }
}

fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
