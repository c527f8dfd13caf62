//! A server without its edges: a registry that the test runs, and the view that it publishes.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use zonebeat::model::clock::{Clock, ManualClock};
use zonebeat::model::naming::Naming;
use zonebeat::model::{Name, Record, Refusal, Revision, Rtype, Timestamp};
use zonebeat::registry::update::Look;
use zonebeat::registry::writer::Writer;
use zonebeat::registry::{
    Action, Command, Outcome, Publisher, Registry, Snapshot, StaticNames, Store, Touched, TouchedName, ZoneRow,
};
use zonebeat::view::{Compiler, ServerFacts, Spare, View, ZoneSource};

use super::cases::{self, zone};
use super::dump::dump;
use super::shared::{Handle, Shared};

/// What a server shows.
pub struct Screen {
    pub view: View,
    pub stale: bool,
    /// What the next reload reads.
    pub files: Compiler,
    /// The serials that the zone has had, with a hash of what it had then.
    pub shown: Vec<(u32, u64)>,
}

struct Prepared {
    view: View,
    shows: Snapshot,
    compiler: Option<Compiler>,
}

/// Compiles as the server's publisher does.
struct Viewer {
    compiler: Compiler,
    screen: Arc<Mutex<Screen>>,
    shown: Snapshot,
    closed: Option<Prepared>,
    prepared: Option<Prepared>,
    spare: Spare,
}

/// Zone files with a text in them.
pub fn files(text: u8) -> Compiler {
    let apex = zone();
    let mut soa = [apex.as_wire(), apex.as_wire()].concat();
    soa.extend([0u32, 3600, 600, 86400, 5].iter().flat_map(|number| number.to_be_bytes()));
    let record = |rtype, rdata: Vec<u8>| Record { owner: apex.clone(), rtype, ttl: 300, rdata: rdata.into() };
    let records = vec![record(Rtype::SOA, soa), record(Rtype::TXT, vec![1, text])];
    let source =
        ZoneSource { apex, records, registrations: true, reverse: false, updates: true, ttl: 30, readable: true };
    Compiler::new(vec![source], Naming::plain(), ServerFacts::default(), 7)
}

impl Viewer {
    fn full(&mut self, snapshot: &Snapshot, changed: &[(Name, Revision)], compiler: Option<Compiler>) {
        let view = compiler.as_ref().unwrap_or(&self.compiler).full(snapshot, changed);
        self.prepared = Some(Prepared { view, shows: snapshot.clone(), compiler });
    }
}

impl Look for Viewer {}

impl Publisher for Viewer {
    fn load(&mut self, snapshot: &Snapshot, zones: &[(Name, ZoneRow)]) -> Vec<(Name, String)> {
        let changed: Vec<_> = zones.iter().map(|(name, row)| (name.clone(), row.changed)).collect();
        self.full(snapshot, &changed, None);
        self.compiler.bases()
    }

    fn reload(&mut self, snapshot: &Snapshot) -> Vec<(Name, String)> {
        let (files, changed) = {
            let screen = self.screen.lock().unwrap();
            (screen.files.clone(), screen.view.zones.iter().map(|zone| (zone.apex.clone(), zone.changed())).collect())
        };
        let changed: Vec<_> = changed;
        let bases = files.bases();
        self.full(snapshot, &changed, Some(files));
        bases
    }

    fn mark(&mut self, zones: &[(Name, Revision)]) {
        self.prepared.as_mut().expect("mark needs something compiled").view.mark(zones);
    }

    fn prepare(&mut self, after: &Snapshot, touched: &[Touched], names: &[TouchedName]) -> Vec<(Name, Revision)> {
        let (view, shows, compiler) = match (self.prepared.take(), &self.closed) {
            (Some(last), _) => (last.view, last.shows, last.compiler),
            (None, Some(last)) => (last.view.clone(), last.shows.clone(), None),
            (None, None) => (self.screen.lock().unwrap().view.clone(), self.shown.clone(), None),
        };
        let by = compiler.as_ref().unwrap_or(&self.compiler);
        let (view, moved) = by.update_own(view, &shows, after, (touched, names), &mut self.spare);
        self.prepared = Some(Prepared { view, shows: after.clone(), compiler });
        moved
    }

    fn close(&mut self) {
        assert!(self.closed.is_none(), "closed twice");
        self.closed = Some(self.prepared.take().expect("close needs something compiled"));
    }

    fn publish(&mut self) {
        let prepared = self.closed.take().or_else(|| self.prepared.take()).expect("publish needs something compiled");
        if let Some(compiler) = prepared.compiler {
            self.compiler = compiler;
        }
        let mut screen = self.screen.lock().unwrap();
        (screen.view, self.shown) = (prepared.view, prepared.shows);
        let serial = screen.view.zones[0].serial.0;
        // Why a name is empty is answered and not transferred.
        let lines = dump(&screen.view).into_iter().filter(|line| !line.contains(" note "));
        let content = BuildHasherDefault::<DefaultHasher>::default().hash_one(lines.collect::<Vec<_>>());
        screen.shown.push((serial, content));
    }

    fn discard(&mut self) {
        let dropped = (self.closed.take(), self.prepared.take());
        assert!(dropped.0.is_some() || dropped.1.is_some(), "discard needs something compiled");
        self.spare = Spare::default();
    }

    fn set_stale(&mut self, stale: bool) {
        self.screen.lock().unwrap().stale = stale;
    }
}

