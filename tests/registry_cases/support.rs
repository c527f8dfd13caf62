//! A registry whose time, store and publisher the tests hold in their hands.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use zonebeat::model::api::{Registration, SessionInstance, SessionSet};
use zonebeat::model::clock::{Clock, ManualClock};
use zonebeat::model::naming::Naming;
use zonebeat::model::service::ServiceRow;
use zonebeat::model::{
    Change, Declaration, Instance, Name, PackedInstance, Principal, Refusal, Revision, Scope, Service, SessionRow,
    Timestamp, Token, Word, Written,
};
use zonebeat::registry::snapshot::{Snapshot, Touched, TouchedName};
use zonebeat::registry::store::{Batch, Load, Page, Store, StoreError, Write, ZoneRow};
use zonebeat::registry::update::Look;
use zonebeat::registry::writer::Writer;
use zonebeat::registry::{Action, Beaten, Command, Options, Outcome, Publisher, Registry, StaticNames};
use zonebeat::security::Policy;

pub(crate) const ZONE: &str = "sd.example.org";

pub(crate) type Hook = Box<dyn FnMut() + Send>;

/// A store in memory: what a real one keeps, and a switch that makes it fail.
#[derive(Default)]
pub(crate) struct MemoryStore {
    rows: Mutex<Rows>,
    pub(crate) failing: AtomicBool,
    pub(crate) commits: AtomicUsize,
    pub(crate) reopened: AtomicUsize,
    pub(crate) during_commit: Mutex<Option<Hook>>,
}

#[derive(Default)]
struct Rows {
    revision: Revision,
    services: BTreeMap<Arc<str>, ServiceRow>,
    instances: BTreeMap<(Arc<str>, Box<str>), Arc<Instance>>,
    tokens: BTreeMap<Arc<str>, Arc<Token>>,
    zones: BTreeMap<Name, ZoneRow>,
    records: BTreeMap<(Name, Name), Written>,
    sessions: BTreeMap<Arc<str>, SessionRow>,
    history: Vec<Change>,
}

impl MemoryStore {
    pub(crate) fn fail(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }

    fn check(&self) -> Result<(), StoreError> {
        match self.failing.load(Ordering::SeqCst) {
            false => Ok(()),
            true => Err(StoreError::Write { path: "memory".into(), source: "the disk is full".into() }),
        }
    }

    pub(crate) fn history_now(&self) -> Vec<Change> {
        self.rows.lock().unwrap().history.clone()
    }

    pub(crate) fn zone(&self) -> ZoneRow {
        self.rows.lock().unwrap().zones.get(&zone()).cloned().unwrap_or_default()
    }
}

impl Store for MemoryStore {
    fn read(&self, into: &mut dyn Load) -> Result<(), StoreError> {
        self.check()?;
        let rows = self.rows.lock().unwrap();
        into.revision(rows.revision);
        rows.services.iter().for_each(|(name, row)| into.service(name, row.clone()));
        let mut packed = Vec::new();
        for ((service, _), row) in &rows.instances {
            into.instance(service, PackedInstance::new(row, &mut packed));
        }
        rows.tokens.values().for_each(|token| into.token((**token).clone()));
        rows.zones.iter().for_each(|(name, row)| into.zone(name.clone(), row.clone()));
        let records = rows.records.iter();
        records.for_each(|((zone, name), row)| into.records(zone.clone(), name.clone(), row.clone()));
        rows.sessions.iter().for_each(|(name, row)| into.session(name, row.clone()));
        Ok(())
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        if let Some(hook) = &mut *self.during_commit.lock().unwrap() {
            hook();
        }
        self.check()?;
        let mut rows = self.rows.lock().unwrap();
        if batch.expected != rows.revision {
            return Err(StoreError::Conflict { expected: batch.expected, found: rows.revision });
        }
        self.commits.fetch_add(1, Ordering::SeqCst);
        for write in &batch.writes {
            match write.clone() {
                Write::Instance(service, instance) => {
                    drop(rows.instances.insert((service, instance.id.clone()), instance));
                }
                Write::RemoveInstance(service, id) => drop(rows.instances.remove(&(service, id))),
                Write::Service(service, row) => drop(rows.services.insert(service, row)),
                Write::RemoveService(service) => drop(rows.services.remove(&service)),
                Write::Token(token) => drop(rows.tokens.insert(token.id.clone(), token)),
                Write::RemoveToken(id) => drop(rows.tokens.remove(&id)),
                Write::Zone(name, row) => drop(rows.zones.insert(name, row)),
                Write::Records(zone, name, Some(row)) => drop(rows.records.insert((zone, name), (*row).clone())),
                Write::Records(zone, name, None) => drop(rows.records.remove(&(zone, name))),
                Write::Session(name, Some(row)) => drop(rows.sessions.insert(name, row)),
                Write::Session(name, None) => drop(rows.sessions.remove(&name)),
            }
        }
        for change in &batch.changes {
            assert_eq!(change.revision, rows.revision.next(), "revisions count up by one");
            rows.revision = change.revision;
            rows.history.push(change.clone());
        }
        Ok(())
    }

