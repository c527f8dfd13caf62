//! A shard with some entries replaced, written in one go into the buffer where it stays.
//!
//! What no edit is about is copied in runs. An entry takes the place of the one that it replaces and a new one stands
//! behind all others, so the slots of all names but those that come and go stay as they are; only the offsets behind an
//! entry of another length move. Slots are laid out anew when they are too few, or so many that the shard needs a
//! larger block for them.
//!
//! A shard that replaces another has few lengths: it fills the block that the allocator gives, so that its octets suit
//! the next one when it goes ([`super::spare`]). Half of what it does not need becomes slots, which make lookups
//! quicker; the other half is kept for entries that grow.

use std::sync::Arc;

use super::pack::{EntryPacker, Facts, Large};
use super::rrset::RrSet;
use super::shard::{NARROW, Shard, WIDE, first_slot, slots_for, write_slots};
use super::size::filled;
use super::spare::Spare;

/// Makes one shard after the other from those before them.
#[derive(Default)]
pub(crate) struct Patcher {
    /// The entries that are new, one behind the other.
    fresh: Vec<u8>,
    edits: Vec<Edit>,
    large: Large,
    /// All entries, where slots are laid out anew.
    entries: Vec<(u16, u32)>,
    /// Where the octets of shards come from.
    spare: Spare,
}

/// One name that is different.
#[derive(Clone, Copy)]
struct Edit {
    tag: u16,
    /// Where its entry was, and how long.
    before: Option<(u32, u32)>,
    /// Where its entry stands among the fresh ones, and how long it is; 0 if the name goes.
    fresh: u32,
    length: u32,
}

/// What a name becomes: facts, sets, and sets of signatures.
pub(crate) type Content<'c> = (Facts<'c>, &'c [RrSet<'c>], &'c [RrSet<'c>]);

/// How the octets of a shard are divided.
struct Layout {
    /// Octets of the entries, with the one before them.
    entries: usize,
    slots: u32,
    wide: bool,
    padding: u16,
    /// Whether slots stay where they are.
    keeps_slots: bool,
}

impl Patcher {
    /// A patcher whose shards stand in buffers that were kept, as far as there are any.
    pub(crate) fn with(spare: Spare) -> Self {
        Self { spare, ..Self::default() }
    }

    /// The buffers that are left.
    pub(crate) fn into_spare(self) -> Spare {
        self.spare
    }

    /// Begins with a shard as it was.
    pub(crate) fn begin(&mut self, base: &Shard) {
        self.fresh.clear();
        self.edits.clear();
        self.large.clear();
        self.large.extend(base.large.iter().flat_map(|large| large.iter().cloned()));
    }

    /// Replaces the entry of a name, which was at that offset, by that content; `None` where there is none.
    pub(crate) fn edit(&mut self, base: &Shard, (tag, name): (u16, &[u8]), at: Option<u32>, new: Option<Content<'_>>) {
        let before = at.map(|at| {
            let entry = base.entry_at(at as usize);
            entry.large_places().for_each(|place| self.large[place] = None);
            (at, entry.size() as u32)
        });
        if before.is_none() && new.is_none() {
            return;
        }
        let fresh = self.fresh.len() as u32;
        if let Some((facts, sets, signatures)) = new {
            EntryPacker { out: &mut self.fresh, large: &mut self.large }.entry(name, facts, sets, signatures);
        }
        self.edits.push(Edit { tag, before, fresh, length: self.fresh.len() as u32 - fresh });
    }

