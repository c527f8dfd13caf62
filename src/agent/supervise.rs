//! The agent: it owns the tasks of a session, its checks, its sources and its socket, and stops them in order.
//!
//! What it holds: the roster of instances, the sources that plan them (or a plan that never changes), and the phase:
//!
//! ```text
//!   running --stop--> draining: everything out, until caches have forgotten --> leaving: deregister --> done
//!      |                                                                           ^                      ^
//!      +--------------------------------- leave at once ---------------------------+                      |
//!      +--------------------------------- hand over: everything stays as it is ---------------------------+
//! ```
//!
//! An agent with a socket keeps what its successor goes on from (`kept`), whether it hands over or is killed. One task
//! runs [`Agent::run`] and changes all of it; checks, session and socket are tasks of their own that speak with it over
//! bounded channels and end with it. Many agents may run in one process: nothing is global. Without any server
//! everything but the session goes on.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::check::{Report, Seen};
use super::containers::Follower;
use super::folder::Folder;
use super::kept::Keeper;
use super::roster::Roster;
use super::services::Planned;
use super::session::{self, CarrySession, Identity, State, Wanted};
use super::set::Member;
use super::socket::{Ask, Socket};
use super::sources::Sources;
use super::status::{self, Status};
use crate::model::api::{InstanceInfo, Registration};

/// How long a stop waits for a server to hear that everything is out.
const OUT_TIME: Duration = Duration::from_secs(3);
/// How much longer a cache may keep an answer than its TTL: what was on its way, and whole seconds.
const LATE: Duration = Duration::from_secs(1);
/// How long a call for the status waits for a server to say how the instances stand there.
const LOOK_TIME: Duration = Duration::from_secs(1);
/// Calls over the socket that may wait.
const ASKS: usize = 32;

/// Where the instances come from.
#[derive(Debug)]
pub enum Source {
    /// A folder of files, which is followed.
    Folder(Folder),
    /// The same, and the containers of engines, which are followed as well.
    Host(Folder, Vec<Follower>),
    /// These, for good.
    Fixed(Vec<Planned>),
    /// This one, for good, and not before its checks have passed for the first time.
    WhenPassing(Planned),
}

/// What an agent is made of.
#[derive(Debug)]
pub struct Agent<C> {
    /// Carries the calls of the session.
    pub carrier: C,
    /// Name, epoch and lease.
    pub identity: Identity,
    /// The instances.
    pub source: Source,
    /// The most that a stop waits for caches.
    pub drain: Duration,
    /// Why instances are out while it stops, as history shows it.
    pub farewell: String,
    /// Where status and reports are taken.
    pub socket: Option<Socket>,
}

/// How others tell an agent what to do.
#[derive(Debug, Clone, Default)]
pub struct Controls {
    /// Take everything out of the answers, wait for caches, deregister, end.
    pub stop: CancellationToken,
    /// Deregister and end, now.
    pub leave: CancellationToken,
    /// End and leave everything as it is: another agent goes on from here within the lease.
    pub hand_over: CancellationToken,
    /// Read the folder again.
    pub reload: Arc<Notify>,
}

/// What the agent is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// Everything has to be out; not known at the server yet, or since when caches forget it.
    Draining {
        until: Instant,
        heard: bool,
    },
    Leaving,
    /// Nothing is taken out.
    HandingOver,
}

impl<C: CarrySession + 'static> Agent<C> {
    /// Runs until it is told to stop and has stopped.
    pub async fn run(self, controls: Controls) {
        let Self { carrier, mut identity, source, drain, farewell, socket } = self;
        let (wanted, wishes) = watch::channel(Wanted::default());
        let (states, state) = watch::channel(State::default());
        let (ask, asks) = mpsc::channel(ASKS);
        let (mut roster, seen) = Roster::new();
        let keeper = socket.as_ref().map(|socket| resume(socket, &mut identity, &mut roster));
        let mut tasks = JoinSet::new();
        let (of_session, carrier) = (identity.clone(), Arc::new(carrier));
        let looker = carrier.clone();
        tasks.spawn(async move { session::run(&*carrier, of_session, wishes, states).await });
        let mut local = JoinSet::new();
        if let Some(socket) = socket {
            local.spawn(socket.serve(ask.clone()));
        }
        let lease = Duration::from_secs(identity.lease_seconds.try_into().unwrap_or_default());
        let mut running = Running {
            identity,
            roster,
            keeper,
            sources: Sources::default(),
            wanted,
            state,
            phase: Phase::Running,
            drain,
            farewell,
            dirty: true,
            look: Box::new(move || look(looker.clone()).boxed()),
            looks: JoinSet::new(),
        };
        match source {
            Source::Folder(folder) => running.follow(Sources::follow(folder, Vec::new(), lease)),
            Source::Host(folder, engines) => running.follow(Sources::follow(folder, engines, lease)),
            Source::Fixed(planned) => running.roster.plan(planned),
            Source::WhenPassing(planned) => {
                running.roster.wait_for_passing();
                running.roster.plan(vec![planned]);
            }
        }
        running.live(&controls, seen, asks).await;
        drop(ask);
        if running.phase == Phase::HandingOver {
            return running.keep(true);
        }
        // The session leaves within its own time; nothing else is waited for.
        tasks.join_next().await;
        running.keep(false);
    }
}

