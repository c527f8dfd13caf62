//! Text and octets: escapes, names with their case, character strings, times (RFC 1035 section 5.1).

use crate::model::name::{MAX_LABEL, MAX_NAME, NameError};

/// The most octets that a character string may have (RFC 1035 section 3.3).
pub(super) const MAX_STRING: usize = 255;

/// The longest TTL; a longer one counts as 0 (RFC 2181 section 8).
pub(super) const MAX_TTL: u32 = 0x7fff_ffff;

/// One octet of a text, and whether a backslash stood before it.
struct Octets<'t> {
    rest: &'t [u8],
}

impl Octets<'_> {
    /// The next octet; the error is a broken escape.
    fn next(&mut self) -> Option<Result<(u8, bool), ()>> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        if first != b'\\' {
            return Some(Ok((first, false)));
        }
        let (taken, octet) = match self.rest {
            [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', ..] => {
                let value = u32::from(a - b'0') * 100 + u32::from(b - b'0') * 10 + u32::from(c - b'0');
                (3, u8::try_from(value).ok())
            }
            [b'0'..=b'9', ..] | [] => (0, None),
            [other, ..] => (1, Some(*other)),
        };
        self.rest = &self.rest[taken..];
        Some(octet.map(|octet| (octet, true)).ok_or(()))
    }
}

/// The octets that a text stands for.
pub(super) fn unescape(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut octets = Octets { rest: text };
    let mut out = Vec::with_capacity(text.len());
    while let Some(octet) = octets.next() {
        let (octet, _) = octet.map_err(|()| bad_escape(text).to_string())?;
        out.push(octet);
    }
    Ok(out)
}

/// A text as a character string: a length octet, then at most 255 octets.
pub(super) fn character_string(text: &[u8]) -> Result<Vec<u8>, String> {
    let octets = unescape(text)?;
    let Ok(length) = u8::try_from(octets.len()) else {
        return Err(format!(
            "string has {} octets; at most {MAX_STRING} are allowed, split it into several quoted strings",
            octets.len()
        ));
    };
    Ok([vec![length], octets].concat())
}

/// A name in uncompressed wire format with its case kept; a text without a final dot is relative to `origin`.
pub(super) fn name(text: &[u8], origin: &[u8]) -> Result<Vec<u8>, NameError> {
    match text {
        b"." => return Ok(vec![0]),
        b"@" => return Ok(origin.to_vec()),
        _ => {}
    }
    let mut wire = Vec::with_capacity(text.len() + 2);
    let mut label = Vec::new();
    let mut octets = Octets { rest: text };
    let mut absolute = false;
    while let Some(octet) = octets.next() {
        let (octet, escaped) = octet.map_err(|()| bad_escape(text))?;
        if octet == b'[' && escaped && label.is_empty() && text[..text.len() - octets.rest.len()].ends_with(b"\\[") {
            return Err(bad_escape(text)); // the bit labels of RFC 2673
        }
        absolute = octet == b'.' && !escaped;
        match absolute {
            true => push_label(&mut wire, &mut label, text)?,
            false => label.push(octet),
        }
    }
    if absolute {
        wire.push(0);
    } else {
        push_label(&mut wire, &mut label, text)?;
        wire.extend_from_slice(origin);
    }
    if wire.len() > MAX_NAME { Err(NameError::LongName(wire.len())) } else { Ok(wire) }
}

fn push_label(wire: &mut Vec<u8>, label: &mut Vec<u8>, text: &[u8]) -> Result<(), NameError> {
    match label.len() {
        0 => Err(NameError::EmptyLabel(String::from_utf8_lossy(text).into_owned())),
        len if len > MAX_LABEL => Err(NameError::LongLabel(String::from_utf8_lossy(label).into_owned(), len)),
        len => {
            wire.push(len as u8);
            wire.append(label);
            Ok(())
        }
    }
}

fn bad_escape(text: &[u8]) -> NameError {
    NameError::BadEscape(String::from_utf8_lossy(text).into_owned())
}

/// Seconds, plain or with units as in `1w2d3h4m5s`; `None` when the text is no such thing. Saturates.
pub(super) fn seconds(text: &[u8]) -> Option<u64> {
    let (mut total, mut digits, mut units) = (0u64, None::<u64>, false);
    for &octet in text {
        match (octet.to_ascii_lowercase(), digits) {
            (digit @ b'0'..=b'9', _) => {
                digits = Some(digits.unwrap_or(0).saturating_mul(10).saturating_add(u64::from(digit - b'0')));
            }
            (unit, Some(value)) => {
                total = total.saturating_add(value.saturating_mul(unit_seconds(unit)?));
                (digits, units) = (None, true);
            }
            _ => return None,
        }
    }
    match digits {
        Some(_) if units => None,
        None if !units => None,
        rest => Some(rest.unwrap_or(total)),
    }
}

/// A TTL of up to 2^32 - 1; `None` when the text is no time at all.
pub(super) fn ttl(text: &[u8]) -> Option<Result<u32, String>> {
    let total = seconds(text)?;
    let shown = String::from_utf8_lossy(text);
    Some(match u32::try_from(total) {
        Ok(value) => Ok(value),
        Err(_) => Err(format!("TTL {shown} is {total} seconds; at most {MAX_TTL} are allowed")),
    })
}

fn unit_seconds(unit: u8) -> Option<u64> {
    Some(match unit {
        b's' => 1,
        b'm' => 60,
        b'h' => 3600,
        b'd' => 86_400,
        b'w' => 604_800,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_case_and_follow_the_origin() {
        let origin = b"\x07Example\x00";
        assert_eq!(name(b"WwW", origin), Ok(b"\x03WwW\x07Example\x00".to_vec()));
        assert_eq!(name(b"a\\.b.", origin), Ok(b"\x03a.b\x00".to_vec()));
        assert_eq!(name(b"a\\\\.", origin), Ok(b"\x02a\\\x00".to_vec()));
        assert_eq!(name(b"\\@", origin), Ok(b"\x01@\x07Example\x00".to_vec()));
        assert_eq!(name(b"a\\046", origin), Ok(b"\x02a.\x07Example\x00".to_vec()));
        assert!(matches!(name(b"a..b", origin), Err(NameError::EmptyLabel(_))));
        assert!(matches!(name(b".a", origin), Err(NameError::EmptyLabel(_))));
        assert!(matches!(name(b"a\\256", origin), Err(NameError::BadEscape(_))));
        assert!(matches!(name(&[b'x'; 64], origin), Err(NameError::LongLabel(_, 64))));
    }

    #[test]
    fn times_take_units() {
        assert_eq!(seconds(b"1h30M"), Some(5400));
        assert_eq!(seconds(b"300"), Some(300));
        assert_eq!(seconds(b"1w2d3h4m5s"), Some(788_645));
        for none in [&b"A"[..], b"h", b"", b"1x", b"1h5"] {
            assert_eq!(seconds(none), None);
        }
        assert_eq!(ttl(b"4294967295"), Some(Ok(u32::MAX)));
        assert!(matches!(ttl(b"99999999999999999999999w"), Some(Err(_))));
    }

    #[test]
    fn strings_are_at_most_255_octets() {
        assert_eq!(character_string(b"a\\098\\\"c"), Ok(b"\x04ab\"c".to_vec()));
        assert_eq!(character_string(&[b'x'; 255]).map(|string| string.len()), Ok(256));
        assert!(character_string(&[b'x'; 256]).is_err());
        assert!(character_string(b"\\1").is_err());
    }
}
