//! How long a response may be kept by an HTTP cache (RFC 8484 section 5.1).

use crate::model::Rtype;
use crate::wire::decode::HEADER;

/// Seconds: the smallest TTL of the answer section; without one, how long the SOA record lets the negative answer be
/// believed (RFC 2308 section 5); 0 for anything else. `message` is one that we have written.
pub(super) fn freshness(message: &[u8]) -> u32 {
    seconds(message).unwrap_or(0)
}

fn seconds(message: &[u8]) -> Option<u32> {
    let word = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    let (answers, authorities) = (word(6)?, word(8)?);
    let mut at = HEADER;
    for _ in 0..word(4)? {
        at = name_end(message, at)? + 4;
    }
    let mut least = None;
    for index in 0..answers.checked_add(authorities)? {
        let fixed = name_end(message, at)?;
        let (rtype, length) = (Rtype(word(fixed)?), usize::from(word(fixed + 8)?));
        let ttl = u32::from_be_bytes(*message.get(fixed + 4..)?.first_chunk()?);
        at = fixed + 10 + length;
        let rdata = message.get(fixed + 10..at)?;
        let lifetime = match (index < answers, rtype) {
            (true, _) => ttl,
            (false, Rtype::SOA) if answers == 0 => ttl.min(u32::from_be_bytes(*rdata.last_chunk()?)),
            _ => continue,
        };
        least = Some(least.map_or(lifetime, |least: u32| least.min(lifetime)));
    }
    least
}

/// The offset behind a name, which may end in a pointer.
fn name_end(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            0xC0.. => return Some(at + 2),
            label => at += 1 + usize::from(label),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: &[u8] = b"\x03web\x00\x00\x01\x00\x01";

    fn message(counts: [u8; 2], records: &[&[u8]]) -> Vec<u8> {
        let header = [0, 0, 0x84, 0, 0, 1, 0, counts[0], 0, counts[1], 0, 0];
        [&header, QUESTION, &records.concat()].concat()
    }

    fn record(rtype: u8, ttl: u32, rdata: &[u8]) -> Vec<u8> {
        let head = [0xC0, 12, 0, rtype, 0, 1];
        [&head[..], &ttl.to_be_bytes(), &(rdata.len() as u16).to_be_bytes(), rdata].concat()
    }

    #[test]
    fn rfc8484_5_1_the_smallest_ttl_of_the_answer_counts() {
        let (a, b, ns) = (record(1, 300, &[192, 0, 2, 1]), record(1, 30, &[192, 0, 2, 2]), record(2, 5, &[0]));
        assert_eq!(freshness(&message([2, 1], &[&a, &b, &ns])), 30);
    }

    #[test]
    fn rfc8484_5_1_a_negative_answer_lives_as_long_as_its_soa_says() {
        let soa = |ttl, minimum: u32| record(6, ttl, &[&[0; 18][..], &minimum.to_be_bytes()].concat());
        assert_eq!(freshness(&message([0, 1], &[&soa(30, 5)])), 5);
        assert_eq!(freshness(&message([0, 1], &[&soa(3, 5)])), 3);
        assert_eq!(freshness(&message([0, 0], &[])), 0);
        assert_eq!(freshness(&message([0, 1], &[&record(2, 300, &[0])])), 0, "a referral is not kept");
        assert_eq!(freshness(&[]), 0);
    }
}
