//! Random views, and random questions about them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use proptest::prelude::*;
use zonebeat::model::naming::Naming;
use zonebeat::model::service::ServiceRow;
use zonebeat::model::{Declaration, Endpoint, Instance, Name, Record, Revision, Rtype, Service};
use zonebeat::registry::Snapshot;
use zonebeat::view::{Compiler, ServerFacts, Spare, View, ZoneSource};

use super::changes::{self, step};
use super::instance;
use super::ranks::Keys;

pub(crate) const ZONE: &str = "sd.example.org";
const SITES: [&str; 2] = ["lon", "sto"];
const TYPES: [Rtype; 9] =
    [Rtype::A, Rtype::AAAA, Rtype::SRV, Rtype::TXT, Rtype::PTR, Rtype::MX, Rtype::SOA, Rtype::ANY, Rtype::CNAME];

/// Two of one prefix, one of them in its IPv6 form; others.
const CLIENTS: [&str; 5] = ["192.0.2.99", "::ffff:192.0.2.7", "198.51.100.1", "2001:db8:0:17::5", "2001:db8:0:1234::5"];

/// A view, and what is known of it otherwise.
pub(crate) struct Published {
    /// Compiled once and changed since: this one is asked.
    pub(crate) view: View,
    /// The same content compiled from nothing.
    pub(crate) whole: View,
    /// Addresses of the hosts that were registered.
    pub(crate) hosts: BTreeMap<Vec<u8>, Vec<IpAddr>>,
    pub(crate) keys: Keys,
}

