//! Follows the containers of one engine, and says what they plan now.
//!
//! What it holds: each container that lives and has labels of ours, with what it plans, and which of them has to be
//! looked at again. Shape:
//!
//! ```text
//!   connect --> events --> list all --> an event: look at its container ... --> list all again, every 30 s
//!      ^                                     | the engine has gone or does not answer
//!      +------ wait (full jitter) <----------+   everything stays as it was
//! ```
//!
//! An event only says whom to look at: what counts is what the engine then says about that container. So events may
//! come late, twice or never (Docker leaves out what a slow reader missed, Podman tells of a health check before it has
//! run), and a list shows what was missed. Only `die` is believed: the container was gone then, and `start` comes later
//! if it came back. Only the task that runs [`Follower::follow`] changes anything; a crash forgets what the next list
//! tells. Calls are made one after the other, each within its bound.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::super::jitter::{about, full_jitter};
use super::super::services::{Key, Planned};
use super::engine::{Engine, EngineError, Inspected, Socket};
use super::facts::{Container, Event, has_ours};
use super::labels;
use crate::model::{Finding, Place};

/// How often everything is looked at, whatever events say.
const LIST_PAUSE: Duration = Duration::from_secs(30);
/// How soon after the first list: what happened while events were being asked for may be in neither.
const LIST_AGAIN: Duration = Duration::from_secs(1);
/// The bounds of the wait before an engine is tried again.
const RETRY_BASE: Duration = Duration::from_millis(250);
const RETRY_CAP: Duration = Duration::from_secs(5);
/// The first pause between two looks for something that an event has announced; doubles with each.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// How long a container that has been started may take to be seen running.
const START_TIME: Duration = Duration::from_secs(2);
/// What engines give a probe that says nothing, and the most that is waited for one.
const PROBE_TIME: Duration = Duration::from_secs(30);
const PROBE_CAP: Duration = Duration::from_secs(120);
/// What Docker gives a container to stop, and what is allowed on top.
const STOP_TIME: Duration = Duration::from_secs(10);
const STOP_MORE: Duration = Duration::from_secs(5);
/// How long it is remembered why something has left.
const REMEMBER: Duration = Duration::from_secs(600);
/// The longest part of a probe's output in a reason, in characters.
const OUTPUT: usize = 100;

/// What is known of one engine's containers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// Where the engine is, or where it is looked for.
    pub engine: String,
    /// It has told all of its containers at least once.
    pub complete: bool,
    /// How many of them have labels of ours.
    pub containers: usize,
    /// What they plan.
    pub planned: Vec<Planned>,
    /// What is wrong with labels.
    pub findings: Vec<Finding>,
    /// Why instances have left, for a while.
    pub left: BTreeMap<Key, String>,
    /// Why the engine tells nothing now; what is known stays.
    pub trouble: Option<String>,
}

/// Follows one engine.
#[derive(Debug)]
pub struct Follower {
    engine: Engine,
    host: String,
}

impl Follower {
    /// For an engine of this host, whose name makes ids.
    pub fn new(engine: Engine, host: String) -> Self {
        Self { engine, host }
    }

    /// Follows for ever. What is known stands in place `at` of the list, which has one for each engine.
    pub async fn follow(mut self, at: usize, known: Arc<watch::Sender<Vec<Known>>>) {
        let start = Known { engine: self.engine.name(), ..Known::default() };
        let mut life = Life {
            host: self.host,
            at,
            known,
            now: start,
            containers: BTreeMap::new(),
            looks: BTreeMap::new(),
            left: BTreeMap::new(),
        };
        let mut attempt = 0;
        loop {
            let Err(why) = life.follow_once(&mut self.engine, &mut attempt).await;
            if life.now.trouble.is_none() {
                tracing::warn!(engine = life.now.engine, "containers are not followed: {why}; what is known stays");
            }
            life.now.trouble = Some(why.to_string());
            life.publish();
            sleep(full_jitter(attempt, RETRY_BASE, RETRY_CAP)).await;
            attempt += 1;
        }
    }
}

/// A follower at work.
struct Life {
    host: String,
    at: usize,
    known: Arc<watch::Sender<Vec<Known>>>,
    now: Known,
    /// By id.
    containers: BTreeMap<String, Tracked>,
    looks: BTreeMap<String, Look>,
    left: BTreeMap<Key, (Instant, String)>,
}

