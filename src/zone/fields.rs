//! RDATA in wire format, cut into its fields: for printing, for comparison, and to check data written in hexadecimal.

use super::types::{self, Field};
use crate::model::Rtype;
use crate::model::name::{MAX_LABEL, MAX_NAME};

/// A field and its octets, length octets included.
pub(super) type Part<'r> = (Field, &'r [u8]);

/// Cuts RDATA into the fields of its type; `None` if it does not fit them. No parts for a type without fields.
pub(super) fn split(rtype: Rtype, rdata: &[u8]) -> Option<Vec<Part<'_>>> {
    let Some(fields) = types::fields(rtype) else { return Some(Vec::new()) };
    let mut rest = rdata;
    let mut parts = Vec::with_capacity(fields.len());
    for &field in fields {
        let (octets, behind) = rest.split_at_checked(length(field, rest)?)?;
        parts.push((field, octets));
        rest = behind;
    }
    rest.is_empty().then_some(parts)
}

/// How many octets of `rest` the field takes; `None` if they are not valid for it.
fn length(field: Field, rest: &[u8]) -> Option<usize> {
    match field {
        Field::U8 | Field::Algorithm => Some(1),
        Field::U16 | Field::Type | Field::Certificate => Some(2),
        Field::U32 | Field::Seconds | Field::Stamp | Field::Ipv4 => Some(4),
        Field::Eui48 => Some(6),
        Field::Eui64 | Field::Locator => Some(8),
        Field::Ipv6 => Some(16),
        Field::Location => (rest.first() == Some(&0)).then_some(16),
        Field::Name => name_length(rest),
        Field::Text | Field::Salt | Field::Hash | Field::Tag => Some(1 + usize::from(*rest.first()?)),
        Field::Texts => strings(rest).map(|_| rest.len()),
        Field::Types => windows(rest).map(|_| rest.len()),
        Field::Prefixes => prefixes(rest).map(|_| rest.len()),
        Field::Params => params(rest).map(|_| rest.len()),
        Field::Hex | Field::Base64 | Field::LongText => Some(rest.len()),
    }
}

/// The length of the uncompressed name that `octets` begin with.
fn name_length(octets: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *octets.get(at)? {
            0 => return (at < MAX_NAME).then_some(at + 1),
            len if usize::from(len) <= MAX_LABEL => at += 1 + usize::from(len),
            _ => return None,
        }
    }
}

/// The character strings that `octets` are made of, at least one.
pub(super) fn strings(mut octets: &[u8]) -> Option<Vec<&[u8]>> {
    let mut all = Vec::new();
    while let Some((&len, rest)) = octets.split_first() {
        let (string, rest) = rest.split_at_checked(usize::from(len))?;
        all.push(string);
        octets = rest;
    }
    (!all.is_empty()).then_some(all)
}

/// The types in a bitmap, in order (RFC 4034 section 4.1.2).
pub(super) fn windows(mut octets: &[u8]) -> Option<Vec<Rtype>> {
    let mut types = Vec::new();
    let mut lowest = 0;
    while let [window, len, rest @ ..] = octets {
        if u16::from(*window) < lowest || !(1..=32).contains(len) {
            return None;
        }
        lowest = u16::from(*window) + 1;
        let (bitmap, behind) = rest.split_at_checked(usize::from(*len))?;
        if bitmap.last() == Some(&0) {
            return None;
        }
        for (index, octet) in bitmap.iter().enumerate() {
            let set = (0..8u16).filter(|bit| octet & (0x80 >> bit) != 0);
            types.extend(set.map(|bit| Rtype(u16::from(*window) * 256 + index as u16 * 8 + bit)));
        }
        octets = behind;
    }
    octets.is_empty().then_some(types)
}

/// One item of an APL record (RFC 3123).
pub(super) struct Prefix<'r> {
    /// 1 for IPv4, 2 for IPv6.
    pub(super) family: u16,
    /// Its length in bits.
    pub(super) bits: u8,
    /// Whether the item is negated.
    pub(super) negated: bool,
    /// The address without trailing zero octets.
    pub(super) address: &'r [u8],
}

