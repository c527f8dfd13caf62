//! The next table, built aside: names are edited one by one, then every touched shard is rebuilt once.
//!
//! An editor starts from a table and copies an entry out the first time it is edited. `finish` settles which names
//! exist: a name without records stays while something exists below it (RFC 8020), so a name that comes or goes
//! changes the count of children of its parent, up to the apex of the zone. What came out different is known then, and
//! by which change: that is what a zone's serial is made of.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::aside::Sets;
use super::large::{self, LargeSet};
use super::rrset::RrSetBuf;
use super::shard::{APEX, Content, Entry, KNOWN, OCCLUDED, STATIC, Shard, ShardBuilder, WILDCARD};
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
    /// As it is in the base.
    before: Option<Entry<'t>>,
    content: Content,
    /// Its parent knows that it came or went.
    told: bool,
    /// The last change that altered its sets.
    revision: Revision,
    /// PTR records to add or remove, and the last change that asked for it.
    members: BTreeMap<Box<[u8]>, Option<u32>>,
    members_revision: Revision,
}

/// What an edit came to.
pub(crate) struct Edited {
    /// The next table.
    pub(crate) table: Table,
    /// For each zone number whose content differs: the last change that made it differ.
    pub(crate) zones: BTreeMap<u16, Revision>,
}

impl<'t> Editor<'t> {
    pub(crate) fn new(base: &'t Table) -> Self {
        Self { base, pending: HashMap::with_hasher(base.hasher()) }
    }

    /// Replaces what registrations publish at a name. Where static records stand nothing happens: they win.
    pub(crate) fn publish(&mut self, zone: u16, name: &Name, published: Published, revision: Revision) {
        let pending = self.pending(zone, name.as_wire());
        if pending.content.flags & STATIC != 0 {
            return;
        }
        let known = if published.known { KNOWN } else { 0 };
        pending.content.flags = pending.content.flags & !KNOWN | known;
        pending.content.note = published.note;
        if pending.content.sets != published.sets {
            pending.content.sets = published.sets;
            pending.revision = pending.revision.max(revision);
        }
    }

    /// Edits the large sets of a name; `beside` says from them what else stands there. Clients get at most `limit`
    /// records of a set that comes to exist. Where static records stand nothing happens: they win.
    pub(crate) fn alter(
        &mut self,
        zone: u16,
        name: &Name,
        edits: &[(Rtype, large::Edit)],
        limit: Option<u32>,
        beside: impl FnOnce(&[Arc<LargeSet>]) -> Published,
        revision: Revision,
    ) {
        let content = &self.pending(zone, name.as_wire()).content;
        if content.flags & STATIC == 0 {
            let mut large = content.sets.iter().filter_map(|set| set.large.clone()).collect();
            large::apply(&mut large, edits, limit);
            let Published { sets, known, note } = beside(&large);
            let sets = large.into_iter().map(RrSetBuf::from).chain(sets).collect();
            self.publish(zone, name, Published { sets, known, note }, revision);
        }
    }

    /// Adds (with a TTL) or removes (`None`) one PTR record of a set to which many services contribute.
    pub(crate) fn member(&mut self, zone: u16, name: &Name, rdata: Vec<u8>, ttl: Option<u32>, revision: Revision) {
        let pending = self.pending(zone, name.as_wire());
        if pending.content.flags & STATIC == 0 {
            pending.members.insert(rdata.into(), ttl);
            pending.members_revision = pending.members_revision.max(revision);
        }
    }

    /// Notes that another zone of ours begins right below a name, which therefore exists (RFC 8020).
    pub(crate) fn nest(&mut self, zone: u16, name: &Name) {
        self.pending(zone, name.as_wire()).content.children += 1;
    }

    /// Puts static records at a name.
    pub(crate) fn put_static(&mut self, zone: u16, name: &Name, sets: Sets, flags: u8) {
        let pending = self.pending(zone, name.as_wire());
        pending.content.flags |= flags | STATIC;
        pending.content.sets = sets.plain;
        pending.content.signatures = sets.signatures;
    }

    /// Marks a name that a delegation or DNAME above it hides; it may have no record of its own.
    pub(crate) fn occlude(&mut self, zone: u16, name: &[u8]) {
        self.pending(zone, name).content.flags |= OCCLUDED;
    }

    /// Settles which names exist and rebuilds the touched shards.
    pub(crate) fn finish(mut self) -> Edited {
        self.pending.values_mut().for_each(|pending| pending.merge_members());
        self.settle();
        let mut zones = BTreeMap::new();
        let mut shards: HashMap<u16, Vec<Edit<'t>>> = HashMap::new();
        let mut grown = 0isize;
        for (name, pending) in std::mem::take(&mut self.pending) {
            let before = pending.before.as_ref().map(Content::of).unwrap_or_default();
            if before == pending.content {
                continue;
            }
            if before.sets != pending.content.sets {
                let revision = zones.entry(pending.content.zone).or_insert(Revision::default());
                *revision = (*revision).max(pending.revision);
            }
            grown += isize::from(pending.content.exists()) - isize::from(pending.before.is_some());
            shards.entry(pending.slot.shard).or_default().push((name, pending));
        }
        let rebuilt = shards.into_iter().map(|(number, edits)| (number, self.rebuild(edits)));
        Edited { table: self.base.with_shards(rebuilt, grown), zones }
    }

    fn rebuild(&self, edits: Vec<Edit<'t>>) -> Shard {
        let Some((_, first)) = edits.first() else { return Shard::empty() };
        let base = self.base.shard(first.slot);
        let mut builder = ShardBuilder::with_room_of(base);
        for (tag, _, entry) in base.entries() {
            let edited = edits.iter().any(|(name, edit)| edit.slot.tag == tag && **name == *entry.name());
            if !edited {
                builder.copy(tag, &entry);
            }
        }
        for (name, edit) in edits.iter().filter(|(_, edit)| edit.content.exists()) {
            builder.push(edit.slot.tag, name, &edit.content);
        }
        builder.build()
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
        if pending.told || !pending.comes_or_goes() || pending.content.flags & APEX != 0 {
            return None;
        }
        pending.told = true;
        let (zone, exists) = (pending.content.zone, pending.content.exists());
        let above: Box<[u8]> = parent(name)?.into();
        let parent = self.pending(zone, &above);
        parent.content.children = if exists { parent.content.children + 1 } else { parent.content.children - 1 };
        if name.starts_with(b"\x01*") {
            parent.content.flags = parent.content.flags & !WILDCARD | if exists { WILDCARD } else { 0 };
        }
        Some(above)
    }

    fn pending(&mut self, zone: u16, name: &[u8]) -> &mut Pending<'t> {
        let base = self.base;
        self.pending.entry(name.into()).or_insert_with(|| {
            let slot = base.slot(name);
            let before = base.shard(slot).find(slot.tag, name);
            let content = before.as_ref().map(Content::of).unwrap_or(Content { zone, ..Content::default() });
            Pending {
                slot,
                before,
                content,
                told: false,
                revision: Revision::default(),
                members: BTreeMap::new(),
                members_revision: Revision::default(),
            }
        })
    }
}

impl Pending<'_> {
    fn comes_or_goes(&self) -> bool {
        self.before.is_some() != self.content.exists()
    }

    fn merge_members(&mut self) {
        let members = std::mem::take(&mut self.members);
        if members.is_empty() {
            return;
        }
        let sets = &mut self.content.sets;
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
