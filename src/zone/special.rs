//! Fields with a syntax of their own: times, type bitmaps, mnemonics, places on earth, prefixes.

use data_encoding::HEXUPPER_PERMISSIVE;
use ipnet::IpNet;

use super::rdata::{self, Fault, Input, decimal, shown};
use super::{fields, mnemonics, substitution};
use crate::model::Rtype;

/// A number, or a mnemonic of `names`.
pub(super) fn named(input: &mut Input<'_>, names: &[(&str, u16)], max: u32) -> Result<u16, Fault> {
    let text = input.word("a number or mnemonic")?;
    let known = names.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(text)).map(|(_, value)| *value);
    known
        .or_else(|| decimal(text, max).map(|value| value as u16))
        .ok_or_else(|| input.fault(format!("{} is neither a known mnemonic nor a number from 0 to {max}", shown(text))))
}

/// Flags of a key: a number, also hexadecimal, or mnemonics joined by `|`, which may be cut
/// short (RFC 2535 section 7.1).
pub(super) fn key_flags(input: &mut Input<'_>) -> Result<u16, Fault> {
    let text = input.word("flags of a key")?;
    let digits = std::str::from_utf8(text).unwrap_or_default();
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let number = match hexadecimal {
        Some(digits) if !digits.starts_with('+') => u16::from_str_radix(digits, 16).ok(),
        _ => decimal(text, 0xffff).map(|value| value as u16),
    };
    let flag = |name: &[u8]| {
        let known = |(known, _): &&(&str, u16)| {
            known.as_bytes().get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
        };
        mnemonics::KEY_FLAGS.iter().find(known).map(|(_, value)| *value)
    };
    let named = || text.split(|octet| *octet == b'|').try_fold(0, |flags, name| Some(flags | flag(name)?));
    number
        .or_else(named)
        .ok_or_else(|| input.fault(format!("{} is neither a flag of a key nor a number from 0 to 65535", shown(text))))
}

/// A record type by mnemonic or number.
pub(super) fn numbered_type(input: &mut Input<'_>) -> Result<Rtype, Fault> {
    match input.peek().filter(|_| !input.is_quoted()).and_then(|text| decimal(text, 0xffff)) {
        Some(number) => {
            input.word("a record type")?;
            Ok(Rtype(number as u16))
        }
        None => rdata::rtype(input),
    }
}

/// The number of an X.25 subscriber: at least four digits (RFC 1183 section 3.1).
pub(super) fn digits(input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let string = rdata::text(input)?;
    if string.len() < 5 || !string[1..].iter().all(u8::is_ascii_digit) {
        return Err(input.fault(format!("{} is not a number of at least four digits", shown(&string[1..]))));
    }
    out.extend(string);
    Ok(())
}

/// A substitution expression (RFC 3402 section 3.2).
pub(super) fn substitution(input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let string = rdata::text(input)?;
    if !substitution::is_valid(&string[1..]) {
        let message = format!("{} is not a substitution such as \"!^.*$!sip:info@example.org!\"", shown(&string[1..]));
        return Err(input.fault(message));
    }
    out.extend(string);
    Ok(())
}

/// A URI, always between quotes (RFC 7553 section 4.5).
pub(super) fn uri(input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let quoted = input.is_quoted();
    rdata::long_text(input, out)?;
    match quoted {
        true => Ok(()),
        false => Err(input.fault("expected a URI between quotes here")),
    }
}

/// A time as seconds since 1970 or as `YYYYMMDDHHmmSS`, modulo 2^32 (RFC 4034 section 3.2).
pub(super) fn stamp(input: &mut Input<'_>) -> Result<u32, Fault> {
    let text = input.word("a time")?;
    let value = match text.len() {
        14 => calendar(text),
        _ => decimal(text, u32::MAX),
    };
    value.ok_or_else(|| input.fault(format!("{} is not a time such as 20300131235959", shown(text))))
}

fn calendar(text: &[u8]) -> Option<u32> {
    let part = |from: usize, to: usize| decimal(&text[from..to], 9999);
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
    let date = jiff::civil::Date::new(year as i16, month as i8, day as i8).ok()?;
    let leap = u32::from(second == 60);
    let time = jiff::civil::Time::new(hour as i8, minute as i8, (second - leap) as i8, 0).ok()?;
    let seconds = date.to_datetime(time).to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    Some((seconds as u32).wrapping_add(leap))
}

