//! Views, answers and messages as pure functions: what is published where, what a query gets, how long a message is.

#[path = "support/dump.rs"]
mod dump;
#[path = "support/instance.rs"]
mod instance;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use dump::dump;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, RecordType};
use proptest::prelude::*;
use zonebeat::answer::{Edns, Query, QueryName, Transport, answer};
use zonebeat::model::naming::Naming;
use zonebeat::model::service::ServiceRow;
use zonebeat::model::{
    Declaration, Endpoint, Instance, Name, Record, Revision, Rtype, Service, State, Timestamp, Written, WrittenData,
    WrittenSet,
};
use zonebeat::registry::{Snapshot, Touched, TouchedName};
use zonebeat::view::{Compiler, ServerFacts, Spare, View, ZoneSource};
use zonebeat::wire::encode::encode;

const ZONE: &str = "sd.example.org";

fn name(text: &str) -> Name {
    Name::parse_absolute(text).expect("test name")
}

fn record(owner: &str, rtype: Rtype, rdata: &[u8]) -> Record {
    Record { owner: name(owner), rtype, ttl: 300, rdata: rdata.into() }
}

fn soa(apex: &str) -> Record {
    let mut rdata = name(&format!("ns1.{apex}")).as_wire().to_vec();
    rdata.extend_from_slice(name(&format!("hostmaster.{apex}")).as_wire());
    for number in [0u32, 3600, 600, 86400, 5] {
        rdata.extend_from_slice(&number.to_be_bytes());
    }
    record(apex, Rtype::SOA, &rdata)
}

fn source(apex: &str, extra: Vec<Record>, registrations: bool) -> ZoneSource {
    let ns = name(&format!("ns1.{apex}"));
    let mut records = vec![soa(apex), record(apex, Rtype::NS, ns.as_wire())];
    records.push(record(&format!("ns1.{apex}"), Rtype::A, &[192, 0, 2, 53]));
    records.extend(extra);
    ZoneSource {
        apex: name(apex),
        records,
        registrations,
        reverse: apex.ends_with(".arpa"),
        updates: false,
        ttl: 30,
        readable: true,
    }
}

fn compiler(presets: &[&str], extra: Vec<Record>) -> Compiler {
    let presets: Vec<String> = presets.iter().map(|&preset| preset.to_owned()).collect();
    let sources = vec![source(ZONE, extra, true), source("2.0.192.in-addr.arpa", vec![], false)];
    let server = ServerFacts { identity: Some("ns".into()), version: Some("zonebeat".into()), udp_size: 1232 };
    Compiler::new(sources, Naming::new(&presets, &[]).expect("presets"), server, 7)
}

fn instance(id: &str, port: u16, site: Option<&str>, addresses: &[IpAddr]) -> Instance {
    Instance {
        site: site.map(Arc::from),
        tags: [Box::from("canary")].into(),
        metadata: [("version".into(), "2.4.1".into())].into(),
        ..instance::instance(id, port, addresses)
    }
}

fn v4(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

fn v6(last: u16) -> IpAddr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into()
}

fn service(label: &str, instances: Vec<Instance>) -> Service {
    Service { name: label.into(), row: ServiceRow::default(), instances: instances.into_iter().collect() }
}

fn snapshot(revision: u64, services: impl IntoIterator<Item = Service>) -> Snapshot {
    let mut snapshot = Snapshot { revision: Revision(revision), ..Snapshot::default() };
    for service in services {
        snapshot.services.insert(Arc::new(service));
    }
    snapshot
}

fn search() -> Service {
    service(
        "search",
        vec![
            instance("a1", 8080, Some("lon"), &[v4(1), v6(1)]),
            instance("a2", 8081, Some("sto"), &[v4(2)]),
            instance("a3", 8082, Some("lon"), &[v4(3)]),
        ],
    )
}

