//! A store in memory that several servers write to: one order of batches, a handle for each server, and faults.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use zonebeat::model::{Change, Revision, Timestamp};
use zonebeat::registry::store::{Batch, Load, News, Page, Store, StoreError};

use super::cases::MemoryStore;

type Wake = Box<dyn Fn() + Send + Sync>;

/// What all handles share.
#[derive(Default)]
pub struct Shared {
    rows: MemoryStore,
    order: Mutex<Order>,
}

#[derive(Default)]
struct Order {
    /// Every batch.
    frames: Vec<Batch>,
    wakes: Vec<Wake>,
}

/// What befalls a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is not taken.
    Refused,
    /// It is taken, and nobody says so.
    Unknown,
}

/// One server's handle.
pub struct Handle {
    shared: Arc<Shared>,
    /// How many frames it knows. Locked while a commit runs.
    place: Mutex<usize>,
    faults: Mutex<VecDeque<Fault>>,
    failed: AtomicBool,
    /// The store cannot be reached.
    pub gone: AtomicBool,
    told: AtomicBool,
    /// There is news, and it does not come.
    pub silent: AtomicBool,
    /// It hears nothing until it comes too late.
    pub deaf: AtomicBool,
    pub conflicts: AtomicUsize,
    /// Called before each commit, in the store's thread.
    pub before_commit: Mutex<Option<Box<dyn FnMut() + Send>>>,
}

impl Shared {
    /// Another handle, which stands at the end.
    pub fn handle(self: &Arc<Self>) -> Arc<Handle> {
        Arc::new(Handle {
            shared: self.clone(),
            place: Mutex::new(self.order().frames.len()),
            faults: Mutex::default(),
            failed: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            told: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            deaf: AtomicBool::new(false),
            conflicts: AtomicUsize::new(0),
            before_commit: Mutex::new(None),
        })
    }

    pub fn frames(&self) -> usize {
        self.order().frames.len()
    }

    /// How many batches have nothing in them.
    pub fn empty_frames(&self) -> usize {
        self.order().frames.iter().filter(|frame| frame.changes.is_empty() && frame.writes.is_empty()).count()
    }

    pub fn history(&self) -> Vec<Change> {
        self.rows.history_now()
    }

    fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap()
    }
}

impl Handle {
    /// What befalls the next commits.
    pub fn inject(&self, fault: Fault) {
        self.faults.lock().unwrap().push_back(fault);
    }

    /// Everything works again, once it has been reopened.
    pub fn heal(&self) {
        self.faults.lock().unwrap().clear();
        self.gone.store(false, Ordering::SeqCst);
        self.silent.store(false, Ordering::SeqCst);
        self.deaf.store(false, Ordering::SeqCst);
    }

    /// Whether it knows every batch.
    pub fn is_at_the_end(&self) -> bool {
        *self.place.lock().unwrap() == self.shared.frames()
    }

    fn error() -> StoreError {
        StoreError::Write { path: "shared".into(), source: "no answer".into() }
    }

    fn check(&self) -> Result<(), StoreError> {
        match self.failed.load(Ordering::SeqCst) || self.gone.load(Ordering::SeqCst) {
            true => Err(Self::error()),
            false => Ok(()),
        }
    }

    fn fail(&self) -> Result<(), StoreError> {
        self.failed.store(true, Ordering::SeqCst);
        Err(Self::error())
    }
}

impl Store for Handle {
    fn read(&self, into: &mut dyn Load) -> Result<(), StoreError> {
        if self.gone.load(Ordering::SeqCst) {
            return Err(Self::error());
        }
        let mut place = self.place.lock().unwrap();
        let order = self.shared.order();
        *place = order.frames.len();
        self.shared.rows.read(into)
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut place = self.place.lock().unwrap();
        if let Some(hook) = &mut *self.before_commit.lock().unwrap() {
            hook();
        }
        self.check()?;
        let fault = self.faults.lock().unwrap().pop_front();
        if fault == Some(Fault::Refused) {
            return self.fail();
        }
        let mut order = self.shared.order();
        let found = order
            .frames
            .iter()
            .rev()
            .find_map(|frame| frame.changes.last())
            .map(|last| last.revision)
            .unwrap_or_default();
        if *place < order.frames.len() || batch.expected != found {
            self.conflicts.fetch_add(1, Ordering::SeqCst);
            self.deaf.store(false, Ordering::SeqCst);
            return Err(StoreError::Conflict { expected: batch.expected, found });
        }
        self.shared.rows.commit(batch)?;
        order.frames.push(batch.clone());
        order.wakes.iter().for_each(|wake| wake());
        if fault == Some(Fault::Unknown) {
            return self.fail();
        }
        *place = order.frames.len();
        Ok(())
    }

    fn reopen(&self) -> Result<(), StoreError> {
        if self.gone.load(Ordering::SeqCst) {
            return Err(Self::error());
        }
        self.failed.store(false, Ordering::SeqCst);
        self.told.store(false, Ordering::SeqCst);
        Ok(())
    }

    fn history(&self, since: Revision, limit: usize) -> Result<Page, StoreError> {
        self.shared.rows.history(since, limit)
    }

    fn change(&self, revision: Revision) -> Result<Option<Change>, StoreError> {
        self.shared.rows.change(revision)
    }

    fn prune(&self, before: Timestamp, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.shared.rows.prune(before, now, limit)
    }

    fn listen(&self, wake: Wake) {
        self.shared.order().wakes.push(wake);
    }

    fn news(&self) -> Option<News> {
        let mut place = match self.place.try_lock() {
            Ok(place) => place,
            Err(TryLockError::WouldBlock) => return None,
            Err(TryLockError::Poisoned(error)) => panic!("{error}"),
        };
        if self.gone.load(Ordering::SeqCst) {
            self.failed.store(true, Ordering::SeqCst);
            return (!self.told.swap(true, Ordering::SeqCst)).then(|| News::Lost(Self::error()));
        }
        let hears = !self.silent.load(Ordering::SeqCst) && !self.deaf.load(Ordering::SeqCst);
        if self.failed.load(Ordering::SeqCst) || !hears {
            return None;
        }
        let frame = self.shared.order().frames.get(*place).cloned()?;
        *place += 1;
        Some(News::Batch(frame))
    }
}
