//! Registry and static records become a view.
//!
//! `full` compiles everything; `update` compiles the names of the services that a batch of changes touched, and those
//! that UPDATE wrote, on top of the view before. Both are functions of their arguments alone: servers with the same
//! configuration, static records and registry revision get the same content.
//!
//! A service becomes a `roster` (who serves, where it is known), the roster a list of `names` in each zone, and each
//! name gets its sets from `owners`. What changed goes through an editor (`service`); everything at once goes straight
//! into shards, on several threads (`bulk`, which says why that is pure).

mod bulk;
mod tallies;
mod large;
mod names;
mod owners;
mod roster;
mod service;
mod statics;
mod written;

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use ipnet::IpNet;
use sha2::{Digest, Sha256};

use super::edit::{Editor, Published};
use super::spare::Spare;
use super::zone::Extras;
use super::{ServerFacts, Table, View, Zone, ZoneSource};
use crate::model::name::parent;
use crate::model::naming::Naming;
use crate::model::{Name, Revision, Service};
use crate::registry::{Snapshot, Touched, TouchedName};
use large::Change;
use owners::Owners;
use service::Concern;
use tallies::Selects;
pub(crate) use tallies::Tallies;

/// The most zones of a view: entries number them with 16 bits.
pub const MOST_ZONES: usize = 1 << 16;

/// Names that a change of one instance is about, mostly: two of its own, two of its service, and one above them.
const NAMES: usize = 5;

/// Compiles views for one configuration and one set of static records.
#[derive(Debug, Clone)]
pub struct Compiler {
    sources: Arc<[ZoneSource]>,
    naming: Naming,
    server: Arc<ServerFacts>,
    seed: u64,
    /// The clients that may ask about a zone, where not all may.
    allow_query: Arc<[(Name, Arc<[IpNet]>)]>,
    minimal: bool,
    /// The clients that may have names explained.
    explain_to: Arc<[IpNet]>,
    /// The most records of one type in an answer from each zone, where services do not say so.
    limits: Arc<[Option<u32>]>,
    /// What shared names select instances by.
    selects: Arc<[Selects]>,
    apexes: Arc<Apexes>,
    /// Where each zone ends inside itself.
    cuts: Arc<[statics::Cuts]>,
    /// Names at which the files of zones that UPDATE may change have records.
    file_names: Arc<[written::FileNames]>,
    /// For each zone, whether every name in it is its own: it has no cuts, and no other zone of ours lies in it.
    undivided: Arc<[bool]>,
    /// Whether some zone has the PTR records of registered addresses.
    has_reverse: bool,
    /// What each zone has besides its entries.
    extras: Arc<[Extras]>,
}

/// Numbers of zones by their apex.
#[derive(Debug)]
struct Apexes(HashMap<Box<[u8]>, u16, FixedState>);

impl Apexes {
    /// The deepest zone that a whole, lower-case name lies in.
    fn zone_of(&self, name: &[u8]) -> Option<u16> {
        let mut next = Some(name);
        while let Some(above) = next {
            if let Some(zone) = self.0.get(above) {
                return Some(*zone);
            }
            next = parent(above);
        }
        None
    }
}