/// A question's octets, as a client writes them.
fn question(owner: &str, rtype: Rtype) -> Vec<u8> {
    let mut octets = Vec::new();
    for label in owner.trim_end_matches('.').split('.').filter(|label| !label.is_empty()) {
        octets.push(label.len() as u8);
        octets.extend_from_slice(label.as_bytes());
    }
    octets.push(0);
    octets.extend_from_slice(&rtype.0.to_be_bytes());
    octets.extend_from_slice(&1u16.to_be_bytes());
    octets
}

fn query(question: &[u8], rtype: Rtype, edns: Option<Edns>, rotation: u32) -> Query<'_> {
    Query {
        id: 4711,
        flags: 0x0100,
        question,
        name: QueryName::new(&question[..question.len() - 4]),
        rtype,
        class: 1,
        edns,
        transport: Transport::Udp,
        verified: false,
        client: v4(99),
        rotation,
    }
}

fn ask_raw(view: &View, owner: &str, rtype: Rtype, edns: Option<u16>, rotation: u32, limit: usize) -> Vec<u8> {
    let question = question(owner, rtype);
    let query = query(&question, rtype, edns.map(|udp_size| Edns { udp_size, ..Edns::default() }), rotation);
    let mut out = vec![0xEE; 65_535];
    let length = encode(view, &query, &answer(view, &query), limit, &mut out);
    out.truncate(length);
    assert!(length <= limit, "{length} octets where {limit} are allowed");
    assert_eq!(out[12..12 + question.len()], question, "the question comes back octet by octet");
    out
}

fn ask(view: &View, owner: &str, rtype: Rtype) -> Message {
    Message::from_vec(&ask_raw(view, owner, rtype, Some(1232), 0, 1232)).expect("a well-formed message")
}

/// Answer section as sorted text, for comparison.
fn answers(message: &Message) -> Vec<String> {
    let mut lines: Vec<String> =
        message.answers.iter().map(|record| format!("{} {}", record.record_type(), record.data)).collect();
    lines.sort();
    lines
}

fn additional(message: &Message) -> Vec<String> {
    let mut lines: Vec<String> = message
        .additionals
        .iter()
        .map(|record| format!("{} {} {}", record.name, record.record_type(), record.data))
        .collect();
    lines.sort();
    lines
}

#[test]
fn plain_names_have_the_types_of_the_design() {
    let view = compiler(&["plain"], vec![]).full(&snapshot(9, [search()]), &[]);
    let srv = ask(&view, "_search._tcp.sd.example.org", Rtype::SRV);
    assert!(srv.metadata.authoritative);
    assert_eq!(
        answers(&srv),
        [
            "SRV 10 100 8080 a1.search.sd.example.org.",
            "SRV 10 100 8081 a2.search.sd.example.org.",
            "SRV 10 100 8082 a3.search.sd.example.org.",
        ]
    );
    assert_eq!(
        additional(&srv),
        [
            "a1.search.sd.example.org. A 192.0.2.1",
            "a1.search.sd.example.org. AAAA 2001:db8::1",
            "a2.search.sd.example.org. A 192.0.2.2",
            "a3.search.sd.example.org. A 192.0.2.3",
        ]
    );
    let rows: [(&str, Rtype, &[&str]); 11] = [
        (
            "_search._tcp.lon.sd.example.org",
            Rtype::SRV,
            &["SRV 10 100 8080 a1.search.sd.example.org.", "SRV 10 100 8082 a3.search.sd.example.org."],
        ),
        ("search.sd.example.org", Rtype::A, &["A 192.0.2.1", "A 192.0.2.2", "A 192.0.2.3"]),
        ("search.sd.example.org", Rtype::AAAA, &["AAAA 2001:db8::1"]),
        ("search.sto.sd.example.org", Rtype::A, &["A 192.0.2.2"]),
        ("a2.search.sd.example.org", Rtype::A, &["A 192.0.2.2"]),
        ("a1._search._tcp.sd.example.org", Rtype::SRV, &["SRV 10 100 8080 a1.search.sd.example.org."]),
        ("a1._search._tcp.sd.example.org", Rtype::TXT, &["TXT version=2.4.1"]),
        (
            "_search._tcp.sd.example.org",
            Rtype::PTR,
            &[
                "PTR a1._search._tcp.sd.example.org.",
                "PTR a2._search._tcp.sd.example.org.",
                "PTR a3._search._tcp.sd.example.org.",
            ],
        ),
        ("_services._dns-sd._udp.sd.example.org", Rtype::PTR, &["PTR _search._tcp.sd.example.org."]),
        ("b._dns-sd._udp.sd.example.org", Rtype::PTR, &["PTR sd.example.org."]),
        ("3.2.0.192.in-addr.arpa", Rtype::PTR, &["PTR a3.search.sd.example.org."]),
    ];
    for (owner, rtype, expected) in rows {
        assert_eq!(answers(&ask(&view, owner, rtype)), expected, "{owner} {rtype}");
    }
    let canary = ask(&view, "_canary._sub._search._tcp.sd.example.org", Rtype::SRV);
    assert_eq!(canary.answers.len(), 3);
}

