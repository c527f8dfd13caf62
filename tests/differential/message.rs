//! Responses as they are compared: a decoder of its own, so that neither our code nor a library decides what is equal.

use std::collections::BTreeSet;
use std::fmt::{self, Display};

use crate::name::Name;
use crate::types;

/// A record, names expanded and in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Record {
    pub(crate) owner: Name,
    pub(crate) rtype: u16,
    pub(crate) class: u16,
    pub(crate) ttl: u32,
    pub(crate) rdata: Vec<u8>,
}

/// What OPT said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opt {
    pub(crate) version: u8,
    pub(crate) dnssec_ok: bool,
    rcode: u16,
}

/// A response taken apart.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) length: usize,
    pub(crate) flags: u16,
    pub(crate) rcode: u16,
    pub(crate) question: Vec<u8>,
    pub(crate) answer: Vec<Record>,
    pub(crate) authority: Vec<Record>,
    pub(crate) additional: Vec<Record>,
    pub(crate) opt: Option<Opt>,
}

/// One set of records in the order of the answer section: its records have no order.
pub(crate) type Group = ((Name, u16), BTreeSet<Record>);

impl Response {
    /// Takes a whole message apart; what does not parse is a fault of the server that sent it.
    pub(crate) fn parse(octets: &[u8]) -> Result<Self, String> {
        let mut reader = Reader { octets, at: 12 };
        let word = |at: usize| Ok::<_, String>(u16::from_be_bytes([byte(octets, at)?, byte(octets, at + 1)?]));
        let flags = word(2)?;
        match word(4)? {
            0 => {} // as NSD answers what it refuses
            1 => {
                reader.name()?;
                reader.at += 4;
            }
            count => return Err(format!("{count} questions")),
        }
        let question = octets.get(12..reader.at).ok_or("the question is cut off")?.to_vec();
        let mut section = |count: u16| (0..count).map(|_| reader.record()).collect::<Result<Vec<_>, _>>();
        let (answer, authority, additional) = (section(word(6)?)?, section(word(8)?)?, section(word(10)?)?);
        if reader.at != octets.len() {
            return Err(format!("{} octets after the last record", octets.len() - reader.at));
        }
        let (opts, additional): (Vec<_>, Vec<_>) =
            additional.into_iter().partition(|record| record.rtype == types::OPT);
        let opt = opts.first().map(|record| Opt {
            version: (record.ttl >> 16) as u8,
            dnssec_ok: record.ttl & 0x8000 != 0,
            rcode: (record.ttl >> 24) as u16,
        });
        let rcode = flags & 15 | opt.as_ref().map_or(0, |opt| opt.rcode << 4);
        Ok(Self { length: octets.len(), flags, rcode, question, answer, authority, additional, opt })
    }

    pub(crate) fn truncated(&self) -> bool {
        self.flags & 0x0200 != 0
    }

    pub(crate) fn authoritative(&self) -> bool {
        self.flags & 0x0400 != 0
    }

    /// The answer section as sets in their order. Where the signatures stand between them means nothing; see
    /// [`Self::signatures`].
    pub(crate) fn chain(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for record in self.answer.iter().filter(|record| record.rtype != types::RRSIG) {
            let key = (record.owner.clone(), record.rtype);
            match groups.last_mut().filter(|(last, _)| *last == key) {
                Some((_, records)) => {
                    records.insert(record.clone());
                }
                None => groups.push((key, BTreeSet::from([record.clone()]))),
            }
        }
        groups
    }

    /// The last record of the answer section that is no signature.
    pub(crate) fn last(&self) -> Option<&Record> {
        self.answer.iter().rfind(|record| record.rtype != types::RRSIG)
    }

    /// The signatures of the answer section.
    pub(crate) fn signatures(&self) -> BTreeSet<&Record> {
        self.answer.iter().filter(|record| record.rtype == types::RRSIG).collect()
    }

    /// How long the message would be without compression.
    pub(crate) fn plain_length(&self) -> usize {
        let records = self.answer.iter().chain(&self.authority).chain(&self.additional);
        let records = records.map(|record| record.owner.wire_len() + 10 + record.rdata.len());
        12 + self.question.len() + records.sum::<usize>() + if self.opt.is_some() { 11 } else { 0 }
    }

    pub(crate) fn authority_set(&self) -> BTreeSet<&Record> {
        self.authority.iter().collect()
    }

