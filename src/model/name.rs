//! Domain names in the form that every lookup uses: uncompressed wire format, lower-case.
//!
//! One boxed slice per name: length octets and labels up to and including the root's zero (RFC 1035 section 3.1), at
//! most 255 octets. ASCII letters are folded once, on the way in, so that equality is a comparison of octets
//! (RFC 4343). Text follows RFC 1035 section 5.1: `\.` and `\\` escape one character, `\DDD` an octet.

use std::cmp::Ordering;
use std::fmt;

/// The most octets a name may have, with all length octets and the root.
pub const MAX_NAME: usize = 255;
/// The most octets a label may have.
pub const MAX_LABEL: usize = 63;

/// A fully qualified, lower-cased domain name.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name {
    wire: Box<[u8]>,
}

/// Why a text or some octets are not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A label of no octets, as in `a..b`.
    #[error("empty label in \"{0}\"")]
    EmptyLabel(String),
    /// A label of more than 63 octets.
    #[error("label \"{0}\" has {1} octets; at most 63 are allowed")]
    LongLabel(String, usize),
    /// More than 255 octets in all.
    #[error("name has {0} octets; at most 255 are allowed")]
    LongName(usize),
    /// A backslash with nothing or nonsense behind it.
    #[error("bad escape in \"{0}\"; write \\. or \\\\ or \\DDD with DDD at most 255")]
    BadEscape(String),
    /// A relative name where no origin is known.
    #[error("\"{0}\" is relative and no origin is known; end it with a dot")]
    NoOrigin(String),
    /// Octets that do not follow the wire format.
    #[error("octets are not an uncompressed name")]
    BadWire,
}

impl Name {
    /// The root, `.`.
    pub fn root() -> Self {
        Self { wire: Box::new([0]) }
    }

    /// Parses presentation format. A text without a final dot is relative to `origin`.
    pub fn parse(text: &str, origin: Option<&Name>) -> Result<Self, NameError> {
        if text == "." {
            return Ok(Self::root());
        }
        if text == "@" {
            return origin.cloned().ok_or_else(|| NameError::NoOrigin(text.to_owned()));
        }
        let (mut wire, absolute) = labels_from_text(text, origin.map_or(1, |origin| origin.wire.len()))?;
        if absolute {
            wire.push(0);
        } else {
            let origin = origin.ok_or_else(|| NameError::NoOrigin(text.to_owned()))?;
            wire.extend_from_slice(origin.as_wire());
        }
        Self::checked(wire)
    }

    /// Parses presentation format as absolute, with or without the final dot: what people type.
    pub fn parse_absolute(text: &str) -> Result<Self, NameError> {
        Self::parse(text, Some(&Self::root()))
    }

    /// Takes uncompressed wire format, which must be exactly one whole name, and folds its case.
    pub fn from_wire(wire: &[u8]) -> Result<Self, NameError> {
        let mut at = 0;
        loop {
            match wire.get(at) {
                Some(0) if at + 1 == wire.len() && wire.len() <= MAX_NAME => break,
                Some(&len) if (1..=MAX_LABEL as u8).contains(&len) => at += 1 + len as usize,
                _ => return Err(NameError::BadWire),
            }
        }
        Ok(Self { wire: wire.to_ascii_lowercase().into() })
    }

    /// Takes octets that are known to be a lower-cased whole name, such as a suffix of another name.
    pub(crate) fn from_trusted(wire: &[u8]) -> Self {
        debug_assert!(Self::from_wire(wire).is_ok_and(|name| *name.wire == *wire));
        Self { wire: wire.into() }
    }

    /// The octets: lower-case, uncompressed, with the root's zero.
    pub fn as_wire(&self) -> &[u8] {
        &self.wire
    }

    /// The name with `label` in front.
    pub fn child(&self, label: &[u8]) -> Result<Self, NameError> {
        let shown = || String::from_utf8_lossy(label).into_owned();
        match label.len() {
            0 => return Err(NameError::EmptyLabel(shown())),
            len if len > MAX_LABEL => return Err(NameError::LongLabel(shown(), len)),
            _ => {}
        }
        let mut wire = Vec::with_capacity(1 + label.len() + self.wire.len());
        wire.push(label.len() as u8);
        wire.extend(label.iter().map(u8::to_ascii_lowercase));
        wire.extend_from_slice(&self.wire);
        Self::checked(wire)
    }

    /// The name without its first label; `None` for the root.
    pub fn parent(&self) -> Option<Name> {
        parent(&self.wire).map(Self::from_trusted)
    }

    /// Labels from the leftmost on, without the root.
    pub fn labels(&self) -> Labels<'_> {
        Labels { rest: &self.wire }
    }

    /// Whether this name is `zone` or below it.
    pub fn is_within(&self, zone: &Name) -> bool {
        is_within(&self.wire, &zone.wire)
    }

    fn checked(wire: Vec<u8>) -> Result<Self, NameError> {
        if wire.len() > MAX_NAME {
            return Err(NameError::LongName(wire.len()));
        }
        Ok(Self { wire: wire.into() })
    }
}

/// The wire form of the parent of `wire`, which must be a whole name; `None` for the root.
pub fn parent(wire: &[u8]) -> Option<&[u8]> {
    match wire.first() {
        None | Some(0) => None,
        Some(&len) => wire.get(1 + len as usize..),
    }
}

/// Whether the whole name `wire` is `zone` or below it; both lower-case.
pub fn is_within(wire: &[u8], zone: &[u8]) -> bool {
    let mut rest = Some(wire);
    while let Some(name) = rest {
        if name.len() <= zone.len() {
            return name == zone;
        }
        rest = parent(name);
    }
    false
}

