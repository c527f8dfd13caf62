//! What fuzz targets share: views with everything in them, and what must hold for every response and every body.

#[path = "../../tests/support/instance.rs"]
mod plain;

use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};

use hickory_proto::op::Message;
use zonebeat::answer::Transport;
use zonebeat::model::naming::Naming;
use zonebeat::model::service::ServiceRow;
use zonebeat::model::{Instance, Name, Revision, Service};
use zonebeat::registry::Snapshot;
use zonebeat::view::{Compiler, ServerFacts, View, ZoneSource};
use zonebeat::wire::decode::{Decoded, Origin, decode};
use zonebeat::wire::respond::{MAX_TCP, respond};
use zonebeat::wire::{Rules, encode};
use zonebeat::zone::parse_text;

/// Aliases, a loop of them, a delegation, wildcards, and a service with more instances than fit into 1232 octets.
const PLAIN: &str = "$TTL 300
@ SOA ns1 hostmaster 1 3600 600 86400 5
@ NS ns1
ns1 A 192.0.2.53
www CNAME ns1
loop CNAME pool
pool CNAME loop
out CNAME www.example.net.
into CNAME www.signed.example.org.
old DNAME new
self DNAME deeper.self
*.new A 192.0.2.1
* TXT \"anything\"
a.b.empty A 192.0.2.3
sub NS ns.sub
ns.sub A 192.0.2.54
mail MX 10 ns1
svcb SVCB 0 www
svcb SVCB 1 ns1 alpn=h2
";

/// A zone with registrations, and one signed with NSEC.
pub static VIEW: LazyLock<View> = LazyLock::new(|| view(include_str!("../fixtures/nsec.zone")));
/// The same, signed with NSEC3 and opt-out.
pub static VIEW_NSEC3: LazyLock<View> = LazyLock::new(|| view(include_str!("../fixtures/nsec3.zone")));

fn view(signed: &str) -> View {
    let mut snapshot = Snapshot { revision: Revision(7), ..Snapshot::default() };
    for (label, count) in [("search", 3), ("big", 90), ("none", 0)] {
        let instances = (0..count).map(instance).collect();
        let service = Service { name: label.into(), row: ServiceRow::default(), instances };
        snapshot.services.insert(Arc::new(service));
    }
    let sources = vec![source("sd.example.org", PLAIN, true), source("signed.example.org", signed, false)];
    let server = ServerFacts { identity: Some("ns1".into()), version: Some("zonebeat".into()), udp_size: 1232 };
    Compiler::new(sources, Naming::plain(), server, 7).full(&snapshot, &[])
}

fn source(apex: &str, text: &str, registrations: bool) -> ZoneSource {
    let apex = Name::parse_absolute(apex).expect("a name");
    let (zone, _) = parse_text("fuzz.zone", text.as_bytes(), &apex).expect("the zone is sound");
    let records = zone.records.into_iter().map(|stated| stated.record).collect();
    ZoneSource { apex, records, registrations, reverse: false, updates: false, ttl: 30, readable: true }
}

/// Compiles the zone with registrations with one service of one instance.
pub fn compile(row: ServiceRow, instance: Instance) -> View {
    let mut snapshot = Snapshot { revision: Revision(7), ..Snapshot::default() };
    let service = Service { name: "search".into(), row, instances: [instance].into_iter().collect() };
    snapshot.services.insert(Arc::new(service));
    let sources = vec![source("sd.example.org", PLAIN, true)];
    let server = ServerFacts { identity: None, version: None, udp_size: 1232 };
    Compiler::new(sources, Naming::plain(), server, 7).full(&snapshot, &[])
}

/// An instance as the registry keeps it.
pub fn instance(number: u8) -> Instance {
    let address = Ipv4Addr::new(192, 0, 2, number).into();
    Instance {
        site: Some("lon".into()),
        tags: [Box::from("canary")].into(),
        metadata: [("version".into(), "2.4.1".into())].into(),
        ..plain::instance(&format!("a{number:03}"), 8080, &[address])
    }
}

/// Answers a packet and asserts what holds for every response: the id is echoed, QR is set, it is not longer than the
/// client takes, a library that is not ours can read it, and nothing of it is partial. Returns it.
pub fn answer(view: &View, packet: &[u8], transport: Transport, rotation: u32) -> Option<Message> {
    let client = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
    let mut decoded = decode(packet, Origin { transport, client });
    if let Decoded::Query(query) = &mut decoded {
        query.rotation = rotation;
    }
    let rules = Rules::default();
    let mut out = vec![0; MAX_TCP.max(encode::MAX_UDP)];
    let reply = respond(view, &decoded, &rules, &mut out).ok()?;
    let limit = match (&decoded, transport.is_datagram()) {
        (_, false) => MAX_TCP,
        // The record that answers a signature has the length of the one that came, at most, and OPT has a cookie.
        (Decoded::Signed(_), _) => usize::from(view.server.udp_size).max(packet.len() + 64),
        (Decoded::Query(query), _) => rules.udp.limit(client, query.edns.map(|edns| edns.udp_size)),
        _ => rules.udp.limit(client, None),
    };
    assert!(!reply.panicked, "answering panicked");
    assert!(reply.len <= limit, "{} octets, at most {limit}", reply.len);
    assert_eq!(out[..2], packet[..2], "the id is echoed");
    assert!(out[2] & 0x80 != 0, "QR is set");
    if let Decoded::Query(query) = &decoded {
        assert!(out[12..].starts_with(query.question), "the question is echoed");
    }
    let message = Message::from_vec(&out[..reply.len]);
    let message = message.unwrap_or_else(|error| panic!("{error}: {:02x?}", &out[..reply.len]));
    assert!(!reply.truncated || message.answers.is_empty(), "a truncated response has no part of the answer");
    let negative = message.response_code == hickory_proto::op::ResponseCode::NXDomain;
    assert!(!negative || !message.authorities.is_empty() || reply.truncated, "an NXDOMAIN carries its SOA");
    Some(message)
}

/// Reads a body; a value survives being written and read again.
pub fn round_trip<T>(body: &[u8])
where
    T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + Debug,
{
    let Ok(value) = serde_json::from_slice::<T>(body) else { return };
    let written = serde_json::to_vec(&value).expect("a body that was read can be written");
    assert_eq!(serde_json::from_slice::<T>(&written).expect("what we write we can read"), value);
}
