use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::model::naming::{Naming, Publishes, Template};
use crate::model::service::ServiceRow;
use crate::model::{Declaration, Endpoint, Instance, Name, Record, Rtype, State, Timestamp};
use crate::registry::{Snapshot, Touched};
use crate::view::large::BIG;
use crate::view::shard::Entry;
use crate::view::{ServerFacts, ZoneSource};

fn name(text: &str) -> Name {
    Name::parse_absolute(text).expect("test name")
}

fn record(owner: &str, rtype: Rtype, rdata: &[u8]) -> Record {
    Record { owner: name(owner), rtype, ttl: 300, rdata: rdata.into() }
}

fn source(apex: &str, registrations: bool, reverse: bool, extra: Vec<Record>) -> ZoneSource {
    let mut soa = [name(apex).as_wire(), name(apex).as_wire()].concat();
    soa.extend([0u32, 3600, 600, 86400, 5].iter().flat_map(|number| number.to_be_bytes()));
    let mut records = vec![record(apex, Rtype::SOA, &soa)];
    records.extend(extra);
    ZoneSource { apex: name(apex), records, registrations, reverse, updates: false, ttl: 30, readable: true }
}

/// Zones in zones, static records where services want to be, above them and below them, delegations, reverse zones.
fn compiler() -> Compiler {
    let a = |owner: &str| record(owner, Rtype::A, &[192, 0, 2, 53]);
    let cut = |owner: &str, rtype| record(owner, rtype, name("elsewhere.example").as_wire());
    let statics = vec![
        a("s0.example.org"),
        a("deep.below.s1.example.org"),
        a("x.i1.s2.example.org"),
        cut("udp.example.org", Rtype::NS),
        cut("s2.lon.example.org", Rtype::DNAME),
    ];
    let pointers = vec![
        record("7.2.0.192.in-addr.arpa", Rtype::PTR, name("static.example").as_wire()),
        cut("8.2.0.192.in-addr.arpa", Rtype::NS),
    ];
    let sources = vec![
        source("example.org", true, false, statics),
        source("sto.example.org", false, false, vec![]),
        source("sd.example.org", true, false, vec![]),
        source("in-addr.arpa", false, true, vec![]),
        source("2.0.192.in-addr.arpa", false, true, pointers),
        source("100.51.198.in-addr.arpa", true, true, vec![]),
        source("8.b.d.0.1.0.0.2.ip6.arpa", false, true, vec![a("0.0.8.b.d.0.1.0.0.2.ip6.arpa")]),
    ];
    let extra = [
        ("{service}.{instance}.x.{domain}", Publishes::Host),
        ("{service}.x.{domain}", Publishes::Addresses),
        ("{instance}.a.b.{service}.y.{domain}", Publishes::Host),
    ];
    let extra = extra.map(|(pattern, publishes)| Template { pattern: pattern.into(), publishes });
    let naming = Naming::new(&["plain".into(), "consul".into()], &extra).expect("a naming");
    Compiler::new(sources, naming, ServerFacts::default(), 7)
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0u8..12).prop_map(|last| Ipv4Addr::new(192, 0, 2, last).into()),
        (0u8..3, 0u8..3).prop_map(|(a, b)| Ipv4Addr::new(203, 0, a, b).into()),
        (0u8..4).prop_map(|last| Ipv4Addr::new(198, 51, 100, last).into()),
        (0u16..3, 0u16..4).prop_map(|(a, b)| Ipv6Addr::new(0x2001, 0xdb8, a, 0, 0, 0, 0, b).into()),
    ]
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let addresses = prop::collection::btree_set(address(), 1..4);
    prop_oneof![
        5 => addresses.prop_map(|addresses| Endpoint::Addresses(addresses.into_iter().collect())),
        1 => select(vec!["s0.example.org", "host.example.com"]).prop_map(|host| Endpoint::Host(name(host))),
    ]
}

fn instance(id: &'static str) -> impl Strategy<Value = Instance> {
    let site = select(vec![None, Some("lon"), Some("sto"), Some("ash")]);
    let tags = subsequence(vec!["canary", "s0", "x"], 0..3);
    let state = select(vec![State::Serving, State::Serving, State::Serving, State::Held, State::Out, State::Lapsed]);
    (select(vec!["tcp", "udp"]), 1u16..4, site, tags, endpoint(), state).prop_map(
        move |(proto, port, site, tags, endpoint, state)| Instance {
            proto: proto.into(),
            port,
            site: site.map(Arc::from),
            endpoint,
            tags: tags.into_iter().map(Box::from).collect(),
            metadata: [("port".into(), port.to_string().into())].into(),
            state,
            site_only: state == State::Held && site.is_some() && port == 1,
            ..Instance::example(id)
        },
    )
}

fn row() -> impl Strategy<Value = ServiceRow> {
    let tiers = select(vec![vec![], vec![vec!["lon".to_owned()], vec!["sto".to_owned(), "ash".to_owned()]]]);
    let declared = (tiers, prop::option::of(1u32..3), prop::option::of(5u32..7)).prop_map(|(tiers, min, ttl)| {
        Declaration { owner: Some("squad".into()), tiers, min, ttl, ..Declaration::default() }
    });
    let remembered = subsequence(vec!["tcp", "tcp/lon", "udp", "udp/sto"], 0..4);
    (prop::option::weighted(0.3, declared), remembered).prop_map(|(declaration, remembered)| ServiceRow {
        declaration: declaration.map(Arc::new),
        remembered: remembered.into_iter().map(|key| (key.into(), Timestamp(1))).collect(),
        ..ServiceRow::default()
    })
}