impl std::fmt::Debug for Published {
    /// The names; a view has millions of numbers.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names =
            self.whole.table.entries().map(|(_, entry)| Name::from_wire(entry.name()).expect("a name").to_string());
        f.debug_struct("Published").field("names", &names.collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

/// One question.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    name: usize,
    miss: Miss,
    rtype: Asked,
    flags: u16,
    case: u64,
    edns: Option<(u16, bool, bool)>,
    pub(crate) cookie: Option<Vec<u8>>,
    pub(crate) tcp: bool,
    pub(crate) rotation: u32,
    pub(crate) client: IpAddr,
}

/// Which type is asked for.
#[derive(Debug, Clone)]
enum Asked {
    /// One that stands at the name.
    Own(usize),
    Any(Rtype),
}

/// How a name that exists becomes another one.
#[derive(Debug, Clone)]
enum Miss {
    Not,
    Below(String),
    Without,
    Other,
    Elsewhere,
}

fn name(text: &str) -> Name {
    Name::parse_absolute(text).expect("test name")
}

/// Views of a few services with a few instances each.
pub(crate) fn few() -> impl Strategy<Value = Published> {
    published(prop::collection::vec(service(), 1..4))
}

/// Views of a service with very many instances, or with long names, and one with few.
pub(crate) fn many() -> impl Strategy<Value = Published> {
    published((crowd(), service()).prop_map(|(crowd, few)| vec![crowd, few]))
}

/// Views of these services after some changes.
fn published(services: impl Strategy<Value = Vec<Service>>) -> impl Strategy<Value = Published> {
    let batches = prop::collection::vec(prop::collection::vec(step(), 1..9), 0..4);
    let limit = prop::option::weighted(0.2, 1u32..40);
    let zone = (1u32..1000, 0usize..40, limit, any::<bool>(), any::<bool>());
    (services, batches, zone).prop_map(|(services, batches, (ttl, addresses, limit, consul, minimal))| {
        let presets = if consul { vec!["plain".to_owned(), "consul".to_owned()] } else { vec!["plain".to_owned()] };
        let naming = Naming::new(&presets, &[]).expect("presets");
        let server = ServerFacts { identity: Some("ns1.example.org".into()), version: None, udp_size: 1232 };
        let limits: Vec<(Name, u32)> = limit.into_iter().map(|limit| (name(ZONE), limit)).collect();
        let compiler = Compiler::new(vec![source(ttl, addresses)], naming.clone(), server, 7);
        let compiler = compiler.with_answer_limits(&limits).minimal(minimal);
        let mut snapshot = Snapshot { revision: Revision(9), ..Snapshot::default() };
        for (number, mut service) in services.into_iter().enumerate() {
            service.name = format!("service{number}").into();
            snapshot.services.insert(Arc::new(service));
        }
        let (mut view, mut changed, mut spare) = (compiler.full(&snapshot, &[]), None, Spare::default());
        for batch in &batches {
            let (after, touched) = changes::apply(&snapshot, batch);
            let (next, mut moved) = compiler.update_own(view, &snapshot, &after, (&touched, &[]), &mut spare);
            (view, snapshot) = (next, after);
            changed = moved.pop().or(changed);
        }
        let whole = compiler.full(&snapshot, changed.as_slice());
        Published { view, whole, hosts: hosts(&snapshot), keys: Keys::of(&snapshot, &naming, &name(ZONE)) }
    })
}

fn hosts(snapshot: &Snapshot) -> BTreeMap<Vec<u8>, Vec<IpAddr>> {
    let mut hosts = BTreeMap::new();
    for service in snapshot.services.values() {
        for instance in service.instances.iter() {
            if let Endpoint::Addresses(addresses) = &instance.endpoint {
                let host = name(&format!("{}.{}.{ZONE}", instance.id, service.name));
                hosts.insert(host.as_wire().to_vec(), addresses.to_vec());
            }
        }
    }
    hosts
}

/// The zone with static records: many addresses at one name, long texts, a wildcard, an alias, exchangers, a deep name.
fn source(ttl: u32, addresses: usize) -> ZoneSource {
    let apex = name(ZONE);
    let mut soa = [name(&format!("ns1.{ZONE}")).as_wire(), apex.as_wire()].concat();
    soa.extend([1u32, 3600, 600, 86400, 5].iter().flat_map(|number| number.to_be_bytes()));
    let record = |label: &str, rtype, rdata: &[u8]| {
        let owner = if label.is_empty() { apex.clone() } else { name(&format!("{label}.{ZONE}")) };
        Record { owner, rtype, ttl: 300, rdata: rdata.into() }
    };
    let mut records = vec![record("", Rtype::SOA, &soa), record("", Rtype::NS, name(&format!("ns1.{ZONE}")).as_wire())];
    records.push(record("ns1", Rtype::A, &[192, 0, 2, 53]));
    records.extend((0..addresses as u8).map(|last| record("many", Rtype::A, &[198, 51, 100, last])));
    records.extend((0..addresses as u8 / 4).map(|n| record("texts", Rtype::TXT, &[&[100][..], &[n; 100]].concat())));
    records.push(record("*.wild", Rtype::TXT, b"\x01*"));
    records.push(record("alias", Rtype::CNAME, name(&format!("many.{ZONE}")).as_wire()));
    records.push(record("to-services", Rtype::CNAME, name(&format!("_service0._tcp.{ZONE}")).as_wire()));
    records.push(record("to-hosts", Rtype::CNAME, name(&format!("service0.{ZONE}")).as_wire()));
    records.push(record("mail", Rtype::MX, &[&[0, 10][..], name(&format!("ns1.{ZONE}")).as_wire()].concat()));
    records.push(record("a.deep.name", Rtype::PTR, name(&format!("x.wild.{ZONE}")).as_wire()));
    ZoneSource { apex, records, registrations: true, reverse: false, updates: false, ttl, readable: true }
}

fn service() -> impl Strategy<Value = Service> {
    let reason = prop::option::of("[a-z ]{1,260}");
    (prop::collection::vec(member(), 0..24), prop::option::of(1u32..600), reason).prop_map(|(members, ttl, reason)| {
        let declaration = Some(Arc::new(Declaration { ttl, ..Declaration::default() }));
        let row = ServiceRow { declaration, empty_reason: reason.map(String::into_boxed_str), ..ServiceRow::default() };
        let numbered = members.into_iter().enumerate();
        let instances = numbered.map(|(n, member)| Arc::new(Instance { id: id(n as u32, false), ..member }));
        Service { name: "later".into(), row, instances: instances.collect() }
    })
}

/// A service with very many instances, on either side of what makes its sets large; some have long names, some a common
/// address, and it may declare how many are answered.
fn crowd() -> impl Strategy<Value = Service> {
    let count = prop_oneof![1 => 20u32..250, 1 => 250..265u32, 3 => 265..700u32];
    let declared = (prop::option::of(1u32..600), prop::option::of(prop_oneof![1..30u32, 30..700u32]));
    let row = (prop::collection::vec(member(), 6..20), count, any::<bool>(), declared);
    row.prop_map(|(pool, count, long, (ttl, answer_limit))| {
        let declaration = Some(Arc::new(Declaration { ttl, answer_limit, ..Declaration::default() }));
        let row = ServiceRow { declaration, ..ServiceRow::default() };
        let instances = (0..count).map(|number| {
            let mut member = Instance { id: id(number, long), ..pool[number as usize % pool.len()].clone() };
            if let Endpoint::Addresses(addresses) = &mut member.endpoint
                && number % 3 > 0
            {
                *addresses = addresses.iter().map(|address| own(*address, number)).collect();
            }
            Arc::new(member)
        });
        Service { name: "later".into(), row, instances: instances.collect() }
    })
}

/// The label of an instance.
pub(crate) fn id(number: u32, long: bool) -> Box<str> {
    if long { format!("{:x<58}{number:04}", "i").into() } else { format!("i{number:02}").into() }
}

/// An address of one instance alone.
fn own(address: IpAddr, number: u32) -> IpAddr {
    let [.., high, low] = number.to_be_bytes();
    match address {
        IpAddr::V4(v4) => Ipv4Addr::new(198, 18 + (v4.octets()[3] & 1), high, low).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, number as u16).into(),
    }
}

