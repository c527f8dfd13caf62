//! Slow clients against a real server with few descriptors.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::identity::Identity;
use super::programs::{addresses, kdig, table};
use super::support::dns::{Packet, rtype, try_udp};
use super::support::faults::{connect_from, cpu_time};
use super::support::{PATIENCE, Server, Setup, ZONE, eventually, pass};

/// The most processor time that a server may use that has nothing to do, per second.
const IDLE: Duration = Duration::from_millis(200);
/// The beginning of a handshake that is never continued.
const HELLO: [u8; 7] = [22, 3, 1, 2, 0, 1, 0];

fn is_answered(address: SocketAddr, transport: &str) -> bool {
    kdig(address, &[transport, ZONE, "SOA"]).contains("status: NOERROR")
}

fn open_descriptors(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count()
}

#[test]
fn slow_handshakes_hold_all_connections_for_two_seconds_only() {
    let identity = Identity::new();
    let server = Setup::new().config(&table(&identity)).start_with_files(256);
    let [tls, https, quic] = addresses(&server);
    let before = open_descriptors(&server);
    let slow = |number: u8| -> TcpStream {
        let address = if number.is_multiple_of(2) { tls } else { https };
        let mut stream = connect_from([9, 10 + number % 25], address).expect("the kernel takes a connection");
        let _ = stream.write_all(&HELLO); // it may be refused already
        stream
    };
    let connections: Vec<_> = (0..250).map(slow).collect();
    let waiting = Instant::now();
    let transports = [(tls, "+tls"), (https, "+https"), (quic, "+quic")];
    eventually("a fresh client is answered", || transports.iter().all(|(address, arg)| is_answered(*address, arg)));
    assert!(waiting.elapsed() < Duration::from_secs(8), "not until they are idle: {:?}", waiting.elapsed());
    assert!(try_udp(server.dns(), &Packet::query(1, ZONE, rtype::SOA).0, PATIENCE).is_some(), "UDP is not concerned");
    assert_eq!(server.call("GET", "/healthz", None).status, 200, "HTTP has descriptors of its own");
    eventually("the slow ones are gone", || open_descriptors(&server) <= before);
    let used = cpu_time(server.pid());
    pass(Duration::from_secs(1));
    assert!(cpu_time(server.pid()) - used < IDLE);
    drop(connections);
}
