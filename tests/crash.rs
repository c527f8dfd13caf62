//! kill -9 at random moments loses no acknowledged write, applies nothing by halves and leaves no gap in history.
//!
//! Clients register, update and deregister over kept HTTP connections and remember what was acknowledged and what was
//! not. A real server process is killed under them, again and again; after each restart on the same data directory the
//! registry, the zone and the history are compared with what the clients know.

#![allow(clippy::disallowed_methods)] // real processes live in real time
#![allow(clippy::unwrap_used)] // a test helper may stop the test

mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::faults::{Chance, Kept, srv_of, transfer};
use support::writer::Writer;
use support::{Server, Setup, ZONE};

const LIVES: usize = 50;
const CLIENTS: usize = 4;
const INSTANCES: u64 = 12;
/// The longest that a server is left alive under load.
const LIFE: Duration = Duration::from_millis(150);
/// Writes that prove something; on a slow machine there are more lives until they are made.
const WRITES: usize = 500;
/// When to be content with fewer.
const LONGEST: Duration = Duration::from_secs(40);
/// A restart must be far quicker than any lease.
const RESTART: Duration = Duration::from_secs(1);

/// Writes the port of its instances.
struct Client(Writer<u16>);

impl Client {
    /// Writes until the server dies.
    fn work(mut self, server: SocketAddr) -> Self {
        let Ok(mut connection) = Kept::connect(server) else { return self };
        loop {
            let port = 1000 + self.0.chance.below(60_000) as u16;
            let (id, wanted) = self.0.choose(INSTANCES, port, port + 1);
            if !self.0.write(&mut connection, &id, wanted, wanted.map(body).as_ref()) {
                return self;
            }
        }
    }

    /// Compares what the server has with what this client knows, and learns what became of the unanswered write.
    fn compare(&mut self, instances: &BTreeMap<String, Value>) {
        if let Some((id, wanted)) = self.0.unanswered.take()
            && instances.get(&id).and_then(port_of) == wanted
        {
            self.0.acknowledged.insert(id, wanted);
        }
        let known: BTreeMap<&String, u16> =
            self.0.acknowledged.iter().filter_map(|(id, wanted)| Some((id, (*wanted)?))).collect();
        let found: BTreeMap<&String, u16> = instances.iter().map(|(id, row)| (id, port_of(row).unwrap())).collect();
        assert_eq!(found, known, "service {}: found on the left, acknowledged on the right", self.0.service);
        instances.values().for_each(assert_whole);
    }
}

/// A registration all of whose parts follow from its port.
fn body(port: u16) -> Value {
    let [high, low] = port.to_be_bytes();
    let address = format!("2001:db8::{high:x}:{low:x}");
    json!({ "port": port, "addresses": [address], "weight": port, "metadata": { "port": port.to_string() }, "lease_seconds": 300 })
}

fn port_of(row: &Value) -> Option<u16> {
    row["port"].as_u64().map(|port| port as u16)
}

fn assert_whole(row: &Value) {
    let expected = body(port_of(row).expect("a port"));
    for part in ["addresses", "weight", "metadata"] {
        assert_eq!(row[part], expected[part], "half applied: {row}");
    }
    assert_eq!(row["state"], "serving", "{row}");
}

/// What is known of the history, to see that it only grows.
#[derive(Debug, Default)]
struct History {
    last: u64,
    serial: u32,
}

impl History {
    /// Reads what came since the last time; every revision is there, and none beyond what the server is at.
    fn follow(&mut self, server: &Server) -> Vec<Value> {
        let revision = server.readiness()["revision"].as_u64().expect("readiness tells the revision");
        let mut changes = Vec::new();
        loop {
            let (status, page) = server.http_json("GET", &format!("/v1/changes?since={}&limit=1000", self.last), None);
            assert_eq!(status, 200, "{page}");
            for change in page["changes"].as_array().expect("a list") {
                assert_eq!(change["revision"].as_u64(), Some(self.last + 1), "a gap in history");
                self.last += 1;
                changes.push(change.clone());
            }
            if page["more"] != json!(true) {
                break;
            }
        }
        assert_eq!(self.last, revision, "history and registry end at different revisions");
        changes
    }
}

