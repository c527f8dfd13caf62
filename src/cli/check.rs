//! `zonebeat check`: zone files and configuration files, without a server.
//!
//! Reads exactly as `serve` does, so that what passes here is taken there. Findings go to standard error with a caret,
//! one line per file to standard output; with `--json` one document goes to standard output.

mod compare;
mod report;

use std::collections::HashSet;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use url::Url;

use super::{Failure, examples};
use crate::agent::servers::Servers;
use crate::agent::{Client, parse_server};
use crate::config::zones::{self, ZoneFiles};
use crate::config::{Config, ConfigError};
use crate::model::api::ZoneInfo;
use crate::model::clock::SystemClock;
use crate::model::{Clock, Finding, Place, Severity, ZoneFile, zone_file};
use crate::zone::{self, Checks, StaticZone};
use report::{Checked, Report, What};

/// Where the configuration is looked for when no file is named.
const USUAL_CONFIG: &str = "config/zonebeat.toml";

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Everything is right; there may be warnings.
    Right,
    /// There are errors, and they have been written.
    Wrong,
    /// The command line asks for nothing that can be checked, and why.
    Usage(String),
}

/// Check configuration and zone files
///
/// Reads exactly as `serve` does. Takes zone files (NAME.zone, db.NAME, NAME.db), *.toml files and directories of zone
/// files. Without any, checks the configuration file and the zone files that it names.
///
/// An error is what BIND refuses to load as well: the server would not use the file. A warning is what named-checkzone,
/// kzonecheck or we find odd: the zone is used. Signatures of signed zones are compared with the records, the keys and
/// the clock; they are not verified by calculation, ldns-verify-zone does that.
///
/// With --server each zone is compared with the one that is served there: a serial that goes back is an error, other
/// records with the same serial are a warning, because secondaries would not notice.
///
/// Exit code: 0 right, 1 errors (with --strict: or warnings), 2 wrong usage.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(after_help = examples![
    "zonebeat check",
    "zonebeat check zones/sd.example.org.zone",
    "zonebeat check --server http://192.0.2.1:8053 zones/",
    "zonebeat check --strict --max-ttl 86400 zones/",
    "zonebeat check --config /etc/zonebeat/zonebeat.toml --json",
])]
pub struct CheckArgs {
    /// Zone files (NAME.zone, db.NAME, NAME.db), configuration files (*.toml) or directories of zone files
    pub files: Vec<PathBuf>,
    /// Configuration file to check, with the zone files that it names
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Directory of zone files to check
    #[arg(long, value_name = "DIR")]
    pub zones_dir: Option<PathBuf>,
    /// Compare serials and records with this running server
    #[arg(long, value_name = "URL", value_parser = parse_server)]
    pub server: Option<Url>,
    /// Largest TTL that is allowed, in seconds; a larger one is an error
    #[arg(long, value_name = "SECONDS")]
    pub max_ttl: Option<u32>,
    /// Exit with 1 for warnings too
    #[arg(long)]
    pub strict: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// The zones of a running server.
#[derive(Debug, Clone)]
pub struct Served {
    /// The server, as it was named.
    pub server: String,
    /// Its zones.
    pub zones: Vec<ZoneInfo>,
}

/// Checks and prints.
pub fn run(args: &CheckArgs) -> Result<(), Failure> {
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let served = args.server.clone().map(|server| super::client(ask(server))).transpose()?;
    let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr().lock());
    match check_beside(args, served.as_ref(), &mut out, &mut err, colours) {
        Verdict::Right => Ok(()),
        Verdict::Wrong => Err(Failure::Reported),
        Verdict::Usage(usage) => Err(Failure::Usage(usage)),
    }
}

/// The zones of a running server.
async fn ask(server: Url) -> Result<Served, Failure> {
    let name = server.to_string().trim_end_matches('/').to_owned();
    let client = Client::new(Servers::new([server]), None, 1).map_err(Failure::Usage)?;
    Ok(Served { server: name, zones: client.zones().await?.body.zones })
}

