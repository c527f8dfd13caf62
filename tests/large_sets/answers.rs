//! What a query gets of a large set.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use zonebeat::answer::{Edns, Query, QueryName, Transport, answer};
use zonebeat::model::{Declaration, Endpoint, Rtype};
use zonebeat::registry::Touched;
use zonebeat::view::View;
use zonebeat::wire::encode::encode;

use crate::{ZONE, compiler, name, numbered, put, remove, service, snapshot};

/// How a query comes: transport, the client's third octet, the size limit.
type Way = (Transport, u8, usize);

const TCP: Way = (Transport::Tcp, 1, 65_535);
const UDP: Way = (Transport::Udp, 1, 1232);

fn ask_raw(view: &View, owner: &str, rtype: Rtype, (transport, prefix, limit): Way, rotation: u32) -> Vec<u8> {
    let mut question = name(&format!("{owner}.{ZONE}")).as_wire().to_vec();
    question.extend([rtype.0, 1].iter().flat_map(|word| word.to_be_bytes()));
    let query = Query {
        id: 4711,
        flags: 0x0100,
        question: &question,
        name: QueryName::new(&question[..question.len() - 4]),
        rtype,
        class: 1,
        edns: Some(Edns { udp_size: 1232, ..Edns::default() }),
        transport,
        verified: false,
        client: IpAddr::from(Ipv4Addr::new(127, 0, prefix, 9)),
        rotation,
    };
    let mut out = vec![0xEE; 65_535];
    let length = encode(view, &query, &answer(view, &query), limit, &mut out);
    out.truncate(length);
    out
}

fn ask(view: &View, owner: &str, rtype: Rtype, way: Way) -> Message {
    Message::from_vec(&ask_raw(view, owner, rtype, way, 0)).expect("a well-formed message")
}

fn data(message: &Message) -> BTreeSet<String> {
    let data: BTreeSet<String> = message.answers.iter().map(|record| record.data.to_string()).collect();
    assert_eq!(data.len(), message.answers.len(), "no record stands twice");
    data
}

fn says(octets: &[u8], text: &str) -> bool {
    octets.windows(text.len()).any(|window| window == text.as_bytes())
}

fn big(count: u32, declaration: Option<Declaration>) -> View {
    let mut big = service("big", (0..count).map(numbered));
    big.row.declaration = declaration.map(Arc::new);
    compiler(&["plain"]).full(&snapshot(9, [big]), &[])
}

#[test]
fn what_a_message_holds_is_whole_over_tcp_and_truncated_over_udp() {
    let view = big(1000, None);
    for (owner, rtype, count) in [
        ("_big._tcp", Rtype::SRV, 1000),
        ("big", Rtype::AAAA, 1000),
        ("big", Rtype::A, 200),
        ("_big._tcp", Rtype::PTR, 1000),
    ] {
        let whole = ask(&view, owner, rtype, TCP);
        assert_eq!(data(&whole).len(), count, "{rtype}");
        let truncated = ask(&view, owner, rtype, UDP);
        assert!(truncated.metadata.truncation && truncated.answers.is_empty(), "{rtype}");
        let rotated = Message::from_vec(&ask_raw(&view, owner, rtype, TCP, 300)).expect("message");
        assert_eq!(data(&rotated), data(&whole));
        let rotates = rtype != Rtype::PTR;
        assert_eq!(rotated.answers[0].data != whole.answers[0].data, rotates, "{rtype}");
    }
    assert!(ask(&view, "_big._tcp", Rtype::TXT, UDP).answers.is_empty(), "nothing to say");
    let view = big(300, None);
    let whole = ask(&view, "_big._tcp", Rtype::SRV, TCP);
    assert_eq!((whole.answers.len(), whole.additionals.len()), (300, 600), "with all addresses");
    for (srv, owner) in whole.answers.iter().zip(whole.additionals.chunks(2)) {
        let target = srv.data.to_string();
        assert!(owner.iter().all(|record| target.ends_with(&record.name.to_string())), "{target}");
    }
}

