//! Who asks DNS all the time, and shows the answers to the ledger: two threads with queries of their own over UDP, one
//! to the server and one to the resolver before it, and one that runs the real dig against both in turn.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hickory_proto::rr::RData;

use crate::ZONE;
use crate::ledger::{Asked, Key, Ledger, Seen, Through};
use crate::program::dig;
use crate::rng::Rng;
use crate::support::dns::{Packet, Response, rtype, try_udp};

/// How often every service is asked for.
const ROUND: Duration = Duration::from_millis(100);
/// How often a resolver is asked for them, and how often dig runs.
const SLOW_ROUND: Duration = Duration::from_millis(250);
/// TXT records that are asked for in each round.
const TEXTS: usize = 4;
const PATIENCE: Duration = Duration::from_millis(500);

/// What was asked.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) asked: AtomicU64,
    pub(crate) digs: AtomicU64,
    /// Without an answer while the server was running.
    pub(crate) silent: AtomicU64,
    /// SERVFAIL and the like while the server was running.
    pub(crate) failed: AtomicU64,
}

#[derive(Clone)]
struct Eyes {
    ledger: Arc<Mutex<Ledger>>,
    services: Vec<String>,
    counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
}

/// The threads that ask.
pub(crate) struct Observer {
    eyes: Eyes,
    threads: Vec<JoinHandle<()>>,
}

impl Observer {
    pub(crate) fn start(
        ledger: Arc<Mutex<Ledger>>,
        services: Vec<String>,
        server: SocketAddr,
        resolver: SocketAddr,
    ) -> Self {
        let eyes = Eyes { ledger, services, counts: Arc::default(), stop: Arc::default() };
        let [direct, cached, digging] = [(); 3].map(|()| eyes.clone());
        let threads = vec![
            thread::spawn(move || direct.ask_always(server, Through::Server, ROUND)),
            thread::spawn(move || cached.ask_always(resolver, Through::Resolver, SLOW_ROUND)),
            thread::spawn(move || digging.dig_always(server, resolver)),
        ];
        Self { eyes, threads }
    }

    /// Ends it; what was asked. A thread that failed fails the test.
    pub(crate) fn stop(self) -> Arc<Counts> {
        self.eyes.stop.store(true, Ordering::SeqCst);
        self.threads.into_iter().for_each(|thread| thread.join().expect("an observer sees only what it can read"));
        self.eyes.counts
    }
}

impl Eyes {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("nobody panics with it")
    }

    fn ask_always(&self, whom: SocketAddr, through: Through, round: Duration) {
        let mut rng = Rng::new(7);
        while !self.is_over() {
            let began = Instant::now();
            for service in &self.services {
                self.ask_service(whom, through, service);
            }
            if through == Through::Server {
                self.ask_texts(whom, &mut rng);
            }
            thread::sleep(round.saturating_sub(began.elapsed()));
        }
    }

    fn ask_service(&self, whom: SocketAddr, through: Through, service: &str) {
        let Some((asked, response)) = self.ask(whom, through, &srv(service), rtype::SRV) else { return };
        let mut answer = BTreeMap::new();
        for record in &response.message().answers {
            if let RData::SRV(srv) = &record.data {
                let id = first_label(&srv.target.to_ascii());
                answer.insert(id, Seen::Srv { port: srv.port, weight: srv.weight });
            }
        }
        self.ledger().judge_service(asked, service, &answer);
    }

    fn ask_texts(&self, whom: SocketAddr, rng: &mut Rng) {
        let keys = self.ledger().all_serving();
        for _ in 0..TEXTS.min(keys.len()) {
            let key: &Key = rng.pick(&keys);
            let name = format!("{}._{}._tcp.{ZONE}", key.1, key.0);
            let Some((asked, response)) = self.ask(whom, Through::Server, &name, rtype::TXT) else { continue };
            let message = response.message();
            let texts = message.answers.iter().filter_map(|record| match &record.data {
                RData::TXT(txt) => Some(txt.txt_data.iter().map(|text| String::from_utf8_lossy(text).into_owned())),
                _ => None,
            });
            let version = texts.flatten().find_map(|text| text.strip_prefix("v=")?.parse().ok());
            self.ledger().judge(asked, key, version.map_or(Seen::Out, Seen::Version));
        }
    }

    /// One query; nothing if there is no answer that says something.
    fn ask(&self, whom: SocketAddr, through: Through, name: &str, rtype: u16) -> Option<(Asked, Response)> {
        let down = self.ledger().is_paused();
        let sent = Instant::now();
        self.counts.asked.fetch_add(1, Ordering::Relaxed);
        let response = try_udp(whom, &Packet::query(1, name, rtype).flags(0x0100).edns(8192, 0, &[]).0, PATIENCE);
        let asked = Asked { sent, received: Instant::now(), through };
        let counter = match &response {
            None => &self.counts.silent,
            Some(response) if !matches!(response.rcode(), 0 | 3) => &self.counts.failed,
            Some(response) => {
                assert!(!response.truncated(), "{name} does not fit");
                return Some((asked, response.clone()));
            }
        };
        counter.fetch_add(u64::from(!down && !self.ledger().is_paused()), Ordering::Relaxed);
        None
    }

    fn dig_always(&self, server: SocketAddr, resolver: SocketAddr) {
        let mut rng = Rng::new(11);
        while !self.is_over() {
            let service = rng.pick(&self.services);
            for (whom, through) in [(server, Through::Server), (resolver, Through::Resolver)] {
                self.dig(whom, through, service);
            }
            thread::sleep(SLOW_ROUND);
        }
    }

    fn dig(&self, whom: SocketAddr, through: Through, service: &str) {
        let sent = Instant::now();
        let lines = dig(whom, &["+noall", "+comments", "+answer", "+bufsize=8192", &srv(service), "SRV"]);
        let asked = Asked { sent, received: Instant::now(), through };
        let says = |status: &str| lines.iter().any(|line| line.contains(&format!("status: {status},")));
        if !says("NOERROR") && !says("NXDOMAIN") {
            return;
        }
        self.counts.digs.fetch_add(1, Ordering::Relaxed);
        let mut answer = BTreeMap::new();
        for line in lines.iter().filter(|line| !line.starts_with(';')) {
            if let [_, _, "IN", "SRV", _, weight, port, target] = line.split(' ').collect::<Vec<_>>()[..] {
                let number = |text: &str| text.parse().expect("dig prints numbers");
                answer.insert(first_label(target), Seen::Srv { port: number(port), weight: number(weight) });
            }
        }
        self.ledger().judge_service(asked, service, &answer);
    }
}

fn srv(service: &str) -> String {
    format!("_{service}._tcp.{ZONE}")
}

fn first_label(name: &str) -> String {
    name.split('.').next().unwrap_or_default().to_owned()
}
