//! The query path allocates nothing: from a packet to its response, for everything that is answered from one set or
//! none, large sets and parts of them too, from a view that was compiled at once or changed since; alone and in
//! the batches of a worker. Answers composed of several sets allocate a few times, however many records they have.
//!
//! A binary of its own, because the allocator that counts replaces the one of the whole process.

#[path = "support/batch.rs"]
mod batch;
#[path = "support/instance.rs"]
mod instance;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use allocation_counter::measure;
use zonebeat::answer::{Rcode, Transport};
use zonebeat::config::RateLimit;
use zonebeat::metrics::dns::CookieOutcome;
use zonebeat::model::naming::Naming;
use zonebeat::model::service::ServiceRow;
use zonebeat::model::{Declaration, Instance, Name, Revision, Rtype, Service, State};
use zonebeat::registry::{Snapshot, Touched};
use zonebeat::view::{Compiler, ServerFacts, View, ZoneSource};
use zonebeat::wire::Rules;
use zonebeat::wire::decode::{Decoded, Origin, decode};
use zonebeat::wire::rate::{Rates, Verdict};
use zonebeat::wire::respond::{Datagram, MAX_TCP, Reply, respond, respond_limited};
use zonebeat::zone::parse_text;

use batch::Packet;

const ZONE: &str = "sd.example.org";
/// Zones that were signed elsewhere, one with each kind of proof.
const NSEC: &str = include_str!("../zones/nsec.example.org.zone");
const NSEC3: &str = include_str!("../zones/nsec3.example.org.zone");
/// A composed answer may allocate its parts, not its records.
const FEW: u64 = 12;

/// Sets of `few` and `many` records whose targets have addresses, behind names and behind aliases.
fn zone_file() -> String {
    let mut text = format!(
        "$ORIGIN {ZONE}.\n$TTL 300\n@ SOA ns1 hostmaster 1 3600 600 86400 5\n@ NS ns1\nns1 A 192.0.2.53\n\
         www A 192.0.2.80\nto-www CNAME www\nto-whole CNAME _whole._tcp\nto-part CNAME _part._tcp\nto-nothing CNAME nothing\nto-many CNAME many-srv\nto-hosts CNAME many-ptr\n\
         *.wild PTR ns1\nold DNAME new\nnew A 192.0.2.81\nwww.new A 192.0.2.82\n"
    );
    for (label, count) in [("few", 2), ("many", 60)] {
        for n in 0..count {
            text += &format!("{label}-srv SRV 10 60 8080 h{n}\n{label}-mx MX 10 h{n}\n{label} NS h{n}\n");
            text += &format!("{label}-ptr PTR h{n}\n");
        }
    }
    (0..60).for_each(|n| text += &format!("h{n} A 198.51.100.{n}\nh{n} AAAA 2001:db8::{n}\n"));
    text
}

fn instance(number: u16) -> Arc<Instance> {
    let [high, low] = number.to_be_bytes();
    Arc::new(instance::instance(&format!("a{number}"), 8080, &[IpAddr::from([198, 18, high, low])]))
}

fn service(name: &str, instances: Vec<Arc<Instance>>) -> Arc<Service> {
    let declaration = Some(Arc::default());
    let row =
        ServiceRow { declaration, empty_reason: Some("nobody has registered yet".into()), ..ServiceRow::default() };
    Arc::new(Service { name: name.into(), row, instances: instances.into_iter().collect() })
}

fn source(apex: &str, text: &str) -> ZoneSource {
    let apex = Name::parse_absolute(apex).expect("test name");
    let (zone, _) = parse_text("test.zone", text.as_bytes(), &apex).unwrap_or_else(|all| panic!("{all:?}"));
    let records = zone.records.into_iter().map(|record| record.record).collect();
    ZoneSource { apex, records, registrations: false, reverse: false, updates: false, ttl: 30, readable: true }
}

fn view() -> View {
    let registering = ZoneSource { registrations: true, ..source(ZONE, &zone_file()) };
    let server = ServerFacts { identity: Some("ns".into()), version: Some("zonebeat".into()), udp_size: 1232 };
    let mut snapshot = Snapshot { revision: Revision(1), ..Snapshot::default() };
    for service in [service("search", (1..=12).map(instance).collect()), service("empty", vec![])] {
        snapshot.services.insert(service);
    }
    let signed = [("nsec", NSEC), ("nsec3", NSEC3)].map(|(label, text)| source(&format!("{label}.example.org"), text));
    let sources = std::iter::once(registering).chain(signed).collect();
    Compiler::new(sources, Naming::new(&["plain".into()], &[]).expect("a preset"), server, 7).full(&snapshot, &[])
}

