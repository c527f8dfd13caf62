//! `zonebeat held` and `release`: what the guard keeps in the answers, and letting go of it.

use clap::Args;

use super::connection::ConnectionArgs;
use super::list::instances_table;
use super::output::{print, since};
use super::{Failure, examples, values};
use crate::model::Clock;
use crate::model::api::{HeldList, ReleaseOrder};
use crate::model::clock::SystemClock;

/// List what the guard holds: instances that are answered although they are silent
#[derive(Debug, Clone, Args)]
#[command(after_help = examples!["zonebeat held", "zonebeat held --json"])]
pub struct HeldArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Let instances lapse now that the guard holds
///
/// Held instances leave the answers at once. With --fleet the lapses of the whole fleet are held no more; the guard of
/// each service goes on.
#[derive(Debug, Clone, Args)]
#[command(after_help = examples![
    "zonebeat release search a4 --reason \"its host is gone\"",
    "zonebeat release search",
    "zonebeat release --fleet",
], override_usage = "zonebeat release [OPTIONS] <SERVICE> [ID]\n       zonebeat release [OPTIONS] --fleet")]
pub struct ReleaseArgs {
    /// Service whose held instances are to lapse
    #[arg(value_parser = values::service, required_unless_present = "fleet")]
    service: Option<String>,

    /// Only this instance of it
    #[arg(value_parser = values::instance)]
    id: Option<String>,

    /// The whole fleet instead
    #[arg(long, conflicts_with = "service")]
    fleet: bool,

    /// Why, for the history
    #[arg(long, value_name = "TEXT", value_parser = values::reason)]
    reason: Option<String>,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Prints what is held.
pub async fn held(args: &HeldArgs) -> Result<(), Failure> {
    let reply = args.connection.client()?.held().await?;
    if args.connection.json {
        return Ok(print(&reply.text)?);
    }
    Ok(print(&page(&reply.body))?)
}

fn page(list: &HeldList) -> String {
    let fleet = list.fleet.as_ref().map(|fleet| {
        let ago = since(fleet.since, SystemClock::new().wall());
        format!("the lapses of the whole fleet are held: {} of {} sessions silent, {ago}", fleet.silent, fleet.sessions)
    });
    let mut parts: Vec<String> = fleet.into_iter().collect();
    for of_one in list.instances.chunk_by(|a, b| a.service == b.service) {
        parts.push(format!("{}\n{}", of_one[0].service, instances_table(of_one)));
    }
    if parts.is_empty() { "nothing is held".to_owned() } else { parts.join("\n\n") }
}

/// Releases.
pub async fn release(args: &ReleaseArgs) -> Result<(), Failure> {
    let ReleaseArgs { service, id, fleet, reason, connection } = args;
    let order = ReleaseOrder { service: service.clone(), id: id.clone(), fleet: *fleet, reason: reason.clone() };
    let reply = connection.client()?.release(&order).await?;
    if connection.json {
        return Ok(print(&reply.text)?);
    }
    let what = match reply.body.changed {
        true => format!("released (revision {})", reply.body.revision),
        false => "nothing of it was held".to_owned(),
    };
    Ok(print(&what)?)
}
