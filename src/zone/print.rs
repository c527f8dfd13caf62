//! Records as text that a zone file reader takes back: for people, diffs and exports.

use std::fmt::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::{BASE32HEX_NOPAD, BASE64, HEXUPPER};

use super::fields::{self, Part};
use super::types::{self, Field};
use super::{StaticRecord, gateway, obsolete, svcb};
use crate::model::{Record, Rtype};

impl fmt::Display for StaticRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&record(&self.record))
    }
}

/// A record in one line: owner, TTL, class, type, data.
pub fn record(record: &Record) -> String {
    let data = rdata(record.rtype, &record.rdata);
    format!("{} {} IN {} {data}", record.owner, record.ttl, types::mnemonic(record.rtype))
}

/// RDATA as text; in the form of RFC 3597 if the type or its data are not known.
pub fn rdata(rtype: Rtype, rdata: &[u8]) -> String {
    let parts = fields::split(rtype, rdata).unwrap_or_default();
    let mut out = String::new();
    if parts.is_empty() || fields::verify(rtype, rdata).is_err() || !all_have_text(&parts, rdata) {
        write!(out, "\\# {}", rdata.len()).expect("a String takes everything");
        if !rdata.is_empty() {
            write!(out, " {}", HEXUPPER.encode(rdata)).expect("a String takes everything");
        }
        return out;
    }
    let mut before = 0;
    for part in parts {
        let (field, octets) = part;
        let brings_blank = matches!(field, Field::Types | Field::LowTypes | Field::Params | Field::OptionalBase64)
            || (octets.is_empty() && matches!(field, Field::OptionalText | Field::AddressSuffix | Field::PrefixName));
        if before > 0 && !brings_blank {
            out.push(' ');
        }
        write_part(part, &rdata[..before], &mut out).expect("a String takes everything");
        before += octets.len();
    }
    out
}

