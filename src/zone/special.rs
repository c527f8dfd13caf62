//! Fields with a syntax of their own: times, type bitmaps, algorithm names, places on earth, prefixes.

use data_encoding::HEXUPPER_PERMISSIVE;
use ipnet::IpNet;

use super::presentation;
use super::rdata::{self, Fault, Input, decimal, shown};

/// DNSSEC algorithms by mnemonic, as the registry has them.
pub(super) const ALGORITHMS: &[(&str, u16)] = &[
    ("DELETE", 0),
    ("RSAMD5", 1),
    ("DH", 2),
    ("DSA", 3),
    ("RSASHA1", 5),
    ("DSA-NSEC3-SHA1", 6),
    ("NSEC3DSA", 6),
    ("RSASHA1-NSEC3-SHA1", 7),
    ("NSEC3RSASHA1", 7),
    ("RSASHA256", 8),
    ("RSASHA512", 10),
    ("ECC-GOST", 12),
    ("ECCGOST", 12),
    ("ECDSAP256SHA256", 13),
    ("ECDSA256", 13),
    ("ECDSAP384SHA384", 14),
    ("ECDSA384", 14),
    ("ED25519", 15),
    ("ED448", 16),
    ("INDIRECT", 252),
    ("PRIVATEDNS", 253),
    ("PRIVATEOID", 254),
];

/// Certificate types by mnemonic (RFC 4398 section 2.1).
pub(super) const CERTIFICATES: &[(&str, u16)] = &[
    ("PKIX", 1),
    ("SPKI", 2),
    ("PGP", 3),
    ("IPKIX", 4),
    ("ISPKI", 5),
    ("IPGP", 6),
    ("ACPKIX", 7),
    ("IACPKIX", 8),
    ("URI", 253),
    ("OID", 254),
];

/// A number, or a mnemonic of `names`.
pub(super) fn named(input: &mut Input<'_>, names: &[(&str, u16)], max: u32) -> Result<u16, Fault> {
    let text = input.word("a number or mnemonic")?;
    let known = names.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(text)).map(|(_, value)| *value);
    known
        .or_else(|| decimal(text, max).map(|value| value as u16))
        .ok_or_else(|| input.fault(format!("{} is neither a known mnemonic nor a number from 0 to {max}", shown(text))))
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
    let time = jiff::civil::Time::new(hour as i8, minute as i8, second as i8, 0).ok()?;
    let seconds = date.to_datetime(time).to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    Some(seconds as u32)
}

/// A property tag: letters and digits (RFC 8659 section 4.1).
pub(super) fn tag(input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let text = input.word("a tag")?;
    if text.len() > presentation::MAX_STRING || !text.iter().all(u8::is_ascii_alphanumeric) {
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
    let exact = separator == b'-';
    let group = |group: &[u8]| {
        let fits = if exact { group.len() == digits } else { (1..=digits).contains(&group.len()) };
        if !fits {
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
    let (number, mut octets) = match net {
        IpNet::V4(net) if family == "1" => (1, net.addr().octets().to_vec()),
        IpNet::V6(net) if family == "2" => (2, net.addr().octets().to_vec()),
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

/// `degrees [minutes [seconds]] letter` in thousandths of a second of arc around 2^31.
fn angle(input: &mut Input<'_>, letters: [u8; 2], max: u32) -> Result<u32, Fault> {
    let mut thousandths = i64::from(rdata::number(input, max)?) * 3_600_000;
    for unit in [Some(60_000), Some(1000), None] {
        let text = input.word("minutes, seconds or a direction")?;
        let sign = match text {
            [letter] if letter.eq_ignore_ascii_case(&letters[0]) => Some(1),
            [letter] if letter.eq_ignore_ascii_case(&letters[1]) => Some(-1),
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
    match text.strip_prefix(b"-") {
        Some(rest) => fixed(rest, 2).map(|value| -value),
        None => fixed(text, 2),
    }
}

/// A decimal fraction with up to `places` decimals, times 10^places.
fn fixed(text: &[u8], places: usize) -> Option<i64> {
    let (whole, fraction) = match text.iter().position(|octet| *octet == b'.') {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &b""[..]),
    };
    if whole.is_empty() || fraction.len() > places {
        return None;
    }
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