    /// The shard with everything that was edited.
    pub(crate) fn finish(&mut self, base: &Shard) -> Shard {
        self.edits.sort_by_key(|edit| edit.before.map_or(u32::MAX, |(at, _)| at));
        let Some(layout) = self.lay_out(base) else { return Shard::empty() };
        let slots_len = layout.slots as usize * slot_size(layout.wide);
        let mut octets = self.spare.take(layout.entries + slots_len + usize::from(layout.padding));
        let out = Arc::get_mut(&mut octets).expect("nobody reads a spare buffer");
        self.write_entries(base, &mut out[..layout.entries]);
        let slots = &mut out[layout.entries..layout.entries + slots_len];
        match (layout.keeps_slots, layout.wide) {
            (true, true) => self.patch_slots::<WIDE>(base, slots),
            (true, false) => self.patch_slots::<NARROW>(base, slots),
            (false, wide) => {
                self.list_entries(base);
                slots.fill(0);
                match wide {
                    true => write_slots::<WIDE>(slots, &self.entries),
                    false => write_slots::<NARROW>(slots, &self.entries),
                }
            }
        }
        out[layout.entries + slots_len..].fill(0);
        let large = self.large.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        let large = (large > 0).then(|| Arc::new(self.large.drain(..large).collect()));
        let Layout { slots, wide, padding, .. } = layout;
        Shard { octets, large, slots, wide, padding }
    }

    /// `None` if nothing is left.
    fn lay_out(&self, base: &Shard) -> Option<Layout> {
        let mut count = base.slots().taken().count();
        let mut entries = base.entries_len().max(1);
        for edit in &self.edits {
            count = count + usize::from(edit.length > 0) - usize::from(edit.before.is_some());
            entries = entries + edit.length as usize - edit.before.map_or(0, |(_, length)| length as usize);
        }
        if count == 0 {
            return None;
        }
        let wide = entries > usize::from(u16::MAX);
        let (size, needed) = (slot_size(wide), slots_for(count));
        let block = filled(entries + needed * size);
        let kept = entries + base.slots as usize * size;
        let keeps_slots = wide == base.wide
            && base.slots as usize >= needed
            && block - kept.min(block) <= u16::MAX.into()
            && kept <= block;
        let room = block - entries;
        let slots = match keeps_slots {
            true => base.slots as usize,
            false => (needed + (room / size - needed) / 2).max(room.saturating_sub(u16::MAX.into()).div_ceil(size)),
        };
        let padding = (room - slots * size) as u16;
        Some(Layout { entries, slots: slots as u32, wide, padding, keeps_slots })
    }

    fn write_entries(&self, base: &Shard, out: &mut [u8]) {
        let (mut from, mut at) = (0, 0);
        let mut put = |octets: &[u8]| {
            out[at..at + octets.len()].copy_from_slice(octets);
            at += octets.len();
        };
        if base.octets.is_empty() {
            put(&[0]);
        }
        for edit in &self.edits {
            let (start, length) = edit.before.map_or((base.entries_len(), 0), |(at, length)| (at as usize, length));
            put(&base.octets[from..start]);
            put(&self.fresh[edit.fresh as usize..(edit.fresh + edit.length) as usize]);
            from = start + length as usize;
        }
        put(&base.octets[from..base.entries_len()]);
    }

    /// Copies the slots and corrects them.
    fn patch_slots<const WIDTH: usize>(&self, base: &Shard, out: &mut [u8]) {
        out.copy_from_slice(&base.octets[base.entries_len()..][..out.len()]);
        let (slots, _) = out.as_chunks_mut::<WIDTH>();
        for edit in self.edits.iter().filter(|edit| edit.length == 0) {
            let Some((at, _)) = edit.before else { continue };
            free_slot(slots, edit.tag, at);
        }
        // From the last one on, because each moves what is behind it.
        for edit in self.edits.iter().rev() {
            let Some((at, length)) = edit.before.filter(|(_, length)| *length != edit.length) else { continue };
            move_behind(slots, at, edit.length.wrapping_sub(length));
        }
        for (tag, offset) in self.added(base) {
            take_slot(slots, tag, offset);
        }
    }