/// Goes on from what the agent before this one left beside its socket.
fn resume(socket: &Socket, identity: &mut Identity, roster: &mut Roster) -> Keeper {
    let (keeper, legacy) = Keeper::beside(socket.path(), identity);
    if let Some(epoch) = &legacy.epoch {
        identity.epoch.clone_from(epoch);
        tracing::info!(instances = legacy.published.len(), "goes on with the session of the agent before it");
    }
    roster.inherit(legacy);
    keeper
}

/// An agent at work.
struct Running {
    identity: Identity,
    roster: Roster,
    keeper: Option<Keeper>,
    sources: Sources,
    wanted: watch::Sender<Wanted>,
    state: watch::Receiver<State>,
    phase: Phase,
    drain: Duration,
    farewell: String,
    /// The set may be another one than the one that is wanted of the session.
    dirty: bool,
    /// Asks a server how the instances stand there.
    look: Box<dyn Fn() -> BoxFuture<'static, Vec<InstanceInfo>> + Send + Sync>,
    /// Calls over the socket that wait for that.
    looks: JoinSet<()>,
}

/// What the server has of the session; nothing if it does not say so soon.
async fn look<C: CarrySession>(carrier: Arc<C>) -> Vec<InstanceInfo> {
    timeout(LOOK_TIME, carrier.look()).await.ok().and_then(Result::ok).unwrap_or_default()
}

impl Running {
    fn follow(&mut self, sources: Sources) {
        self.sources = sources;
        self.plan();
    }

    async fn live(&mut self, controls: &Controls, mut seen: mpsc::Receiver<Seen>, mut asks: mpsc::Receiver<Ask>) {
        while !matches!(self.phase, Phase::Leaving | Phase::HandingOver) {
            if std::mem::take(&mut self.dirty) {
                self.publish();
            }
            let (until, keep) = (self.next_deadline(), self.keeper.as_ref().map(Keeper::due));
            let stopping = self.phase != Phase::Running;
            tokio::select! {
                biased;
                () = controls.leave.cancelled() => self.phase = Phase::Leaving,
                () = controls.hand_over.cancelled(), if !stopping => self.phase = Phase::HandingOver,
                () = controls.stop.cancelled(), if !stopping => self.begin_draining(),
                Some(seen) = seen.recv() => self.dirty |= self.roster.take(seen),
                Some(ask) = asks.recv() => self.answer(ask),
                () = self.sources.changed(), if !stopping => self.plan(),
                () = controls.reload.notified(), if !stopping => {
                    self.sources.read_folder();
                    self.plan();
                }
                () = wait_until(until) => self.dirty = true,
                () = wait_until(keep) => self.keep(true),
                Ok(()) = self.state.changed() => {}
            }
            self.advance();
        }
        if self.phase == Phase::Leaving {
            self.wanted.send_modify(|wanted| wanted.end = true);
        }
    }

    /// Writes what the next agent goes on from, its session only while there is one.
    fn keep(&mut self, session: bool) {
        if let Some(keeper) = &mut self.keeper {
            keeper.write(session.then_some(self.identity.epoch.as_str()), &self.roster);
        }
    }

    /// Makes the instances those that the sources plan.
    fn plan(&mut self) {
        let planned = self.sources.plan();
        self.dirty = true;
        self.roster.plan(planned);
        if self.sources.are_read() {
            self.roster.forget();
        }
    }

