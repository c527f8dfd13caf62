//! DNS over QUIC (RFC 9250).

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ApplicationClose, ClientConfig, Connection, ConnectionError, Endpoint, ReadToEndError};
use zonebeat::wire::TcpLimits;

use super::identity::HOST;
use super::server::query;
use super::wire::{HUGE, RECORDS, UNHURRIED, Wire, parse, soon};

/// DOQ_NO_ERROR and the others (RFC 9250 section 8.4).
const NO_ERROR: u64 = 0;
const PROTOCOL_ERROR: u64 = 2;
pub(crate) const EXCESSIVE_LOAD: u64 = 4;
const UNSPECIFIED: u64 = 5;

fn endpoint(wire: &Wire) -> Endpoint {
    let crypto = QuicClientConfig::try_from(wire.identity.client(&[b"doq"])).unwrap();
    let mut endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    endpoint.set_default_client_config(ClientConfig::new(Arc::new(crypto)));
    endpoint
}

/// A connection that has shaken hands.
pub(crate) async fn connect(wire: &Wire) -> (Endpoint, Connection) {
    let endpoint = endpoint(wire);
    let connection = soon("a handshake", endpoint.connect(wire.quic(), HOST).unwrap()).await.unwrap();
    (endpoint, connection)
}

fn framed(packet: &[u8]) -> Vec<u8> {
    [&(packet.len() as u16).to_be_bytes(), packet].concat()
}

/// Sends these octets on a stream, ends it, and reads what comes back.
async fn exchange(connection: &Connection, octets: &[u8]) -> Result<Vec<u8>, ReadToEndError> {
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    send.write_all(octets).await.unwrap();
    send.finish().unwrap();
    soon("the end of the stream", receive.read_to_end(1 << 24)).await
}