/// A container that lives and has labels of ours.
#[derive(Debug, Default)]
struct Tracked {
    name: String,
    planned: Vec<Planned>,
    findings: Vec<Finding>,
    has_health: bool,
    /// When the newest probe began that has been seen, in the engine's words.
    probe: String,
    probe_time: Duration,
    /// Why it is unhealthy, as it was said first.
    ill: Option<String>,
    /// The number of the signal that tells it to stop.
    stop_signal: String,
    stop_time: Duration,
    /// It was told to stop, and is believed to do so until then.
    stopping: Option<Instant>,
    /// The signal that it was sent last, and until when that explains its end.
    signal: Option<(Instant, String)>,
}

/// A container that is to be looked at.
#[derive(Debug)]
struct Look {
    next: Instant,
    pause: Duration,
    /// Until when it is looked at again while what is awaited has not come.
    until: Instant,
    awaited: Awaited,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Awaited {
    Nothing,
    /// To be seen alive.
    Life,
    /// The result of a probe, which is not this one.
    Probe(String),
}

impl Life {
    /// Follows until the engine has gone; the error says how.
    async fn follow_once(&mut self, engine: &mut Engine, attempt: &mut u32) -> Result<Infallible, EngineError> {
        let socket = engine.connect().await?;
        let mut events = socket.events().await?;
        for id in self.ids(&socket).await? {
            self.look(&socket, &id).await?;
        }
        engine.keep(&socket);
        self.now.complete = true;
        self.now.engine = socket.path().display().to_string();
        self.now.trouble = None;
        *attempt = 0;
        self.publish();
        tracing::info!(engine = self.now.engine, containers = self.containers.len(), "containers are followed");
        let mut list_at = Instant::now() + LIST_AGAIN;
        loop {
            let due = self.looks.values().map(|look| look.next).fold(list_at, Instant::min);
            tokio::select! {
                biased;
                event = events.next() => self.take(event?),
                () = sleep_until(due) => {}
            }
            if list_at <= Instant::now() {
                for id in self.ids(&socket).await? {
                    self.await_for(id, Awaited::Nothing, Duration::ZERO);
                }
                list_at = Instant::now() + about(LIST_PAUSE);
            }
            // One at a time: what comes in meanwhile does not wait for all of a list.
            self.look_at_one(&socket).await?;
            self.publish();
        }
    }

    /// Whom there is to look at: everything that is there, and what is known and is not.
    async fn ids(&self, socket: &Socket) -> Result<BTreeSet<String>, EngineError> {
        let listed = socket.list().await?;
        let ours = listed.into_iter().filter(|one| has_ours(&one.labels)).map(|one| one.id);
        Ok(ours.chain(self.containers.keys().cloned()).collect())
    }

    /// Takes an event: whom to look at, and whom no more.
    fn take(&mut self, event: Event) {
        let Event { action, actor } = event;
        let tracked = self.containers.get_mut(&actor.id);
        let ours = tracked.is_some() || has_ours(&actor.attributes);
        let word = action.split(':').next().unwrap_or_default().trim();
        match (word, tracked) {
            ("die" | "died", _) => {
                let code = actor.attributes.get("exitCode").or_else(|| actor.attributes.get("containerExitCode"));
                self.end(&actor.id, code.map(String::as_str));
            }
            ("destroy" | "remove", _) => self.forget(&actor.id, "has been removed"),
            ("health_status" | "exec_died" | "exec_die", Some(tracked)) if tracked.has_health => {
                let (awaited, time) = (Awaited::Probe(tracked.probe.clone()), tracked.probe_time);
                self.await_for(actor.id, awaited, time);
            }
            ("kill", Some(tracked)) => {
                tracked.take_signal(actor.attributes.get("signal").cloned().unwrap_or_default());
                self.await_for(actor.id, Awaited::Nothing, Duration::ZERO);
            }
            ("start" | "restart" | "unpause", _) if ours => self.await_for(actor.id, Awaited::Life, START_TIME),
            ("pause" | "rename" | "update" | "stop", _) if ours => {
                self.await_for(actor.id, Awaited::Nothing, Duration::ZERO);
            }
            _ => {}
        }
    }

    fn await_for(&mut self, id: String, awaited: Awaited, time: Duration) {
        let now = Instant::now();
        // What is awaited already goes on being awaited, from the beginning.
        let look = Look { next: now, pause: LOOK_PAUSE, until: now + time, awaited };
        match self.looks.get_mut(&id) {
            Some(known) if look.awaited == Awaited::Nothing => known.next = now,
            _ => {
                self.looks.insert(id, look);
            }
        }
    }

