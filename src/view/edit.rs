//! The next table, built aside: names are edited one by one, then every touched shard is rebuilt once.
//!
//! An editor starts from a table and remembers of an edited entry what replaces its parts; what is not replaced is read
//! in the base. It knows names by their slots in the table, so that each is hashed once, and rebuilds shards in their
//! order. `finish` settles which names exist: a name without records stays while something exists below it (RFC 8020),
//! so a name that comes or goes changes the count of children of its parent, up to the apex of the zone. What came out
//! different is known then, and by which change: that is what a zone's serial is made of.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::aside::Sets;
use super::large::{self, LargeSet};
use super::patch::Patcher;
use super::rrset::{Body, RrSet, RrSetBuf};
use super::shard::{APEX, Entry, Facts, KNOWN, OCCLUDED, STATIC, Shard, WILDCARD};
use super::slots::SlotIndex;
use super::spare::Spare;
use super::table::{Slot, Table};
use crate::model::name::parent;
use crate::model::{Name, Revision, Rtype};

/// Edits on top of a table.
pub(crate) struct Editor<'t> {
    base: &'t Table,
    /// The names, one behind the other.
    names: Vec<u8>,
    pending: Vec<Pending<'t>>,
    index: SlotIndex,
}

/// What is pending for a name.
struct Pending<'t> {
    /// Where the name stands among all.
    name: (u32, u8),
    slot: Slot,
    /// As it is in the base, and where.
    before: Option<(u32, Entry<'t>)>,
    zone: u16,
    flags: u8,
    children: u32,
    /// What replaces that of the base.
    note: Option<String>,
    sets: Option<Vec<RrSetBuf>>,
    /// They are known to be others than those of the base.
    differs: bool,
    signatures: Option<Vec<RrSetBuf>>,
    /// Its parent knows that it came or went.
    told: bool,
    /// The last change that altered its sets.
    revision: Revision,
    /// PTR records to add or remove, and the last change that asked for it.
    members: BTreeMap<Box<[u8]>, Option<u32>>,
    members_revision: Revision,
}

/// What edits came to.
pub(crate) struct Edited {
    shards: Vec<(u16, Shard)>,
    grown: isize,
    /// For each zone number whose content differs: the last change that made it differ.
    pub(crate) zones: BTreeMap<u16, Revision>,
}

impl Edited {
    /// The next table, made from the one that was edited.
    pub(crate) fn onto(self, base: Table) -> Table {
        self.onto_with(base, &mut Spare::default())
    }

    /// The same; what is replaced goes to `spare`.
    pub(crate) fn onto_with(self, mut base: Table, spare: &mut Spare) -> Table {
        base.put(self.shards.into_iter(), self.grown, spare);
        base
    }
}

impl<'t> Editor<'t> {
    pub(crate) fn new(base: &'t Table) -> Self {
        Self { base, names: Vec::new(), pending: Vec::new(), index: SlotIndex::default() }
    }

    /// The same, with room for so many names.
    pub(crate) fn with_capacity(base: &'t Table, names: usize) -> Self {
        Self { pending: Vec::with_capacity(names), ..Self::new(base) }
    }

