//! RDATA in wire format, cut into its fields: for printing, for comparison, and to check data written in hexadecimal.

use super::types::{self, Field};
use super::{gateway, obsolete, special, substitution, svcb};
use crate::model::name::{MAX_LABEL, MAX_NAME};
use crate::model::{Name, Rtype};

/// A field and its octets, length octets included.
pub(super) type Part<'r> = (Field, &'r [u8]);

/// Cuts RDATA into the fields of its type; `None` if it does not fit them. No parts for a type without fields.
pub(super) fn split(rtype: Rtype, rdata: &[u8]) -> Option<Vec<Part<'_>>> {
    let Some(fields) = types::fields(rtype) else { return Some(Vec::new()) };
    let mut rest = rdata;
    let mut parts = Vec::with_capacity(fields.len());
    for &field in fields {
        let before = &rdata[..rdata.len() - rest.len()];
        let (octets, behind) = rest.split_at_checked(length(field, before, rest)?)?;
        parts.push((field, octets));
        rest = behind;
    }
    rest.is_empty().then_some(parts)
}

/// How many octets of `rest` the field takes, behind those `before` it; `None` if they are not valid for it.
fn length(field: Field, before: &[u8], rest: &[u8]) -> Option<usize> {
    let all_if = |valid: bool| valid.then_some(rest.len());
    match field {
        Field::U8 | Field::Algorithm | Field::Protocol | Field::DigestType | Field::HashAlgorithm | Field::Scheme => {
            Some(1)
        }
        Field::U16 | Field::Type | Field::Certificate | Field::KeyFlags => Some(2),
        Field::U32 | Field::Seconds | Field::Stamp | Field::Ipv4 => Some(4),
        Field::Eui48 => Some(6),
        Field::Eui64 | Field::Locator => Some(8),
        Field::Ipv6 => Some(16),
        Field::Location => all_if(special::is_location(rest)),
        Field::Name => name_length(rest),
        Field::Text | Field::Salt | Field::Hash => string_length(rest),
        Field::Tag => string_length(rest).filter(|end| is_tag(rest.get(1..*end).unwrap_or_default())),
        Field::Digits => string_length(rest)
            .filter(|end| *end > 4 && rest.get(1..*end).is_some_and(|s| s.iter().all(u8::is_ascii_digit))),
        Field::Substitution => string_length(rest).filter(|end| rest.get(1..*end).is_some_and(substitution::is_valid)),
        Field::OptionalText if rest.is_empty() => Some(0),
        Field::OptionalText => string_length(rest),
        Field::Texts => strings(rest).map(|_| rest.len()),
        Field::Types => windows(rest).map(|_| rest.len()),
        Field::Prefixes => prefixes(rest).map(|_| rest.len()),
        Field::Params => params(rest).map(|_| rest.len()),
        Field::Hex | Field::Base64 | Field::Nsap => all_if(!rest.is_empty()),
        Field::LongText | Field::Uri | Field::OptionalBase64 | Field::DashBase64 => Some(rest.len()),
        Field::GatewayType => (*rest.first()? <= 3).then_some(1),
        Field::RelayType => Some(1),
        Field::Gateway => gateway::length(*before.get(1)?, rest),
        Field::Relay => gateway::length(before.last()? & 0x7f, rest),
        Field::HostIdentity => gateway::identity(rest).map(|_| rest.len()),
        Field::LowTypes => all_if(obsolete::are_low_types(rest)),
        Field::Services => all_if(obsolete::are_services(rest)),
        Field::Atm => all_if(obsolete::is_atm(rest)),
        Field::PrefixLength => (*rest.first()? <= 128).then_some(1),
        Field::AddressSuffix => Some(16 - usize::from(before.last()? / 8)),
        Field::PrefixName if before.first() == Some(&0) => Some(0),
        Field::PrefixName => name_length(rest),
    }
}

/// The length of the character string that `octets` begin with, its length octet included.
fn string_length(octets: &[u8]) -> Option<usize> {
    Some(1 + usize::from(*octets.first()?))
}

/// Whether octets may be a property tag (RFC 8659 section 4.1).
pub(super) fn is_tag(octets: &[u8]) -> bool {
    (1..=usize::from(u8::MAX)).contains(&octets.len()) && octets.iter().all(u8::is_ascii_alphanumeric)
}

