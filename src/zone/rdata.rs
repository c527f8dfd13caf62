//! The text of RDATA becomes wire format: one small function per kind of field.
//!
//! The fields of a type stand in [`super::types`]. Any type may be written as `\# length hexadecimal` (RFC 3597
//! section 5); for types whose fields are known the octets are checked against them.

use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::{BASE32HEX_NOPAD, BASE64, HEXUPPER_PERMISSIVE};

use super::lexer::Token;
use super::types::{self, Field};
use super::{fields, gateway, mnemonics, obsolete, presentation, special, svcb};
use crate::model::Rtype;

/// What is wrong with a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// Which token.
    pub(super) at: Token,
    /// What.
    pub(super) message: String,
}

/// The tokens of RDATA that have not been read.
pub(super) struct Input<'s> {
    source: &'s [u8],
    rest: &'s [Token],
    last: Token,
    origin: &'s [u8],
}

impl<'s> Input<'s> {
    /// `last` is the token before the data: where something is missing if there is nothing.
    pub(super) fn new(source: &'s [u8], rest: &'s [Token], last: Token, origin: &'s [u8]) -> Self {
        Self { source, rest, last, origin }
    }

    /// The next token; `what` is expected there.
    pub(super) fn next(&mut self, what: &str) -> Result<(&'s [u8], Token), Fault> {
        let Some((token, rest)) = self.rest.split_first() else {
            return Err(Fault { at: self.last, message: format!("{what} is missing behind this") });
        };
        (self.rest, self.last) = (rest, *token);
        Ok((token.text(self.source), *token))
    }

    /// The next token, which must not be quoted.
    pub(super) fn word(&mut self, what: &str) -> Result<&'s [u8], Fault> {
        let (text, token) = self.next(what)?;
        match token.quoted {
            true => Err(self.fault(format!("expected {what} here, without quotes"))),
            false => Ok(text),
        }
    }

    /// Whether everything has been read.
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The text of the next token, if there is one.
    pub(super) fn peek(&self) -> Option<&'s [u8]> {
        self.rest.first().map(|token| token.text(self.source))
    }

    /// Whether the next token stands between quotes.
    pub(super) fn is_quoted(&self) -> bool {
        self.rest.first().is_some_and(|token| token.quoted)
    }

    /// The next token if it is quoted and stands directly behind the last one, as in `key="value"`.
    pub(super) fn quoted_behind(&mut self) -> Option<&'s [u8]> {
        let (token, _) = self.rest.split_first()?;
        let joined = token.quoted && token.start == self.last.end + 1;
        joined.then(|| self.next("a value").ok()).flatten().map(|(text, _)| text)
    }

    /// The token that was read last.
    pub(super) fn last(&self) -> Token {
        self.last
    }

    /// A fault of the token that was read last.
    pub(super) fn fault(&self, message: impl Into<String>) -> Fault {
        Fault { at: self.last, message: message.into() }
    }

    /// All tokens that are left, joined.
    fn joined(&mut self, what: &str) -> Result<Vec<u8>, Fault> {
        let mut all = self.word(what)?.to_vec();
        while !self.is_empty() {
            all.extend_from_slice(self.word(what)?);
        }
        Ok(all)
    }
}

/// Reads the RDATA of a type; takes all tokens.
pub(super) fn parse(rtype: Rtype, input: &mut Input<'_>) -> Result<Vec<u8>, Fault> {
    let first = input.last;
    let mut out = Vec::new();
    match (input.rest.first(), types::fields(rtype)) {
        (Some(token), _) if !token.quoted && token.text(input.source) == b"\\#" => generic(rtype, input, &mut out)?,
        (_, Some(all)) => all.iter().try_for_each(|field| read(*field, input, &mut out))?,
        (_, None) => {
            input.next("\\# length hexadecimal")?;
            let name = types::mnemonic(rtype);
            return Err(input.fault(format!("data of type {name} are written as \\# length hexadecimal")));
        }
    }
    end(input, &types::mnemonic(rtype))?;
    if out.len() > usize::from(u16::MAX) {
        let message = format!("data have {} octets; at most 65535 are allowed", out.len());
        return Err(Fault { at: first, message });
    }
    fields::verify(rtype, &out).map_err(|message| input.fault(message))?;
    Ok(out)
}

/// Nothing may be left behind what `of` takes.
pub(super) fn end(input: &mut Input<'_>, of: &str) -> Result<(), Fault> {
    if input.is_empty() {
        return Ok(());
    }
    let (text, _) = input.next("")?;
    Err(input.fault(format!("{} is more than {of} takes", shown(text))))
}