    /// Tags of the names that come, and where their entries stand.
    fn added(&self, base: &Shard) -> impl Iterator<Item = (u16, u32)> {
        let before = |edit: &Edit| edit.before.map_or(0, |(_, length)| length);
        let first = self.edits.iter().filter(|edit| edit.before.is_some());
        let moved = first.fold(base.entries_len().max(1) as u32, |at, edit| at + edit.length - before(edit));
        let added = self.edits.iter().filter(|edit| edit.before.is_none());
        added.scan(moved, |at, edit| Some((edit.tag, std::mem::replace(at, *at + edit.length))))
    }

    /// Lists the entries with their places in the new shard.
    fn list_entries(&mut self, base: &Shard) {
        self.entries.clear();
        let replaced = &self.edits[..self.edits.partition_point(|edit| edit.before.is_some())];
        let mut behind = Vec::with_capacity(replaced.len());
        let mut by = 0u32;
        for edit in replaced {
            let (at, length) = edit.before.unwrap_or_default();
            by = by.wrapping_add(edit.length.wrapping_sub(length));
            behind.push((at, by, edit.length == 0));
        }
        for (tag, offset) in base.slots().taken() {
            let before = behind.partition_point(|(at, ..)| *at < offset);
            let moved = before.checked_sub(1).map_or(0, |last| behind[last].1);
            let is_gone = behind.get(before).is_some_and(|(at, _, is_gone)| *at == offset && *is_gone);
            if !is_gone {
                self.entries.push((tag, offset.wrapping_add(moved)));
            }
        }
        let added: Vec<(u16, u32)> = self.added(base).collect();
        self.entries.extend(added);
    }
}

fn slot_size(wide: bool) -> usize {
    if wide { WIDE } else { NARROW }
}

fn offset<const WIDTH: usize>(slot: &[u8; WIDTH]) -> u32 {
    let mut offset = [0; 4];
    offset[..WIDTH - 2].copy_from_slice(&slot[2..]);
    u32::from_le_bytes(offset)
}

fn home<const WIDTH: usize>(slots: &[[u8; WIDTH]], tag: u16) -> usize {
    first_slot(tag, slots.len() as u32) as usize
}

fn next<const WIDTH: usize>(slots: &[[u8; WIDTH]], slot: usize) -> usize {
    if slot + 1 == slots.len() { 0 } else { slot + 1 }
}

/// Moves the offsets behind one of them; `by` wraps.
fn move_behind<const WIDTH: usize>(slots: &mut [[u8; WIDTH]], at: u32, by: u32) {
    for slot in slots {
        let offset = offset(slot);
        if offset > at {
            slot[2..].copy_from_slice(&offset.wrapping_add(by).to_le_bytes()[..WIDTH - 2]);
        }
    }
}

/// Puts an entry into the first free slot from the one of its tag on.
fn take_slot<const WIDTH: usize>(slots: &mut [[u8; WIDTH]], tag: u16, at: u32) {
    let mut slot = home(slots, tag);
    while offset(&slots[slot]) != 0 {
        slot = next(slots, slot);
    }
    slots[slot][..2].copy_from_slice(&tag.to_le_bytes());
    slots[slot][2..].copy_from_slice(&at.to_le_bytes()[..WIDTH - 2]);
}

/// Frees the slot of an entry, and moves those behind it up that a lookup would not find any more.
fn free_slot<const WIDTH: usize>(slots: &mut [[u8; WIDTH]], tag: u16, at: u32) {
    let mut free = home(slots, tag);
    while offset(&slots[free]) != at {
        free = next(slots, free);
    }
    let mut slot = next(slots, free);
    while offset(&slots[slot]) != 0 {
        let home = home(slots, u16::from_le_bytes([slots[slot][0], slots[slot][1]]));
        let stays = if free <= slot { free < home && home <= slot } else { free < home || home <= slot };
        if !stays {
            slots[free] = slots[slot];
            free = slot;
        }
        slot = next(slots, slot);
    }
    slots[free] = [0; WIDTH];
}

#[cfg(test)]
mod tests;
