//! `zonebeat restore`: a store out of a backup.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::backup::{count, describe};
use super::output::{Progress, print};
use super::{Failure, examples};
use crate::model::clock::SystemClock;
use crate::model::{Clock, Revision};
use crate::registry::store::Place;
use crate::registry::store::backup::{Ahead, BackupReader, Header, Summary, restore};
use crate::registry::store::whole::Counts;

/// Octets that are read at once.
const BUFFER: usize = 1 << 20;

/// Make a store out of a backup, or only check one
///
/// Into a place that has no store: it comes to be whole, when the backup has proved to be, or not at all. The revision
/// goes on ahead of that of the backup, so that no revision, incarnation or serial that was given since then is given
/// twice; secondaries transfer the zones then. Start the server when it is done: every lease starts full.
#[derive(Debug, Clone, Args)]
#[command(after_help = examples![
    "zonebeat restore zonebeat.backup --data-dir /var/lib/zonebeat",
    "zonebeat restore zonebeat.backup --check",
    "zstd -dc zonebeat.backup.zst | zonebeat restore - --data-dir /var/lib/zonebeat",
])]
pub struct RestoreArgs {
    /// The backup; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Data directory that gets the store; created where it is missing
    #[arg(long, value_name = "DIR", required_unless_present_any = ["check", "to"])]
    data_dir: Option<PathBuf>,

    /// Another place for the store, as in embedded:DIR
    #[arg(long, value_name = "STORE", conflicts_with = "data_dir")]
    to: Option<Place>,

    /// Only check the backup, and say what is in it
    #[arg(long, conflicts_with_all = ["data_dir", "to", "ahead"])]
    check: bool,

    /// Revisions to skip: more than there were changes since the backup; 0 restores exactly what was backed up
    #[arg(long, value_name = "NUMBER", default_value_t = 100_000_000, value_parser = clap::value_parser!(u64).range(..1 << 31))]
    ahead: u64,

    /// Print JSON instead of text for people
    #[arg(long)]
    json: bool,
}

/// Restores or checks.
pub fn run(args: &RestoreArgs) -> Result<(), Failure> {
    let shown = args.file.display();
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(format!("{shown}: {error}"));
    let place = args.to.clone().or_else(|| args.data_dir.clone().map(Place::Embedded));
    let (input, size) = open(args).map_err(|error| failed(&error))?;
    let backup = BackupReader::new(input).map_err(|error| failed(&error))?;
    let Some(place) = place else {
        let summary = backup.check().map_err(|error| failed(&error))?;
        return Ok(print(&checked(args, &summary, size))?);
    };
    let header = backup.header().clone();
    let into = place.fill().map_err(|error| Failure::Failed(error.to_string()))?;
    let mut progress = Progress::default();
    let mut show = |counts: Counts| progress.show(|| format!("{} rows and changes", counts.all()));
    let ahead = Ahead { revisions: args.ahead, now: SystemClock::new().wall() };
    let (revision, counts) = restore(backup, into, ahead, &mut show).map_err(|error| failed(&error))?;
    drop(progress);
    Ok(print(&restored(args, &place, &header, revision, &counts))?)
}

/// The backup, and its size where that is known.
fn open(args: &RestoreArgs) -> io::Result<(Box<dyn BufRead>, u64)> {
    if args.file.as_os_str() == "-" {
        return Ok((Box::new(BufReader::with_capacity(BUFFER, io::stdin())), 0));
    }
    let file = File::open(&args.file)?;
    let size = file.metadata()?.len();
    Ok((Box::new(BufReader::with_capacity(BUFFER, file)), size))
}

fn checked(args: &RestoreArgs, summary: &Summary, size: u64) -> String {
    if args.json {
        return super::backup::as_json(summary, size).to_string();
    }
    let Header { made, version, format, .. } = &summary.header;
    format!(
        "{} is whole: {}; made {made} by version {version}, format {format}",
        args.file.display(),
        describe(summary, size)
    )
}

fn restored(args: &RestoreArgs, place: &Place, header: &Header, revision: Revision, counts: &Counts) -> String {
    if args.json {
        let to = place.to_string();
        return json!({ "store": to, "revision": revision, "backup": header, "counts": counts }).to_string();
    }
    let of = header.revision;
    format!("{place}: restored revision {of} as revision {revision}: {}; start the server now", count(counts))
}
