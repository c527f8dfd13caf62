//! Service parameters of SVCB and HTTPS records (RFC 9460).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::BASE64;

use super::rdata::{Fault, Input, decimal, shown};
use super::{fields, presentation, print};

const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const PORT: u16 = 3;
const IPV4_HINT: u16 = 4;
const ECH: u16 = 5;
const IPV6_HINT: u16 = 6;
const DOHPATH: u16 = 7;

/// Keys with a name of their own, by number.
const KEYS: [&str; 8] = ["mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint", "dohpath"];

/// Reads all parameters, in any order, and writes them sorted.
pub(super) fn parse(input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut params = BTreeMap::new();
    while !input.is_empty() {
        let word = input.word("a parameter")?;
        let (name, inline) = match word.iter().position(|octet| *octet == b'=') {
            Some(at) => (&word[..at], Some(&word[at + 1..])),
            None => (word, None),
        };
        let key = key_from_text(name).ok_or_else(|| {
            input.fault(format!("{} is not a parameter; known are {} and keyNNN", shown(name), KEYS.join(", ")))
        })?;
        let quoted = if inline == Some(b"") { input.quoted_behind() } else { None };
        let text = quoted.or(inline);
        let value = match name.starts_with(b"key") {
            true => raw_value(key, text),
            false => value_from_text(key, text),
        };
        let value = value.map_err(|message| input.fault(message))?;
        if params.insert(key, value).is_some() {
            return Err(input.fault(format!("the parameter {} stands here twice", key_text(key))));
        }
    }
    for (key, value) in params {
        let length = u16::try_from(value.len());
        let length = length.map_err(|_| input.fault(format!("the parameter {} is too long", key_text(key))))?;
        out.extend(key.to_be_bytes());
        out.extend(length.to_be_bytes());
        out.extend(value);
    }
    Ok(())
}

/// Whether the octets are a value of the key; keys without a meaning here take any.
pub(super) fn is_valid(key: u16, value: &[u8]) -> bool {
    match key {
        MANDATORY => {
            let keys: Vec<&[u8]> = value.chunks(2).collect();
            !value.is_empty() && value.len().is_multiple_of(2) && keys.is_sorted_by(|a, b| a < b) && keys[0] != [0, 0]
        }
        ALPN => fields::strings(value).is_some_and(|ids| ids.iter().all(|id| !id.is_empty())),
        NO_DEFAULT_ALPN => value.is_empty(),
        PORT => value.len() == 2,
        IPV4_HINT => !value.is_empty() && value.len().is_multiple_of(4),
        IPV6_HINT => !value.is_empty() && value.len().is_multiple_of(16),
        DOHPATH => is_doh_path(value),
        _ => true,
    }
}

/// Whether octets are a relative URI template with a variable `dns` (RFC 9461 section 5, RFC 6570).
fn is_doh_path(value: &[u8]) -> bool {
    let Ok(mut rest) = std::str::from_utf8(value) else { return false };
    let mut has_dns = false;
    if !rest.starts_with('/') {
        return false;
    }
    while let Some((literal, behind)) = rest.split_once('{') {
        let Some((expression, behind)) = behind.split_once('}') else { return false };
        let variables = expression.strip_prefix(['+', '#', '.', '/', ';', '?', '&']).unwrap_or(expression);
        for variable in variables.split(',') {
            let name = variable.strip_suffix('*').unwrap_or(variable);
            let name = name.split_once(':').map_or(name, |(name, _)| name);
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '%');
            if name.is_empty() || !name.chars().all(plain) || literal.contains('}') {
                return false;
            }
            has_dns |= name == "dns";
        }
        rest = behind;
    }
    has_dns && !rest.contains('}')
}

/// Keys that are mandatory have to be there, and with `no-default-alpn` an `alpn` (RFC 9460 sections 7 and 8).
pub(super) fn verify(rdata: &[u8]) -> Result<(), String> {
    let Some(end) = rdata.get(2..).and_then(fields::name_length) else { return Ok(()) };
    let params: BTreeMap<u16, &[u8]> = fields::params(&rdata[2 + end..]).into_iter().flatten().collect();
    let mandatory = params.get(&MANDATORY).into_iter().flat_map(|value| value.chunks_exact(2));
    for key in mandatory.map(|pair| u16::from_be_bytes([pair[0], pair[1]])) {
        if !params.contains_key(&key) {
            return Err(format!("the parameter {} is mandatory and not there", key_text(key)));
        }
    }
    match params.contains_key(&NO_DEFAULT_ALPN) && !params.contains_key(&ALPN) {
        true => Err("no-default-alpn needs alpn beside it".to_owned()),
        false => Ok(()),
    }
}

/// A value given as octets, by the number of its key.
fn raw_value(key: u16, text: Option<&[u8]>) -> Result<Vec<u8>, String> {
    let octets = presentation::unescape(text.unwrap_or_default())?;
    match is_valid(key, &octets) {
        true => Ok(octets),
        false => Err(format!("{} is not a value for {}, octet by octet", shown(&octets), key_text(key))),
    }
}

