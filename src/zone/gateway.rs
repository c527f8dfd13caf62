//! Records that name a host in one of several ways: IPSECKEY (RFC 4025), AMTRELAY (RFC 8777), HIP (RFC 8005).

use std::fmt::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::{BASE64, HEXUPPER, HEXUPPER_PERMISSIVE};

use super::rdata::{self, Fault, Input, shown};
use super::{fields, print};

/// The bit of a relay type that says whether discovery is optional (RFC 8777 section 4.2.2).
const DISCOVERY: u8 = 0x80;

/// How many octets of `rest` a gateway of a kind takes: nothing, an address or a name; later kinds take all.
pub(super) fn length(kind: u8, rest: &[u8]) -> Option<usize> {
    match kind {
        0 => Some(0),
        1 => Some(4),
        2 => Some(16),
        3 => fields::name_length(rest),
        _ => Some(rest.len()),
    }
}

/// Reads a gateway; none is written as a dot.
pub(super) fn read(kind: u8, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    match kind {
        0 => {
            let text = input.word("a dot")?;
            if text != b"." {
                return Err(input.fault(format!("{} is not the dot that stands for no host", shown(text))));
            }
        }
        1 => out.extend(rdata::ipv4(input)?),
        2 => out.extend(rdata::ipv6(input)?),
        3 => out.extend(rdata::name(input)?),
        other => {
            let message = format!("a host of kind {other} has no text; write the data as \\# length hexadecimal");
            return Err(input.fault(message));
        }
    }
    Ok(())
}

/// Writes a gateway of kind 0 to 3.
pub(super) fn write(kind: u8, octets: &[u8], out: &mut String) -> fmt::Result {
    match (kind, octets.first_chunk::<4>(), octets.first_chunk::<16>()) {
        (1, Some(address), _) => write!(out, "{}", Ipv4Addr::from(*address)),
        (2, _, Some(address)) => write!(out, "{}", Ipv6Addr::from(*address)),
        (3, ..) => print::write_name(octets, out),
        _ => out.write_char('.'),
    }
}

/// Discovery bit and kind of a relay.
pub(super) fn read_relay_type(input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let discovery = rdata::number(input, 1)? as u8 * DISCOVERY;
    out.push(discovery | rdata::number(input, 127)? as u8);
    Ok(())
}

/// Writes discovery bit and kind of a relay.
pub(super) fn write_relay_type(octet: u8, out: &mut String) -> fmt::Result {
    write!(out, "{} {}", octet / DISCOVERY, octet & !DISCOVERY)
}

/// A host identity, cut into its parts.
pub(super) struct Identity<'r> {
    algorithm: u8,
    tag: &'r [u8],
    key: &'r [u8],
    servers: Vec<&'r [u8]>,
}

/// Cuts a host identity into its parts; `None` if it is none.
pub(super) fn identity(octets: &[u8]) -> Option<Identity<'_>> {
    let [tag_length, algorithm, high, low, rest @ ..] = octets else { return None };
    let (tag, rest) = rest.split_at_checked(usize::from(*tag_length))?;
    let (key, mut rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
    let mut servers = Vec::new();
    while !rest.is_empty() {
        let (server, behind) = rest.split_at_checked(fields::name_length(rest)?)?;
        servers.push(server);
        rest = behind;
    }
    (!tag.is_empty() && !key.is_empty()).then_some(Identity { algorithm: *algorithm, tag, key, servers })
}

/// Algorithm, tag in hexadecimal, key in base 64 as one word each, then the names of rendezvous servers.
pub(super) fn read_identity(input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let algorithm = rdata::number(input, 0xff)? as u8;
    let text = input.word("a host identity tag")?;
    let tag = HEXUPPER_PERMISSIVE.decode(text).ok().filter(|tag| (1..=255).contains(&tag.len()));
    let tag = tag
        .ok_or_else(|| input.fault(format!("{} is not a tag; expected 1 to 255 octets in hexadecimal", shown(text))))?;
    let text = input.word("a public key")?;
    let key = BASE64.decode(text).ok().filter(|key| u16::try_from(key.len()).is_ok_and(|length| length > 0));
    let key = key.ok_or_else(|| input.fault(format!("{} is not a key in base 64", shown(text))))?;
    out.extend([tag.len() as u8, algorithm]);
    out.extend((key.len() as u16).to_be_bytes());
    out.extend(tag);
    out.extend(key);
    while !input.is_empty() {
        out.extend(rdata::name(input)?);
    }
    Ok(())
}

/// Writes a host identity.
pub(super) fn write_identity(octets: &[u8], out: &mut String) -> fmt::Result {
    let Some(identity) = identity(octets) else { return Ok(()) };
    let Identity { algorithm, tag, key, servers } = identity;
    write!(out, "{algorithm} {} {}", HEXUPPER.encode(tag), BASE64.encode(key))?;
    servers.into_iter().try_for_each(|server| {
        out.write_char(' ')?;
        print::write_name(server, out)
    })
}
