//! The etcd store: several servers share one registry, and one order of batches (docs/decisions/0045).
//!
//! **What etcd holds.** Each batch is a frame (`frame`) with the next number; `head` says which is the last. What the
//! frames come to stands in rows beside them, which one server, the leader, brings up to date (`fold`). Keys: `keys`.
//!
//! **What a handle holds.** Its place in the order and the frames ahead of it (`state`); a client for each member of
//! etcd (`cluster`); a copy in the data directory, an embedded store that has the same frames (`copy`). Nothing of the
//! registry itself: a handle costs what waits to be told, at most 16 MiB.
//!
//! **Who changes it.** Any server, by `commit` alone: a transaction that compares the head, so that every batch is
//! judged on what it changes. News come by a watch (`follow`), by refused commits, and by `reopen`.
//!
//! **Time.** Calls block and come from threads of their own; a thread of this module runs what is asynchronous. Every
//! call to a member has a time-out, and goes on at the next member.
//!
//! **Failure.** When nobody has answered for long, or etcd is not what it was, the handle takes no writes, says why
//! (`trouble`), and tells it once as news, until `reopen` finds etcd again, at this place or behind it. A commit whose
//! outcome nobody knows is in doubt until then; if it was taken, it is news like that of another server.
//!
//! **Lineage.** The place has the registry's identity, a number and a hash over all frames. Where `head` says something
//! else than can follow from it, etcd was emptied, put back to an earlier state, or is another one: the handle does not
//! follow. [`EtcdStore::adopt`] forgets what is known, so that the next start takes what is there. The hash cannot tell
//! that etcd lost what it never showed to this handle.
//!
//! **Crashes.** A commit is one transaction of etcd: whole or not at all. The copy is as after some frame. A leader
//! that stops leaves rows that are newer than it has said, which is harmless.
//!
//! **Limits.** A frame has 1 MiB; a batch that makes a larger one is refused before anything is sent. Commits of all
//! servers go one behind the other, a round trip of etcd each.

mod cluster;
mod commit;
mod copy;
mod fault;
mod fill;
mod fold;
mod follow;
mod frame;
mod head;
mod history;
mod keys;
mod options;
mod shared;
mod state;

pub use options::{Options, Timings, Tls};

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Notify;

use super::{About, Batch, Load, News, Page, Store, StoreError};
use crate::model::{Change, Revision, Timestamp};
use cluster::Cluster;
use copy::Copy;
use fault::{Fault, Result};
use head::Head;
use keys::Keys;
use shared::Shared;
use state::State;

/// A registry in etcd.
pub struct EtcdStore {
    shared: Arc<Shared>,
    /// Locked before the state of `shared`.
    copy: Arc<Mutex<Copy>>,
    /// The thread that keeps the copy up to date, and what ends it.
    copying: Option<(SyncSender<()>, JoinHandle<()>)>,
    /// Runs the calls, the watch, the canary and the leader; none when it is dropped.
    runtime: Option<Runtime>,
}

/// Where a handle stands in the order of batches: for people who ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The registry's; empty before its first batch.
    pub identity: String,
    /// The last batch that the caller has read, committed or been told.
    pub number: u64,
    /// Its last change.
    pub revision: Revision,
    /// The last batch that is here, to be told.
    pub known: u64,
    /// The last batch that is in the copy.
    pub copied: u64,
}

impl EtcdStore {
    /// Opens the registry at these endpoints. If etcd is away, or is not the registry that the copy in the data
    /// directory knows, it is opened with trouble and reads the copy; without one that is an error.
    pub fn open(options: Options) -> std::result::Result<Self, StoreError> {
        let place = format!("etcd {}{}", options.endpoints.join(","), options.prefix);
        let copy = Copy::open(&options.data_dir)?;
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("etcd").enable_all().build();
        let runtime = runtime.map_err(|error| Fault::from(error).reading(&place))?;
        let shared = runtime.block_on(prepare(options, &place, &copy));
        let shared = Arc::new(shared.map_err(|fault| fault.reading(&place))?);
        let (copy, handle) = (Arc::new(Mutex::new(copy)), runtime.handle());
        handle.spawn(follow::follow(shared.clone()));
        handle.spawn(fold::lead(shared.clone()));
        let copying = keep_copy(shared.clone(), copy.clone(), handle.clone());
        let copying = Some(copying.map_err(|error| Fault::from(error).reading(&place))?);
        Ok(Self { shared, copy, copying, runtime: Some(runtime) })
    }

