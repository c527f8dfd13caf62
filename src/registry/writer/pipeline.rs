//! One batch with the store, the next one made ready: committing does not keep the writer waiting.
//!
//! **What it holds.** A thread that calls the store, the group of commands that it has, and the group that waits behind
//! it. Commands of the waiting group are applied to the state as it will be when the first group is committed, and
//! compiled on top of the view that will be published then; more of them join it until the store is done. So the time
//! of an fsync is used, and there is one fsync for everything that came while the last one ran.
//!
//! **Order.** A group is published, and its commands are answered, when its own commit is durable, never before; groups
//! are committed in the order of their commands. Also commands that were refused, or that only beat, wait for the group
//! that they were judged with: what they were judged by may still fail.
//!
//! **Failure.** If the store does not take a group, neither that nor the waiting one has happened: both
//! views are dropped, and every command is run again on the committed state without the store (beats are
//! taken, changes are refused).
//!
//! **Conflict.** If others were first, neither group has happened, and their commands are judged again behind what
//! those committed (`news`), before all others.
//!
//! **Lapses** join the waiting group as commands do. Leases that something under way is about wait until that is done,
//! because it may renew them. The others are sealed when their group goes to the store; if one of them has been renewed
//! until then, the group is judged again without its lapse. If the store does not take the group, they run anew.
//!
//! **Timers** of an hour join it in the same way; those of a group that fails are due again.
//!
//! **Everything else** that changes the store (zone files, pruning) calls [`Writer::settle`] first: it waits until
//! nothing is under way. A crash is that of the store: it has the groups that it has committed, whole.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use super::super::apply::{apply, lapse, needs_view};
use super::super::draft::Draft;
use super::super::lease::{Effect, Key, Subject, SubjectName};
use super::super::state::State;
use super::super::store::{Batch, Write};
use super::super::{Action, Command, Outcome, Publisher, Store, StoreError, ZoneRow};
use super::batch::Commit;
use super::time::expire;
use super::timers::Due;
use super::{Writer, is_reload};
use crate::model::{Clock, Name, Refusal, Revision};

/// Changes after which a group takes no more commands.
const FULL: usize = 1000;
/// Commands that a group has at most, those that change nothing included: what a store that hangs may hold up.
const MOST_JUDGED: usize = 4096;

/// What becomes of a command.
pub(in super::super) type Answer = Result<Outcome, Refusal>;

/// A command and where its answer goes.
pub(in super::super) struct Request {
    pub(in super::super) command: Command,
    answer: oneshot::Sender<Answer>,
}

impl Request {
    /// A command, and where its answer comes.
    pub(in super::super) fn new(command: Command) -> (Self, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        (Self { command, answer }, answered)
    }

    fn answer(self, answer: Answer) {
        let _ = self.answer.send(answer); // a caller that has gone away does not hear of it
    }
}

/// Lapses and timers of one group: few enough that commands behind them do not wait long in a mass of lapses.
pub(super) const MOST_LAPSES: usize = 250;

/// Commands and lapses that commit together, applied and compiled.
#[derive(Default)]
pub(super) struct Group {
    commit: Commit,
    /// The publisher has compiled something of it.
    compiled: bool,
    moved: BTreeMap<Name, Revision>,
    judged: Vec<(Request, Answer)>,
    lapsing: Vec<(Key, Subject)>,
    expiring: Vec<Due>,
}

impl Group {
    fn is_full(&self) -> bool {
        self.commit.changes.len() >= FULL || self.judged.len() >= MOST_JUDGED
    }

    /// Lapses and timers.
    fn lapses(&self) -> usize {
        self.expiring.len() + self.lapsing.iter().map(|(_, subject)| subject.instances().max(1)).sum::<usize>()
    }

    /// The leases that lapse.
    pub(super) fn keys(&self) -> Vec<Key> {
        self.lapsing.iter().map(|(key, _)| *key).collect()
    }

    /// Whether the publisher has compiled something of it.
    pub(super) fn is_compiled(&self) -> bool {
        self.compiled
    }

    /// Its timers and commands, of which nothing has been done.
    pub(super) fn end(self) -> (Vec<Due>, impl Iterator<Item = Request>) {
        (self.expiring, self.judged.into_iter().map(|(request, _)| request))
    }
}

/// How much of a draft has been compiled.
#[derive(Default)]
struct Compiled {
    changes: usize,
    touched: usize,
    names: usize,
    moved: BTreeMap<Name, Revision>,
}

