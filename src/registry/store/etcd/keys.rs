//! Keys: what stands where below the prefix.
//!
//! | key | value |
//! | --- | --- |
//! | `head` | JSON of `Head`: the last batch |
//! | `frames/NUMBER-REVISION` | a frame; the revision is the one after it |
//! | `frames/canary/SERVER` | a number that grows |
//! | `folded` | JSON of `Head`: rows have all frames up to there |
//! | `pruned` | history is forgotten up to this revision |
//! | `leader` | the name of the server that brings frames into rows, under its lease |
//! | `rows/KIND/KEY` | a row, JSON as in the embedded store |
//!
//! Numbers have 20 digits, so that their order is that of the keys. Canaries stand among the frames so that one watch
//! sees both, and a canary that comes proves that frames come. Both parts of a row's key are followed by a zero octet;
//! whatever octets 0 and 1 a name has are written as two, so any name is safe and the order stays.

use super::super::entry::RowKey;
use crate::model::Revision;

/// Kinds of rows.
pub(super) const KINDS: [&str; 6] = ["instances", "services", "tokens", "zones", "records", "sessions"];

pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.trim_end_matches('/').to_owned() }
    }

    pub(super) fn head(&self) -> Vec<u8> {
        self.named("head")
    }

    pub(super) fn folded(&self) -> Vec<u8> {
        self.named("folded")
    }

    pub(super) fn pruned(&self) -> Vec<u8> {
        self.named("pruned")
    }

    pub(super) fn leader(&self) -> Vec<u8> {
        self.named("leader")
    }

    pub(super) fn canary(&self, server: &str) -> Vec<u8> {
        self.named(&format!("frames/canary/{server}"))
    }

    /// Of everything that is watched.
    pub(super) fn frames(&self) -> Vec<u8> {
        self.named("frames/")
    }

    pub(super) fn frame(&self, number: u64, revision: Revision) -> Vec<u8> {
        self.named(&format!("frames/{number:020}-{:020}", revision.0))
    }

    /// Where the frames from a number on begin.
    pub(super) fn frames_from(&self, number: u64) -> Vec<u8> {
        self.named(&format!("frames/{number:020}"))
    }

    /// Behind all frames.
    pub(super) fn frames_end(&self) -> Vec<u8> {
        self.named("frames/:") // the octet behind the digits
    }

    /// Number and revision of a frame's key.
    pub(super) fn parse_frame(&self, key: &[u8]) -> Option<(u64, Revision)> {
        let rest = key.strip_prefix(self.frames().as_slice())?;
        let (number, revision) = std::str::from_utf8(rest).ok()?.split_once('-')?;
        Some((number.parse().ok()?, Revision(revision.parse().ok()?)))
    }

    /// What the keys of a kind of rows begin with.
    pub(super) fn rows(&self, kind: &str) -> Vec<u8> {
        self.named(&format!("rows/{kind}/"))
    }

    /// The key of a row; none of what is no row.
    pub(super) fn row(&self, key: &RowKey<'_>) -> Option<Vec<u8>> {
        let (kind, parts): (usize, &[&str]) = match key {
            RowKey::Instance(service, id) => (0, &[service, id]),
            RowKey::Service(service) => (1, &[service]),
            RowKey::Token(id) => (2, &[id]),
            RowKey::Zone(name) => (3, &[name]),
            RowKey::Records(zone, name) => (4, &[zone, name]),
            RowKey::Session(name) => (5, &[name]),
            RowKey::Change(_) | RowKey::Mark => return None,
        };
        let mut row = self.rows(KINDS[kind]);
        for part in parts {
            for &octet in part.as_bytes() {
                match octet {
                    0 | 1 => row.extend([1, octet + 1]),
                    other => row.push(other),
                }
            }
            row.push(0);
        }
        Some(row)
    }

    /// The parts of a row's key, of what follows [`Keys::rows`].
    pub(super) fn parse_row(rest: &[u8]) -> Option<Vec<String>> {
        let parts = rest.strip_suffix(&[0])?.split(|&octet| octet == 0);
        parts.map(|part| String::from_utf8(unescape(part)?).ok()).collect()
    }

    fn named(&self, name: &str) -> Vec<u8> {
        format!("{}/{name}", self.prefix).into_bytes()
    }
}

fn unescape(part: &[u8]) -> Option<Vec<u8>> {
    let mut octets = part.iter();
    let mut text = Vec::with_capacity(part.len());
    while let Some(&octet) = octets.next() {
        text.push(if octet == 1 { octets.next()?.checked_sub(1)? } else { octet });
    }
    Some(text)
}

/// The end of the range of all keys that begin with `prefix`.
pub(super) fn behind(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1; // it is a slash
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_any_names_come_back_and_keep_their_order() {
        let keys = Keys::new("/zonebeat/");
        let mut rows =
            [("a", "b"), ("a\0", "b"), ("a", "\u{1}"), ("a\u{1}x", ""), ("a-1", "z"), ("", "\0"), ("é/", "/")];
        rows.sort();
        let made: Vec<_> = rows.iter().filter_map(|(service, id)| keys.row(&RowKey::Instance(service, id))).collect();
        assert!(made.is_sorted() && made.len() == rows.len());
        for (row, (service, id)) in made.iter().zip(rows) {
            let rest = row.strip_prefix(keys.rows("instances").as_slice()).unwrap();
            assert_eq!(Keys::parse_row(rest).unwrap(), [service, id]);
        }
    }

    #[test]
    fn frames_are_in_the_order_of_their_numbers_and_canaries_are_none() {
        let keys = Keys::new("/zonebeat");
        let (small, large) = (keys.frame(9, Revision(100)), keys.frame(10, Revision(11)));
        assert!(small < large && large < keys.frames_end() && keys.frames_from(10) < large);
        assert!(small < keys.frames_from(10) && keys.canary("a") > keys.frames_end());
        assert_eq!(keys.parse_frame(&large), Some((10, Revision(11))));
        assert_eq!(keys.parse_frame(&keys.canary("a-1")), None);
    }
}