/// The length of the uncompressed name that `octets` begin with.
pub(super) fn name_length(octets: &[u8]) -> Option<usize> {
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
            _ => usize::from(u8::MAX),
        };
        if usize::from(*bits) > width * 8 || address.len() > width || address.last() == Some(&0) {
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
pub fn canonical(rtype: Rtype, rdata: &[u8]) -> Vec<u8> {
    let mut folded = rdata.to_vec();
    let mut at = 0;
    for (field, octets) in split(rtype, rdata).unwrap_or_default() {
        if matches!(field, Field::Name | Field::PrefixName) {
            folded[at..at + octets.len()].make_ascii_lowercase();
        }
        at += octets.len();
    }
    folded
}

/// Whether RDATA fits its type; that of a type without known fields does.
pub fn check_rdata(rtype: Rtype, rdata: &[u8]) -> bool {
    split(rtype, rdata).is_some() && verify(rtype, rdata).is_ok()
}

/// What only the whole of the RDATA shows to be wrong.
pub(super) fn verify(rtype: Rtype, rdata: &[u8]) -> Result<(), String> {
    let exact = |at: usize, kind: u8, expected: Option<usize>| match (expected, rdata.len().saturating_sub(at)) {
        (Some(expected), got) if got != expected => {
            Err(format!("a digest of type {kind} has {expected} octets; this one has {got}"))
        }
        _ => Ok(()),
    };
    match (rtype.0, rdata) {
        (43 | 59 | 32768 | 32769, [_, _, _, kind, ..]) => exact(4, *kind, known(*kind, &[(1, 20), (2, 32), (4, 48)])),
        (44, [_, kind, ..]) => exact(2, *kind, known(*kind, &[(1, 20), (2, 32)])),
        (63, [_, _, _, _, _, kind, rest @ ..]) => match kind {
            1 | 2 => exact(6, *kind, known(*kind, &[(1, 48), (2, 64)])),
            _ if rest.len() < 12 => Err("a digest has at least 12 octets".to_owned()),
            _ => Ok(()),
        },
        (47, _) if name_length(rdata) == Some(rdata.len()) => Err("an NSEC record has at least one type".to_owned()),
        (50, [1, _, _, _, salt, rest @ ..]) => match rest.get(usize::from(*salt)) {
            Some(20) => Ok(()),
            other => Err(format!("a hash of algorithm 1 has 20 octets; this one has {}", other.unwrap_or(&0))),
        },
        (25 | 48 | 57 | 60, [flags, ..]) if rdata.len() == 4 && (rtype.0 != 25 || flags & 0xc0 != 0xc0) => {
            Err("the key is empty".to_owned())
        }
        (25, [flags, ..]) if rdata.len() > 4 && flags & 0xc0 == 0xc0 => {
            Err("the flags say that there is no key; one follows".to_owned())
        }
        (46, [_, _, _, labels, ..]) => {
            let signer = rdata.get(18..).and_then(|rest| Name::from_wire(rest.get(..name_length(rest)?)?).ok());
            match signer.map_or(0, |signer| signer.labels().count()) {
                signed if signed > usize::from(*labels) => Err(format!(
                    "the owner has {labels} labels, and so is not in the zone of the signer, who has {signed}"
                )),
                _ => Ok(()),
            }
        }
        (57, [high, low, ..]) if [*high, *low] != [0, 0] => Err("the flags of an RKEY record are 0".to_owned()),
        (64 | 65, _) => svcb::verify(rdata),
        _ => Ok(()),
    }
}

/// Whether a key or digest of the private algorithm 253 begins with a name (RFC 4034 appendix A.1.1). BIND asks for it
/// where data are written in hexadecimal.
pub(super) fn is_named_privately(rtype: Rtype, rdata: &[u8]) -> bool {
    let key = match (rtype.0, rdata) {
        (25 | 48 | 57 | 60, [_, _, _, 253, key @ ..]) => key,
        (43 | 59 | 32768 | 32769, [_, _, 253, _, key @ ..]) => key,
        _ => return true,
    };
    key.is_empty() || name_length(key).is_some_and(|length| length <= key.len())
}

/// The length of a digest by its type.
fn known(kind: u8, lengths: &[(u8, usize)]) -> Option<usize> {
    lengths.iter().find(|(number, _)| *number == kind).map(|(_, length)| *length)
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
