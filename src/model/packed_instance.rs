//! An instance as packed octets, and a look at them without unpacking.
//!
//! What every instance has comes first, what is rare only when it is there: a plain one with an IPv4 address takes
//! about 20 octets besides its id. Everything is kept, whatever its value; equal instances have equal octets.
//!
//! ```text
//! flags, port, priority, weight, lease, incarnation, revision, since, endpoint,
//! then as the flags say: proto, site, session, epoch, tags and metadata
//! ```

use super::packed::{Reader, put_number, put_octets};
use super::{Endpoint, Instance, Name, Revision, State, Timestamp};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

const LAPSED: u8 = 1;
const TCP: u8 = 2;
const UDP: u8 = 4;
const SITE: u8 = 8;
const SESSION: u8 = 16;
const EPOCH: u8 = 32;
const LISTS: u8 = 64;
const HOST: u8 = 128;

/// An instance as it lies in memory: texts are not copied, lists are read when they are asked.
#[derive(Debug, Clone, Copy)]
pub struct InstanceRef<'a> {
    /// Its label, unique within the service.
    pub id: &'a str,
    /// Protocol label.
    pub proto: &'a str,
    /// Port.
    pub port: u16,
    /// SRV priority.
    pub priority: u16,
    /// SRV weight.
    pub weight: u16,
    /// Data centre or region label.
    pub site: Option<&'a str>,
    /// How long it may be silent, in seconds.
    pub lease_seconds: u32,
    /// The session that beats for it.
    pub session: Option<&'a str>,
    /// The start of the process, if that was named.
    pub epoch: Option<&'a str>,
    /// Which life of this id it is.
    pub incarnation: Revision,
    /// Serving or lapsed.
    pub state: State,
    /// Since when it is in that state.
    pub since: Timestamp,
    /// The last change of it.
    pub revision: Revision,
    endpoint: EndpointRef<'a>,
    lists: Option<Reader<'a>>,
}

/// An instance that has been packed, and is about to be kept or looked at.
#[derive(Debug, Clone, Copy)]
pub struct PackedInstance<'a> {
    pub(super) id: &'a str,
    pub(super) value: &'a [u8],
}

impl<'a> PackedInstance<'a> {
    /// Packs an instance into a buffer, which is emptied first.
    pub fn new(instance: &'a Instance, buffer: &'a mut Vec<u8>) -> Self {
        buffer.clear();
        pack(instance, buffer);
        Self { id: &instance.id, value: buffer }
    }

    /// A look at it.
    pub fn look(self) -> InstanceRef<'a> {
        InstanceRef::read(self.id, self.value)
    }
}

/// Where an instance is reached.
#[derive(Debug, Clone, Copy)]
pub enum EndpointRef<'a> {
    /// Its own addresses.
    Addresses(Addresses<'a>),
    /// The name of an existing host, in wire form.
    Host(&'a [u8]),
}

/// Addresses, read one by one.
#[derive(Debug, Clone, Copy)]
pub struct Addresses<'a> {
    left: u64,
    /// All of them are IPv4: none says what it is.
    short: bool,
    reader: Reader<'a>,
}

impl<'a> InstanceRef<'a> {
    /// Reads what [`pack`] wrote.
    pub(super) fn read(id: &'a str, value: &'a [u8]) -> Self {
        let mut reader = Reader(value);
        let flags = reader.octet();
        let has = |flag: u8| flags & flag != 0;
        let port = u16::from_be_bytes([reader.octet(), reader.octet()]);
        let (priority, weight) = (reader.number() as u16, reader.number() as u16);
        let lease_seconds = reader.number() as u32;
        let incarnation = reader.number();
        let revision = incarnation.wrapping_add(reader.number());
        let since = Timestamp(reader.number());
        let endpoint = match has(HOST) {
            true => EndpointRef::Host(reader.octets()),
            false => EndpointRef::Addresses(Addresses::skip(&mut reader)),
        };
        let proto = match flags & (TCP | UDP) {
            TCP => "tcp",
            UDP => "udp",
            _ => reader.text(),
        };
        let site = has(SITE).then(|| reader.text());
        let session = has(SESSION).then(|| reader.text());
        let epoch = has(EPOCH).then(|| reader.text());
        let lists = has(LISTS).then_some(reader);
        let state = state(flags);
        let (incarnation, revision) = (Revision(incarnation), Revision(revision));
        Self {
            id,
            proto,
            port,
            priority,
            weight,
            site,
            lease_seconds,
            session,
            epoch,
            incarnation,
            state,
            since,
            revision,
            endpoint,
            lists,
        }
    }