pub(crate) fn member() -> impl Strategy<Value = Instance> {
    let v4 = prop::collection::btree_set((0u8..4, 1u8..255), 1..3);
    let v6 = prop::collection::btree_set(1u16..999, 0..2);
    let site = prop::option::of(prop::sample::select(&SITES[..]));
    let tags = prop::collection::btree_set("[a-c]", 0..2);
    let metadata = prop::collection::btree_map("[a-d]{1,3}", "[a-z0-9]{0,20}", 0..3);
    let numbers = (1u16.., any::<u16>(), any::<u16>());
    (numbers, v4, v6, site, tags, metadata, prop::bool::weighted(0.02)).prop_map(
        |((port, priority, weight), v4, v6, site, tags, metadata, is_host)| {
            let v4 = v4.into_iter().map(|(net, host)| IpAddr::from(Ipv4Addr::new(198, 51, net, host)));
            let v6 = v6.into_iter().map(|last| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last)));
            let mut member = instance::instance("later", port, &v4.chain(v6).collect::<Vec<_>>());
            if is_host {
                member.endpoint = Endpoint::Host(name(&format!("ns1.{ZONE}")));
            }
            let tags = tags.into_iter().map(Into::into).collect();
            let metadata = metadata.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
            Instance { priority, weight, site: site.map(Into::into), tags, metadata, ..member }
        },
    )
}

pub(crate) fn ask() -> impl Strategy<Value = Ask> {
    let miss = prop_oneof![
        10 => Just(Miss::Not),
        1 => "[a-z0-9]{1,12}".prop_map(Miss::Below),
        1 => Just(Miss::Without),
        1 => Just(Miss::Other),
        1 => Just(Miss::Elsewhere),
    ];
    let size = prop_oneof![Just(1232), Just(512), any::<u16>(), 0..1400u16];
    let edns = prop::option::of((size, any::<bool>(), any::<bool>()));
    let part = prop_oneof![Just(8usize), Just(24), Just(16)];
    let cookie = prop::option::of((any::<u8>(), part).prop_map(|(octet, length)| vec![octet; length]));
    let flags = any::<u16>().prop_map(|bits| bits & 0x0110);
    let client = prop::sample::select(&CLIENTS[..]).prop_map(|client| client.parse().expect("an address"));
    let rest = (flags, any::<u64>(), prop::bool::weighted(0.3), any::<u32>(), client);
    let rtype = prop_oneof![
        4 => any::<usize>().prop_map(Asked::Own),
        1 => prop::sample::select(&TYPES[..]).prop_map(Asked::Any),
    ];
    (any::<prop::sample::Index>(), miss, rtype, edns, cookie, rest).prop_map(
        |(name, miss, rtype, edns, cookie, (flags, case, tcp, rotation, client))| {
            let cookie = cookie.filter(|_| edns.is_some());
            Ask { name: name.index(1 << 20), miss, rtype, flags, case, edns, cookie, tcp, rotation, client }
        },
    )
}

impl Ask {
    /// The packet, about one of these names, which have these types.
    pub(crate) fn packet(&self, names: &[(&[u8], Vec<Rtype>)]) -> Vec<u8> {
        let (chosen, types) = &names[self.name % names.len()];
        let rtype = match self.rtype {
            Asked::Own(index) if !types.is_empty() => types[index % types.len()],
            Asked::Own(_) => Rtype::A,
            Asked::Any(rtype) => rtype,
        };
        let mut asked = match &self.miss {
            Miss::Below(label) if chosen.len() < 240 => [&[label.len() as u8][..], label.as_bytes(), chosen].concat(),
            Miss::Without if chosen.len() > 1 => chosen[1 + usize::from(chosen[0])..].to_vec(),
            Miss::Other if chosen[0] > 0 => {
                let mut other = chosen.to_vec();
                other[1] = if other[1] == b'x' { b'y' } else { b'x' };
                other
            }
            Miss::Elsewhere => b"\x03www\x07example\x03com\x00".to_vec(),
            _ => chosen.to_vec(),
        };
        self.mix_case(&mut asked);
        let mut packet = vec![0x12, 0x34];
        packet.extend(self.flags.to_be_bytes());
        packet.extend([0, 1, 0, 0, 0, 0, 0, u8::from(self.edns.is_some())]);
        packet.extend(asked);
        packet.extend([rtype.0, 1].iter().flat_map(|word| word.to_be_bytes()));
        if let Some((size, dnssec_ok, nsid)) = self.edns {
            let mut options = Vec::new();
            if nsid {
                options.extend([0, 3, 0, 0]);
            }
            if let Some(cookie) = &self.cookie {
                options.extend([0, 10, 0, cookie.len() as u8]);
                options.extend(cookie);
            }
            packet.extend([0, 0, 41]);
            packet.extend(size.to_be_bytes());
            packet.extend([0, 0, if dnssec_ok { 0x80 } else { 0 }, 0]);
            packet.extend((options.len() as u16).to_be_bytes());
            packet.extend(options);
        }
        packet
    }

    /// 0x20: letters in a case that the client chose.
    fn mix_case(&self, asked: &mut [u8]) {
        let mut at = 0;
        while at < asked.len() {
            let end = (at + 1 + usize::from(asked[at])).min(asked.len());
            for (index, octet) in asked.iter_mut().enumerate().take(end).skip(at + 1) {
                if self.case >> (index % 64) & 1 == 1 {
                    octet.make_ascii_uppercase();
                }
            }
            at = end;
        }
    }
}