impl Compiler {
    /// A compiler of [`MOST_ZONES`] sources at most; those without a well-formed SOA are left out. `seed` keys the hash
    /// of names.
    pub fn new(mut sources: Vec<ZoneSource>, naming: Naming, server: ServerFacts, seed: u64) -> Self {
        sources.retain(|source| Zone::new(source, Revision::default(), false).is_some());
        sources.sort_by(|a, b| a.apex.cmp(&b.apex));
        sources.dedup_by(|a, b| a.apex == b.apex);
        let numbered = || sources.iter().enumerate().map(|(number, source)| (number as u16, source));
        let apexes = Apexes(numbered().map(|(number, source)| (source.apex.as_wire().into(), number)).collect());
        let cuts: Arc<[statics::Cuts]> = sources.iter().map(statics::cuts).collect();
        // In the order of names, those within a zone follow it.
        let is_divided =
            |number: usize| sources.get(number + 1).is_some_and(|next| next.apex.is_within(&sources[number].apex));
        let undivided = cuts.iter().enumerate().map(|(number, cuts)| cuts.is_empty() && !is_divided(number)).collect();
        let file_names = sources.iter().map(written::file_names).collect();
        let has_reverse = sources.iter().any(|source| source.reverse);
        let extras = numbered().map(|(number, source)| statics::extras(number, source, &apexes)).collect();
        let (server, apexes, selects) = (Arc::new(server), Arc::new(apexes), Selects::all(&naming).into());
        let (sources, allow_query, limits) = (sources.into(), Arc::default(), Arc::default());
        Self {
            sources,
            naming,
            server,
            seed,
            minimal: false,
            explain_to: Arc::default(),
            allow_query,
            limits,
            selects,
            apexes,
            cuts,
            file_names,
            undivided,
            has_reverse,
            extras,
        }
    }

    /// Lets only clients of these prefixes ask about these zones.
    pub fn with_access(self, allow_query: Vec<(Name, Arc<[IpNet]>)>) -> Self {
        Self { allow_query: allow_query.into(), ..self }
    }

    /// Answers services that declare no `answer_limit` with at most so many records of one type, by zone.
    pub fn with_answer_limits(self, limits: &[(Name, u32)]) -> Self {
        let limit = |source: &ZoneSource| limits.iter().find(|(name, _)| *name == source.apex).map(|(_, limit)| *limit);
        Self { limits: self.sources.iter().map(limit).collect(), ..self }
    }

    /// Whether additional sections hold only what an answer is useless without.
    pub fn minimal(self, minimal: bool) -> Self {
        Self { minimal, ..self }
    }

    /// Explains names to clients of these prefixes.
    pub fn explaining_to(self, prefixes: &[IpNet]) -> Self {
        Self { explain_to: prefixes.into(), ..self }
    }

    /// The view before the store has been read: static zones answer, zones with registrations are not ready.
    pub fn unready(&self) -> View {
        let table = self.compile_statics(&Table::empty(self.seed), |source| !source.is_dynamic());
        self.view(Revision::default(), table, &[], false)
    }

    /// Everything, from a snapshot; `changed` says for each dynamic zone when its content last changed.
    pub fn full(&self, snapshot: &Snapshot, changed: &[(Name, Revision)]) -> View {
        let statics = self.compile_statics(&Table::empty(self.seed), |_| true);
        let base = self.compile_browse(self.compile_written(statics, snapshot));
        let services: Vec<&Service> = snapshot.services.values().map(AsRef::as_ref).collect();
        let table = bulk::compile(self, &base, &services, bulk::threads(services.len()));
        let tallies = Tallies::of(services.into_iter(), &self.selects);
        let fleet_held = snapshot.fleet_hold.is_some();
        View { tallies, fleet_held, ..self.view(snapshot.revision, table, changed, true) }
    }

    /// The names of the touched services on top of `view`, which shows `before`. Says which zones' content differs
    /// and by which change.
    pub fn update(
        &self,
        view: &View,
        before: &Snapshot,
        after: &Snapshot,
        touched: &[Touched],
    ) -> (View, Vec<(Name, Revision)>) {
        self.update_own(view.clone(), before, after, (touched, &[]), &mut Spare::default())
    }

