//! `zonebeat backup`: everything of a registry into one file.

mod target;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::connection::ConnectionArgs;
use super::output::{Progress, eprint, octets, print};
use super::{Failure, examples};
use crate::model::Clock;
use crate::model::clock::SystemClock;
use crate::registry::store::backup::{BackupWriter, Checker, Summary};
use crate::registry::store::whole::Counts;
use crate::registry::store::{Place, Store};
use target::Target;

/// Back the registry up into a file, while the server runs
///
/// Everything at one revision, rows and history, as lines of JSON; the last one has counts and a checksum. Needs the token
/// of an administrator, because hashes of tokens are in it. The file comes to have its name when it is whole; one that is
/// there is not overwritten.
#[derive(Debug, Clone, Args)]
#[command(after_help = examples![
    "zonebeat backup zonebeat.backup",
    "zonebeat backup - | zstd > zonebeat.backup.zst",
    "zonebeat backup zonebeat.backup --data-dir /var/lib/zonebeat",
])]
pub struct BackupArgs {
    /// Where to; - is standard output
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Data directory of a stopped server, to read instead of asking one
    #[arg(long, value_name = "DIR", conflicts_with_all = ["server", "token"])]
    data_dir: Option<PathBuf>,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Makes the backup.
pub async fn run(args: &BackupArgs) -> Result<(), Failure> {
    let is_stdout = args.file.as_os_str() == "-";
    if is_stdout && args.connection.json {
        return Err(Failure::Usage("--json has no place beside a backup on standard output".to_owned()));
    }
    let target = Target::create(&args.file)?;
    let out = Watched { target, checker: Checker::default(), progress: Progress::default() };
    let (summary, size) = match &args.data_dir {
        Some(directory) => offline(directory, out)?,
        None => online(args, out).await?,
    };
    match (is_stdout, args.connection.json) {
        (true, _) => eprint(&describe(&summary, size)),
        (false, true) => print(&as_json(&summary, size).to_string())?,
        (false, false) => print(&format!("{}: {}", args.file.display(), describe(&summary, size)))?,
    }
    Ok(())
}

/// What is written, looked at on its way.
struct Watched {
    target: Target,
    checker: Checker,
    progress: Progress,
}

impl Write for Watched {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.target.write_all(part)?;
        self.checker.see(part);
        let checker = &self.checker;
        self.progress.show(|| format!("{} rows and changes, {}", checker.lines(), octets(checker.octets())));
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.target.flush()
    }
}

async fn online(args: &BackupArgs, mut out: Watched) -> Result<(Summary, u64), Failure> {
    let mut download = args.connection.client()?.back_up().await?;
    let server = download.server.clone();
    let broken = |why: &str| Failure::Failed(format!("the backup from {server} broke off: {why}"));
    while let Some(part) = download.next().await.map_err(|why| broken(&why))? {
        out.write_all(&part).map_err(not_written)?;
    }
    let size = out.checker.octets();
    let summary = out.checker.finish().ok_or_else(|| broken("it is not whole, or not as it was written"))?;
    out.target.finish().map_err(not_written)?;
    Ok((summary, size))
}

fn offline(directory: &Path, mut out: Watched) -> Result<(Summary, u64), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
    let store = Place::Embedded(directory.to_owned()).open().map_err(|error| failed(&error))?;
    let summary = write(&*store, &mut out)?;
    let size = out.checker.octets();
    out.target.finish().map_err(not_written)?;
    Ok((summary, size))
}

fn write(store: &dyn Store, out: &mut Watched) -> Result<Summary, Failure> {
    let mut backup = BackupWriter::new(out, store, SystemClock::new().wall());
    store.read_all(&mut backup).map_err(|error| Failure::Failed(error.to_string()))?;
    backup.finish().map_err(not_written)
}

fn not_written(error: io::Error) -> Failure {
    Failure::Failed(format!("the backup cannot be written: {error}"))
}

/// What a backup holds, for people.
pub(super) fn describe(summary: &Summary, size: u64) -> String {
    let Summary { header, counts } = summary;
    format!("revision {} of store {}, {}; {}", header.revision, header.store, count(counts), octets(size))
}

/// Counts in words.
pub(super) fn count(counts: &Counts) -> String {
    let Counts { services, instances, tokens, zones, records, sessions: _, changes } = counts;
    format!(
        "{services} rows of services, {instances} instances, {tokens} tokens, {zones} zones, {records} names with \
         records of UPDATE, {changes} changes"
    )
}

/// The same for programs.
pub(super) fn as_json(summary: &Summary, size: u64) -> serde_json::Value {
    let Summary { header, counts } = summary;
    json!({ "backup": header, "counts": counts, "octets": size })
}
