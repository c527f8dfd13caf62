//! Names as generated zones use them: labels in lower case, the root not counted.

use std::fmt::{self, Display, Write};

/// The longest name in octets, length octets and the root's zero included.
pub(crate) const MAX_NAME: usize = 255;

/// An absolute name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name(pub(crate) Vec<Vec<u8>>);

impl Name {
    /// Reads a name without escapes.
    pub(crate) fn of(text: &str) -> Self {
        let labels = text.split('.').filter(|label| !label.is_empty());
        Self(labels.map(|label| label.to_ascii_lowercase().into_bytes()).collect())
    }

    /// Reads a whole, uncompressed wire name.
    pub(crate) fn from_wire(wire: &[u8]) -> Self {
        let (mut labels, mut at) = (Vec::new(), 0);
        while let Some(&length) = wire.get(at).filter(|length| **length != 0) {
            let end = at + 1 + usize::from(length);
            labels.push(wire[at + 1..end].to_ascii_lowercase());
            at = end;
        }
        Self(labels)
    }

    /// The name with one more label in front; `None` if it would be too long.
    pub(crate) fn child(&self, label: &[u8]) -> Option<Self> {
        let labels = [vec![label.to_vec()], self.0.clone()].concat();
        Some(Self(labels)).filter(|name| name.wire_len() <= MAX_NAME)
    }

    /// The name one label shorter.
    pub(crate) fn parent(&self) -> Option<Self> {
        (!self.0.is_empty()).then(|| Self(self.0[1..].to_vec()))
    }

    pub(crate) fn is_within(&self, other: &Self) -> bool {
        self.0.ends_with(&other.0)
    }

    pub(crate) fn is_wildcard(&self) -> bool {
        self.0.first().is_some_and(|label| label == b"*")
    }

    pub(crate) fn wire_len(&self) -> usize {
        self.0.iter().map(|label| label.len() + 1).sum::<usize>() + 1
    }

    pub(crate) fn wire(&self) -> Vec<u8> {
        let labels = self.0.iter().flat_map(|label| std::iter::once(label.len() as u8).chain(label.iter().copied()));
        labels.chain([0]).collect()
    }
}

impl Display for Name {
    /// With a final dot; everything but letters, digits, `-`, `_` and `*` is escaped.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return out.write_char('.');
        }
        for label in &self.0 {
            for octet in label {
                match octet {
                    b'-' | b'_' | b'*' => out.write_char(char::from(*octet))?,
                    octet if octet.is_ascii_alphanumeric() => out.write_char(char::from(*octet))?,
                    b'.' | b' ' | b'"' | b'\\' | b'@' | b'$' | b';' | b'(' => {
                        write!(out, "\\{}", char::from(*octet))?;
                    }
                    octet => write!(out, "\\{octet:03}")?,
                }
            }
            out.write_char('.')?;
        }
        Ok(())
    }
}
