//! How the writer stands with its store: not loaded, writable, or away; and how it gets the store back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::draft::{Author, Timer};
use super::super::guard::{Limits, hold_of};
use super::super::lease::Servers;
use super::super::load::Loader;
use super::super::state::State;
use super::super::{Health, StoreError};
use super::Writer;
use super::time::{FIRST_PRUNE, HOUR, Loaded};
use super::timers::Timers;
use crate::model::{InstanceRef, Name, Refusal, State as Liveness, Timestamp, Word};

const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(10);

/// How the writer stands with its store.
#[derive(Debug)]
pub(super) enum Standing {
    /// It has never been read.
    NotLoaded(Retry),
    /// It takes writes; how long to wait after the next failure.
    Writable(Duration),
    /// It did not take a batch.
    Away(Retry),
}

/// When it is tried again, and why it has to be.
#[derive(Debug)]
pub(super) struct Retry {
    pub(super) trouble: String,
    /// Monotonic; `None` before the first try.
    tried: Option<Duration>,
    wait: Duration,
}

impl Default for Standing {
    fn default() -> Self {
        let trouble = "the store has not been opened yet".into();
        Self::NotLoaded(Retry { trouble, tried: None, wait: FIRST_RETRY })
    }
}

impl Retry {
    fn is_due(&self, now: Duration, at_most: Duration) -> bool {
        self.tried.is_none_or(|tried| now.saturating_sub(tried) >= self.wait.min(at_most))
    }

    /// How long to wait after one more failure.
    fn longer(&self) -> Duration {
        match self.tried {
            None => FIRST_RETRY,
            Some(_) => (self.wait * 2).min(LONGEST_RETRY),
        }
    }
}

impl Writer {
    /// Tries to get the store if the back-off says so.
    pub(super) fn retry(&mut self) {
        self.retry_within(LONGEST_RETRY);
    }

    /// A command waits: tries to get the store if the last try is a second old.
    pub(super) fn retry_for_command(&mut self) {
        self.retry_within(FIRST_RETRY);
    }

    fn retry_within(&mut self, at_most: Duration) {
        let now = self.shared.clock.monotonic();
        let (is_loaded, retry) = match &self.standing {
            Standing::NotLoaded(retry) => (false, retry),
            Standing::Away(retry) => (true, retry),
            Standing::Writable(_) => return,
        };
        if !retry.is_due(now, at_most) {
            return;
        }
        let wait = retry.longer();
        let result = if is_loaded { self.regain_store(wait) } else { self.open_store() };
        if let Err(error) = result {
            let retry = Retry { trouble: error.to_string(), tried: Some(now), wait };
            self.standing = if is_loaded { Standing::Away(retry) } else { Standing::NotLoaded(retry) };
            self.tell_health(is_loaded, Some(error.to_string()));
        }
    }

    /// Opens the store for the first time and publishes what it holds.
    fn open_store(&mut self) -> Result<(), StoreError> {
        let store = (self.open)()?;
        let mut loader = Loader::default();
        store.read(&mut loader)?;
        let trouble = store.trouble();
        self.shared.set_store(store.clone());
        self.shared.set_servers(Servers::unknown(store.number()));
        self.store = Some(store);
        self.adopt_loaded(loader, FIRST_RETRY, trouble);
        Ok(())
    }

    /// Makes a failed store usable again; nothing lapses before every lease has run full once more.
    fn regain_store(&mut self, wait: Duration) -> Result<(), StoreError> {
        let store = self.store.clone().expect("a store that is away has been open");
        store.reopen()?;
        let ahead = store.history(self.state.snapshot.revision, 1)?;
        if !ahead.changes.is_empty() {
            let mut loader = Loader::default();
            store.read(&mut loader)?;
            self.publisher.set_stale(false);
            self.adopt_loaded(loader, wait, None);
            return Ok(());
        }
        self.publisher.set_stale(false);
        self.out.clear();
        self.fleet.restart(self.shared.leases.clock());
        self.shared.leases.restart();
        self.be_writable(wait);
        if self.statics_pending {
            let bases = self.publisher.reload(&self.state.snapshot);
            if let Err(error) = self.commit_statics(bases, &statics_at_start()) {
                self.publisher.discard();
                self.lose_store(&error);
            }
        }
        Ok(())
    }

