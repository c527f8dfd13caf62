//! Types that history has left in zone files: WKS, NSAP, ATMA, NXT, A6. BIND still reads them, so we do.

use std::fmt::{self, Write as _};
use std::net::Ipv6Addr;

use data_encoding::{HEXUPPER, HEXUPPER_PERMISSIVE};

use super::rdata::{self, Fault, Input, shown};
use super::{mnemonics, special, types};
use crate::model::Rtype;

/// The most octets of a bitmap of ports, with the protocol before it.
const MAX_SERVICES: usize = 1 + (1 << 16) / 8;
/// The most octets of a bitmap of types below 128.
const MAX_LOW_TYPES: usize = 16;
/// The format octet of an ATM address in hexadecimal, and that of one in digits.
const ATM_HEX: u8 = 0;
const ATM_DIGITS: u8 = 1;

/// Whether octets are a protocol and a bitmap of ports.
pub(super) fn are_services(octets: &[u8]) -> bool {
    (1..=MAX_SERVICES).contains(&octets.len()) && (octets.len() == 1 || octets.last() != Some(&0))
}

/// A protocol, then ports; both by name or number (RFC 1035 section 3.4.2).
pub(super) fn read_services(input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut octets = vec![special::named(input, mnemonics::TRANSPORTS, 0xff)? as u8];
    while !input.is_empty() {
        let port = usize::from(special::named(input, mnemonics::SERVICES, 0xffff)?);
        octets.resize(octets.len().max(port / 8 + 2), 0);
        octets[port / 8 + 1] |= 0x80 >> (port % 8);
    }
    out.extend(octets);
    Ok(())
}

/// Writes a protocol and ports as numbers.
pub(super) fn write_services(octets: &[u8], out: &mut String) -> fmt::Result {
    let Some((protocol, ports)) = octets.split_first() else { return Ok(()) };
    write!(out, "{protocol}")?;
    bits(ports).try_for_each(|port| write!(out, " {port}"))
}

/// The numbers of the bits that are set.
fn bits(octets: &[u8]) -> impl Iterator<Item = usize> {
    let of = |(at, octet): (usize, &u8)| {
        let octet = *octet;
        (0..8).filter(move |bit| octet & (0x80 >> bit) != 0).map(move |bit| at * 8 + bit)
    };
    octets.iter().enumerate().flat_map(of)
}

/// Whether octets are a bitmap of types from 1 to 127.
pub(super) fn are_low_types(octets: &[u8]) -> bool {
    octets.len() <= MAX_LOW_TYPES && octets.last() != Some(&0) && octets.first().is_none_or(|first| first & 0x80 == 0)
}

/// Types from 1 to 127, which may be none (RFC 2535 section 5.2).
pub(super) fn read_low_types(input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut octets: Vec<u8> = Vec::new();
    while !input.is_empty() {
        let rtype = special::numbered_type(input)?;
        if !(1..128).contains(&rtype.0) {
            return Err(input.fault(format!("type {} is not one of 1 to 127", types::mnemonic(rtype))));
        }
        let at = usize::from(rtype.0 / 8);
        octets.resize(octets.len().max(at + 1), 0);
        octets[at] |= 0x80 >> (rtype.0 % 8);
    }
    out.extend(octets);
    Ok(())
}

/// Writes types, each with a blank before it.
pub(super) fn write_low_types(octets: &[u8], out: &mut String) -> fmt::Result {
    bits(octets).try_for_each(|number| write!(out, " {}", types::mnemonic(Rtype(number as u16))))
}

/// `0x` and hexadecimal digits; dots may stand between them (RFC 1706 section 7).
pub(super) fn read_nsap(input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let text = input.word("an address such as 0x47.0005.80")?;
    let digits = text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X"));
    let digits: Option<Vec<u8>> = digits.map(|digits| digits.iter().copied().filter(|octet| *octet != b'.').collect());
    let octets = digits.and_then(|digits| HEXUPPER_PERMISSIVE.decode(&digits).ok()).filter(|octets| !octets.is_empty());
    out.extend(octets.ok_or_else(|| input.fault(format!("{} is not an address such as 0x47.0005.80", shown(text))))?);
    Ok(())
}

/// Writes an address of OSI.
pub(super) fn write_nsap(octets: &[u8], out: &mut String) -> fmt::Result {
    write!(out, "0x{}", HEXUPPER.encode(octets))
}

/// Whether octets are a format and an address in it.
pub(super) fn is_atm(octets: &[u8]) -> bool {
    match octets {
        [ATM_DIGITS, digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        _ => octets.len() > 1,
    }
}

/// `+` and digits, or hexadecimal digits; single dots may stand between them.
pub(super) fn read_atm(input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let text = input.word("an ATM address")?;
    let (format, rest) = match text.strip_prefix(b"+") {
        Some(digits) => (ATM_DIGITS, digits),
        None => (ATM_HEX, text),
    };
    let single = !rest.starts_with(b".") && !rest.ends_with(b".") && !rest.windows(2).any(|pair| pair == b"..");
    let digits: Vec<u8> = rest.iter().copied().filter(|octet| *octet != b'.').collect();
    let octets = match format {
        ATM_DIGITS => Some(digits).filter(|digits| digits.iter().all(u8::is_ascii_digit)),
        _ => HEXUPPER_PERMISSIVE.decode(&digits).ok(),
    };
    let octets = octets.filter(|octets| single && !octets.is_empty()).ok_or_else(|| {
        input.fault(format!("{} is not an ATM address such as 39.246f.000e or +61.2.0000", shown(text)))
    })?;
    out.push(format);
    out.extend(octets);
    Ok(())
}

/// Writes an ATM address of format 0 or 1.
pub(super) fn write_atm(octets: &[u8], out: &mut String) -> fmt::Result {
    match octets {
        [ATM_DIGITS, digits @ ..] => write!(out, "+{}", String::from_utf8_lossy(digits)),
        [_, address @ ..] => out.write_str(&HEXUPPER.encode(address)),
        [] => Ok(()),
    }
}

/// The bits of an IPv6 address behind a prefix of so many bits; all of 128 leave none.
pub(super) fn read_suffix(prefix: u8, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    if prefix == 128 {
        return Ok(());
    }
    let address = rdata::ipv6(input)?;
    let from = usize::from(prefix / 8);
    out.push(address[from] & (0xff >> (prefix % 8)));
    out.extend(&address[from + 1..]);
    Ok(())
}

/// Writes the bits behind a prefix as an address.
pub(super) fn write_suffix(octets: &[u8], out: &mut String) -> fmt::Result {
    let mut address = [0; 16];
    address[16 - octets.len()..].copy_from_slice(octets);
    write!(out, "{}", Ipv6Addr::from(address))
}

/// Whether the data of a field have a text that a reader takes back.
pub(super) fn has_text(field: types::Field, before: &[u8], octets: &[u8]) -> bool {
    match field {
        types::Field::Atm => matches!(octets, [ATM_HEX | ATM_DIGITS, ..]),
        types::Field::AddressSuffix => {
            let prefix = before.last().copied().unwrap_or_default();
            octets.first().is_none_or(|first| first & !(0xff >> (prefix % 8)) == 0)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_words_hold_no_numbers() {
        for (word, _) in mnemonics::SERVICES.iter().chain(mnemonics::TRANSPORTS) {
            assert!(!word.bytes().all(|octet| octet.is_ascii_digit()), "{word}");
        }
    }

    #[test]
    fn bits_count_from_the_left() {
        assert_eq!(bits(&[0x80, 0x01]).collect::<Vec<_>>(), [0, 15]);
    }
}
