//! Static records that came as UPDATE messages (RFC 2136): rows of the registry, one for each name.
//!
//! Data are kept in wire format as they were written, in a form in which equal records are equal octets (RFC 2136
//! section 1.1), and as text for people: the registry compares records and shows them without knowing their types.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Name, Record, Revision, Rtype};

/// The records that UPDATE wrote at one name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Its sets, by type; none of them is empty.
    pub sets: Vec<WrittenSet>,
    /// The last change of them.
    pub revision: Revision,
}

/// The records of one type at one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenSet {
    /// Their type.
    #[serde(rename = "type", with = "type_text")]
    pub rtype: Rtype,
    /// How long a cache may keep them, in seconds: one TTL for all of them (RFC 2181 section 5.2).
    pub ttl: u32,
    /// Their data, in the order in which they came.
    pub records: Vec<WrittenData>,
}

/// The data of one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenData {
    /// Wire format, names uncompressed, case as written.
    #[serde(with = "hexadecimal")]
    pub data: Box<[u8]>,
    /// The same with the case of names folded, if that differs.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hexadecimal_option")]
    pub folded: Option<Box<[u8]>>,
    /// As in a zone file.
    pub text: Box<str>,
}

impl Written {
    /// The set of a type.
    pub fn set(&self, rtype: Rtype) -> Option<&WrittenSet> {
        self.sets.iter().find(|set| set.rtype == rtype)
    }

    /// How many records there are.
    pub fn count(&self) -> usize {
        self.sets.iter().map(|set| set.records.len()).sum()
    }

    /// The records as they stand in a zone.
    pub fn records<'w>(&'w self, owner: &'w Name) -> impl Iterator<Item = Record> + use<'w> {
        let set = move |set: &'w WrittenSet| {
            set.records.iter().map(move |record| Record {
                owner: owner.clone(),
                rtype: set.rtype,
                ttl: set.ttl,
                rdata: record.data.clone(),
            })
        };
        self.sets.iter().flat_map(set)
    }

    /// A line for each record, as in a zone file.
    pub fn lines<'w>(&'w self, owner: &'w Name) -> impl Iterator<Item = String> + use<'w> {
        let line = move |set: &'w WrittenSet| {
            set.records.iter().map(move |record| format!("{owner} {} IN {} {}", set.ttl, set.rtype, record.text))
        };
        self.sets.iter().flat_map(line)
    }
}

impl WrittenData {
    /// What equal records have in common.
    pub fn key(&self) -> &[u8] {
        self.folded.as_deref().unwrap_or(&self.data)
    }
}

mod type_text {
    use super::{Deserialize, Deserializer, Rtype, Serializer};

    pub(super) fn serialize<S: Serializer>(rtype: &Rtype, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(rtype)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Rtype, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

mod hexadecimal {
    use data_encoding::HEXLOWER;

    use super::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(octets: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&HEXLOWER.encode(octets))
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Box<[u8]>, D::Error> {
        let text = String::deserialize(from)?;
        HEXLOWER.decode(text.as_bytes()).map(Into::into).map_err(serde::de::Error::custom)
    }
}

mod hexadecimal_option {
    use super::{Deserializer, Serializer, hexadecimal};

    pub(super) fn serialize<S: Serializer>(octets: &Option<Box<[u8]>>, to: S) -> Result<S::Ok, S::Error> {
        hexadecimal::serialize(octets.as_deref().unwrap_or_default(), to)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Option<Box<[u8]>>, D::Error> {
        hexadecimal::deserialize(from).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_reads_as_it_was_written() {
        let plain = WrittenData { data: [192, 0, 2, 1].into(), folded: None, text: "192.0.2.1".into() };
        let alias = WrittenData { data: b"\x01A\0"[..].into(), folded: Some(b"\x01a\0"[..].into()), text: "A.".into() };
        let sets = vec![
            WrittenSet { rtype: Rtype::A, ttl: 30, records: vec![plain] },
            WrittenSet { rtype: Rtype(65_280), ttl: 7, records: vec![alias] },
        ];
        let row = Written { sets, revision: Revision(9) };
        let json = serde_json::to_string(&row).expect("it is JSON");
        assert!(json.contains(r#"{"type":"A","ttl":30,"records":[{"data":"c0000201","text":"192.0.2.1"}]}"#), "{json}");
        assert_eq!(serde_json::from_str::<Written>(&json).expect("it reads"), row);
        assert_eq!(row.sets[1].records[0].key(), b"\x01a\0");
        let owner: Name = "www.example.org".parse().expect("a name");
        assert_eq!(row.lines(&owner).next().as_deref(), Some("www.example.org. 30 IN A 192.0.2.1"));
    }
}