/// The items of an APL record.
pub(super) fn prefixes(mut octets: &[u8]) -> Option<Vec<Prefix<'_>>> {
    let mut items = Vec::new();
    while let [high, low, bits, flagged, rest @ ..] = octets {
        let (address, behind) = rest.split_at_checked(usize::from(flagged & 0x7f))?;
        let family = u16::from_be_bytes([*high, *low]);
        let width = match family {
            1 => 4,
            2 => 16,
            _ => return None,
        };
        if usize::from(*bits) > width * 8 || address.len() > width {
            return None;
        }
        items.push(Prefix { family, bits: *bits, negated: flagged & 0x80 != 0, address });
        octets = behind;
    }
    octets.is_empty().then_some(items)
}

/// The keys and values of an SVCB record, keys strictly increasing (RFC 9460 section 2.2).
pub(super) fn params(mut octets: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let mut all: Vec<(u16, &[u8])> = Vec::new();
    while let [k1, k2, l1, l2, rest @ ..] = octets {
        let key = u16::from_be_bytes([*k1, *k2]);
        let (value, behind) = rest.split_at_checked(usize::from(u16::from_be_bytes([*l1, *l2])))?;
        if all.last().is_some_and(|(last, _)| *last >= key) || !super::svcb::is_valid(key, value) {
            return None;
        }
        all.push((key, value));
        octets = behind;
    }
    octets.is_empty().then_some(all)
}

/// RDATA with the case of its names folded: equal for records that DNS takes for the same (RFC 4034 section 6.2).
pub(super) fn canonical(rtype: Rtype, rdata: &[u8]) -> Vec<u8> {
    let mut folded = rdata.to_vec();
    let mut at = 0;
    for (field, octets) in split(rtype, rdata).unwrap_or_default() {
        if field == Field::Name {
            folded[at..at + octets.len()].make_ascii_lowercase();
        }
        at += octets.len();
    }
    folded
}

/// What only the whole of the RDATA shows to be wrong.
pub(super) fn verify(rtype: Rtype, rdata: &[u8]) -> Result<(), String> {
    const DS_LIKE: [u16; 4] = [43, 59, 32768, 32769];
    let digest = |at: usize, kind: u8, expected: Option<usize>| match (expected, rdata.len().saturating_sub(at)) {
        (Some(expected), got) if got != expected => {
            Err(format!("a digest of type {kind} has {expected} octets; this one has {got}"))
        }
        (None, 0) => Err("the digest is empty".to_owned()),
        _ => Ok(()),
    };
    match (rtype.0, rdata) {
        (43 | 59 | 32768 | 32769, [_, _, _, 0, 0]) => Ok(()),
        (number, [_, _, _, kind, ..]) if DS_LIKE.contains(&number) => {
            digest(4, *kind, [None, Some(20), Some(32), Some(32), Some(48)].get(usize::from(*kind)).copied().flatten())
        }
        (44, [_, kind, ..]) => digest(2, *kind, [None, Some(20), Some(32)].get(usize::from(*kind)).copied().flatten()),
        (63, [_, _, _, _, _, kind, ..]) => match (kind, rdata.len() - 6) {
            (1 | 2, _) => digest(6, *kind, Some(if *kind == 1 { 48 } else { 64 })),
            (_, 0..12) => Err("a digest has at least 12 octets".to_owned()),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_are_cut_at_their_fields() {
        let mx = b"\x00\x0a\x01a\x00";
        assert_eq!(split(Rtype::MX, mx).map(|parts| parts.len()), Some(2));
        assert_eq!(split(Rtype::MX, b"\x00\x0a\xc0\x00"), None, "compressed");
        assert_eq!(split(Rtype::MX, b"\x00\x0a\x01a\x00x"), None, "octets left over");
        assert_eq!(split(Rtype::TXT, b""), None);
        assert_eq!(split(Rtype(64999), b"x"), Some(Vec::new()));
    }

    #[test]
    fn names_compare_without_case_and_strings_with_it() {
        assert_eq!(canonical(Rtype::NS, b"\x01A\x00"), b"\x01a\x00");
        assert_eq!(canonical(Rtype::TXT, b"\x01A"), b"\x01A");
    }
}
