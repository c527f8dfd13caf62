//! Which records of a large set a client gets first, the plain way: every record is scored, and all are sorted.

use std::collections::HashMap;
use std::net::IpAddr;

use siphasher::sip::SipHasher13;
use zonebeat::answer::Query;
use zonebeat::model::naming::{NameBuf, Naming, Placeholder, Publishes, Values};
use zonebeat::model::{Endpoint, Instance, Name, Rtype, Service};
use zonebeat::registry::Snapshot;

use super::plain::Data;

/// The keys of the instances that contribute a record to a shared name.
#[derive(Debug, Default)]
pub(crate) struct Keys(HashMap<(Vec<u8>, u16, Vec<u8>), Vec<u32>>);

/// The hash that every server has.
fn hash(octets: &[u8]) -> u64 {
    SipHasher13::new_with_keys(0x7a6f_6e65_6265_6174, 0x6c61_7267_6520_7365).hash(octets)
}

impl Keys {
    /// Those of all serving instances.
    pub(crate) fn of(snapshot: &Snapshot, naming: &Naming, apex: &Name) -> Self {
        let mut keys = Self::default();
        for service in snapshot.services.values() {
            for instance in service.instances.iter().filter(Instance::is_serving) {
                keys.add(service, &instance, naming, apex);
            }
        }
        keys
    }

    fn add(&mut self, service: &Service, instance: &Instance, naming: &Naming, apex: &Name) {
        let key = hash(format!("{}/{}", service.name, instance.id).as_bytes()) as u32;
        let values = Values {
            service: &service.name,
            proto: Some(&instance.proto),
            site: instance.site.as_deref(),
            instance: Some(&instance.id),
            tag: None,
            domain: apex,
        };
        let mut host = NameBuf::default();
        let addresses = match &instance.endpoint {
            Endpoint::Addresses(addresses) => addresses.to_vec(),
            Endpoint::Host(_) => Vec::new(),
        };
        let target = match &instance.endpoint {
            Endpoint::Host(host) => host.as_wire(),
            Endpoint::Addresses(_) if naming.write_host(&values, &mut host) => host.as_wire(),
            Endpoint::Addresses(_) => return,
        };
        let numbers = [instance.priority, instance.weight, instance.port].map(u16::to_be_bytes).concat();
        let service_record = (Rtype::SRV, [&numbers, target].concat());
        let own = naming.patterns().iter().find(|pattern| pattern.publishes == Publishes::Instance);
        let own = own.and_then(|pattern| pattern.name(&values)?.ok());
        let pointer = own.map(|own| (Rtype::PTR, own.as_wire().to_vec()));
        for pattern in naming.patterns().iter().filter(|pattern| pattern.publishes.is_shared()) {
            let tags: Vec<Option<&str>> = match pattern.uses(Placeholder::Tag) {
                true => instance.tags.iter().map(|tag| Some(&**tag)).collect(),
                false => vec![None],
            };
            let records: Vec<(Rtype, Vec<u8>)> = match pattern.publishes {
                Publishes::Addresses => addresses.iter().map(of_address).collect(),
                _ => std::iter::once(service_record.clone()).chain(pointer.clone()).collect(),
            };
            for name in tags.into_iter().filter_map(|tag| pattern.name(&Values { tag, ..values })?.ok()) {
                for (rtype, rdata) in &records {
                    let place = (name.as_wire().to_vec(), rtype.0, rdata.clone());
                    self.0.entry(place).or_default().push(key);
                }
            }
        }
    }

    /// The records of a name in the order in which the client prefers them; `None` if two are worth the same.
    pub(crate) fn rank(&self, query: &Query<'_>, name: &[u8], records: &[Data]) -> Option<Vec<Data>> {
        let mut ranked: Vec<((u16, u32), &Data)> = records
            .iter()
            .map(|record| {
                let place = (name.to_vec(), record.rtype.0, record.rdata.clone());
                let key = match self.0.get(&place).map(Vec::as_slice) {
                    Some([key]) => *key,
                    _ => hash(&record.rdata) as u32,
                };
                let class =
                    if record.rtype == Rtype::SRV { u16::from_be_bytes([record.rdata[0], record.rdata[1]]) } else { 0 };
                ((class, u32::MAX - score(query.client, key)), record)
            })
            .collect();
        ranked.sort_by_key(|(worth, _)| *worth);
        let is_clear = ranked.windows(2).all(|pair| pair[0].0 != pair[1].0);
        is_clear.then(|| ranked.into_iter().map(|(_, record)| record.clone()).collect())
    }
}

fn of_address(address: &IpAddr) -> (Rtype, Vec<u8>) {
    match address {
        IpAddr::V4(v4) => (Rtype::A, v4.octets().to_vec()),
        IpAddr::V6(v6) => (Rtype::AAAA, v6.octets().to_vec()),
    }
}

/// What a record is worth to a client, by its /24 or /56.
fn score(client: IpAddr, key: u32) -> u32 {
    let prefix = match client.to_canonical() {
        IpAddr::V4(v4) => hash(&v4.octets()[..3]),
        IpAddr::V6(v6) => hash(&v6.octets()[..7]),
    };
    let mixed = (key ^ prefix as u32).wrapping_mul(0x9E37_79B1);
    let mixed = (mixed ^ (mixed >> 15)).wrapping_mul((prefix >> 32) as u32 | 1);
    (mixed ^ (mixed >> 13)).wrapping_mul(0x85EB_CA6B)
}