fn key_from_text(name: &[u8]) -> Option<u16> {
    if let Some(key) = KEYS.iter().position(|known| known.as_bytes() == name) {
        return Some(key as u16);
    }
    let digits = name.strip_prefix(b"key")?;
    let canonical = digits == b"0" || !digits.starts_with(b"0");
    decimal(digits, u32::from(u16::MAX)).filter(|_| canonical).map(|key| key as u16)
}

fn key_text(key: u16) -> String {
    KEYS.get(usize::from(key)).map_or_else(|| format!("key{key}"), |name| (*name).to_owned())
}

fn value_from_text(key: u16, text: Option<&[u8]>) -> Result<Vec<u8>, String> {
    let octets = presentation::unescape(text.unwrap_or_default())?;
    let name = key_text(key);
    let list = || octets.split(|octet| *octet == b',');
    let value = match key {
        MANDATORY => mandatory_from_list(list())?,
        ALPN => alpn_from_list(&octets)?,
        PORT => decimal(&octets, 0xffff).map(|port| (port as u16).to_be_bytes().to_vec()).unwrap_or_default(),
        IPV4_HINT => addresses(list(), Ipv4Addr::octets).unwrap_or_default(),
        IPV6_HINT => addresses(list(), Ipv6Addr::octets).unwrap_or_default(),
        ECH => BASE64.decode(&octets).map_err(|error| format!("the value of ech is not base 64: {error}"))?,
        _ => octets.clone(),
    };
    match is_valid(key, &value) {
        true => Ok(value),
        false => Err(format!("{} is not a value for {name}", shown(&octets))),
    }
}

fn mandatory_from_list<'l>(list: impl Iterator<Item = &'l [u8]>) -> Result<Vec<u8>, String> {
    let mut keys = Vec::new();
    for name in list {
        keys.push(key_from_text(name).ok_or_else(|| format!("{} is not a parameter", shown(name)))?);
    }
    keys.sort_unstable();
    Ok(keys.into_iter().flat_map(u16::to_be_bytes).collect())
}

/// Protocol ids with their lengths; `\,` and `\\` stand for the character itself (RFC 9460 appendix A.1).
fn alpn_from_list(list: &[u8]) -> Result<Vec<u8>, String> {
    let mut ids = vec![Vec::new()];
    let mut octets = list.iter();
    while let Some(octet) = octets.next() {
        let (separator, octet) = match octet {
            b'\\' => (false, octets.next().ok_or("nothing stands behind the last backslash of alpn")?),
            other => (*other == b',', other),
        };
        match ids.last_mut() {
            Some(id) if !separator => id.push(*octet),
            _ => ids.push(Vec::new()),
        }
    }
    let mut value = Vec::new();
    for id in ids {
        let length = u8::try_from(id.len()).ok().filter(|length| *length > 0);
        value.push(length.ok_or("a protocol id of alpn has 1 to 255 octets")?);
        value.extend(id);
    }
    Ok(value)
}

fn addresses<'l, T: std::str::FromStr, const N: usize>(
    list: impl Iterator<Item = &'l [u8]>,
    octets: impl Fn(&T) -> [u8; N],
) -> Option<Vec<u8>> {
    let mut value = Vec::new();
    for text in list {
        value.extend(octets(&std::str::from_utf8(text).ok()?.parse().ok()?));
    }
    Some(value)
}

/// The text of all parameters, each with a blank before it.
pub(super) fn write(octets: &[u8], out: &mut String) {
    for (key, value) in fields::params(octets).unwrap_or_default() {
        write!(out, " {}", key_text(key)).expect("a String takes everything");
        if !(value.is_empty()) {
            out.push('=');
            write_value(key, value, out);
        }
    }
}

fn write_value(key: u16, value: &[u8], out: &mut String) {
    let joined = |items: Vec<String>| items.join(",");
    let text = match key {
        MANDATORY => joined(value.chunks_exact(2).map(|k| key_text(u16::from_be_bytes([k[0], k[1]]))).collect()),
        PORT => u16::from_be_bytes([value[0], value[1]]).to_string(),
        IPV4_HINT => joined(value.as_chunks::<4>().0.iter().map(|a| Ipv4Addr::from(*a).to_string()).collect()),
        IPV6_HINT => joined(value.as_chunks::<16>().0.iter().map(|a| Ipv6Addr::from(*a).to_string()).collect()),
        ECH => BASE64.encode(value),
        ALPN => {
            let escaped = |id: &&[u8]| id.iter().flat_map(|octet| escaped_in_list(*octet)).collect::<Vec<u8>>();
            let ids: Vec<Vec<u8>> = fields::strings(value).iter().flatten().map(escaped).collect();
            return print::write_quoted(&ids.join(&b','), out);
        }
        _ => return print::write_quoted(value, out),
    };
    out.push_str(&text);
}

fn escaped_in_list(octet: u8) -> impl Iterator<Item = u8> {
    let escape = matches!(octet, b',' | b'\\').then_some(b'\\');
    escape.into_iter().chain([octet])
}
