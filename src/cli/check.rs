//! `zonebeat check`: zone files and configuration files, without a server.
//!
//! Reads exactly as `serve` does, so that what passes here is taken there. Findings go to standard error with a caret,
//! one line per file to standard output; with `--json` one document goes to standard output.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Failure, examples};
use crate::config::{Config, ConfigError, zones};
use crate::model::{Finding, Place, Severity};
use crate::zone;

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
/// Reads exactly as `serve` does. Takes *.zone files, *.toml files and directories of zone files. Without any, checks the configuration file and the
/// directory of zone files that it names.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(after_help = examples![
    "zonebeat check",
    "zonebeat check zones/sd.example.org.zone",
    "zonebeat check --config /etc/zonebeat/zonebeat.toml --json",
])]
pub struct CheckArgs {
    /// Zone files (NAME.zone), configuration files (*.toml) or directories of zone files
    pub files: Vec<PathBuf>,
    /// Configuration file to check, with the zone files that it names
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Directory of zone files to check
    #[arg(long, value_name = "DIR")]
    pub zones_dir: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// Checks and prints.
pub fn run(args: &CheckArgs) -> Result<(), Failure> {
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    match check(args, &mut std::io::stdout().lock(), &mut std::io::stderr().lock(), colours) {
        Verdict::Right => Ok(()),
        Verdict::Wrong => Err(Failure::Reported),
        Verdict::Usage(usage) => Err(Failure::Usage(usage)),
    }
}

/// Checks and writes to `out` and `err`. A reader that has gone away is no failure.
pub fn check(args: &CheckArgs, out: &mut dyn Write, err: &mut dyn Write, colours: bool) -> Verdict {
    let report = match gather(args) {
        Ok(report) => report,
        Err(usage) => return Verdict::Usage(usage),
    };
    if args.json {
        let _ = writeln!(out, "{:#}", report.json());
    } else {
        report.write(out, err, colours);
    }
    if report.count(Severity::Error) > 0 { Verdict::Wrong } else { Verdict::Right }
}

/// What was checked and found.
#[derive(Debug, Default)]
struct Report {
    /// Each file with what it is.
    files: Vec<(String, String)>,
    findings: Vec<Finding>,
}

/// Checks everything that the arguments name; the error is a wrong use.
fn gather(args: &CheckArgs) -> Result<Report, String> {
    let mut report = Report::default();
    let mut zone_files = Vec::new();
    let mut folders: Vec<PathBuf> = args.zones_dir.iter().cloned().collect();
    let mut configs: Vec<PathBuf> = args.config.iter().cloned().collect();
    for file in &args.files {
        match file.extension().and_then(|extension| extension.to_str()) {
            _ if file.is_dir() => folders.push(file.clone()),
            Some("zone") => zone_files.push(file.to_string_lossy().into_owned()),
            Some("toml") => configs.push(file.clone()),
            _ => return Err(format!("\"{}\" is neither NAME.zone, *.toml nor a directory", file.display())),
        }
    }
    let nothing_named = zone_files.is_empty() && folders.is_empty() && configs.is_empty();
    if nothing_named && !Path::new(USUAL_CONFIG).is_file() {
        return Err(format!(
            "there is no {USUAL_CONFIG} here; name the files to check, or use --config or --zones-dir"
        ));
    }
    if nothing_named {
        configs.push(USUAL_CONFIG.into());
    }
    let follow = nothing_named || args.config.is_some();
    let mut following = Vec::new();
    for path in &configs {
        let named = report.config(path, &mut following);
        folders.extend(named.filter(|folder| follow && args.zones_dir.is_none() && !folders.contains(folder)));
    }
    for folder in &folders {
        match zones::zone_files(folder) {
            Ok(files) if files.is_empty() => {
                let place = Place::whole(&folder.to_string_lossy());
                report.findings.push(Finding::warning(place, "there is no file NAME.zone here"));
            }
            Ok(files) => zone_files.extend(files),
            Err(error) => report.refuse(folder, error),
        }
    }
    report.zones(&zone_files, &following);
    Ok(report)
}

impl Report {
    /// Checks a configuration file; returns the directory of zone files that it names. A configuration that can be read
    /// is added to `following`.
    fn config(&mut self, path: &Path, following: &mut Vec<Config>) -> Option<PathBuf> {
        let config = match Config::load(path) {
            Ok(config) => config,
            Err(error) => {
                self.refuse(path, error);
                return None;
            }
        };
        match config.validate() {
            Ok(()) => self.files.push((path.to_string_lossy().into_owned(), "ok, configuration".to_owned())),
            Err(error) => self.refuse(path, error),
        }
        let place = Place::whole(&path.to_string_lossy());
        let warnings = config.warnings().into_iter().map(|warning| Finding::warning(place.clone(), warning));
        self.findings.extend(warnings);
        let folder = config.zones_dir.clone();
        following.push(config);
        folder
    }

    /// Checks zone files, which may not be signed where one of the configurations publishes registrations.
    fn zones(&mut self, files: &[String], following: &[Config]) {
        let mut files = files.to_vec();
        let mut seen = std::collections::HashSet::new();
        files.retain(|file| seen.insert(file.clone()));
        let mut loaded = zone::load(&zones::read_file, &files);
        loaded.refuse_signed(&files, |zone| following.iter().any(|config| config.publishes_into(zone)));
        let whole = files.iter().filter(|file| !loaded.broken.iter().any(|broken| broken.file == **file));
        for (file, zone) in whole.zip(&loaded.zones) {
            self.files.push((file.clone(), format!("ok, zone {} with {} records", zone.origin, zone.records.len())));
        }
        self.files.extend(loaded.broken.into_iter().map(|broken| (broken.file, "refused".to_owned())));
        self.findings.extend(loaded.findings);
    }

    fn refuse(&mut self, path: &Path, error: ConfigError) {
        self.files.push((path.to_string_lossy().into_owned(), "refused".to_owned()));
        match error {
            ConfigError::Wrong(findings) => self.findings.extend(findings),
            ConfigError::Read { path, source } => {
                let message = format!("cannot be read: {source}");
                self.findings.push(Finding::error(Place::whole(&path.to_string_lossy()), message));
            }
        }
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    fn write(&self, out: &mut dyn Write, err: &mut dyn Write, colours: bool) {
        for finding in &self.findings {
            let _ = writeln!(err, "{}", finding.render(colours));
        }
        for (file, what) in &self.files {
            let _ = writeln!(out, "{file}: {what}");
        }
        let (errors, warnings) = (self.count(Severity::Error), self.count(Severity::Warning));
        if errors + warnings > 0 {
            let _ = writeln!(out, "{}, {}", counted(errors, "error"), counted(warnings, "warning"));
        }
    }

    fn json(&self) -> serde_json::Value {
        let finding = |finding: &Finding| {
            json!({
                "severity": finding.severity.as_str(),
                "file": *finding.place.file,
                "line": (finding.place.line > 0).then_some(finding.place.line),
                "column": (finding.place.line > 0).then_some(finding.place.column),
                "message": finding.message,
                "help": finding.help,
            })
        };
        json!({
            "files": self.files.iter().map(|(file, what)| json!({"file": file, "ok": what != "refused"})).collect::<Vec<_>>(),
            "findings": self.findings.iter().map(finding).collect::<Vec<_>>(),
            "errors": self.count(Severity::Error),
            "warnings": self.count(Severity::Warning),
        })
    }
}

fn counted(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}