/// The labels of a name, leftmost first.
#[derive(Clone)]
pub struct Labels<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let len = *self.rest.first()? as usize;
        if len == 0 {
            return None;
        }
        let (label, rest) = self.rest[1..].split_at(len);
        self.rest = rest;
        Some(label)
    }
}

/// Reads labels; the flag says whether the text ended with an unescaped dot.
fn labels_from_text(text: &str, room: usize) -> Result<(Vec<u8>, bool), NameError> {
    let mut wire = Vec::with_capacity(text.len() + 1 + room);
    let mut label: Vec<u8> = Vec::with_capacity(MAX_LABEL);
    let mut octets = text.bytes();
    let mut absolute = false;
    while let Some(octet) = octets.next() {
        absolute = octet == b'.';
        match octet {
            b'.' => push_label(&mut wire, &mut label, text)?,
            b'\\' => label.push(escaped(&mut octets).ok_or_else(|| NameError::BadEscape(text.to_owned()))?),
            plain => label.push(plain.to_ascii_lowercase()),
        }
    }
    if !absolute {
        push_label(&mut wire, &mut label, text)?;
    }
    Ok((wire, absolute))
}

fn push_label(wire: &mut Vec<u8>, label: &mut Vec<u8>, text: &str) -> Result<(), NameError> {
    match label.len() {
        0 => Err(NameError::EmptyLabel(text.to_owned())),
        len if len > MAX_LABEL => Err(NameError::LongLabel(String::from_utf8_lossy(label).into_owned(), len)),
        len => {
            wire.push(len as u8);
            wire.append(label);
            Ok(())
        }
    }
}

/// The octet that the escape behind a backslash stands for.
fn escaped(octets: &mut std::str::Bytes<'_>) -> Option<u8> {
    let first = octets.next()?;
    if !first.is_ascii_digit() {
        return Some(first.to_ascii_lowercase());
    }
    let mut value = u32::from(first - b'0');
    for _ in 0..2 {
        let digit = octets.next().filter(u8::is_ascii_digit)?;
        value = value * 10 + u32::from(digit - b'0');
    }
    u8::try_from(value).ok().map(|octet| octet.to_ascii_lowercase())
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.wire.len() == 1 {
            return f.write_str(".");
        }
        for label in self.labels() {
            for &octet in label {
                match octet {
                    b'.' | b'\\' | b'"' | b';' | b'@' | b'$' | b'(' | b')' => write!(f, "\\{}", char::from(octet))?,
                    b'!'..=b'~' => write!(f, "{}", char::from(octet))?,
                    other => write!(f, "\\{other:03}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The canonical order of RFC 4034 section 6.1: by labels from the root down.
impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        canonical_cmp(&self.wire, &other.wire)
    }
}

/// Compares two whole, lower-case names in canonical order (RFC 4034 section 6.1).
pub fn canonical_cmp(a: &[u8], b: &[u8]) -> Ordering {
    let (mut starts_a, mut starts_b) = ([0u8; MAX_NAME / 2 + 1], [0u8; MAX_NAME / 2 + 1]);
    let (count_a, count_b) = (label_starts(a, &mut starts_a), label_starts(b, &mut starts_b));
    let label = |name: &'_ [u8], start: u8| {
        let start = start as usize;
        start + 1..start + 1 + name[start] as usize
    };
    for depth in 1..=count_a.min(count_b) {
        let mine = &a[label(a, starts_a[count_a - depth])];
        let theirs = &b[label(b, starts_b[count_b - depth])];
        match mine.cmp(theirs) {
            Ordering::Equal => {}
            different => return different,
        }
    }
    count_a.cmp(&count_b)
}

/// Notes where each label of a whole name starts; returns how many there are, the root not counted.
fn label_starts(name: &[u8], starts: &mut [u8; MAX_NAME / 2 + 1]) -> usize {
    let (mut at, mut count) = (0, 0);
    while name[at] != 0 {
        starts[count] = at as u8;
        count += 1;
        at += 1 + name[at] as usize;
    }
    count
}

impl serde::Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Name::parse_absolute(&text).map_err(serde::de::Error::custom)
    }
}

impl std::str::FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse_absolute(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse_absolute(text).expect("test name")
    }

    #[test]
    fn text_and_wire_are_the_same_name() {
        assert_eq!(name("A.Example.").as_wire(), b"\x01a\x07example\x00");
        assert_eq!(name("a\\.b.c").to_string(), "a\\.b.c.");
        assert_eq!(name("\\000x.").to_string(), "\\000x.");
        assert_eq!(Name::root().to_string(), ".");
    }

    #[test]
    fn bad_texts_say_what_is_wrong() {
        assert!(matches!(Name::parse_absolute("a..b"), Err(NameError::EmptyLabel(_))));
        assert!(matches!(Name::parse_absolute(&"x".repeat(64)), Err(NameError::LongLabel(_, 64))));
        assert!(matches!(Name::parse_absolute("a\\25"), Err(NameError::BadEscape(_))));
        assert!(matches!(Name::parse("a", None), Err(NameError::NoOrigin(_))));
        assert!(matches!(Name::parse_absolute(&"abc.".repeat(64)), Err(NameError::LongName(257))));
    }

    #[test]
    fn within_counts_whole_labels() {
        assert!(name("a.b.example").is_within(&name("b.example")));
        assert!(name("b.example").is_within(&name("b.example")));
        assert!(!name("ab.example").is_within(&name("b.example")));
        assert!(name("example").is_within(&Name::root()));
    }

    #[test]
    fn canonical_order_goes_from_the_root_down() {
        let mut names = [name("z.example"), name("example"), name("yljkjljk.a.example"), name("a.example")];
        names.sort();
        assert_eq!(names.map(|n| n.to_string()), ["example.", "a.example.", "yljkjljk.a.example.", "z.example."]);
    }
}