    /// Forgets what the server of this data directory knows of its registry, so that it takes what etcd has now.
    pub fn adopt(data_dir: &Path) -> std::result::Result<(), StoreError> {
        Copy::remove(data_dir)
    }

    /// Where it stands.
    pub fn standing(&self) -> Standing {
        let copied = self.copy().mark().head.number;
        let state = self.shared.state();
        let (number, known) = (state.place.number, state.known());
        Standing { identity: state.place.identity.clone(), number, known, copied, revision: state.place.revision }
    }

    fn handle(&self) -> &Handle {
        self.runtime.as_ref().expect("it is there until the store is dropped").handle()
    }

    fn copy(&self) -> MutexGuard<'_, Copy> {
        self.copy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_trouble(&self) -> bool {
        self.shared.state().trouble().is_some()
    }

    /// Asks etcd, or the copy while etcd does not answer.
    fn either<T>(
        &self,
        asked: impl Future<Output = Result<T>>,
        copied: impl FnOnce(&Copy) -> Result<T>,
    ) -> std::result::Result<T, StoreError> {
        let result = match self.has_trouble() {
            true => copied(&self.copy()),
            false => match self.handle().block_on(asked) {
                Err(Fault::Away(_)) => copied(&self.copy()),
                other => other,
            },
        };
        result.map_err(|fault| fault.reading(&self.shared.place))
    }

    /// Where etcd is now, if that can follow from where this handle is; with what it lacks.
    async fn return_to(shared: &Shared) -> Result<()> {
        let place = shared.state().place.clone();
        let head = shared.head().await?;
        place.check_leads_to(head.as_ref())?;
        let page = shared.frames(place.number + 1).await?;
        let (next, last) = (place.number + 1, head.map_or(0, |head| head.number));
        match page.frames.first() {
            Some(first) if first.number > next => return Err(follow::gone(next, first.number)),
            None if last >= next => return Err(follow::gone(next, last + 1)),
            _ => {}
        }
        let mut state = shared.state();
        page.frames.into_iter().for_each(|found| drop(state.put(found))); // the watch brings the rest
        state.heal();
        Ok(())
    }
}

/// Finds out where etcd is.
async fn prepare(options: Options, place: &str, copy: &Copy) -> Result<Shared> {
    let (cluster, keys) = (Cluster::connect(&options).await?, Keys::new(&options.prefix));
    let known = copy.mark().clone();
    cluster.expect(known.cluster);
    let shared = Shared {
        options,
        cluster,
        keys,
        place: place.to_owned(),
        id: head::random_id()?,
        state: Mutex::new(State::default()),
        wake: OnceLock::new(),
        room: Notify::new(),
        again: Notify::new(),
    };
    let head = shared.head().await.and_then(|head| {
        known.head.check_leads_to(head.as_ref())?;
        Ok(head.unwrap_or_default())
    });
    let state = match head {
        Ok(head) => State::at(head, None),
        Err(fault) if known.head == Head::default() => return Err(fault),
        Err(fault) => State::at(known.head, Some(fault)),
    };
    *shared.state() = state;
    Ok(shared)
}

