//! A packet all the way to its response, against a zone with everything in it: no response is longer than the client
//! takes, none is partial, and a library that is not ours can read each.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};

use hickory_proto::op::Message;
use libfuzzer_sys::fuzz_target;
use zonebeat::answer::Transport;
use zonebeat::model::naming::Naming;
use zonebeat::model::service::ServiceRow;
use zonebeat::model::{Endpoint, Instance, Name, Revision, Service, State, Timestamp};
use zonebeat::registry::Snapshot;
use zonebeat::view::{Compiler, ServerFacts, View, ZoneSource};
use zonebeat::wire::decode::{Decoded, Origin, decode};
use zonebeat::wire::respond::{MAX_TCP, respond};
use zonebeat::wire::{Rules, encode};
use zonebeat::zone::parse_text;

/// Aliases, a loop of them, a delegation, wildcards, and a service with more instances than fit into 1232 octets.
const ZONE: &str = "$TTL 300
@ SOA ns1 hostmaster 1 3600 600 86400 5
@ NS ns1
ns1 A 192.0.2.53
www CNAME ns1
loop CNAME pool
pool CNAME loop
out CNAME www.example.net.
old DNAME new
*.new A 192.0.2.1
* TXT \"anything\"
sub NS ns.sub
ns.sub A 192.0.2.54
mail MX 10 ns1
";

static VIEW: LazyLock<View> = LazyLock::new(|| {
    let apex = Name::parse_absolute("sd.example.org").expect("a name");
    let (zone, _) = parse_text("fuzz.zone", ZONE.as_bytes(), &apex).expect("the zone is sound");
    let records = zone.records.into_iter().map(|stated| stated.record).collect();
    let source = ZoneSource { apex, records, registrations: true, reverse: false, ttl: 30, readable: true };
    let server = ServerFacts { identity: Some("ns1".into()), version: Some("zonebeat".into()), udp_size: 1232 };
    let mut snapshot = Snapshot { revision: Revision(7), ..Snapshot::default() };
    for (label, count) in [("search", 3), ("big", 90), ("none", 0)] {
        let instances = (0..count).map(instance).map(Arc::new).collect();
        let service = Service { name: label.into(), row: ServiceRow::default(), instances };
        snapshot.services.insert_mut(label.into(), Arc::new(service));
    }
    Compiler::new(vec![source], Naming::plain(), server, 7).full(&snapshot, &[])
});

fn instance(number: u8) -> Instance {
    Instance {
        id: format!("a{number:03}").into(),
        proto: "tcp".into(),
        port: 8080,
        priority: 10,
        weight: 100,
        site: Some("lon".into()),
        endpoint: Endpoint::Addresses([IpAddr::V4(Ipv4Addr::new(192, 0, 2, number))].into()),
        tags: [Box::from("canary")].into(),
        metadata: [("version".into(), "2.4.1".into())].into(),
        lease_seconds: 15,
        session: None,
        epoch: None,
        incarnation: Revision(1),
        state: State::Serving,
        since: Timestamp(0),
        revision: Revision(1),
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, packet)) = data.split_first() else { return };
    let transport = if kind & 1 == 0 { Transport::Udp } else { Transport::Tcp };
    let client = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
    let mut decoded = decode(packet, Origin { transport, client });
    if let Decoded::Query(query) = &mut decoded {
        query.rotation = u32::from(kind >> 1);
    }
    let rules = Rules::default();
    let mut out = vec![0; MAX_TCP.max(encode::MAX_UDP)];
    let Ok(reply) = respond(&VIEW, &decoded, &rules, &mut out) else { return };
    let limit = match (&decoded, transport) {
        (_, Transport::Tcp) => MAX_TCP,
        (Decoded::Query(query), _) => rules.udp.limit(client, query.edns.map(|edns| edns.udp_size)),
        _ => rules.udp.limit(client, None),
    };
    assert!(reply.len <= limit, "{} octets, at most {limit}", reply.len);
    assert_eq!(out[..2], packet[..2], "the id is echoed");
    assert!(out[2] & 0x80 != 0, "QR is set");
    let message =
        Message::from_vec(&out[..reply.len]).unwrap_or_else(|error| panic!("{error}: {:02x?}", &out[..reply.len]));
    assert!(!reply.truncated || message.answers.is_empty(), "a truncated response has no part of the answer");
});
