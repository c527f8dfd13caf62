//! The next table, built aside: names are edited one by one, then every touched shard is rebuilt once.
//!
//! An editor starts from a table and remembers of an edited entry what replaces its parts; what is not replaced is read
//! in the base. `finish` settles which names exist: a name without records stays while something exists below it (RFC
//! 8020), so a name that comes or goes changes the count of children of its parent, up to the apex of the zone. What
//! came out different is known then, and by which change: that is what a zone's serial is made of.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::aside::Sets;
use super::large::{self, LargeSet};
use super::rrset::{Body, RrSet, RrSetBuf};
use super::shard::{APEX, Entry, Facts, KNOWN, OCCLUDED, STATIC, Shard, ShardBuilder, WILDCARD};
use super::spare::Spare;
use super::table::{Slot, Table};
use crate::model::name::parent;
use crate::model::{Name, Revision, Rtype};

/// Edits on top of a table.
pub(crate) struct Editor<'t> {
    base: &'t Table,
    pending: HashMap<Box<[u8]>, Pending<'t>, FixedState>,
}

/// A name and what is pending for it.
type Edit<'t> = (Box<[u8]>, Pending<'t>);

struct Pending<'t> {
    slot: Slot,
    /// As it is in the base, and where.
    before: Option<(u32, Entry<'t>)>,
    zone: u16,
    flags: u8,
    children: u32,
    /// What replaces that of the base.
    note: Option<String>,
    sets: Option<Vec<RrSetBuf>>,
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
        Self { base, pending: HashMap::with_hasher(base.hasher()) }
    }

    /// The table that the edits are on top of.
    pub(crate) fn base(&self) -> &'t Table {
        self.base
    }

    /// Replaces what registrations publish at a name. Where static records stand nothing happens: they win.
    pub(crate) fn publish(&mut self, zone: u16, name: &[u8], published: Published, revision: Revision) {
        let pending = self.pending(zone, name);
        if pending.flags & STATIC != 0 {
            return;
        }
        let known = if published.known { KNOWN } else { 0 };
        pending.flags = pending.flags & !KNOWN | known;
        pending.note = Some(published.note);
        if !pending.has_sets(&published.sets) {
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
        pending.signatures = Some(sets.signatures);
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
        self.pending.values_mut().for_each(|pending| pending.merge_members());
        self.settle();
        let mut zones = BTreeMap::new();
        let mut shards: HashMap<u16, Vec<Edit<'t>>> = HashMap::new();
        let mut grown = 0isize;
        for (name, pending) in std::mem::take(&mut self.pending) {
            let moved = !pending.keeps_sets();
            if !moved && pending.keeps_facts() {
                continue;
            }
            if moved {
                let revision = zones.entry(pending.zone).or_insert(Revision::default());
                *revision = (*revision).max(pending.revision);
            }
            grown += isize::from(pending.exists()) - isize::from(pending.before.is_some());
            shards.entry(pending.slot.shard).or_default().push((name, pending));
        }
        let mut builder = ShardBuilder::with(std::mem::take(spare));
        let rebuilt = shards.into_iter().map(|(number, edits)| (number, self.rebuild(&mut builder, &edits)));
        let shards = rebuilt.collect();
        *spare = builder.into_spare();
        Edited { shards, grown, zones }
    }

    fn rebuild(&self, builder: &mut ShardBuilder, edits: &[Edit<'t>]) -> Shard {
        let Some((_, first)) = edits.first() else { return Shard::empty() };
        let mut removed: Vec<u32> = edits.iter().filter_map(|(_, edit)| Some(edit.before.as_ref()?.0)).collect();
        removed.sort_unstable();
        builder.copy_but(self.base.shard(first.slot), &removed);
        for (name, edit) in edits.iter().filter(|(_, edit)| edit.exists()) {
            builder.push(edit.slot.tag, name, edit.facts(), (&edit.sets(name), &edit.signatures(name)));
        }
        builder.build_even()
    }

    /// Deepest names first: a name that came or went is told to its parent, which may come or go by that.
    fn settle(&mut self) {
        let mut levels: BTreeMap<usize, Vec<Box<[u8]>>> = BTreeMap::new();
        for (name, _) in self.pending.iter().filter(|(_, pending)| pending.comes_or_goes()) {
            levels.entry(depth(name)).or_default().push(name.clone());
        }
        while let Some((level, names)) = levels.pop_last() {
            let parents: Vec<_> = names.into_iter().filter_map(|name| self.tell_parent(&name)).collect();
            if !parents.is_empty() {
                levels.entry(level - 1).or_default().extend(parents);
            }
        }
    }

    /// Corrects the parent of a name that came or went; returns the parent, which may have come or gone by that.
    fn tell_parent(&mut self, name: &[u8]) -> Option<Box<[u8]>> {
        let pending = self.pending.get_mut(name)?;
        if pending.told || !pending.comes_or_goes() || pending.flags & APEX != 0 {
            return None;
        }
        pending.told = true;
        let (zone, exists) = (pending.zone, pending.exists());
        let above: Box<[u8]> = parent(name)?.into();
        let parent = self.pending(zone, &above);
        parent.children = if exists { parent.children + 1 } else { parent.children - 1 };
        if name.starts_with(b"\x01*") {
            parent.flags = parent.flags & !WILDCARD | if exists { WILDCARD } else { 0 };
        }
        Some(above)
    }

    fn pending(&mut self, zone: u16, name: &[u8]) -> &mut Pending<'t> {
        let base = self.base;
        self.pending.entry(name.into()).or_insert_with(|| {
            let slot = base.slot(name);
            let shard = base.shard(slot);
            let before = shard.find_offset(slot.tag, name).map(|offset| (offset, shard.entry_at(offset as usize)));
            Pending::new(zone, slot, before)
        })
    }
}

impl<'t> Pending<'t> {
    /// As it is in the base; a name that is not there is of `zone`.
    fn new(zone: u16, slot: Slot, before: Option<(u32, Entry<'t>)>) -> Self {
        let missing = Facts { zone, ..Facts::default() };
        let Facts { zone, flags, children, .. } = before.as_ref().map_or(missing, |(_, entry)| entry.facts());
        Self {
            slot,
            before,
            zone,
            flags,
            children,
            note: None,
            sets: None,
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
        self.sets.as_ref().is_none_or(is_same)
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
