//! The registry as the edges see it, and the thread that runs its writer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use tokio::sync::broadcast;

use super::lease::TICK;
use super::shared::Shared;
use super::store::About;
use super::store::backup::{BackupWriter, Summary};
use super::writer::{Request, Writer, changes_of};
use super::{Beaten, Census, Command, Health, Observer, Opener, Options, Outcome, Page, Publisher, Refused};
use super::{Snapshot, StaticNames, Store, StoreError};
use crate::model::{Change, Clock, Instance, Refusal, Revision, ServerNumber, Word};

/// Commands that may wait.
const QUEUE: usize = 4096;
/// Changes that one batch has, about.
const BATCH: usize = 1000;
/// How long commands are collected while the store is busy with others: one compilation for all of them.
const COLLECT: Duration = Duration::from_millis(2);

/// The registry as the edges see it: a handle, cheap to clone.
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
    queue: Arc<SyncSender<Message>>,
}

/// What wakes the writer.
enum Message {
    Command(Box<Request>),
    /// The store is done with a batch, or has news.
    Stored,
}

/// Commands that wait for the writer.
pub struct Queue(Receiver<Message>);

impl Registry {
    /// Starts the single writer on a thread of its own. `open` opens the store and is called again while it fails.
    ///
    /// The thread ends after [`Registry::stop`], or when the last handle is gone.
    pub fn start(
        options: Options,
        open: Opener,
        publisher: Box<dyn Publisher>,
        statics: Arc<dyn StaticNames>,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
    ) -> (Self, std::thread::JoinHandle<()>) {
        let (registry, writer, queue) = Self::assemble(options, open, publisher, statics, clock, observer);
        let thread = std::thread::Builder::new().name("registry".into());
        let handle = thread.spawn(move || run(writer, &queue)).expect("the system starts a thread at our start");
        (registry, handle)
    }

    /// Everything that `start` starts, but for the writer's thread: tests run the writer themselves.
    pub fn assemble(
        options: Options,
        open: Opener,
        publisher: Box<dyn Publisher>,
        statics: Arc<dyn StaticNames>,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
    ) -> (Self, Writer, Queue) {
        let shared = Arc::new(Shared::new(options, clock, observer));
        let (sender, receiver) = sync_channel(QUEUE);
        let queue = Arc::new(sender);
        let waker = Arc::downgrade(&queue);
        let wake = move || {
            if let Some(queue) = waker.upgrade() {
                let _ = queue.try_send(Message::Stored); // without room the writer is awake anyway
            }
        };
        let writer = Writer::new(shared.clone(), open, publisher, statics, wake);
        (Self { shared, queue }, writer, Queue(receiver))
    }

    /// Asks for a change; answers when it is durable and published.
    pub async fn submit(&self, command: Command) -> Result<Outcome, Refusal> {
        if self.shared.stopping.load(Ordering::Acquire) {
            return Err(self.gone());
        }
        let named = command.action.incarnation();
        let (request, answered) = Request::new(command);
        match self.queue.try_send(Message::Command(Box::new(request))) {
            Ok(()) => {
                let answer = answered.await.unwrap_or_else(|_| Err(self.gone()));
                if answer.as_ref().is_err_and(|refusal| refusal.word == Word::OldIncarnation) {
                    self.compare_with_store(named);
                }
                answer.inspect_err(|refusal| self.shared.refused.note(refusal, self.shared.clock.monotonic()))
            }
            Err(TrySendError::Full(_)) => {
                Err(Refusal::new(Word::Busy, format!("{QUEUE} requests are waiting already; try again in a second")))
            }
            Err(TrySendError::Disconnected(_)) => Err(self.gone()),
        }
    }

    /// Why nobody answers.
    fn gone(&self) -> Refusal {
        match self.shared.stopping.load(Ordering::Acquire) {
            true => Refusal::new(Word::NotReady, "the server is stopping; try another one"),
            false => Refusal::new(Word::Internal, "the registry's writer has ended by a fault; the log says why"),
        }
    }

    /// Beats for a lone instance. Takes no part in any commit.
    pub fn beat(&self, service: &str, id: &str, incarnation: Option<u64>) -> Beaten {
        let beaten = self.shared.leases.beat(service, id, incarnation);
        self.shared.observer.beat(beaten);
        if matches!(beaten, Beaten::Unknown | Beaten::OldIncarnation { .. }) {
            self.compare_with_store(incarnation);
        }
        beaten
    }

