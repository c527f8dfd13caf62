//! A collection that most rows have empty: one pointer then, and nothing behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Timestamp;

/// A collection with an empty one to show where none was made.
pub trait Empty: Default + PartialEq + 'static {
    /// The empty collection.
    fn empty() -> &'static Self;
}

impl Empty for BTreeMap<Box<str>, Timestamp> {
    fn empty() -> &'static Self {
        static EMPTY: BTreeMap<Box<str>, Timestamp> = BTreeMap::new();
        &EMPTY
    }
}

impl Empty for BTreeSet<Arc<str>> {
    fn empty() -> &'static Self {
        static EMPTY: BTreeSet<Arc<str>> = BTreeSet::new();
        &EMPTY
    }
}

/// A collection that is made when something is put into it. Reads and writes like the collection itself.
#[derive(Debug, Clone)]
pub struct Rare<C>(Option<Box<C>>);

impl<C: Empty> Rare<C> {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        **self == *C::empty()
    }

    /// Gives the memory of a collection back that has become empty.
    pub fn tidy(&mut self) {
        if self.is_empty() {
            self.0 = None;
        }
    }
}

impl<C> Default for Rare<C> {
    fn default() -> Self {
        Self(None)
    }
}

impl<C: Empty> Deref for Rare<C> {
    type Target = C;

    fn deref(&self) -> &C {
        match &self.0 {
            Some(collection) => collection,
            None => C::empty(),
        }
    }
}

impl<C: Empty> DerefMut for Rare<C> {
    fn deref_mut(&mut self) -> &mut C {
        self.0.get_or_insert_default()
    }
}

impl<C: Empty> PartialEq for Rare<C> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<C: Empty + Eq> Eq for Rare<C> {}

impl<C: Empty> From<C> for Rare<C> {
    fn from(collection: C) -> Self {
        let mut rare = Self(Some(Box::new(collection)));
        rare.tidy();
        rare
    }
}

impl<T, C: Empty + FromIterator<T>> FromIterator<T> for Rare<C> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        C::from_iter(items).into()
    }
}

impl<C: Empty + Serialize> Serialize for Rare<C> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<'de, C: Empty + Deserialize<'de>> Deserialize<'de> for Rare<C> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        C::deserialize(deserializer).map(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_a_pointer_and_is_the_collection() {
        let mut rare = Rare::<BTreeSet<Arc<str>>>::default();
        assert_eq!(size_of_val(&rare), 8);
        assert!(rare.is_empty() && !rare.contains("a"));
        assert!(rare.insert("a".into()));
        assert_eq!(serde_json::to_string(&rare).expect("JSON"), r#"["a"]"#);
        assert!(rare.remove("a") && rare.0.is_some());
        assert_eq!(rare, Rare::default());
        rare.tidy();
        assert!(rare.0.is_none());
        let read: Rare<BTreeSet<Arc<str>>> = serde_json::from_str("[]").expect("list");
        assert!(read.0.is_none());
    }
}
