//! Sets to which many services contribute: types of services, and names of addresses.
//!
//! With few records such a set is ready to be copied and sorted by its data; with more than [`BIG`] it is a large set.

use std::collections::BTreeMap;

use super::{BIG, Edit, Op, apply};
use crate::model::Rtype;
use crate::view::rrset::{RrSetBuf, u32_at};

/// Adds (with a TTL) and removes (`None`) members of a set. Says whether anything changed.
pub(crate) fn merge_members(set: &mut RrSetBuf, members: &BTreeMap<Box<[u8]>, Option<u32>>) -> bool {
    let Some(large) = &set.large else {
        let changed = set.merge_members(members);
        *set = of_members(std::mem::take(set));
        return changed;
    };
    let members = members.iter().map(|(rdata, ttl)| (&**rdata, *ttl));
    let after = grown(vec![large.clone()], members).unwrap_or_else(|| RrSetBuf::new(Rtype::PTR));
    let changed = after != *set;
    *set = after;
    if let Some(small) = set.large.take_if(|large| large.len() <= BIG) {
        let ttl = |answer: &[u8]| Some(u32_at(answer, 6));
        let all = small.records().map(|record| (record.rdata().into(), ttl(record.answer))).collect();
        *set = RrSetBuf::new(Rtype::PTR);
        set.merge_members(&all);
    }
    changed
}

/// A set of members as it is kept.
pub(crate) fn of_members(set: RrSetBuf) -> RrSetBuf {
    if set.count as usize <= BIG {
        return set;
    }
    let read = set.as_set(&[]);
    grown(Vec::new(), read.records().map(|record| (record.rdata, Some(record.ttl)))).unwrap_or_default()
}

/// The large set after some members came and went; `None` when it has none.
fn grown<'m>(
    mut sets: Vec<std::sync::Arc<super::LargeSet>>,
    members: impl Iterator<Item = (&'m [u8], Option<u32>)>,
) -> Option<RrSetBuf> {
    let edit = |(rdata, ttl): (&[u8], Option<u32>)| {
        let mut record = RrSetBuf::new(Rtype::PTR);
        record.push(ttl.unwrap_or_default(), rdata);
        let op = if ttl.is_some() { Op::Put } else { Op::Drop };
        (Rtype::PTR, Edit::of_member(op, record.answer))
    };
    apply(&mut sets, &members.map(edit).collect::<Vec<_>>(), None);
    sets.pop().map(RrSetBuf::from)
}