    /// An incarnation is the revision that made it: who names one that is still to come was told it by a store that
    /// this one is older than. Asked only of what is refused anyway.
    fn compare_with_store(&self, named: Option<u64>) {
        let here = self.shared.snapshot.load().revision;
        if let Some(named) = named.map(Revision).filter(|named| *named > here)
            && self.shared.health.load().loaded
        {
            self.shared.observer.went_back(named, here);
        }
    }

    /// Beats for a session.
    pub fn beat_session(&self, session: &str, epoch: &str, hash: Option<&str>) -> Beaten {
        let beaten = self.shared.leases.beat_session(session, epoch, hash);
        self.shared.observer.beat(beaten);
        beaten
    }

    /// Checks each service that a session has instances of: who may beat for it has to be allowed to write them.
    pub fn check_services<E>(&self, session: &str, check: impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        let session = self.shared.leases.known_session(session);
        session.iter().flat_map(|session| session.members.services()).try_for_each(check)
    }

    /// How long ago this server saw a beat for the instance.
    pub fn beat_age(&self, service: &str, id: &str) -> Option<Duration> {
        let leases = &self.shared.leases;
        let snapshot = self.shared.snapshot.load();
        let instance = snapshot.service(service).and_then(|service| service.instances.find(id));
        match instance.and_then(|instance| instance.session) {
            Some(session) => leases.beat_age_of_session(session),
            None => leases.beat_age(service, id),
        }
    }

    /// The attempts to register instances of a service that were refused within the last hour, with their age; the last
    /// one first.
    pub fn refused(&self, service: &str) -> Vec<(Refused, Duration)> {
        let now = self.shared.clock.monotonic();
        let found = self.shared.refused.of(service, now).into_iter();
        found.map(|refused| (now.saturating_sub(refused.at), refused)).map(|(age, refused)| (refused, age)).collect()
    }

    /// Whether the lease that an instance lives by is out while the fleet's lapses are held.
    pub fn is_fleet_held(&self, service: &str, instance: &Instance) -> bool {
        let leases = &self.shared.leases;
        let is_out = |service| match &instance.session {
            Some(session) => leases.is_session_out(session),
            None => leases.is_out(service, &instance.id),
        };
        instance.is_serving() && self.shared.snapshot.load().fleet_hold.is_some() && is_out(service)
    }

    /// The longest TTL that answers with an instance of a service may have been given: what the service declares, or
    /// what its zones have.
    pub fn longest_ttl(&self, service: &str) -> u32 {
        let snapshot = self.shared.snapshot.load();
        let declared = snapshot.service(service).and_then(|service| service.row.declaration.as_ref()?.ttl);
        declared.unwrap_or(self.shared.options.ttl)
    }

    /// The longest TTL of the instances of a session, which has to be known here.
    pub fn longest_ttl_of_session(&self, session: &str) -> u32 {
        let session = self.shared.leases.known_session(session);
        let services = session.iter().flat_map(|session| session.members.services());
        services.map(|service| self.longest_ttl(service)).max().unwrap_or(self.shared.options.ttl)
    }

    /// Service and id of each instance of a session, in their order; none if it is not known here.
    pub fn members_of_session(&self, session: &str) -> Option<Vec<(String, String)>> {
        let session = self.shared.leases.known_session(session)?;
        Some(session.members.iter().map(|(service, id, _)| (service.to_owned(), id.to_owned())).collect())
    }