    /// Looks at the container whose time it is, if there is one.
    async fn look_at_one(&mut self, socket: &Socket) -> Result<(), EngineError> {
        let first = self.looks.iter().min_by_key(|(_, look)| look.next);
        let Some((id, _)) = first.filter(|(_, look)| look.next <= Instant::now()) else { return Ok(()) };
        let id = id.clone();
        self.look(socket, &id).await?;
        let tracked = self.containers.get(&id);
        let Some(look) = self.looks.get_mut(&id) else { return Ok(()) };
        let has_come = match &look.awaited {
            Awaited::Nothing => true,
            Awaited::Life => tracked.is_some(),
            Awaited::Probe(before) => tracked.is_none_or(|tracked| tracked.probe != *before),
        };
        let now = Instant::now();
        if !has_come && now < look.until {
            look.next = now + look.pause;
            look.pause *= 2;
            return Ok(());
        }
        self.looks.remove(&id);
        // One that was told to stop and does not is looked at when it should have.
        if let Some(until) = tracked.and_then(|tracked| tracked.stopping) {
            let look = Look { next: until, pause: LOOK_PAUSE, until, awaited: Awaited::Nothing };
            self.looks.insert(id, look);
        }
        Ok(())
    }

    /// Looks at one container and takes what the engine says.
    async fn look(&mut self, socket: &Socket, id: &str) -> Result<(), EngineError> {
        let container = match socket.inspect(id).await? {
            Inspected::There(container) => container,
            Inspected::Gone => {
                self.forget(id, "has been removed");
                return Ok(());
            }
            Inspected::Unclear(why) => {
                self.note(id, &why);
                return Ok(());
            }
        };
        if container.has_ended() {
            self.end(id, Some(&container.state.exit_code.to_string()));
        } else if !container.lives() {
            self.forget(id, &format!("is {}", container.state.status));
        } else if has_ours(&container.config.labels) {
            let network = match container.host_config.network_mode.strip_prefix("container:") {
                None => None,
                Some(other) => match socket.inspect(other).await? {
                    Inspected::There(other) => Some(other),
                    Inspected::Gone | Inspected::Unclear(_) => None,
                },
            };
            self.enter(id, &container, network.as_deref().unwrap_or(&container));
        }
        Ok(())
    }

    /// Takes what a living container is.
    fn enter(&mut self, id: &str, container: &Container, network: &Container) {
        let tracked = self.containers.entry(id.to_owned()).or_default();
        tracked.describe(container);
        let (mut planned, findings) = match labels::plan(container, network, &self.host) {
            Ok(planned) => (planned, Vec::new()),
            Err(findings) => (Vec::new(), findings),
        };
        let out = tracked.out(container, Instant::now());
        for one in &mut planned {
            one.registration.out.clone_from(&out);
            self.left.remove(&one.key);
        }
        let before = std::mem::replace(&mut tracked.planned, planned);
        tracked.findings = findings;
        let why = match tracked.findings.first() {
            Some(finding) => format!("container {} cannot be registered: {}", tracked.name, finding.message),
            None => format!("container {} is another instance now", tracked.name),
        };
        let gone = before.into_iter().filter(|old| tracked.planned.iter().all(|new| new.key != old.key));
        let gone: Vec<Key> = gone.map(|old| old.key).collect();
        self.remember(gone, &why);
    }

    /// A container has ended.
    fn end(&mut self, id: &str, code: Option<&str>) {
        let signal = self.containers.get(id).and_then(|tracked| tracked.signal.as_ref());
        let signal = signal.filter(|(until, _)| Instant::now() < *until);
        let told = match signal.map(|(_, name)| name.as_str()) {
            None => String::new(),
            Some("") => " after a signal".to_owned(),
            Some(signal) => format!(" after signal {signal}"),
        };
        let code = code.map(|code| format!(" with exit code {code}")).unwrap_or_default();
        self.forget(id, &format!("has ended{told}{code}"));
    }

    fn forget(&mut self, id: &str, what: &str) {
        if self.looks.get(id).is_some_and(|look| look.awaited != Awaited::Life) {
            self.looks.remove(id);
        }
        let Some(tracked) = self.containers.remove(id) else { return };
        let why = format!("container {} {what}", tracked.name);
        tracing::info!(container = tracked.name, "{why}");
        self.remember(tracked.planned.into_iter().map(|one| one.key).collect(), &why);
    }

    fn remember(&mut self, gone: Vec<Key>, why: &str) {
        let now = Instant::now();
        self.left.retain(|_, (at, _)| *at + REMEMBER > now);
        self.left.extend(gone.into_iter().map(|key| (key, (now, cleaned(why, usize::MAX)))));
    }