struct NoStatics;

impl StaticNames for NoStatics {
    fn holder(&self, _name: &[u8]) -> Option<String> {
        None
    }
}

/// An answer that may still come.
pub type Answered = oneshot::Receiver<Result<Outcome, Refusal>>;

/// One of several servers.
pub struct Server {
    pub handle: Arc<Handle>,
    pub screen: Arc<Mutex<Screen>>,
    pub registry: Registry,
    pub writer: Writer,
    pub clock: Arc<ManualClock>,
}

impl Server {
    /// A server that has not opened its store.
    pub fn unopened(shared: &Arc<Shared>, guarded: bool) -> Self {
        Self::assemble(shared, guarded, b'a')
    }

    /// The same with other zone files.
    pub fn unopened_with(shared: &Arc<Shared>, text: u8) -> Self {
        Self::assemble(shared, false, text)
    }

    fn assemble(shared: &Arc<Shared>, guarded: bool, text: u8) -> Self {
        let handle = shared.handle();
        let clock = Arc::new(ManualClock::new(Timestamp(1_790_000_000_000)));
        let compiler = files(text);
        let view = compiler.unready();
        let screen = Screen { view, stale: false, files: compiler.clone(), shown: Vec::new() };
        let screen = Arc::new(Mutex::new(screen));
        let publisher = Viewer {
            compiler,
            screen: screen.clone(),
            shown: Snapshot::default(),
            closed: None,
            prepared: None,
            spare: Spare::default(),
        };
        let opened = handle.clone();
        let mut options = cases::options();
        if guarded {
            options.guard = zonebeat::registry::guard::Limits { least: 3, ..Default::default() };
        }
        let (registry, writer, _queue) = Registry::assemble(
            options,
            Box::new(move || Ok(opened.clone() as Arc<dyn Store>)),
            Box::new(publisher),
            Arc::new(NoStatics),
            clock.clone(),
            Arc::new(()),
        );
        Self { handle, screen, registry, writer, clock }
    }

    /// A server that has.
    pub fn start(shared: &Arc<Shared>) -> Self {
        let mut server = Self::unopened(shared, false);
        server.tick();
        server
    }

    /// The same with a guard that holds the fleet from three sessions on.
    pub fn start_guarded(shared: &Arc<Shared>) -> Self {
        let mut server = Self::unopened(shared, true);
        server.tick();
        server
    }

    pub fn tick(&mut self) {
        self.writer.tick();
        self.writer.settle();
    }

    /// Hands a command over; what it says in history is its reason.
    pub fn take(&mut self, reason: &str, action: Action) -> Answered {
        let command = Command { reason: reason.into(), ..cases::command(&cases::anonymous(), action) };
        self.writer.take_batch(&[command]).remove(0)
    }

    pub fn run(&mut self, action: Action) -> Result<Outcome, Refusal> {
        let mut answered = self.take("", action);
        self.writer.settle();
        answered.try_recv().expect("it is answered")
    }

    /// Reads the zone files again.
    pub fn reload(&mut self, text: u8) -> Result<Outcome, Refusal> {
        self.screen.lock().unwrap().files = files(text);
        self.run(Action::ReloadStatics)
    }

    pub fn serial(&self) -> u32 {
        self.screen.lock().unwrap().view.zones[0].serial.0
    }

    /// The serials that the zone has had, with a hash of what it had then.
    pub fn shown(&self) -> Vec<(u32, u64)> {
        self.screen.lock().unwrap().shown.clone()
    }

    /// Everything that is answered.
    pub fn dump(&self) -> Vec<String> {
        dump(&self.screen.lock().unwrap().view)
    }

    pub fn pass(&mut self, time: Duration) {
        self.clock.advance(time);
        self.tick();
    }

    pub fn is_serving(&self, service: &str, id: &str) -> bool {
        let snapshot = self.registry.snapshot();
        let found = snapshot.service(service).and_then(|service| service.instance(id));
        found.is_some_and(|instance| instance.is_serving())
    }

    /// Fails unless the view is that of a full compile of the snapshot.
    pub fn assert_shown(&self, text: u8) {
        let full = files(text).full(&self.registry.snapshot(), &[]);
        assert_eq!(self.dump(), dump(&full));
    }

    pub fn now(&self) -> Timestamp {
        self.clock.wall()
    }
}

/// Fails unless these servers, and one that starts now, know and answer the same.
pub fn assert_same(shared: &Arc<Shared>, servers: &[Server]) {
    assert_same_with(shared, servers, b'a');
}

/// The same where zone files have another text.
pub fn assert_same_with(shared: &Arc<Shared>, servers: &[Server], text: u8) {
    let mut fresh = Server::unopened_with(shared, text);
    fresh.tick();
    let (snapshot, census) = (fresh.registry.snapshot(), fresh.registry.census());
    for server in servers {
        let found = server.registry.snapshot();
        assert!(server.handle.is_at_the_end());
        assert_eq!(found.revision, snapshot.revision);
        assert_eq!(found.services, snapshot.services);
        assert_eq!((&found.tokens, &found.written), (&snapshot.tokens, &snapshot.written));
        assert_eq!(found.held, snapshot.held);
        let census_of = |census: zonebeat::registry::Census| (census.services, census.unowned, census.states);
        assert_eq!(census_of(server.registry.census()), census_of(census));
        assert_eq!(server.serial(), fresh.serial());
        assert_eq!(server.dump(), fresh.dump());
    }
}