    /// [`Self::update`] of a view of which the caller has no more need, with the names that UPDATE wrote: what no other
    /// view shares is changed in place. `spare` is kept between calls.
    pub fn update_own(
        &self,
        view: View,
        before: &Snapshot,
        after: &Snapshot,
        (touched, names): (&[Touched], &[TouchedName]),
        spare: &mut Spare,
    ) -> (View, Vec<(Name, Revision)>) {
        let mut order: Vec<&Touched> = touched.iter().collect();
        order.sort_unstable_by(|a, b| (&a.service, &a.instance).cmp(&(&b.service, &b.instance)));
        let ids: Vec<&str> = order.iter().map(|touched| touched.instance.as_deref().unwrap_or_default()).collect();
        let mut at = 0;
        let mut editor = Editor::with_capacity(&view.table, touched.len() * NAMES + names.len());
        // First of all: registrations keep away from static records.
        self.edit_written(&mut editor, after, names);
        let mut tallies = view.tallies.clone();
        let mut concerns = Vec::with_capacity(order.len());
        for service in order.chunk_by(|one, other| one.service == other.service) {
            // Changes of the service itself, which come first, name no instance.
            let named = service.partition_point(|touched| touched.instance.is_none());
            let ids = &ids[at + named..at + service.len()];
            at += service.len();
            let revision = service.iter().map(|touched| touched.revision).max().unwrap_or_default();
            let name = &*service[0].service;
            let (old, new) = (before.service(name).map(Arc::as_ref), after.service(name).map(Arc::as_ref));
            let is_whole = declared_ttl(old) != declared_ttl(new);
            let change = Change::of(self, (old, new), tallies.get(name), ids);
            if let Some(change) = change.as_ref().filter(|change| !change.has_rivals()) {
                self.edit_big(&mut editor, change, revision);
                tallies.put(change.new, change.after.clone());
                continue;
            }
            let is_whole = is_whole || change.is_some();
            concerns.push(Concern { old, new, ids: (!is_whole).then_some(ids), revision });
            tallies.count(name, new, &self.selects);
        }
        self.edit_services(&mut editor, &concerns);
        let edited = editor.finish_with(spare);
        let mut zones = view.zones.to_vec();
        let mut moved = Vec::new();
        for (number, revision) in &edited.zones {
            let zone = Arc::make_mut(&mut zones[usize::from(*number)]);
            zone.mark(*revision);
            moved.push((zone.apex.clone(), *revision));
        }
        let table = edited.onto_with(view.table, spare);
        let (fleet_held, zones) = (after.fleet_hold.is_some(), zones.into());
        (View { revision: after.revision, fleet_held, zones, table, tallies, ..view }, moved)
    }

    /// For each dynamic zone the hash of what it contains besides registrations.
    pub fn bases(&self) -> Vec<(Name, String)> {
        let dynamic = self.sources.iter().enumerate().filter(|(_, source)| source.is_dynamic());
        dynamic.map(|(number, source)| (source.apex.clone(), self.basis(number, source))).collect()
    }

    fn basis(&self, number: usize, source: &ZoneSource) -> String {
        let mut hash = Sha256::new();
        let mut records: Vec<_> = source.records.iter().collect();
        records.sort_by(|a, b| (&a.owner, a.rtype, &a.rdata).cmp(&(&b.owner, b.rtype, &b.rdata)));
        for record in records {
            hash.update(record.owner.as_wire());
            hash.update(record.rtype.0.to_be_bytes());
            hash.update(record.ttl.to_be_bytes());
            hash.update((record.rdata.len() as u32).to_be_bytes());
            hash.update(&record.rdata);
        }
        for template in self.naming.templates() {
            hash.update(format!("{}\n{:?}\n", template.pattern, template.publishes));
        }
        for zone in self.sources.iter() {
            hash.update(format!("{} {} {}\n", zone.apex, zone.registrations, zone.reverse));
        }
        hash.update(source.ttl.to_be_bytes());
        if let Some(limit) = self.zone_limit(number) {
            hash.update(limit.to_be_bytes());
        }
        data_encoding::HEXLOWER.encode(&hash.finalize())
    }

    /// The most records of one type in an answer from a zone, where services do not say so.
    fn zone_limit(&self, zone: usize) -> Option<u32> {
        self.limits.get(zone).copied().flatten()
    }

