//! DNS over TLS (RFC 7858, RFC 9103).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use zonebeat::wire::TcpLimits;

use super::server::query;
use super::wire::{HUGE, RECORDS, UNHURRIED, Wire, connect_from, parse, soon};

const DOT: &[&[u8]] = &[b"dot"];

async fn send(stream: &mut (impl AsyncWrite + Unpin), packet: &[u8]) {
    let framed = [&(packet.len() as u16).to_be_bytes(), packet].concat();
    stream.write_all(&framed).await.unwrap();
    stream.flush().await.unwrap();
}

/// The next message; `None` when the server has ended the connection as it should, with close_notify.
async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> Option<Message> {
    let read = async {
        let mut first = [0];
        if stream.read(&mut first).await.expect("close_notify comes before the end") == 0 {
            return None;
        }
        let length = u16::from_be_bytes([first[0], stream.read_u8().await.unwrap()]);
        let mut message = vec![0; usize::from(length)];
        stream.read_exact(&mut message).await.unwrap();
        Some(parse(&message))
    };
    soon("a message or the end", read).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rfc7858_pipelined_queries_are_answered_whole() {
    let wire = Wire::start().await;
    for alpn in [DOT, &[]] {
        let mut stream = wire.connect(wire.tls(), alpn).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), alpn.first().copied());
        for id in 0..100 {
            send(&mut stream, &query(id, "host7.sd.example.org", 1, None)).await;
        }
        let mut ids = BTreeSet::new();
        for _ in 0..100 {
            let message = receive(&mut stream).await.unwrap();
            assert_eq!(message.answers.len(), 1);
            ids.insert(message.metadata.id);
        }
        assert_eq!(ids, (0..100).collect());
        send(&mut stream, &query(1, "huge.sd.example.org", 1, None)).await;
        assert_eq!(receive(&mut stream).await.unwrap().answers.len(), HUGE);
    }
    assert_eq!(wire.metric(r#"zonebeat_dns_queries_total{rcode="NOERROR",transport="tls",type="A"}"#), 202);
    assert_eq!(wire.metric(r#"zonebeat_tls_handshakes_total{result="done",transport="tls"}"#), 2);
    assert!(wire.join().await < Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn rfc7301_3_2_a_client_of_another_protocol_is_refused() {
    let wire = Wire::start().await;
    let stream = TcpStream::connect(wire.tls()).await.unwrap();
    let error = wire.shake_hands(stream, &[b"h2"]).await.unwrap_err();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rfc9103_a_zone_is_transferred_to_those_who_may() {
    let wire = Wire::start().await;
    let mut stream = wire.connect(wire.tls(), DOT).await;
    send(&mut stream, &query(5, "sd.example.org", 252, None)).await;
    let (mut records, mut soas) = (0, 0);
    while soas < 2 {
        let message = receive(&mut stream).await.expect("the transfer has a second SOA");
        soas += message.answers.iter().filter(|record| record.record_type() == RecordType::SOA).count();
        records += message.answers.len();
    }
    assert_eq!(records, RECORDS + 1);
    send(&mut stream, &query(6, "sd.example.org", 6, None)).await;
    assert_eq!(receive(&mut stream).await.unwrap().metadata.id, 6, "the connection goes on");

    let wire = Wire::with(TcpLimits::default(), false).await;
    let mut stream = wire.connect(wire.tls(), DOT).await;
    send(&mut stream, &query(5, "sd.example.org", 252, None)).await;
    assert_eq!(receive(&mut stream).await.unwrap().metadata.response_code, ResponseCode::Refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_instead_of_a_handshake_ends_the_connection_at_once() {
    let wire = Wire::start().await;
    for garbage in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], &query(1, "sd.example.org", 6, None), &[0xFF; 4000], &[22, 3, 1, 255, 255]]
    {
        for address in [wire.tls(), wire.https()] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(garbage).await.unwrap();
            let begun = Instant::now();
            let mut rest = Vec::new();
            let _ = soon("the end", stream.read_to_end(&mut rest)).await; // a reset is an end too
            assert!(rest.len() < 100 && begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        }
    }
    let mut stream = wire.connect(wire.tls(), DOT).await;
    send(&mut stream, &query(1, "sd.example.org", 6, None)).await;
    assert!(receive(&mut stream).await.is_some());
    assert!(wire.metric(r#"zonebeat_tls_handshakes_total{result="failed",transport="tls"}"#) >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_clients_and_idle_connections_delay_nobody() {
    let limits = TcpLimits { idle: Duration::from_secs(60), first_query: UNHURRIED, ..TcpLimits::default() };
    let wire = Wire::with_limits(limits).await;
    let mut idle = Vec::new();
    for last in 1..=100 {
        let stream = connect_from([2, last], wire.tls()).await;
        let mut stream = wire.shake_hands(stream, DOT).await.unwrap();
        send(&mut stream, &query(1, "sd.example.org", 6, None)).await;
        assert!(receive(&mut stream).await.is_some());
        idle.push(stream);
    }
    let mut silent = Vec::new();
    for last in 1..=200 {
        silent.push(connect_from([3, last], wire.tls()).await);
        silent.push(connect_from([3, last], wire.https()).await);
    }
    let begun = Instant::now();
    let mut stream = wire.connect(wire.tls(), DOT).await;
    send(&mut stream, &query(2, "sd.example.org", 6, None)).await;
    assert_eq!(receive(&mut stream).await.unwrap().metadata.id, 2);
    assert!(begun.elapsed() < UNHURRIED, "{:?}", begun.elapsed());
    for stream in &mut silent {
        assert_eq!(soon("who says nothing is cut off", stream.read(&mut [0; 8])).await.unwrap_or(0), 0);
    }
    assert!(begun.elapsed() < 3 * UNHURRIED, "{:?}", begun.elapsed());
    soon("those that have said something stay", async {
        while wire.metric("zonebeat_tcp_connections") != 101 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    drop(idle);
}

/// How long a fresh client waits for its answer.
async fn fresh(wire: &Wire, last: u8) -> Duration {
    let begun = Instant::now();
    let stream = connect_from([5, last], wire.tls()).await;
    let mut stream = wire.shake_hands(stream, DOT).await.expect("a fresh client gets a place");
    send(&mut stream, &query(2, "sd.example.org", 6, None)).await;
    assert_eq!(receive(&mut stream).await.expect("it is answered").metadata.id, 2);
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_never_read_their_answers_give_way() {
    let wire = Wire::with_limits(TcpLimits { connections: 20, ..TcpLimits::default() }).await;
    let mut unread = Vec::new();
    for last in 1..=40 {
        let stream = connect_from([4, last], wire.tls()).await;
        let mut stream =
            wire.shake_hands(stream, DOT).await.expect("the first ones have stalled by now, or there is room");
        let many = async {
            for id in 0..200 {
                send(&mut stream, &query(id, "huge.sd.example.org", 1, None)).await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(50), many).await; // until nobody reads them any more
        unread.push(stream);
    }
    let mut times = Vec::new();
    for last in 1..=5 {
        times.push(fresh(&wire, last).await);
    }
    assert!(times.iter().all(|time| *time < Duration::from_secs(1)), "{times:?}");
    drop(unread);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_octet_now_and_then_is_no_query() {
    let wire = Wire::start().await;
    let mut stream = wire.connect(wire.tls(), DOT).await;
    let begun = Instant::now();
    let packet = query(1, "sd.example.org", 6, None);
    let mut ended = false;
    for octet in [&[0, packet.len() as u8][..], &packet].concat() {
        ended = stream.write_all(&[octet]).await.is_err() || stream.flush().await.is_err();
        if ended {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert!(ended && begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_has_its_connections_over_all_transports_together() {
    let wire = Wire::with_limits(TcpLimits { connections_per_client: 1, ..TcpLimits::default() }).await;
    let mut plain = TcpStream::connect(wire.dns).await.unwrap();
    send(&mut plain, &query(1, "sd.example.org", 6, None)).await;
    assert!(receive(&mut plain).await.is_some());
    let mut tls = wire.connect(wire.tls(), DOT).await;
    assert!(receive(&mut plain).await.is_none(), "the older one gives way");
    send(&mut tls, &query(1, "sd.example.org", 6, None)).await;
    assert!(receive(&mut tls).await.is_some());
    let (_client, quic) = super::quic::connect(&wire).await;
    assert!(receive(&mut tls).await.is_none(), "also to QUIC");
    let https = wire.connect(wire.https(), &[b"h2"]).await;
    soon("QUIC gives way to HTTPS", quic.closed()).await;
    drop(https);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_before_the_stop_is_answered() {
    let wire = Wire::start().await;
    let mut stream = wire.connect(wire.tls(), DOT).await;
    for id in 0..30 {
        send(&mut stream, &query(id, "huge.sd.example.org", 1, None)).await;
    }
    assert!(receive(&mut stream).await.is_some());
    let stop = tokio::spawn(wire.join());
    let mut answered = 1;
    while let Some(message) = receive(&mut stream).await {
        assert_eq!(message.answers.len(), HUGE);
        answered += 1;
    }
    assert_eq!(answered, 30);
    drop(stream);
    assert!(soon("the end", stop).await.unwrap() < Duration::from_secs(3));
}
