//! Name compression in one message (RFC 1035 section 4.1.4): where every name that was written starts.
//!
//! A table of fixed size remembers where suffixes stand. Looking one up costs a hash over the name and at most
//! [`PROBES`] comparisons with what really stands in the message, so that no zone and no query makes it slow; a suffix
//! that finds no free place is forgotten, and a name is then written longer than it had to be, never wrongly.

use super::message::Message;
use crate::model::name::MAX_NAME;
use crate::view::rrset::{MAX_POINTER, QNAME_AT};

/// Places in the table.
const SLOTS: usize = 256;
/// Places that one suffix may stand at.
const PROBES: usize = 4;
/// Labels of a name, at most.
const LABELS: usize = MAX_NAME / 2 + 1;
/// Pointers on the way to the end of one name, at most.
const JUMPS: usize = 128;

/// Where suffixes of names stand.
pub(super) struct Names {
    slots: [Slot; SLOTS],
}

#[derive(Clone, Copy, Default)]
struct Slot {
    hash: u32,
    /// 0: free. No name starts before the question.
    offset: u16,
}

impl Names {
    /// The table of a message that holds a question with this name, folded.
    pub(super) fn new(asked: &[u8]) -> Self {
        let mut names = Self { slots: [Slot::default(); SLOTS] };
        names.note(asked, QNAME_AT);
        names
    }

    /// Writes a name, its end as a pointer if that stands in the message already; `false` when it does not fit.
    pub(super) fn write(&mut self, name: &[u8], message: &mut Message<'_>) -> bool {
        let suffixes = Suffixes::of(name);
        let known = suffixes.iter().find_map(|(start, hash)| {
            let offset = self.find(hash, &name[start..], message.octets())?;
            Some((start, offset))
        });
        let at = message.len();
        let written = match known {
            Some((start, offset)) => message.put(&name[..start]) && message.put(&(0xC000 | offset).to_be_bytes()),
            None => message.put(name),
        };
        let new = suffixes.iter().take_while(|(start, _)| known.is_none_or(|(known, _)| *start < known));
        new.for_each(|(start, hash)| self.insert(hash, at + start));
        written
    }

    /// Remembers a name that stands whole at an offset.
    pub(super) fn note(&mut self, name: &[u8], at: usize) {
        Suffixes::of(name).iter().for_each(|(start, hash)| self.insert(hash, at + start));
    }

    /// Forgets what stood at `end` or behind it.
    pub(super) fn rewind(&mut self, end: usize) {
        self.slots.iter_mut().filter(|slot| slot.offset as usize >= end).for_each(|slot| slot.offset = 0);
    }

    fn find(&self, hash: u32, suffix: &[u8], message: &[u8]) -> Option<u16> {
        let slots = self.slots.iter().cycle().skip(hash as usize % SLOTS).take(PROBES);
        let mut slots = slots.filter(|slot| slot.offset != 0 && slot.hash == hash);
        slots.find(|slot| stands_at(message, slot.offset as usize, suffix)).map(|slot| slot.offset)
    }

    fn insert(&mut self, hash: u32, offset: usize) {
        let free = (0..PROBES).map(|probe| (hash as usize + probe) % SLOTS).find(|at| self.slots[*at].offset == 0);
        if let Some(at) = free.filter(|_| offset <= MAX_POINTER) {
            self.slots[at] = Slot { hash, offset: offset as u16 };
        }
    }
}

/// Where the suffixes of a name start and what they hash to, the longest first; the root is none.
struct Suffixes {
    starts: [u8; LABELS],
    hashes: [u32; LABELS],
    count: usize,
}

impl Suffixes {
    fn of(name: &[u8]) -> Self {
        let mut suffixes = Self { starts: [0; LABELS], hashes: [0; LABELS], count: 0 };
        let mut at = 0;
        while name[at] != 0 {
            suffixes.starts[suffixes.count] = at as u8;
            suffixes.count += 1;
            at += 1 + name[at] as usize;
        }
        let mut hash = 0x811C_9DC5_u32;
        for index in (0..suffixes.count).rev() {
            let start = suffixes.starts[index] as usize;
            for octet in &name[start..=start + name[start] as usize] {
                hash = (hash ^ u32::from(octet.to_ascii_lowercase())).wrapping_mul(0x0100_0193);
            }
            suffixes.hashes[index] = hash;
        }
        suffixes
    }

    fn iter(&self) -> impl Iterator<Item = (usize, u32)> {
        let starts = self.starts[..self.count].iter().map(|start| *start as usize);
        starts.zip(self.hashes[..self.count].iter().copied())
    }
}

/// Whether the whole name `suffix` stands at an offset of the message, in any case.
fn stands_at(message: &[u8], mut at: usize, mut suffix: &[u8]) -> bool {
    let mut jumps = 0;
    loop {
        let Some(&len) = message.get(at) else { return false };
        if len & 0xC0 == 0xC0 {
            let Some(&low) = message.get(at + 1) else { return false };
            at = usize::from(u16::from_be_bytes([len & 0x3F, low]));
            jumps += 1;
            if jumps > JUMPS {
                return false;
            }
            continue;
        }
        let label = 1 + len as usize;
        let (Some(stored), Some(wanted)) = (message.get(at..at + label), suffix.get(..label)) else { return false };
        if !stored.eq_ignore_ascii_case(wanted) {
            return false;
        }
        if len == 0 {
            return true;
        }
        (at, suffix) = (at + label, &suffix[label..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_names_become_pointers_and_rewinding_forgets_them() {
        let mut out = [0; 200];
        let mut message = Message::new(&mut out, 200);
        message.start(1, b"\x03WWW\x07example\x00\x00\x01\x00\x01");
        let mut names = Names::new(b"\x03www\x07example\x00");
        let mark = message.mark();
        let mut written = |name: &[u8], message: &mut Message<'_>| {
            let at = message.len();
            assert!(names.write(name, message));
            message.octets()[at..].to_vec()
        };
        assert_eq!(written(b"\x03www\x07example\x00", &mut message), [0xC0, 12]);
        assert_eq!(written(b"\x02ns\x07EXAMPLE\x00", &mut message), b"\x02ns\xC0\x10");
        let at = mark.0 as u8 + 2;
        assert_eq!(written(b"\x01a\x02ns\x07example\x00", &mut message), [1, b'a', 0xC0, at]);
        assert_eq!(written(b"\x00", &mut message), [0]);
        assert_eq!(written(b"\x04test\x00", &mut message), b"\x04test\x00");
        message.rewind(mark);
        names.rewind(message.len());
        assert!(names.write(b"\x02ns\x07example\x00", &mut message));
        assert_eq!(message.octets()[mark.0..], *b"\x02ns\xC0\x10");
    }

    #[test]
    fn a_full_table_writes_longer_names_and_no_wrong_ones() {
        let mut out = vec![0; 65_535];
        let mut message = Message::new(&mut out, 65_535);
        message.start(1, b"\x00\x00\x01\x00\x01");
        let mut names = Names::new(b"\x00");
        for number in 0..2000 {
            let label = format!("n{number:04}");
            let name = [b"\x05", label.as_bytes(), b"\x01x\x07example\x00"].concat();
            let at = message.len();
            assert!(names.write(&name, &mut message));
            assert!(stands_at(message.octets(), at, &name), "{label}");
        }
    }
}