    /// Makes what a store holds the current state and publishes it. Leases and timers start full, also those of what is held. With `trouble` the
    /// store reads and does not write: it is away from the start.
    fn adopt_loaded(&mut self, loader: Loader, wait: Duration, trouble: Option<String>) {
        let (state, zones) = loader.finish();
        self.state = state;
        self.shared.leases.reset(self.state.subjects_count(), self.state.subjects());
        self.out.clear();
        self.fleet.restart(self.shared.leases.clock());
        let now = self.shared.clock.monotonic();
        self.timers = Timers::default();
        let timers = timers_of(&self.state, &self.shared.options.guard, self.shared.clock.wall());
        self.timers.wind(now, self.shared.leases.clock(), HOUR, timers, |_| true);
        self.loaded = Loaded::new(self.last_change(), now);
        self.prune_at = now + FIRST_PRUNE;
        let bases = self.publisher.load(&self.state.snapshot, &zones);
        self.zones = zones.into_iter().collect::<BTreeMap<Name, _>>();
        self.shared.snapshot.store(Arc::new(self.state.snapshot.clone()));
        self.shared.census.store(Arc::new(self.state.census(0)));
        if trouble.is_none() {
            self.standing = Standing::Writable(wait);
        }
        // Loaded is said only when the answers are those of what was loaded.
        match (self.commit_statics(bases, &statics_at_start()), trouble) {
            (Ok(()), None) => self.tell_health(true, None),
            (Ok(()), Some(trouble)) => self.be_away(trouble),
            (Err(error), _) => {
                self.statics_pending = true;
                self.publisher.publish();
                self.lose_store(&error);
            }
        }
    }

    /// When the last change was made; now, if history does not have it.
    fn last_change(&self) -> Timestamp {
        let found = self.store.as_ref().and_then(|store| store.change(self.state.snapshot.revision).ok().flatten());
        found.map_or_else(|| self.shared.clock.wall(), |change| change.time)
    }

    fn be_writable(&mut self, wait: Duration) {
        self.standing = Standing::Writable(wait);
        self.tell_health(true, None);
    }

    /// The store took a batch: the next failure is tried again soon.
    pub(super) fn praise_store(&mut self) {
        self.standing = Standing::Writable(FIRST_RETRY);
    }

    /// The store did not take a batch: from now on nothing lapses and nothing changes.
    pub(super) fn lose_store(&mut self, error: &StoreError) {
        self.shared.observer.commit_failed();
        self.be_away(error.to_string());
    }

    fn be_away(&mut self, trouble: String) {
        let wait = match self.standing {
            Standing::Writable(wait) => wait,
            Standing::NotLoaded(_) | Standing::Away(_) => FIRST_RETRY,
        };
        let tried = Some(self.shared.clock.monotonic());
        self.standing = Standing::Away(Retry { trouble: trouble.clone(), tried, wait });
        self.publisher.set_stale(true);
        self.tell_health(true, Some(trouble));
    }

    /// Refuses while the store has never been read.
    pub(super) fn check_loaded(&self) -> Result<(), Refusal> {
        let Standing::NotLoaded(retry) = &self.standing else { return Ok(()) };
        let detail = format!("the registry has not been loaded: {}; try another server, or again later", retry.trouble);
        Err(Refusal::new(Word::NotReady, detail))
    }

    /// What a change is refused with while the store is away.
    pub(super) fn unavailable(&self) -> Refusal {
        let trouble = match &self.standing {
            Standing::Away(retry) | Standing::NotLoaded(retry) => retry.trouble.as_str(),
            Standing::Writable(_) => "it failed a moment ago",
        };
        let detail = format!("nothing has changed, because the store takes no writes: {trouble}; try again later");
        Refusal::new(Word::StoreUnavailable, detail)
    }

    fn tell_health(&self, loaded: bool, trouble: Option<String>) {
        let writable = loaded && trouble.is_none();
        let health = Health { loaded, writable, trouble };
        let before = self.shared.health.swap(Arc::new(health.clone()));
        if *before != health {
            self.shared.observer.health_changed(&before, &health);
        }
    }
}

fn statics_at_start() -> Author {
    Author::server("static records or their configuration differ from when they were last loaded")
}

/// The timers of what a store holds: lapsed records, remembered names, holds, and weights that were set for a time.
fn timers_of<'s>(state: &'s State, limits: &'s Limits, now: Timestamp) -> impl Iterator<Item = Timer> + 's {
    state.snapshot.services.values().flat_map(move |service| {
        let hold = hold_of(service, limits);
        let named = |instance: &InstanceRef<'_>| (service.name.clone(), instance.id.into());
        let silent = service.instances.refs().filter_map(move |instance| {
            let ((service, id), revision) = (named(&instance), instance.revision);
            match instance.state {
                Liveness::Lapsed => Some(Timer::Reap { service, id, revision }),
                Liveness::Held => Some(Timer::EndHold { service, id, since: instance.since, after: hold }),
                Liveness::Serving | Liveness::Out | Liveness::Drained => None,
            }
        });
        let remembered = service.row.remembered.iter();
        let forgets =
            remembered.map(|(key, at)| Timer::Forget { service: service.name.clone(), key: key.clone(), at: *at });
        let ordered = service.instances.refs().filter_map(|instance| Some((instance.id, instance.orders()?.weight?)));
        let weights = ordered.filter_map(move |(id, set)| {
            let (service, id, revision) = (service.name.clone(), id.into(), set.mark.revision);
            Some(Timer::EndWeight { service, id, revision, after: set.left(now)? })
        });
        silent.chain(forgets).chain(weights)
    })
}
