use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::opt::EdnsCode;
use zonebeat::model::Rtype;
use zonebeat::wire::WireOptions;

use super::server::{BIG, RECORDS, Server, apex_records, compile, query, record, source};

fn send(stream: &mut TcpStream, packet: &[u8]) {
    let length = (packet.len() as u16).to_be_bytes();
    stream.write_all(&[&length, packet].concat()).unwrap();
}

/// The next message; `None` at the end of the connection.
fn receive(stream: &mut TcpStream) -> Option<Message> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut octets).unwrap();
    Some(Message::from_vec(&octets).unwrap())
}

/// Info code and text of the extended error (RFC 8914).
fn ede(message: &Message) -> Option<Vec<u8>> {
    message.edns.as_ref()?.option(EdnsCode::Unknown(15)).map(|option| Vec::<u8>::try_from(option).unwrap())
}

fn transfers() -> WireOptions {
    WireOptions { transfer_from: vec!["127.0.0.0/8".parse().unwrap()], ..WireOptions::default() }
}

#[test]
fn rfc7766_pipelined_queries_are_answered_whole() {
    let server = Server::start(WireOptions::default());
    let mut stream = server.tcp();
    for id in 0..200 {
        send(&mut stream, &query(id, "big.sd.example.org", 1, None));
    }
    let messages: Vec<Message> = (0..200).map(|_| receive(&mut stream).unwrap()).collect();
    assert!(messages.iter().all(|message| message.answers.len() == BIG && !message.metadata.truncation));
    assert_eq!(messages.iter().map(|message| message.metadata.id).collect::<BTreeSet<_>>(), (0..200).collect());
    assert!(server.metrics().contains(r#"zonebeat_dns_queries_total{rcode="NOERROR",transport="tcp",type="A"} 200"#));
}

#[test]
fn rfc5936_2_2_a_transfer_is_the_whole_zone_between_two_soas() {
    let server = Server::start(transfers());
    for rtype in [252, 251] {
        let mut stream = server.tcp();
        send(&mut stream, &query(5, "sd.example.org", rtype, None));
        let (mut records, mut messages, mut soas) = (Vec::new(), 0, 0);
        while soas < 2 {
            let message = receive(&mut stream).expect("a transfer ends with its second SOA");
            assert_eq!(message.metadata.id, 5);
            messages += 1;
            soas += message.answers.iter().filter(|record| record.record_type() == RecordType::SOA).count();
            records.extend(message.answers);
        }
        assert!(messages > 1);
        assert_eq!(records.len(), RECORDS + 1);
        let ends = [records.first(), records.last()].map(|record| record.unwrap().record_type());
        assert_eq!(ends, [RecordType::SOA; 2]);
        send(&mut stream, &query(6, "sd.example.org", 6, None));
        assert_eq!(receive(&mut stream).unwrap().metadata.id, 6, "the connection goes on");
    }
    server.await_transfers("done", 2);
}

#[test]
fn rfc5936_2_2_1_a_transfer_of_somebody_elses_zone_is_not_authoritative() {
    let server = Server::start(transfers());
    let mut stream = server.tcp();
    for name in ["example.com", "host1.sd.example.org"] {
        send(&mut stream, &query(5, name, 252, None));
        let message = receive(&mut stream).unwrap();
        assert_eq!(message.metadata.response_code, ResponseCode::NotAuth, "{name}");
        assert!(message.answers.is_empty());
    }
}

#[test]
fn a_transfer_from_an_address_that_is_not_listed_is_refused_with_a_reason() {
    let server = Server::start(WireOptions::default());
    let mut stream = server.tcp();
    send(&mut stream, &query(5, "sd.example.org", 252, Some(1232)));
    let message = receive(&mut stream).unwrap();
    assert_eq!(message.metadata.response_code, ResponseCode::Refused);
    assert!(message.edns.is_some());
    let metrics = server.metrics();
    assert!(metrics.contains(r#"zonebeat_dns_transfers_total{outcome="refused"} 1"#), "{metrics}");
    assert!(metrics.contains(r#"{rcode="REFUSED",transport="tcp",type="AXFR"} 1"#), "{metrics}");
}

#[test]
fn rfc8914_4_15_a_transfer_of_a_zone_that_is_not_known_yet_is_a_failure_of_ours() {
    let mut unread = source("sd.example.org", apex_records("sd.example.org"));
    unread.readable = false;
    let server = Server::serve(transfers(), compile(vec![unread]));
    let mut stream = server.tcp();
    send(&mut stream, &query(5, "sd.example.org", 252, Some(1232)));
    let message = receive(&mut stream).unwrap();
    assert_eq!(message.metadata.response_code, ResponseCode::ServFail);
    assert!(!message.metadata.authoritative && message.answers.is_empty());
    assert!(ede(&message).is_some_and(|option| option.starts_with(&[0, 14])), "{:?}", message.edns);
    send(&mut stream, &query(6, "sd.example.org", 6, None));
    assert_eq!(receive(&mut stream).unwrap().metadata.id, 6, "the connection goes on");
    server.await_transfers("not-ready", 1);
}

/// A zone with a record that leaves no room for anything else in a message.
fn with_a_giant() -> Server {
    let mut records = apex_records("sd.example.org");
    records.push(record("giant.sd.example.org", Rtype(65_280), &vec![7; 65_500]));
    records.push(record("host.sd.example.org", Rtype::A, &[192, 0, 2, 1]));
    Server::serve(transfers(), compile(vec![source("sd.example.org", records)]))
}

#[test]
fn rfc5936_2_2_a_transfer_that_cannot_be_whole_ends_with_the_connection() {
    let server = with_a_giant();
    for _ in 0..2 {
        let mut stream = server.tcp();
        send(&mut stream, &query(5, "sd.example.org", 252, None));
        let mut soas = 0;
        while let Some(message) = receive(&mut stream) {
            soas += message.answers.iter().filter(|record| record.record_type() == RecordType::SOA).count();
        }
        assert_eq!(soas, 1, "the client sees that the transfer is not complete");
    }
    server.await_transfers("too-long", 2);
}

#[test]
fn rfc2181_9_what_no_message_can_hold_is_a_failure_not_a_truncation() {
    let server = with_a_giant();
    let mut stream = server.tcp();
    send(&mut stream, &query(5, "giant.sd.example.org", 65_280, Some(1232)));
    let message = receive(&mut stream).unwrap();
    assert_eq!(message.metadata.response_code, ResponseCode::ServFail);
    assert!(!message.metadata.truncation && !message.metadata.authoritative && message.answers.is_empty());
    assert!(ede(&message).is_some_and(|option| option.starts_with(&[0, 0])), "{:?}", message.edns);
    let over_udp = server.udp();
    over_udp.send(&query(6, "giant.sd.example.org", 65_280, Some(1232))).unwrap();
    let mut answer = [0; 512];
    over_udp.recv(&mut answer).unwrap();
    assert!(answer[2] & 2 != 0 && answer[3] & 15 == 0, "over UDP nobody can know: truncated");
}

#[test]
fn a_query_overtakes_a_transfer_on_the_same_connection() {
    let server = Server::start(transfers());
    let mut stream = server.tcp();
    send(&mut stream, &query(5, "sd.example.org", 252, None));
    send(&mut stream, &query(6, "sd.example.org", 6, None));
    let mut soas = 0;
    let mut overtook = false;
    while soas < 2 {
        let message = receive(&mut stream).unwrap();
        match message.metadata.id {
            6 => overtook = true,
            _ => soas += message.answers.iter().filter(|record| record.record_type() == RecordType::SOA).count(),
        }
    }
    assert!(overtook, "the answer waited for the end of the transfer");
}

#[test]
fn queries_that_arrived_before_the_shutdown_are_answered_and_the_connection_ends() {
    let mut server = Server::start(WireOptions::default());
    let mut stream = server.tcp();
    for id in 0..100 {
        send(&mut stream, &query(id, "host1.sd.example.org", 1, None));
    }
    server.shutdown.cancel();
    for _ in 0..100 {
        assert!(receive(&mut stream).is_some());
    }
    assert!(receive(&mut stream).is_none());
    server.join();
    assert!(TcpStream::connect(server.address).is_err());
}
