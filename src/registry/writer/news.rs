//! What others committed: the writer hears of it, makes it part of the state, and judges again what it had not known.
//!
//! **When.** Only while the store has no batch of ours: that one's result comes first. Then all news is followed before
//! anything else is committed, and what waited, compiled on a state that is old now, is judged again in its order
//! ([`Writer::judge_again`]). A command may be refused this time; its caller has not been told anything yet. Lapses and
//! timers are not judged again but are due again, so that a lease that was renewed, and a record that is gone, need no
//! care.
//!
//! **Conflict.** Neither the group that the store had nor the one behind it has happened, and nothing is wrong with the
//! store. The news that explains it is waited for, at most for [`PATIENCE`]; without it the store counts as lost. The
//! loser tries again at once, so of servers that contend each has its turn.
//!
//! **Aside.** While static records are committed, what the publisher has compiled with them is not to be seen before
//! that is done. News is compiled on top of it then, and shown with it, or without it if it fails.
//!
//! **A store that one writer has** lets go of what [`Store::listen`] gave it. Then nothing here costs anything.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use super::super::follow::{FleetNews, Followed, Follower};
use super::super::store::News;
use super::super::{Store, StoreError, Touched, TouchedName, ZoneRow};
use super::Writer;
use super::batch::Commit;
use super::pipeline::{Group, Request, changes_of};
use crate::model::{Name, Revision};

/// How long the news may take that explains a conflict.
const PATIENCE: Duration = Duration::from_secs(3);

/// Changes that commands which are judged again make together, about.
const CHUNK: usize = 1000;

/// Wakes the writer.
pub(super) type Wake = Arc<dyn Fn() + Send + Sync>;

/// Rings when the store has news.
#[derive(Default)]
pub(super) struct Bell(Option<Receiver<()>>);

/// What was followed and is not to be seen yet.
#[derive(Default)]
pub(super) struct Aside {
    touched: Vec<Touched>,
    names: Vec<TouchedName>,
    zones: BTreeMap<Name, ZoneRow>,
}

impl Bell {
    /// The bell of a store that has just been opened.
    pub(super) fn of(store: &dyn Store, wake: &Wake) -> Self {
        let (ring, rung) = sync_channel(1);
        let wake = wake.clone();
        store.listen(Box::new(move || {
            let _ = ring.try_send(()); // it rings already
            wake();
        }));
        match rung.try_recv() {
            Err(TryRecvError::Disconnected) => Self(None),
            Ok(()) | Err(TryRecvError::Empty) => Self(Some(rung)),
        }
    }

    /// Whether the store has news at all.
    pub(super) fn is_there(&self) -> bool {
        self.0.is_some()
    }

    fn has_rung(&self) -> bool {
        self.0.as_ref().is_some_and(|bell| bell.try_recv().is_ok())
    }

    /// Waits until it rings, until then at most; says whether it did.
    fn wait(&self, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        self.0.as_ref().is_some_and(|bell| bell.recv_timeout(left).is_ok())
    }
}

impl Writer {
    /// Follows what others have committed, if the store says that there is something.
    pub(super) fn hear(&mut self) {
        if !self.is_storing() && self.bell.has_rung() {
            self.ask();
        }
    }

    /// Asks the store for news, and follows it; unless it has a batch.
    pub(super) fn ask(&mut self) {
        if !self.bell.is_there() || self.is_storing() || !self.is_writable() {
            return;
        }
        if let Some(first) = self.opened_store().news() {
            let waiting = self.pipeline.take_waiting();
            let requests = self.take_back(waiting.into_iter().collect());
            let followed = self.follow(first);
            self.judge_again(requests, followed);
        }
    }

    /// Follows all news that there is; none is no fault.
    pub(super) fn follow_all(&mut self) -> Result<(), StoreError> {
        match self.bell.is_there().then(|| self.opened_store().news()).flatten() {
            Some(first) => self.follow(first),
            None => Ok(()),
        }
    }

    /// Somebody else was first. Follows what they committed, and judges everything again.
    pub(super) fn lose_race(&mut self, group: Group, conflict: StoreError) {
        let waiting = self.pipeline.take_waiting();
        let requests = self.take_back(std::iter::once(group).chain(waiting).collect());
        let followed = self.follow_what_explains(conflict);
        self.judge_again(requests, followed);
    }