impl Compiled {
    /// Has the publisher compile what the draft has more.
    fn follow(&mut self, draft: &Draft, publisher: &mut dyn Publisher) {
        let Draft { changes, touched, touched_names, .. } = draft;
        if changes.len() > self.changes {
            let (services, names) = (&touched[self.touched..], &touched_names[self.names..]);
            self.moved.extend(publisher.prepare(&draft.state.snapshot, services, names));
            (self.changes, self.touched, self.names) = (changes.len(), touched.len(), touched_names.len());
        }
    }
}

/// What is under way.
pub(super) struct Pipeline {
    jobs: SyncSender<Job>,
    done: Receiver<Done>,
    thread: JoinHandle<()>,
    /// The store has it.
    storing: Option<(Group, Vec<(Name, ZoneRow)>)>,
    waiting: Option<Group>,
    /// Commands that are judged again as soon as the waiting group has room; all others come behind them.
    again: VecDeque<Vec<Request>>,
}

struct Job {
    store: Arc<dyn Store>,
    batch: Batch,
}

struct Done {
    batch: Batch,
    result: Result<(), StoreError>,
    took: Duration,
}

impl Pipeline {
    /// Starts the store's thread, which calls `wake` each time that it is done. It ends with the pipeline.
    pub(super) fn start(clock: Arc<dyn Clock>, wake: impl Fn() + Send + 'static) -> Self {
        let (jobs, taken) = sync_channel::<Job>(1);
        let (tell, done) = sync_channel(1);
        let work = move || {
            while let Ok(Job { store, batch }) = taken.recv() {
                let started = clock.monotonic();
                let result = store.commit(&batch);
                let took = clock.monotonic().saturating_sub(started);
                if tell.send(Done { batch, result, took }).is_err() {
                    break;
                }
                wake();
            }
        };
        let thread = std::thread::Builder::new().name("store".into());
        let thread = thread.spawn(work).expect("the system starts a thread at our start");
        Self { jobs, done, thread, storing: None, waiting: None, again: VecDeque::new() }
    }

    /// The state after everything that is under way.
    fn state(&self) -> Option<&State> {
        let storing = self.storing.as_ref().map(|(group, _)| group);
        self.waiting.as_ref().or(storing).map(|group| &group.commit.state)
    }

    fn is_full(&self) -> bool {
        self.is_judging_again() || self.waiting.as_ref().is_some_and(Group::is_full)
    }

    /// Whether commands wait for being judged again.
    pub(super) fn is_judging_again(&self) -> bool {
        !self.again.is_empty()
    }

    /// Takes the waiting group away.
    pub(super) fn take_waiting(&mut self) -> Option<Group> {
        self.waiting.take()
    }

    /// Puts commands that are to be judged again before all others.
    pub(super) fn put_first(&mut self, mut chunks: VecDeque<Vec<Request>>) {
        chunks.append(&mut self.again);
        self.again = chunks;
    }

    /// The commands that are to be judged again, if the waiting group has room.
    fn next_again(&mut self) -> Option<Vec<Request>> {
        match self.waiting.as_ref().is_some_and(Group::is_full) {
            true => None,
            false => self.again.pop_front(),
        }
    }

    /// How many lapses and timers may join the waiting group.
    fn room_for_lapses(&self) -> usize {
        match &self.waiting {
            _ if self.is_judging_again() => 0,
            Some(group) if group.is_full() => 0,
            Some(group) => MOST_LAPSES.saturating_sub(group.lapses()),
            None => MOST_LAPSES,
        }
    }

    /// What something under way is about.
    fn concerned(&self) -> HashSet<SubjectName<'_>> {
        let storing = self.storing.iter().map(|(group, _)| group);
        storing.chain(&self.waiting).flat_map(|group| &group.commit.effects).map(Effect::subject).collect()
    }

    fn is_idle(&self) -> bool {
        self.storing.is_none() && self.waiting.is_none() && self.again.is_empty()
    }

    fn join(&mut self, next: Group) {
        let group = self.waiting.get_or_insert_default();
        group.commit.extend(next.commit);
        group.compiled |= next.compiled;
        group.moved.extend(next.moved);
        group.judged.extend(next.judged);
        group.lapsing.extend(next.lapsing);
        group.expiring.extend(next.expiring);
    }
}

impl Writer {
    /// Whether the store has a batch.
    pub fn is_storing(&self) -> bool {
        self.pipeline.storing.is_some()
    }