/// Checks and writes to `out` and `err`. A reader that has gone away is no failure.
pub fn check(args: &CheckArgs, out: &mut dyn Write, err: &mut dyn Write, colours: bool) -> Verdict {
    check_beside(args, None, out, err, colours)
}

/// The same, beside the zones of a running server.
pub fn check_beside(
    args: &CheckArgs,
    served: Option<&Served>,
    out: &mut dyn Write,
    err: &mut dyn Write,
    colours: bool,
) -> Verdict {
    let report = match gather(args, served) {
        Ok(report) => report,
        Err(usage) => return Verdict::Usage(usage),
    };
    if args.json {
        // Whether somebody reads it or not: the exit code tells the verdict.
        let _ = writeln!(out, "{:#}", report.json());
    } else {
        report.write(out, err, colours);
    }
    let wrong = report.count(Severity::Error) > 0 || (args.strict && report.count(Severity::Warning) > 0);
    if wrong { Verdict::Wrong } else { Verdict::Right }
}

/// What is to be checked.
#[derive(Debug, Default)]
struct Subjects {
    /// Files that the command line names.
    files: Vec<ZoneFile>,
    /// Files that a configuration or a directory has.
    chosen: Vec<ZoneFiles>,
    /// Configurations that decide which zones take registrations.
    configs: Vec<Config>,
}

/// Checks everything that the arguments name; the error is a wrong use.
fn gather(args: &CheckArgs, served: Option<&Served>) -> Result<Report, String> {
    let mut report = Report::default();
    let mut subjects = Subjects::default();
    let Named { zones, mut folders, mut configs } = sort(args)?;
    subjects.files = zones;
    let nothing_named = subjects.files.is_empty() && folders.is_empty() && configs.is_empty();
    if nothing_named && !Path::new(USUAL_CONFIG).is_file() {
        return Err(format!(
            "there is no {USUAL_CONFIG} here; name the files to check, or use --config or --zones-dir"
        ));
    }
    if nothing_named {
        configs.push(USUAL_CONFIG.into());
    }
    let follow = nothing_named || args.config.is_some();
    for path in &configs {
        let Some(mut config) = report.config(path) else { continue };
        if let Some(folder) = &args.zones_dir {
            config.zones_dir = Some(folder.clone());
        }
        match config.zone_files() {
            Ok(chosen) if follow && !chosen.files.is_empty() => {
                folders.retain(|folder| config.zones_dir.as_ref() != Some(folder));
                subjects.chosen.push(chosen);
            }
            Ok(_) => {}
            Err(error) => report.refuse(path, error),
        }
        subjects.configs.push(config);
    }
    for folder in &folders {
        match ZoneFiles::of(folder) {
            Ok(chosen) if chosen.files.is_empty() => {
                let place = Place::whole(&folder.to_string_lossy());
                report.findings.push(Finding::warning(place, "there is no zone file here, such as NAME.zone"));
            }
            Ok(chosen) => subjects.chosen.push(chosen),
            Err(error) => report.refuse(folder, error),
        }
    }
    report.zones(&subjects, args.max_ttl, served);
    Ok(report)
}

/// What the arguments name, by kind.
struct Named {
    zones: Vec<ZoneFile>,
    folders: Vec<PathBuf>,
    configs: Vec<PathBuf>,
}

fn sort(args: &CheckArgs) -> Result<Named, String> {
    let mut named = Named {
        zones: Vec::new(),
        folders: args.zones_dir.iter().cloned().collect(),
        configs: args.config.iter().cloned().collect(),
    };
    for file in &args.files {
        let path = file.to_string_lossy().into_owned();
        match file.extension().and_then(|extension| extension.to_str()) {
            _ if file.is_dir() => named.folders.push(file.clone()),
            Some("toml") => named.configs.push(file.clone()),
            Some("zone") => named.zones.push(ZoneFile::new(path)),
            _ if zone_file::zone_of(&path).is_ok() => named.zones.push(ZoneFile::new(path)),
            _ => {
                let what = "is neither a zone file (NAME.zone, db.NAME, NAME.db), *.toml nor a directory";
                return Err(format!("\"{path}\" {what}; a [[zone]] may name any file, check its configuration"));
            }
        }
    }
    Ok(named)
}