/// The messages of a stream.
fn messages(mut octets: &[u8]) -> Vec<hickory_proto::op::Message> {
    let mut messages = Vec::new();
    while let Some((length, rest)) = octets.split_first_chunk::<2>() {
        let (message, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
        messages.push(parse(message));
        octets = rest;
    }
    messages
}

pub(crate) async fn code(connection: &Connection) -> u64 {
    match soon("the connection is closed", connection.closed()).await {
        ConnectionError::ApplicationClosed(ApplicationClose { error_code, .. }) => error_code.into_inner(),
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rfc9250_4_2_each_stream_is_a_query() {
    let wire = Wire::start().await;
    let (_client, connection) = connect(&wire).await;
    let ask = |number: usize| {
        let connection = connection.clone();
        tokio::spawn(async move {
            let name = if number.is_multiple_of(10) { "huge.sd.example.org" } else { "host7.sd.example.org" };
            let answer = exchange(&connection, &framed(&query(0, name, 1, None))).await.unwrap();
            let [message] = &messages(&answer)[..] else { panic!("one message") };
            assert_eq!(message.metadata.id, 0);
            assert_eq!(message.answers.len(), if number.is_multiple_of(10) { HUGE } else { 1 });
        })
    };
    for asked in (0..200).map(ask).collect::<Vec<_>>() {
        asked.await.unwrap();
    }
    assert_eq!(wire.metric(r#"zonebeat_dns_queries_total{rcode="NOERROR",transport="quic",type="A"}"#), 200);
    assert_eq!(wire.metric("zonebeat_quic_connections"), 1);
}

/// RFC 9250 section 4.5: queries in 0-RTT can be replayed, so none is taken; sessions are resumed all the same.
#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_0_rtt() {
    let wire = Wire::start().await;
    let mut config = wire.identity.client(&[b"doq"]);
    config.enable_early_data = true;
    let mut client = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    client.set_default_client_config(ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap())));
    for _ in 0..2 {
        let connecting = client.connect(wire.quic(), HOST).unwrap();
        let connecting = connecting.into_0rtt().err().expect("there are no keys for 0-RTT");
        let connection = soon("a handshake", connecting).await.unwrap();
        exchange(&connection, &framed(&query(0, "sd.example.org", 6, None))).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rfc9250_4_3_3_who_breaks_the_protocol_is_told_so() {
    let wire = Wire::start().await;
    let good = framed(&query(0, "sd.example.org", 6, None));
    let keepalive = |mut packet: Vec<u8>| {
        let at = packet.len() - 2;
        packet.splice(at.., [0, 4, 0, 11, 0, 0]);
        packet
    };
    let mut response = query(0, "sd.example.org", 6, None);
    response[2] |= 0x80;
    for (what, octets) in [
        ("an id", framed(&query(7, "sd.example.org", 6, None))),
        ("two queries", [good.clone(), good.clone()].concat()),
        ("half a query", good[..20].to_vec()),
        ("nothing", vec![]),
        ("keepalive", framed(&keepalive(query(0, "sd.example.org", 6, Some(1232))))),
        ("a response", framed(&response)),
        ("no header", framed(&[0, 0, 1])),
        ("too much", vec![0; 70_000]),
    ] {
        let (_client, connection) = connect(&wire).await;
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        // Either may be cut off before it is through.
        let _ = send.write_all(&octets).await;
        let _ = send.finish();
        assert!(soon(what, receive.read_to_end(1000)).await.is_err(), "{what}");
        assert_eq!(code(&connection).await, PROTOCOL_ERROR, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rfc9250_4_2_a_transfer_is_many_messages_on_one_stream() {
    let wire = Wire::start().await;
    let (_client, connection) = connect(&wire).await;
    let transfer = framed(&query(0, "sd.example.org", 252, None));
    for _ in 0..3 {
        let answer = messages(&exchange(&connection, &transfer).await.unwrap());
        assert!(answer.len() > 1);
        let records: Vec<_> = answer.into_iter().flat_map(|message| message.answers).collect();
        assert_eq!(records.len(), RECORDS + 1);
        let ends = [records.first(), records.last()].map(|record| record.unwrap().record_type());
        assert_eq!(ends, [RecordType::SOA; 2]);
    }
    soon("transfers are counted when their threads end", async {
        while wire.metric(r#"zonebeat_dns_transfers_total{outcome="done"}"#) < 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;

    let wire = Wire::with(TcpLimits::default(), false).await;
    let (_client, connection) = connect(&wire).await;
    let answer = messages(&exchange(&connection, &transfer).await.unwrap());
    assert_eq!(answer[0].metadata.response_code, ResponseCode::Refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_the_client_gives_up_ends() {
    let wire = Wire::start().await;
    let (_client, connection) = connect(&wire).await;
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    send.write_all(&framed(&query(0, "sd.example.org", 252, None))).await.unwrap();
    send.finish().unwrap();
    receive.read_chunk(10, true).await.unwrap();
    receive.stop(3u32.into()).unwrap();
    let answer = exchange(&connection, &framed(&query(0, "sd.example.org", 6, None))).await.unwrap();
    assert_eq!(messages(&answer)[0].answers.len(), 1, "the connection goes on");
    drop(connection);
    assert!(wire.join().await < Duration::from_secs(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_does_not_end_is_given_up_and_the_others_are_answered() {
    let wire = Wire::start().await;
    let (_client, connection) = connect(&wire).await;
    let good = framed(&query(0, "sd.example.org", 6, None));
    exchange(&connection, &good).await.unwrap();
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    send.write_all(&good).await.unwrap();
    exchange(&connection, &good).await.unwrap();
    let begun = Instant::now();
    match soon("the open stream is reset", receive.read_to_end(1000)).await {
        Err(ReadToEndError::Read(quinn::ReadError::Reset(code))) => assert_eq!(code.into_inner(), UNSPECIFIED),
        other => panic!("{other:?}"),
    }
    assert!(begun.elapsed() < Duration::from_secs(4));
    exchange(&connection, &good).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_queries_ends() {
    let limits = TcpLimits { idle: Duration::from_secs(1), ..TcpLimits::default() };
    let wire = Wire::with_limits(TcpLimits { idle: Duration::from_secs(5), ..limits.clone() }).await;
    let (_client, connection) = connect(&wire).await;
    let begun = Instant::now();
    assert_eq!(code(&connection).await, NO_ERROR);
    assert!(begun.elapsed() < Duration::from_secs(4), "the first query has to come soon");

    let wire =
        Wire::with_limits(TcpLimits { idle: Duration::from_secs(3), lifetime: Duration::from_secs(2), ..limits }).await;
    let (_client, connection) = connect(&wire).await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(8) && connection.close_reason().is_none() {
        if let Ok((mut send, mut receive)) = connection.open_bi().await {
            // The connection's lifetime may end in the middle of any of these.
            let _ = send.write_all(&framed(&query(0, "sd.example.org", 6, None))).await;
            let _ = send.finish();
            let _ = receive.read_to_end(1000).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(code(&connection).await, NO_ERROR, "after its lifetime");
}

/// First packets of clients that never answer: their addresses may be forged.
async fn initials(wire: &Wire, count: usize) -> Vec<Vec<u8>> {
    let trap = UdpSocket::bind("127.0.0.1:0").unwrap();
    trap.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let (client, address) = (endpoint(wire), trap.local_addr().unwrap());
    let mut packets = Vec::new();
    let mut buffer = [0; 2048];
    for _ in 0..count {
        let connecting = client.connect(address, HOST).unwrap();
        tokio::task::yield_now().await;
        let (length, _) = trap.recv_from(&mut buffer).unwrap();
        packets.push(buffer[..length].to_vec());
        drop(connecting);
        // It says goodbye in another packet, which is not a first one.
        let _ = trap.recv_from(&mut buffer).unwrap();
    }
    packets
}

#[tokio::test(flavor = "multi_thread")]
async fn rfc9000_8_1_2_under_load_clients_show_their_address_and_are_answered() {
    let wire = Wire::with_limits(TcpLimits { first_query: UNHURRIED, ..TcpLimits::default() }).await;
    let packets = initials(&wire, 120).await;
    let sockets: Vec<_> = packets
        .iter()
        .map(|packet| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.send_to(packet, wire.quic()).unwrap();
            socket
        })
        .collect();
    let begun = Instant::now();
    let (_client, connection) = connect(&wire).await;
    exchange(&connection, &framed(&query(0, "sd.example.org", 6, None))).await.unwrap();
    assert!(begun.elapsed() < UNHURRIED, "{:?}", begun.elapsed());
    assert!(
        wire.metric(r#"zonebeat_tls_handshakes_total{result="deferred",transport="quic"}"#) > 0,
        "{}",
        wire.metrics()
    );
    drop(sockets);
    soon("unfinished handshakes are given up", async {
        while wire.metric(r#"zonebeat_tls_handshakes_total{result="late",transport="quic"}"#) < 60 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

/// A client that shows its address, and then never hears the server: a handshake that is not finished.
async fn stall(wire: &Wire) -> Vec<tokio::task::AbortHandle> {
    let near = Arc::new(tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let far = Arc::new(tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap());
    far.connect(wire.quic()).await.unwrap();
    let (client, address) = (endpoint(wire), near.local_addr().unwrap());
    let connecting = tokio::spawn(async move {
        let _ = client.connect(address, HOST).unwrap().await; // it stays in its handshake until the test ends it
    });
    let relay = tokio::spawn(async move {
        let (mut buffer, mut back) = ([0; 2048], [0; 2048]);
        let (length, client) = near.recv_from(&mut buffer).await.unwrap();
        far.send(&buffer[..length]).await.unwrap();
        let length = far.recv(&mut back).await.unwrap();
        near.send_to(&back[..length], client).await.unwrap();
        while let Ok(length) = near.recv(&mut buffer).await {
            far.send(&buffer[..length]).await.unwrap();
        }
    });
    vec![connecting.abort_handle(), relay.abort_handle()]
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_a_client_does_not_finish_take_its_own_seats() {
    let first_query = Duration::from_secs(60);
    let wire = Wire::with_limits(TcpLimits { first_query, connections_per_client: 2, ..TcpLimits::default() }).await;
    let packets = initials(&wire, 64).await;
    let sockets: Vec<_> = packets.iter().map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    for (socket, packet) in sockets.iter().zip(&packets) {
        socket.send_to(packet, wire.quic()).unwrap();
    }
    let mut stalled = Vec::new();
    for _ in 0..6 {
        stalled.extend(stall(&wire).await);
    }
    soon("the oldest give way", async {
        while wire.metric(r#"zonebeat_tls_handshakes_total{result="late",transport="quic"}"#) < 4 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let (_client, connection) = connect(&wire).await;
    exchange(&connection, &framed(&query(0, "sd.example.org", 6, None))).await.unwrap();
    stalled.into_iter().for_each(|task| task.abort());
    assert!(wire.join().await < Duration::from_secs(3), "the others do not delay the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_datagrams_are_nothing() {
    let wire = Wire::start().await;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for length in 0..1200usize {
        let packet: Vec<u8> = (0..length).map(|at| (at * 31 + length * 17) as u8).collect();
        socket.send_to(&packet, wire.quic()).unwrap();
    }
    let (_client, connection) = connect(&wire).await;
    exchange(&connection, &framed(&query(0, "sd.example.org", 6, None))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_before_the_stop_is_answered() {
    let wire = Wire::start().await;
    let (_client, connection) = connect(&wire).await;
    let mut receivers = Vec::new();
    for _ in 0..30 {
        let (mut send, receive) = connection.open_bi().await.unwrap();
        send.write_all(&framed(&query(0, "huge.sd.example.org", 1, None))).await.unwrap();
        send.finish().unwrap();
        receivers.push(receive);
    }
    let answer = soon("the first answer", receivers.remove(0).read_to_end(1 << 20)).await.unwrap();
    assert_eq!(messages(&answer)[0].answers.len(), HUGE);
    let stop = tokio::spawn(wire.join());
    for mut receive in receivers {
        let answer = soon("an answer", receive.read_to_end(1 << 20)).await.unwrap();
        assert_eq!(messages(&answer)[0].answers.len(), HUGE);
    }
    assert_eq!(code(&connection).await, NO_ERROR);
    assert!(soon("the end", stop).await.unwrap() < Duration::from_secs(4));
}