/// A property tag: letters and digits (RFC 8659 section 4.1).
pub(super) fn tag(input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let text = input.word("a tag")?;
    if !fields::is_tag(text) {
        return Err(input.fault(format!("{} is not a tag; expected 1 to 255 letters and digits", shown(text))));
    }
    out.push(text.len() as u8);
    out.extend(text);
    Ok(())
}

/// The bitmap of the types that are left, which may be none (RFC 4034 section 4.1.2).
pub(super) fn bitmap(input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut types = std::collections::BTreeSet::new();
    while !input.is_empty() {
        types.insert(rdata::rtype(input)?.0);
    }
    let mut windows: Vec<(u8, Vec<u8>)> = Vec::new();
    for rtype in types {
        let [window, low] = rtype.to_be_bytes();
        if windows.last().is_none_or(|(last, _)| *last != window) {
            windows.push((window, Vec::new()));
        }
        if let Some((_, bits)) = windows.last_mut() {
            bits.resize(usize::from(low / 8) + 1, 0);
            bits[usize::from(low / 8)] |= 0x80 >> (low % 8);
        }
    }
    for (window, bits) in windows {
        out.extend([window, bits.len() as u8]);
        out.extend(bits);
    }
    Ok(())
}

/// `count` groups of hexadecimal digits, padded to `digits` each.
pub(super) fn groups(
    input: &mut Input<'_>,
    out: &mut Vec<u8>,
    separator: u8,
    count: usize,
    digits: usize,
) -> Result<(), Fault> {
    let text = input.word("groups of hexadecimal digits")?;
    let group = |group: &[u8]| {
        if !(1..=digits).contains(&group.len()) {
            return None;
        }
        let padded = [&b"000"[..digits - group.len()], group].concat();
        HEXUPPER_PERMISSIVE.decode(&padded).ok()
    };
    let octets: Option<Vec<Vec<u8>>> = text.split(|octet| *octet == separator).map(group).collect();
    let octets = octets.filter(|groups| groups.len() == count).ok_or_else(|| {
        let separator = char::from(separator);
        input.fault(format!("{} is not {count} groups of {digits} digits, separated by {separator}", shown(text)))
    })?;
    out.extend(octets.concat());
    Ok(())
}

/// Items of an APL record: `[!]family:address/bits` (RFC 3123 section 5).
pub(super) fn prefixes(input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    while !input.is_empty() {
        let text = input.word("a prefix")?;
        let item = prefix(text).ok_or_else(|| {
            input.fault(format!("{} is not a prefix such as 1:192.0.2.0/24 or !2:2001:db8::/32", shown(text)))
        })?;
        out.extend(item);
    }
    Ok(())
}

fn prefix(text: &[u8]) -> Option<Vec<u8>> {
    let (negated, text) = match text.strip_prefix(b"!") {
        Some(rest) => (0x80, rest),
        None => (0, text),
    };
    let (family, net) = std::str::from_utf8(text).ok()?.split_once(':')?;
    let net: IpNet = net.parse().ok()?;
    let (number, mut octets) = match (net, decimal(family.as_bytes(), 2)?) {
        (IpNet::V4(net), 1) => (1, net.addr().octets().to_vec()),
        (IpNet::V6(net), 2) => (2, net.addr().octets().to_vec()),
        _ => return None,
    };
    while octets.last() == Some(&0) {
        octets.pop();
    }
    let head = [0, number, net.prefix_len(), negated | octets.len() as u8];
    Some([&head[..], &octets].concat())
}

/// A place on earth (RFC 1876 section 3): latitude, longitude, altitude, then size and precisions.
pub(super) fn location(input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let latitude = angle(input, [b'N', b'S'], 90)?;
    let longitude = angle(input, [b'E', b'W'], 180)?;
    let text = input.word("an altitude")?;
    let altitude = centimetres(text).map(|cm| cm + 10_000_000).and_then(|cm| u32::try_from(cm).ok());
    let altitude = altitude
        .ok_or_else(|| input.fault(format!("{} is not an altitude from -100000.00m to 42849672.95m", shown(text))))?;
    let size = precision(input, 0x12)?;
    let horizontal = precision(input, 0x16)?;
    let vertical = precision(input, 0x13)?;
    out.extend([0, size, horizontal, vertical]);
    out.extend(latitude.to_be_bytes());
    out.extend(longitude.to_be_bytes());
    out.extend(altitude.to_be_bytes());
    Ok(())
}