    /// The table that the edits are on top of.
    pub(crate) fn base(&self) -> &'t Table {
        self.base
    }

    /// Replaces what registrations publish at a name. Where static records stand nothing happens: they win.
    pub(crate) fn publish(&mut self, zone: u16, name: &[u8], published: Published, revision: Revision) {
        self.publish_at(zone, (self.base.slot(name), name), published, revision);
    }

    /// The same at a name whose slot is known.
    pub(crate) fn publish_at(&mut self, zone: u16, at: (Slot, &[u8]), published: Published, revision: Revision) {
        let pending = self.pending_at(zone, at);
        if pending.flags & STATIC != 0 {
            return;
        }
        let known = if published.known { KNOWN } else { 0 };
        pending.flags = pending.flags & !KNOWN | known;
        pending.note = Some(published.note);
        if !pending.has_sets(&published.sets) {
            pending.differs = pending.sets.is_none();
            pending.sets = Some(published.sets);
            pending.revision = pending.revision.max(revision);
        }
    }

    /// Edits the large sets of a name; `beside` says from them what else stands there. Clients get at most `limit`
    /// records of a set that comes to exist. Where static records stand nothing happens: they win.
    pub(crate) fn alter(
        &mut self,
        zone: u16,
        name: &[u8],
        edits: &[(Rtype, large::Edit)],
        limit: Option<u32>,
        beside: impl FnOnce(&[Arc<LargeSet>]) -> Published,
        revision: Revision,
    ) {
        let pending = self.pending(zone, name);
        if pending.flags & STATIC == 0 {
            let is_large = |set: &RrSet<'_>| match set.body {
                Body::Large(set) => Some(Arc::clone(set)),
                Body::Ready { .. } | Body::One { .. } => None,
            };
            let mut large = pending.sets(name).iter().filter_map(is_large).collect();
            large::apply(&mut large, edits, limit);
            let Published { sets, known, note } = beside(&large);
            let sets = large.into_iter().map(RrSetBuf::from).chain(sets).collect();
            self.publish(zone, name, Published { sets, known, note }, revision);
        }
    }

    /// Adds (with a TTL) or removes (`None`) one PTR record of a set to which many services contribute.
    pub(crate) fn member(&mut self, zone: u16, name: &[u8], rdata: &[u8], ttl: Option<u32>, revision: Revision) {
        let pending = self.pending(zone, name);
        if pending.flags & STATIC == 0 {
            pending.members.insert(rdata.into(), ttl);
            pending.members_revision = pending.members_revision.max(revision);
        }
    }

    /// Notes that another zone of ours begins right below a name, which therefore exists (RFC 8020).
    pub(crate) fn nest(&mut self, zone: u16, name: &Name) {
        self.pending(zone, name.as_wire()).children += 1;
    }

    /// Notes that so many names exist right below a name, besides those that the table knows.
    pub(crate) fn adopt(&mut self, zone: u16, name: &[u8], children: u32) {
        self.pending(zone, name).children += children;
    }

    /// Puts static records at a name.
    pub(crate) fn put_static(&mut self, zone: u16, name: &Name, sets: Sets, flags: u8) {
        let pending = self.pending(zone, name.as_wire());
        pending.flags |= flags | STATIC;
        pending.sets = Some(sets.plain);
        pending.differs = false;
        pending.signatures = Some(sets.signatures);
    }

    /// Replaces the static records at a name, where no zone file has any; `None`: there are none any more.
    pub(crate) fn replace_static(&mut self, zone: u16, name: &Name, sets: Option<Sets>, revision: Revision) {
        let pending = self.pending(zone, name.as_wire());
        pending.flags = pending.flags & !(STATIC | KNOWN) | if sets.is_some() { STATIC } else { 0 };
        let sets = sets.unwrap_or_default();
        pending.note = Some(String::new());
        pending.sets = Some(sets.plain);
        pending.differs = false;
        pending.signatures = Some(sets.signatures);
        pending.revision = pending.revision.max(revision);
    }

    /// Marks a name that a delegation or DNAME above it hides; it may have no record of its own.
    pub(crate) fn occlude(&mut self, zone: u16, name: &[u8]) {
        self.pending(zone, name).flags |= OCCLUDED;
    }

    /// Settles which names exist and rebuilds the touched shards.
    pub(crate) fn finish(self) -> Edited {
        self.finish_with(&mut Spare::default())
    }

    /// The same, in buffers that were kept.
    pub(crate) fn finish_with(mut self, spare: &mut Spare) -> Edited {
        self.pending.iter_mut().for_each(Pending::merge_members);
        self.settle();
        let mut zones = BTreeMap::new();
        let mut changed: Vec<(Slot, u32)> = Vec::with_capacity(self.pending.len());
        let mut grown = 0isize;
        for (number, pending) in self.pending.iter().enumerate() {
            let moved = !pending.keeps_sets();
            if !moved && pending.keeps_facts() {
                continue;
            }
            if moved {
                let revision = zones.entry(pending.zone).or_insert(Revision::default());
                *revision = (*revision).max(pending.revision);
            }
            grown += isize::from(pending.exists()) - isize::from(pending.before.is_some());
            changed.push((pending.slot, number as u32));
        }
        changed.sort_unstable_by_key(|(slot, number)| (slot.shard, *number));
        let mut patcher = Patcher::with(std::mem::take(spare));
        let shards = changed.chunk_by(|(one, _), (other, _)| one.shard == other.shard);
        let shards = shards.map(|edits| (edits[0].0.shard, self.rebuild(&mut patcher, edits))).collect();
        *spare = patcher.into_spare();
        Edited { shards, grown, zones }
    }

    fn rebuild(&self, patcher: &mut Patcher, edits: &[(Slot, u32)]) -> Shard {
        let base = self.base.shard(edits[0].0);
        patcher.begin(base);
        for (slot, number) in edits {
            let pending = &self.pending[*number as usize];
            let (name, at) = (self.name(pending), pending.before.as_ref().map(|(at, _)| *at));
            let (sets, signatures) = (pending.sets(name), pending.signatures(name));
            let content = pending.exists().then(|| (pending.facts(), &*sets, &*signatures));
            patcher.edit(base, (slot.tag, name), at, content);
        }
        patcher.finish(base)
    }

    /// Deepest names first: a name that came or went is told to its parent, which may come or go by that.
    fn settle(&mut self) {
        let mut levels: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (number, pending) in self.pending.iter().enumerate().filter(|(_, pending)| pending.comes_or_goes()) {
            levels.entry(depth(self.name(pending))).or_default().push(number);
        }
        while let Some((level, numbers)) = levels.pop_last() {
            let parents: Vec<_> = numbers.into_iter().filter_map(|number| self.tell_parent(number)).collect();
            if !parents.is_empty() {
                levels.entry(level - 1).or_default().extend(parents);
            }
        }
    }

    /// Corrects the parent of a name that came or went; returns the parent, which may have come or gone by that.
    fn tell_parent(&mut self, number: usize) -> Option<usize> {
        let pending = &mut self.pending[number];
        if pending.told || !pending.comes_or_goes() || pending.flags & APEX != 0 {
            return None;
        }
        pending.told = true;
        let (zone, exists) = (pending.zone, pending.exists());
        let name = self.name(&self.pending[number]);
        let is_wildcard = name.starts_with(b"\x01*");
        let above = parent(name)?.to_vec();
        let number = self.number(zone, (self.base.slot(&above), &above));
        let parent = &mut self.pending[number];
        parent.children = if exists { parent.children + 1 } else { parent.children - 1 };
        if is_wildcard {
            parent.flags = parent.flags & !WILDCARD | if exists { WILDCARD } else { 0 };
        }
        Some(number)
    }

    fn name(&self, pending: &Pending<'_>) -> &[u8] {
        let (start, length) = pending.name;
        &self.names[start as usize..start as usize + usize::from(length)]
    }

    fn pending(&mut self, zone: u16, name: &[u8]) -> &mut Pending<'t> {
        self.pending_at(zone, (self.base.slot(name), name))
    }

    fn pending_at(&mut self, zone: u16, at: (Slot, &[u8])) -> &mut Pending<'t> {
        let number = self.number(zone, at);
        &mut self.pending[number]
    }

    /// The number of a name, which is added if it is not there.
    fn number(&mut self, zone: u16, (slot, name): (Slot, &[u8])) -> usize {
        let is_it = |number: usize| self.pending[number].slot == slot && self.name(&self.pending[number]) == name;
        if let Some(number) = self.index.find(slot, is_it) {
            return number;
        }
        let shard = self.base.shard(slot);
        let before = shard.find_offset(slot.tag, name).map(|offset| (offset, shard.entry_at(offset as usize)));
        self.index.push(slot, |number| self.pending[number].slot);
        self.pending.push(Pending::new(zone, (self.names.len() as u32, name.len() as u8), slot, before));
        self.names.extend_from_slice(name);
        self.pending.len() - 1
    }
}

