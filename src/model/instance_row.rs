//! From an instance's JSON straight to its packed octets: what a start does a million times.
//!
//! Reading an [`Instance`](super::Instance) makes a heap block of each of its texts, only to copy them
//! once more. Here texts stay where they are in the JSON, unless it has escapes in them. What is read, and
//! what is refused, is the same.

use std::borrow::Cow;

use serde::Deserialize;

use super::packed::{Reader, put_octets};
use super::packed_instance::{PackedInstance, Parts};
use super::{Endpoint, Orders, Revision, ServerNumber, State, Timestamp};

/// Packs instances one behind the other, each with its service, to be taken out elsewhere.
#[derive(Debug, Default)]
pub struct RowPacker {
    octets: Vec<u8>,
    value: Vec<u8>,
    rows: usize,
}

/// An instance whose texts lie in its JSON. It has the fields of [`Instance`](super::Instance).
#[derive(Deserialize)]
#[serde(rename = "Instance")]
struct Row<'r> {
    #[serde(borrow)]
    id: Text<'r>,
    proto: Text<'r>,
    port: u16,
    priority: u16,
    weight: u16,
    #[serde(default)]
    site: Option<Text<'r>>,
    endpoint: Endpoint,
    #[serde(default)]
    tags: Vec<Text<'r>>,
    #[serde(default)]
    metadata: Vec<(Text<'r>, Text<'r>)>,
    lease_seconds: u32,
    #[serde(default)]
    session: Option<Text<'r>>,
    #[serde(default)]
    epoch: Option<Text<'r>>,
    #[serde(default)]
    owner: ServerNumber,
    #[serde(default)]
    out: Option<Text<'r>>,
    #[serde(default)]
    orders: Option<Orders>,
    incarnation: Revision,
    state: State,
    #[serde(default)]
    site_only: bool,
    since: Timestamp,
    revision: Revision,
}

/// A text that is borrowed wherever it stands.
#[derive(Deserialize)]
struct Text<'r>(#[serde(borrow)] Cow<'r, str>);

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl RowPacker {
    /// Packs the instance of this JSON behind the others if its id is `id`; gives back the id that it has if it is not.
    pub fn push(&mut self, service: &str, id: &str, json: &[u8]) -> Result<Option<String>, serde_json::Error> {
        let row: Row<'_> = serde_json::from_slice(json)?;
        if row.id.as_ref() != id {
            return Ok(Some(row.id.0.into_owned()));
        }
        self.value.clear();
        row.parts().pack(&mut self.value);
        [service.as_bytes(), id.as_bytes(), &self.value]
            .into_iter()
            .for_each(|part| put_octets(&mut self.octets, part));
        self.rows += 1;
        Ok(None)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Takes out what was packed, to be read by [`RowPacker::read`] anywhere; the packer is empty afterwards.
    pub fn take(&mut self) -> Vec<u8> {
        self.rows = 0;
        let room = Vec::with_capacity(self.octets.len());
        std::mem::replace(&mut self.octets, room)
    }

    /// The service and the instance of each row that was taken out, in order.
    pub fn read(taken: &[u8]) -> impl Iterator<Item = (&str, PackedInstance<'_>)> {
        let mut reader = Reader(taken);
        std::iter::from_fn(move || {
            if reader.0.is_empty() {
                return None;
            }
            let (service, id, value) = (reader.text(), reader.text(), reader.octets());
            Some((service, PackedInstance { id, value }))
        })
    }
}

impl<'r> Row<'r> {
    fn parts(&self) -> Parts<'_, Text<'r>> {
        Parts {
            proto: self.proto.as_ref(),
            port: self.port,
            priority: self.priority,
            weight: self.weight,
            site: self.site.as_ref().map(Text::as_ref),
            endpoint: &self.endpoint,
            tags: &self.tags,
            metadata: &self.metadata,
            lease_seconds: self.lease_seconds,
            session: self.session.as_ref().map(Text::as_ref),
            epoch: self.epoch.as_ref().map(Text::as_ref),
            owner: self.owner,
            out: self.out.as_ref().map(Text::as_ref),
            orders: self.orders.as_ref(),
            incarnation: self.incarnation,
            state: self.state,
            site_only: self.site_only,
            since: self.since,
            revision: self.revision,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::instances::tests::instance;
    use super::super::{Instance, Timestamp};
    use super::*;

    /// What an instance is after its JSON was packed.
    fn through_a_row(id: &str, json: &[u8]) -> Result<Instance, String> {
        let mut rows = RowPacker::default();
        // serde calls what is no object by the name of the type.
        let as_instance = |error: serde_json::Error| error.to_string().replace("struct Row", "struct Instance");
        let other = rows.push("search", id, json).map_err(as_instance)?;
        assert_eq!((other, rows.len()), (None, 1));
        let taken = rows.take();
        assert!(rows.is_empty() && rows.take().is_empty());
        let mut read = RowPacker::read(&taken);
        let (service, packed) = read.next().expect("one was pushed");
        assert!(service == "search" && read.next().is_none());
        Ok(packed.look().to_instance())
    }

    /// A row that contradicts itself, as only damage makes one, is what its facts say: no orders are none, and its state
    /// follows from them.
    fn settled(mut instance: Instance) -> Instance {
        instance.order(|_| {});
        if !instance.is_silent() {
            instance.state = instance.resting();
        }
        instance
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn a_row_gives_what_its_json_says(instance in instance(), text in "[a\"\\\\\u{7}\u{20ac}]{0,6}") {
            // Times that RFC 3339 has; texts that JSON escapes.
            let since = Timestamp(instance.since.0 % 4_000_000_000_000);
            let instance = Instance { since, session: Some(text.into()), ..instance };
            let json = serde_json::to_vec(&instance).expect("it encodes");
            prop_assert_eq!(through_a_row(&instance.id, &json), Ok(instance));
        }

        #[test]
        fn a_row_is_refused_as_an_instance_is(instance in instance(), at in any::<prop::sample::Index>(), with: u8) {
            let instance = Instance { since: Timestamp(1_790_000_000_123), ..instance };
            let mut json = serde_json::to_vec(&instance).expect("it encodes");
            let at = at.index(json.len());
            json[at] = with;
            let whole = serde_json::from_slice::<Instance>(&json).map_err(|error| error.to_string());
            let id = whole.as_ref().map_or_else(|_| instance.id.clone(), |whole| whole.id.clone());
            prop_assert_eq!(through_a_row(&id, &json), whole.map(settled));
        }
    }

    #[test]
    fn what_is_no_object_is_called_no_instance() {
        for json in [&b"7"[..], b"[]"] {
            let whole = serde_json::from_slice::<Instance>(json).map_err(|error| error.to_string());
            assert_eq!(through_a_row("a1", json), whole);
        }
    }

    #[test]
    fn another_id_is_given_back() {
        let json = br#"{"id":"a2","proto":"tcp","port":80,"priority":0,"weight":1,
            "endpoint":{"addresses":["192.0.2.7"]},"lease_seconds":15,"incarnation":1,"state":"serving",
            "since":"2026-01-01T00:00:00Z","revision":1,"later":[]}"#;
        let mut rows = RowPacker::default();
        assert_eq!(rows.push("search", "a1", json).expect("it decodes").as_deref(), Some("a2"));
        assert!(rows.is_empty());
        assert!(rows.push("search", "a2", json).expect("it decodes").is_none());
        assert!(rows.push("search", "a2", b"{}").is_err());
        assert_eq!(rows.len(), 1);
    }
}
