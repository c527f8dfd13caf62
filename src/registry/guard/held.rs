//! Which instances the guard holds, by service and id: so that nobody has to look for them among all.
//!
//! Some twenty octets each, packed; kept up to date with every transition, and part of each snapshot.

use std::ops::Bound;

use crate::model::Packed;

/// Instances that are held.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Held(Packed);

/// Less than every character of a label, so that keys are in the order of service and id.
const BETWEEN: u8 = 0;

impl Held {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Service and id of those behind these, in their order, at most so many.
    pub fn page(&self, service: &str, id: &str, most: usize) -> Vec<(String, String)> {
        let from = key(service, id);
        self.0.iter_from(Bound::Excluded(&from)).take(most).map(|(key, _)| split(key)).collect()
    }

    /// The ids of those of a service, in their order.
    pub fn of(&self, service: &str) -> Vec<String> {
        let first = key(service, "");
        let all = self.0.iter_from(Bound::Included(&first));
        all.map(|(key, _)| split(key)).take_while(|(of, _)| of == service).map(|(_, id)| id).collect()
    }

    /// Notes an instance.
    pub(in super::super) fn insert(&mut self, service: &str, id: &str) {
        self.0.insert(&key(service, id), &[]);
    }

    /// Forgets an instance, if it was there.
    pub(in super::super) fn remove(&mut self, service: &str, id: &str) {
        self.0.remove(&key(service, id));
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.page("", "", usize::MAX)).finish()
    }
}

fn key(service: &str, id: &str) -> Vec<u8> {
    [service.as_bytes(), &[BETWEEN], id.as_bytes()].concat()
}

fn split(key: &[u8]) -> (String, String) {
    let at = key.iter().position(|octet| *octet == BETWEEN).unwrap_or(key.len());
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    (text(&key[..at]), text(key.get(at + 1..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_not_taken_for_one_with_a_longer_name() {
        let mut held = Held::default();
        for (service, id) in [("search-b", "a1"), ("search", "a2"), ("search", "a1"), ("sea", "a1")] {
            held.insert(service, id);
        }
        assert_eq!(held.of("search"), ["a1", "a2"]);
        let behind = held.page("search", "a1", 9).into_iter().map(|(service, id)| format!("{service}/{id}"));
        assert_eq!(behind.collect::<Vec<_>>(), ["search/a2", "search-b/a1"]);
        held.remove("search", "a1");
        held.remove("search", "a9");
        assert_eq!((held.of("search"), held.len()), (vec!["a2".to_owned()], 3));
    }
}