    fn reopen(&self) -> Result<(), StoreError> {
        self.reopened.fetch_add(1, Ordering::SeqCst);
        self.check()
    }

    fn history(&self, since: Revision, limit: usize) -> Result<Page, StoreError> {
        let rows = self.rows.lock().unwrap();
        let changes: Vec<_> = rows.history.iter().filter(|c| c.revision > since).take(limit).cloned().collect();
        let more = changes.last().is_some_and(|last| last.revision < rows.revision);
        let oldest = rows.history.first().map(|change| change.revision).unwrap_or_default();
        Ok(Page { changes, more, oldest })
    }

    fn change(&self, revision: Revision) -> Result<Option<Change>, StoreError> {
        Ok(self.rows.lock().unwrap().history.iter().find(|change| change.revision == revision).cloned())
    }

    fn prune(&self, before: Timestamp, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let mut rows = self.rows.lock().unwrap();
        let recent = |change: &&Change| (before..=now).contains(&change.time);
        let head: Vec<_> = rows.history.iter().take(limit).take_while(|change| !recent(change)).collect();
        let old = head.iter().rposition(|change| change.time < before).map_or(0, |last| last + 1);
        rows.history.drain(..old);
        Ok(old)
    }
}

/// What the publisher was told, in words.
#[derive(Default)]
pub(crate) struct Stage {
    pub(crate) calls: Vec<String>,
    pub(crate) published: Option<Snapshot>,
    pub(crate) stale: bool,
    pub(crate) hash: String,
    pub(crate) during_prepare: Option<Hook>,
    pub(crate) before_publish: Option<Hook>,
    compiled: Option<Snapshot>,
    closed: Option<Snapshot>,
}

pub(crate) struct Recorder(pub(crate) Arc<Mutex<Stage>>);

impl Look for Recorder {}

impl Publisher for Recorder {
    fn load(&mut self, snapshot: &Snapshot, _zones: &[(Name, ZoneRow)]) -> Vec<(Name, String)> {
        let mut stage = self.0.lock().unwrap();
        stage.calls.push("load".into());
        stage.compiled = Some(snapshot.clone());
        vec![(zone(), stage.hash.clone())]
    }

    fn reload(&mut self, snapshot: &Snapshot) -> Vec<(Name, String)> {
        let mut stage = self.0.lock().unwrap();
        stage.calls.push("reload".into());
        stage.compiled = Some(snapshot.clone());
        vec![(zone(), stage.hash.clone())]
    }

    fn mark(&mut self, zones: &[(Name, Revision)]) {
        let mut stage = self.0.lock().unwrap();
        assert!(stage.compiled.is_some(), "mark needs something compiled");
        stage.calls.push(format!("mark {}", zones[0].1));
    }

    fn prepare(&mut self, after: &Snapshot, touched: &[Touched], names: &[TouchedName]) -> Vec<(Name, Revision)> {
        let mut stage = self.0.lock().unwrap();
        stage.compiled = Some(after.clone());
        stage.calls.push("prepare".into());
        let hook = stage.during_prepare.take();
        drop(stage);
        if let Some(mut hook) = hook {
            hook();
        }
        let services = touched.iter().map(|touched| touched.revision);
        let last = services.chain(names.iter().map(|touched| touched.revision)).max();
        last.map(|revision| (zone(), revision)).into_iter().collect()
    }

    fn close(&mut self) {
        let mut stage = self.0.lock().unwrap();
        assert!(stage.closed.is_none(), "closed twice");
        stage.closed = Some(stage.compiled.take().expect("close needs something compiled"));
        stage.calls.push("close".into());
    }

    fn publish(&mut self) {
        let hook = self.0.lock().unwrap().before_publish.take();
        if let Some(mut hook) = hook {
            hook();
        }
        let mut stage = self.0.lock().unwrap();
        let compiled = stage.closed.take().or_else(|| stage.compiled.take()).expect("publish needs something compiled");
        stage.published = Some(compiled);
        stage.calls.push("publish".into());
    }

    fn discard(&mut self) {
        let mut stage = self.0.lock().unwrap();
        let dropped = (stage.closed.take(), stage.compiled.take());
        assert!(dropped.0.is_some() || dropped.1.is_some(), "discard needs something compiled");
        stage.calls.push("discard".into());
    }

    fn set_stale(&mut self, stale: bool) {
        let mut stage = self.0.lock().unwrap();
        stage.stale = stale;
        stage.calls.push(format!("stale {stale}"));
    }
}

