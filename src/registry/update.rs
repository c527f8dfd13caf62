//! What an UPDATE message asks of the registry (RFC 2136), in the words of `model`, and what the view says to it.

use super::command::Unmet;
use crate::model::{Name, Rtype, WrittenData};

/// One message: all of it happens, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The zone that it changes.
    pub zone: Name,
    /// What has to hold for it to happen.
    pub prerequisites: Vec<Prerequisite>,
    /// What it changes, in this order.
    pub edits: Vec<Edit>,
}

/// A condition (RFC 2136 section 2.4). Records are given in their folded form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prerequisite {
    /// The name has a record.
    InUse(Name),
    /// The name has none.
    NotInUse(Name),
    /// The name has records of a type.
    Exists(Name, Rtype),
    /// The name has none of a type.
    Absent(Name, Rtype),
    /// The records of a type at a name are these, whatever their TTL; sorted, each once.
    Equals(Name, Rtype, Vec<Box<[u8]>>),
}

/// A change of the records at a name (RFC 2136 section 2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Add a record; all of its set get its TTL.
    Add(Name, Rtype, u32, WrittenData),
    /// Delete all records of a type.
    DeleteSet(Name, Rtype),
    /// Delete all records.
    DeleteName(Name),
    /// Delete one record, given in its folded form.
    DeleteRecord(Name, Rtype, Box<[u8]>),
}

impl Edit {
    /// The name whose records it changes.
    pub fn name(&self) -> &Name {
        match self {
            Self::Add(name, ..) | Self::DeleteSet(name, _) | Self::DeleteName(name) => name,
            Self::DeleteRecord(name, ..) => name,
        }
    }
}

/// What the view that was compiled last has at a name, wildcards aside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The types of its records.
    pub types: Vec<Rtype>,
    /// Registrations publish it, or make it known.
    pub registered: bool,
}

/// A view, as far as UPDATE has to know it.
pub trait Look {
    /// What it has at a name.
    fn find(&self, _name: &Name) -> Found {
        Found::default()
    }

    /// The data of the records of a type at a name, with the case of names folded.
    fn data(&self, _name: &Name, _rtype: Rtype) -> Vec<Box<[u8]>> {
        Vec::new()
    }

    /// Why a zone takes no static records from UPDATE, or none at that name, in words.
    fn refusal(&self, _zone: &Name, _name: &Name) -> Option<String> {
        None
    }
}

impl Prerequisite {
    /// What is missing, if it does not hold (RFC 2136 section 3.2).
    pub(super) fn unmet(&self, view: &dyn Look) -> Option<Unmet> {
        let has = |name: &Name, rtype: &Rtype| view.find(name).types.contains(rtype);
        let (holds, otherwise) = match self {
            Self::InUse(name) => (!view.find(name).types.is_empty(), Unmet::NoName),
            Self::NotInUse(name) => (view.find(name).types.is_empty(), Unmet::NameInUse),
            Self::Exists(name, rtype) => (has(name, rtype), Unmet::NoSet),
            Self::Absent(name, rtype) => (!has(name, rtype), Unmet::SetExists),
            Self::Equals(name, rtype, wanted) => {
                let mut data = view.data(name, *rtype);
                data.sort_unstable();
                (data == *wanted, Unmet::NoSet)
            }
        };
        (!holds).then_some(otherwise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `www` has two addresses, `mail` has an MX.
    struct Fixed;

    impl Look for Fixed {
        fn find(&self, name: &Name) -> Found {
            let types = match name.to_string().as_str() {
                "www.example.org." => vec![Rtype::A],
                "mail.example.org." => vec![Rtype::MX],
                _ => Vec::new(),
            };
            Found { types, registered: false }
        }

        fn data(&self, name: &Name, rtype: Rtype) -> Vec<Box<[u8]>> {
            match self.find(name).types.contains(&rtype) {
                true => vec![[192, 0, 2, 2].into(), [192, 0, 2, 1].into()],
                false => Vec::new(),
            }
        }
    }

    fn name(label: &str) -> Name {
        format!("{label}.example.org").parse().expect("a name")
    }

    #[test]
    fn the_prerequisites_of_rfc_2136_section_3_2() {
        let [one, two, three]: [Box<[u8]>; 3] = [1, 2, 3].map(|last| [192, 0, 2, last].into());
        let equals = |label: &str, data: &[&[u8]]| {
            Prerequisite::Equals(name(label), Rtype::A, data.iter().map(|data| (*data).into()).collect())
        };
        let table = [
            (Prerequisite::InUse(name("www")), None),
            (Prerequisite::InUse(name("none")), Some(Unmet::NoName)),
            (Prerequisite::NotInUse(name("none")), None),
            (Prerequisite::NotInUse(name("www")), Some(Unmet::NameInUse)),
            (Prerequisite::Exists(name("www"), Rtype::A), None),
            (Prerequisite::Exists(name("www"), Rtype::MX), Some(Unmet::NoSet)),
            (Prerequisite::Exists(name("none"), Rtype::A), Some(Unmet::NoSet)),
            (Prerequisite::Absent(name("mail"), Rtype::A), None),
            (Prerequisite::Absent(name("mail"), Rtype::MX), Some(Unmet::SetExists)),
            (equals("www", &[&one, &two]), None),
            (equals("www", &[&one]), Some(Unmet::NoSet)),
            (equals("www", &[&one, &two, &three]), Some(Unmet::NoSet)),
            (equals("www", &[&one, &three]), Some(Unmet::NoSet)),
            (equals("none", &[&one]), Some(Unmet::NoSet)),
        ];
        for (prerequisite, unmet) in table {
            assert_eq!(prerequisite.unmet(&Fixed), unmet, "{prerequisite:?}");
        }
    }
}
