//! Many changes at once: each is in the answers when it is acknowledged, changes of an instance keep their order, and a
//! kill -9 in the middle takes nothing back.
//!
//! More clients than a batch needs, so that batches are made ready while others are with the store
//! (the writer's pipeline). After every acknowledgement the client asks over UDP, and the next answer
//! has to be what was acknowledged.

#![allow(clippy::disallowed_methods)] // real processes live in real time
#![allow(clippy::unwrap_used)] // a test helper may stop the test

mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use serde_json::json;
use support::dns::{Packet, udp};
use support::faults::{Chance, Kept};
use support::writer::Writer;
use support::{Server, ZONE};

const CLIENTS: usize = 32;
const INSTANCES: u64 = 6;
const LIVES: usize = 3;
const LIFE: Duration = Duration::from_millis(1200);
/// Acknowledged changes that prove something.
const CHANGES: usize = 300;

/// Writes a service and asks for it.
struct Client(Writer<Ipv4Addr>);

impl Client {
    fn work(mut self, http: SocketAddr, dns: SocketAddr) -> Self {
        let Ok(mut connection) = Kept::connect(http) else { return self };
        loop {
            let address = Ipv4Addr::from(0xc612_0000 + self.0.chance.below(1 << 17) as u32);
            let (id, wanted) = self.0.choose(INSTANCES, address, Ipv4Addr::from(u32::from(address) ^ 1));
            let body = wanted.map(|address| json!({"port": 80, "addresses": [address], "lease_seconds": 300}));
            if !self.0.write(&mut connection, &id, wanted, body.as_ref()) {
                return self;
            }
            let Some(found) = self.look(dns, &id) else { return self };
            assert_eq!(found, wanted, "{id} of {} after revision {}", self.0.service, self.0.revision);
        }
    }

    /// What the name answers; `None` if nobody does, because the server was killed.
    fn look(&self, dns: SocketAddr, id: &str) -> Option<Option<Ipv4Addr>> {
        let packet = Packet::query(7, &format!("{id}.{}.{ZONE}", self.0.service), 1);
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket.connect(dns).unwrap();
        let mut answer = [0; 512];
        let length = socket.send(&packet.0).and_then(|_| socket.recv(&mut answer)).ok()?;
        let records = u16::from_be_bytes([answer[6], answer[7]]);
        let octets: [u8; 4] = answer[..length].last_chunk().copied().unwrap();
        Some((records == 1).then(|| octets.into()))
    }

    fn compare(&mut self, server: &Server) {
        let unanswered = self.0.unanswered.take();
        for number in 0..INSTANCES {
            let id = format!("i{number}");
            let found = self.look(server.dns(), &id).expect("the server answers");
            let known = self.0.known(&id);
            let may_be = unanswered.as_ref().filter(|(of, _)| *of == id).map(|(_, wanted)| *wanted);
            assert!(found == known || Some(found) == may_be, "{id} of {}: {found:?}, not {known:?}", self.0.service);
            self.0.acknowledged.insert(id, found);
        }
    }
}

#[test]
fn what_is_acknowledged_is_answered_and_survives_kill_9() {
    let mut chance = Chance::seeded();
    let mut clients: Vec<_> = (0..CLIENTS).map(|number| Client(Writer::new(number, chance.split()))).collect();
    let mut server = Server::start();
    for _ in 0..LIVES {
        let (http, dns) = (server.http(), server.dns());
        let working: Vec<_> = clients.drain(..).map(|client| thread::spawn(move || client.work(http, dns))).collect();
        thread::sleep(LIFE);
        let setup = server.kill();
        clients.extend(working.into_iter().map(|client| client.join().expect("no client finds a fault")));
        server = setup.start();
        clients.iter_mut().for_each(|client| client.compare(&server));
    }
    let changes: usize = clients.iter().map(|client| client.0.writes).sum();
    assert!(changes > CHANGES, "too few changes to prove anything: {changes}");
    assert_eq!(udp(server.dns(), &Packet::query(1, ZONE, 6).0).rcode(), 0);
}
