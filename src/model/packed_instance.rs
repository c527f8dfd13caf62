//! An instance as packed octets, and a look at them without unpacking.
//!
//! What every instance has comes first, what is rare only when it is there: a plain one with an IPv4 address takes
//! about 20 octets besides its id. Everything is kept, whatever its value; equal instances have equal octets.
//!
//! ```text
//! flags, [more], [owner], port, priority, weight, lease, incarnation, revision, since, endpoint,
//! then as the flags say: proto, site, session, epoch, out, orders, tags and metadata
//! ```
//!
//! What is said of few instances (out, held, orders), or only where several servers share the registry (the owner),
//! has its flags in a second octet, which is there when the first
//! one calls the protocol both TCP and UDP.

use super::packed::{Reader, put_number, put_octets};
use super::{Endpoint, Instance, Mark, Name, Orders, Revision, ServerNumber, SetWeight, State, Timestamp};
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

/// Of the second octet; [`TCP`] and [`UDP`] are in it then.
const OUT: u8 = 1;
const SITE_ONLY: u8 = 64;
const HELD: u8 = 8;
const DRAINED: u8 = 16;
const WEIGHT: u8 = 32;
const OWNER: u8 = 128;

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
    /// The server that counts its lease, if several share the registry.
    pub owner: ServerNumber,
    /// Why it is not to be answered now.
    pub out: Option<&'a str>,
    /// Which life of this id it is.
    pub incarnation: Revision,
    /// Whether it is answered.
    pub state: State,
    /// It is held, and answered under the names of its site alone.
    pub site_only: bool,
    /// Since when it is in that state.
    pub since: Timestamp,
    /// The last change of it.
    pub revision: Revision,
    endpoint: EndpointRef<'a>,
    orders: Option<PackedOrders<'a>>,
    lists: Option<Reader<'a>>,
}

