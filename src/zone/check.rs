//! What a whole zone must and should be: apex, aliases, TTLs, glue, targets.
//!
//! Runs on the records of all files of a zone. When lines could not be read, nothing is said about what is missing,
//! because it may stand in one of them.

use std::collections::{BTreeMap, HashMap};

use super::parse::Draft;
use super::types::{self, Field};
use super::{File, StaticRecord, fields};
use crate::model::name::parent;
use crate::model::{Finding, Name, Place, Record, Rtype, Severity};

/// Types that may stand beside a CNAME (RFC 2181 section 10.1, RFC 4034): SIG, KEY, NXT, RRSIG, NSEC.
const BESIDE_ALIAS: [u16; 5] = [24, 25, 30, 46, 47];

/// The zone as it is used, and what was found.
pub(super) struct Outcome {
    pub(super) apex: Name,
    pub(super) records: Vec<StaticRecord>,
    pub(super) remarks: Vec<Finding>,
}

/// The records of a zone by owner.
struct Zone<'d> {
    apex: &'d Name,
    drafts: &'d [Draft],
    owners: HashMap<&'d [u8], Vec<usize>>,
    has_wildcards: bool,
}

/// What stands at a name that a record points to.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    /// Not in this zone.
    Elsewhere,
    /// A or AAAA.
    Addresses,
    /// A CNAME, or below a DNAME.
    Alias,
    /// Below a delegation, without glue.
    Delegated,
    /// Nothing, or no address.
    Nothing,
}

/// Checks the records, drops repeated ones and gives each RRset one TTL.
pub(super) fn check(file: &File, mut drafts: Vec<Draft>, default_origin: &Name, broken: bool) -> Outcome {
    let mut remarks = drop_repeated(&mut drafts);
    let soa = drafts.iter().find(|draft| draft.record().rtype == Rtype::SOA);
    let apex = soa.map_or_else(|| default_origin.clone(), |draft| draft.record().owner.clone());
    remarks.extend(level_ttls(&mut drafts));
    let zone = Zone::new(&apex, &drafts);
    zone.soa(file, broken, &mut remarks);
    zone.owners(&mut remarks);
    zone.exclusive(&mut remarks);
    zone.delegations(&mut remarks);
    if !broken {
        zone.name_servers(file, &mut remarks);
        zone.targets(&mut remarks);
    }
    Outcome { records: drafts.into_iter().map(|draft| draft.stated).collect(), apex, remarks }
}

/// Gives findings the source lines of their places.
pub(super) fn show(remarks: Vec<Finding>, texts: &[(File, Vec<u8>)]) -> Vec<Finding> {
    let mut starts: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut shown = Vec::with_capacity(remarks.len());
    for remark in remarks {
        let text = texts.iter().find(|(file, _)| *file == remark.place.file);
        let Some((file, text)) = text.filter(|_| remark.place.line > 0) else {
            shown.push(remark);
            continue;
        };
        let starts = starts.entry(file).or_insert_with(|| line_starts(text));
        let from = starts.get(remark.place.line as usize - 1).copied().unwrap_or(text.len());
        let line = text[from..].split(|octet| *octet == b'\n').next().unwrap_or_default();
        shown.push(remark.with_source(line));
    }
    shown
}

fn line_starts(text: &[u8]) -> Vec<usize> {
    let ends = text.iter().enumerate().filter(|(_, octet)| **octet == b'\n').map(|(at, _)| at + 1);
    std::iter::once(0).chain(ends).collect()
}

impl Draft {
    fn record(&self) -> &Record {
        &self.stated.record
    }

    fn place(&self) -> &Place {
        &self.stated.place
    }

    fn error(&self, message: String) -> Finding {
        Finding::error(self.place().clone(), message).with_width(self.width)
    }

    fn warning(&self, message: String) -> Finding {
        Finding { severity: Severity::Warning, ..self.error(message) }
    }

    /// The names in its data.
    fn names(&self) -> Vec<Name> {
        let parts = fields::split(self.record().rtype, &self.record().rdata).unwrap_or_default();
        let names = parts.into_iter().filter(|(field, _)| *field == Field::Name);
        names.filter_map(|(_, wire)| Name::from_wire(wire).ok()).collect()
    }
}

/// Removes records that stand twice.
fn drop_repeated(drafts: &mut Vec<Draft>) -> Vec<Finding> {
    let mut first: HashMap<(Name, Rtype, Vec<u8>), Place> = HashMap::with_capacity(drafts.len());
    let mut remarks = Vec::new();
    drafts.retain(|draft| {
        let record = draft.record();
        let key = (record.owner.clone(), record.rtype, fields::canonical(record.rtype, &record.rdata));
        let earlier = first.get(&key);
        if let Some(earlier) = earlier {
            let name = types::mnemonic(record.rtype);
            remarks.push(draft.warning(format!("this {name} record stands at {earlier} already; it is used once")));
            return false;
        }
        first.insert(key, draft.place().clone());
        true
    });
    remarks
}

