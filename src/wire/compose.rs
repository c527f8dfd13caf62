//! Composed answers, record by record: aliases, delegations, targets that were looked up, signatures and proofs.
//!
//! Names are compressed where resolvers must understand it: owners, and data of types of RFC 1035 (RFC 3597 section 4).

use super::encode::{ASKED, first_record};
use super::message::{Message, Section};
use super::names::Names;
use super::subset;
use crate::answer::{Composed, Extra, Owner, Part, Query};
use crate::model::Rtype;
use crate::model::name::MAX_NAME;
use crate::view::large::{LargeSet, Pick};
use crate::view::rrset::{Body, RecordRef};
use crate::view::{RrSet, Zone};

/// Octets of SOA data behind its names.
const SOA_NUMBERS: usize = 20;

/// Writes the records of one message.
struct Writer<'m, 'o> {
    message: &'m mut Message<'o>,
    names: Names,
    query: &'m Query<'m>,
}

/// Writes all sections; `false` when the answer, or glue it is useless without, does not fit.
pub(super) fn write(query: &Query<'_>, composed: &Composed<'_>, message: &mut Message<'_>) -> bool {
    let mut writer = Writer { message, names: Names::new(query.name.as_wire()), query };
    composed.answer.iter().all(|part| writer.part(part, Section::Answer))
        && composed.authority.iter().all(|part| writer.part(part, Section::Authority))
        && writer.additional(&composed.additional, composed.required)
}

impl Writer<'_, '_> {
    /// Writes the additional section: everything, or sets without signatures as many as fit and then signatures as
    /// many as fit (RFC 4035 section 3.1.1). `false` when one of the first `required` does not fit.
    fn additional(&mut self, extras: &[Extra<'_>], required: usize) -> bool {
        let mark = self.message.mark();
        if extras.iter().all(|extra| self.extra(extra) && self.signatures(extra)) {
            return true;
        }
        self.message.rewind(mark);
        self.names.rewind(self.message.len());
        let written = extras.iter().take_while(|extra| self.extra(extra)).count();
        let mut signed = extras[..written].iter();
        signed.all(|extra| self.signatures(extra));
        written >= required
    }

    fn extra(&mut self, extra: &Extra<'_>) -> bool {
        self.set(Place { section: Section::Additional, ..Place::at(extra.owner) }, &extra.set)
    }

    fn signatures(&mut self, extra: &Extra<'_>) -> bool {
        let place = Place { section: Section::Additional, ..Place::at(extra.owner) };
        extra.signatures.iter().all(|set| self.set(place, set))
    }

    fn part(&mut self, part: &Part<'_>, section: Section) -> bool {
        match part {
            Part::Set { owner, set, ttl } => self.set(Place { ttl: *ttl, ..Place::of(owner, section) }, set),
            Part::Synthesized { owner, target, ttl } => {
                self.record(Place::of(owner, section), Rtype::CNAME, *ttl, target.as_wire())
            }
            Part::Soa(zone, ttl) => self.soa(zone, *ttl, section),
        }
    }

    fn soa(&mut self, zone: &Zone, ttl: u32, section: Section) -> bool {
        self.record(Place { section, ..Place::at(zone.apex.as_wire()) }, Rtype::SOA, ttl, &zone.soa)
    }

    /// Writes a set, starting at a record that the rotation chooses; all of it, or nothing.
    fn set(&mut self, place: Place<'_>, set: &RrSet<'_>) -> bool {
        let mark = self.message.mark();
        let first = if place.section == Section::Answer { first_record(self.query.rotation, set) } else { 0 };
        let records = || set.records().skip(first).chain(set.records().take(first));
        let fits = match set.body {
            Body::Large(large) => self.large(place, set, large, records()),
            _ => self.records(place, set, records()),
        };
        if !fits {
            self.message.rewind(mark);
            self.names.rewind(self.message.len());
        }
        fits
    }

    /// Writes a large set, or the part of it that the client gets.
    fn large<'r>(
        &mut self,
        place: Place<'_>,
        set: &RrSet<'_>,
        large: &LargeSet,
        all: impl Iterator<Item = RecordRef<'r>>,
    ) -> bool {
        let room = subset::room(self.query, self.message, MAX_NAME); // the owner may have to be written out once
        if large.limit().is_none_or(|limit| limit >= large.len()) && large.octets() <= room {
            return self.records(place, set, all);
        }
        subset::with_part(self.query, large, room, |picks| {
            let record = |pick: &Pick| large.record(*pick).as_stored();
            !picks.is_empty() && self.records(place, set, subset::rotated(self.query, set, picks).map(record))
        })
    }