    fn view(&self, revision: Revision, table: Table, changed: &[(Name, Revision)], ready: bool) -> View {
        let zones = self.sources.iter().zip(self.extras.iter()).filter_map(|(source, extras)| {
            let known = changed.iter().find(|(name, _)| *name == source.apex);
            let changed = known.map_or(Revision::default(), |(_, revision)| *revision);
            let allowed = self.allow_query.iter().find(|(name, _)| *name == source.apex);
            let allow_query = allowed.map(|(_, prefixes)| Arc::clone(prefixes));
            let zone = Zone::new(source, changed, ready)?;
            Some(Arc::new(Zone { allow_query, extras: extras.clone(), ..zone }))
        });
        let zones = zones.collect();
        let (server, minimal, restricted) = (Arc::clone(&self.server), self.minimal, !self.allow_query.is_empty());
        View {
            revision,
            stale: false,
            fleet_held: false,
            restricted,
            minimal,
            explain_to: Arc::clone(&self.explain_to),
            server,
            zones,
            table,
            tallies: Tallies::default(),
        }
    }

    fn compile_statics(&self, base: &Table, which: impl Fn(&ZoneSource) -> bool) -> Table {
        let mut editor = Editor::new(base);
        for (number, source) in self.sources.iter().enumerate() {
            let (number, cuts) = (number as u16, &self.cuts[number]);
            statics::put_zone(&mut editor, number, source, which(source), &self.apexes, cuts);
            let above = source.apex.parent().and_then(|above| self.zone_number(&above).map(|zone| (above, zone)));
            if let Some((above, enclosing)) = above.filter(|(_, zone)| self.knows(*zone, &source.apex)) {
                editor.nest(enclosing, &above);
            }
        }
        editor.finish().onto(base.clone())
    }

    /// Whether a zone may say that names above `apex`, that of a deeper zone of ours, exist. A signed one can prove
    /// that only if it says something there itself, such as a delegation.
    fn knows(&self, zone: u16, apex: &Name) -> bool {
        let extras = &self.extras[usize::from(zone)];
        !extras.signed || extras.aside.iter().any(|aside| aside.owner.is_within(apex))
    }

    fn compile_browse(&self, table: Table) -> Table {
        let mut editor = Editor::new(&table);
        for owners in self.owners() {
            let names = owners.browse().into_iter();
            for (name, set) in names.filter(|(name, _)| self.publishes_at(owners.zone, name.as_wire())) {
                let published = Published { sets: vec![set], ..Published::default() };
                editor.publish(owners.zone, name.as_wire(), published, Revision::default());
            }
        }
        editor.finish().onto(table.clone())
    }

    /// The zones in which services are published.
    fn owners(&self) -> impl Iterator<Item = Owners<'_>> {
        let numbers = (0..self.sources.len()).filter(|number| self.sources[*number].registrations);
        numbers.map(|number| Owners::new(self, number as u16))
    }

    /// The deepest zone that a name lies in.
    fn zone_number(&self, name: &Name) -> Option<u16> {
        self.apexes.zone_of(name.as_wire())
    }

    /// Whether a zone is the one to answer a name in it: no deeper zone of ours is, and it does not end at or above the
    /// name.
    fn publishes_at(&self, zone: u16, name: &[u8]) -> bool {
        let number = usize::from(zone);
        if self.undivided[number] {
            return true;
        }
        let (cuts, apex) = (&self.cuts[number], &self.sources[number].apex);
        let is_cut = cuts.contains(name) || statics::cut_above(name, apex.as_wire(), cuts).is_some();
        !is_cut && self.apexes.zone_of(name) == Some(zone)
    }
}

fn declared_ttl(service: Option<&Service>) -> Option<u32> {
    service.and_then(|service| service.row.declaration.as_ref()).and_then(|declared| declared.ttl)
}