/// A text between quotes, for messages.
pub(super) fn shown(text: &[u8]) -> String {
    const LONGEST: usize = 80;
    let text = String::from_utf8_lossy(text);
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("\"{}...\"", &text[..cut]),
        None => format!("\"{text}\""),
    }
}

/// `\# length hexadecimal` (RFC 3597 section 5).
fn generic(rtype: Rtype, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    input.next("\\#")?;
    let length = number(input, u32::from(u16::MAX))? as usize;
    let start = input.last;
    if !input.is_empty() {
        hex(input, out)?;
    }
    if out.len() != length {
        return Err(Fault { at: start, message: format!("{length} octets are announced, {} follow", out.len()) });
    }
    if fields::split(rtype, out).is_none() || !fields::is_named_privately(rtype, out) {
        let message = format!("these octets are not valid data of type {}", types::mnemonic(rtype));
        return Err(Fault { at: start, message });
    }
    Ok(())
}

fn read(field: Field, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    match field {
        Field::U8 => out.push(number(input, 0xff)? as u8),
        Field::U16 => out.extend((number(input, 0xffff)? as u16).to_be_bytes()),
        Field::U32 => out.extend(number(input, u32::MAX)?.to_be_bytes()),
        Field::Seconds => out.extend(seconds(input)?.to_be_bytes()),
        Field::Stamp => out.extend(special::stamp(input)?.to_be_bytes()),
        Field::Ipv4 => out.extend(ipv4(input)?),
        Field::Ipv6 => out.extend(ipv6(input)?),
        Field::Name => out.extend(name(input)?),
        Field::Text => out.extend(text(input)?),
        Field::OptionalText if input.is_empty() => {}
        Field::OptionalText => out.extend(text(input)?),
        Field::Digits => special::digits(input, out)?,
        Field::Substitution => special::substitution(input, out)?,
        Field::Texts => loop {
            out.extend(text(input)?);
            if input.is_empty() {
                break;
            }
        },
        Field::LongText => long_text(input, out)?,
        Field::Uri => special::uri(input, out)?,
        Field::Tag => special::tag(input, out)?,
        Field::Hex => hex(input, out)?,
        Field::Salt => salt(input, out)?,
        Field::Hash => hash(input, out)?,
        Field::OptionalBase64 if input.is_empty() => {}
        Field::Base64 | Field::OptionalBase64 => base64(input, out)?,
        Field::DashBase64 => dash_base64(input, out)?,
        Field::Params => svcb::parse(input, out)?,
        other => read_special(other, input, out)?,
    }
    Ok(())
}

/// Fields with a syntax of their own.
fn read_special(field: Field, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let octet = |input: &mut Input<'_>, names| special::named(input, names, 0xff).map(|value| value as u8);
    match field {
        Field::Type => out.extend(special::numbered_type(input)?.0.to_be_bytes()),
        Field::Types => special::bitmap(input, out)?,
        Field::Algorithm => out.push(octet(input, mnemonics::ALGORITHMS)?),
        Field::Protocol => out.push(octet(input, mnemonics::PROTOCOLS)?),
        Field::DigestType => out.push(octet(input, mnemonics::DIGESTS)?),
        Field::HashAlgorithm => out.push(octet(input, mnemonics::HASHES)?),
        Field::Scheme => out.push(octet(input, mnemonics::SCHEMES)?),
        Field::Certificate => out.extend(special::named(input, mnemonics::CERTIFICATES, 0xffff)?.to_be_bytes()),
        Field::KeyFlags => out.extend(special::key_flags(input)?.to_be_bytes()),
        Field::Eui48 => special::groups(input, out, b'-', 6, 2)?,
        Field::Eui64 => special::groups(input, out, b'-', 8, 2)?,
        Field::Locator => special::groups(input, out, b':', 4, 4)?,
        Field::Location => special::location(input, out)?,
        Field::Prefixes => special::prefixes(input, out)?,
        Field::GatewayType => out.push(number(input, 3)? as u8),
        Field::Gateway => gateway::read(out[out.len() - 2], input, out)?,
        Field::RelayType => gateway::read_relay_type(input, out)?,
        Field::Relay => gateway::read(out[out.len() - 1] & 0x7f, input, out)?,
        Field::HostIdentity => gateway::read_identity(input, out)?,
        Field::LowTypes => obsolete::read_low_types(input, out)?,
        Field::Services => obsolete::read_services(input, out)?,
        Field::Nsap => obsolete::read_nsap(input, out)?,
        Field::Atm => obsolete::read_atm(input, out)?,
        Field::PrefixLength => out.push(number(input, 128)? as u8),
        Field::AddressSuffix => obsolete::read_suffix(out[0], input, out)?,
        Field::PrefixName if out[0] == 0 => {}
        Field::PrefixName => out.extend(name(input)?),
        plain => unreachable!("{plain:?} is read above"),
    }
    Ok(())
}

