//! The wire with a real view behind it, over real sockets on loopback. What needs no view (decoding, batches, limits of
//! connections) is tested beside its code; what needs the whole server, in the tests that start one.

#![allow(clippy::disallowed_methods)] // real sockets live in real time
#![allow(clippy::unwrap_used)] // the helpers of a test fail it where they stand

#[path = "wire/server.rs"]
mod server;
#[path = "wire/tcp.rs"]
mod tcp;
#[path = "wire/udp.rs"]
mod udp;

use std::net::{IpAddr, Ipv4Addr};

use hickory_proto::op::Message;
use proptest::prelude::*;
use zonebeat::answer::Transport;
use zonebeat::wire::Rules;
use zonebeat::wire::decode::{Origin, decode};
use zonebeat::wire::respond::{MAX_TCP, respond};
use zonebeat::wire::{BindError, WireOptions, bind};

use server::{Server, query, view};

#[test]
fn one_port_is_taken_for_udp_and_tcp_alike() {
    let listen = ["127.0.0.1:0", "[::1]:0"].map(|address| address.parse().unwrap()).to_vec();
    let bound = bind(WireOptions { listen, ..WireOptions::default() }).unwrap();
    let addresses = bound.local_addrs();
    assert!(addresses.iter().all(|address| address.port() != 0), "{addresses:?}");
    for address in addresses {
        assert!(std::net::TcpStream::connect(address).is_ok());
        assert!(std::net::UdpSocket::bind(address).is_err());
    }
}

#[test]
fn an_address_that_cannot_be_had_is_named_with_what_to_do() {
    let fails = |listen: &[&str]| {
        let listen = listen.iter().map(|address| address.parse().unwrap()).collect();
        bind(WireOptions { listen, ..WireOptions::default() }).err().unwrap()
    };
    assert!(matches!(fails(&[]), BindError::NoAddress));
    let error = fails(&["192.0.2.1:5300"]);
    assert!(matches!(error, BindError::NotOurs { .. }), "{error}");
    let server = Server::start(WireOptions::default());
    let error = fails(&[&server.address.to_string()]);
    assert!(matches!(error, BindError::InUse { .. }), "{error}");
    assert!(error.to_string().contains(&server.address.to_string()), "{error}");
    let udp_only = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let error = fails(&[&udp_only.local_addr().unwrap().to_string()]);
    assert!(matches!(error, BindError::InUse { .. }), "UDP counts too: {error}");
}

proptest! {
    /// Whatever octets come: no panic; and what is answered is a message that parses, echoes the id, and is no longer
    /// than the client takes.
    #[test]
    fn any_packet_gets_a_sound_response_or_none(
        name in prop::sample::select(vec!["sd.example.org", "big.sd.example.org", "no.sd.example.org", "web.example.com"]),
        rtype in prop::sample::select(vec![1u16, 2, 6, 16, 33, 41, 251, 252, 255, 666]),
        edns in prop::option::of(0u16..9000),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
        tcp in any::<bool>(),
    ) {
        let mut packet = query(0x1234, name, rtype, edns);
        for (at, octet) in flips {
            *at.get_mut(&mut packet) = octet;
        }
        if let Some(cut) = cut {
            packet.truncate(cut.index(packet.len()));
        }
        let (transport, client) = (if tcp { Transport::Tcp } else { Transport::Udp }, IpAddr::V4(Ipv4Addr::LOCALHOST));
        let decoded = decode(&packet, Origin { transport, client });
        let mut out = vec![0; MAX_TCP];
        if let Ok(reply) = respond(&view(), &decoded, &Rules::default(), &mut out) {
            prop_assert!(!reply.panicked);
            let most = if tcp { MAX_TCP } else { 1232 };
            prop_assert!(reply.len <= most);
            prop_assert_eq!(&out[..2], &packet[..2]);
            prop_assert!(packet[2] & 0x80 == 0 && out[2] & 0x80 != 0);
            let message = Message::from_vec(&out[..reply.len]);
            prop_assert!(message.is_ok(), "{:?}", message);
            if reply.truncated {
                prop_assert!(message.unwrap().answers.is_empty());
            }
        }
    }
}