/// Services with large sets: one that a message holds, one that is larger, and one that declares how many are answered.
fn crowds() -> Snapshot {
    let mut snapshot = Snapshot { revision: Revision(1), ..Snapshot::default() };
    for (name, count, limit) in
        [("whole", 400, None), ("part", 2000, None), ("chosen", 300, Some(8)), ("small", 30, None)]
    {
        let mut service = Service::clone(&service(name, (1..=count).map(instance).collect()));
        service.row.declaration = Some(Arc::new(Declaration { answer_limit: limit, ..Declaration::default() }));
        snapshot.services.insert(Arc::new(service));
    }
    snapshot
}

/// Some instances of each service come, change, lapse and leave.
fn changed(before: &Snapshot) -> (Snapshot, Vec<Touched>) {
    let (mut after, mut touched) = (before.clone(), Vec::new());
    for service in before.services.values() {
        let (label, mut service) = (service.name.clone(), Service::clone(service));
        let known = service.instances.get("a7").expect("it is there");
        service.instances.insert(&Instance { state: State::Lapsed, ..known.clone() });
        service.instances.insert(&Instance { id: "new".into(), priority: 1, ..known });
        service.instances.insert(&Instance { port: 9, ..Instance::clone(&instance(9)) });
        service.instances.remove("a11");
        after.services.insert(Arc::new(service));
        for id in ["a7", "new", "a9", "a11"] {
            after.revision = after.revision.next();
            touched.push(Touched { service: label.clone(), instance: Some(id.into()), revision: after.revision });
        }
    }
    (after, touched)
}

/// Views with large sets: compiled from nothing, after changes, and with a limit of the zone.
fn crowded() -> Vec<(&'static str, View)> {
    let source = ZoneSource { registrations: true, ..source(ZONE, &zone_file()) };
    let server = ServerFacts { identity: Some("ns".into()), version: None, udp_size: 1232 };
    let compiler = Compiler::new(vec![source], Naming::new(&["plain".into()], &[]).expect("a preset"), server, 7);
    let apex = Name::parse_absolute(ZONE).expect("a name");
    let limited = compiler.clone().with_answer_limits(&[(apex, 12)]);
    let before = crowds();
    let (after, touched) = changed(&before);
    let update = |compiler: &Compiler| compiler.update(&compiler.full(&before, &[]), &before, &after, &touched).0;
    let changed = [("changed", update(&compiler)), ("limited and changed", update(&limited))];
    let full = [("compiled", compiler.full(&before, &[])), ("limited", limited.full(&before, &[]))];
    full.into_iter().chain(changed).collect()
}

/// DO, and the options NSID, EXPIRE, COOKIE (with a server's part that has to be verified), PADDING and ZONEVERSION.
const OPT: &[u8] = b"\0\0\x29\x04\xd0\0\0\x80\0\0\x2c\0\x03\0\0\0\x09\0\0\0\x0a\0\x18abcdefgh\x01\0\0\0timehash1234\0\x0c\0\0\0\x13\0\0";

