//! The status of an agent, for people.

use super::super::output::{printable, seconds_ago, table};
use crate::agent::status::{InstanceStatus, Status};

/// The document as text: what differs, then a line for each check.
pub(super) fn text(status: &Status) -> String {
    let mut lines = Vec::new();
    let state = if status.in_sync { "in sync" } else { "not in sync" };
    let server = match (&status.server, status.heard_seconds_ago) {
        (Some(server), Some(seconds)) => format!(" with {server}, heard {}", seconds_ago(seconds)),
        _ => ", no server has answered yet".to_owned(),
    };
    let phase = if status.phase == "running" { String::new() } else { format!(" ({})", status.phase) };
    lines.push(format!("session {}{phase}: {state}{server}", status.session));
    lines.extend(status.trouble.iter().map(|trouble| format!("trouble: {trouble}")));
    let troubled = status.engines.iter().filter_map(|one| Some((&one.engine, one.trouble.as_ref()?)));
    lines.extend(troubled.map(|(engine, trouble)| format!("trouble: containers of {engine}: {trouble}")));
    lines.extend(status.differs.iter().map(|line| format!("differs: {line}")));
    lines.extend(status.findings.iter().map(|line| format!("wrong: {line}")));
    let mut text: String = lines.iter().map(|line| printable(line) + "\n").collect();
    if !status.instances.is_empty() {
        let rows = status.instances.iter().flat_map(rows);
        text.push_str(&table(["SERVICE", "ID", "FROM", "STATE", "CHECK", "RESULT", "LAST", "WHY"], rows));
    }
    text
}

/// A line for each check of an instance; the instance itself stands in the first.
fn rows(instance: &InstanceStatus) -> Vec<[String; 8]> {
    let InstanceStatus { service, id, state, reason, file, .. } = instance;
    let from = file.rsplit('/').next().unwrap_or(file).to_owned();
    let reason = reason.clone().unwrap_or_default();
    let mut rows: Vec<[String; 8]> = Vec::with_capacity(instance.checks.len().max(1));
    for check in &instance.checks {
        let last = check.seconds_ago.map(seconds_ago).unwrap_or_default();
        let result = check.state.clone();
        rows.push([
            String::new(),
            String::new(),
            String::new(),
            String::new(),
            check.check.clone(),
            result,
            last,
            check.detail.clone(),
        ]);
    }
    if rows.is_empty() {
        rows.push(std::array::from_fn(|_| String::new()));
    }
    let first = &mut rows[0];
    [first[0], first[1], first[2], first[3]] = [service.clone(), id.clone(), from, state.clone()];
    if !reason.is_empty() {
        first[7] = reason;
    }
    rows
}
