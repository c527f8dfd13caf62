//! Probes again and again, and says what each found.
//!
//! One task for each check; it holds nothing that outlives it. Until it has passed for the first time it asks in short
//! order, so that a service is answered soon after it has begun to listen; then at its interval, which varies by a
//! tenth, so that checks which began together do not stay together. A report waits when nobody takes it: a probe is
//! never lost, only late.

use std::path::Path;
use std::time::Duration;

use tokio::sync::{mpsc, watch as latest};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::super::jitter::about;
use super::super::services::Key;
use super::process::Watched;
use super::{Outcome, Probe, Report, Spec, exec, grpc, http, tcp};

/// The first wait of a check that has not passed yet; it doubles up to the interval.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest wait before a file with a process number is read again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What a check belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The instance.
    pub key: Key,
    /// Its port.
    pub port: u16,
    /// Which of its checks.
    pub check: usize,
    /// Which set of checks of the instance: those of an older one are no longer heard.
    pub generation: u64,
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Of which check.
    pub subject: Subject,
    /// What.
    pub outcome: Outcome,
}

/// Where outcomes go.
struct Out {
    subject: Subject,
    seen: mpsc::Sender<Seen>,
}

impl Out {
    /// False when nobody listens any more.
    async fn say(&self, outcome: Outcome) -> bool {
        self.seen.send(Seen { subject: self.subject.clone(), outcome }).await.is_ok()
    }
}

/// Runs one check until it is dropped or nobody listens. `reports` brings what the service says itself.
pub async fn watch(spec: Spec, subject: Subject, seen: mpsc::Sender<Seen>, reports: latest::Receiver<Option<Report>>) {
    let out = Out { subject, seen };
    match &spec.probe {
        Probe::Process(path) => process(path, &spec, &out).await,
        Probe::Report(ttl) => report(*ttl, reports, &out).await,
        _ => again_and_again(&spec, &out).await,
    }
}

async fn again_and_again(spec: &Spec, out: &Out) {
    let mut pause = FIRST_PAUSE.min(spec.interval);
    loop {
        let outcome = timeout(spec.timeout, once(&spec.probe, &out.subject)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(format!("{}: no result within {:?}", spec.text, spec.timeout)));
        let passed = outcome.is_ok();
        if !out.say(outcome).await {
            return;
        }
        pause = if passed { spec.interval } else { pause };
        sleep(about(pause)).await;
        pause = (pause * 2).min(spec.interval);
    }
}

async fn once(probe: &Probe, subject: &Subject) -> Outcome {
    match probe {
        Probe::Tcp(target) => tcp::probe(target).await,
        Probe::Http(probe) => http::probe(probe).await,
        Probe::Grpc(probe) => grpc::probe(probe).await,
        Probe::Exec(command) => exec::probe(command, subject).await,
        Probe::Process(_) | Probe::Report(_) => unreachable!("these wait for an event and are not asked"),
    }
}

/// Says when the process of the file lives and when it has ended.
async fn process(path: &Path, spec: &Spec, out: &Out) {
    let pause = spec.interval.min(LOOK_AGAIN);
    let mut ended = None;
    loop {
        let outcome = match Watched::of_file(path, ended.as_ref()).await {
            Ok(watched) => {
                if !out.say(Ok(format!("process {} lives", watched.number()))).await {
                    return;
                }
                match end_of(&watched, path, pause).await {
                    Some(end) => {
                        ended = Some(watched.told);
                        Err(end)
                    }
                    None => continue,
                }
            }
            Err(why) => Err(why),
        };
        if !out.say(outcome).await {
            return;
        }
        sleep(pause).await;
    }
}

/// How the process ended, or `None` when the file has been written anew.
async fn end_of(watched: &Watched, path: &Path, pause: Duration) -> Option<String> {
    loop {
        tokio::select! {
            () = watched.ended() => return Some(format!("process {} has ended", watched.number())),
            () = sleep(pause) => if watched.is_replaced(path).await { return None },
        }
    }
}

/// Passes on what the service says, and says when it has been silent for too long.
async fn report(ttl: Duration, mut reports: latest::Receiver<Option<Report>>, out: &Out) {
    let silence = || Err(format!("no report within {ttl:?}"));
    loop {
        let last = reports.borrow_and_update().clone();
        let until = last.as_ref().map_or_else(Instant::now, |report| report.at) + ttl;
        if let Some(report) = last.filter(|_| Instant::now() < until)
            && !out.say(report.outcome()).await
        {
            return;
        }
        tokio::select! {
            changed = reports.changed() => if changed.is_err() { return },
            () = sleep_until(until) => {
                if !out.say(silence()).await || reports.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}
