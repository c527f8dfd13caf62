//! PTR records of addresses: one owner for each address, a million of them, and names above all of those.
//!
//! Sorted by address, owners that have names above in common stand side by side (every label of a reverse name is a
//! part of the address, from the left end of the address to the left end of the name). So a walk knows of each name
//! above how many names stand right below it as soon as the first owner comes that is not below it.

use std::net::IpAddr;

use super::Content;
use crate::model::Rtype;
use crate::model::name::parent;
use crate::model::naming::NameBuf;
use crate::view::ZoneSource;
use crate::view::large;
use crate::view::rrset::RrSetBuf;
use crate::view::table::{Slot, Table};

/// The records, with all their data in one buffer.
#[derive(Default)]
pub(super) struct Reverses {
    octets: Vec<u8>,
    list: Vec<Reverse>,
}

/// One PTR record.
#[derive(Clone, Copy)]
pub(super) struct Reverse {
    zone: u16,
    len: u8,
    address: IpAddr,
    ttl: u32,
    start: u32,
}

/// What a walk comes by.
pub(super) enum Step<'s> {
    /// An owner and its records.
    Owner { zone: u16, name: &'s [u8], records: &'s [Reverse] },
    /// A name above owners that nothing else made, and how many names stand right below it.
    Above { zone: u16, name: &'s [u8], children: u32 },
    /// A name that is in the table, and how many names come to stand right below it.
    Known { zone: u16, name: &'s [u8], children: u32 },
    /// An owner that is in the table, and its records.
    Taken { zone: u16, name: &'s [u8], records: &'s [Reverse] },
}

impl Reverses {
    pub(super) fn push(&mut self, zone: u16, address: IpAddr, rdata: &[u8], ttl: u32) {
        let start = self.octets.len() as u32;
        self.octets.extend_from_slice(rdata);
        self.list.push(Reverse { zone, len: rdata.len() as u8, address, ttl, start });
    }

    pub(super) fn add(&mut self, other: Self) {
        let moved = self.octets.len() as u32;
        self.octets.extend_from_slice(&other.octets);
        self.list.extend(other.list.into_iter().map(|reverse| Reverse { start: reverse.start + moved, ..reverse }));
    }

    /// By zone and address, then by data, as the members of a set are.
    pub(super) fn sort(&mut self) {
        let Self { octets, list } = self;
        list.sort_unstable_by(|a, b| {
            let data = |reverse: &Reverse| &octets[reverse.start as usize..][..usize::from(reverse.len)];
            (a.zone, a.address).cmp(&(b.zone, b.address)).then_with(|| data(a).cmp(data(b)))
        });
    }

    /// Data and TTL of records of one owner, each data once.
    pub(super) fn members<'s>(&'s self, records: &'s [Reverse]) -> impl Iterator<Item = (&'s [u8], u32)> {
        let data = |reverse: &Reverse| &self.octets[reverse.start as usize..][..usize::from(reverse.len)];
        let alike = records.chunk_by(move |a, b| data(a) == data(b));
        alike.map(move |alike| (data(&alike[0]), alike[0].ttl))
    }

    /// Goes through owners and the names above them, up to the apex of each zone. The table is that without them.
    pub(super) fn walk(&self, table: &Table, sources: &[ZoneSource], mut visit: impl FnMut(Slot, Step<'_>)) {
        for zone in self.list.chunk_by(|a, b| a.zone == b.zone) {
            let number = zone[0].zone;
            let apex = sources[usize::from(number)].apex.as_wire();
            let mut path =
                Path { zone: number, table, name: NameBuf::default(), starts: Vec::new(), children: vec![0] };
            for records in zone.chunk_by(|a, b| a.address == b.address) {
                path.go_to(NameBuf::reverse(records[0].address), apex.len(), &mut visit);
                path.visit_owner(records, &mut visit);
            }
            path.close(0, &mut visit);
            visit(table.slot(apex), Step::Known { zone: number, name: apex, children: path.children[0] });
        }
    }
}

impl<'s> Step<'s> {
    /// Name and content of an entry that is not in the table.
    pub(super) fn content(&self, reverses: &Reverses) -> Option<(&'s [u8], Content)> {
        match *self {
            Self::Known { .. } | Self::Taken { .. } => None,
            Self::Above { zone, name, children } => Some((name, Content { zone, children, ..Content::default() })),
            Self::Owner { zone, name, records } => {
                let mut set = RrSetBuf::new(Rtype::PTR);
                reverses.members(records).for_each(|(rdata, ttl)| set.push(ttl, rdata));
                Some((name, Content { zone, sets: vec![large::of_members(set)], ..Content::default() }))
            }
        }
    }
}

/// Where a walk is: an owner, and the names above it that are not finished.
struct Path<'t> {
    zone: u16,
    table: &'t Table,
    name: NameBuf,
    /// Where the owner and the names above it start in its octets, from right below the apex on.
    starts: Vec<usize>,
    /// Names right below the apex, and below each of `starts` but the owner.
    children: Vec<u32>,
}

impl Path<'_> {
    /// Finishes the names that are not above the next owner too, and goes there.
    fn go_to(&mut self, next: NameBuf, apex: usize, visit: &mut impl FnMut(Slot, Step<'_>)) {
        let octets = next.as_wire();
        let mut starts = Vec::with_capacity(32);
        let mut above = Some(octets);
        while let Some(name) = above.filter(|name| name.len() > apex) {
            starts.push(octets.len() - name.len());
            above = parent(name);
        }
        starts.reverse();
        let pairs = self.starts.iter().zip(&starts);
        let shared = pairs.take_while(|(a, b)| self.name.as_wire()[**a..] == octets[**b..]).count();
        self.close(shared, visit);
        self.children.resize(starts.len().max(1), 0);
        (self.name, self.starts) = (next, starts);
    }

    /// Finishes the names above the owner but so many, the deepest first.
    fn close(&mut self, kept: usize, visit: &mut impl FnMut(Slot, Step<'_>)) {
        for level in (kept + 1..self.children.len()).rev() {
            let children = self.children.pop().unwrap_or_default();
            let name = &self.name.as_wire()[self.starts[level - 1]..];
            let (slot, zone) = (self.table.slot(name), self.zone);
            match self.table.shard(slot).find(slot.tag, name) {
                _ if children == 0 => {}
                Some(_) => visit(slot, Step::Known { zone, name, children }),
                None => {
                    visit(slot, Step::Above { zone, name, children });
                    self.children[level - 1] += 1;
                }
            }
        }
    }

    fn visit_owner(&mut self, records: &[Reverse], visit: &mut impl FnMut(Slot, Step<'_>)) {
        let (name, zone) = (self.name.as_wire(), self.zone);
        let slot = self.table.slot(name);
        match self.table.shard(slot).find(slot.tag, name) {
            Some(_) => visit(slot, Step::Taken { zone, name, records }),
            None => {
                visit(slot, Step::Owner { zone, name, records });
                *self.children.last_mut().expect("there is the apex") += 1;
            }
        }
    }
}