#[test]
fn beyond_a_message_the_client_gets_a_stable_part_and_is_told() {
    let view = big(10_000, None);
    for (owner, rtype) in [("_big._tcp", Rtype::SRV), ("big", Rtype::AAAA), ("_big._tcp", Rtype::PTR)] {
        let octets = ask_raw(&view, owner, rtype, TCP, 0);
        let part = Message::from_vec(&octets).expect("message");
        let count = part.answers.len();
        assert!((1000..4000).contains(&count) && octets.len() > 64_800, "{count} {rtype} in {} octets", octets.len());
        let number = format!("{},{:03} of 10,000, chosen by client prefix", count / 1000, count % 1000);
        assert!(says(&octets, &number), "{number}");
        assert_eq!(data(&ask(&view, owner, rtype, (Transport::Https, 1, 65_535))), data(&part));
        let other = data(&ask(&view, owner, rtype, (Transport::Tcp, 2, 65_535)));
        let common = other.intersection(&data(&part)).count();
        assert!(common < count / 2, "{common} of {count} in common with another prefix");
        assert!(ask(&view, owner, rtype, UDP).metadata.truncation, "never a part that nobody declared");
        let told = ask(&view, owner, Rtype::TXT, UDP).answers[0].data.to_string();
        assert!(told.starts_with("answers=") && told.ends_with(" of 10000"), "{told}");
    }
    let told = ask(&view, "_big._tcp", Rtype::TXT, UDP).answers[0].data.to_string();
    let count = ask(&view, "_big._tcp", Rtype::SRV, TCP).answers.len();
    assert_eq!(told, format!("answers={count} of 10000"));
}

#[test]
fn a_change_outside_a_part_does_not_alter_it() {
    let all = service("big", (0..10_000).map(numbered));
    let (compiler, before) = (compiler(&["plain"]), snapshot(9, [all.clone()]));
    let view = compiler.full(&before, &[]);
    let part = data(&ask(&view, "_big._tcp", Rtype::SRV, TCP));
    let has = |number: u32| part.iter().any(|data| data.contains(&crate::id(number)));
    let (inside, outside) = ((0..).find(|n| has(*n)).expect("one"), (0..).find(|n| !has(*n)).expect("one"));
    for (number, left) in [(outside, 0), (inside, 1)] {
        let mut less = all.clone();
        remove(&mut less, &crate::id(number)).expect("it is there");
        let after = snapshot(10, [less]);
        let touched =
            Touched { service: "big".into(), instance: Some(crate::id(number).into()), revision: after.revision };
        let (view, _) = compiler.update(&view, &before, &after, &[touched]);
        let now = data(&ask(&view, "_big._tcp", Rtype::SRV, TCP));
        assert_eq!((part.difference(&now).count(), now.difference(&part).count()), (left, left));
    }
}

#[test]
fn an_answer_limit_makes_answers_that_fit_into_udp() {
    for (count, limit) in [(10_000u32, 20usize), (100, 20), (30, 10)] {
        let declaration =
            Declaration { answer_limit: Some(limit as u32), owner: Some("squad".into()), ..Declaration::default() };
        let view = big(count, Some(declaration));
        let octets = ask_raw(&view, "_big._tcp", Rtype::SRV, UDP, 0);
        let part = Message::from_vec(&octets).expect("message");
        assert!(!part.metadata.truncation && part.answers.len() == limit, "{limit} of {count}");
        assert!(limit > 10 || part.additionals.len() == 2 * limit, "their addresses if there is room");
        assert!(says(&octets, &format!("{limit} of ")), "EDE");
        assert_eq!(data(&ask(&view, "_big._tcp", Rtype::SRV, TCP)), data(&part), "TCP has the same part");
        assert_eq!(data(&ask(&view, "big", Rtype::AAAA, UDP)).len(), limit);
        let text = ask(&view, "_big._tcp", Rtype::TXT, UDP).answers[0].data.to_string();
        assert!(text.contains(&format!("answers={limit} of {count}")) && text.contains("owner=squad"), "{text}");
        let ids: Vec<String> = part.answers.iter().map(|record| record.data.to_string()).collect();
        let addresses = data(&ask(&view, "big", Rtype::AAAA, UDP));
        let number = |srv: &String| srv.split_whitespace().last()?.get(1..6)?.parse::<u32>().ok();
        let own = ids.iter().filter_map(number).map(|number| numbered(number).endpoint);
        let same = own.filter(|endpoint| match endpoint {
            Endpoint::Addresses(all) => addresses.contains(&all[1].to_string()),
            Endpoint::Host(_) => false,
        });
        assert_eq!(same.count(), limit, "the addresses are those of the same instances");
    }
    let view = big(2000, Some(Declaration { answer_limit: Some(100), ..Declaration::default() }));
    let truncated = ask(&view, "_big._tcp", Rtype::SRV, UDP);
    assert!(truncated.metadata.truncation && truncated.answers.is_empty(), "100 do not fit, so none is answered");
    assert_eq!(ask(&view, "_big._tcp", Rtype::SRV, TCP).answers.len(), 100);
    assert_eq!(ask(&view, "_big._tcp", Rtype::SRV, (Transport::Udp, 1, 8192)).answers.len(), 100);
}

