//! Tokens that were granted a service: nobody for nearly every service, and then no more than a pointer.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Ids of tokens, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants(Option<Box<Ids>>);

type Ids = BTreeSet<Arc<str>>;

impl Grants {
    /// Whether nobody was granted it.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How many tokens.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |ids| ids.len())
    }

    /// Whether a token was granted it.
    pub fn contains(&self, id: &str) -> bool {
        self.0.as_ref().is_some_and(|ids| ids.contains(id))
    }

    /// The ids.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter().flat_map(|ids| ids.iter())
    }

    /// Adds a token.
    pub fn insert(&mut self, id: Arc<str>) {
        self.0.get_or_insert_default().insert(id);
    }

    /// Takes a token out.
    pub fn remove(&mut self, id: &str) {
        if let Some(ids) = &mut self.0 {
            ids.remove(id);
        }
        self.0.take_if(|ids| ids.is_empty());
    }
}

impl FromIterator<Arc<str>> for Grants {
    fn from_iter<T: IntoIterator<Item = Arc<str>>>(all: T) -> Self {
        let ids: Ids = all.into_iter().collect();
        Self((!ids.is_empty()).then(|| Box::new(ids)))
    }
}

impl Serialize for Grants {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Grants {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ids::deserialize(deserializer).map(|ids| ids.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_grants_take_a_pointer_and_some_read_as_they_were_written() {
        assert_eq!(size_of::<Grants>(), size_of::<usize>());
        let mut grants = Grants::default();
        grants.insert("b".into());
        grants.insert("a".into());
        let json = serde_json::to_string(&grants).expect("it encodes");
        assert_eq!(json, r#"["a","b"]"#);
        assert_eq!(serde_json::from_str::<Grants>(&json).expect("it decodes"), grants);
        grants.remove("a");
        assert!(grants.contains("b") && !grants.contains("a") && grants.len() == 1);
        grants.remove("b");
        assert!(grants.is_empty() && grants == serde_json::from_str("[]").expect("it decodes"));
    }
}