/// Static names: a name and where it stands.
#[derive(Default)]
pub(crate) struct Statics(pub(crate) Mutex<BTreeMap<Name, String>>);

impl StaticNames for Statics {
    fn holder(&self, name: &[u8]) -> Option<String> {
        self.0.lock().unwrap().get(&Name::from_wire(name).unwrap()).cloned()
    }
}

/// A registry, not started: the test is the writer's thread. The store has its own, which the test waits for.
pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) stage: Arc<Mutex<Stage>>,
    pub(crate) statics: Arc<Statics>,
    pub(crate) openable: Arc<AtomicBool>,
    pub(crate) registry: Registry,
    pub(crate) writer: Writer,
    pub(crate) options: Options,
}

pub(crate) fn zone() -> Name {
    ZONE.parse().unwrap()
}

pub(crate) fn options() -> Options {
    Options {
        zones: vec![zone()],
        naming: Naming::plain(),
        policy: Policy::default(),
        history: Duration::from_secs(7 * 24 * 3600),
        servers: Vec::new(),
        ttl: 30,
        guard: zonebeat::registry::guard::Limits::off(),
    }
}

/// A caller on the server's own machine.
pub(crate) fn anonymous() -> Principal {
    Principal::Anonymous("127.0.0.1:4000".parse().unwrap())
}

pub(crate) fn with(token: &Arc<Token>) -> Principal {
    Principal::Token { token: token.clone(), peer: "192.0.2.77:4000".parse().unwrap() }
}

pub(crate) fn token(id: &str, scope: Scope) -> Arc<Token> {
    Arc::new(Token { id: id.into(), name: format!("squad-{id}"), hash: "00".into(), scope, created: Timestamp(0) })
}

pub(crate) fn admin() -> Scope {
    Scope { admin: true, ..Scope::default() }
}

/// The registration that most tests use.
pub(crate) fn facts() -> Registration {
    Registration { port: 8080, addresses: Some(vec!["192.0.2.7".into()]), ..Registration::default() }
}

pub(crate) fn at_site(site: &str) -> Registration {
    Registration { site: Some(site.into()), ..facts() }
}

pub(crate) fn command(principal: &Principal, action: Action) -> Command {
    Command { principal: principal.clone(), reason: String::new(), action }
}

pub(crate) fn register(service: &str, id: &str, registration: Registration) -> Action {
    Action::Register { service: service.into(), id: id.into(), registration }
}

pub(crate) fn deregister(service: &str, id: &str, incarnation: Option<u64>) -> Action {
    Action::Deregister { service: service.into(), id: id.into(), incarnation, force: false }
}

pub(crate) fn bring_back(service: &str, id: &str, incarnation: Option<u64>) -> Action {
    Action::Return { service: service.into(), id: id.into(), incarnation }
}

pub(crate) fn declare(service: &str) -> Action {
    let declaration = Declaration { owner: Some("squad-search".into()), ..Declaration::default() };
    Action::Declare { service: service.into(), declaration }
}