/// A plain decimal number of at most `max`.
pub(super) fn number(input: &mut Input<'_>, max: u32) -> Result<u32, Fault> {
    let text = input.word("a number")?;
    decimal(text, max)
        .ok_or_else(|| input.fault(format!("{} is not a number; expected one from 0 to {max}", shown(text))))
}

/// The value of decimal digits.
pub(super) fn decimal(text: &[u8], max: u32) -> Option<u32> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok().filter(|value| *value <= max)
}

/// An IPv4 address.
pub(super) fn ipv4(input: &mut Input<'_>) -> Result<[u8; 4], Fault> {
    Ok(parsed::<Ipv4Addr>(input, "an IPv4 address", "192.0.2.1")?.octets())
}

/// An IPv6 address.
pub(super) fn ipv6(input: &mut Input<'_>) -> Result<[u8; 16], Fault> {
    Ok(parsed::<Ipv6Addr>(input, "an IPv6 address", "2001:db8::1")?.octets())
}

fn seconds(input: &mut Input<'_>) -> Result<u32, Fault> {
    let text = input.word("a time")?;
    let value = presentation::seconds(text).and_then(|value| u32::try_from(value).ok());
    value.ok_or_else(|| {
        input.fault(format!("{} is not a time; expected seconds up to {}, or units as in 1h30m", shown(text), u32::MAX))
    })
}

/// A value that the standard library reads.
fn parsed<T: std::str::FromStr>(input: &mut Input<'_>, what: &str, example: &str) -> Result<T, Fault> {
    let text = input.word(what)?;
    let value = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    value.ok_or_else(|| input.fault(format!("{} is not {what} such as {example}", shown(text))))
}

/// A name, with its case, relative to the origin.
pub(super) fn name(input: &mut Input<'_>) -> Result<Vec<u8>, Fault> {
    let text = input.word("a name")?;
    presentation::name(text, input.origin).map_err(|error| input.fault(error.to_string()))
}

/// A character string with its length octet.
pub(super) fn text(input: &mut Input<'_>) -> Result<Vec<u8>, Fault> {
    let (text, _) = input.next("a text")?;
    presentation::character_string(text).map_err(|message| input.fault(message))
}

/// Everything that a text says, without a length octet.
pub(super) fn long_text(input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let (text, _) = input.next("a text")?;
    out.extend(presentation::unescape(text).map_err(|message| input.fault(message))?);
    Ok(())
}

/// A record type by name.
pub(super) fn rtype(input: &mut Input<'_>) -> Result<Rtype, Fault> {
    let text = input.word("a record type")?;
    types::type_from_text(text).ok_or_else(|| input.fault(format!("{} is not a record type", shown(text))))
}

fn hex(input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let digits = input.joined("hexadecimal digits")?;
    let octets = HEXUPPER_PERMISSIVE
        .decode(&digits)
        .map_err(|_| input.fault(format!("{} is not an even number of hexadecimal digits", shown(&digits))))?;
    out.extend(octets);
    Ok(())
}

fn base64(input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let digits = input.joined("base 64")?;
    let padding = digits.iter().position(|octet| *octet == b'=').unwrap_or(digits.len());
    let padded_inside = digits[padding..].iter().any(|octet| *octet != b'=');
    let octets = BASE64.decode(&digits).ok().filter(|octets| !padded_inside && !octets.is_empty());
    out.extend(octets.ok_or_else(|| input.fault(format!("{} is not base 64", shown(&digits))))?);
    Ok(())
}

fn dash_base64(input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    if input.peek() == Some(b"-") {
        input.word("base 64")?;
        return Ok(());
    }
    base64(input, out)
}

fn salt(input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let text = input.word("a salt")?;
    let digits = if text == b"-" { b"" } else { text };
    let octets = HEXUPPER_PERMISSIVE.decode(digits).ok().filter(|octets| octets.len() <= 255);
    let octets = octets.ok_or_else(|| {
        input.fault(format!("{} is not a salt; expected up to 255 octets in hexadecimal, or -", shown(text)))
    })?;
    out.push(octets.len() as u8);
    out.extend(octets);
    Ok(())
}

fn hash(input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let text = input.word("a hash")?;
    let octets = BASE32HEX_NOPAD.decode(&text.to_ascii_uppercase()).ok();
    let octets = octets.filter(|octets| (1..=255).contains(&octets.len())).ok_or_else(|| {
        input.fault(format!("{} is not a hash in base 32 with extended hexadecimal digits", shown(text)))
    })?;
    out.push(octets.len() as u8);
    out.extend(octets);
    Ok(())
}
