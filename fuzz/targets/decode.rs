//! The decoder of packets: whatever comes, it ends with a decision that is consistent with the packet.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use libfuzzer_sys::fuzz_target;
use zonebeat::answer::Transport;
use zonebeat::wire::decode::{Decoded, HEADER, Origin, decode};

fuzz_target!(|data: &[u8]| {
    let Some((kind, packet)) = data.split_first() else { return };
    let transport = if kind & 1 == 0 { Transport::Udp } else { Transport::Tcp };
    let client = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    match decode(packet, Origin { transport, client }) {
        Decoded::Drop(_) => {}
        Decoded::Signed(signed) => assert!((HEADER..packet.len()).contains(&signed.at), "a record ends the message"),
        Decoded::Error(reply) => assert_echoed(packet, reply.id, reply.question),
        Decoded::Query(query) => {
            assert_echoed(packet, query.id, query.question);
            let (name, rest) = query.question.split_at(query.name.as_wire().len());
            assert!(name.eq_ignore_ascii_case(query.name.as_wire()), "the folded name is the question's");
            assert!(!query.name.as_wire().iter().any(u8::is_ascii_uppercase), "the name is folded");
            assert_eq!(rest.len(), 4, "type and class follow the name");
        }
    }
});

fn assert_echoed(packet: &[u8], id: u16, question: &[u8]) {
    assert_eq!(packet[..2], id.to_be_bytes());
    assert!(packet[HEADER..].starts_with(question), "the question is echoed as it was sent");
}