impl<'t> Pending<'t> {
    /// As it is in the base; a name that is not there is of `zone`.
    fn new(zone: u16, name: (u32, u8), slot: Slot, before: Option<(u32, Entry<'t>)>) -> Self {
        let missing = Facts { zone, ..Facts::default() };
        let Facts { zone, flags, children, .. } = before.as_ref().map_or(missing, |(_, entry)| entry.facts());
        Self {
            name,
            slot,
            before,
            zone,
            flags,
            children,
            note: None,
            sets: None,
            differs: false,
            signatures: None,
            told: false,
            revision: Revision::default(),
            members: BTreeMap::new(),
            members_revision: Revision::default(),
        }
    }

    fn entry(&self) -> Option<&Entry<'t>> {
        self.before.as_ref().map(|(_, entry)| entry)
    }

    fn facts(&self) -> Facts<'_> {
        let note = match &self.note {
            Some(note) => note,
            None => self.entry().map_or("", Entry::note),
        };
        Facts { zone: self.zone, flags: self.flags, children: self.children, note }
    }

    fn sets<'p>(&'p self, name: &'p [u8]) -> Vec<RrSet<'p>> {
        match &self.sets {
            Some(sets) => sets.iter().map(|set| set.as_set(name)).collect(),
            None => self.entry().into_iter().flat_map(Entry::sets).collect(),
        }
    }

    fn signatures<'p>(&'p self, name: &'p [u8]) -> Vec<RrSet<'p>> {
        match &self.signatures {
            Some(sets) => sets.iter().map(|set| set.as_set(name)).collect(),
            None => self.entry().into_iter().flat_map(Entry::all_signatures).collect(),
        }
    }

    fn has_sets(&self, sets: &[RrSetBuf]) -> bool {
        match &self.sets {
            Some(own) => own == sets,
            None => self.entry().map_or(sets.is_empty(), |entry| entry.has_sets(sets)),
        }
    }

    /// Whether its sets are those of the base.
    fn keeps_sets(&self) -> bool {
        let is_same = |sets: &Vec<RrSetBuf>| self.entry().map_or(sets.is_empty(), |entry| entry.has_sets(sets));
        !self.differs && self.sets.as_ref().is_none_or(is_same)
    }

    /// Whether all else is as in the base.
    fn keeps_facts(&self) -> bool {
        let Some(entry) = self.entry() else { return !self.exists() };
        self.facts() == entry.facts() && self.signatures.as_ref().is_none_or(|sets| entry.has_signatures(sets))
    }

    /// Whether the name exists (RFC 8020 counts empty non-terminals).
    fn exists(&self) -> bool {
        let sets = self.sets.as_ref().map(Vec::is_empty).or(self.entry().map(Entry::is_empty));
        let signatures = self.signatures.as_ref().map(Vec::is_empty).or(self.entry().map(|entry| !entry.is_signed()));
        let is_bare = sets.unwrap_or(true) && signatures.unwrap_or(true);
        !is_bare || self.children > 0 || self.flags & (KNOWN | APEX) != 0
    }

    fn comes_or_goes(&self) -> bool {
        self.before.is_some() != self.exists()
    }

    fn merge_members(&mut self) {
        let members = std::mem::take(&mut self.members);
        if members.is_empty() {
            return;
        }
        let before = self.before.as_ref().map(|(_, entry)| *entry);
        let copy = || before.iter().flat_map(Entry::sets).map(RrSetBuf::from).collect();
        self.differs = false;
        let sets = self.sets.get_or_insert_with(copy);
        let at = sets.iter().position(|set| set.rtype == Rtype::PTR.0).unwrap_or_else(|| {
            sets.push(RrSetBuf::new(Rtype::PTR));
            sets.len() - 1
        });
        if large::merge_members(&mut sets[at], &members) {
            self.revision = self.revision.max(self.members_revision);
        }
        sets.retain(|set| set.count > 0);
    }
}

/// What registrations publish at one name.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// Its sets; none of them is empty.
    pub(crate) sets: Vec<RrSetBuf>,
    /// The name exists even without a record.
    pub(crate) known: bool,
    /// Why nobody serves, in words.
    pub(crate) note: String,
}

fn depth(name: &[u8]) -> usize {
    std::iter::successors(Some(name), |name| parent(name)).count()
}
