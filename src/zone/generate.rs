//! `$GENERATE`: one line that stands for many records, as in BIND 9.18.
//!
//! ```text
//! $GENERATE 1-10/2 host-${0,3,d} 60 IN A 192.0.2.$
//!           range  owner         ...     data: one word, or several between quotes
//! ```
//!
//! In owner and data `$` stands for the number, `$$` and `\$` for a dollar sign, and `${offset,width,base}` for the
//! number plus an offset, padded with zeros to a width, in base `d`, `o`, `x` or `X`, or as nibbles with dots between
//! them, lowest first (`n`, `N`), as reverse zones of IPv6 need them.

use super::lexer::Lexer;
use super::rdata::{self, Fault, Input, decimal, shown};
use crate::model::Rtype;

/// How many records all `$GENERATE` lines of a zone may make: one for each address of an IPv4 /12.
pub(super) const MAX: u64 = 1 << 20;
/// The largest number of a range.
const LARGEST: u32 = i32::MAX as u32;
/// The most characters of one number.
const WIDEST: usize = 127;

/// The numbers that records are made for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    start: u32,
    stop: u32,
    step: u32,
}

impl Range {
    /// How many numbers it has.
    pub(super) fn count(self) -> u64 {
        u64::from((self.stop - self.start) / self.step) + 1
    }

    /// The numbers, from the first up.
    pub(super) fn numbers(self) -> impl Iterator<Item = u32> {
        (self.start..=self.stop).step_by(self.step as usize)
    }
}

/// `start-stop[/step]`.
pub(super) fn range(input: &mut Input<'_>) -> Result<Range, Fault> {
    let text = input.word("a range such as 1-10 or 0-254/2")?;
    let parsed = || {
        let (bounds, step) = match text.iter().position(|octet| *octet == b'/') {
            Some(at) => (&text[..at], decimal(&text[at + 1..], LARGEST)?),
            None => (text, 1),
        };
        let dash = bounds.iter().position(|octet| *octet == b'-')?;
        let (start, stop) = (decimal(&bounds[..dash], LARGEST)?, decimal(&bounds[dash + 1..], LARGEST)?);
        (start <= stop && step > 0).then_some(Range { start, stop, step })
    };
    parsed().ok_or_else(|| {
        input.fault(format!("{} is not a range such as 1-10 or 0-254/2, with numbers up to {LARGEST}", shown(text)))
    })
}

/// A text with places for numbers.
#[derive(Debug)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Number { offset: i32, width: usize, base: u8 },
}

/// Reads a text. Between quotes `\"` stands for a quote.
pub(super) fn template(text: &[u8], quoted: bool) -> Result<Template, String> {
    let mut pieces = Vec::new();
    let mut plain = Vec::new();
    let mut rest = text;
    while let Some((&octet, behind)) = rest.split_first() {
        rest = behind;
        match (octet, behind) {
            (b'\\', [b'"', behind @ ..]) if quoted => {
                plain.push(b'"');
                rest = behind;
            }
            (b'\\', [next, behind @ ..]) => {
                plain.extend([octet, *next]);
                rest = behind;
            }
            (b'$', [b'$', behind @ ..]) => {
                plain.push(b'$');
                rest = behind;
            }
            (b'$', _) => {
                let (number, behind) = number(behind)?;
                pieces.extend([Piece::Text(std::mem::take(&mut plain)), number]);
                rest = behind;
            }
            _ => plain.push(octet),
        }
    }
    pieces.push(Piece::Text(plain));
    Ok(Template(pieces))
}

/// What follows a dollar sign.
fn number(rest: &[u8]) -> Result<(Piece, &[u8]), String> {
    if rest.first() != Some(&b'{') {
        return Ok((Piece::Number { offset: 0, width: 0, base: b'd' }, rest));
    }
    let closed = rest.iter().position(|octet| *octet == b'}');
    let shown = shown(closed.map_or(rest, |end| &rest[..=end]));
    let wrong = || format!("{shown} is not {{offset}}, {{offset,width}} or {{offset,width,base}}");
    let end = closed.ok_or_else(wrong)?;
    let text = std::str::from_utf8(&rest[1..end]).map_err(|_| wrong())?;
    let parts: Vec<&str> = text.split(',').collect();
    let (offset, width, base) = match parts[..] {
        [offset] => (offset, "0", "d"),
        [offset, width] => (offset, width, "d"),
        [offset, width, base] => (offset, width, base),
        _ => return Err(wrong()),
    };
    let offset: i32 = offset.trim_start().parse().map_err(|_| wrong())?;
    let width: usize = width.trim_start().parse().map_err(|_| wrong())?;
    let [base @ (b'd' | b'o' | b'x' | b'X' | b'n' | b'N')] = *base.as_bytes() else { return Err(wrong()) };
    if width > WIDEST {
        return Err(wrong() + "; a number has at most 127 characters");
    }
    Ok((Piece::Number { offset, width, base }, &rest[end + 1..]))
}