#[test]
fn other_presets_use_the_same_mechanism() {
    let view = compiler(&["spotify", "consul"], vec![]).full(&snapshot(9, [search()]), &[]);
    let targets = ask(&view, "_spotify-search._tcp.services.lon.sd.example.org", Rtype::SRV);
    assert_eq!(answers(&targets)[0], "SRV 10 100 8080 a1.search.services.lon.sd.example.org.");
    assert_eq!(additional(&targets).len(), 3);
    assert_eq!(answers(&ask(&view, "search.service.sd.example.org", Rtype::A)).len(), 3);
    assert_eq!(answers(&ask(&view, "canary.search.service.sd.example.org", Rtype::A)).len(), 3);
    assert_eq!(answers(&ask(&view, "_search._tcp.service.sd.example.org", Rtype::SRV)).len(), 3);
}

#[test]
fn rfc2308_negative_answers_carry_the_soa() {
    let view = compiler(&["plain"], vec![]).full(&snapshot(9, [search()]), &[(name(ZONE), Revision(9))]);
    for (owner, rtype, rcode) in [
        ("nope.sd.example.org", Rtype::A, ResponseCode::NXDomain),
        ("x.a1.search.sd.example.org", Rtype::A, ResponseCode::NXDomain),
        ("search.sd.example.org", Rtype::MX, ResponseCode::NoError),
        ("_tcp.sd.example.org", Rtype::A, ResponseCode::NoError),
        ("lon.sd.example.org", Rtype::TXT, ResponseCode::NoError),
    ] {
        let message = ask(&view, owner, rtype);
        assert_eq!(message.metadata.response_code, rcode, "{owner}");
        assert!(message.answers.is_empty() && message.metadata.authoritative);
        let soa = &message.authorities[0];
        assert_eq!((soa.name.to_string().as_str(), soa.ttl), ("sd.example.org.", 5));
        let RData::SOA(soa) = &soa.data else { panic!("not a SOA") };
        assert_eq!(soa.serial, 9);
    }
    let refused = ask(&view, "www.example.com", Rtype::A);
    assert_eq!(refused.metadata.response_code, ResponseCode::Refused);
    assert!(!refused.metadata.authoritative && refused.authorities.is_empty());
}

