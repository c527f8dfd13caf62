//! What the writer and the handles share.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::broadcast;

use super::lease::{Leases, Servers};
use super::refused::Memory;
use super::{Census, Health, Observer, Options, Snapshot, Store};
use crate::model::{Change, Clock};

/// Changes kept for readers of live events that are slow.
const EVENTS: usize = 4096;

/// Published state, leases, and the ways to be told of changes.
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) snapshot: ArcSwap<Snapshot>,
    /// The counters of the published state; sessions are counted by the leases.
    pub(super) census: ArcSwap<Census>,
    pub(super) health: ArcSwap<Health>,
    pub(super) leases: Leases,
    servers: ArcSwap<Servers>,
    /// Leases that wait while the fleet's lapses are held; some may have been renewed since.
    fleet_held: AtomicUsize,
    /// Registrations that were refused lately.
    pub(super) refused: Memory,
    pub(super) events: broadcast::Sender<Arc<Change>>,
    pub(super) stopping: AtomicBool,
    /// For readers of history; the writer has its own pointer.
    store: Mutex<Option<Arc<dyn Store>>>,
    jitter: AtomicU64,
}

impl Shared {
    /// Nothing loaded yet.
    pub(super) fn new(options: Options, clock: Arc<dyn Clock>, observer: Arc<dyn Observer>) -> Self {
        let trouble = None;
        let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
        Self {
            options,
            clock,
            observer,
            snapshot: ArcSwap::default(),
            census: ArcSwap::default(),
            health: ArcSwap::from_pointee(Health { trouble, ..Health::default() }),
            leases: Leases::new(),
            servers: ArcSwap::default(),
            fleet_held: AtomicUsize::new(0),
            refused: Memory::default(),
            events: broadcast::Sender::new(EVENTS),
            stopping: AtomicBool::new(false),
            store: Mutex::new(None),
            jitter: AtomicU64::new(seed),
        }
    }

    /// The store, once it has been opened.
    pub(super) fn store(&self) -> Option<Arc<dyn Store>> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets readers of history use this store.
    pub(super) fn set_store(&self, store: Arc<dyn Store>) {
        *self.store.lock().unwrap_or_else(PoisonError::into_inner) = Some(store);
    }

    /// Who shares the registry, and is there.
    pub(super) fn servers(&self) -> Servers {
        **self.servers.load()
    }

    /// Says so, also to the leases.
    pub(super) fn set_servers(&self, servers: Servers) {
        self.servers.store(Arc::new(servers));
        self.leases.set_servers(servers);
    }

    /// How many leases are out while the fleet's lapses are held.
    pub(super) fn fleet_held(&self) -> usize {
        match self.fleet_held.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.leases.silence().out,
        }
    }

    /// Notes how many leases wait.
    pub(super) fn set_fleet_held(&self, waiting: usize) {
        self.fleet_held.store(waiting, Ordering::Relaxed);
    }

    /// A random number from 0 to 1 that only has to spread clients out (splitmix64).
    pub(super) fn random(&self) -> f64 {
        let mut bits = self.jitter.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}
