//! Composed answers, record by record: aliases, delegations, targets that were looked up.

use super::encode::first_record;
use super::message::{Message, Section};
use crate::answer::{Composed, Part, Query};
use crate::model::Rtype;
use crate::model::name::{MAX_NAME, is_within};
use crate::view::rrset::QNAME_AT;
use crate::view::{RrSet, Zone};

/// Writes all sections; `false` when the answer, or glue it is useless without, does not fit.
pub(super) fn write(query: &Query<'_>, composed: &Composed<'_>, message: &mut Message<'_>) -> bool {
    let asked = query.name.as_wire();
    let answers = composed.answer.iter().all(|part| write_part(asked, part, query.rotation, message));
    let referral = composed.referral.iter().all(|set| write_set(asked, set.owner, set, 0, Section::Authority, message));
    let negative = composed.negative.iter().all(|zone| write_negative(asked, zone, message));
    if !(answers && referral && negative) {
        return false;
    }
    let mark = message.mark();
    let mut sets = composed.additional.iter();
    let fits = sets.all(|set| write_set(asked, set.owner, set, 0, Section::Additional, message));
    if !fits {
        message.rewind(mark);
    }
    fits || !composed.needs_additional
}

fn write_part(asked: &[u8], part: &Part<'_>, rotation: u32, message: &mut Message<'_>) -> bool {
    match part {
        Part::Set { owner, set } => write_set(asked, owner.as_wire(), set, rotation, Section::Answer, message),
        Part::Synthesized { owner, target, ttl } => {
            let owner = Owner::of(asked, owner.as_wire());
            message.record(Section::Answer, owner.octets(), Rtype::CNAME, 1, *ttl, target.as_wire())
        }
        Part::Soa(zone) => {
            let owner = Owner::of(asked, zone.apex.as_wire());
            message.record(Section::Answer, owner.octets(), Rtype::SOA, 1, zone.soa_ttl, &zone.soa)
        }
    }
}

/// Writes a set at `owner`, starting at a record that the rotation chooses.
fn write_set(
    asked: &[u8],
    owner: &[u8],
    set: &RrSet<'_>,
    rotation: u32,
    section: Section,
    message: &mut Message<'_>,
) -> bool {
    let owner = Owner::of(asked, owner);
    let first = first_record(rotation, set);
    let records = set.records().skip(first).chain(set.records().take(first));
    let mut room = [0; MAX_NAME];
    records.into_iter().all(|record| {
        let rdata = set.expand(record.rdata, &mut room);
        message.record(section, owner.octets(), set.rtype, 1, record.ttl, rdata)
    })
}

fn write_negative(asked: &[u8], zone: &Zone, message: &mut Message<'_>) -> bool {
    let owner = Owner::of(asked, zone.apex.as_wire());
    message.record(Section::Authority, owner.octets(), Rtype::SOA, 1, zone.negative_ttl, &zone.soa)
}

/// An owner name as it goes into the message.
enum Owner<'n> {
    /// Into the question, whose end the name is.
    Pointer([u8; 2]),
    Whole(&'n [u8]),
}

impl<'n> Owner<'n> {
    fn of(asked: &[u8], owner: &'n [u8]) -> Self {
        if is_within(asked, owner) && owner.len() > 1 {
            let pointer = 0xC000 | (QNAME_AT + asked.len() - owner.len()) as u16;
            return Self::Pointer(pointer.to_be_bytes());
        }
        Self::Whole(owner)
    }

    fn octets(&self) -> &[u8] {
        match self {
            Self::Pointer(pointer) => pointer,
            Self::Whole(name) => name,
        }
    }
}