impl Report {
    /// Checks a configuration file; returns it if it can be read.
    fn config(&mut self, path: &Path) -> Option<Config> {
        let config = match Config::load(path) {
            Ok(config) => config,
            Err(error) => {
                self.refuse(path, error);
                return None;
            }
        };
        let place = Place::whole(&path.to_string_lossy());
        match config.validate().and_then(|()| config.check_files(SystemClock::new().wall())) {
            Ok(warnings) => {
                self.findings.extend(warnings.into_iter().map(|warning| Finding::warning(place.clone(), warning)));
                let file = path.to_string_lossy().into_owned();
                self.files.push(Checked { file, what: What::Configuration, change: None });
            }
            Err(error) => self.refuse(path, error),
        }
        let warnings = config.warnings().into_iter().map(|warning| Finding::warning(place.clone(), warning));
        self.findings.extend(warnings);
        Some(config)
    }

    /// Checks zone files, which may not be signed where one of the configurations publishes registrations.
    fn zones(&mut self, subjects: &Subjects, max_ttl: Option<u32>, served: Option<&Served>) {
        let chosen = subjects.chosen.iter().flat_map(|chosen| &chosen.files);
        let mut files: Vec<ZoneFile> = subjects.files.iter().chain(chosen).cloned().collect();
        let mut seen = HashSet::new();
        files.retain(|file| seen.insert(file.path.clone()));
        let now = u32::try_from(SystemClock::new().wall().0 / 1000).ok();
        let mut loaded = zone::load_files(&Checks { now, max_ttl }, &zones::read_file, &files);
        loaded.refuse_signed(&files, |zone| subjects.configs.iter().any(|config| config.publishes_into(zone)));
        self.findings.extend(loaded.findings);
        self.findings.extend(subjects.chosen.iter().flat_map(|chosen| chosen.remarks(&loaded.included)));
        let broken: HashSet<&String> = loaded.broken.iter().map(|broken| &broken.file).collect();
        let whole = files.iter().filter(|file| !broken.contains(&file.path));
        for (file, zone) in whole.zip(&loaded.zones) {
            let change = served.map(|served| self.beside(zone, served));
            let (name, serial) = (zone.origin.to_string(), compare::serial(zone));
            let what = What::Zone { name, serial, records: zone.records.len() };
            self.files.push(Checked { file: file.path.clone(), what, change });
        }
        let refused = loaded.broken.into_iter().map(|broken| Checked { file: broken.file, ..Checked::default() });
        self.files.extend(refused);
    }

    /// Compares a zone with the one that is served; says in words what came of it.
    fn beside(&mut self, zone: &StaticZone, served: &Served) -> String {
        let (change, finding) = compare::compare(zone, &served.zones, &served.server);
        self.findings.extend(finding.map(with_line));
        change
    }

    /// A file that was right so far is refused now.
    fn refuse(&mut self, path: &Path, error: ConfigError) {
        let file = path.to_string_lossy().into_owned();
        self.files.retain(|checked| checked.file != file);
        self.files.push(Checked { file, ..Checked::default() });
        match error {
            ConfigError::Wrong(findings) => self.findings.extend(findings),
            ConfigError::Read { path, source } => {
                let message = format!("cannot be read: {source}");
                self.findings.push(Finding::error(Place::whole(&path.to_string_lossy()), message));
            }
        }
    }
}

/// A finding about a record, with the line where it stands.
fn with_line(finding: Finding) -> Finding {
    let text = zones::read_file(&finding.place.file).unwrap_or_default();
    let line = text.split(|octet| *octet == b'\n').nth((finding.place.line as usize).saturating_sub(1));
    match line {
        Some(line) => finding.with_source(line),
        None => finding,
    }
}
