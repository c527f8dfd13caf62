use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use socket2::{Domain, Socket, Type};
use zonebeat::wire::{UdpLimits, WireOptions};

use super::server::{BIG, Server, query};

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 65_535];
    let len = socket.recv(&mut buffer).unwrap();
    buffer[..len].to_vec()
}

fn ask(socket: &UdpSocket, packet: &[u8]) -> Vec<u8> {
    socket.send(packet).unwrap();
    receive(socket)
}

fn is_silent(socket: &UdpSocket) -> bool {
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    socket.recv(&mut [0; 512]).is_err()
}

#[test]
fn the_question_comes_back_as_it_was_sent() {
    let server = Server::start(WireOptions::default());
    let packet = query(7, "HoSt7.sd.eXample.ORG", 1, None);
    let response = ask(&server.udp(), &packet);
    assert_eq!(response[12..packet.len()], packet[12..]);
    let message = Message::from_vec(&response).unwrap();
    assert_eq!(message.answers.len(), 1);
    assert!(message.metadata.authoritative);
}

#[test]
fn rfc2181_9_what_does_not_fit_is_truncated_with_no_answers() {
    let limits = UdpLimits { max: 1232, by_prefix: vec![("127.0.0.2/32".parse().unwrap(), 600)] };
    let server = Server::start(WireOptions { udp: limits, ..WireOptions::default() });
    let socket = server.udp();
    for (edns, whole) in [(None, false), (Some(0), false), (Some(1232), true), (Some(65_535), true)] {
        let response = ask(&socket, &query(1, "big.sd.example.org", 1, edns));
        let message = Message::from_vec(&response).unwrap();
        assert_eq!(message.metadata.truncation, !whole, "{edns:?}");
        assert_eq!(message.answers.len(), if whole { BIG } else { 0 }, "{edns:?}");
    }
    let limited = UdpSocket::bind("127.0.0.2:0").unwrap();
    limited.connect(server.address).unwrap();
    let message = Message::from_vec(&ask(&limited, &query(1, "big.sd.example.org", 1, Some(1232)))).unwrap();
    assert!(message.metadata.truncation, "the limit of the client's prefix");
}

#[test]
fn responses_and_fragments_of_headers_get_nothing() {
    let server = Server::start(WireOptions::default());
    let socket = server.udp();
    let mut packet = query(1, "sd.example.org", 6, None);
    socket.send(&packet[..11]).unwrap();
    packet[2] |= 0x80;
    socket.send(&packet).unwrap();
    assert!(is_silent(&socket));
    let metrics = server.metrics();
    for reason in ["short", "response"] {
        assert!(metrics.contains(&format!("zonebeat_dns_dropped_total{{reason=\"{reason}\"}} 1")), "{metrics}");
    }
}

/// Sends a query from `source`, which the server has too: the same user may share a port.
fn is_answered_to_itself(listen: &[SocketAddr], source: SocketAddr, target: SocketAddr) -> bool {
    let mut server = Server::start(WireOptions { listen: listen.to_vec(), ..WireOptions::default() });
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&source.into()).unwrap();
    UdpSocket::from(socket).send_to(&query(1, "sd.example.org", 6, None), target).unwrap();
    server.shutdown.cancel();
    server.join();
    let metrics = server.metrics();
    assert!(metrics.contains("zonebeat_dns_dropped_total{reason=\"source\"} 1"), "{metrics}");
    metrics.contains("type=\"SOA\"")
}

/// A free port that no connection of another test can hold while it fades away.
fn port_below_those_of_clients() -> u16 {
    let first = 20_000 + (std::process::id() % 5000) as u16;
    let is_free = |port: &u16| {
        let everywhere = SocketAddr::from(([0; 4], *port));
        UdpSocket::bind(everywhere).is_ok() && std::net::TcpListener::bind(everywhere).is_ok()
    };
    (first..first + 100).find(is_free).expect("one of a hundred ports is free")
}

#[test]
fn a_packet_that_claims_to_come_from_the_server_gets_nothing() {
    let port = port_below_those_of_clients();
    let [one, two, wildcard] = [[127, 0, 0, 1], [127, 0, 0, 2], [0; 4]].map(|ip| SocketAddr::from((ip, port)));
    assert!(!is_answered_to_itself(&[one, two], two, one));
    assert!(!is_answered_to_itself(&[wildcard], two, one));
}

#[test]
fn errors_are_answered_with_what_can_be_echoed() {
    let server = Server::start(WireOptions::default());
    let socket = server.udp();
    let mut notify = query(9, "sd.example.org", 6, None);
    notify[2] |= 4 << 3;
    let mut two_questions = query(9, "sd.example.org", 6, None);
    two_questions[5] = 2;
    for (packet, rcode) in [(notify, ResponseCode::NotImp), (two_questions, ResponseCode::FormErr)] {
        let message = Message::from_vec(&ask(&socket, &packet)).unwrap();
        assert_eq!((message.metadata.response_code, message.metadata.id), (rcode, 9));
        assert!(message.queries.is_empty());
    }
    let refused = Message::from_vec(&ask(&socket, &query(9, "www.example.com", 1, None))).unwrap();
    assert_eq!(refused.metadata.response_code, ResponseCode::Refused);
}

#[test]
fn every_query_that_arrived_before_the_shutdown_is_answered() {
    let mut server = Server::start(WireOptions::default());
    let clients: Vec<UdpSocket> = (0..8).map(|_| server.udp()).collect();
    for id in 0..100 {
        clients.iter().for_each(|client| assert!(client.send(&query(id, "host1.sd.example.org", 1, None)).is_ok()));
    }
    server.shutdown.cancel();
    server.join();
    for client in &clients {
        let mut ids: Vec<u16> = (0..100).map(|_| receive(client)).map(|r| u16::from_be_bytes([r[0], r[1]])).collect();
        ids.sort_unstable();
        assert!(ids.into_iter().eq(0..100));
    }
    assert!(server.metrics().contains(r#"zonebeat_dns_queries_total{rcode="NOERROR",transport="udp",type="A"} 800"#));
}