    /// Whether it is in the answers.
    pub fn is_serving(&self) -> bool {
        self.state == State::Serving
    }

    /// Where it is reached.
    pub fn endpoint(&self) -> EndpointRef<'a> {
        self.endpoint
    }

    /// Its own addresses; none if it names a host.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<'a> {
        let addresses = match self.endpoint {
            EndpointRef::Addresses(addresses) => Some(addresses),
            EndpointRef::Host(_) => None,
        };
        addresses.into_iter().flatten()
    }

    /// The existing host that is its SRV target.
    pub fn host(&self) -> Option<Name> {
        match self.endpoint {
            EndpointRef::Addresses(_) => None,
            EndpointRef::Host(wire) => Some(Name::from_trusted(wire)),
        }
    }

    /// Labels that select subsets, sorted.
    pub fn tags(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.lists.into_iter().flat_map(|mut reader| {
            let count = reader.number();
            (0..count).map(move |_| reader.text())
        })
    }

    /// Facts for the DNS-SD TXT record, sorted by key.
    pub fn metadata(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.lists.into_iter().flat_map(|mut reader| {
            let tags = reader.number();
            for _ in 0..tags {
                reader.octets();
            }
            let count = reader.number();
            (0..count).map(move |_| (reader.text(), reader.text()))
        })
    }

    /// A copy that stands for itself.
    pub fn to_instance(self) -> Instance {
        self.to_instance_sharing(&[])
    }

    /// A copy that has these texts together with whoever else does, where its own are the same.
    pub fn to_instance_sharing(self, texts: &[&Arc<str>]) -> Instance {
        let share = |text: &str| match texts.iter().find(|shared| ****shared == *text) {
            Some(shared) => Arc::clone(shared),
            None => text.into(),
        };
        Instance {
            id: self.id.into(),
            proto: share(self.proto),
            port: self.port,
            priority: self.priority,
            weight: self.weight,
            site: self.site.map(share),
            endpoint: match self.endpoint {
                EndpointRef::Addresses(addresses) => Endpoint::Addresses(addresses.collect()),
                EndpointRef::Host(wire) => Endpoint::Host(Name::from_trusted(wire)),
            },
            tags: self.tags().map(Into::into).collect(),
            metadata: self.metadata().map(|(key, value)| (key.into(), value.into())).collect(),
            lease_seconds: self.lease_seconds,
            session: self.session.map(share),
            epoch: self.epoch.map(share),
            incarnation: self.incarnation,
            state: self.state,
            since: self.since,
            revision: self.revision,
        }
    }
}

impl<'a> Addresses<'a> {
    /// Takes the addresses that begin here, and leaves the reader behind them.
    fn skip(reader: &mut Reader<'a>) -> Self {
        let head = reader.number();
        let (left, short) = (head >> 1, head & 1 == 1);
        let addresses = Self { left, short, reader: *reader };
        if short {
            reader.take(4 * left as usize);
        } else {
            for _ in 0..left {
                read_address(reader, false);
            }
        }
        addresses
    }
}