/// Gives every record of an RRset the set's smallest TTL (RFC 2181 section 5.2).
fn level_ttls(drafts: &mut [Draft]) -> Vec<Finding> {
    let key = |record: &Record| {
        let covered = if record.rtype == Rtype::RRSIG { record.rdata.first_chunk::<2>().copied() } else { None };
        (record.owner.clone(), record.rtype, covered)
    };
    let mut smallest: HashMap<_, (u32, u32)> = HashMap::new();
    for draft in drafts.iter() {
        let record = draft.record();
        let (low, _) = smallest.entry(key(record)).or_insert((record.ttl, record.ttl));
        *low = record.ttl.min(*low);
    }
    let mut remarks = Vec::new();
    for draft in drafts.iter_mut() {
        let (low, first) = smallest[&key(draft.record())];
        if draft.record().ttl != first {
            let (name, ttl) = (types::mnemonic(draft.record().rtype), draft.record().ttl);
            remarks.push(draft.warning(format!(
                "TTL {ttl} differs from TTL {first} of the first {name} record here; all get the smallest, {low}"
            )));
        }
        draft.stated.record.ttl = low;
    }
    remarks
}

impl<'d> Zone<'d> {
    fn new(apex: &'d Name, drafts: &'d [Draft]) -> Self {
        let mut owners: HashMap<&[u8], Vec<usize>> = HashMap::with_capacity(drafts.len());
        for (index, draft) in drafts.iter().enumerate() {
            owners.entry(draft.record().owner.as_wire()).or_default().push(index);
        }
        let has_wildcards = owners.keys().any(|wire| wire.starts_with(b"\x01*"));
        Self { apex, drafts, owners, has_wildcards }
    }