#[test]
fn a_limit_of_the_zone_counts_where_a_service_declares_none() {
    let compiler = compiler(&["plain"]).with_answer_limits(&[(name(ZONE), 12)]);
    let mut own = service("own", (0..50).map(numbered));
    own.row.declaration = Some(Arc::new(Declaration { answer_limit: Some(65_535), ..Declaration::default() }));
    let view = compiler.full(&snapshot(9, [service("big", (0..50).map(numbered)), own]), &[]);
    assert_eq!(ask(&view, "_big._tcp", Rtype::SRV, UDP).answers.len(), 12);
    assert_eq!(ask(&view, "_own._tcp", Rtype::SRV, TCP).answers.len(), 50);
}

#[test]
fn an_alias_leads_to_the_same_part() {
    let view = big(10_000, None);
    let direct = data(&ask(&view, "_big._tcp", Rtype::SRV, TCP));
    let octets = ask_raw(&view, "alias", Rtype::SRV, TCP, 0);
    let led = Message::from_vec(&octets).expect("message");
    assert_eq!(led.metadata.response_code, ResponseCode::NoError);
    assert!(says(
        &octets,
        &format!("{},{:03} of 10,000", (led.answers.len() - 1) / 1000, (led.answers.len() - 1) % 1000)
    ));
    let part: BTreeSet<String> = led.answers[1..].iter().map(|record| record.data.to_string()).collect();
    assert!(part.is_subset(&direct) && part.len() + 40 > direct.len(), "{} of {}", part.len(), direct.len());
    assert!(ask(&view, "alias", Rtype::SRV, UDP).metadata.truncation);
    let view = big(10_000, Some(Declaration { answer_limit: Some(15), ..Declaration::default() }));
    assert_eq!(ask(&view, "alias", Rtype::SRV, UDP).answers.len(), 16);
    assert!(says(&ask_raw(&view, "alias", Rtype::SRV, UDP, 0), "15 of 10,000"));
    for owner in ["alias", "_big._tcp"] {
        let turned = (0..30).map(|rotation| {
            let message = Message::from_vec(&ask_raw(&view, owner, Rtype::SRV, UDP, rotation)).expect("message");
            let services = message.answers.iter().filter(|record| record.record_type() == RecordType::SRV);
            services.map(|record| record.data.to_string()).collect::<Vec<_>>()
        });
        let turned: Vec<Vec<String>> = turned.collect();
        let firsts: BTreeSet<&String> = turned.iter().map(|part| &part[0]).collect();
        assert_eq!(firsts.len(), 15, "{owner}: every record of the part comes first at some time");
        let parts: BTreeSet<BTreeSet<&String>> = turned.iter().map(|part| part.iter().collect()).collect();
        assert_eq!(parts.len(), 1, "{owner}: of the same part");
    }
}

#[test]
fn rfc2782_a_part_is_never_backups_alone() {
    let mut all = service("big", (0..3000).map(numbered));
    for number in (0..3000).step_by(100) {
        put(&mut all, zonebeat::model::Instance { priority: 1, ..numbered(number) });
    }
    all.row.declaration = Some(Arc::new(Declaration { answer_limit: Some(20), ..Declaration::default() }));
    let view = compiler(&["plain"]).full(&snapshot(9, [all]), &[]);
    let part = data(&ask(&view, "_big._tcp", Rtype::SRV, UDP));
    assert!(part.iter().all(|srv| srv.starts_with("1 ")), "{part:?}");
}