/// A query with EDNS and every option that is answered.
fn query(name: &str, rtype: Rtype, class: u16) -> Vec<u8> {
    let mut packet = vec![0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    for label in name.split('.') {
        packet.push(label.len() as u8);
        packet.extend(label.as_bytes());
    }
    packet.push(0);
    packet.extend([rtype.0, class].iter().flat_map(|word| word.to_be_bytes()));
    packet.extend(OPT);
    packet
}

/// What answering takes: allocations, and the reply. The first answer of a thread prepares the thread and does not
/// count.
fn answer(view: &View, packet: &[u8], transport: Transport) -> (u64, Reply) {
    let (client, rules) = (Ipv4Addr::LOCALHOST.into(), Rules::default());
    let mut out = vec![0; MAX_TCP];
    let origin = Origin { transport, client };
    let (decoded, cookie) = rules.decode(packet, origin);
    let mut reply = respond(view, &decoded, &rules, &mut out).ok();
    let info = measure(|| {
        for rotation in 0..3 {
            let (mut decoded, _) = rules.decode(packet, origin);
            if let Decoded::Query(query) = &mut decoded {
                query.rotation = rotation;
            }
            reply = respond(view, &decoded, &rules, &mut out).ok();
        }
    });
    let reply = reply.expect("a query is answered");
    assert_eq!(cookie, Some(CookieOutcome::Bad), "the cookie is looked at");
    assert!(!reply.panicked && reply.len > 12);
    (info.count_total.div_ceil(3), reply)
}

#[test]
fn the_counter_counts() {
    assert_eq!(measure(|| drop(std::hint::black_box(Box::new(7)))).count_total, 1);
}

#[test]
fn plain_answers_allocate_nothing() {
    let view = view();
    let cases = [
        ("_search._tcp.sd.example.org", Rtype::SRV, 1, 0),
        ("_search._tcp.sd.example.org", Rtype::PTR, 1, 0),
        ("search.sd.example.org", Rtype::A, 1, 0),
        ("a1.search.sd.example.org", Rtype::A, 1, 0),
        ("A1.Search.sd.example.org", Rtype::MX, 1, 0),
        ("nope.sd.example.org", Rtype::A, 1, 3),
        ("x.y.z.www.sd.example.org", Rtype::A, 1, 3),
        ("empty.sd.example.org", Rtype::A, 1, 0), // with an extended error
        ("www.sd.example.org", Rtype::A, 1, 0),
        ("www.sd.example.org", Rtype::ANY, 1, 0),
        ("sd.example.org", Rtype::SOA, 1, 0),
        ("example.com", Rtype::A, 1, 5),
        ("id.server", Rtype::TXT, 3, 0),
        ("sd.example.org", Rtype::AXFR, 1, 1),
    ];
    for (name, rtype, class, rcode) in cases {
        for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
            if rtype == Rtype::AXFR && transport.can_stream() {
                continue;
            }
            let (allocations, reply) = answer(&view, &query(name, rtype, class), transport);
            assert_eq!((allocations, reply.rcode.0), (0, rcode), "{name} {rtype} {transport:?}");
        }
    }
}

#[test]
fn large_sets_and_changed_views_allocate_nothing() {
    for (what, view) in crowded() {
        let (mut truncated, mut longest) = (0, 0);
        for service in ["whole", "part", "chosen", "small"] {
            let (srv, host) = (format!("_{service}._tcp.{ZONE}"), format!("{service}.{ZONE}"));
            let (new, gone) = (format!("new.{host}"), format!("a11.{host}"));
            for (name, rtype) in [
                (&srv, Rtype::SRV),
                (&srv, Rtype::PTR),
                (&srv, Rtype::TXT),
                (&srv, Rtype::A),
                (&host, Rtype::A),
                (&host, Rtype::AAAA),
                (&new, Rtype::A),
                (&gone, Rtype::A),
            ] {
                for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
                    let (allocations, reply) = answer(&view, &query(name, rtype, 1), transport);
                    assert_eq!(allocations, 0, "{what}: {name} {rtype} {transport:?}");
                    assert!(matches!(reply.rcode.0, 0 | 3), "{what}: {name} {rtype} {transport:?}");
                    truncated += usize::from(reply.truncated);
                    longest = longest.max(reply.len);
                }
            }
        }
        let is_limited = what.starts_with("limited");
        assert_eq!((truncated > 0, longest > 60_000), (!is_limited, !is_limited), "{what}");
        for name in ["to-whole", "to-part"] {
            for rtype in [Rtype::SRV, Rtype::PTR] {
                let (allocations, _) = answer(&view, &query(&format!("{name}.{ZONE}"), rtype, 1), Transport::Tcp);
                assert!(allocations <= FEW, "{what}: {name} {rtype}: {allocations}");
            }
        }
    }
}