impl Template {
    /// The text for a number.
    pub(super) fn fill(&self, number: u32) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.extend(text),
                Piece::Number { offset, width, base } => {
                    let value = i32::try_from(i64::from(number) + i64::from(*offset));
                    let value = value.map_err(|_| format!("{number}{offset:+} is more than {LARGEST}"))?;
                    out.extend(written(value, *width, *base).into_bytes());
                }
            }
        }
        Ok(out)
    }
}

/// A number in a base; a negative one is written as its two's complement in other bases than ten.
fn written(value: i32, width: usize, base: u8) -> String {
    let bits = value as u32;
    match base {
        b'o' => format!("{bits:0width$o}"),
        b'x' => format!("{bits:0width$x}"),
        b'X' => format!("{bits:0width$X}"),
        b'n' => nibbles(bits, width),
        b'N' => nibbles(bits, width).to_ascii_uppercase(),
        _ => format!("{value:0width$}"),
    }
}

/// Nibbles from the lowest up, with dots between them, until the number is written and the width is used up.
fn nibbles(mut bits: u32, mut width: usize) -> String {
    let mut out = String::new();
    loop {
        out.extend(char::from_digit(bits & 0xf, 16));
        bits >>= 4;
        width = width.saturating_sub(1);
        if bits == 0 && width == 0 {
            return out;
        }
        out.push('.');
        width = width.saturating_sub(1);
        if bits == 0 && width == 0 {
            return out;
        }
    }
}

/// Reads generated data; the error has no place but that of the line.
pub(super) fn rdata(rtype: Rtype, text: &[u8], origin: &[u8]) -> Result<Vec<u8>, String> {
    let entry = match Lexer::new(text).next_entry() {
        Some(Ok(entry)) => entry,
        Some(Err(fault)) => return Err(format!("{}: {}", shown(text), fault.message)),
        None => return Err("the data are empty".to_owned()),
    };
    let mut input = Input::new(text, &entry.tokens, entry.tokens[0], origin);
    rdata::parse(rtype, &mut input).map_err(|fault| fault.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str, number: u32) -> String {
        let template = template(text.as_bytes(), false).unwrap_or_else(|why| panic!("{why}"));
        String::from_utf8(template.fill(number).expect("in range")).expect("UTF-8")
    }

    #[test]
    fn numbers_are_written_as_bind_does() {
        for (text, number, expected) in [
            ("a$b$$c\\$", 7, "a7b$c\\$"),
            ("${10}", 1, "11"),
            ("${-2,3}", 1, "-01"),
            ("${-2,3,x}", 1, "ffffffff"),
            ("${0,4,o}", 10, "0012"),
            ("${0,4,X}", 10, "000A"),
            ("${0,1,n}", 0x1234, "4.3.2.1"),
            ("${0,5,N}", 171, "B.A.0"),
            ("${0,4,n}", 10, "a.0."),
            ("${0,7,n}x", 10, "a.0.0.0x"),
            ("${-2,0,n}", 1, "f.f.f.f.f.f.f.f"),
        ] {
            assert_eq!(filled(text, number), expected, "{text}");
        }
    }

    #[test]
    fn nonsense_in_braces_is_refused() {
        for bad in ["${", "${}", "${x}", "${0,3", "${0,3,z}", "${0,3,dd}", "${0,128}", "${0,-3,d}", "${0,3,}", "${0,}"]
        {
            assert!(template(bad.as_bytes(), false).is_err(), "{bad}");
        }
        assert!(template(b"${2147483647}", false).expect("fits").fill(1).is_err());
    }

    #[test]
    fn ranges_count() {
        let range = Range { start: 0, stop: u32::MAX >> 1, step: 1 };
        assert_eq!(range.count(), 1 << 31);
        assert_eq!(Range { start: 1, stop: 10, step: 3 }.numbers().collect::<Vec<_>>(), [1, 4, 7, 10]);
    }
}
