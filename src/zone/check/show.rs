//! Findings of the checks get the source lines of their places: the checks know records, not texts.

use std::collections::HashMap;

use crate::model::Finding;
use crate::zone::File;

/// Gives findings that have none the source lines of their places.
pub(in crate::zone) fn show(remarks: Vec<Finding>, texts: &[(File, Vec<u8>)]) -> Vec<Finding> {
    let mut starts: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut shown = Vec::with_capacity(remarks.len());
    for remark in remarks {
        let text = texts.iter().find(|(file, _)| *file == remark.place.file);
        let Some((file, text)) = text.filter(|_| remark.place.line > 0 && remark.source.is_none()) else {
            shown.push(remark);
            continue;
        };
        let starts = starts.entry(file).or_insert_with(|| line_starts(text));
        let from = starts.get(remark.place.line as usize - 1).copied().unwrap_or(text.len());
        let line = text[from..].split(|octet| *octet == b'\n').next().unwrap_or_default();
        shown.push(remark.with_source(line));
    }
    shown
}

fn line_starts(text: &[u8]) -> Vec<usize> {
    let ends = text.iter().enumerate().filter(|(_, octet)| **octet == b'\n').map(|(at, _)| at + 1);
    std::iter::once(0).chain(ends).collect()
}
