//! What does not belong to one service: it is set aside while the services are encoded.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::reverse::{Reverses, Step};
use super::streams::Streams;
use super::{Bulk, content};
use crate::model::Revision;
use crate::view::compile::names::Names;
use crate::view::compile::owners::Owners;
use crate::view::compile::roster::Roster;
use crate::view::edit::{Editor, Published};
use crate::view::rrset::compress;
use crate::view::shard::STATIC;
use crate::view::table::Slot;

/// What the services come to.
pub(super) struct Survey {
    /// Names above those of the services: zone, and how many names right below.
    above: HashMap<Box<[u8]>, (u16, u32), FixedState>,
    /// What services publish where something stands already.
    taken: Vec<Taken>,
    /// PTR records of sets with few owners and many members.
    members: Members,
    pub(super) reverses: Reverses,
}

struct Taken {
    service: usize,
    zone: u16,
    name: Box<[u8]>,
    published: Published,
}

/// PTR records whose owners and data stand in one buffer.
#[derive(Default)]
struct Members {
    octets: Vec<u8>,
    list: Vec<Member>,
}

#[derive(Clone, Copy)]
struct Member {
    zone: u16,
    ttl: u32,
    start: u32,
    owner: u8,
    rdata: u8,
}

impl Survey {
    pub(super) fn new(bulk: &Bulk<'_>) -> Self {
        Self {
            above: HashMap::with_hasher(bulk.base.hasher()),
            taken: Vec::new(),
            members: Members::default(),
            reverses: Reverses::default(),
        }
    }

    /// Encodes one service.
    pub(super) fn take<'b>(&mut self, bulk: &Bulk<'b>, number: usize, names: &mut Names<'b>, streams: &mut Streams) {
        let service = bulk.services[number];
        let Self { above, taken, members, reverses } = self;
        let count = |zone, name: &[u8]| match above.get_mut(name) {
            Some((_, children)) => *children += 1,
            None => drop(above.insert(name.into(), (zone, 1))),
        };
        bulk.list(service, names, count, |owners, roster, names| {
            for (named, name) in names.iter() {
                if !named.taken {
                    streams.push(named.slot, name, content(owners, roster, named, name));
                } else if !is_static(bulk, named.slot, name) {
                    let published = owners.content(roster, name, named.what);
                    taken.push(Taken { service: number, zone: owners.zone, name: name.into(), published });
                }
            }
            take_members(bulk, owners, roster, members, reverses);
        });
    }

    /// Adds what was surveyed of other services, which come after these.
    pub(super) fn add(&mut self, other: Self) {
        for (name, (zone, children)) in other.above {
            self.above.entry(name).or_insert((zone, 0)).1 += children;
        }
        self.taken.extend(other.taken);
        self.members.add(other.members);
        self.reverses.add(other.reverses);
    }

    /// All services were encoded: puts the PTR records of addresses in order, and encodes
    /// those with names of their own.
    pub(super) fn encode_reverses(&mut self, bulk: &Bulk<'_>) -> Streams {
        let mut streams = Streams::new(Vec::new());
        self.reverses.sort();
        self.reverses.walk(bulk.base, &bulk.compiler.sources, |slot, step| {
            if let Some((name, content)) = step.content(&self.reverses) {
                streams.push(slot, name, content);
            }
        });
        streams
    }

    /// The services of which several publish at a name at which something else stands: the last one counts.
    pub(super) fn disputed(&self) -> Vec<usize> {
        let mut first: HashMap<&[u8], usize> = HashMap::new();
        let pairs = self.taken.iter().filter_map(|taken| {
            let other = *first.entry(&taken.name).or_insert(taken.service);
            (other != taken.service).then_some([other, taken.service])
        });
        pairs.flatten().collect()
    }

    /// Edits what does not belong to one service.
    pub(super) fn settle(self, bulk: &Bulk<'_>, editor: &mut Editor<'_>) {
        for (name, (zone, children)) in &self.above {
            editor.adopt(*zone, name, *children);
        }
        for Taken { zone, name, published, .. } in self.taken {
            editor.publish(zone, &name, published, Revision::default());
        }
        for Member { zone, ttl, start, owner, rdata } in self.members.list {
            let (owner, rest) = self.members.octets[start as usize..].split_at(owner.into());
            editor.member(zone, owner, &rest[..rdata.into()], Some(ttl), Revision::default());
        }
        self.reverses.walk(bulk.base, &bulk.compiler.sources, |_, step| match step {
            Step::Known { zone, name, children } => editor.adopt(zone, name, children),
            Step::Taken { zone, name, records } => {
                for (rdata, ttl) in self.reverses.members(records) {
                    editor.member(zone, name, rdata, Some(ttl), Revision::default());
                }
            }
            Step::Owner { .. } | Step::Above { .. } => {}
        });
    }
}

impl Members {
    fn push(&mut self, zone: u16, owner: &[u8], rdata: &[u8], ttl: u32) {
        let start = self.octets.len() as u32;
        self.octets.extend_from_slice(owner);
        self.octets.extend_from_slice(rdata);
        self.list.push(Member { zone, ttl, start, owner: owner.len() as u8, rdata: rdata.len() as u8 });
    }

    fn add(&mut self, other: Self) {
        let moved = self.octets.len() as u32;
        self.octets.extend_from_slice(&other.octets);
        self.list.extend(other.list.into_iter().map(|member| Member { start: member.start + moved, ..member }));
    }
}

/// Whether static records stand at a name: they win.
fn is_static(bulk: &Bulk<'_>, slot: Slot, name: &[u8]) -> bool {
    bulk.base.shard(slot).find(slot.tag, name).is_some_and(|entry| entry.is(STATIC))
}

fn take_members(
    bulk: &Bulk<'_>,
    owners: Owners<'_>,
    roster: &Roster<'_>,
    members: &mut Members,
    reverses: &mut Reverses,
) {
    let zone = owners.zone;
    for proto in roster.protos() {
        owners.types(roster.service, proto, |owner, kind, ttl| {
            members.push(zone, owner, &compress(owner, kind), ttl);
        });
    }
    for instance in roster.serving() {
        owners.reverses(roster.service, instance, |zone, address, owner, host, ttl| {
            let rdata = compress(owner.as_wire(), host);
            // In a zone that has services too, a name could be both.
            match bulk.compiler.sources[usize::from(zone)].registrations {
                true => members.push(zone, owner.as_wire(), &rdata, ttl),
                false => reverses.push(zone, address, &rdata, ttl),
            }
        });
    }
}