#[test]
fn a_known_service_that_nobody_serves_is_no_data() {
    let mut gone = service("search", vec![]);
    gone.row.remembered.insert("tcp".into(), Timestamp(1));
    gone.row.remembered.insert("tcp/lon".into(), Timestamp(1));
    gone.row.empty_reason = Some("nobody serves search: a1 left".into());
    let mut declared = service("billing", vec![]);
    declared.row.declaration = Some(Declaration { owner: Some("squad".into()), ..Declaration::default() }.into());
    let view = compiler(&["plain"], vec![]).full(&snapshot(3, [gone, declared]), &[]);
    for owner in ["_search._tcp", "search", "_search._tcp.lon", "search.lon", "_billing._tcp", "billing"] {
        let message = ask(&view, &format!("{owner}.{ZONE}"), Rtype::SRV);
        assert_eq!(message.metadata.response_code, ResponseCode::NoError, "{owner}");
        assert_eq!(message.authorities.len(), 1);
    }
    let octets = ask_raw(&view, "_search._tcp.sd.example.org", Rtype::SRV, Some(1232), 0, 1232);
    let text = b"nobody serves search: a1 left";
    assert!(octets.windows(text.len()).any(|window| window == text), "EDE says why");
    assert_eq!(answers(&ask(&view, "billing.sd.example.org", Rtype::TXT)), ["TXT owner=squad"]);
    assert_eq!(ask(&view, "a1.search.sd.example.org", Rtype::A).metadata.response_code, ResponseCode::NXDomain);
}

#[test]
fn rotation_moves_every_pointer_with_its_target() {
    let view = compiler(&["plain"], vec![]).full(&snapshot(9, [search()]), &[]);
    let mut firsts = std::collections::BTreeSet::new();
    let expected = additional(&ask(&view, "_search._tcp.sd.example.org", Rtype::SRV));
    for rotation in 0..32 {
        let octets = ask_raw(&view, "_SEARCH._tcp.SD.example.org", Rtype::SRV, Some(1232), rotation, 1232);
        let message = Message::from_vec(&octets).expect("message");
        firsts.insert(message.answers[0].data.to_string());
        assert_eq!(additional(&message), expected, "rotation {rotation}");
        assert_eq!(answers(&message).len(), 3);
    }
    assert_eq!(firsts.len(), 3, "every record comes first at some time");
}

#[test]
fn tiers_choose_the_best_site_and_all_has_everything() {
    let mut tiered = search();
    let tiers = vec![vec!["sto".to_owned()], vec!["lon".to_owned()]];
    tiered.row.declaration = Some(Declaration { tiers, min: Some(2), ..Declaration::default() }.into());
    let view = compiler(&["plain"], vec![]).full(&snapshot(9, [tiered]), &[]);
    assert_eq!(answers(&ask(&view, "search.sd.example.org", Rtype::A)), ["A 192.0.2.1", "A 192.0.2.3"]);
    assert_eq!(answers(&ask(&view, "search.all.sd.example.org", Rtype::A)).len(), 3);
    assert_eq!(answers(&ask(&view, "_search._tcp.all.sd.example.org", Rtype::SRV)).len(), 3);
    assert_eq!(answers(&ask(&view, "search.sto.sd.example.org", Rtype::A)), ["A 192.0.2.2"]);
}

#[test]
fn an_existing_host_as_target_gets_its_addresses_when_we_know_them() {
    let mut hosted = instance("h1", 443, None, &[]);
    hosted.endpoint = Endpoint::Host(name("ns1.sd.example.org"));
    let mut foreign = instance("h2", 443, None, &[]);
    foreign.endpoint = Endpoint::Host(name("host.example.com"));
    let view = compiler(&["plain"], vec![]).full(&snapshot(9, [service("web", vec![hosted, foreign])]), &[]);
    let message = ask(&view, "_web._tcp.sd.example.org", Rtype::SRV);
    assert_eq!(answers(&message).len(), 2);
    assert_eq!(additional(&message), ["ns1.sd.example.org. A 192.0.2.53"]);
}

