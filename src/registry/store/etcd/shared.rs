//! What the calls, the watch, the canary, the leader and the copy's thread of one handle share.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use etcd_client::{GetOptions, KeyValue};
use tokio::sync::Notify;

use super::cluster::Cluster;
use super::fault::{Fault, Result};
use super::head::Head;
use super::keys::Keys;
use super::options::Options;
use super::state::{Found, State};

/// Frames that are read at once: at most 16 MiB.
pub(super) const PAGE: i64 = 16;

pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) cluster: Cluster,
    pub(super) keys: Keys,
    /// Where the store is, in words.
    pub(super) place: String,
    /// Tells this handle's canaries from those of another one with the same name.
    pub(super) id: String,
    pub(super) state: Mutex<State>,
    pub(super) wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
    /// Frames were told, so there is room for more.
    pub(super) room: Notify,
    /// The watch is to be built again at once.
    pub(super) again: Notify,
}

/// Frames that follow each other.
pub(super) struct Page {
    pub(super) frames: Vec<Found>,
    pub(super) more: bool,
    /// The revision of etcd that they were read at.
    pub(super) revision: i64,
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls the listener if there is news.
    pub(super) fn tell(&self) {
        let has_news = self.state().has_news();
        if let Some(wake) = self.wake.get().filter(|_| has_news) {
            wake();
        }
    }

    /// No writes any more; the listener hears of it.
    pub(super) fn fail(&self, fault: Fault) {
        self.state().fail(fault, false);
        self.tell();
    }

    /// The last batch that etcd has; none if it has none.
    pub(super) async fn head(&self) -> Result<Option<Head>> {
        let response = self.cluster.get(self.keys.head(), None).await?;
        response.kvs().first().map(|pair| Head::parse(pair.value())).transpose()
    }

    /// The first frames from a number on.
    pub(super) async fn frames(&self, from: u64) -> Result<Page> {
        let options = GetOptions::new().with_range(self.keys.frames_end()).with_limit(PAGE);
        let response = self.cluster.get(self.keys.frames_from(from), Some(options)).await?;
        let frames = response.kvs().iter().filter_map(|pair| self.found(pair)).collect();
        let revision = response.header().map_or(0, |header| header.revision());
        Ok(Page { frames, more: response.more(), revision })
    }

    /// A pair that is a frame.
    pub(super) fn found(&self, pair: &KeyValue) -> Option<Found> {
        let (number, revision) = self.keys.parse_frame(pair.key())?;
        Some(Found { number, revision, octets: pair.value().to_vec() })
    }
}
