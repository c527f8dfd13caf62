//! Where the instances of a host come from: the folder of files and the containers of its engines.
//!
//! What it holds: what the files planned when they were read last, and the engines' latest. Files count before
//! containers, the first engine before the next. Only the supervisor reads the folder again; each engine is followed by
//! a task of its own, which ends with this.
//!
//! The set is not known before the folder could be read once and every engine has told its containers: a set without
//! them would deregister what an agent before this one had registered. An agent that goes on from where that one was
//! knows it all the same (`kept`). One that cannot: where an engine does not answer, the files wait for it no longer
//! than the lease allows; without files there is nothing to send, and the lease decides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::containers::{Follower, Known};
use super::folder::{Folder, Watcher};
use super::services::{Key, Planned};
use super::set::Member;
use crate::model::{Finding, Place};

/// The longest that files wait for an engine.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How many reasons stand in one change.
const REASONS: usize = 3;

/// All sources of one host.
#[derive(Debug, Default)]
pub(super) struct Sources {
    folder: Option<(Folder, Watcher)>,
    files: Vec<Planned>,
    engines: Option<watch::Receiver<Vec<Known>>>,
    /// Until when files wait for engines.
    wait: Option<Instant>,
    tasks: JoinSet<()>,
    /// What was said to be wrong, in files and in labels.
    said: Vec<Finding>,
    /// How many of these are about files, which come first.
    of_files: usize,
}

impl Sources {
    /// Follows a folder and engines. `lease` bounds how long files wait for an engine.
    pub(super) fn follow(folder: Folder, followers: Vec<Follower>, lease: Duration) -> Self {
        let watcher = Watcher::new(folder.path().to_owned());
        let mut sources = Self { folder: Some((folder, watcher)), ..Self::default() };
        if !followers.is_empty() {
            let (known, engines) = watch::channel(vec![Known::default(); followers.len()]);
            let known = Arc::new(known);
            for (at, follower) in followers.into_iter().enumerate() {
                sources.tasks.spawn(follower.follow(at, known.clone()));
            }
            sources.engines = Some(engines);
            sources.wait = Some(Instant::now() + (lease * 2 / 3).min(LONGEST_WAIT));
        }
        sources.read_folder();
        sources
    }

    /// Waits until something may have changed, and reads it; for ever when nothing can.
    pub(super) async fn changed(&mut self) {
        let Self { folder, engines, .. } = self;
        let of_folder = async {
            match folder {
                Some((_, watcher)) => watcher.changed().await,
                None => std::future::pending().await,
            }
        };
        let of_engines = async {
            if let Some(engines) = engines
                && engines.changed().await.is_ok()
            {
                return;
            }
            // The followers end with us, not before.
            std::future::pending().await
        };
        tokio::select! {
            () = of_folder => self.read_folder(),
            () = of_engines => {}
        }
    }

    /// Reads the files again.
    pub(super) fn read_folder(&mut self) {
        if let Some((folder, _)) = &mut self.folder {
            self.files = folder.read();
        }
    }

    /// What all of them plan, each key once. Says what is wrong when that is something else than before.
    pub(super) fn plan(&mut self) -> Vec<Planned> {
        let mut findings = self.folder.as_ref().map(|(folder, _)| folder.findings()).unwrap_or_default();
        let mut planned: BTreeMap<Key, Planned> = BTreeMap::new();
        planned.extend(self.files.iter().map(|one| (one.key.clone(), one.clone())));
        let of_files = findings.len();
        for known in self.engines().iter() {
            findings.extend(known.findings.iter().cloned());
            for one in &known.planned {
                match planned.get(&one.key) {
                    None => {
                        planned.insert(one.key.clone(), one.clone());
                    }
                    Some(first) => {
                        let message =
                            format!("instance {} stands in {} already; give it another id", one.key, first.file);
                        findings.push(Finding::error(Place::whole(&one.file), message));
                    }
                }
            }
        }
        self.say(findings, of_files);
        planned.into_values().collect()
    }

    fn say(&mut self, findings: Vec<Finding>, of_files: usize) {
        for (at, finding) in findings.iter().enumerate().filter(|(_, finding)| !self.said.contains(finding)) {
            match at < of_files {
                true => tracing::error!("{finding}; what it said before is kept"),
                false => tracing::error!("{finding}; it is left out"),
            }
        }
        if findings.is_empty() && !self.said.is_empty() {
            tracing::info!("everything that plans instances can be read again");
        }
        (self.said, self.of_files) = (findings, of_files);
    }

    /// Everything that is wrong now.
    pub(super) fn findings(&self) -> &[Finding] {
        &self.said
    }

    /// The files that something is wrong in: what they say now is not what the session has.
    pub(super) fn broken(&self) -> BTreeSet<&str> {
        self.said[..self.of_files].iter().map(|finding| &*finding.place.file).collect()
    }

    /// The engines as they are known now.
    pub(super) fn engines(&self) -> Vec<Known> {
        self.engines.as_ref().map(|engines| engines.borrow().clone()).unwrap_or_default()
    }

    /// Whether every file could be read, and every engine has told its containers.
    pub(super) fn are_read(&self) -> bool {
        let files = self.folder.as_ref().is_none_or(|(folder, _)| folder.is_known());
        files && self.engines.as_ref().is_none_or(|engines| engines.borrow().iter().all(|known| known.complete))
    }

    /// Whether what they plan is everything, as far as can be known in time.
    pub(super) fn are_known(&self, now: Instant) -> bool {
        if self.folder.as_ref().is_some_and(|(folder, _)| !folder.is_listed()) {
            return false;
        }
        let all = self.engines.as_ref().is_none_or(|engines| engines.borrow().iter().all(|known| known.complete));
        all || (!self.files.is_empty() && self.wait.is_none_or(|until| until <= now))
    }

    /// When that changes by itself.
    pub(super) fn next_deadline(&self, now: Instant) -> Option<Instant> {
        self.wait.filter(|until| *until > now && !self.are_known(now))
    }

    /// Why members leave that are not in `stay`, as history shows it.
    pub(super) fn why_left(&self, before: &[Member], stay: &[Member]) -> Option<Arc<str>> {
        let engines = self.engines();
        let left = before.iter().map(Member::key).filter(|key| stay.iter().all(|member| member.key() != *key));
        let mut reasons: Vec<&str> =
            left.filter_map(|key| engines.iter().find_map(|known| known.left.get(&key))).map(String::as_str).collect();
        reasons.sort_unstable();
        reasons.dedup();
        let more =
            if reasons.len() > REASONS { format!("; and {} more", reasons.len() - REASONS) } else { String::new() };
        reasons.truncate(REASONS);
        let text = (!reasons.is_empty()).then(|| reasons.join("; ") + &more)?;
        // Three reasons of 200 octets may be more than a server takes.
        Some(if text.len() > 500 { reasons[0].into() } else { text.into() })
    }
}