    /// The engine has something to say about a container that is not understood; what is known stays.
    fn note(&mut self, id: &str, why: &str) {
        let short: String = id.chars().take(12).collect();
        let tracked =
            self.containers.entry(id.to_owned()).or_insert_with(|| Tracked { name: short, ..Tracked::default() });
        let message = format!("cannot be inspected: {why}");
        tracked.findings = vec![Finding::error(Place::whole(&labels::source(&tracked.name)), message)];
    }

    /// Says what is known, if that is something else than before.
    fn publish(&mut self) {
        let now = &mut self.now;
        now.containers = self.containers.len();
        now.planned = self.containers.values().flat_map(|tracked| tracked.planned.iter().cloned()).collect();
        now.planned.sort_by(|a, b| (&a.file, &a.key).cmp(&(&b.file, &b.key)));
        now.findings = self.containers.values().flat_map(|tracked| tracked.findings.iter().cloned()).collect();
        now.left = self.left.iter().map(|(key, (_, why))| (key.clone(), why.clone())).collect();
        self.known.send_if_modified(|all| match all.get_mut(self.at) {
            Some(place) if *place != *now => {
                place.clone_from(now);
                true
            }
            _ => false,
        });
    }
}

impl Tracked {
    /// Takes what does not depend on labels.
    fn describe(&mut self, container: &Container) {
        self.name = container.called().to_owned();
        self.has_health = container.has_health();
        self.probe = container.state.health.log.last().map(|probe| probe.start.clone()).unwrap_or_default();
        let given = Duration::from_nanos(container.config.healthcheck.timeout);
        self.probe_time = if given.is_zero() { PROBE_TIME } else { given.min(PROBE_CAP) } + Duration::from_secs(1);
        let config = &container.config;
        self.stop_signal = number_of(&config.stop_signal).to_owned();
        self.stop_time = config.stop_timeout.map_or(STOP_TIME, Duration::from_secs).max(STOP_TIME) + STOP_MORE;
    }

    /// It was sent a signal: Docker names it, Podman does not.
    fn take_signal(&mut self, signal: String) {
        let until = Instant::now() + self.stop_time;
        if self.stop_signal == signal {
            self.stopping = Some(until);
        }
        self.signal = Some((until, signal));
    }

    /// Why it is to be out of the answers while it lives.
    fn out(&mut self, container: &Container, now: Instant) -> Option<String> {
        let Self { name, ill, stopping, .. } = self;
        *stopping = stopping.filter(|until| now < *until);
        let health = &container.state.health;
        if health.status != "unhealthy" {
            *ill = None;
        }
        if container.state.status == "paused" {
            return Some(cleaned(&format!("container {name} is paused"), usize::MAX));
        }
        if stopping.is_some() || container.state.status == "stopping" {
            return Some(cleaned(&format!("container {name} is being stopped"), usize::MAX));
        }
        match health.status.as_str() {
            "starting" => {
                Some(cleaned(&format!("container {name} is starting: its health check has not passed yet"), usize::MAX))
            }
            "unhealthy" => Some(ill.get_or_insert_with(|| unhealthy(name, container)).clone()),
            _ => None,
        }
    }
}

/// The number of a signal, as events have it, for the signals that stop something.
fn number_of(signal: &str) -> &str {
    match signal.trim_start_matches("SIG") {
        "" | "TERM" => "15",
        "HUP" => "1",
        "INT" => "2",
        "QUIT" => "3",
        "KILL" => "9",
        "USR1" => "10",
        "USR2" => "12",
        "WINCH" => "28",
        "RTMIN+3" => "37",
        number => number,
    }
}

/// Why a container is unhealthy: what its health check has said last.
fn unhealthy(name: &str, container: &Container) -> String {
    let output = container.state.health.log.last().map(|probe| probe.output.trim()).unwrap_or_default();
    let last = cleaned(output.lines().last().unwrap_or_default(), OUTPUT);
    let colon = if last.is_empty() { "" } else { ": " };
    cleaned(&format!("container {name} is unhealthy{colon}{last}"), usize::MAX)
}

/// A text as a server takes it for a reason: short, and without control characters.
fn cleaned(text: &str, most: usize) -> String {
    const LONGEST: usize = 200;
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(most).collect();
    let end = (0..=text.len().min(LONGEST)).rev().find(|at| text.is_char_boundary(*at));
    text[..end.unwrap_or(0)].trim().to_owned()
}

#[cfg(test)]
mod tests;