    /// The published state.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot.load_full()
    }

    /// Changes as they are published, for live events.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Change>> {
        self.shared.events.subscribe()
    }

    /// Changes after `since`, oldest first; at most `limit`. Reads the disk off the async threads.
    pub async fn history(&self, since: Revision, limit: usize) -> Result<Page, Refusal> {
        self.read(move |store| store.history(since, limit)).await
    }

    /// One change, if history still has it.
    pub async fn change(&self, revision: Revision) -> Result<Option<Change>, Refusal> {
        self.read(move |store| store.change(revision)).await
    }

    /// Several changes in the order asked for, each if history still has it.
    pub async fn changes(&self, revisions: &[Revision]) -> Result<Vec<Option<Change>>, Refusal> {
        let revisions = revisions.to_vec();
        self.read(move |store| revisions.into_iter().map(|revision| store.change(revision)).collect()).await
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let Some(store) = self.shared.store() else {
            let trouble = self.health().trouble.unwrap_or_default();
            return Err(Refusal::new(Word::NotReady, format!("there is no history yet: {trouble}")));
        };
        match tokio::task::spawn_blocking(move || read(&*store)).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(Refusal::new(Word::StoreUnavailable, format!("history cannot be read: {error}"))),
            Err(error) => Err(Refusal::new(Word::Internal, format!("reading history failed: {error}"))),
        }
    }

    /// Writes everything of the store at one revision into `out`. Blocks for as long as that takes.
    pub fn back_up(&self, out: impl std::io::Write) -> Result<Summary, Refusal> {
        let failed = |why: &dyn std::fmt::Display| Refusal::new(Word::StoreUnavailable, format!("no backup: {why}"));
        let Some(store) = self.shared.store() else { return Err(failed(&"the store has not been opened")) };
        let mut backup = BackupWriter::new(out, &*store, self.shared.clock.wall());
        store.read_all(&mut backup).map_err(|error| failed(&error))?;
        backup.finish().map_err(|error| failed(&error))
    }

    /// What the store is; none before it could be opened.
    pub fn about_store(&self) -> Option<About> {
        self.shared.store().map(|store| store.about())
    }

    /// Whether there is data and whether writes are taken.
    pub fn health(&self) -> Health {
        (**self.shared.health.load()).clone()
    }

    /// Whether this server is cut off from the registry that it shares with others: it takes beats, and whoever can
    /// should beat to one that is not. Never where it is the only one.
    pub fn is_cut_off(&self) -> bool {
        !self.shared.servers().own().is_none() && !self.shared.health.load().writable
    }

    /// How many leases run by the server that counts them; none if there is only one server, and it is ours.
    pub fn sessions_by_server(&self) -> BTreeMap<ServerNumber, usize> {
        self.shared.leases.by_server()
    }

    /// Octets that the store has made durable, and has not yet brought into the form that it is read from.
    pub fn store_behind(&self) -> u64 {
        self.shared.store().map_or(0, |store| store.behind())
    }

    /// How many of what there are. Kept up to date by the writer; does not count anew.
    pub fn census(&self) -> Census {
        let (sessions, fleet_held) = (self.shared.leases.running(), self.shared.fleet_held());
        Census { sessions, fleet_held, ..**self.shared.census.load() }
    }

    /// When a client with this lease should beat next, in seconds: a third of it, ten per cent more or less.
    pub fn heartbeat_seconds(&self, lease_seconds: u32) -> f64 {
        let seconds = f64::from(lease_seconds) / 3.0 * (0.9 + 0.2 * self.shared.random());
        (seconds * 1000.0).round() / 1000.0
    }

    /// The configuration that the registry works with.
    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    /// Finishes what is queued, commits it and stops the writer; does not wait for it. Later commands are refused.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Release);
    }
}

/// The writer's thread: batches as commands come, ticks as time passes, until it is told to stop.
fn run(mut writer: Writer, queue: &Queue) {
    writer.tick();
    let mut next = Instant::now() + TICK;
    loop {
        let wait = if writer.is_behind() { Duration::ZERO } else { next.saturating_duration_since(Instant::now()) };
        let gone = match queue.0.recv_timeout(wait) {
            Ok(Message::Command(first)) => {
                let window = if writer.is_storing() { COLLECT } else { Duration::ZERO };
                let requests = gather(*first, queue, window);
                writer.advance();
                writer.take(requests);
                false
            }
            Ok(Message::Stored) | Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => true,
        };
        writer.advance();
        if gone || writer.is_stopping() {
            drain(&mut writer, queue);
            return writer.end();
        }
        if writer.is_behind() || Instant::now() >= next {
            writer.tick();
            next = Instant::now() + TICK;
        }
    }
}

/// What waits and what comes within the window, up to one batch; ends when the store is done.
fn gather(first: Request, queue: &Queue, window: Duration) -> Vec<Request> {
    let until = Instant::now() + window;
    let mut changes = changes_of(&first.command);
    let mut requests = vec![first];
    while changes < BATCH {
        let next = match window.is_zero() {
            true => queue.0.try_recv().ok(),
            false => queue.0.recv_timeout(until.saturating_duration_since(Instant::now())).ok(),
        };
        let Some(Message::Command(request)) = next else { break };
        changes += changes_of(&request.command);
        requests.push(*request);
    }
    requests
}

fn drain(writer: &mut Writer, queue: &Queue) {
    while let Ok(message) = queue.0.try_recv() {
        if let Message::Command(first) = message {
            writer.take(gather(*first, queue, Duration::ZERO));
        }
    }
}
