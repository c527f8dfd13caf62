//! One session: a set of instances, one beat for all of them.
//!
//! What it holds: the set that is wanted, the set that the server took last, and since when nothing was heard. Shape:
//!
//! ```text
//!   wanted set --differs--> PUT the set --ok--> beat ... beat
//!                  ^  ^         | no server: wait (full jitter), again, for ever
//!                  |  |         | refused: the largest part that is taken, the rest is said and tried again later
//!                  |  +---------+-- 404 unknown-session, 409 out-of-sync
//!                  +------------ somebody wants another set
//! ```
//!
//! The agent's set is the truth (anti-entropy): whatever the server has under this session becomes it again with the
//! next beat, because a beat carries the hash of the set. Only the task that runs [`run`] changes anything; others see
//! it through [`State`]. A crash of this process is what leases are for. Nothing here waits without a bound but for the
//! next beat; a fleet that lost its server comes back spread out, because waits have full jitter and the server times
//! beats with jitter of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::identity::epoch;
use super::jitter::{about, full_jitter};
use super::kept::uptime;
use super::outcome::{ClientError, Refused, Reply};
use super::services::Key;
use super::set::{Member, Set};
use crate::model::Word;
use crate::model::api::{Beaten, Registered, SessionBeat, SessionStored};

/// The first wait after a failure; doubles with each.
const RETRY_BASE: Duration = Duration::from_millis(250);
/// The longest wait between two attempts to send a set, while there is no lease that runs out meanwhile.
const RETRY_CAP: Duration = Duration::from_secs(10);
/// How long after a refusal what was refused is tried again.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);
/// The most time that leaving may take, all attempts together.
pub const LEAVE_TIME: Duration = Duration::from_secs(3);
/// The longest wait between two attempts to leave.
const LEAVE_CAP: Duration = Duration::from_millis(500);
/// The bounds of what a server may say about when to beat.
const HEARTBEAT: std::ops::RangeInclusive<f64> = 0.05..=3600.0;
/// The most instances that a message names.
const LISTED: usize = 3;
/// So often somebody else may have changed the set before it is said.
const CONTESTED: u32 = 3;
/// After so long without it, it is forgotten.
const QUIET: Duration = Duration::from_secs(60);

/// Carries the three calls of a session; a test carries them to nowhere.
pub trait CarrySession: Send + Sync {
    /// Replaces the set.
    fn send(&self, set: &Set) -> impl Future<Output = Result<Reply<SessionStored>, ClientError>> + Send;
    /// Beats for it.
    fn beat(&self, beat: &SessionBeat) -> impl Future<Output = Result<Reply<Beaten>, ClientError>> + Send;
    /// Takes all of it out.
    fn end(&self, epoch: &str) -> impl Future<Output = Result<(), ClientError>> + Send;
}

/// What is wanted of a session.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    /// The set, sorted by key; `None` while it is not known yet.
    pub set: Option<Arc<[Member]>>,
    /// Why some that were in the set before are no longer.
    pub reason: Option<Arc<str>>,
    /// To deregister everything and stop.
    pub end: bool,
}

/// How a session stands, for everybody to see.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// What the server took last, sorted by key; `None` before the first time.
    pub accepted: Option<Arc<[Member]>>,
    /// What it refused, and why.
    pub refused: BTreeMap<Key, Refusal>,
    /// Who answered last.
    pub server: Option<String>,
    /// When somebody answered last.
    pub heard: Option<Instant>,
    /// Why nobody does, or what else is wrong.
    pub trouble: Option<String>,
    /// The longest TTL that an answer with one of the instances may have been given.
    pub ttl: Duration,
    /// It has been deregistered.
    pub ended: bool,
}

/// A member that the server refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// As it was offered; another version of it is offered at once.
    pub offered: Member,
    /// Why.
    pub why: String,
}

/// What a session is called and how it beats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its name, which stays.
    pub session: String,
    /// Another one for each life of the session: who comes after this process within the lease goes on with it.
    pub epoch: String,
    /// How long it may be silent.
    pub lease_seconds: i64,
}

/// Keeps the session equal to what is wanted until it is wanted to end, or nobody wants anything any more.
pub async fn run<C: CarrySession>(
    carrier: &C,
    identity: Identity,
    wanted: watch::Receiver<Wanted>,
    state: watch::Sender<State>,
) {
    let life = Life {
        carrier,
        identity,
        sequence: (uptime() * 1e6) as u64,
        wanted,
        state,
        hash: None,
        interval: Duration::from_secs_f64(*HEARTBEAT.start()),
        next_beat: Instant::now(),
        dirty: true,
        attempt: 0,
        replaced: 0,
        replaced_at: Instant::now(),
        lives: BTreeMap::new(),
        taken: Vec::new(),
        next_retry: Instant::now(),
    };
    life.live().await;
}

