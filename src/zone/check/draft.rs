//! What the checks read of a record, and the findings about it.

use crate::model::{Finding, Name, Place, Record, Rtype, Severity};
use crate::zone::fields;
use crate::zone::parse::Draft;
use crate::zone::types::Field;

pub(super) const NSEC: Rtype = Rtype(47);
pub(super) const DNSKEY: Rtype = Rtype(48);
pub(super) const NSEC3: Rtype = Rtype(50);
pub(super) const NSEC3PARAM: Rtype = Rtype(51);
pub(super) const CDS: Rtype = Rtype(59);
pub(super) const CDNSKEY: Rtype = Rtype(60);
pub(super) const ZONEMD: Rtype = Rtype(63);
pub(super) const SPF: Rtype = Rtype(99);

impl Draft {
    pub(super) fn record(&self) -> &Record {
        &self.stated.record
    }

    pub(super) fn owner(&self) -> &Name {
        &self.stated.record.owner
    }

    pub(super) fn rtype(&self) -> Rtype {
        self.stated.record.rtype
    }

    pub(super) fn place(&self) -> &Place {
        &self.stated.place
    }

    pub(super) fn error(&self, message: String) -> Finding {
        Finding::error(self.place().clone(), message).with_width(self.width)
    }

    pub(super) fn warning(&self, message: String) -> Finding {
        Finding { severity: Severity::Warning, ..self.error(message) }
    }

    /// The names in its data.
    pub(super) fn names(&self) -> Vec<Name> {
        let parts = fields::split(self.rtype(), &self.record().rdata).unwrap_or_default();
        let names = parts.into_iter().filter(|(field, _)| *field == Field::Name);
        names.filter_map(|(_, wire)| Name::from_wire(wire).ok()).collect()
    }

    /// The last name in its data: what records with one target point to.
    pub(super) fn target(&self) -> Option<Name> {
        self.names().pop()
    }

    /// The type that an RRSIG record covers.
    pub(super) fn covered(&self) -> Option<Rtype> {
        let octets = self.record().rdata.first_chunk::<2>().filter(|_| self.rtype() == Rtype::RRSIG)?;
        Some(Rtype(u16::from_be_bytes(*octets)))
    }
}
