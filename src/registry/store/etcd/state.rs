//! Where a handle stands, and what it knows of that lies ahead.
//!
//! The watch, the transactions that were refused, and `reopen` put frames here, in any order and more than once; `news`
//! takes them out in the order of their numbers, so that each is told once and none is left out. Frames of a handle's
//! own commits come from the watch too: `commit` moves the place behind them, which drops them. While a commit runs, or
//! after one of which nobody knows whether it was taken, nothing is told.

use std::collections::BTreeMap;

use super::super::StoreError;
use super::fault::Fault;
use super::head::Head;
use crate::model::Revision;

/// Octets of frames that may wait to be told.
const ROOM: usize = 16 << 20;

/// A frame as it stands in etcd.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) number: u64,
    pub(super) revision: Revision,
    pub(super) octets: Vec<u8>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) place: Head,
    /// Frames behind the place, by number.
    ahead: BTreeMap<u64, Found>,
    octets: usize,
    pub(super) committing: bool,
    trouble: Option<Fault>,
    /// Whether the caller knows of the trouble.
    told: bool,
}

impl State {
    /// Stands at a place, which may have trouble from the start.
    pub(super) fn at(place: Head, trouble: Option<Fault>) -> Self {
        Self { place, trouble, told: true, ..Self::default() }
    }

    /// Takes a frame; gives it back if there is no room for it.
    pub(super) fn put(&mut self, found: Found) -> Option<Found> {
        if found.number <= self.place.number || self.ahead.contains_key(&found.number) {
            return None;
        }
        if self.octets > 0 && self.octets + found.octets.len() > ROOM {
            return Some(found);
        }
        self.octets += found.octets.len();
        self.ahead.insert(found.number, found);
        None
    }

    /// The next frame behind the place.
    pub(super) fn take_next(&mut self) -> Option<Found> {
        let found = self.ahead.remove(&(self.place.number + 1))?;
        self.octets -= found.octets.len();
        Some(found)
    }

    /// Stands behind a batch; what was ahead up to there is known.
    pub(super) fn move_to(&mut self, place: Head) {
        if place.number <= self.place.number {
            return;
        }
        self.ahead = self.ahead.split_off(&(place.number + 1));
        self.octets = self.ahead.values().map(|found| found.octets.len()).sum();
        self.place = place;
    }

    /// The number up to which every frame is known.
    pub(super) fn known(&self) -> u64 {
        let mut known = self.place.number;
        while self.ahead.contains_key(&(known + 1)) {
            known += 1;
        }
        known
    }

    /// The revision of what is known to be next; a commit is in vain then.
    pub(super) fn overtaken(&self) -> Option<Revision> {
        let is_next = self.ahead.contains_key(&(self.place.number + 1));
        self.ahead.values().next_back().filter(|_| is_next).map(|last| last.revision)
    }

    /// Whether there is something to tell.
    pub(super) fn has_news(&self) -> bool {
        !self.committing && if self.trouble.is_some() { !self.told } else { self.overtaken().is_some() }
    }

    pub(super) fn trouble(&self) -> Option<&Fault> {
        self.trouble.as_ref()
    }

    /// Takes no more writes. The first reason counts, unless a later one says that etcd is not what it was. `told`: the
    /// caller gets it as an error, and needs no news of it.
    pub(super) fn fail(&mut self, fault: Fault, told: bool) {
        let is_strange = |fault: &Fault| matches!(fault, Fault::Strange(_));
        let was_strange = self.trouble.as_ref().is_some_and(is_strange);
        let is_other = self.trouble.is_none() || is_strange(&fault) && !was_strange;
        self.told = told || self.told && !is_other;
        if is_other || is_strange(&fault) {
            self.trouble = Some(fault);
        }
    }

    /// What is to be told of the trouble, once.
    pub(super) fn lost(&mut self, place: &str) -> Option<StoreError> {
        let fault = self.trouble.clone().filter(|_| !self.told)?;
        self.told = true;
        Some(fault.reading(place))
    }

    pub(super) fn heal(&mut self) {
        (self.trouble, self.told) = (None, false);
    }
}
