//! What outlives the agent's process: the life of its session, what was published of each instance, and reports.
//!
//! What it holds: the epoch, the members as they were published and which check is to blame for one that is out, and
//! the last report of each service. Shape: one JSON file beside the socket (`agent.sock` has `agent.state`), replaced as a
//! whole by a rename. Only the supervisor writes it: before an instance is registered that was not, soon after another
//! change, every third of the lease, and when it ends.
//!
//! Who starts within the lease goes on with the same session as it stands: same epoch, so that the server finds nothing
//! changed, and each instance as it was published until its checks have spoken. Who comes later, or after the host was
//! started, has a new session; a report holds for what is left of its own time. Times are of the clock that counts from
//! the start of the host, sleep included, so nothing here minds a change of the wall clock.
//!
//! It is never needed: lost, broken or not writable, the agent starts as if it were new. A crash loses at most verdicts
//! and reports of within `SOON`. Nothing in it is secret; it is for the agent's user alone all the same.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::check::Report;
use super::roster::Roster;
use super::services::Key;
use super::session::Identity;
use super::set::Member;

/// How long changes may wait for others before they are written.
const SOON: Duration = Duration::from_secs(1);
/// What Linux calls this start of the host.
const BOOT_FILE: &str = "/proc/sys/kernel/random/boot_id";
/// Seconds since then.
const UPTIME_FILE: &str = "/proc/uptime";

/// The file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Document {
    session: String,
    boot: String,
    /// When it was written, in seconds since the host was started.
    written: f64,
    /// Of the session; missing when it was deregistered.
    epoch: Option<String>,
    published: Vec<Published>,
    reports: Vec<Reported>,
}

/// An instance as it was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// What the session has.
    pub member: Member,
    /// The text of the check whose reason it is out for.
    pub blamed: Option<String>,
}

/// A report as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Reported {
    service: String,
    id: String,
    passing: bool,
    note: String,
    /// In seconds since the host was started.
    at: f64,
}

/// What an agent left behind for the one that comes after it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Legacy {
    /// The epoch of its session, if the lease cannot have run out since.
    pub epoch: Option<String>,
    /// What it had published, then.
    pub published: BTreeMap<Key, Published>,
    /// What services had said of themselves.
    pub reports: BTreeMap<Key, Report>,
}

/// Writes the file.
#[derive(Debug)]
pub(super) struct Keeper {
    path: PathBuf,
    session: String,
    boot: String,
    refresh: Duration,
    due: Instant,
    /// Somebody was told that it cannot be written.
    complained: bool,
}

impl Keeper {
    /// For the agent whose socket is there; also what the agent before it left behind.
    pub(super) fn beside(socket: &Path, identity: &Identity) -> (Self, Legacy) {
        let path = socket.with_extension("state");
        let lease = Duration::from_secs(identity.lease_seconds.unsigned_abs());
        let boot = std::fs::read_to_string(BOOT_FILE).unwrap_or_default().trim().to_owned();
        let found = std::fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str::<Document>(&text).ok());
        let found = found.filter(|found| found.session == identity.session && found.boot == boot);
        let legacy = found.map(|found| inherit(found, uptime(), lease)).unwrap_or_default();
        let session = identity.session.clone();
        let keeper = Self { path, session, boot, refresh: lease / 3, due: Instant::now(), complained: false };
        (keeper, legacy)
    }

    /// Something has changed.
    pub(super) fn note(&mut self) {
        self.due = self.due.min(Instant::now() + SOON);
    }

    /// When it is to be written next.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Writes it. `epoch` is missing when the session has been deregistered; then nothing of it goes on.
    pub(super) fn write(&mut self, epoch: Option<&str>, roster: &Roster) {
        self.due = Instant::now() + self.refresh;
        match self.try_to_write(epoch, roster) {
            Ok(()) => self.complained = false,
            Err(error) => {
                if !std::mem::replace(&mut self.complained, true) {
                    tracing::warn!("cannot write {}: {error}; a restart will not go on from here", self.path.display());
                }
            }
        }
    }

    fn try_to_write(&self, epoch: Option<&str>, roster: &Roster) -> io::Result<()> {
        let (now, clock) = (Instant::now(), uptime());
        let reported = |(key, report): (&Key, &Report)| Reported {
            service: key.service.clone(),
            id: key.id.clone(),
            passing: report.passing,
            note: report.note.clone(),
            at: clock - now.saturating_duration_since(report.at).as_secs_f64(),
        };
        let document = Document {
            session: self.session.clone(),
            boot: self.boot.clone(),
            written: clock,
            epoch: epoch.map(str::to_owned),
            published: if epoch.is_some() { roster.published().collect() } else { Vec::new() },
            reports: roster.reports().map(reported).collect(),
        };
        let draft = self.path.with_extension("state.new");
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(serde_json::to_string(&document)?.as_bytes())?;
        std::fs::rename(&draft, &self.path)
    }
}

/// What of a file still holds.
fn inherit(found: Document, clock: f64, lease: Duration) -> Legacy {
    let now = Instant::now();
    let age = |at: f64| Duration::try_from_secs_f64(clock - at).ok();
    let goes_on = age(found.written).is_some_and(|age| age < lease);
    let report = |kept: Reported| {
        let at = now.checked_sub(age(kept.at)?)?;
        let report = Report { passing: kept.passing, note: kept.note, at };
        Some((Key { service: kept.service, id: kept.id }, report))
    };
    let published = found.published.into_iter().map(|one| (one.member.key(), one));
    Legacy {
        epoch: found.epoch.filter(|_| goes_on),
        published: if goes_on { published.collect() } else { BTreeMap::new() },
        reports: found.reports.into_iter().filter_map(report).collect(),
    }
}

/// Seconds since the host was started.
pub(super) fn uptime() -> f64 {
    let text = std::fs::read_to_string(UPTIME_FILE).unwrap_or_default();
    text.split(' ').next().and_then(|seconds| seconds.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Document {
        let member = Member { service: "search".into(), id: "a1".into(), ..Member::default() };
        let reported =
            Reported { service: "search".into(), id: "a1".into(), passing: true, note: String::new(), at: 80.0 };
        Document {
            session: "host-17".into(),
            boot: "b".into(),
            written: 100.0,
            epoch: Some("e".into()),
            published: vec![Published { member, blamed: None }],
            reports: vec![reported],
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_goes_on_within_its_lease_and_a_report_for_its_time() {
        tokio::time::advance(Duration::from_secs(1000)).await;
        let lease = Duration::from_secs(15);
        let soon = inherit(document(), 110.0, lease);
        assert_eq!((soon.epoch.as_deref(), soon.published.len()), (Some("e"), 1));
        let report = soon.reports.values().next().expect("a report");
        assert_eq!(report.at, Instant::now() - Duration::from_secs(30));
        let late = inherit(document(), 115.0, lease);
        assert_eq!((late.epoch, late.published.len(), late.reports.len()), (None, 0, 1));
        let ahead = inherit(document(), 90.0, lease);
        assert_eq!((ahead.epoch, ahead.reports.len()), (None, 1), "a clock that went back counts for nothing");
    }
}
