//! The instances of this host and where each stands: what the set of the session is made of.
//!
//! What it holds: for each instance what is planned, the standing of its checks, and the member that was published
//! last. Only the supervisor changes it, with a new plan ([`Roster::plan`]), an outcome ([`Roster::take`]) or a report
//! ([`Roster::report`]). It owns the tasks of the checks; they end with their instance, or with the roster.
//!
//! An instance is settled when each of its checks has a verdict. Until then nothing of it changes: one that was
//! published stays as it was, also when that was by the agent before this one ([`Roster::inherit`]); a new one is not
//! published yet, but for no longer than [`SETTLE_TIME`]. So neither a new file, nor a changed check, nor a start of
//! the agent beside running services makes anything flap.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch as latest};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::check::{Probe, Report, Seen, Spec, Standing, Subject, Verdict, watch};
use super::kept::{Legacy, Published};
use super::services::{Key, Planned};
use super::set::Member;
use crate::model::api::Registration;

/// How long a new instance waits for its checks before it is published as being out.
pub const SETTLE_TIME: Duration = Duration::from_secs(5);
/// Outcomes that may wait for the supervisor; the checks behind them wait, too.
const SEEN: usize = 256;

/// The instances.
#[derive(Debug)]
pub struct Roster {
    entries: BTreeMap<Key, Entry>,
    tasks: JoinSet<()>,
    seen: mpsc::Sender<Seen>,
    generation: u64,
    /// Whether all that was there at the start has settled once.
    started: bool,
    /// Whether an instance is published only once its checks have passed.
    passing_first: bool,
    /// What is still to be taken over from the agent before this one.
    legacy: Legacy,
}

/// One instance.
#[derive(Debug)]
pub struct Entry {
    /// What is wanted of it.
    pub planned: Planned,
    /// Its checks, in the order of the plan.
    pub checks: Vec<Checked>,
    generation: u64,
    came: Instant,
    published: Option<Member>,
    /// The check whose reason stands in what is published.
    blamed: Option<usize>,
    /// What the service said last of itself.
    reported: Option<Report>,
}

/// One check and where it stands.
#[derive(Debug)]
pub struct Checked {
    /// What it is.
    pub spec: Spec,
    /// Where it stands.
    pub standing: Standing,
    /// When its last probe ended.
    pub at: Option<Instant>,
    reports: latest::Sender<Option<Report>>,
    task: AbortHandle,
}

impl Drop for Checked {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What was known of an instance before its checks began anew.
struct Before {
    published: Option<Member>,
    /// The text of the check whose reason stands in it.
    blamed: Option<String>,
    reported: Option<Report>,
}

/// What the checks of an instance say together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    /// Some have not said anything yet.
    Unsettled,
    /// It may be in the answers.
    Serving,
    /// It may not.
    Out {
        /// The check that fails; none when one has not said anything for too long.
        check: Option<usize>,
        /// Why.
        why: String,
    },
}

impl Entry {
    /// What the plan says, or else its checks.
    pub fn judge(&self, now: Instant) -> Judged {
        if let Some(why) = &self.planned.registration.out {
            return Judged::Out { check: None, why: why.clone() };
        }
        let with = |verdict| self.checks.iter().position(|check| check.standing.verdict() == verdict);
        match (with(Verdict::Failing), with(Verdict::Unknown)) {
            (Some(at), _) => Judged::Out { check: Some(at), why: self.checks[at].standing.reason() },
            (None, None) => Judged::Serving,
            (None, Some(_)) if self.published.is_some() || now < self.came + SETTLE_TIME => Judged::Unsettled,
            (None, Some(at)) => {
                let why = format!("no result of the check {} yet", short(&self.checks[at].spec.text));
                Judged::Out { check: None, why }
            }
        }
    }

