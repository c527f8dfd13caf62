//! `zonebeat status`: how a server and its registry are.

use clap::Args;

use super::connection::ConnectionArgs;
use super::output::{eprint, octets, print, since, table};
use super::{Failure, examples};
use crate::model::api::{GuardStatus, ServerStatus, Status, StoreStatus, ZoneInfo};
use crate::model::clock::SystemClock;
use crate::model::{Clock, Timestamp};

/// Show how the server is: version, store, sessions, guard, zones, and every server of the registry
///
/// Ends with 1 if the server that answers is not ready.
#[derive(Debug, Clone, Args)]
#[command(after_help = examples!["zonebeat status", "zonebeat status --json"])]
pub struct StatusArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Prints it.
pub async fn run(args: &StatusArgs) -> Result<(), Failure> {
    let reply = args.connection.client()?.status().await?;
    match args.connection.json {
        true => print(&reply.text)?,
        false => print(&page(&reply.body, &reply.server, SystemClock::new().wall()))?,
    }
    if reply.body.ready {
        return Ok(());
    }
    if !args.connection.json {
        eprint(&format!("zonebeat: {} is not ready", reply.body.id));
    }
    Err(Failure::Reported)
}

fn page(status: &Status, server: &str, now: Timestamp) -> String {
    [facts(status, server, now), zones(&status.zones), servers(&status.servers)].join("\n\n")
}

/// One fact a line.
fn facts(status: &Status, server: &str, now: Timestamp) -> String {
    let counts = &status.instances;
    let mut lines = vec![
        (
            "server",
            format!("{}, version {}, {server}, started {}", status.id, status.version, since(status.since, now)),
        ),
        ("ready", ready(status)),
        ("revision", revision(status)),
        ("store", store(&status.store)),
        ("services", status.services.to_string()),
        (
            "instances",
            format!(
                "{} serving, {} held, {} out, {} drained, {} lapsed",
                counts.serving, counts.held, counts.out, counts.drained, counts.lapsed
            ),
        ),
        ("sessions", status.sessions.to_string()),
        ("guard", guard(&status.guard, now)),
    ];
    let backup = status.backup.map(|backup| format!("revision {}, {}", backup.revision, since(backup.made, now)));
    lines.push(("backup", backup.unwrap_or_else(|| "none since this server was started".to_owned())));
    let lines: Vec<String> = lines.into_iter().map(|(fact, text)| format!("{fact:<10}{text}")).collect();
    lines.join("\n")
}

fn ready(status: &Status) -> String {
    if status.ready { "yes".to_owned() } else { format!("no: {}", status.reasons.join("; ")) }
}

fn revision(status: &Status) -> String {
    match status.view_revision {
        Some(view) if view != status.revision => format!("{}, answers contain {view}", status.revision),
        _ => status.revision.to_string(),
    }
}

fn store(store: &StoreStatus) -> String {
    let kind = store.kind.as_deref().unwrap_or("not opened");
    let mut text = match &store.identity {
        Some(identity) => format!("{kind} {identity}"),
        None => kind.to_owned(),
    };
    if let Some(size) = store.octets {
        text += &format!(", {}", octets(size));
    }
    text += if store.writable { ", takes writes" } else { ", takes no writes" };
    if store.behind_octets > 0 {
        text += &format!(", {} in its journal", octets(store.behind_octets));
    }
    if let Some(trouble) = &store.trouble {
        text += &format!(": {trouble}");
    }
    text
}

fn guard(guard: &GuardStatus, now: Timestamp) -> String {
    let held = match guard.held {
        0 => "holds nothing".to_owned(),
        held => format!("holds {held} instances"),
    };
    match &guard.fleet {
        Some(fleet) => format!(
            "holds the lapses of the whole fleet: {} of {} sessions silent, since {}",
            fleet.silent,
            fleet.sessions,
            since(fleet.since, now)
        ),
        None => held,
    }
}

fn zones(zones: &[ZoneInfo]) -> String {
    if zones.is_empty() {
        return "no zones".to_owned();
    }
    let answered = |zone: &ZoneInfo| match (zone.readable, zone.ready) {
        (false, _) => "no: its file has an error",
        (true, false) => "no: not loaded",
        (true, true) => "yes",
    };
    let row = |zone: &ZoneInfo| [zone.name.clone(), zone.kind.clone(), zone.serial.to_string(), answered(zone).into()];
    table(["ZONE", "KIND", "SERIAL", "ANSWERED"], zones.iter().map(row))
}

fn servers(servers: &[ServerStatus]) -> String {
    let row = |server: &ServerStatus| {
        let lag = format!("{:.1} s", server.lag_seconds);
        [server.id.clone(), server.revision.to_string(), lag, server.sessions.to_string()]
    };
    table(["SERVER", "REVISION", "LAG", "SESSIONS"], servers.iter().map(row))
}
