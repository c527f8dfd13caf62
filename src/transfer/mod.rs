//! AXFR against a view: pure (RFC 5936).
//!
//! A transfer holds one view, so the whole zone is of one serial however long the client takes. Names go out in
//! canonical order (RFC 4034 section 6.1), which makes two dumps comparable line by line; among them those that queries
//! do not find (`view::Aside`). Memory: 16 octets per name of the zone, and the records of one name at a time.

use std::sync::Arc;

use crate::answer::{CLASS_IN, Query};
use crate::model::name::{MAX_NAME, canonical_cmp};
use crate::model::{Name, Rtype};
use crate::view::table::Position;
use crate::view::{RrSet, View, Zone};

/// How full a message may get: well below 65,535 octets, so that a reader needs no large buffer.
const MESSAGE: usize = 16 * 1024;
/// The most octets a message over TCP may have.
const MAX_MESSAGE: usize = 65_535;
/// QR, AA.
const RESPONSE: u16 = 0x8400;
/// A pointer to the question, which is the zone's apex.
const APEX: [u8; 2] = [0xC0, 12];

/// The messages of one zone transfer, made one by one from one view.
pub struct Transfer {
    view: Arc<View>,
    zone: Arc<Zone>,
    head: Vec<u8>,
    names: std::vec::IntoIter<Place>,
    waiting: std::collections::VecDeque<Ready>,
    stage: Stage,
    /// Octets that a message may have.
    most: usize,
}

/// What a transfer begins with.
pub enum Start {
    /// The zone is here.
    Transfer(Transfer),
    /// The zone is ours, but its content is not known yet.
    NotReady,
    /// There is no such zone here.
    NotOurs,
}

/// What became of the next message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// It has been written.
    Message,
    /// The one before was the last.
    End,
    /// A record does not fit any message: the zone cannot be transferred, and the client must not believe that it was.
    TooLong {
        /// Whose record it is.
        owner: Name,
        /// Its type.
        rtype: Rtype,
    },
}

/// Where the records of a name are.
#[derive(Clone, Copy)]
enum Place {
    Entry(Position),
    Aside(u32),
}

impl Place {
    fn name<'v>(&self, view: &'v View, zone: &'v Zone) -> &'v [u8] {
        match *self {
            Self::Entry(position) => view.table.at(position).name(),
            Self::Aside(at) => zone.aside()[at as usize].owner.as_wire(),
        }
    }
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    FirstSoa,
    Names,
    LastSoa,
    Done,
}

impl Transfer {
    /// Starts a transfer of the zone whose apex is the query's name.
    ///
    /// Sorts all names of the zone: with a million of them that takes about a second.
    pub fn start(view: Arc<View>, query: &Query<'_>) -> Start {
        let is_asked = |zone: &Arc<Zone>| query.class == CLASS_IN && zone.apex.as_wire() == query.name.as_wire();
        let Some(number) = view.zones.iter().position(is_asked) else { return Start::NotOurs };
        let zone = Arc::clone(&view.zones[number]);
        if !zone.ready {
            return Start::NotReady;
        }
        let entries = view.table.entries().filter(|(_, entry)| entry.zone() == number && !entry.is_bare());
        let mut names: Vec<Place> = entries.map(|(position, _)| Place::Entry(position)).collect();
        names.extend((0..zone.aside().len() as u32).map(Place::Aside));
        names.sort_by(|a, b| canonical_cmp(a.name(&view, &zone), b.name(&view, &zone)));
        let mut head = vec![0; 12];
        head[..2].copy_from_slice(&query.id.to_be_bytes());
        head[2..4].copy_from_slice(&(RESPONSE | query.flags & 0x0100).to_be_bytes());
        head[5] = 1;
        head.extend_from_slice(query.question);
        let waiting = std::collections::VecDeque::new();
        Start::Transfer(Self {
            view,
            zone,
            head,
            names: names.into_iter(),
            waiting,
            stage: Stage::FirstSoa,
            most: MAX_MESSAGE,
        })
    }

    /// The same, with messages that leave room for so many octets more, such as a signature.
    pub fn leaving(self, octets: usize) -> Self {
        Self { most: self.most.saturating_sub(octets), ..self }
    }

    /// The zone that is transferred.
    pub fn zone(&self) -> &Name {
        &self.zone.apex
    }

    /// Writes the next message (without the TCP length) into `message`, which it clears.
    pub fn next_message(&mut self, message: &mut Vec<u8>) -> Next {
        message.clear();
        message.extend_from_slice(&self.head);
        let mut count = 0u16;
        while let Some(record) = self.next_record() {
            let length = message.len() + record.octets.len();
            if count == 0 && length > self.most {
                return Next::TooLong { owner: record.owner(&self.zone), rtype: record.rtype };
            }
            if count > 0 && length > MESSAGE {
                self.waiting.push_front(record);
                break;
            }
            message.extend_from_slice(&record.octets);
            count += 1;
        }
        message[6..8].copy_from_slice(&count.to_be_bytes());
        if count > 0 { Next::Message } else { Next::End }
    }

    fn next_record(&mut self) -> Option<Ready> {
        loop {
            if let Some(record) = self.waiting.pop_front() {
                return Some(record);
            }
            match self.stage {
                Stage::FirstSoa => self.push_soa(Stage::Names),
                Stage::Names => match self.names.next() {
                    Some(place) => self.push_name(place),
                    None => self.stage = Stage::LastSoa,
                },
                Stage::LastSoa => self.push_soa(Stage::Done),
                Stage::Done => return None,
            }
        }
    }

    fn push_soa(&mut self, next: Stage) {
        self.waiting.push_back(Ready::new(&APEX, Rtype::SOA, self.zone.soa_ttl, &self.zone.soa));
        self.stage = next;
    }

    fn push_name(&mut self, place: Place) {
        let (view, zone) = (Arc::clone(&self.view), Arc::clone(&self.zone));
        let name = place.name(&view, &zone);
        let mut owner = name[..name.len() - zone.apex.as_wire().len()].to_vec();
        owner.extend_from_slice(&APEX);
        match place {
            Place::Entry(position) => {
                let entry = view.table.at(position);
                entry.sets().chain(entry.all_signatures()).for_each(|set| self.push_set(&owner, &set));
            }
            Place::Aside(at) => zone.aside()[at as usize].all().for_each(|set| self.push_set(&owner, &set)),
        }
    }

    fn push_set(&mut self, owner: &[u8], set: &RrSet<'_>) {
        let mut room = [0; MAX_NAME];
        for data in set.records() {
            self.waiting.push_back(Ready::new(owner, set.rtype, data.ttl, set.expand(data.rdata, &mut room)));
        }
    }
}

/// One record as it goes into a message.
struct Ready {
    octets: Vec<u8>,
    rtype: Rtype,
    /// Octets of the owner, the pointer to the apex included.
    owner: usize,
}

impl Ready {
    fn new(owner: &[u8], rtype: Rtype, ttl: u32, rdata: &[u8]) -> Self {
        let mut octets = Vec::with_capacity(owner.len() + 10 + rdata.len());
        octets.extend_from_slice(owner);
        octets.extend_from_slice(&rtype.0.to_be_bytes());
        octets.extend_from_slice(&1u16.to_be_bytes());
        octets.extend_from_slice(&ttl.to_be_bytes());
        octets.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
        octets.extend_from_slice(rdata);
        Self { octets, rtype, owner: owner.len() }
    }

    /// The whole owner name.
    fn owner(&self, zone: &Zone) -> Name {
        Name::from_trusted(&[&self.octets[..self.owner - APEX.len()], zone.apex.as_wire()].concat())
    }
}