    /// Runs commands in their order, behind what is under way; each is answered when what it changed is committed.
    pub(in super::super) fn take(&mut self, requests: Vec<Request>) {
        let mut group = Vec::new();
        for request in requests {
            if is_reload(&request.command) {
                self.take_group(std::mem::take(&mut group));
                self.settle();
                self.retry_for_command();
                let answer = self.reload(&request.command);
                request.answer(answer);
            } else {
                group.push(request);
            }
        }
        self.take_group(group);
    }

    /// Applies and compiles commands together behind what is under way.
    fn take_group(&mut self, requests: Vec<Request>) {
        if requests.is_empty() {
            return;
        }
        while self.pipeline.is_full() {
            self.await_store();
        }
        self.retry_for_command();
        self.hear();
        self.put_behind(requests);
    }

    /// Judges commands behind what is under way, or without the store if it is away.
    fn put_behind(&mut self, requests: Vec<Request>) {
        if self.is_writable() {
            let group = self.judge(Vec::new(), Vec::new(), requests);
            return self.join(group);
        }
        for request in requests {
            let answer = self.run_without_store(&request.command);
            request.answer(answer);
        }
    }

    /// Judges again what is to be judged again, as far as there is room.
    pub(super) fn refill(&mut self) {
        while let Some(requests) = self.pipeline.next_again() {
            self.put_behind(requests);
        }
    }

    /// How many lapses and timers may go into the next group.
    pub(super) fn room_for_lapses(&self) -> usize {
        self.pipeline.room_for_lapses()
    }

    /// Applies and compiles lapses behind what is under way. Those that something under way is about wait for it.
    pub(super) fn lapse_behind(&mut self, mut due: Vec<(Key, Subject)>) {
        if due.is_empty() {
            return;
        }
        let concerned = self.pipeline.concerned();
        let is_concerned = |(_, subject): &mut (Key, Subject)| concerned.contains(&subject.subject());
        self.delayed.extend(due.extract_if(.., is_concerned).map(|(key, _)| key));
        if !due.is_empty() {
            let group = self.judge(due, Vec::new(), Vec::new());
            self.join(group);
        }
    }

    /// Applies and compiles behind what is under way what an hour has brought about.
    pub(super) fn expire_behind(&mut self, due: Vec<Due>) {
        let group = self.judge(Vec::new(), due, Vec::new());
        self.join(group);
    }

    /// Puts a group behind what is under way; the store gets it at once if it has none.
    fn join(&mut self, group: Group) {
        self.pipeline.join(group);
        self.hand_over();
    }

    /// Publishes what the store has taken meanwhile, and gives it the next group.
    pub(in super::super) fn advance(&mut self) {
        if let Ok(done) = self.pipeline.done.try_recv() {
            self.finish(done);
        }
        self.hear();
    }

    /// Waits until nothing is under way.
    pub fn settle(&mut self) {
        while !self.pipeline.is_idle() {
            self.await_store();
        }
    }

    /// A working copy of the state after everything that is under way.
    fn draft_ahead(&self) -> Draft {
        let state = self.pipeline.state().unwrap_or(&self.state).clone();
        Draft::new(self.shared.clone(), self.statics.clone(), state)
    }

    /// Whether the fleet's lapses are held, as far as is under way.
    pub(super) fn is_fleet_held_ahead(&self) -> bool {
        self.pipeline.state().unwrap_or(&self.state).snapshot.fleet_hold.is_some()
    }

    /// Ends the store's thread when nothing is under way any more.
    pub(in super::super) fn end(mut self) {
        self.settle();
        let Pipeline { jobs, thread, .. } = self.pipeline;
        drop(jobs);
        let _ = thread.join(); // had it panicked, this thread would have too
    }

    fn judge(&mut self, lapsing: Vec<(Key, Subject)>, expiring: Vec<Due>, requests: Vec<Request>) -> Group {
        let mut draft = self.draft_ahead();
        lapsing.iter().for_each(|(_, subject)| lapse(&mut draft, subject));
        expire(&mut draft, &expiring);
        let (mut judged, mut compiled) = (Vec::with_capacity(requests.len()), Compiled::default());
        for request in requests {
            if needs_view(&request.command) {
                compiled.follow(&draft, &mut *self.publisher);
            }
            let answer = apply(&mut draft, &*self.publisher, &request.command);
            judged.push((request, answer));
        }
        compiled.follow(&draft, &mut *self.publisher);
        let Compiled { changes, moved, .. } = compiled;
        Group { commit: draft.into(), compiled: changes > 0, moved, judged, lapsing, expiring }
    }