    fn at(&self, wire: &[u8]) -> impl Iterator<Item = &'d Draft> {
        self.owners.get(wire).into_iter().flatten().map(|index| &self.drafts[*index])
    }

    fn has(&self, wire: &[u8], rtype: Rtype) -> bool {
        self.at(wire).any(|draft| draft.record().rtype == rtype)
    }

    /// The name above `wire`, itself included if `own`, where a delegation or DNAME takes it out of the zone.
    fn cut(&self, wire: &[u8], own: bool) -> Option<(Vec<u8>, Rtype)> {
        let mut found = None;
        let mut next = if own { Some(wire) } else { parent(wire) };
        while let Some(name) = next.filter(|name| name.len() > self.apex.as_wire().len()) {
            let is_self = name.len() == wire.len();
            if self.has(name, Rtype::NS) {
                found = Some((name.to_vec(), Rtype::NS));
            } else if !is_self && self.has(name, Rtype::DNAME) {
                found = Some((name.to_vec(), Rtype::DNAME));
            }
            next = parent(name);
        }
        found
    }

    fn target(&self, name: &Name) -> Target {
        let wire = name.as_wire();
        if !name.is_within(self.apex) {
            return Target::Elsewhere;
        }
        let addresses = |wire: &[u8]| self.has(wire, Rtype::A) || self.has(wire, Rtype::AAAA);
        match self.cut(wire, true) {
            Some((_, Rtype::DNAME)) => return Target::Alias,
            _ if addresses(wire) => return Target::Addresses,
            Some(_) => return Target::Delegated,
            None => {}
        }
        match self.wildcard(wire) {
            _ if self.has(wire, Rtype::CNAME) => Target::Alias,
            Some(wildcard) if addresses(&wildcard) => Target::Addresses,
            Some(wildcard) if self.has(&wildcard, Rtype::CNAME) => Target::Alias,
            _ => Target::Nothing,
        }
    }

    /// The wildcard that stands for a name which has no records (RFC 4592), as far as owner names tell.
    fn wildcard(&self, wire: &[u8]) -> Option<Vec<u8>> {
        if !self.has_wildcards || self.owners.contains_key(wire) {
            return None;
        }
        let mut encloser = parent(wire);
        while let Some(name) = encloser {
            let wildcard = [b"\x01*", name].concat();
            if self.owners.contains_key(&wildcard[..]) {
                return Some(wildcard);
            }
            if self.owners.contains_key(name) || name.len() <= self.apex.as_wire().len() {
                return None;
            }
            encloser = parent(name);
        }
        None
    }

    fn soa(&self, file: &File, broken: bool, remarks: &mut Vec<Finding>) {
        let mut all = self.drafts.iter().filter(|draft| draft.record().rtype == Rtype::SOA);
        let Some(first) = all.next() else {
            if !broken {
                let message = format!("the zone {} has no SOA record", self.apex);
                remarks.push(Finding::error(Place::whole(file), message));
            }
            return;
        };
        for other in all {
            let message = match other.record().owner == *self.apex {
                true => format!("a zone has one SOA record; another stands at {}", first.place()),
                false => format!("an SOA record stands only at the apex, which is {} ({})", self.apex, first.place()),
            };
            remarks.push(other.error(message));
        }
        let mailbox = first.names().get(1).is_some_and(|name| name.labels().next().is_some_and(|l| l.contains(&b'@')));
        if mailbox {
            let message = "the mail address in the SOA record has an @; write a dot in its place".to_owned();
            remarks.push(first.warning(message));
        }
    }

    /// Owners outside the zone, and names that look as if a final dot had been forgotten.
    fn owners(&self, remarks: &mut Vec<Finding>) {
        let apex = self.apex.as_wire();
        let doubled = [&apex[..apex.len() - 1], apex].concat();
        let doubled = Name::from_wire(&doubled).ok().filter(|_| apex.len() > 1);
        let forgotten = |name: &Name| doubled.as_ref().is_some_and(|doubled| name.is_within(doubled));
        for draft in self.drafts {
            let owner = &draft.record().owner;
            if !owner.is_within(self.apex) {
                let message = format!("{owner} is not in the zone {}", self.apex);
                remarks.push(draft.error(message).with_help("end a name with a dot only if it is complete"));
            }
            for name in std::iter::once(owner.clone()).chain(draft.names()).filter(forgotten) {
                let message = format!("{name} has the name of the zone twice");
                remarks.push(draft.warning(message).with_help("end a complete name with a dot"));
            }
        }
    }

    /// CNAME beside other data, and more than one record of a type that stands alone.
    fn exclusive(&self, remarks: &mut Vec<Finding>) {
        let sorted: BTreeMap<usize, &Vec<usize>> = self.owners.values().map(|indexes| (indexes[0], indexes)).collect();
        for indexes in sorted.into_values() {
            let all: Vec<&Draft> = indexes.iter().map(|index| &self.drafts[*index]).collect();
            for rtype in [Rtype::CNAME, Rtype::DNAME] {
                let mut of_type = all.iter().filter(|draft| draft.record().rtype == rtype);
                let Some(first) = of_type.next() else { continue };
                for other in of_type {
                    let message = format!("{} has a {rtype} record at {} already", other.record().owner, first.place());
                    remarks.push(other.error(message));
                }
            }
            let Some(alias) = all.iter().find(|draft| draft.record().rtype == Rtype::CNAME) else { continue };
            let beside = |draft: &&&Draft| {
                draft.record().rtype != Rtype::CNAME && !BESIDE_ALIAS.contains(&draft.record().rtype.0)
            };
            for other in all.iter().filter(beside) {
                let name = types::mnemonic(other.record().rtype);
                remarks.push(other.error(format!(
                    "{} has a CNAME record at {} and so no {name} record",
                    other.record().owner,
                    alias.place()
                )));
            }
        }
    }

    /// Records that a delegation or DNAME above them hides, and DS records without a delegation.
    fn delegations(&self, remarks: &mut Vec<Finding>) {
        for draft in self.drafts {
            let Record { owner, rtype, .. } = draft.record();
            let glue = matches!(*rtype, Rtype::A | Rtype::AAAA);
            match self.cut(owner.as_wire(), false) {
                Some((above, by)) if !(glue && by == Rtype::NS) => {
                    let above = Name::from_trusted(&above);
                    remarks.push(draft.warning(format!("{owner} is below the {by} record of {above} and never seen")));
                }
                _ => {}
            }
            if *rtype == Rtype::DS && (owner == self.apex || !self.has(owner.as_wire(), Rtype::NS)) {
                remarks.push(draft.warning(format!("{owner} has a DS record and is no delegation")));
            }
        }
    }

    /// The apex needs NS records, and those of them that lie in the zone need addresses.
    fn name_servers(&self, file: &File, remarks: &mut Vec<Finding>) {
        if !self.has(self.apex.as_wire(), Rtype::NS) {
            let soa = self.at(self.apex.as_wire()).find(|draft| draft.record().rtype == Rtype::SOA);
            let message = format!("the zone {} has no NS record at its apex", self.apex);
            remarks.push(match soa {
                Some(soa) => soa.error(message),
                None => Finding::error(Place::whole(file), message),
            });
        }
    }

    /// Targets of NS, MX and SRV records should be hosts with addresses, not aliases (RFC 2181 section 10.3).
    fn targets(&self, remarks: &mut Vec<Finding>) {
        for draft in self.drafts {
            let Record { owner, rtype, .. } = draft.record();
            if !matches!(*rtype, Rtype::NS | Rtype::MX | Rtype::SRV) {
                continue;
            }
            let at_apex = *rtype == Rtype::NS && owner == self.apex;
            for name in draft.names().into_iter().filter(|name| *name != Name::root()) {
                let below_itself = *rtype == Rtype::NS && name.is_within(owner);
                let message = match self.target(&name) {
                    Target::Alias => format!("{rtype} target {name} is an alias; it should be a host with addresses"),
                    Target::Nothing => format!("{rtype} target {name} has no A or AAAA record"),
                    Target::Delegated if at_apex || below_itself => {
                        format!("{rtype} target {name} has no glue: no A or AAAA record in this zone")
                    }
                    Target::Delegated | Target::Elsewhere | Target::Addresses => continue,
                };
                remarks.push(if at_apex { draft.error(message) } else { draft.warning(message) });
            }
        }
    }
}