    fn records<'r>(&mut self, place: Place<'_>, set: &RrSet<'_>, records: impl Iterator<Item = RecordRef<'r>>) -> bool {
        let mut room = [0; MAX_NAME];
        let mut records = records;
        records.all(|record| {
            let ttl = place.ttl.unwrap_or(record.ttl);
            self.record(place, set.rtype, ttl, set.expand(record.rdata, &mut room))
        })
    }

    fn record(&mut self, place: Place<'_>, rtype: Rtype, ttl: u32, rdata: &[u8]) -> bool {
        let owner = match place.owner {
            Some(name) => self.names.write(name, self.message),
            None => self.message.put(&ASKED),
        };
        let mut head = [0; 10];
        head[..2].copy_from_slice(&rtype.0.to_be_bytes());
        head[2..4].copy_from_slice(&1u16.to_be_bytes());
        head[4..8].copy_from_slice(&ttl.to_be_bytes());
        if !(owner && self.message.put(&head)) {
            return false;
        }
        let start = self.message.len();
        let fits = self.data(rtype, rdata) && self.message.count(place.section);
        if fits {
            let length = (self.message.len() - start) as u16;
            self.message.written(start - 2)[..2].copy_from_slice(&length.to_be_bytes());
        }
        fits
    }

    fn data(&mut self, rtype: Rtype, rdata: &[u8]) -> bool {
        match rtype {
            Rtype::NS | Rtype::CNAME | Rtype::PTR | Rtype::MB => self.names.write(rdata, self.message),
            Rtype::MX if rdata.len() > 2 => {
                self.message.put(&rdata[..2]) && self.names.write(&rdata[2..], self.message)
            }
            Rtype::SOA if rdata.len() > SOA_NUMBERS => {
                let (names, numbers) = rdata.split_at(rdata.len() - SOA_NUMBERS);
                let (primary, mailbox) = names.split_at(names.len().min(end_of_name(names)));
                self.names.write(primary, self.message)
                    && self.names.write(mailbox, self.message)
                    && self.message.put(numbers)
            }
            Rtype::SRV if rdata.len() > 6 => {
                self.names.note(&rdata[6..], self.message.len() + 6);
                self.message.put(rdata)
            }
            _ => self.message.put(rdata),
        }
    }
}

/// Octets of the whole name that `octets` begin with.
fn end_of_name(octets: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&len) = octets.get(at).filter(|len| **len != 0) {
        at += 1 + len as usize;
    }
    at + 1
}

/// Where a set goes.
#[derive(Clone, Copy)]
struct Place<'n> {
    section: Section,
    /// `None`: the name that was asked.
    owner: Option<&'n [u8]>,
    /// Counts before the TTL of the set.
    ttl: Option<u32>,
}

impl<'n> Place<'n> {
    fn at(owner: &'n [u8]) -> Self {
        Self { section: Section::Answer, owner: Some(owner), ttl: None }
    }

    fn of(owner: &'n Owner<'_>, section: Section) -> Self {
        let owner = match owner {
            Owner::Asked => None,
            Owner::Stored(name) => Some(*name),
            Owner::Made(name) => Some(name.as_wire()),
        };
        Self { section, owner, ttl: None }
    }
}