    /// What has to be published of it. While the same check fails, the reason stays as it was first: the set is sent
    /// again for a verdict, not for a count.
    fn publish(&mut self, now: Instant) {
        let (out, blamed) = match self.judge(now) {
            Judged::Unsettled => return,
            Judged::Serving => (None, None),
            Judged::Out { check, why } => (Some(why), check),
        };
        let before = self.published.take().and_then(|member| member.registration.out);
        let same = blamed.is_some() && blamed == self.blamed;
        let out = if same { before.or(out) } else { out };
        let Key { service, id } = self.planned.key.clone();
        self.blamed = blamed;
        let registration = Registration { out, ..self.planned.registration.clone() };
        self.published = Some(Member { service, id, registration });
    }

    /// What is published of it.
    pub fn published(&self) -> Option<&Member> {
        self.published.as_ref()
    }
}

/// The beginning of the text of a check, so that a reason with it is short and without control characters.
fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

impl Roster {
    /// No instances; outcomes of checks come out of the receiver and go into [`Roster::take`].
    pub fn new() -> (Self, mpsc::Receiver<Seen>) {
        let (seen, outcomes) = mpsc::channel(SEEN);
        let roster = Self {
            entries: BTreeMap::new(),
            tasks: JoinSet::new(),
            seen,
            generation: 0,
            started: false,
            passing_first: false,
            legacy: Legacy::default(),
        };
        (roster, outcomes)
    }

    /// From now on an instance is published only once its checks have passed for the first time.
    pub fn wait_for_passing(&mut self) {
        self.passing_first = true;
    }

    /// Goes on from where another agent was. What it had published stays as it is, planned or not, until all plans are
    /// known ([`Roster::forget`]).
    pub fn inherit(&mut self, legacy: Legacy) {
        self.legacy = legacy;
    }

    /// Whether everything is there that the agent before this one had published, whatever is planned by now.
    pub fn goes_on(&self) -> bool {
        self.legacy.epoch.is_some()
    }

    /// All that is planned is known: what else was published by the agent before this one has gone.
    pub fn forget(&mut self) {
        self.legacy = Legacy::default();
    }

    /// Makes the instances those of the plan, which names each key once. Checks that stay the same go on.
    pub fn plan(&mut self, planned: Vec<Planned>) {
        while self.tasks.try_join_next().is_some() {}
        let kept: HashSet<Key> = planned.iter().map(|one| one.key.clone()).collect();
        self.entries.retain(|key, _| {
            let keep = kept.contains(key);
            if !keep {
                tracing::info!(instance = %key, "is no longer planned");
            }
            keep
        });
        for one in planned {
            match self.entries.get_mut(&one.key) {
                Some(entry) if entry.planned == one => {}
                Some(entry) if entry.planned.checks == one.checks => {
                    tracing::info!(instance = %one.key, "has changed");
                    entry.planned = one;
                }
                Some(_) => {
                    tracing::info!(instance = %one.key, "has changed, with its checks");
                    self.enter(one);
                }
                None => {
                    tracing::info!(instance = %one.key, checks = one.checks.len(), "is planned");
                    self.enter(one);
                }
            }
        }
    }

    /// Adds an instance, or begins its checks anew; what is published of it stays.
    fn enter(&mut self, planned: Planned) {
        self.generation += 1;
        let generation = self.generation;
        let Before { published, blamed, reported } = self.before(&planned.key);
        let is_served = published.as_ref().is_some_and(|member| member.out().is_none());
        let port = u16::try_from(planned.registration.port).unwrap_or_default();
        let mut checks = Vec::with_capacity(planned.checks.len());
        for (check, spec) in planned.checks.iter().enumerate() {
            let subject = Subject { key: planned.key.clone(), port, check, generation };
            let (reports, news) = latest::channel(reported.clone());
            let task = self.tasks.spawn(watch(spec.clone(), subject, self.seen.clone(), news));
            let standing = if is_served { Standing::of_served() } else { Standing::default() };
            checks.push(Checked { spec: spec.clone(), standing, at: None, reports, task });
        }
        let blamed = blamed.and_then(|text| planned.checks.iter().position(|spec| spec.text == text));
        let entry = Entry { planned, checks, generation, came: Instant::now(), published, blamed, reported };
        self.entries.insert(entry.planned.key.clone(), entry);
    }