    /// Waits for the news that explains a conflict, and follows all there is.
    pub(super) fn follow_what_explains(&mut self, conflict: StoreError) -> Result<(), StoreError> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.opened_store().news() {
                Some(first) => return self.follow(first),
                None if self.bell.wait(until) => {}
                None => return Err(conflict),
            }
        }
    }

    /// Makes what was judged of these groups, in their order, not have been. Their lapses and timers are due again.
    fn take_back(&mut self, groups: Vec<Group>) -> Vec<Request> {
        if groups.iter().any(Group::is_compiled) {
            self.publisher.discard();
        }
        let mut requests = Vec::new();
        for group in groups.into_iter() {
            let out = self.shared.leases.reopen(&group.keys());
            self.out.extend(out);
            let (expiring, judged) = group.end();
            self.timers.put_back(expiring);
            requests.extend(judged);
        }
        self.out.extend(self.delayed.drain(..));
        requests
    }

    /// Judges commands once more, before all others: on the new state, or without the store if that was lost.
    fn judge_again(&mut self, requests: Vec<Request>, followed: Result<(), StoreError>) {
        self.pipeline.put_first(chunks(requests));
        if let Err(error) = followed {
            self.be_away(error.to_string());
        }
        self.refill();
    }

    /// Makes news part of the state, to the last one, and shows it.
    fn follow(&mut self, first: News) -> Result<(), StoreError> {
        let (shared, store) = (self.shared.clone(), self.opened_store());
        let mut next = Some(first);
        let mut result = Ok(());
        while next.is_some() && result.is_ok() {
            let mut follower = Follower::new(&shared.options, self.state.clone(), shared.clock.wall());
            while let Some(news) = next.take_if(|_| result.is_ok() && !follower.is_full()) {
                match news {
                    News::Batch(batch) if batch.expected == follower.revision() => {
                        follower.follow(batch);
                        next = store.news();
                    }
                    News::Batch(batch) => {
                        // Something is missing: everything has to be read again.
                        self.has_gap = true;
                        result = Err(StoreError::Conflict { expected: batch.expected, found: follower.revision() });
                    }
                    News::Servers(there) => {
                        self.set_servers(&there);
                        next = store.news();
                    }
                    News::Lost(error) => result = Err(error),
                }
            }
            let (state, followed) = follower.finish();
            let Followed { effects, timers, touched, touched_names, zones, changes, lapsed, fleet } = followed;
            self.show_followed(&state.snapshot, !changes.is_empty(), touched, touched_names, zones);
            let changes: Vec<_> = changes.into_iter().map(Arc::new).collect();
            shared.observer.followed(&changes);
            self.fleet.count(shared.leases.clock(), lapsed);
            self.adopt(Commit { state, effects, timers, ..Commit::default() }, changes);
            self.follow_fleet(fleet);
        }
        result
    }

    /// Has it compiled and published; the rows say what the serials are.
    fn show_followed(
        &mut self,
        snapshot: &super::super::Snapshot,
        any: bool,
        touched: Vec<Touched>,
        names: Vec<TouchedName>,
        zones: BTreeMap<Name, ZoneRow>,
    ) {
        if any || !zones.is_empty() {
            let moved = self.publisher.prepare(snapshot, &touched, &names);
            self.publisher.mark(&marks(&zones));
            self.owe(moved, &zones);
        }
        match &mut self.aside {
            Some(aside) => {
                aside.touched.extend(touched);
                aside.names.extend(names);
                aside.zones.extend(zones.clone());
            }
            None if any || !zones.is_empty() => self.publisher.publish(),
            None => {}
        }
        self.zones.extend(zones);
    }

    /// A zone that moved here and not for them, because they have other zone files: its row goes with our next batch.
    fn owe(&mut self, moved: Vec<(Name, Revision)>, zones: &BTreeMap<Name, ZoneRow>) {
        for name in zones.keys() {
            self.owed.remove(name);
        }
        for (name, at) in moved.into_iter().filter(|(name, _)| !zones.contains_key(name)) {
            let (name, row) = self.moved(name, at);
            self.zones.insert(name.clone(), row.clone());
            self.owed.insert(name, row);
        }
    }

    /// Begins to commit static records, which the publisher has compiled.
    pub(super) fn put_aside(&mut self) {
        self.aside = Some(Aside::default());
    }

    /// They are committed, and what was followed meanwhile is published with them.
    pub(super) fn show_aside(&mut self) {
        self.aside = None;
    }

    /// They are not: throws away what was compiled, and publishes what was followed meanwhile without them.
    pub(super) fn drop_statics(&mut self) {
        self.publisher.discard();
        let Some(Aside { touched, names, zones }) = self.aside.take() else { return };
        if !touched.is_empty() || !names.is_empty() || !zones.is_empty() {
            self.publisher.prepare(&self.state.snapshot, &touched, &names);
            self.publisher.mark(&marks(&zones));
            self.publisher.publish();
        }
    }

    /// What others did about the hold of the fleet counts here.
    fn follow_fleet(&mut self, news: Option<FleetNews>) {
        let now = self.shared.leases.clock();
        match news {
            None => {}
            Some(FleetNews::Held(revision)) => {
                self.foreign_hold = Some(revision);
                self.fleet.follow(now);
            }
            Some(FleetNews::Released { by_server: true }) => {
                let granted = self.fleet.rearm(now, &mut self.out);
                self.shared.leases.grant(&granted);
            }
            Some(FleetNews::Released { by_server: false }) => self.fleet.release(&mut self.out),
        }
    }

    /// Whether the hold of the fleet that there is was begun by another server.
    pub(super) fn is_hold_foreign(&self) -> bool {
        let hold = self.state.snapshot.fleet_hold.as_ref();
        hold.is_some_and(|hold| self.foreign_hold == Some(hold.revision))
    }
}

fn marks(zones: &BTreeMap<Name, ZoneRow>) -> Vec<(Name, Revision)> {
    zones.iter().map(|(name, row)| (name.clone(), row.changed)).collect()
}

/// Groups that are not too large for one batch each.
fn chunks(requests: Vec<Request>) -> VecDeque<Vec<Request>> {
    let mut chunks: VecDeque<Vec<Request>> = VecDeque::new();
    let mut room = 0;
    for request in requests {
        if room == 0 {
            chunks.push_back(Vec::new());
            room = CHUNK;
        }
        room = room.saturating_sub(changes_of(&request.command));
        chunks.back_mut().expect("one has just been pushed").push(request);
    }
    chunks
}