/// The same in batches, among packets that get an error, nothing, or not even a look.
#[test]
fn batches_allocate_nothing() {
    let origin = Origin { transport: Transport::Udp, client: Ipv4Addr::LOCALHOST.into() };
    let views = crowded().into_iter().chain([("small", view())]);
    for (what, view) in views {
        let names = ["search", "whole", "part", "chosen", "small", "empty", "nope"];
        let hosts = names.iter().flat_map(|name| [name.to_string(), format!("a1.{name}"), format!("a11.{name}")]);
        let hosts = hosts.map(|host| query(&format!("{host}.{ZONE}"), Rtype::A, 1));
        let sets = names.iter().flat_map(|name| [Rtype::SRV, Rtype::PTR].map(|rtype| (name, rtype)));
        let sets = sets.map(|(name, rtype)| query(&format!("_{name}._tcp.{ZONE}"), rtype, 1));
        let rest = [query("example.com", Rtype::A, 1), query("id.server", Rtype::TXT, 3)];
        let all = hosts.chain(sets).chain(rest).cycle().take(100).enumerate();
        let packets = all.map(|(n, octets)| Packet { octets, origin, rotation: n as u32, datagram: None }).collect();
        let packets = batch::interspersed(packets);
        let (rules, mut out) = (Rules::default(), vec![0; MAX_TCP]);
        for size in batch::SIZES {
            let (mut answers, mut errors, mut silent, mut heard) = (0, 0, 0, 0);
            let info = measure(|| {
                for packets in packets.chunks(size) {
                    heard += batch::answer_batch(&view, &rules, packets, &mut out, |arrived, outcome| match outcome {
                        Ok((reply, _)) if matches!(arrived.decoded, Decoded::Query(_)) && !reply.panicked => {
                            answers += 1
                        }
                        Ok(_) => errors += 1,
                        Err(_) => silent += 1,
                    });
                }
            });
            assert_eq!((info.count_total, answers, errors, silent), (0, 100, 20, 20), "{what} by {size}");
            assert_eq!(heard, packets.len() - 10, "{what} by {size}: ten are done with unread");
        }
    }
}

/// The same without EDNS, with EDNS alone, and with the cookie that the server has made.
#[test]
fn options_and_cookies_allocate_nothing() {
    let (view, rules) = (view(), Rules::default());
    let origin = Origin { transport: Transport::Udp, client: Ipv4Addr::new(198, 51, 100, 1).into() };
    let mut out = vec![0; 4096];
    let names =
        ["_search._tcp.sd.example.org", "search.sd.example.org", "a1.search.sd.example.org", "no.sd.example.org"];
    for (name, rtype) in names.into_iter().zip([Rtype::SRV, Rtype::A, Rtype::AAAA, Rtype::A]) {
        let full = query(name, rtype, 1);
        let question = &full[..full.len() - OPT.len()];
        let option = [&[0, 10, 0, 8][..], b"abcdefgh"].concat();
        let head = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0];
        let first = [question, &head, &[option.len() as u8], &option].concat();
        let (decoded, _) = rules.decode(&first, origin);
        let len = respond(&view, &decoded, &rules, &mut out).expect("it is answered").len;
        let cookie = [&[0, 10, 0, 24][..], &out[len - 24..len]].concat();
        let mut plain = question.to_vec();
        plain[11] = 0;
        let known = [question, &head, &[cookie.len() as u8], &cookie].concat();
        let edns = [question, &head, &[0]].concat();
        for (packet, worth) in [(plain, None), (edns, None), (known, Some(CookieOutcome::Valid))] {
            let mut found = None;
            let info = measure(|| {
                let (decoded, cookie) = rules.decode(&packet, origin);
                let reply = respond(&view, &decoded, &rules, &mut out);
                found = reply.ok().map(|reply| (cookie, reply.panicked));
            });
            assert_eq!((info.count_total, found), (0, Some((worth, false))), "{name}");
        }
    }
}

/// A set whose targets would be looked up is answered as it is when additional sections are to be minimal.
#[test]
fn minimal_answers_allocate_nothing() {
    let mut minimal = view();
    minimal.minimal = true;
    for name in ["many-srv.sd.example.org", "_search._tcp.sd.example.org"] {
        let (allocations, reply) = answer(&minimal, &query(name, Rtype::SRV, 1), Transport::Tcp);
        assert_eq!((allocations, reply.rcode), (0, Rcode::NOERROR), "{name}");
    }
}