/// What operators said of it, unread.
#[derive(Debug, Clone, Copy)]
struct PackedOrders<'a> {
    more: u8,
    reader: Reader<'a>,
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
        let more = if is_extended(flags) { reader.octet() } else { flags & (TCP | UDP) };
        let owner = ServerNumber(if more & OWNER != 0 { reader.octet() } else { 0 });
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
        let proto = match more & (TCP | UDP) {
            TCP => "tcp",
            UDP => "udp",
            _ => reader.text(),
        };
        let site = has(SITE).then(|| reader.text());
        let session = has(SESSION).then(|| reader.text());
        let epoch = has(EPOCH).then(|| reader.text());
        let out = (more & OUT != 0).then(|| reader.text());
        let orders = (more & (DRAINED | WEIGHT) != 0).then_some(PackedOrders { more, reader });
        if orders.is_some() {
            read_orders(more, &mut reader);
        }
        let lists = has(LISTS).then_some(reader);
        let state = state(flags, more);
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
            owner,
            out,
            incarnation,
            state,
            site_only: more & SITE_ONLY != 0,
            since,
            revision,
            endpoint,
            orders,
            lists,
        }
    }

    /// Whether it is in the answers.
    pub fn is_serving(&self) -> bool {
        self.state.is_serving()
    }

    /// Whether it is in the answers of names that name its site, or of those that name none.
    pub fn serves_under(&self, site: bool) -> bool {
        self.is_serving() && (site || !self.site_only)
    }

    /// The weight that is answered.
    pub fn answered_weight(&self) -> u16 {
        let set = self.orders.filter(|orders| orders.more & WEIGHT != 0).and_then(|_| self.orders()?.weight);
        set.map_or(self.weight, |set| set.weight)
    }

    /// What operators said of it.
    pub fn orders(&self) -> Option<Orders> {
        let PackedOrders { more, mut reader } = self.orders?;
        Some(read_orders(more, &mut reader))
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
            owner: self.owner,
            out: self.out.map(Into::into),
            orders: self.orders().map(Box::new),
            incarnation: self.incarnation,
            state: self.state,
            site_only: self.site_only,
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

fn is_extended(flags: u8) -> bool {
    flags & (TCP | UDP) == TCP | UDP
}

fn state(flags: u8, more: u8) -> State {
    match more & (DRAINED | OUT | HELD) {
        _ if flags & LAPSED != 0 => State::Lapsed,
        0 => State::Serving,
        more if more & HELD != 0 => State::Held,
        more if more & DRAINED != 0 => State::Drained,
        _ => State::Out,
    }
}

/// Whether a packed instance is answered, and if not, why.
pub(super) fn state_of(value: &[u8]) -> State {
    state(value[0], if is_extended(value[0]) { value[1] } else { 0 })
}

/// Whether a packed instance is in answers.
pub(super) fn is_serving(value: &[u8]) -> bool {
    state_of(value).is_serving()
}

/// Whether it is in answers of its site alone.
pub(super) fn is_site_only(value: &[u8]) -> bool {
    is_extended(value[0]) && value[1] & SITE_ONLY != 0
}

fn read_orders(more: u8, reader: &mut Reader<'_>) -> Orders {
    let drained = (more & DRAINED != 0).then(|| read_mark(reader));
    let weight = (more & WEIGHT != 0).then(|| SetWeight {
        weight: reader.number() as u16,
        until: reader.number().checked_sub(1).map(Timestamp),
        mark: read_mark(reader),
    });
    Orders { drained, weight }
}

fn read_mark(reader: &mut Reader<'_>) -> Mark {
    let (author, reason) = (reader.text().into(), reader.text().into());
    Mark { author, reason, time: Timestamp(reader.number()), revision: Revision(reader.number()) }
}

fn pack_orders(orders: &Orders, octets: &mut Vec<u8>) {
    if let Some(mark) = &orders.drained {
        pack_mark(mark, octets);
    }
    if let Some(SetWeight { weight, until, mark }) = &orders.weight {
        put_number(octets, (*weight).into());
        put_number(octets, until.map_or(0, |until| until.0.saturating_add(1)));
        pack_mark(mark, octets);
    }
}

fn pack_mark(mark: &Mark, octets: &mut Vec<u8>) {
    put_octets(octets, mark.author.as_bytes());
    put_octets(octets, mark.reason.as_bytes());
    put_number(octets, mark.time.0);
    put_number(octets, mark.revision.0);
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
    pub(super) owner: ServerNumber,
    pub(super) out: Option<&'p str>,
    pub(super) orders: Option<&'p Orders>,
    pub(super) incarnation: Revision,
    pub(super) state: State,
    pub(super) site_only: bool,
    pub(super) since: Timestamp,
    pub(super) revision: Revision,
}

/// Appends everything but the id.
pub(super) fn pack(instance: &Instance, octets: &mut Vec<u8>) {
    let Instance { id: _, proto, port, priority, weight, site, endpoint, tags, metadata, .. } = instance;
    let Instance { lease_seconds, session, epoch, owner, out, orders, incarnation, state, .. } = instance;
    let Instance { site_only, since, revision, .. } = instance;
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
        owner: *owner,
        out: out.as_deref(),
        orders: orders.as_deref(),
        incarnation: *incarnation,
        state: *state,
        site_only: *site_only,
        since: *since,
        revision: *revision,
    };
    parts.pack(octets);
}

impl<T: AsRef<str>> Parts<'_, T> {
    /// Appends all of them.
    pub(super) fn pack(&self, octets: &mut Vec<u8>) {
        let (flags, more) = (self.flags(), self.more());
        octets.push(flags);
        if is_extended(flags) {
            octets.push(more);
        }
        if !self.owner.is_none() {
            octets.push(self.owner.0);
        }
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
        for text in [own_proto, self.site, self.session, self.epoch, self.out].into_iter().flatten() {
            put_octets(octets, text.as_bytes());
        }
        if let Some(orders) = self.orders {
            pack_orders(orders, octets);
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
        let is_extended = self.more() & !(TCP | UDP) != 0;
        let flags = [
            (self.state == State::Lapsed, LAPSED),
            (self.proto == "tcp" || is_extended, TCP),
            (self.proto == "udp" || is_extended, UDP),
            (self.site.is_some(), SITE),
            (self.session.is_some(), SESSION),
            (self.epoch.is_some(), EPOCH),
            (self.has_lists(), LISTS),
            (matches!(self.endpoint, Endpoint::Host(_)), HOST),
        ];
        flags.into_iter().filter(|(is, _)| *is).fold(0, |flags, (_, flag)| flags | flag)
    }

    /// The second octet.
    fn more(&self) -> u8 {
        let flags = [
            (self.proto == "tcp", TCP),
            (self.proto == "udp", UDP),
            (self.out.is_some(), OUT),
            (self.state == State::Held, HELD),
            (self.site_only, SITE_ONLY),
            (!self.owner.is_none(), OWNER),
            (self.orders.is_some_and(|orders| orders.drained.is_some()), DRAINED),
            (self.orders.is_some_and(|orders| orders.weight.is_some()), WEIGHT),
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
