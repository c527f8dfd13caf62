//! `zonebeat store`: stores as a whole, without a server.

use clap::{Args, Subcommand};
use serde_json::json;

use super::backup::count;
use super::output::{Progress, print};
use super::{Failure, examples};
use crate::registry::store::Place;
use crate::registry::store::whole::{Counts, move_all};

/// Work on stores of stopped servers
#[derive(Debug, Clone, Args)]
#[command(after_help = examples![
    "zonebeat store migrate --from embedded:/var/lib/zonebeat --to embedded:/srv/zonebeat",
])]
pub struct StoreArgs {
    #[command(subcommand)]
    command: StoreCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum StoreCommand {
    Migrate(MigrateArgs),
}

/// Copy everything of one store into another that does not exist yet
///
/// Rows, history and the revision: instances keep their incarnations and sessions, so agents go on without registering
/// again, and their leases start full. Stop the servers before, and start them on the new store: what the old one takes
/// afterwards is not in the new one. The old one stays as it was.
#[derive(Debug, Clone, Args)]
#[command(after_help = examples![
    "zonebeat store migrate --from embedded:/var/lib/zonebeat --to embedded:/srv/zonebeat",
])]
struct MigrateArgs {
    /// The store, as in embedded:DIR
    #[arg(long, value_name = "STORE")]
    from: Place,

    /// The place that gets it, as in embedded:DIR; it must have no store
    #[arg(long, value_name = "STORE")]
    to: Place,

    /// Print JSON instead of text for people
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: &StoreArgs) -> Result<(), Failure> {
    match &args.command {
        StoreCommand::Migrate(args) => migrate(args),
    }
}

fn migrate(args: &MigrateArgs) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
    let MigrateArgs { from, to, json } = args;
    let store = from.open().map_err(|error| failed(&error))?;
    let into = to.fill().map_err(|error| failed(&error))?;
    let mut progress = Progress::default();
    let mut show = |counts: Counts| progress.show(|| format!("{} rows and changes", counts.all()));
    let (revision, counts) = move_all(&*store, into, &mut show).map_err(|error| failed(&error))?;
    drop(progress);
    let text = match json {
        true => json!({ "from": from.to_string(), "to": to.to_string(), "revision": revision, "counts": counts })
            .to_string(),
        false => format!("{to}: revision {revision}, {}; start the servers on it now", count(&counts)),
    };
    Ok(print(&text)?)
}