fn service(label: &'static str) -> impl Strategy<Value = Service> {
    let instances = subsequence(vec!["i0", "i1", "s0", "s1"], 0..=4);
    let instances = instances.prop_flat_map(|ids| ids.into_iter().map(instance).collect::<Vec<_>>());
    (row(), instances).prop_map(move |(row, instances)| Service {
        name: label.into(),
        row,
        instances: instances.into_iter().map(Arc::new).collect(),
    })
}

/// A service of so many instances that its sets are large, or nearly: every address is that of many.
fn big(label: &'static str) -> impl Strategy<Value = Service> {
    let kinds = prop::collection::vec(instance("kind"), 1..5);
    (row(), kinds, BIG - 40..BIG * 2).prop_map(move |(row, kinds, count)| {
        let numbered = (0..count).map(|number| (number, &kinds[number % kinds.len()]));
        let instances = numbered.map(|(number, kind)| Instance { id: format!("i{number}").into(), ..kind.clone() });
        Service { name: label.into(), row, instances: instances.collect() }
    })
}

/// Services with these labels, in their order.
fn services(labels: &[&'static str]) -> impl Strategy<Value = Vec<Service>> {
    let count = labels.len();
    subsequence(labels.to_vec(), 0..=count).prop_flat_map(|labels| labels.into_iter().map(service).collect::<Vec<_>>())
}

/// What an entry is made of, and its signatures.
fn content_of(entry: &Entry<'_>) -> (Content, usize) {
    let Facts { zone, flags, children, note } = entry.facts();
    let sets = entry.sets().map(RrSetBuf::from).collect();
    (Content { zone, flags, children, note: note.into(), sets }, entry.all_signatures().count())
}

/// Every entry of a table by its name.
fn contents(table: &Table) -> Vec<(String, (Content, usize))> {
    let shown = |octets| Name::from_wire(octets).expect("stored names are names").to_string();
    let mut all: Vec<_> = table.entries().map(|(_, entry)| (shown(entry.name()), content_of(&entry))).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// The same by an edit for each name.
fn by_edits(compiler: &Compiler, base: &Table, services: &[&Service]) -> Table {
    let mut editor = Editor::new(base);
    for service in services {
        let concern = Concern { old: None, new: Some(service), ids: None, revision: Revision::default() };
        compiler.edit_services(&mut editor, &[concern]);
    }
    editor.finish().onto(base.clone())
}

fn base(compiler: &Compiler) -> Table {
    compiler.compile_browse(compiler.compile_statics(&Table::empty(compiler.seed), |_| true))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn bulk_is_an_edit_for_each_name_of_big_services(
        few in services(&["s0", "s1", "s2"]), big in big("s3"), limit in select(vec![None, Some(2), Some(300)]),
    ) {
        let limits: Vec<_> = limit.map(|limit| (name("sd.example.org"), limit)).into_iter().collect();
        let compiler = compiler().with_answer_limits(&limits);
        let services: Vec<&Service> = few.iter().chain([&big]).collect();
        let base = base(&compiler);
        let expected = by_edits(&compiler, &base, &services);
        let table = compile(&compiler, &base, &services, 2);
        prop_assert_eq!(contents(&table), contents(&expected));
        prop_assert_eq!(table.names(), expected.names());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is registered, even labels that differ in nothing but case and so have their names in common.
    #[test]
    fn bulk_is_an_edit_for_each_name(services in services(&["S0", "S1", "s0", "s1", "s2", "s3"])) {
        let (compiler, services) = (compiler(), services.iter().collect::<Vec<_>>());
        let base = base(&compiler);
        let expected = by_edits(&compiler, &base, &services);
        for threads in 1..4 {
            let table = compile(&compiler, &base, &services, threads);
            prop_assert_eq!(contents(&table), contents(&expected), "{} threads", threads);
            prop_assert_eq!(table.names(), expected.names());
        }
    }

    /// The way to a registry does not matter: all at once is one service after the other, each after it was another.
    #[test]
    fn bulk_is_what_updates_lead_to(
        first in services(&["s0", "s1", "s2", "s3"]), last in services(&["s0", "s1", "s2", "s3"]),
    ) {
        let compiler = compiler();
        let mut snapshot = Snapshot::default();
        let mut view = compiler.full(&snapshot, &[]);
        for services in [first, last] {
            for label in ["s0", "s1", "s2", "s3"] {
                let mut after = Snapshot { revision: snapshot.revision.next(), ..snapshot.clone() };
                let new = services.iter().find(|service| &*service.name == label);
                let old = snapshot.service(label).map(Arc::as_ref);
                let touched = [new, old].into_iter().flatten().flat_map(|service| service.instances.iter());
                let touch = |instance| Touched { service: label.into(), instance, revision: after.revision };
                let touched = touched.map(|instance| touch(Some(instance.id.clone()))).chain([touch(None)]);
                let touched: Vec<_> = touched.collect();
                match new {
                    Some(service) => after.services.insert(Arc::new(service.clone())),
                    None => drop(after.services.remove(label)),
                }
                view = compiler.update(&view, &snapshot, &after, &touched).0;
                snapshot = after;
            }
        }
        let full = compiler.full(&snapshot, &[]);
        prop_assert_eq!(contents(&view.table), contents(&full.table));
        prop_assert_eq!(view.table.names(), full.table.names());
    }
}