    /// Takes what was known of an instance until now, by this agent or the one before it.
    fn before(&mut self, key: &Key) -> Before {
        match self.entries.remove(key) {
            Some(mut entry) => Before {
                blamed: entry.blamed.map(|at| entry.checks[at].spec.text.clone()),
                published: entry.published.take(),
                reported: entry.reported.take(),
            },
            None => {
                let published = self.legacy.published.remove(key);
                let (published, blamed) = published.map(|one| (one.member, one.blamed)).unzip();
                Before { published, blamed: blamed.flatten(), reported: self.legacy.reports.remove(key) }
            }
        }
    }

    /// Takes what a probe found; whether a verdict is another one now.
    pub fn take(&mut self, seen: Seen) -> bool {
        let Seen { subject, outcome } = seen;
        let Some(entry) = self.entries.get_mut(&subject.key).filter(|entry| entry.generation == subject.generation)
        else {
            return false;
        };
        let Some(checked) = entry.checks.get_mut(subject.check) else { return false };
        let before = checked.standing.verdict();
        checked.at = Some(Instant::now());
        checked.standing.take(outcome, &checked.spec);
        let verdict = checked.standing.verdict();
        if before != verdict {
            let (check, detail) = (&checked.spec.text, checked.standing.reason());
            match verdict {
                Verdict::Failing => tracing::warn!(instance = %subject.key, check, "fails: {detail}"),
                _ => tracing::info!(instance = %subject.key, check, "passes: {detail}"),
            }
        }
        before != verdict
    }

    /// Hands a report to the checks that wait for one; how many there are.
    pub fn report(&mut self, key: &Key, report: &Report) -> usize {
        let Some(entry) = self.entries.get_mut(key) else { return 0 };
        let mut count = 0;
        for checked in entry.checks.iter().filter(|checked| matches!(checked.spec.probe, Probe::Report(_))) {
            checked.reports.send_replace(Some(report.clone()));
            count += 1;
        }
        entry.reported = (count > 0).then(|| report.clone());
        count
    }

    /// What is published of each instance, for the agent that comes after this one.
    pub fn published(&self) -> impl Iterator<Item = Published> {
        let planned = self.entries.values().filter_map(|entry| {
            let blamed = entry.blamed.map(|at| entry.checks[at].spec.text.clone());
            entry.published.clone().map(|member| Published { member, blamed })
        });
        planned.chain(self.legacy.published.values().cloned())
    }

    /// The last report of each service that reports itself.
    pub fn reports(&self) -> impl Iterator<Item = (&Key, &Report)> {
        self.entries.iter().filter_map(|(key, entry)| entry.reported.as_ref().map(|report| (key, report)))
    }

    /// The set as it has to be now, sorted by key; `None` while what was there at the start has not settled.
    pub fn members(&mut self, now: Instant) -> Option<Arc<[Member]>> {
        let waits = |entry: &Entry| entry.published.is_none() && entry.judge(now) == Judged::Unsettled;
        let settled = !self.entries.values().any(waits);
        self.started |= settled;
        if !self.started {
            return None;
        }
        for entry in self.entries.values_mut() {
            let waits = self.passing_first && entry.published.is_none();
            if !waits || entry.judge(now) == Judged::Serving {
                entry.publish(now);
            }
        }
        let planned = self.entries.iter().filter_map(|(key, entry)| Some((key, entry.published.as_ref()?)));
        let inherited = self.legacy.published.iter().map(|(key, one)| (key, &one.member));
        let all: BTreeMap<&Key, &Member> = inherited.chain(planned).collect();
        Some(all.into_values().cloned().collect())
    }

    /// When the next instance settles by itself.
    pub fn next_settling(&self, now: Instant) -> Option<Instant> {
        let waits = |entry: &&Entry| entry.published.is_none() && entry.judge(now) == Judged::Unsettled;
        self.entries.values().filter(waits).map(|entry| entry.came + SETTLE_TIME).min()
    }

    /// The instances, sorted by key.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }
}

#[cfg(test)]
mod tests;