    /// Seals the leases of a group that goes to the store. As long as one of them has been renewed since, the group is
    /// judged again without its lapse.
    fn seal(&mut self, mut group: Group) -> Group {
        loop {
            let renewed = self.shared.leases.seal(&group.keys());
            if renewed.is_empty() {
                return group;
            }
            if group.is_compiled() {
                self.publisher.discard();
            }
            group.lapsing.retain(|(key, _)| !renewed.contains(key));
            let requests = group.judged.into_iter().map(|(request, _)| request).collect();
            group = self.judge(group.lapsing, group.expiring, requests);
        }
    }

    /// Gives the waiting group to the store, if that has none. A group that changes nothing needs no store.
    fn hand_over(&mut self) {
        if self.is_storing() {
            return;
        }
        let Some(group) = self.pipeline.waiting.take() else { return };
        let mut group = self.seal(group);
        if group.commit.changes.is_empty() && group.commit.writes.is_empty() {
            self.adopt_beats(group.commit.state, group.commit.effects);
            self.out.extend(self.delayed.drain(..));
            return answer_all(group.judged);
        }
        // Who counts a lease shows nowhere: then there is nothing to close, and nothing to publish.
        if group.compiled {
            self.publisher.close();
        }
        let moved = std::mem::take(&mut group.moved);
        let moved: Vec<(Name, ZoneRow)> = moved.into_iter().map(|(name, at)| self.moved(name, at)).collect();
        let mut writes = std::mem::take(&mut group.commit.writes);
        let rows = self.owed.iter().chain(moved.iter().map(|(name, row)| (name, row)));
        writes.extend(rows.map(|(name, row)| Write::Zone(name.clone(), row.clone())));
        let changes = std::mem::take(&mut group.commit.changes);
        let batch = Batch { expected: self.state.snapshot.revision, writes, changes };
        let store = self.opened_store();
        self.pipeline.storing = Some((group, moved));
        self.pipeline.jobs.send(Job { store, batch }).expect("the store's thread lives as long as the pipeline");
    }

    /// Waits for the store; only while something is under way.
    fn await_store(&mut self) {
        if self.is_storing() {
            let done = self.pipeline.done.recv().expect("the store's thread lives as long as the pipeline");
            self.finish(done);
        } else {
            self.hand_over();
            self.refill();
        }
    }

    fn finish(&mut self, done: Done) {
        let Some((group, moved)) = self.pipeline.storing.take() else { return };
        match done.result {
            Ok(()) => {
                let changes = self.stored(done.batch.changes, done.took);
                if group.compiled {
                    self.publisher.publish();
                }
                self.zones.extend(moved);
                self.owed.clear();
                self.fleet.count(self.shared.leases.clock(), group.lapsing.len());
                let before = self.adopt(group.commit, changes);
                self.out.extend(self.delayed.drain(..));
                self.hear();
                // The store has work again before anything else is done.
                self.hand_over();
                self.refill();
                answer_all(group.judged);
                drop(before);
            }
            Err(conflict @ StoreError::Conflict { .. }) if self.bell.is_there() => self.lose_race(group, conflict),
            Err(error) => self.fail(group, &error),
        }
    }

    /// The store did not take a group: nothing of it, and of what waits behind it, has happened.
    fn fail(&mut self, group: Group, error: &StoreError) {
        let waiting = self.pipeline.waiting.take();
        if group.compiled || waiting.as_ref().is_some_and(Group::is_compiled) {
            self.publisher.discard();
        }
        self.lose_store(error);
        self.out.extend(self.delayed.drain(..));
        for group in std::iter::once(group).chain(waiting) {
            self.shared.leases.unseal(&group.keys());
            self.timers.put_back(group.expiring);
            for (request, _) in group.judged {
                let answer = self.run_without_store(&request.command);
                request.answer(answer);
            }
        }
        self.refill();
    }
}

/// How many changes a command makes, about.
pub(in super::super) fn changes_of(command: &Command) -> usize {
    match &command.action {
        Action::SetSession { set, .. } => set.instances.len().max(1),
        _ => 1,
    }
}

fn answer_all(judged: Vec<(Request, Answer)>) {
    judged.into_iter().for_each(|(request, answer)| request.answer(answer));
}