fn all_have_text(parts: &[Part<'_>], rdata: &[u8]) -> bool {
    let mut before = 0;
    parts.iter().all(|part| {
        let known = has_text(*part, &rdata[..before]);
        before += part.1.len();
        known
    })
}

/// Whether a field has a text of its own: empty rests, odd tags and exotic places have none that a reader would take.
fn has_text((field, octets): Part<'_>, before: &[u8]) -> bool {
    match field {
        Field::Prefixes => fields::prefixes(octets)
            .is_some_and(|items| items.iter().all(|item| matches!(item.family, 1 | 2)) && !items.is_empty()),
        Field::Hash => octets.len() > 1,
        Field::Location => octets.first() == Some(&0),
        Field::Relay => before.last().is_some_and(|kind| kind & 0x7f <= 3),
        other => obsolete::has_text(other, before, octets),
    }
}

fn write_part((field, octets): Part<'_>, before: &[u8], out: &mut String) -> fmt::Result {
    match field {
        Field::Stamp => out.write_str(&stamp(big_endian(octets) as u32)),
        Field::Ipv4 => write!(out, "{}", Ipv4Addr::from(array(octets))),
        Field::Ipv6 => write!(out, "{}", Ipv6Addr::from(array(octets))),
        Field::Name | Field::PrefixName => write_name(octets, out),
        Field::Text | Field::OptionalText | Field::Digits | Field::Substitution => {
            octets.get(1..).map(|text| write_quoted(text, out)).unwrap_or_default();
            Ok(())
        }
        Field::Texts => {
            let quote = |string: &&[u8]| {
                let mut quoted = String::new();
                write_quoted(string, &mut quoted);
                quoted
            };
            let strings: Vec<String> = fields::strings(octets).iter().flatten().map(quote).collect();
            out.write_str(&strings.join(" "))
        }
        Field::LongText | Field::Uri => {
            write_quoted(octets, out);
            Ok(())
        }
        Field::Tag => out.write_str(&String::from_utf8_lossy(&octets[1..])),
        Field::Hex => out.write_str(&HEXUPPER.encode(octets)),
        Field::Salt if octets.len() == 1 => out.write_char('-'),
        Field::Salt => out.write_str(&HEXUPPER.encode(&octets[1..])),
        Field::Hash => out.write_str(&BASE32HEX_NOPAD.encode(&octets[1..])),
        Field::DashBase64 if octets.is_empty() => out.write_char('-'),
        Field::OptionalBase64 if octets.is_empty() => Ok(()),
        Field::OptionalBase64 => write!(out, " {}", BASE64.encode(octets)),
        Field::Base64 | Field::DashBase64 => out.write_str(&BASE64.encode(octets)),
        Field::Type => out.write_str(&types::mnemonic(Rtype(big_endian(octets) as u16))),
        Field::Types => {
            let types = fields::windows(octets).unwrap_or_default();
            types.into_iter().try_for_each(|rtype| write!(out, " {}", types::mnemonic(rtype)))
        }
        Field::Eui48 | Field::Eui64 => out.write_str(&grouped(octets, 1, "-")),
        Field::Locator => out.write_str(&grouped(octets, 2, ":")),
        Field::Location => write_location(octets, out),
        Field::Prefixes => write_prefixes(octets, out),
        Field::Params => {
            svcb::write(octets, out);
            Ok(())
        }
        Field::Gateway => gateway::write(before.get(1).copied().unwrap_or_default(), octets, out),
        Field::RelayType => gateway::write_relay_type(octets[0], out),
        Field::Relay => gateway::write(before.last().copied().unwrap_or_default() & 0x7f, octets, out),
        Field::HostIdentity => gateway::write_identity(octets, out),
        Field::LowTypes => obsolete::write_low_types(octets, out),
        Field::Services => obsolete::write_services(octets, out),
        Field::Nsap => obsolete::write_nsap(octets, out),
        Field::Atm => obsolete::write_atm(octets, out),
        Field::AddressSuffix if octets.is_empty() => Ok(()),
        Field::AddressSuffix => obsolete::write_suffix(octets, out),
        _ => write!(out, "{}", big_endian(octets)),
    }
}

fn big_endian(octets: &[u8]) -> u64 {
    octets.iter().fold(0, |value, octet| value << 8 | u64::from(*octet))
}

fn array<const N: usize>(octets: &[u8]) -> [u8; N] {
    octets.try_into().expect("split gives a field its exact length")
}

fn grouped(octets: &[u8], size: usize, separator: &str) -> String {
    let groups: Vec<String> = octets.chunks(size).map(|group| HEXUPPER.encode(group).to_lowercase()).collect();
    groups.join(separator)
}

/// A name with its case; escapes as in the text of [`crate::model::Name`].
pub(super) fn write_name(wire: &[u8], out: &mut String) -> fmt::Result {
    if wire == [0] {
        return out.write_char('.');
    }
    let mut rest = wire;
    while let [len @ 1..=63, behind @ ..] = rest {
        let (label, behind) = behind.split_at(usize::from(*len));
        for &octet in label {
            match octet {
                b'.' | b'\\' | b'"' | b';' | b'@' | b'$' | b'(' | b')' => write!(out, "\\{}", char::from(octet))?,
                b'!'..=b'~' => out.write_char(char::from(octet))?,
                other => write!(out, "\\{other:03}")?,
            }
        }
        out.write_char('.')?;
        rest = behind;
    }
    Ok(())
}

/// A text between quotes, with escapes.
pub(super) fn write_quoted(octets: &[u8], out: &mut String) {
    out.push('"');
    for &octet in octets {
        match octet {
            b'"' | b'\\' => out.extend(['\\', char::from(octet)]),
            b' '..=b'~' => out.push(char::from(octet)),
            other => write!(out, "\\{other:03}").expect("a String takes everything"),
        }
    }
    out.push('"');
}

/// A time of a signature; as a number when it is outside the calendar that the text form can say.
fn stamp(seconds: u32) -> String {
    match jiff::Timestamp::from_second(i64::from(seconds)) {
        Ok(time) => time.strftime("%Y%m%d%H%M%S").to_string(),
        Err(_) => seconds.to_string(),
    }
}

fn write_prefixes(octets: &[u8], out: &mut String) -> fmt::Result {
    for (index, item) in fields::prefixes(octets).unwrap_or_default().into_iter().enumerate() {
        let (gap, not) = (if index > 0 { " " } else { "" }, if item.negated { "!" } else { "" });
        write!(out, "{gap}{not}{}:", item.family)?;
        let mut address = [0; 16];
        address[..item.address.len()].copy_from_slice(item.address);
        match item.family {
            1 => write!(out, "{}", Ipv4Addr::from(array(&address[..4])))?,
            _ => write!(out, "{}", Ipv6Addr::from(address))?,
        }
        write!(out, "/{}", item.bits)?;
    }
    Ok(())
}

fn write_location(octets: &[u8], out: &mut String) -> fmt::Result {
    for (at, [plus, minus]) in [(4, ['N', 'S']), (8, ['E', 'W'])] {
        let offset = big_endian(&octets[at..at + 4]) as i64 - (1 << 31);
        let (letter, value) = (if offset < 0 { minus } else { plus }, offset.abs());
        let (degrees, minutes) = (value / 3_600_000, value / 60_000 % 60);
        write!(out, "{degrees} {minutes} {}.{:03} {letter} ", value / 1000 % 60, value % 1000)?;
    }
    let altitude = big_endian(&octets[12..16]) as i64 - 10_000_000;
    let sign = if altitude < 0 { "-" } else { "" };
    write!(out, "{sign}{}.{:02}m", altitude.abs() / 100, altitude.abs() % 100)?;
    for precision in &octets[1..4] {
        let value = u64::from(precision >> 4) * 10u64.pow(u32::from(precision & 0xf));
        write!(out, " {}.{:02}m", value / 100, value % 100)?;
    }
    Ok(())
}
