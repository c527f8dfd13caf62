//! What a check shows: findings with carets and a line for each file, or one JSON document.

use std::collections::HashMap;
use std::io::Write;

use serde_json::json;

use crate::model::{Finding, Severity};

/// What was checked and found.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) files: Vec<Checked>,
    pub(super) findings: Vec<Finding>,
}

/// One file.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) file: String,
    pub(super) what: What,
    /// How it compares with the running server, in words: `unchanged`.
    pub(super) change: Option<String>,
}

/// What a file is.
#[derive(Debug, Default)]
pub(super) enum What {
    /// It has an error, or cannot be read.
    #[default]
    Refused,
    /// A configuration without error.
    Configuration,
    /// A zone without error.
    Zone { name: String, serial: u32, records: usize },
}

impl Report {
    pub(super) fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// Errors and warnings by file; those in files that a zone includes are counted in the sum only.
    fn by_file(&self) -> HashMap<&str, [usize; 2]> {
        let mut counts: HashMap<&str, [usize; 2]> = HashMap::new();
        for finding in &self.findings {
            counts.entry(&finding.place.file).or_default()[usize::from(!finding.is_error())] += 1;
        }
        counts
    }

    /// Writes the report.
    pub(super) fn write(&self, out: &mut dyn Write, err: &mut dyn Write, colours: bool) {
        for finding in &self.findings {
            say(err, &finding.render(colours));
        }
        let counts = self.by_file();
        for checked in &self.files {
            let of_file = counts.get(&*checked.file).copied().unwrap_or_default();
            say(out, &format!("{}: {}", checked.file, line(checked, of_file)));
        }
        let (errors, warnings) = (self.count(Severity::Error), self.count(Severity::Warning));
        if errors + warnings > 0 {
            say(out, &format!("{}, {}", counted(errors, "error"), counted(warnings, "warning")));
        }
    }

    pub(super) fn json(&self) -> serde_json::Value {
        let finding = |finding: &Finding| {
            json!({
                "severity": finding.severity.as_str(),
                "file": *finding.place.file,
                "line": (finding.place.line > 0).then_some(finding.place.line),
                "column": (finding.place.line > 0).then_some(finding.place.column),
                "message": finding.message,
                "help": finding.help,
                "source": finding.source,
            })
        };
        let counts = self.by_file();
        let file = |checked: &Checked| file_json(checked, counts.get(&*checked.file).copied().unwrap_or_default());
        json!({
            "files": self.files.iter().map(file).collect::<Vec<_>>(),
            "findings": self.findings.iter().map(finding).collect::<Vec<_>>(),
            "errors": self.count(Severity::Error),
            "warnings": self.count(Severity::Warning),
        })
    }
}

/// Writes a line.
fn say(to: &mut dyn Write, line: &str) {
    // Whether somebody reads it or not: the exit code tells the verdict.
    let _ = writeln!(to, "{line}");
}

/// `zone example.org.: serial 7, 12 records, 1 warning, unchanged`.
fn line(checked: &Checked, [errors, warnings]: [usize; 2]) -> String {
    let mut parts = match &checked.what {
        What::Refused => vec!["refused".to_owned()],
        What::Configuration => vec!["ok, configuration".to_owned()],
        What::Zone { name, serial, records } => {
            vec![format!("zone {name}: serial {serial}"), counted(*records, "record")]
        }
    };
    parts.extend((errors > 0).then(|| counted(errors, "error")));
    parts.extend((warnings > 0).then(|| counted(warnings, "warning")));
    parts.extend(checked.change.clone());
    parts.join(", ")
}

fn file_json(checked: &Checked, [errors, warnings]: [usize; 2]) -> serde_json::Value {
    let (zone, serial, records) = match &checked.what {
        What::Zone { name, serial, records } => (Some(name), Some(serial), Some(records)),
        What::Refused | What::Configuration => (None, None, None),
    };
    json!({
        "file": checked.file,
        "ok": !matches!(checked.what, What::Refused),
        "zone": zone,
        "serial": serial,
        "records": records,
        "errors": errors,
        "warnings": warnings,
        "change": checked.change,
    })
}

fn counted(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}