#[test]
fn static_records_win_and_aliases_wildcards_and_delegations_answer() {
    let zone = |owner: &str| format!("{owner}.{ZONE}");
    let statics = vec![
        record(&zone("www"), Rtype::CNAME, name(&zone("search")).as_wire()),
        record(&zone("*.apps"), Rtype::A, &[192, 0, 2, 80]),
        record(&zone("sub"), Rtype::NS, name(&zone("ns.sub")).as_wire()),
        record(&zone("ns.sub"), Rtype::A, &[192, 0, 2, 54]),
        record(&zone("old"), Rtype::DNAME, name(&zone("apps")).as_wire()),
        record(&zone("billing"), Rtype::A, &[192, 0, 2, 90]),
    ];
    let billing = service("billing", vec![instance("b1", 1, None, &[v4(7)])]);
    let view = compiler(&["plain"], statics).full(&snapshot(9, [search(), billing]), &[]);
    let www = ask(&view, &zone("www"), Rtype::A);
    assert_eq!(answers(&www)[3], "CNAME search.sd.example.org.");
    assert_eq!(www.answers.len(), 4);
    assert_eq!(answers(&ask(&view, &zone("x.y.apps"), Rtype::A)), ["A 192.0.2.80"], "RFC 4592 wildcard");
    assert_eq!(ask(&view, &zone("apps"), Rtype::A).metadata.response_code, ResponseCode::NoError);
    let referral = ask(&view, &zone("host.sub"), Rtype::A);
    assert!(!referral.metadata.authoritative && referral.answers.is_empty());
    assert_eq!(referral.authorities[0].record_type(), RecordType::NS);
    assert_eq!(additional(&referral), ["ns.sub.sd.example.org. A 192.0.2.54"]);
    let renamed = ask(&view, &zone("z.old"), Rtype::A);
    assert_eq!(answers(&renamed)[..2], ["A 192.0.2.80", "CNAME z.apps.sd.example.org."]);
    assert_eq!(renamed.answers[0].record_type(), RecordType::from(Rtype::DNAME.0), "RFC 6672");
    assert_eq!(answers(&ask(&view, &zone("billing"), Rtype::A)), ["A 192.0.2.90"], "static wins");
    assert_eq!(answers(&ask(&view, &zone("_billing._tcp"), Rtype::SRV)).len(), 1);
}

#[test]
fn a_zone_beside_its_parent_keeps_its_names() {
    let delegation = vec![record(ZONE, Rtype::NS, name(&format!("ns1.{ZONE}")).as_wire())];
    let deep = "a.b.example.org";
    let sources =
        vec![source("example.org", delegation, false), source(ZONE, vec![], true), source(deep, vec![], false)];
    let compiler = Compiler::new(sources, Naming::plain(), ServerFacts::default(), 7);
    let view = compiler.full(&snapshot(9, [search()]), &[]);
    assert_eq!(answers(&ask(&view, "search.sd.example.org", Rtype::A)).len(), 3, "the delegation is the parent's");
    let above = ask(&view, "b.example.org", Rtype::A);
    assert_eq!(above.metadata.response_code, ResponseCode::NoError, "a.b.example.org exists, so b.example.org does");
}

/// The extended error of an answer: its code, and how its text begins.
fn extended(view: &View, owner: &str, rtype: Rtype) -> Option<(u16, String)> {
    let asked = question(owner, rtype);
    let edns = Some(Edns { udp_size: 1232, ..Edns::default() });
    let said = answer(view, &query(&asked, rtype, edns, 0)).ede;
    said.map(|ede| (ede.code, ede.text.split(' ').take(2).collect::<Vec<_>>().join(" ")))
}

