//! What the agent says about itself: the document of `zonebeat agent status`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::containers::Known;
use super::roster::{Entry, Judged};
use super::services::Key;
use super::session::{self, Identity};
use super::set::Member;
use crate::model::api::InstanceInfo;
use crate::model::{Finding, SetWeight, State};

/// The whole document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Name of the session.
    pub session: String,
    /// Its epoch: another one for each life of the session.
    pub epoch: String,
    /// `running`, `draining` or `leaving`.
    pub phase: String,
    /// Whether the server has exactly what this host wants, as far as it was heard.
    pub in_sync: bool,
    /// What differs, one sentence each.
    pub differs: Vec<String>,
    /// The server that answered last.
    pub server: Option<String>,
    /// Seconds since it did.
    pub heard_seconds_ago: Option<f64>,
    /// Why nobody answers, or what else is wrong.
    pub trouble: Option<String>,
    /// The instances, sorted.
    pub instances: Vec<InstanceStatus>,
    /// What is wrong in the files of services and in labels of containers, one line each.
    pub findings: Vec<String>,
    /// The container engines that are followed.
    #[serde(default)]
    pub engines: Vec<EngineStatus>,
}

/// A container engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineStatus {
    /// Its socket, or where that is looked for.
    pub engine: String,
    /// How many of its containers have labels of ours.
    pub containers: usize,
    /// Why it tells nothing now; what is known of it stays.
    pub trouble: Option<String>,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceStatus {
    /// Service label.
    pub service: String,
    /// Instance label.
    pub id: String,
    /// `serving`, `out`, `waiting` for its checks, or `refused` by the server; or what the server says otherwise:
    /// `drained`, `held`, `lapsed`.
    pub state: String,
    /// Why it is not serving.
    pub reason: Option<String>,
    /// The weight that an operator gave it at the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_weight: Option<SetWeight>,
    /// The file that plans it, or `container NAME`.
    pub file: String,
    /// Its checks.
    pub checks: Vec<CheckStatus>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckStatus {
    /// As it was written.
    pub check: String,
    /// `passing`, `failing` or `unknown`.
    pub state: String,
    /// What the last probe found.
    pub detail: String,
    /// How many in a row found the same.
    pub row: u32,
    /// Seconds since the last probe ended.
    pub seconds_ago: Option<f64>,
}

/// Makes the document. `wanted` is the set that the session is to have.
pub(super) fn describe<'e>(
    identity: &Identity,
    phase: &str,
    state: &session::State,
    wanted: Option<&[Member]>,
    entries: impl Iterator<Item = &'e Entry>,
) -> Status {
    let now = Instant::now();
    let differs = differences(state, wanted);
    Status {
        session: identity.session.clone(),
        epoch: identity.epoch.clone(),
        phase: phase.to_owned(),
        in_sync: differs.is_empty() && state.trouble.is_none(),
        differs,
        server: state.server.clone(),
        heard_seconds_ago: state.heard.map(|heard| (now - heard).as_secs_f64()),
        trouble: state.trouble.clone(),
        instances: entries.map(|entry| instance(entry, state, now)).collect(),
        findings: Vec::new(),
        engines: Vec::new(),
    }
}

impl Status {
    /// With what is known of where the instances come from.
    pub(super) fn with_sources(mut self, findings: &[Finding], broken: &BTreeSet<&str>, engines: &[Known]) -> Self {
        self.findings = findings.iter().map(ToString::to_string).collect();
        self.in_sync &= broken.is_empty();
        self.differs.extend(broken.iter().map(|file| format!("{file} is not taken over as it is now")));
        for Known { engine, containers, trouble, complete, .. } in engines {
            let differs = match (trouble, complete) {
                (None, true) => None,
                (Some(_), true) => {
                    Some(format!("containers of {engine} are not followed; what is known of them stays"))
                }
                (_, false) => Some(format!("containers of {engine} are not known yet")),
            };
            self.in_sync &= differs.is_none();
            self.differs.extend(differs);
            let (engine, containers, trouble) = (engine.clone(), *containers, trouble.clone());
            self.engines.push(EngineStatus { engine, containers, trouble });
        }
        self
    }
}

