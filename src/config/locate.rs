//! Where a key stands in the file: `dns.udp_max_for[1].size` becomes line and column.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::model::{Finding, Place};

/// The file that a configuration was read from, and what flags have replaced of it.
#[derive(Clone, Default)]
pub(super) struct Source {
    pub(super) file: Option<(Arc<str>, Arc<str>)>,
    pub(super) replaced: Vec<&'static str>,
}

/// Where a configuration came from is no part of what it says.
impl PartialEq for Source {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Never shows the text, which may hold secrets.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({:?})", self.file.as_ref().map(|(file, _)| file))
    }
}

impl Source {
    /// An error about the value of a key; the line of a secret is not shown.
    pub(super) fn finding(&self, key: &str, message: &str) -> Finding {
        let finding = self.placed(key, message);
        if key.contains(".secrets[") || finding.source.as_ref().is_some_and(|line| line.contains("secret")) {
            Finding { source: None, ..finding }
        } else {
            finding
        }
    }

    fn placed(&self, key: &str, message: &str) -> Finding {
        let message = format!("{key}: {message}");
        let flag = self.replaced.iter().any(|replaced| key.starts_with(replaced));
        let span = self.file.as_ref().filter(|_| !flag).and_then(|(_, text)| span_of(text, key));
        match (&self.file, span) {
            (Some((file, text)), Some(span)) => at_span(file, text, span, message),
            (Some((file, _)), None) if !flag => Finding::error(Place::whole(file), message),
            _ => Finding::error(Place::whole("flags and defaults"), message),
        }
    }
}

/// An error about the value of a key of a file, such as `instance[1].port`; at the nearest table that is there.
pub fn finding_at(file: &str, text: &str, key: &str, message: impl Into<String>) -> Finding {
    match span_of(text, key) {
        Some(span) => at_span(file, text, span, message),
        None => Finding::error(Place::whole(file), message),
    }
}

/// An error at a range of octets of a file.
pub(super) fn at_span(file: &str, text: &str, span: Range<usize>, message: impl Into<String>) -> Finding {
    let start = floor(text, span.start);
    let end = floor(text, span.end).max(start);
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let place = Place {
        file: file.into(),
        line: text[..start].matches('\n').count() as u32 + 1,
        column: text[line_start..start].chars().count() as u32 + 1,
    };
    let width = text[start..end.min(line_end)].chars().count() as u32;
    Finding::error(place, message).with_width(width).with_source(&text.as_bytes()[line_start..line_end])
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// The value of a key, or of the nearest table around it that is in the file.
fn span_of(text: &str, key: &str) -> Option<Range<usize>> {
    let root = DeTable::parse(text).ok()?;
    let mut value: Option<&Spanned<DeValue<'_>>> = None;
    for part in key.split('.') {
        let (name, indexes) = part.split_once('[').unwrap_or((part, ""));
        let table = match value {
            None => Some(root.get_ref()),
            Some(value) => value.get_ref().as_table(),
        };
        let Some(mut next) = table.and_then(|table| table.get(name)) else { break };
        let indexes = indexes.trim_end_matches(']').parse::<usize>().ok();
        if let Some(item) = indexes.and_then(|at| next.get_ref().as_array()?.get(at)) {
            next = item;
        }
        value = Some(next);
    }
    value.map(Spanned::span)
}
