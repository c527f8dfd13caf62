//! Padding over encrypted transports (RFC 7830, RFC 8467), from a packet to its response, without a network.

use std::net::Ipv4Addr;

use zonebeat::answer::Transport;
use zonebeat::model::naming::Naming;
use zonebeat::model::{Name, Record, Rtype};
use zonebeat::registry::Snapshot;
use zonebeat::view::{Compiler, ServerFacts, View, ZoneSource};
use zonebeat::wire::Rules;
use zonebeat::wire::decode::Origin;
use zonebeat::wire::respond::{MAX_TCP, respond};

use super::support::dns::{Packet, Response, rtype};
use super::{COOKIE, PADDING, option, options};

const APEX: &str = "sd.example.org";
const ENCRYPTED: [Transport; 3] = [Transport::Tls, Transport::Https, Transport::Quic];

/// A zone whose name `tN` has TXT records of N octets in all.
pub(crate) fn view(sizes: &[usize]) -> View {
    let apex = Name::parse_absolute(APEX).expect("a name");
    let record =
        |owner: &Name, rtype, rdata: &[u8]| Record { owner: owner.clone(), rtype, ttl: 300, rdata: rdata.into() };
    let mut soa = [apex.as_wire(), apex.as_wire()].concat();
    soa.extend([1u32, 3600, 600, 86400, 5].iter().flat_map(|number| number.to_be_bytes()));
    let mut records = vec![record(&apex, Rtype::SOA, &soa), record(&apex, Rtype::NS, apex.as_wire())];
    for &size in sizes {
        let owner = apex.child(format!("t{size}").as_bytes()).expect("a name");
        let strings = vec![b'x'; size];
        let strings: Vec<u8> = strings.chunks(255).flat_map(|text| [&[text.len() as u8], text].concat()).collect();
        records.push(record(&owner, Rtype::TXT, &strings));
    }
    let source =
        ZoneSource { apex, records, registrations: true, reverse: false, updates: false, ttl: 30, readable: true };
    let server = ServerFacts { identity: None, version: None, udp_size: 1232 };
    let naming = Naming::new(&["plain".into()], &[]).expect("a preset");
    Compiler::new(vec![source], naming, server, 7).full(&Snapshot::default(), &[])
}

pub(crate) fn answer(view: &View, packet: &[u8], transport: Transport) -> Response {
    let rules = Rules::default();
    let (decoded, _) = rules.decode(packet, Origin { transport, client: Ipv4Addr::LOCALHOST.into() });
    let mut out = vec![0xAA; MAX_TCP];
    let reply = respond(view, &decoded, &rules, &mut out).expect("it is answered");
    out.truncate(reply.len);
    let response = Response(out);
    response.message(); // it parses
    response
}

fn padded(name: &str, rtype: u16) -> Vec<u8> {
    let asked = [option(PADDING, &[0; 5]), option(COOKIE, b"abcdefgh")].concat();
    Packet::query(1, name, rtype).edns(1232, 0, &asked).0
}

#[test]
fn rfc8467_4_1_responses_are_multiples_of_468_octets() {
    let view = view(&[1, 300, 350, 400, 2000, 60_000]);
    let names = ["t1", "t300", "t350", "t400", "t2000", "t60000", "nope"].map(|label| format!("{label}.{APEX}"));
    for name in names.iter().map(String::as_str).chain(["example.net"]) {
        for transport in ENCRYPTED {
            let response = answer(&view, &padded(name, rtype::TXT), transport);
            assert_eq!(response.0.len() % 468, 0, "{name} {transport:?}: {} octets", response.0.len());
            let (_, options) = options(&response);
            assert!(options[&PADDING].iter().all(|octet| *octet == 0), "RFC 7830 section 3");
            assert!(options.contains_key(&COOKIE), "and everything else is there");
        }
    }
}

#[test]
fn rfc7830_4_errors_are_padded_too() {
    let mut packet = padded(APEX, 253); // MAILB
    for transport in ENCRYPTED {
        let response = answer(&view(&[]), &packet, transport);
        assert_eq!((response.rcode(), response.0.len()), (4, 468), "NOTIMP");
    }
    packet[5] = 2;
    let response = answer(&view(&[]), &packet, Transport::Tls);
    assert_eq!((response.rcode(), response.0.len()), (1, 12), "without an OPT there is nowhere to pad");
}

#[test]
fn rfc8467_4_1_no_response_is_longer_than_a_message() {
    let sizes = [64_800, 64_900, 65_000, 65_100, 65_150];
    let view = view(&sizes);
    for size in sizes {
        let response = answer(&view, &padded(&format!("t{size}.{APEX}"), rtype::TXT), Transport::Tls);
        let length = response.0.len();
        assert!(response.rcode() == 0 && (length.is_multiple_of(468) || length == MAX_TCP), "{size}: {length}");
    }
}

#[test]
fn rfc7830_6_nothing_is_padded_that_anybody_can_read_or_that_did_not_ask() {
    let view = view(&[1]);
    let name = format!("t1.{APEX}");
    for transport in [Transport::Udp, Transport::Tcp] {
        assert!(!options(&answer(&view, &padded(&name, rtype::TXT), transport)).1.contains_key(&PADDING));
    }
    let without = Packet::query(1, &name, rtype::TXT).edns(1232, 0, &[]).0;
    for transport in ENCRYPTED {
        assert!(!options(&answer(&view, &without, transport)).1.contains_key(&PADDING));
    }
}