impl Iterator for Addresses<'_> {
    type Item = IpAddr;

    fn next(&mut self) -> Option<IpAddr> {
        self.left = self.left.checked_sub(1)?;
        Some(read_address(&mut self.reader, self.short))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

fn read_address(reader: &mut Reader<'_>, short: bool) -> IpAddr {
    match short || reader.octet() == 4 {
        true => Ipv4Addr::from(<[u8; 4]>::try_from(reader.take(4)).expect("four octets were taken")).into(),
        false => Ipv6Addr::from(<[u8; 16]>::try_from(reader.take(16)).expect("sixteen octets were taken")).into(),
    }
}

fn state(flags: u8) -> State {
    if flags & LAPSED == 0 { State::Serving } else { State::Lapsed }
}

/// Whether a packed instance is in the answers.
pub(super) fn is_serving(value: &[u8]) -> bool {
    state(value[0]) == State::Serving
}

/// What is packed of an instance, whoever holds it. Texts of lists are `T`.
pub(super) struct Parts<'p, T> {
    pub(super) proto: &'p str,
    pub(super) port: u16,
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) site: Option<&'p str>,
    pub(super) endpoint: &'p Endpoint,
    pub(super) tags: &'p [T],
    pub(super) metadata: &'p [(T, T)],
    pub(super) lease_seconds: u32,
    pub(super) session: Option<&'p str>,
    pub(super) epoch: Option<&'p str>,
    pub(super) incarnation: Revision,
    pub(super) state: State,
    pub(super) since: Timestamp,
    pub(super) revision: Revision,
}

/// Appends everything but the id.
pub(super) fn pack(instance: &Instance, octets: &mut Vec<u8>) {
    let Instance { id: _, proto, port, priority, weight, site, endpoint, tags, metadata, .. } = instance;
    let Instance { lease_seconds, session, epoch, incarnation, state, since, revision, .. } = instance;
    let parts = Parts {
        proto,
        port: *port,
        priority: *priority,
        weight: *weight,
        site: site.as_deref(),
        endpoint,
        tags,
        metadata,
        lease_seconds: *lease_seconds,
        session: session.as_deref(),
        epoch: epoch.as_deref(),
        incarnation: *incarnation,
        state: *state,
        since: *since,
        revision: *revision,
    };
    parts.pack(octets);
}

impl<T: AsRef<str>> Parts<'_, T> {
    /// Appends all of them.
    pub(super) fn pack(&self, octets: &mut Vec<u8>) {
        octets.push(self.flags());
        octets.extend_from_slice(&self.port.to_be_bytes());
        put_number(octets, self.priority.into());
        put_number(octets, self.weight.into());
        put_number(octets, self.lease_seconds.into());
        put_number(octets, self.incarnation.0);
        put_number(octets, self.revision.0.wrapping_sub(self.incarnation.0));
        put_number(octets, self.since.0);
        match self.endpoint {
            Endpoint::Addresses(addresses) => pack_addresses(addresses, octets),
            Endpoint::Host(name) => put_octets(octets, name.as_wire()),
        }
        let own_proto = (!matches!(self.proto, "tcp" | "udp")).then_some(self.proto);
        for text in [own_proto, self.site, self.session, self.epoch].into_iter().flatten() {
            put_octets(octets, text.as_bytes());
        }
        if self.has_lists() {
            put_number(octets, self.tags.len() as u64);
            self.tags.iter().for_each(|tag| put_octets(octets, tag.as_ref().as_bytes()));
            put_number(octets, self.metadata.len() as u64);
            for (key, value) in self.metadata {
                put_octets(octets, key.as_ref().as_bytes());
                put_octets(octets, value.as_ref().as_bytes());
            }
        }
    }

    fn flags(&self) -> u8 {
        let flags = [
            (self.state == State::Lapsed, LAPSED),
            (self.proto == "tcp", TCP),
            (self.proto == "udp", UDP),
            (self.site.is_some(), SITE),
            (self.session.is_some(), SESSION),
            (self.epoch.is_some(), EPOCH),
            (self.has_lists(), LISTS),
            (matches!(self.endpoint, Endpoint::Host(_)), HOST),
        ];
        flags.into_iter().filter(|(is, _)| *is).fold(0, |flags, (_, flag)| flags | flag)
    }

    fn has_lists(&self) -> bool {
        !self.tags.is_empty() || !self.metadata.is_empty()
    }
}

fn pack_addresses(addresses: &[IpAddr], octets: &mut Vec<u8>) {
    let short = addresses.iter().all(IpAddr::is_ipv4);
    put_number(octets, (addresses.len() as u64) << 1 | u64::from(short));
    for address in addresses {
        if !short {
            octets.push(if address.is_ipv4() { 4 } else { 6 });
        }
        match address {
            IpAddr::V4(v4) => octets.extend_from_slice(&v4.octets()),
            IpAddr::V6(v6) => octets.extend_from_slice(&v6.octets()),
        }
    }
}