/// Limits are kept without allocation too: accounts that pass, slip and drop.
#[test]
fn limiting_allocates_nothing() {
    let (view, packet) = (view(), query("search.sd.example.org", Rtype::A, 1));
    let settings = RateLimit { per_name: 3, ..RateLimit::default() };
    let rates = Arc::new(Rates::new(&settings, 7).expect("limits are on"));
    let rules = Rules { rates: Some(rates.clone()), ..Rules::default() };
    let client = Ipv4Addr::new(198, 51, 100, 1).into();
    let datagram = Datagram { now: rates.moment(Instant::now()), len: packet.len(), client, prefix: Verdict::Pass };
    let mut out = vec![0; 4096];
    let (mut whole, mut truncated) = (0, 0);
    let info = measure(|| {
        for _ in 0..23 {
            assert!(!rates.is_exempt(client) && !rates.is_in_debt(client, datagram.now));
            assert_eq!(rates.charge_prefix(client, datagram.now), Verdict::Pass);
            let decoded = decode(&packet, Origin { transport: Transport::Udp, client });
            match respond_limited(&view, &decoded, &rules, Some(datagram), &mut out) {
                Ok(reply) if reply.truncated => truncated += 1,
                Ok(_) => whole += 1,
                Err(_) => {}
            }
        }
    });
    assert_eq!((info.count_total, whole, truncated), (0, 3, 10));
    for size in batch::SIZES {
        let rates = Arc::new(Rates::new(&settings, 7).expect("limits are on"));
        let (now, rules) = (rates.moment(Instant::now()), Rules { rates: Some(rates), ..Rules::default() });
        let origin = Origin { transport: Transport::Udp, client };
        let packet =
            || Packet { octets: packet.clone(), origin, rotation: 0, datagram: Some(Datagram { now, ..datagram }) };
        let packets: Vec<Packet> = std::iter::repeat_with(packet).take(23).collect();
        let (mut whole, mut truncated) = (0, 0);
        let info = measure(|| {
            for packets in packets.chunks(size) {
                batch::answer_batch(&view, &rules, packets, &mut out, |_, outcome| match outcome {
                    Ok((reply, _)) if reply.truncated => truncated += 1,
                    Ok(_) => whole += 1,
                    Err(_) => {}
                });
            }
        });
        assert_eq!((info.count_total, whole, truncated), (0, 3, 10), "by {size}");
    }
}

#[test]
fn composed_answers_allocate_per_answer_not_per_record() {
    let view = view();
    for (types, name) in [(Rtype::SRV, "srv"), (Rtype::MX, "mx"), (Rtype::PTR, "ptr"), (Rtype::NS, "")] {
        let counts = ["few", "many"].map(|size| {
            let name = format!("{size}{}{name}.{ZONE}", if name.is_empty() { "" } else { "-" });
            let (allocations, reply) = answer(&view, &query(&name, types, 1), Transport::Tcp);
            assert!(!reply.truncated && reply.rcode == Rcode::NOERROR);
            assert!(size == "few" || reply.len > 1000, "{name}: {} octets", reply.len);
            allocations
        });
        assert_eq!(counts[0], counts[1], "{name}: few and many records");
        assert!(counts[1] <= FEW, "{name}: {counts:?}");
    }
    for name in ["to-www", "to-nothing", "to-many", "to-hosts", "x.wild", "www.old", "x.few"] {
        for rtype in [Rtype::A, Rtype::SRV, Rtype::PTR] {
            let (allocations, _) = answer(&view, &query(&format!("{name}.{ZONE}"), rtype, 1), Transport::Tcp);
            assert!(allocations <= FEW, "{name} {rtype}: {allocations}");
        }
    }
}

#[test]
fn answers_from_signed_zones_allocate_a_few_times() {
    let view = view();
    let cases = [("www", Rtype::A), ("www", Rtype::MX), ("", Rtype::SOA), ("", Rtype::ANY), ("alias", Rtype::A)];
    let missing = [("nope", Rtype::A), ("a.b.c.nope", Rtype::A), ("x.wild", Rtype::A), ("deep", Rtype::A)];
    for zone in ["nsec.example.org", "nsec3.example.org"] {
        for (label, rtype) in cases.into_iter().chain(missing) {
            let name = format!("{label}.{zone}");
            let (allocations, reply) = answer(&view, &query(name.trim_start_matches('.'), rtype, 1), Transport::Udp);
            assert!(reply.len > 200, "{name} {rtype}: {} octets are not signed", reply.len);
            assert!(allocations <= FEW, "{name} {rtype}: {allocations}");
        }
    }
}
