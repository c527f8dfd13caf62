//! Labels of services, instances, sites, tags and protocols.
//!
//! Letters, digits and hyphen, not at either end (RFC 1123 section 2.1); 1 to 63 octets, with the underscore that some
//! of them get in front; stored lower-case.

use super::name::MAX_LABEL;
use super::refusal::{Refusal, Word};

/// What a label names; decides how long it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelKind {
    /// A service; gets an underscore in SRV names.
    Service,
    /// An instance.
    Instance,
    /// A site.
    Site,
    /// A tag; gets an underscore in subtype names.
    Tag,
    /// A protocol; gets an underscore.
    Proto,
}

impl LabelKind {
    /// The word for messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Instance => "instance",
            Self::Site => "site",
            Self::Tag => "tag",
            Self::Proto => "proto",
        }
    }

    /// The most octets, so that the label with its underscore still fits into 63.
    pub fn limit(self) -> usize {
        match self {
            Self::Instance | Self::Site => MAX_LABEL,
            Self::Service | Self::Tag | Self::Proto => MAX_LABEL - 1,
        }
    }
}

/// Checks a label and folds its case.
pub fn parse_label(kind: LabelKind, text: &str) -> Result<String, Refusal> {
    let refuse = |why: String| {
        let detail = format!(
            "{} label \"{}\" {why}; use 1 to {} letters, digits and hyphens, no hyphen at either end",
            kind.as_str(),
            text.escape_debug(),
            kind.limit()
        );
        Err(Refusal::new(Word::BadLabel, detail))
    };
    if text.is_empty() {
        return refuse("is empty".into());
    }
    if let Some(bad) = text.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '-') {
        return refuse(format!("has the character \"{}\"", bad.escape_debug()));
    }
    if text.len() > kind.limit() {
        return refuse(format!("has {} octets", text.len()));
    }
    if text.starts_with('-') || text.ends_with('-') {
        return refuse("has a hyphen at an end".into());
    }
    Ok(text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_folded_and_bounded() {
        assert_eq!(parse_label(LabelKind::Service, "Search").as_deref(), Ok("search"));
        assert!(parse_label(LabelKind::Service, &"a".repeat(63)).is_err());
        assert!(parse_label(LabelKind::Instance, &"a".repeat(63)).is_ok());
        for bad in ["", "_x", "a.b", "a b", "-a", "a-", "é", "*", "a\0"] {
            let refusal = parse_label(LabelKind::Service, bad).expect_err(bad);
            assert_eq!(refusal.word, Word::BadLabel, "{bad}");
        }
    }
}
