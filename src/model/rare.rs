//! A map that is empty nearly everywhere, and takes no more than a pointer then.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A map by text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RareMap<V>(Option<Box<Map<V>>>);

type Map<V> = BTreeMap<Box<str>, V>;

impl<V> Default for RareMap<V> {
    fn default() -> Self {
        Self(None)
    }
}

impl<V> RareMap<V> {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |map| map.len())
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&V> {
        self.0.as_ref()?.get(key)
    }

    /// Whether there is a value of a key.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Keys and values, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&Box<str>, &V)> {
        self.0.iter().flat_map(|map| map.iter())
    }

    /// The keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &Box<str>> {
        self.iter().map(|(key, _)| key)
    }

    /// Gives a key a value.
    pub fn insert(&mut self, key: Box<str>, value: V) {
        self.0.get_or_insert_default().insert(key, value);
    }

    /// Takes a key out with its value.
    pub fn remove(&mut self, key: &str) -> Option<V> {
        let value = self.0.as_mut()?.remove(key);
        self.let_go();
        value
    }

    /// Keeps what `keep` says.
    pub fn retain(&mut self, keep: impl FnMut(&Box<str>, &mut V) -> bool) {
        if let Some(map) = &mut self.0 {
            map.retain(keep);
        }
        self.let_go();
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.0 = None;
    }

    fn let_go(&mut self) {
        self.0.take_if(|map| map.is_empty());
    }
}

impl<V> FromIterator<(Box<str>, V)> for RareMap<V> {
    fn from_iter<T: IntoIterator<Item = (Box<str>, V)>>(all: T) -> Self {
        let map: Map<V> = all.into_iter().collect();
        Self((!map.is_empty()).then(|| Box::new(map)))
    }
}

impl<V: Serialize> Serialize for RareMap<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for RareMap<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer).map(|map| map.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_map_takes_a_pointer_and_reads_as_it_was_written() {
        assert_eq!(size_of::<RareMap<u64>>(), size_of::<usize>());
        let mut map = RareMap::default();
        (1..4).for_each(|number| map.insert(format!("k{number}").into(), number));
        let json = serde_json::to_string(&map).expect("it encodes");
        assert_eq!(json, r#"{"k1":1,"k2":2,"k3":3}"#);
        assert_eq!(serde_json::from_str::<RareMap<u64>>(&json).expect("it decodes"), map);
        assert_eq!((map.get("k2"), map.len()), (Some(&2), 3));
        assert_eq!((map.remove("k2"), map.len()), (Some(2), 2));
        map.retain(|_, number| *number > 3);
        assert_eq!((map.is_empty(), map), (true, serde_json::from_str("{}").expect("it decodes")));
    }
}