    pub(crate) fn additional_set(&self) -> BTreeSet<&Record> {
        self.additional.iter().collect()
    }
}

impl Record {
    /// The type that a signature covers; 0 for other records.
    pub(crate) fn covered(&self) -> u16 {
        match (self.rtype, self.rdata.first_chunk::<2>()) {
            (types::RRSIG, Some(covered)) => u16::from_be_bytes(*covered),
            _ => 0,
        }
    }

    /// The first name in its data.
    pub(crate) fn target(&self) -> Option<Name> {
        let (skip, _) = types::names_in(self.rtype, &self.rdata)?;
        Some(Name::from_wire(self.rdata.get(skip..)?))
    }
}

impl Display for Record {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {} {}", self.owner, self.ttl, types::mnemonic(self.rtype))?;
        if self.rtype == types::RRSIG {
            write!(out, " {}", types::mnemonic(self.covered()))?;
        }
        match types::names_in(self.rtype, &self.rdata) {
            Some((skip, _)) => {
                self.rdata[..skip].iter().try_for_each(|octet| write!(out, " {octet}"))?;
                write!(out, " {}", Name::from_wire(&self.rdata[skip..]))
            }
            None => write!(out, " {}", data_encoding::HEXLOWER.encode(&self.rdata[..self.rdata.len().min(60)])),
        }
    }
}

impl Display for Response {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = [(0x400, "aa"), (0x200, "tc"), (0x100, "rd"), (0x80, "ra"), (0x20, "ad"), (0x10, "cd")];
        let flags = flags.iter().filter(|(bit, _)| self.flags & bit != 0).map(|(_, word)| *word);
        let flags = flags.collect::<Vec<_>>().join(" ");
        writeln!(out, "rcode {}, flags {flags}, {} octets, {:?}", self.rcode, self.length, self.opt)?;
        let sections = [("answer", &self.answer), ("authority", &self.authority), ("additional", &self.additional)];
        for (section, records) in sections {
            records.iter().try_for_each(|record| writeln!(out, "    {section}: {record}"))?;
        }
        Ok(())
    }
}

struct Reader<'m> {
    octets: &'m [u8],
    at: usize,
}

impl Reader<'_> {
    /// A name, pointers followed, in lower case.
    fn name(&mut self) -> Result<Vec<u8>, String> {
        let (mut wire, mut at, mut end) = (Vec::new(), self.at, None);
        for _ in 0..200 {
            let length = byte(self.octets, at)?;
            match length >> 6 {
                0 => {
                    let label = self.octets.get(at..=at + usize::from(length)).ok_or("a label is cut off")?;
                    wire.extend(label.to_ascii_lowercase());
                    at += label.len();
                    if length == 0 {
                        self.at = end.unwrap_or(at);
                        return Ok(wire);
                    }
                }
                3 => {
                    end = end.or(Some(at + 2));
                    at = usize::from(u16::from_be_bytes([length & 0x3F, byte(self.octets, at + 1)?]));
                }
                _ => return Err(format!("a label of type {}", length >> 6)),
            }
        }
        Err("a loop of pointers".to_owned())
    }

    fn take(&mut self, count: usize) -> Result<&[u8], String> {
        let taken = self.octets.get(self.at..self.at + count).ok_or("a record is cut off")?;
        self.at += count;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, String> {
        Ok(u16::from_be_bytes(self.take(2)?.try_into().expect("two octets were taken")))
    }

    fn record(&mut self) -> Result<Record, String> {
        let owner = Name::from_wire(&self.name()?);
        let (rtype, class) = (self.u16()?, self.u16()?);
        let ttl = u32::from_be_bytes(self.take(4)?.try_into().expect("four octets were taken"));
        let length = usize::from(self.u16()?);
        let end = self.at + length;
        let mut rdata = Vec::with_capacity(length);
        if let Some((skip, names)) = types::names_in(rtype, self.octets.get(self.at..end).unwrap_or_default()) {
            rdata.extend(self.take(skip)?);
            for _ in 0..names {
                rdata.extend(self.name()?);
            }
        }
        let rest = end.checked_sub(self.at).ok_or("a name in the data is longer than the data")?;
        rdata.extend(self.take(rest)?);
        Ok(Record { owner, rtype, class, ttl, rdata })
    }
}

fn byte(octets: &[u8], at: usize) -> Result<u8, String> {
    octets.get(at).copied().ok_or_else(|| "the message is cut off".to_owned())
}
