//! The records behind the question: walked, and checked where they mean something in a query (OPT, TSIG).

use super::{HEADER, options};
use crate::answer::{Edns, Transport};
use crate::model::Rtype;
use crate::model::name::MAX_LABEL;

/// The DO bit in the low half of OPT's TTL (RFC 3225).
const FLAG_DO: u32 = 0x8000;
/// Class ANY, which a TSIG record has (RFC 8945 section 4.2).
const CLASS_ANY: u16 = 255;

/// What the records of a query say.
#[derive(Debug, Default)]
pub(super) struct Extras {
    /// The OPT record.
    pub edns: Option<Edns>,
    /// Whether its options are malformed; then none of them counts.
    pub broken_options: bool,
    /// Where the well-formed TSIG record begins that ends the message.
    pub signed: Option<usize>,
}

/// Walks all records of the three sections from `at` to the end of the packet; `None` if they are malformed.
pub(super) fn read(packet: &[u8], mut at: usize, counts: [u16; 3], transport: Transport) -> Option<Extras> {
    let mut extras = Extras::default();
    let [answers, authorities, additionals] = counts.map(usize::from);
    for index in 0..answers + authorities + additionals {
        if extras.signed.is_some() {
            return None; // RFC 8945 section 5.1: TSIG is the last record
        }
        let record = Record::read(packet, at)?;
        let start = std::mem::replace(&mut at, record.end);
        let additional = index >= answers + authorities;
        match record.rtype {
            Rtype::OPT => {
                let allowed = additional && record.owner_is_root && extras.edns.is_none();
                let (edns, sound) = allowed.then(|| read_opt(&record, transport))?;
                extras.edns = Some(edns);
                extras.broken_options = !sound;
            }
            Rtype::TSIG => extras.signed = Some((additional && is_tsig(&record)).then_some(start)?),
            _ => {}
        }
    }
    (at == packet.len()).then_some(extras)
}

/// One resource record (RFC 1035 section 4.1.3).
struct Record<'p> {
    owner_is_root: bool,
    rtype: Rtype,
    class: u16,
    ttl: u32,
    rdata: &'p [u8],
    end: usize,
}

impl<'p> Record<'p> {
    fn read(packet: &'p [u8], at: usize) -> Option<Self> {
        let fixed = name_end(packet, at)?;
        let &[t0, t1, c0, c1, a, b, c, d, l0, l1] = packet.get(fixed..)?.first_chunk::<10>()?;
        let start = fixed + 10;
        let end = start + usize::from(u16::from_be_bytes([l0, l1]));
        Some(Self {
            owner_is_root: packet[at] == 0,
            rtype: Rtype(u16::from_be_bytes([t0, t1])),
            class: u16::from_be_bytes([c0, c1]),
            ttl: u32::from_be_bytes([a, b, c, d]),
            rdata: packet.get(start..end)?,
            end,
        })
    }
}

/// The offset behind the name at `at`, which may end in a pointer to something before it (RFC 1035 section 4.1.4). The
/// pointer is not followed: nothing in a query depends on where it leads.
fn name_end(packet: &[u8], at: usize) -> Option<usize> {
    let mut end = at;
    loop {
        let label = *packet.get(end)?;
        match label {
            0 => return Some(end + 1),
            0xC0.. => {
                let target = usize::from(u16::from_be_bytes([label & 0x3F, *packet.get(end + 1)?]));
                return (HEADER..at).contains(&target).then_some(end + 2);
            }
            label if usize::from(label) <= MAX_LABEL => end += 1 + usize::from(label),
            _ => return None,
        }
    }
}

/// Reads OPT (RFC 6891 section 6.1), and whether its options are sound. Those of an unknown
/// version are not ours to judge.
fn read_opt(record: &Record<'_>, transport: Transport) -> (Edns, bool) {
    let plain = Edns {
        udp_size: record.class,
        version: (record.ttl >> 16) as u8,
        dnssec_ok: record.ttl & FLAG_DO != 0,
        ..Edns::default()
    };
    let mut edns = plain;
    match plain.version == 0 && options::read(record.rdata, transport, &mut edns).is_none() {
        true => (plain, false),
        false => (edns, true),
    }
}

/// Whether a TSIG record is well-formed (RFC 8945 sections 4.2 and 5.2).
fn is_tsig(record: &Record<'_>) -> bool {
    let fields = || {
        let rest = &record.rdata[super::plain_name_end(record.rdata, 0)?..];
        let rest = rest.get(8..)?; // time signed, fudge
        let rest = after_counted(rest)?; // MAC
        let rest = rest.get(4..)?; // original id, error
        after_counted(rest)
    };
    record.class == CLASS_ANY && record.ttl == 0 && fields().is_some_and(<[u8]>::is_empty)
}

/// What follows a field that starts with its length in two octets.
fn after_counted(octets: &[u8]) -> Option<&[u8]> {
    let &[l0, l1] = octets.first_chunk::<2>()?;
    octets[2..].get(usize::from(u16::from_be_bytes([l0, l1]))..)
}
