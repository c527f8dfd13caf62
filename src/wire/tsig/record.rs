//! The TSIG record of a message (RFC 8945 section 4.2), read and written.

use crate::model::name::MAX_NAME;
use crate::model::{Name, Rtype};
use crate::wire::decode::HEADER;

/// Class ANY and TTL 0, which every TSIG record has.
pub(super) const CLASS_AND_TTL: [u8; 6] = [0, 255, 0, 0, 0, 0];
/// Octets of a record besides its names, its MAC and its other data.
pub(super) const FIXED: usize = 2 + CLASS_AND_TTL.len() + 2 + 6 + 2 + 2 + 2 + 2 + 2;

/// What a TSIG record says. Its names are lower-case and uncompressed, as they are in what is signed.
#[derive(Debug, Clone)]
pub(super) struct Record<'p> {
    /// The key.
    pub(super) name: Name,
    /// The name of its algorithm.
    pub(super) algorithm: Name,
    /// Seconds since 1970, 48 bits.
    pub(super) time: u64,
    /// Seconds by which the clocks may differ.
    pub(super) fudge: u16,
    pub(super) mac: &'p [u8],
    /// The id that the message was signed with: forwarders change that of the header.
    pub(super) original_id: u16,
    pub(super) error: u16,
    pub(super) other: &'p [u8],
}

impl<'p> Record<'p> {
    /// Reads the record at `at`, which is the last of the message; `None` if it is malformed.
    pub(super) fn read(packet: &'p [u8], at: usize) -> Option<Self> {
        let (name, at) = read_name(packet, at)?;
        let rest = packet.get(at..)?;
        let (head, rest) = rest.split_at_checked(2 + CLASS_AND_TTL.len())?;
        let whole = head[..2] == Rtype::TSIG.0.to_be_bytes() && head[2..] == CLASS_AND_TTL;
        let rdata = counted(rest).filter(|(_, rest)| whole && rest.is_empty())?.0;
        let (algorithm, end) = read_name(rdata, 0)?;
        let (&[a, b, c, d, e, f, f0, f1], rest) = rdata.get(end..)?.split_first_chunk::<8>()?;
        let (mac, rest) = counted(rest)?;
        let (&[i0, i1, e0, e1], rest) = rest.split_first_chunk::<4>()?;
        let (other, rest) = counted(rest)?;
        rest.is_empty().then_some(Self {
            name,
            algorithm,
            time: u64::from_be_bytes([0, 0, a, b, c, d, e, f]),
            fudge: u16::from_be_bytes([f0, f1]),
            mac,
            original_id: u16::from_be_bytes([i0, i1]),
            error: u16::from_be_bytes([e0, e1]),
            other,
        })
    }

    /// What is signed besides the message (RFC 8945 section 4.3.3).
    pub(super) fn variables(&self) -> Vec<u8> {
        let mut octets = [self.name.as_wire(), &CLASS_AND_TTL, self.algorithm.as_wire()].concat();
        octets.extend_from_slice(&self.timers());
        octets.extend_from_slice(&self.error.to_be_bytes());
        put_counted(&mut octets, self.other);
        octets
    }

    /// What is signed besides the message in every message of a stream but the first (RFC 8945 section 5.3.1).
    pub(super) fn timers(&self) -> [u8; 8] {
        let ([_, _, a, b, c, d, e, f], [f0, f1]) = (self.time.to_be_bytes(), self.fudge.to_be_bytes());
        [a, b, c, d, e, f, f0, f1]
    }

    /// The whole record.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut rdata = [self.algorithm.as_wire(), &self.timers()].concat();
        put_counted(&mut rdata, self.mac);
        rdata.extend_from_slice(&self.original_id.to_be_bytes());
        rdata.extend_from_slice(&self.error.to_be_bytes());
        put_counted(&mut rdata, self.other);
        let mut octets = [self.name.as_wire(), &Rtype::TSIG.0.to_be_bytes(), &CLASS_AND_TTL].concat();
        put_counted(&mut octets, &rdata);
        octets
    }
}

/// The octets behind their length in two octets, and what follows.
fn counted(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = octets.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

fn put_counted(octets: &mut Vec<u8>, data: &[u8]) {
    octets.extend_from_slice(&(data.len() as u16).to_be_bytes());
    octets.extend_from_slice(data);
}

/// The name at `at` and the offset behind it. It may be compressed, as some clients write it: each pointer leads to
/// before everything that was read so far, so the walk ends.
fn read_name(packet: &[u8], start: usize) -> Option<(Name, usize)> {
    let (mut at, mut bound, mut end) = (start, start, None);
    let mut wire = Vec::new();
    loop {
        let label = *packet.get(at)?;
        match label {
            0 => break wire.push(0),
            0xC0.. => {
                end = end.or(Some(at + 2));
                at = usize::from(u16::from_be_bytes([label & 0x3F, *packet.get(at + 1)?]));
                if !(HEADER..bound).contains(&at) {
                    return None;
                }
                bound = at;
            }
            _ => {
                let next = at + 1 + usize::from(label);
                wire.extend_from_slice(packet.get(at..next)?);
                at = next;
            }
        }
        if wire.len() >= MAX_NAME {
            return None;
        }
    }
    Some((Name::from_wire(&wire).ok()?, end.unwrap_or(at + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record<'static> {
        let name = |text| Name::parse_absolute(text).expect("a name");
        let (name, algorithm) = (name("key.example.org"), name("hmac-sha256"));
        let (time, fudge, original_id, error) = (0x0102_0304_0506, 300, 7, 18);
        Record { name, algorithm, time, fudge, mac: b"0123456789", original_id, error, other: b"abcdef" }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let octets = record().write();
        assert_eq!(octets.len(), FIXED + 17 + 13 + 10 + 6);
        let read = Record::read(&octets, 0).expect("it is whole");
        assert_eq!(format!("{read:?}"), format!("{:?}", record()));
        for end in 0..octets.len() {
            assert!(Record::read(&octets[..end], 0).is_none(), "cut at {end}");
        }
        assert!(Record::read(&[&octets[..], b"\0"].concat(), 0).is_none(), "something behind it");
    }

    #[test]
    fn rfc8945_4_2_class_and_ttl_are_fixed() {
        let octets = record().write();
        for at in 17..17 + 2 + CLASS_AND_TTL.len() {
            let mut wrong = octets.clone();
            wrong[at] ^= 1;
            assert!(Record::read(&wrong, 0).is_none(), "octet {at}");
        }
    }

    #[test]
    fn names_are_followed_backwards_only() {
        let packet = [&[0; HEADER][..], b"\x07Example\x03org\0", b"\x01k\xC0\x0C", b"\xC0\x19", b"\xC0\x1D"].concat();
        assert_eq!(
            read_name(&packet, 25).map(|(name, end)| (name.to_string(), end)),
            Some(("k.example.org.".into(), 29))
        );
        assert_eq!(
            read_name(&packet, 29).map(|(name, end)| (name.to_string(), end)),
            Some(("k.example.org.".into(), 31))
        );
        for wrong in [&b"\xC0\x1F"[..], b"\xC0\x21", b"\xC0\x00", b"\xC0", b"\x40a", b"\x03ab"] {
            assert!(read_name(&[&packet[..31], wrong].concat(), 31).is_none(), "{wrong:?}");
        }
        let long = [
            &[0; HEADER][..],
            &b"\x3fa23456789012345678901234567890123456789012345678901234567890123".repeat(4),
            b"\0",
        ];
        assert!(read_name(&long.concat(), HEADER).is_none());
    }
}