/// Whether octets are a location: of version 0 with digits as precisions and angles on earth, or of a later version.
pub(super) fn is_location(octets: &[u8]) -> bool {
    let [0, precisions @ ..] = octets else { return !octets.is_empty() };
    let precise = |octet: &u8| octet >> 4 <= 9 && octet & 0xf <= 9 && (octet >> 4 > 0 || octet & 0xf == 0);
    let angle = |at: usize, max: i64| {
        let value = u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]);
        (i64::from(value) - (1 << 31)).abs() <= max * 3_600_000
    };
    octets.len() == 16 && precisions[..3].iter().all(precise) && angle(4, 90) && angle(8, 180)
}

/// `degrees [minutes [seconds]] letter` in thousandths of a second of arc around 2^31.
fn angle(input: &mut Input<'_>, letters: [u8; 2], max: u32) -> Result<u32, Fault> {
    let mut thousandths = i64::from(rdata::number(input, max)?) * 3_600_000;
    for unit in [Some(60_000), Some(1000), None] {
        let text = input.word("minutes, seconds or a direction")?;
        let sign = match text {
            [letter] if *letter == letters[0] => Some(1),
            [letter] if *letter == letters[1] => Some(-1),
            _ => None,
        };
        if let Some(sign) = sign {
            if thousandths > i64::from(max) * 3_600_000 {
                return Err(input.fault(format!("this is more than {max} degrees")));
            }
            return Ok(((1i64 << 31) + sign * thousandths) as u32);
        }
        let value = match unit {
            Some(60_000) => decimal(text, 59).map(|minutes| i64::from(minutes) * 60_000),
            Some(_) => fixed(text, 3).filter(|value| *value < 60_000),
            None => None,
        };
        thousandths += value.ok_or_else(|| {
            let [plus, minus] = letters.map(char::from);
            input.fault(format!("{} is not a direction ({plus} or {minus}) and no part of an angle", shown(text)))
        })?;
    }
    Err(input.fault("a direction is missing"))
}

/// Metres with at most two decimals, `m` optional, in centimetres.
fn centimetres(text: &[u8]) -> Option<i64> {
    let text = text.strip_suffix(b"m").unwrap_or(text);
    match (text.strip_prefix(b"-"), text.strip_prefix(b"+")) {
        (Some(rest), _) => fixed(rest, 2).map(|value| -value),
        (None, Some(rest)) => fixed(rest, 2),
        (None, None) => fixed(text, 2),
    }
}

/// A decimal fraction with up to `places` decimals, times 10^places.
fn fixed(text: &[u8], places: usize) -> Option<i64> {
    let (whole, fraction) = match text.iter().position(|octet| *octet == b'.') {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &b""[..]),
    };
    if (whole.is_empty() && fraction.is_empty()) || fraction.len() > places {
        return None;
    }
    let whole = if whole.is_empty() { b"0" } else { whole };
    let padded = [fraction, &b"000"[..places - fraction.len()]].concat();
    let scale = 10i64.pow(places as u32);
    Some(i64::from(decimal(whole, u32::MAX)?) * scale + i64::from(decimal(&padded, 999)?))
}

/// A size or precision as one digit and a power of ten, in centimetres.
fn precision(input: &mut Input<'_>, default: u8) -> Result<u8, Fault> {
    if input.is_empty() {
        return Ok(default);
    }
    let text = input.word("a size")?;
    let value = centimetres(text).filter(|value| (0..=9_000_000_000).contains(value));
    let mut mantissa =
        value.ok_or_else(|| input.fault(format!("{} is not a size from 0 to 90000000m", shown(text))))?;
    let mut exponent = 0;
    while mantissa > 9 {
        mantissa /= 10;
        exponent += 1;
    }
    Ok((mantissa as u8) << 4 | exponent)
}
