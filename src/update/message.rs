//! An UPDATE message, read (RFC 2136 sections 2 and 3): the zone, the prerequisites, the changes.

use super::rdata::{read, read_name};
use crate::model::{Name, Rtype, WrittenData};
use crate::registry::update::{Edit, Prerequisite, Update};

const HEADER: usize = 12;
const CLASS_IN: u16 = 1;
const CLASS_NONE: u16 = 254;
const CLASS_ANY: u16 = 255;

/// What is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It does not follow the format: FORMERR.
    Malformed(&'static str),
    /// The zone's class is not IN: NOTAUTH.
    OtherClass,
    /// A name is not in the zone: NOTZONE.
    OutOfZone(Name),
}

/// The zone that a message is about (RFC 2136 section 3.1).
pub fn zone(message: &[u8]) -> Result<Name, Fault> {
    Walk::start(message).map(|walk| walk.zone)
}

/// Reads a message without its signature.
pub fn parse(message: &[u8]) -> Result<Update, Fault> {
    let mut walk = Walk::start(message)?;
    let (prerequisites, updates) = (count(message, 6)?, count(message, 8)?);
    let mut conditions = Vec::new();
    for _ in 0..prerequisites {
        let record = walk.next_in_zone()?;
        require(&record, &mut conditions)?;
    }
    for condition in &mut conditions {
        if let Prerequisite::Equals(_, _, data) = condition {
            data.sort_unstable();
            data.dedup();
        }
    }
    let edits = (0..updates).map(|_| edit(walk.next_in_zone()?)).collect::<Result<_, _>>()?;
    Ok(Update { zone: walk.zone, prerequisites: conditions, edits })
}

/// Adds a prerequisite (RFC 2136 section 2.4). Records of one set are one prerequisite.
fn require(record: &Record<'_>, conditions: &mut Vec<Prerequisite>) -> Result<(), Fault> {
    let Record { name, rtype, .. } = record;
    if record.ttl != 0 {
        return Err(Fault::Malformed("a prerequisite has TTL 0"));
    }
    if record.class != CLASS_IN && !record.is_empty() {
        return Err(Fault::Malformed("a prerequisite of class ANY or NONE has no data"));
    }
    let condition = match (record.class, *rtype) {
        (CLASS_ANY, Rtype::ANY) => Prerequisite::InUse(name.clone()),
        (CLASS_NONE, Rtype::ANY) => Prerequisite::NotInUse(name.clone()),
        (_, rtype) if is_meta(rtype) => return Err(Fault::Malformed("a prerequisite names no type of records")),
        (CLASS_ANY, rtype) => Prerequisite::Exists(name.clone(), rtype),
        (CLASS_NONE, rtype) => Prerequisite::Absent(name.clone(), rtype),
        (CLASS_IN, rtype) => {
            let key: Box<[u8]> = record.data()?.key().into();
            let same = conditions.iter_mut().find_map(|condition| match condition {
                Prerequisite::Equals(other, of, data) if (&*other, *of) == (name, rtype) => Some(data),
                _ => None,
            });
            if let Some(data) = same {
                data.push(key);
                return Ok(());
            }
            Prerequisite::Equals(name.clone(), rtype, vec![key])
        }
        _ => return Err(Fault::Malformed("the class of a prerequisite is IN, ANY or NONE")),
    };
    conditions.push(condition);
    Ok(())
}

/// A change (RFC 2136 sections 2.5 and 3.4.1).
fn edit(record: Record<'_>) -> Result<Edit, Fault> {
    let (rtype, ttl) = (record.rtype, record.ttl);
    if record.class != CLASS_IN && ttl != 0 {
        return Err(Fault::Malformed("a deletion has TTL 0"));
    }
    if is_meta(rtype) && (record.class, rtype) != (CLASS_ANY, Rtype::ANY) {
        return Err(Fault::Malformed("an update names no type of records"));
    }
    match record.class {
        CLASS_IN => {
            let data = record.data()?;
            Ok(Edit::Add(record.name, rtype, ttl, data))
        }
        CLASS_NONE => {
            let key = record.data()?.key().into();
            Ok(Edit::DeleteRecord(record.name, rtype, key))
        }
        CLASS_ANY if !record.is_empty() => Err(Fault::Malformed("the deletion of a set has no data")),
        CLASS_ANY if rtype == Rtype::ANY => Ok(Edit::DeleteName(record.name)),
        CLASS_ANY => Ok(Edit::DeleteSet(record.name, rtype)),
        _ => Err(Fault::Malformed("the class of an update is IN, ANY or NONE")),
    }
}

/// Types that exist only in messages (RFC 6895 section 3.1).
fn is_meta(rtype: Rtype) -> bool {
    matches!(rtype.0, 0 | 41 | 128..=255)
}

/// A message, record by record.
struct Walk<'m> {
    message: &'m [u8],
    at: usize,
    zone: Name,
}

/// One record of a message.
struct Record<'m> {
    message: &'m [u8],
    name: Name,
    rtype: Rtype,
    class: u16,
    ttl: u32,
    start: usize,
    end: usize,
}

impl<'m> Walk<'m> {
    /// Reads the zone section.
    fn start(message: &'m [u8]) -> Result<Self, Fault> {
        const WANTED: Fault = Fault::Malformed("the zone section has one name with type SOA");
        if count(message, 4)? != 1 {
            return Err(WANTED);
        }
        let (zone, at) = read_name(message, HEADER).ok_or(WANTED)?;
        let zone = Name::from_wire(&zone).map_err(|_| WANTED)?;
        let [t0, t1, c0, c1] = *message.get(at..).and_then(<[u8]>::first_chunk).ok_or(WANTED)?;
        match (Rtype(u16::from_be_bytes([t0, t1])), u16::from_be_bytes([c0, c1])) {
            (Rtype::SOA, CLASS_IN) => Ok(Self { message, at: at + 4, zone }),
            (Rtype::SOA, _) => Err(Fault::OtherClass),
            _ => Err(WANTED),
        }
    }

    fn next_in_zone(&mut self) -> Result<Record<'m>, Fault> {
        let record = self.next_record().ok_or(Fault::Malformed("a record is malformed"))?;
        match record.name.is_within(&self.zone) {
            true => Ok(record),
            false => Err(Fault::OutOfZone(record.name)),
        }
    }

    fn next_record(&mut self) -> Option<Record<'m>> {
        let message = self.message;
        let (name, at) = read_name(message, self.at)?;
        let &[t0, t1, c0, c1, a, b, c, d, l0, l1] = message.get(at..)?.first_chunk()?;
        let start = at + 10;
        self.at = start + usize::from(u16::from_be_bytes([l0, l1]));
        Some(Record {
            message,
            name: Name::from_wire(&name).ok()?,
            rtype: Rtype(u16::from_be_bytes([t0, t1])),
            class: u16::from_be_bytes([c0, c1]),
            ttl: u32::from_be_bytes([a, b, c, d]),
            start,
            end: Some(self.at).filter(|end| *end <= message.len())?,
        })
    }
}

impl Record<'_> {
    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn data(&self) -> Result<WrittenData, Fault> {
        read(self.rtype, self.message, self.start, self.end).ok_or(Fault::Malformed("the data do not fit their type"))
    }
}

/// A number of the header.
fn count(message: &[u8], at: usize) -> Result<u16, Fault> {
    let octets = message.get(at..at + 2).filter(|_| message.len() >= HEADER);
    let octets = octets.and_then(|octets| octets.try_into().ok());
    octets.map(u16::from_be_bytes).ok_or(Fault::Malformed("the header is incomplete"))
}

#[cfg(test)]
mod tests;