pub(crate) fn session_set(session: &str, epoch: &str, members: &[(&str, &str, Registration)]) -> Action {
    let instances = members.iter().map(|(service, id, registration)| SessionInstance {
        service: (*service).into(),
        id: (*id).into(),
        registration: registration.clone(),
    });
    let set = SessionSet { epoch: epoch.into(), sequence: None, lease_seconds: None, instances: instances.collect() };
    Action::SetSession { session: session.into(), set }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(options())
    }

    pub(crate) fn with(options: Options) -> Self {
        let mut world = Self::unopened(options, Arc::default());
        world.tick();
        world
    }

    /// Another server life on the same store.
    pub(crate) fn restart(&self) -> Self {
        let mut world = Self::unopened(self.options.clone(), self.store.clone());
        world.clock.advance(Duration::from_secs(10));
        world.tick();
        world
    }

    /// The same, at another time by the wall clock.
    pub(crate) fn restart_at(&self, wall: Timestamp) -> Self {
        let mut world = Self::unopened(self.options.clone(), self.store.clone());
        world.clock.set_wall(wall);
        world.tick();
        world
    }

    pub(crate) fn unopened(options: Options, store: Arc<MemoryStore>) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp(1_790_000_000_000)));
        let stage = Arc::new(Mutex::new(Stage { hash: "basis-1".into(), ..Stage::default() }));
        let statics = Arc::new(Statics::default());
        let openable = Arc::new(AtomicBool::new(true));
        let open = {
            let (store, openable) = (store.clone(), openable.clone());
            Box::new(move || match openable.load(Ordering::SeqCst) {
                true => Ok(store.clone() as Arc<dyn Store>),
                false => Err(StoreError::Locked("memory".into())),
            })
        };
        let publisher = Box::new(Recorder(stage.clone()));
        let (registry, writer, _queue) =
            Registry::assemble(options.clone(), open, publisher, statics.clone(), clock.clone(), Arc::new(()));
        Self { clock, store, stage, statics, openable, registry, writer, options }
    }

    /// One command of a caller on the server's own machine.
    pub(crate) fn run(&mut self, action: Action) -> Result<Outcome, Refusal> {
        self.run_as(&anonymous(), action)
    }

    pub(crate) fn run_as(&mut self, principal: &Principal, action: Action) -> Result<Outcome, Refusal> {
        let mut answers = self.writer.run_batch(&[command(principal, action)]);
        assert_eq!(answers.len(), 1);
        answers.remove(0)
    }

    /// Registers and returns the instance.
    pub(crate) fn register(&mut self, service: &str, id: &str, registration: Registration) -> Arc<Instance> {
        instance_of(self.run(register(service, id, registration)).expect("registered"))
    }

    pub(crate) fn refused(&mut self, action: Action) -> Word {
        let before = self.registry.snapshot().revision;
        let refusal = self.run(action).expect_err("refused");
        assert_eq!(self.registry.snapshot().revision, before, "a refused command changes nothing");
        assert!(refusal.detail.len() > 10, "{refusal}");
        refusal.word
    }

    /// What the writer does as time passes, and what the store makes of it.
    pub(crate) fn tick(&mut self) {
        self.writer.tick();
        self.writer.settle();
    }

    /// Lets time pass in ticks of 100 ms.
    pub(crate) fn wait(&mut self, seconds: f64) {
        self.wait_beating(seconds, &[]);
    }

    /// Lets time pass while these lone instances beat with every second.
    pub(crate) fn wait_beating(&mut self, seconds: f64, alive: &[(&str, &str)]) {
        for tick in 0..(seconds * 10.0).round() as usize {
            self.clock.advance(Duration::from_millis(100));
            self.tick();
            for (service, id) in alive.iter().filter(|_| tick % 10 == 0) {
                assert!(matches!(self.registry.beat(service, id, None), Beaten::Renewed { .. }), "{service}/{id}");
            }
        }
    }

    /// Lets hours pass in ticks of half a second, which is the most that the lease clock moves at once.
    pub(crate) fn wait_long(&mut self, seconds: u64) {
        for _ in 0..seconds * 2 {
            self.clock.advance(Duration::from_millis(500));
            self.tick();
        }
    }

    pub(crate) fn service(&self, name: &str) -> Option<Arc<Service>> {
        self.registry.snapshot().service(name).cloned()
    }

    pub(crate) fn instance(&self, service: &str, id: &str) -> Option<Arc<Instance>> {
        self.service(service)?.instance(id)
    }

    pub(crate) fn is_serving(&self, service: &str, id: &str) -> bool {
        self.instance(service, id).is_some_and(|instance| instance.is_serving())
    }

    /// The words of history, as `register search/a1`.
    pub(crate) fn story(&self) -> Vec<String> {
        let changes = self.store.history_now();
        let words = changes.iter().map(|change| match &change.instance {
            Some(id) => format!("{} {}/{id}", change.transition.as_str(), change.subject),
            None => format!("{} {}", change.transition.as_str(), change.subject),
        });
        words.filter(|word| !word.starts_with("static")).collect()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.wall()
    }

    /// What readers see, what is published and what a restart finds must be the same.
    pub(crate) fn assert_consistent(&self) {
        let snapshot = self.registry.snapshot();
        let stage = self.stage.lock().unwrap();
        let published = stage.published.as_ref().expect("published");
        assert_eq!(published.services, snapshot.services);
        drop(stage);
        let failing = self.store.failing.swap(false, Ordering::SeqCst);
        let after = self.restart();
        self.store.fail(failing);
        let restarted = after.registry.snapshot();
        assert_eq!(restarted.services, snapshot.services);
        assert_eq!(restarted.held, snapshot.held);
        assert_eq!(restarted.tokens, snapshot.tokens);
        assert_eq!(restarted.revision, snapshot.revision);
        let (mine, theirs) = (self.registry.census(), after.registry.census());
        assert_eq!(
            (mine.services, mine.serving(), mine.lapsed()),
            (theirs.services, theirs.serving(), theirs.lapsed())
        );
        assert_eq!(mine.unowned, theirs.unowned);
    }
}

pub(crate) fn instance_of(outcome: Outcome) -> Arc<Instance> {
    match outcome {
        Outcome::Instance { instance, .. } => instance,
        other => panic!("not an instance: {other:?}"),
    }
}

pub(crate) fn changed(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Instance { changed, .. } | Outcome::Applied { changed, .. } => *changed,
        Outcome::Session { .. } => panic!("a session's set does not say"),
        Outcome::Unmet(_) => panic!("an update's prerequisite does not say"),
    }
}