#[test]
fn aliases_from_a_zone_without_registrations_carry_what_is_said_of_those_they_lead_to() {
    let at = |owner: &str| format!("{owner}.example.net");
    let statics = vec![
        record(&at("www"), Rtype::CNAME, name("search.sd.example.org").as_wire()),
        record(&at("idle"), Rtype::CNAME, name("idle.sd.example.org").as_wire()),
        record(&at("gone"), Rtype::CNAME, name("gone.sd.example.org").as_wire()),
        record(&at("old"), Rtype::DNAME, name("sd.example.org").as_wire()),
        record(&at("own"), Rtype::CNAME, name(&at("ns1")).as_wire()),
    ];
    let sources = vec![source(ZONE, vec![], true), source("example.net", statics, false)];
    let compiler = Compiler::new(sources, Naming::plain(), ServerFacts::default(), 7);
    let mut idle = service("idle", vec![]);
    idle.row.declaration = Some(Declaration::default().into());
    let mut view = compiler.full(&snapshot(9, [search(), idle]), &[]);
    let some = |code: u16, text: &str| Some((code, text.to_owned()));
    assert_eq!(extended(&view, &at("idle"), Rtype::A), some(0, "nobody serves"));
    assert_eq!(extended(&view, "idle.sd.example.org", Rtype::A), some(0, "nobody serves"));
    assert_eq!(extended(&view, &at("www"), Rtype::A), None);
    view.stale = true;
    for owner in ["www", "gone", "search.old", "nope.old"].map(at) {
        assert_eq!(extended(&view, &owner, Rtype::A), some(3, "the registry's"), "{owner}");
    }
    for owner in ["own", "ns1", "nope"].map(at) {
        assert_eq!(extended(&view, &owner, Rtype::A), None, "{owner} is as sure as its file");
    }
    (view.stale, view.fleet_held) = (false, true);
    assert_eq!(extended(&view, &at("www"), Rtype::A), some(3, "many sessions"));
    let unready = compiler.unready();
    assert_eq!(extended(&unready, &at("www"), Rtype::A), some(14, "the registry"));
}

#[test]
fn another_ttl_reaches_every_name_of_the_service() {
    let compiler = compiler(&["plain"], vec![]);
    let before = snapshot(5, [search()]);
    let view = compiler.full(&before, &[]);
    let mut slower = search();
    slower.row.declaration = Some(Declaration { ttl: Some(77), ..Declaration::default() }.into());
    let after = snapshot(6, [slower]);
    let touched = [Touched { service: "search".into(), instance: None, revision: Revision(6) }];
    let (view, moved) = compiler.update(&view, &before, &after, &touched);
    assert_eq!(dump(&view), dump(&compiler.full(&after, &[])));
    assert_eq!(moved.len(), 2, "the zone and its reverse zone");
    assert_eq!(ask(&view, "a1.search.sd.example.org", Rtype::A).answers[0].ttl, 77);
}

#[test]
fn before_the_store_is_read_nothing_is_an_authoritative_no() {
    let compiler = compiler(&["plain"], vec![]);
    let view = compiler.unready();
    for owner in ["_search._tcp.sd.example.org", "sd.example.org", "nope.sd.example.org"] {
        let message = ask(&view, owner, Rtype::SRV);
        assert_eq!(message.metadata.response_code, ResponseCode::ServFail, "{owner}");
        assert!(!message.metadata.authoritative);
    }
    assert_eq!(ask(&view, "example.com", Rtype::A).metadata.response_code, ResponseCode::Refused);
}

#[test]
fn any_is_answered_as_rfc8482_says() {
    let view = compiler(&["plain"], vec![]).full(&snapshot(9, [search()]), &[]);
    assert_eq!(ask(&view, "search.sd.example.org", Rtype::ANY).answers[0].record_type(), RecordType::HINFO);
    assert!(ask(&view, "_tcp.sd.example.org", Rtype::ANY).answers.is_empty());
}

#[test]
fn serial_moves_with_the_content_and_only_then() {
    let compiler = compiler(&["plain"], vec![]);
    let before = snapshot(5, [search()]);
    let view = compiler.full(&before, &[(name(ZONE), Revision(5))]);
    let mut lease = search();
    let first = lease.instances.iter().next().expect("a1");
    lease.instances.insert(&Instance { lease_seconds: 60, ..first.clone() });
    let after = snapshot(6, [lease.clone()]);
    let touched = |revision| [Touched { service: "search".into(), instance: Some("a1".into()), revision }];
    let (view, moved) = compiler.update(&view, &before, &after, &touched(Revision(6)));
    assert!(moved.is_empty(), "a longer lease is not content");
    assert_eq!(view.zone(&name(ZONE)).expect("zone").serial.0, 5);
    lease.instances.insert(&Instance { lease_seconds: 60, port: 9, ..first });
    let (view, moved) = compiler.update(&view, &after, &snapshot(7, [lease]), &touched(Revision(7)));
    assert_eq!(moved, [(name(ZONE), Revision(7))]);
    assert_eq!(view.zone(&name(ZONE)).expect("zone").serial.0, 7);
    assert_eq!(view.zone(&name("2.0.192.in-addr.arpa")).expect("zone").serial.0, 0, "other zones stay");
}