    /// Tells the session which set is wanted, if that is another one than before.
    fn publish(&mut self) {
        let now = Instant::now();
        // What another agent published is in the set until all sources are read: no need to wait for them.
        let is_whole = self.roster.goes_on() || self.sources.are_known(now);
        let Some(members) = is_whole.then(|| self.roster.members(now)).flatten() else { return };
        let set = match self.phase {
            Phase::Draining { .. } if self.is_wanted_out() => return, // what checks say meanwhile is nobody's affair
            Phase::Draining { .. } => self.all_out(&members),
            Phase::Running | Phase::Leaving | Phase::HandingOver => members,
        };
        self.note_published(&set);
        let accepted = self.state.borrow().accepted.clone().unwrap_or_default();
        let reason = self.sources.why_left(&accepted, &set);
        self.wanted.send_if_modified(|wanted| {
            let differs = wanted.set.as_ref() != Some(&set);
            if differs {
                wanted.set = Some(set);
                wanted.reason = reason;
            }
            differs
        });
    }

    /// Keeps what is published: soon, and before any server hears of an instance that comes, lest the agent that goes
    /// on from here takes it out again.
    fn note_published(&mut self, set: &[Member]) {
        let is_known = {
            let wanted = self.wanted.borrow();
            let before: HashSet<_> = wanted.set.iter().flat_map(|set| set.iter()).map(Member::key).collect();
            set.iter().all(|member| before.contains(&member.key()))
        };
        match is_known {
            true => self.keeper.iter_mut().for_each(Keeper::note),
            false => self.keep(true),
        }
    }

    /// Whether a set is wanted with nobody in the answers.
    fn is_wanted_out(&self) -> bool {
        let wanted = self.wanted.borrow();
        wanted.set.as_ref().is_some_and(|set| set.iter().all(|member| member.out().is_some()))
    }

    /// The same members, each with the reason that this agent stops; those that are out already keep theirs.
    fn all_out(&self, members: &[Member]) -> Arc<[Member]> {
        let out = |member: &Member| {
            let why = member.out().unwrap_or(&self.farewell).to_owned();
            let registration = Registration { out: Some(why), ..member.registration.clone() };
            Member { registration, ..member.clone() }
        };
        members.iter().map(out).collect()
    }

    fn begin_draining(&mut self) {
        let state = self.state.borrow().clone();
        let serving = state.accepted.is_some_and(|set| set.iter().any(|member| member.out().is_none()));
        self.phase = match serving {
            true => Phase::Draining { until: Instant::now() + OUT_TIME, heard: false },
            // No cache can have learned of anything, or it has been forgotten.
            false => Phase::Leaving,
        };
        self.dirty = true;
        tracing::info!(session = self.identity.session, "stopping");
    }

    /// Goes on to the next phase when it is time.
    fn advance(&mut self) {
        let Phase::Draining { until, heard } = self.phase else { return };
        let now = Instant::now();
        let is_out = || {
            let state = self.state.borrow();
            let accepted = state.accepted.as_ref();
            accepted.is_some_and(|set| set.iter().all(|member| member.out().is_some())).then_some(state.ttl)
        };
        if !heard && let Some(ttl) = is_out() {
            let wait = (ttl + LATE).min(self.drain);
            tracing::info!("out of the answers; caches forget it within {} s", wait.as_secs());
            self.phase = Phase::Draining { until: now + wait, heard: true };
        } else if now >= until {
            self.phase = Phase::Leaving;
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Draining { until, .. } => Some(until),
            Phase::Running | Phase::Leaving | Phase::HandingOver => {
                let now = Instant::now();
                [self.roster.next_settling(now), self.sources.next_deadline(now)].into_iter().flatten().min()
            }
        }
    }

    /// Answers a call over the socket. Who has hung up meanwhile gets nothing.
    fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Status(reply) => {
                while self.looks.try_join_next().is_some() {}
                let (status, look) = (self.status(), (self.look)());
                self.looks.spawn(async move {
                    let standing = if status.is_heard() { look.await } else { Vec::new() };
                    let _ = reply.send(Box::new(status.with_standing(&standing)));
                });
            }
            Ask::Report { key, passing, note, reply } => {
                let report = Report { passing, note, at: Instant::now() };
                let _ = reply.send(self.roster.report(&key, &report));
                self.keeper.iter_mut().for_each(Keeper::note);
            }
        }
    }

    fn status(&self) -> Status {
        let phase = match self.phase {
            Phase::Running => "running",
            Phase::Draining { .. } => "draining",
            Phase::Leaving | Phase::HandingOver => "leaving",
        };
        let (wanted, state) = (self.wanted.borrow().clone(), self.state.borrow().clone());
        let said = status::describe(&self.identity, phase, &state, wanted.set.as_deref(), self.roster.entries());
        said.with_sources(self.sources.findings(), &self.sources.broken(), &self.sources.engines())
    }
}

async fn wait_until(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}