impl Status {
    /// Whether a server has answered, and the last call to one did not fail.
    pub(super) fn is_heard(&self) -> bool {
        self.server.is_some() && self.trouble.is_none()
    }

    /// With what the server says of the instances.
    pub(super) fn with_standing(mut self, standing: &[InstanceInfo]) -> Self {
        for own in &mut self.instances {
            let is_own = |info: &&InstanceInfo| info.service == own.service && info.id == own.id;
            let Some(info) = standing.iter().find(is_own).filter(|_| own.state != "refused") else { continue };
            if [State::Drained, State::Held, State::Lapsed].iter().any(|state| *state.as_str() == *info.state) {
                own.state.clone_from(&info.state);
                own.reason.clone_from(&info.reason);
            }
            own.set_weight.clone_from(&info.set_weight);
            own.reason = match (own.reason.take(), info.set_weight.as_ref().map(|set| weighted(info.weight, set))) {
                (Some(reason), Some(weighted)) => Some(format!("{reason}; {weighted}")),
                (reason, weighted) => reason.or(weighted),
            };
        }
        self
    }
}

fn weighted(registered: u16, set: &SetWeight) -> String {
    let reason = if set.mark.reason.is_empty() { String::new() } else { format!(": {}", set.mark.reason) };
    format!("weight {} instead of {registered} by {}{reason}", set.weight, set.mark.author)
}

/// What the server does not have as it is wanted.
fn differences(state: &session::State, wanted: Option<&[Member]>) -> Vec<String> {
    let Some(wanted) = wanted else { return vec!["the checks have not settled yet".to_owned()] };
    let nothing: &[Member] = &[];
    let accepted = state.accepted.as_deref().unwrap_or(nothing);
    let find = |set: &[Member], key: &Key| set.iter().find(|member| member.key() == *key).cloned();
    let mut differs = Vec::new();
    for member in wanted {
        let key = member.key();
        match (state.refused.get(&key), find(accepted, &key)) {
            (Some(refusal), _) => differs.push(format!("{key} was refused: {}", refusal.why)),
            (None, None) => differs.push(format!("{key} is not registered yet")),
            (None, Some(known)) if known != *member => differs.push(format!("{key} has changed and is not sent yet")),
            (None, Some(_)) => {}
        }
    }
    let gone = accepted.iter().filter(|known| find(wanted, &known.key()).is_none());
    differs.extend(gone.map(|known| format!("{} is not deregistered yet", known.key())));
    differs
}

fn instance(entry: &Entry, state: &session::State, now: Instant) -> InstanceStatus {
    let key = &entry.planned.key;
    let refused = state.refused.get(key).map(|refusal| refusal.why.clone());
    let published = entry.published().and_then(Member::out).map(str::to_owned);
    let (word, reason) = match (refused, entry.judge(now)) {
        (Some(why), _) => ("refused", Some(why)),
        (None, Judged::Unsettled) if entry.published().is_some() => {
            (if published.is_some() { "out" } else { "serving" }, published)
        }
        (None, Judged::Unsettled) => ("waiting", Some("its checks have not settled yet".to_owned())),
        (None, Judged::Serving) => ("serving", None),
        (None, Judged::Out { why, .. }) => ("out", Some(published.unwrap_or(why))),
    };
    let checks = entry.checks.iter().map(|check| CheckStatus {
        check: check.spec.text.clone(),
        state: check.standing.verdict().as_str().to_owned(),
        detail: check.standing.detail().to_owned(),
        row: check.standing.row(),
        seconds_ago: check.at.map(|at| (now - at).as_secs_f64()),
    });
    InstanceStatus {
        service: key.service.clone(),
        id: key.id.clone(),
        state: word.to_owned(),
        reason,
        set_weight: None,
        file: entry.planned.file.to_string(),
        checks: checks.collect(),
    }
}