#[derive(Debug, Clone)]
struct Step {
    service: u8,
    id: u8,
    site: u8,
    last: u8,
    action: u8,
}

fn step() -> impl Strategy<Value = Step> {
    (0u8..3, 0u8..6, 0u8..3, 1u8..9, 0u8..7).prop_map(|(service, id, site, last, action)| Step {
        service,
        id,
        site,
        last,
        action,
    })
}

/// Names that UPDATE writes: free ones, some below others, and one that the zone file has.
const WRITTEN: [&str; 6] = ["www", "a.b.www", "b.www", "_x._tcp.www", "ns1", "deep.er.and.deep.er"];

/// Adds or deletes what UPDATE wrote at a name, from two numbers.
fn write(snapshot: &mut Snapshot, which: u8, what: u8) -> TouchedName {
    snapshot.revision = snapshot.revision.next();
    let (zone, name) = (name(ZONE), name(&format!("{}.{ZONE}", WRITTEN[usize::from(which) % WRITTEN.len()])));
    let data = |octets: &[u8]| WrittenData { data: octets.into(), folded: None, text: "".into() };
    let set = |rtype, ttl, data| WrittenSet { rtype, ttl, records: vec![data] };
    let address = set(Rtype::A, u32::from(what), data(&[192, 0, 2, what]));
    let alias = set(Rtype::CNAME, 7, data(self::name("www.example.org").as_wire()));
    let target = [&[0, 1, 0, 2, 0, 3], self::name(&format!("www.{ZONE}")).as_wire()].concat();
    let service = set(Rtype::SRV, 7, data(&target));
    let sets = match what {
        0 => Vec::new(),
        1 => vec![alias],
        2 => vec![address, service],
        3 => vec![service],
        _ => vec![address],
    };
    let key = (zone.clone(), name.clone());
    match sets.is_empty() {
        true => drop(snapshot.written.remove_mut(&key)),
        false => snapshot.written.insert_mut(key, Arc::new(Written { sets, revision: snapshot.revision })),
    }
    TouchedName { zone, name, revision: snapshot.revision }
}

