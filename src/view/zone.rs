//! What a view knows of a zone besides its names: the apex, the SOA, whether there is anything to answer from, who may
//! ask, and what a signed zone or the parent of another has besides the entries of its names.

use std::sync::Arc;

use ipnet::IpNet;

use super::aside::{self, Aside};
use super::denial::Denial;
use super::rrset::push_record;
use crate::model::{Name, Record, Revision, Rtype, Serial};

/// A zone in a view.
#[derive(Debug, Clone)]
pub struct Zone {
    /// The apex.
    pub apex: Name,
    /// RDATA of its SOA, with the serial of this view.
    pub soa: Arc<[u8]>,
    /// The SOA record of negative answers from its type on, with the serial of this view.
    pub(crate) negative: Arc<[u8]>,
    /// TTL of the SOA record when it is asked for.
    pub soa_ttl: u32,
    /// TTL of the SOA record in negative answers: the smaller of its TTL and its MINIMUM (RFC 2308 section 3).
    pub negative_ttl: u32,
    /// The serial of this view.
    pub serial: Serial,
    /// Whether its content is known; a zone that takes registrations is not ready until the store has been read.
    pub ready: bool,
    /// Whether its own records could be read; if not, its file has an error.
    pub readable: bool,
    /// Whether its content follows the registry.
    pub dynamic: bool,
    /// The clients that it answers; `None`: all.
    pub allow_query: Option<Arc<[IpNet]>>,
    /// What its serial starts from.
    pub(crate) base: u32,
    /// The last change to its content.
    pub(crate) changed: Revision,
    pub(crate) extras: Extras,
}

/// What a zone has besides the entries of its names; all of it comes from its file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extras {
    /// It was signed before it came here, and nothing changes it here.
    pub(crate) signed: bool,
    /// There are DNAME records.
    pub(crate) redirects: bool,
    /// Records that stand aside, sorted by owner.
    pub(crate) aside: Arc<[Aside]>,
    /// What proves absence.
    pub(crate) denial: Option<Arc<Denial>>,
}

/// Where a zone's own records come from, and what is published in it.
#[derive(Debug, Clone)]
pub struct ZoneSource {
    /// The apex.
    pub apex: Name,
    /// Its records: from a file, or made from the configuration; the SOA and NS of the apex among them.
    pub records: Vec<Record>,
    /// Whether services are published here.
    pub registrations: bool,
    /// Whether PTR records of registered addresses are published here.
    pub reverse: bool,
    /// Whether a TSIG key may update its static records.
    pub updates: bool,
    /// TTL of registered records that do not say otherwise, in seconds.
    pub ttl: u32,
    /// False when its file could not be read: the zone is known, its content is not.
    pub readable: bool,
}

impl ZoneSource {
    /// Whether its content follows the registry.
    pub fn is_dynamic(&self) -> bool {
        self.registrations || self.reverse || self.updates
    }

    /// Whether its records are signed (RFC 4034), by whoever wrote them: nothing is signed here.
    pub fn is_signed(&self) -> bool {
        self.records.iter().any(|record| record.rtype == Rtype::RRSIG)
    }

    /// The SOA among its records.
    pub fn soa(&self) -> Option<&Record> {
        self.records.iter().find(|record| record.rtype == Rtype::SOA && record.owner == self.apex)
    }
}

impl Zone {
    /// A zone whose content last changed at `changed`; `None` when its source has no well-formed SOA.
    pub fn new(source: &ZoneSource, changed: Revision, ready: bool) -> Option<Self> {
        let soa = source.soa()?;
        let fields = soa.rdata.len().checked_sub(20)?;
        let base = super::rrset::u32_at(&soa.rdata, fields);
        let minimum = super::rrset::u32_at(&soa.rdata, fields + 16);
        let mut zone = Self {
            apex: source.apex.clone(),
            soa: Arc::from(&*soa.rdata),
            negative: Arc::default(),
            soa_ttl: soa.ttl,
            negative_ttl: soa.ttl.min(minimum),
            serial: Serial(base),
            ready: source.readable && (ready || !source.is_dynamic()),
            readable: source.readable,
            dynamic: source.is_dynamic(),
            allow_query: None,
            base,
            changed: Revision::default(),
            extras: Extras::default(),
        };
        zone.mark(changed);
        Some(zone)
    }

    /// Whether its answers carry signatures for those who want them (RFC 4035 section 3.1).
    pub fn is_signed(&self) -> bool {
        self.extras.signed
    }

    /// Whether there are DNAME records in it.
    pub(crate) fn has_redirects(&self) -> bool {
        self.extras.redirects
    }

    /// Records that queries for their own names do not find.
    pub fn aside(&self) -> &[Aside] {
        &self.extras.aside
    }

    /// The records of one name among them.
    pub fn aside_at(&self, name: &[u8]) -> Option<&Aside> {
        aside::find(&self.extras.aside, name)
    }

    /// What proves absence, if it is signed.
    pub fn denial(&self) -> Option<&Denial> {
        self.extras.denial.as_deref()
    }

    /// What its serial starts from: the serial of its file or configuration.
    pub fn base_serial(&self) -> Serial {
        Serial(self.base)
    }

    /// The last change to its content.
    pub fn changed(&self) -> Revision {
        self.changed
    }

    /// Moves the serial to a change of the content. Zones without registrations keep the serial of their file.
    pub(crate) fn mark(&mut self, changed: Revision) {
        self.changed = changed;
        self.serial = if self.dynamic { Serial::of(self.base, changed) } else { Serial(self.base) };
        let mut soa = self.soa.to_vec();
        let at = soa.len() - 20;
        soa[at..at + 4].copy_from_slice(&self.serial.0.to_be_bytes());
        let mut negative = Vec::new();
        push_record(&mut negative, &[], Rtype::SOA, self.negative_ttl, &soa);
        self.negative = negative.into();
        self.soa = soa.into();
    }
}