fn compare(server: &Server, clients: &mut [Client], history: &mut History) {
    let acknowledged = clients.iter().map(|client| client.0.revision).max().unwrap_or_default();
    history.follow(server);
    assert!(history.last >= acknowledged, "at {}, but {acknowledged} was acknowledged", history.last);
    let zone = transfer(server.dns(), ZONE);
    for client in clients {
        let instances = instances_of(server, &client.0.service);
        client.compare(&instances);
        let targets = instances.iter().map(|(id, row)| format!("{id}.{}.{ZONE}.:{}", client.0.service, row["port"]));
        let owner = format!("_{}._tcp.{ZONE}.", client.0.service);
        assert_eq!(srv_of(&zone, &owner), targets.collect(), "the zone and the registry differ");
    }
    let serial = serial(server);
    assert!(serial >= history.serial, "the serial went back from {} to {serial}", history.serial);
    history.serial = serial;
}

fn instances_of(server: &Server, service: &str) -> BTreeMap<String, Value> {
    let (status, list) = server.http_json("GET", &format!("/v1/services/{service}/instances"), None);
    if status == 404 {
        return BTreeMap::new();
    }
    let rows = list["instances"].as_array().unwrap_or_else(|| panic!("{status} {list}")).clone();
    rows.into_iter().map(|row| (row["id"].as_str().expect("an id").to_owned(), row)).collect()
}

fn serial(server: &Server) -> u32 {
    let soa = server.dig_short(&[ZONE, "SOA"]);
    soa[0].split(' ').nth(2).expect("dig prints seven fields").parse().expect("a number")
}

/// Starts again, sometimes after killing a server or two while they start.
fn restart(setup: Setup, chance: &mut Chance) -> (Server, Duration) {
    let mut setup = setup;
    while chance.below(4) == 0 {
        let starting = setup.spawn();
        thread::sleep(chance.up_to(Duration::from_millis(60)));
        setup = starting.kill();
    }
    let started = Instant::now();
    let server = setup.start();
    (server, started.elapsed())
}

#[test]
fn kill_9_loses_no_acknowledged_write() {
    let mut chance = Chance::seeded();
    let mut clients: Vec<Client> = (0..CLIENTS).map(|number| Client(Writer::new(number, chance.split()))).collect();
    let mut history = History::default();
    let mut server = Server::start();
    let began = Instant::now();
    let mut starts = Vec::new();
    let writes = |clients: &[Client]| clients.iter().map(|client| client.0.writes).sum::<usize>();
    while starts.len() < LIVES || writes(&clients) < WRITES && began.elapsed() < LONGEST {
        let http = server.http();
        let workers: Vec<_> = clients.drain(..).map(|client| thread::spawn(move || client.work(http))).collect();
        thread::sleep(chance.up_to(LIFE));
        let setup = server.kill();
        clients.extend(workers.into_iter().map(|worker| worker.join().expect("no client panics")));
        let took;
        (server, took) = restart(setup, &mut chance);
        starts.push(took);
        compare(&server, &mut clients, &mut history);
    }
    starts.sort_unstable();
    let (kills, writes, start) = (starts.len(), writes(&clients), starts[starts.len() / 2]);
    eprintln!("{kills} kills, {writes} acknowledged writes, {} changes; a start takes {start:?}", history.last);
    assert!(writes > WRITES / 5, "too few writes to prove anything: {writes}");
    assert!(start < RESTART, "a restart takes {start:?}");
    let mut whole = History::default();
    assert_eq!(whole.follow(&server).len() as u64, history.last, "all of history is still there");
}