struct Life<'c, C> {
    carrier: &'c C,
    identity: Identity,
    /// The number of the set that was sent last. It begins with the time since the start of the host, so that a life that
    /// goes on with the epoch of another one begins above it.
    sequence: u64,
    wanted: watch::Receiver<Wanted>,
    state: watch::Sender<State>,
    /// Of the set that was taken last.
    hash: Option<String>,
    interval: Duration,
    next_beat: Instant,
    /// The server may have something else than what it took last.
    dirty: bool,
    /// Failures in a row.
    attempt: u32,
    /// How often a beat found another set, with no more than [`QUIET`] in between.
    replaced: u32,
    /// When one did last.
    replaced_at: Instant,
    /// The incarnation of each member as the server told it last.
    lives: BTreeMap<Key, u64>,
    /// Members that somebody else had changed or taken when the set was sent last.
    taken: Vec<Key>,
    /// When what was refused is tried again.
    next_retry: Instant,
}

impl<C: CarrySession> Life<'_, C> {
    async fn live(mut self) {
        loop {
            let Wanted { set, end, .. } = self.wanted.borrow_and_update().clone();
            if end {
                return self.leave().await;
            }
            let pause = match set {
                None => Duration::MAX,
                Some(set) if self.must_send(&set) => match self.send(&set).await {
                    Ok(()) => self.until_beat(),
                    Err(pause) => pause,
                },
                Some(set) if set.is_empty() => Duration::MAX,
                Some(_) if self.until_beat().is_zero() => self.beat().await,
                Some(_) => self.until_beat(),
            };
            if !self.wait(pause).await {
                return;
            }
        }
    }

    /// Waits for another wish, or until the pause is over; false when nobody can wish any more.
    async fn wait(&mut self, pause: Duration) -> bool {
        let until = Instant::now().checked_add(pause);
        tokio::select! {
            changed = self.wanted.changed() => changed.is_ok(),
            () = async { match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            } } => true,
        }
    }

    fn until_beat(&self) -> Duration {
        self.next_beat.saturating_duration_since(Instant::now())
    }

    fn must_send(&self, set: &Arc<[Member]>) -> bool {
        let state = self.state.borrow();
        let Some(accepted) = &state.accepted else { return true };
        if self.dirty {
            return true;
        }
        // What was refused as it is now is not the reason to send the rest again at each beat; see `retry_refused`.
        let is_refused =
            |member: &Member| state.refused.get(&member.key()).is_some_and(|refusal| refusal.offered == *member);
        let refused: BTreeSet<Key> = set.iter().filter(|member| is_refused(member)).map(Member::key).collect();
        let others = |list: &[Member]| -> Vec<Member> {
            list.iter().filter(|member| !refused.contains(&member.key())).cloned().collect()
        };
        others(set) != others(accepted)
    }

    /// Sends the set, or the largest part of it that is taken. The error is how long to wait before the next attempt.
    async fn send(&mut self, set: &Arc<[Member]>) -> Result<(), Duration> {
        let outcome = match self.put_first(set).await {
            Err(ClientError::Refused(refused)) if is_about_members(&refused) && !set.is_empty() => {
                self.send_what_is_taken(set).await
            }
            Ok(()) => {
                self.change(|state| state.refused.clear());
                Ok(())
            }
            other => other,
        };
        match outcome {
            Ok(()) => Ok(()),
            Err(error) => {
                let registered = self.state.borrow().accepted.is_some();
                let cap = if registered { self.interval.min(RETRY_CAP) } else { RETRY_CAP };
                Err(self.failed(&error, cap))
            }
        }
    }

    /// Sends the set as the first of an attempt. If the server has a newer one of this epoch already, somebody else uses
    /// the epoch; then it is left to him.
    async fn put_first(&mut self, set: &Arc<[Member]>) -> Result<(), ClientError> {
        match self.put(set).await {
            Err(ClientError::Refused(refused)) if refused.word == Word::OutOfSync.as_str() => {
                tracing::warn!("{refused}; this session begins another epoch");
                self.identity.epoch = epoch();
                self.put(set).await
            }
            other => other,
        }
    }

    /// Finds by halving which members are refused. What the server has already of what is wanted stays in every set
    /// that is sent meanwhile, so that nothing leaves and comes back.
    async fn send_what_is_taken(&mut self, set: &Arc<[Member]>) -> Result<(), ClientError> {
        let accepted = self.state.borrow().accepted.clone().unwrap_or_default();
        let mut good: BTreeMap<Key, Member> = accepted
            .iter()
            .filter(|old| set.iter().any(|new| new.key() == old.key()))
            .map(|old| (old.key(), old.clone()))
            .collect();
        let differs = |new: &&Member| good.get(&new.key()) != Some(*new);
        let mut parts: Vec<Vec<Member>> = vec![set.iter().filter(differs).cloned().collect()];
        let mut refused = BTreeMap::new();
        while let Some(mut part) = parts.pop() {
            let mut tried = good.clone();
            tried.extend(part.iter().map(|member| (member.key(), member.clone())));
            match self.put(&tried.values().cloned().collect()).await {
                Ok(()) => good = tried,
                Err(ClientError::Refused(why)) if is_about_members(&why) && part.len() <= 1 => {
                    let why = why.to_string();
                    refused.extend(part.pop().map(|offered| (offered.key(), Refusal { offered, why })));
                }
                Err(ClientError::Refused(why)) if is_about_members(&why) => {
                    let second = part.split_off(part.len() / 2);
                    parts.extend([second, part]);
                }
                Err(other) => return Err(other),
            }
        }
        let rest: Arc<[Member]> = good.into_values().collect();
        if self.dirty || self.state.borrow().accepted.as_ref() != Some(&rest) {
            self.put(&rest).await?;
        }
        for (key, Refusal { why, .. }) in &refused {
            tracing::warn!(instance = %key, "refused: {why}");
        }
        self.next_retry = Instant::now() + about(REFUSED_PAUSE);
        self.change(|state| state.refused = refused);
        Ok(())
    }

    /// Sends exactly these members.
    async fn put(&mut self, members: &Arc<[Member]>) -> Result<(), ClientError> {
        let Identity { epoch, lease_seconds, .. } = self.identity.clone();
        self.sequence += 1;
        let sequence = self.sequence;
        let reason = self.wanted.borrow().reason.clone().filter(|_| self.some_leave(members));
        let set = Set { epoch, sequence, lease_seconds: Some(lease_seconds), instances: members.clone(), reason };
        let reply = self.carrier.send(&set).await?;
        let SessionStored { hash, heartbeat_seconds, ttl_seconds, instances, .. } = reply.body;
        let of_member = |one: Registered| (Key { service: one.service, id: one.id }, one.incarnation);
        self.note_lives(members, instances.into_iter().map(of_member).collect());
        self.hash = Some(hash);
        self.dirty = false;
        self.heard(&reply.server, heartbeat_seconds);
        let (all, out) = (members.len(), members.iter().filter(|member| member.out().is_some()).count());
        tracing::info!(session = self.identity.session, server = reply.server, instances = all, out, "registered");
        let members = members.clone();
        self.change(|state| {
            // Of the set before it, too: what has left may have been given with its TTL.
            state.ttl = state.ttl.max(Duration::from_secs(ttl_seconds.into()));
            state.accepted = Some(members);
        });
        Ok(())
    }

    /// Remembers which life each member has, and which of those that are as they were have begun another one: somebody
    /// else had changed them.
    fn note_lives(&mut self, members: &Arc<[Member]>, lives: BTreeMap<Key, u64>) {
        let state = self.state.borrow();
        let before = state.accepted.as_deref().unwrap_or_default();
        let is_same = |key: &Key| {
            let find = |set: &[Member]| set.iter().find(|member| member.key() == *key).cloned();
            find(before) == find(members)
        };
        let changed = lives.iter().filter(|(key, life)| self.lives.get(key).is_some_and(|known| known != *life));
        self.taken = changed.map(|(key, _)| key.clone()).filter(is_same).collect();
        drop(state);
        if !self.taken.is_empty() {
            tracing::warn!("somebody else had changed {}; it is as this host wants it again", listed(&self.taken));
        }
        self.lives = lives;
    }

    /// Whether the server has members that these do not have.
    fn some_leave(&self, members: &[Member]) -> bool {
        let state = self.state.borrow();
        let stays = |old: &Member| members.iter().any(|new| new.service == old.service && new.id == old.id);
        state.accepted.as_ref().is_some_and(|accepted| !accepted.iter().all(stays))
    }

    /// Beats once; how long to wait for the next one.
    async fn beat(&mut self) -> Duration {
        if self.retry_refused() {
            return Duration::ZERO;
        }
        let beat = SessionBeat { epoch: self.identity.epoch.clone(), hash: self.hash.clone() };
        match self.carrier.beat(&beat).await {
            Ok(reply) => {
                self.forget_others();
                if reply.body.returned {
                    tracing::warn!("the lease had run out; the beat brought the instances back");
                }
                self.heard(&reply.server, reply.body.heartbeat_seconds);
                self.until_beat()
            }
            Err(ClientError::Refused(refused)) if wants_the_set(&refused) => self.send_again(&refused),
            Err(error) => {
                let pause = self.failed(&error, self.interval);
                self.next_beat = Instant::now() + pause;
                pause
            }
        }
    }

    /// Whether something was refused long enough ago to try the whole set once more.
    fn retry_refused(&mut self) -> bool {
        let due = !self.state.borrow().refused.is_empty() && self.next_retry <= Instant::now();
        if due {
            self.change(|state| state.refused.clear());
            self.dirty = true;
        }
        due
    }

    /// The server has another set; how long to wait before it gets ours.
    fn send_again(&mut self, refused: &Refused) -> Duration {
        self.dirty = true;
        self.forget_others();
        if refused.word == Word::OutOfSync.as_str() {
            self.replaced += 1;
            self.replaced_at = Instant::now();
        }
        tracing::info!("the server asks for the whole set: {}", refused.word);
        if self.replaced < CONTESTED {
            return Duration::ZERO;
        }
        let session = &self.identity.session;
        let trouble = format!(
            "somebody else keeps changing {} of session \"{session}\"; is there another agent with this session name, or \
             with an instance of this name?",
            listed(&self.taken)
        );
        tracing::warn!("{trouble}");
        self.change(|state| state.trouble = Some(trouble));
        // Two agents that fight must not do it at full speed.
        full_jitter(self.replaced, RETRY_BASE, RETRY_CAP)
    }

    /// Nobody has changed the set for so long that it is not a habit.
    fn forget_others(&mut self) {
        if self.replaced_at.elapsed() > QUIET {
            self.replaced = 0;
        }
    }

    fn heard(&mut self, server: &str, heartbeat_seconds: f64) {
        let seconds = if heartbeat_seconds.is_finite() { heartbeat_seconds } else { *HEARTBEAT.end() };
        self.interval = Duration::from_secs_f64(seconds.clamp(*HEARTBEAT.start(), *HEARTBEAT.end()));
        self.next_beat = Instant::now() + self.interval;
        self.attempt = 0;
        if self.replaced < CONTESTED && self.state.borrow().trouble.is_some() {
            tracing::info!(server, "a server answers again");
        }
        let contested = self.replaced >= CONTESTED;
        self.change(|state| {
            state.server = Some(server.to_owned());
            state.heard = Some(Instant::now());
            state.trouble = state.trouble.take().filter(|_| contested);
        });
    }

    /// Remembers what is wrong; how long to wait before the next attempt.
    fn failed(&mut self, error: &ClientError, cap: Duration) -> Duration {
        if self.state.borrow().trouble.is_none() {
            tracing::warn!("{error}; trying on");
        }
        self.change(|state| state.trouble = Some(error.to_string()));
        let base = match error {
            ClientError::Unreachable(_) => RETRY_BASE,
            ClientError::Refused(_) => RETRY_CAP, // it will say the same again
        };
        let pause = full_jitter(self.attempt, base, cap.max(RETRY_BASE));
        self.attempt += 1;
        pause
    }

    /// Takes everything out, within [`LEAVE_TIME`]; after that the lease does it.
    async fn leave(mut self) {
        let had_something = self.state.borrow().accepted.as_ref().is_some_and(|set| !set.is_empty());
        if had_something || self.attempt > 0 {
            let left = timeout(LEAVE_TIME, self.try_to_leave()).await;
            match left.unwrap_or_else(|_| Err("no server took it in time".to_owned())) {
                Ok(()) => tracing::info!(session = self.identity.session, "deregistered"),
                Err(why) => tracing::warn!("not deregistered ({why}); the lease will run out"),
            }
        }
        self.change(|state| {
            state.accepted = Some(Arc::default());
            state.ended = true;
        });
    }

    async fn try_to_leave(&mut self) -> Result<(), String> {
        let gone = [Word::UnknownSession.as_str(), Word::OutOfSync.as_str()];
        for attempt in 0.. {
            match self.carrier.end(&self.identity.epoch).await {
                Err(ClientError::Unreachable(_)) => sleep(full_jitter(attempt, RETRY_BASE, LEAVE_CAP)).await,
                Err(ClientError::Refused(refused)) if !gone.contains(&refused.word.as_str()) => {
                    return Err(refused.to_string());
                }
                _ => break,
            }
        }
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(change);
    }
}

/// A few of these, in words.
fn listed(keys: &[Key]) -> String {
    let first: Vec<_> = keys.iter().take(LISTED).map(ToString::to_string).collect();
    match keys.len().saturating_sub(LISTED) {
        0 if keys.is_empty() => "the set".to_owned(),
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// Whether a refusal may be about some members of the set only.
fn is_about_members(refused: &Refused) -> bool {
    matches!(refused.status, 400 | 403 | 409 | 422)
}

/// Whether a refused beat asks for the whole set.
fn wants_the_set(refused: &Refused) -> bool {
    [Word::UnknownSession, Word::OutOfSync].iter().any(|word| word.as_str() == refused.word)
}

#[cfg(test)]
mod tests;