/// Starts the thread that brings frames into the copy.
fn keep_copy(
    shared: Arc<Shared>,
    copy: Arc<Mutex<Copy>>,
    runtime: Handle,
) -> std::io::Result<(SyncSender<()>, JoinHandle<()>)> {
    let (end, ended) = sync_channel(0);
    let work = move || {
        while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(shared.options.timings.copy) {
            let is_well = shared.state().trouble().is_none();
            let is_begun = copy.lock().unwrap_or_else(PoisonError::into_inner).mark().head.number > 0;
            if is_well && is_begun {
                let mut copy = copy.lock().unwrap_or_else(PoisonError::into_inner);
                let _ = copy.catch_up(&shared, &runtime, false); // it is tried again, and reading tells what is wrong
            }
        }
    };
    Ok((end, std::thread::Builder::new().name("copy".into()).spawn(work)?))
}

impl Drop for EtcdStore {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.copying.take() {
            drop(end);
            let _ = thread.join(); // what it did not copy is in etcd
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Store for EtcdStore {
    fn read(&self, into: &mut dyn Load) -> std::result::Result<(), StoreError> {
        let mut copy = self.copy();
        let trouble = {
            let state = self.shared.state();
            state.trouble().map(|trouble| (trouble.clone(), state.place.number))
        };
        let fault = match trouble {
            // Who stands behind more than the copy has must not be shown an older registry.
            Some((trouble, number)) if copy.mark().head.number < number => Err(trouble),
            Some(_) => Ok(()),
            None => copy.catch_up(&self.shared, self.handle(), true),
        };
        fault.and_then(|()| copy.read(into)).map_err(|fault| fault.reading(&self.shared.place))?;
        self.shared.state().move_to(copy.mark().head.clone());
        self.shared.room.notify_one();
        Ok(())
    }

    fn commit(&self, batch: &Batch) -> std::result::Result<(), StoreError> {
        self.handle().block_on(self.shared.commit(batch))
    }

    fn reopen(&self) -> std::result::Result<(), StoreError> {
        if !self.has_trouble() {
            return Ok(());
        }
        let returned = self.handle().block_on(Self::return_to(&self.shared));
        returned.map_err(|fault| {
            self.shared.state().fail(fault.clone(), true);
            fault.writing(&self.shared.place)
        })?;
        self.shared.again.notify_one();
        self.shared.tell();
        Ok(())
    }

    fn history(&self, since: Revision, limit: usize) -> std::result::Result<Page, StoreError> {
        self.either(history::history(&self.shared, since, limit), |copy| copy.history(since, limit))
    }

    fn change(&self, revision: Revision) -> std::result::Result<Option<Change>, StoreError> {
        self.either(history::change(&self.shared, revision), |copy| copy.change(revision))
    }

    fn prune(&self, before: Timestamp, now: Timestamp, limit: usize) -> std::result::Result<usize, StoreError> {
        if let Some(fault) = self.shared.state().trouble() {
            return Err(fault.clone().writing(&self.shared.place));
        }
        let pruned = self.handle().block_on(history::prune(&self.shared, before, now, limit));
        pruned.map_err(|fault| fault.writing(&self.shared.place))
    }

    fn listen(&self, wake: Box<dyn Fn() + Send + Sync>) {
        let _ = self.shared.wake.set(wake); // the first one counts
        self.shared.tell();
    }

    fn news(&self) -> Option<News> {
        let mut state = self.shared.state();
        if state.committing {
            return None;
        }
        if state.trouble().is_some() {
            return state.lost(&self.shared.place).map(News::Lost);
        }
        let found = state.take_next()?;
        let told = frame::open(&state.place, &found.octets).and_then(|(entries, head)| {
            let batch = frame::batch(state.place.revision, &entries)?;
            state.move_to(head);
            Ok(batch)
        });
        self.shared.room.notify_one();
        match told {
            Ok(batch) => Some(News::Batch(batch)),
            Err(fault) => {
                state.fail(fault.clone(), true);
                Some(News::Lost(fault.reading(&self.shared.place)))
            }
        }
    }

    fn about(&self) -> About {
        About { kind: "etcd", identity: self.shared.state().place.identity.clone(), octets: None }
    }

    fn trouble(&self) -> Option<String> {
        let state = self.shared.state();
        state.trouble().map(|fault| fault.clone().writing(&self.shared.place).to_string())
    }
}