fn apply(snapshot: &Snapshot, step: &Step) -> (Snapshot, Touched) {
    let mut after = snapshot.clone();
    after.revision = snapshot.revision.next();
    let label: Arc<str> = format!("s{}", step.service).into();
    let mut service = after.service(&label).map_or_else(|| Service::new(Arc::clone(&label)), |s| (**s).clone());
    let id = format!("i{}", step.id);
    let site = ["lon", "sto"].get(step.site as usize).copied();
    if step.action >= 5 {
        let ttl = (step.action == 5).then_some(u32::from(step.last));
        let (min, tiers) = (Some(2), vec![vec!["lon".to_owned()]]);
        service.row.declaration = Some(Declaration { ttl, min, tiers, ..Declaration::default() }.into());
        after.services.insert(Arc::new(service));
        return (after.clone(), Touched { service: label, instance: None, revision: after.revision });
    }
    match (service.instances.get(&id), step.action) {
        (Some(_), 0) => drop(service.instances.remove(&id)),
        (Some(known), 1) => {
            let state = if step.last.is_multiple_of(2) { State::Lapsed } else { State::Held };
            service.instances.insert(&Instance { state, ..known });
        }
        (Some(known), 2) => service.instances.insert(&Instance { state: State::Serving, ..known }),
        (Some(_), _) => service.instances.insert(&instance(&id, 80, site, &[v4(step.last)])),
        (None, _) => service.instances.insert(&instance(&id, 80, site, &[v4(step.last), v6(step.last.into())])),
    }
    match service.instances.is_empty() && service.row.declaration.is_none() {
        true => drop(after.services.remove(&label)),
        false => after.services.insert(Arc::new(service)),
    }
    (after.clone(), Touched { service: label, instance: Some(id.into()), revision: after.revision })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever happened, the incremental view is the one that compiling everything gives, and it is small again when
    /// everything has left.
    #[test]
    fn incremental_compilation_equals_full(
        batches in prop::collection::vec(
            (prop::collection::vec(step(), 1..6), prop::collection::vec((0u8..6, 0u8..6), 0..4)), 1..12)
    ) {
        let compiler = compiler(&["plain", "consul"], vec![]);
        let mut state = Snapshot::default();
        let mut view = compiler.full(&state, &[]);
        for (batch, writes) in batches {
            let before = state.clone();
            let mut touched = Vec::new();
            let names: Vec<_> = writes.iter().map(|(which, what)| write(&mut state, *which, *what)).collect();
            for step in &batch {
                let (after, touch) = apply(&state, step);
                state = after;
                touched.push(touch);
            }
            let serials: Vec<u32> = view.zones.iter().map(|zone| zone.serial.0).collect();
            let previous = dump(&view);
            let touched = (&*touched, &*names);
            let (next, moved) = compiler.update_own(view.clone(), &before, &state, touched, &mut Spare::default());
            let full = compiler.full(&state, &[]);
            prop_assert_eq!(dump(&next), dump(&full));
            prop_assert_eq!(next.table.names(), full.table.names());
            let same_records = strip_notes(&previous) == strip_notes(&dump(&next));
            prop_assert_eq!(moved.is_empty(), same_records, "the serial moves exactly when records do");
            for (zone, old) in next.zones.iter().zip(serials) {
                prop_assert!(zone.serial.0 >= old);
            }
            view = next;
        }
    }

    /// No message is longer than allowed, and none has part of a set.
    #[test]
    fn messages_are_whole_or_truncated(
        count in 1usize..60, rotation: u32, limit in 512usize..1500, edns in prop::option::of(Just(1232u16)),
        pick in 0usize..4,
    ) {
        let instances = (0..count).map(|n| instance(&format!("instance-{n}"), 80, Some("lon"), &[v4(n as u8), v6(n as u16)]));
        let view = compiler(&["plain"], vec![]).full(&snapshot(9, [service("search", instances.collect())]), &[]);
        let (owner, rtype) = [
            ("_search._tcp.sd.example.org", Rtype::SRV),
            ("search.sd.example.org", Rtype::A),
            ("_search._tcp.lon.sd.example.org", Rtype::PTR),
            ("search.sd.example.org", Rtype::MX),
        ][pick];
        let octets = ask_raw(&view, owner, rtype, edns, rotation, limit);
        let message = Message::from_vec(&octets).expect("a well-formed message");
        let whole = if rtype == Rtype::MX { 0 } else { count };
        if message.metadata.truncation {
            prop_assert!(message.answers.is_empty() && message.additionals.is_empty());
        } else {
            prop_assert_eq!(message.answers.len(), whole);
            let extra = message.additionals.len();
            prop_assert!(extra == 0 || extra == 2 * count, "the additional section is whole or not there");
        }
        let big = Message::from_vec(&ask_raw(&view, owner, rtype, edns, rotation, 65_535)).expect("message");
        prop_assert_eq!(big.answers.len(), whole);
        prop_assert!(!big.metadata.truncation);
    }
}

/// Record lines only: an empty service's note may change without a change of content.
fn strip_notes(dump: &[String]) -> Vec<&String> {
    dump.iter().filter(|line| !line.contains(" note ")).collect()
}
