//! Small zones with one fault each: what BIND, Knot and we say of them (`tests/verdicts/*.script`).
//!
//! ```text
//! === title of the case
//! --- whole [ORIGIN]    the text of the zone file after `$TTL 300`; ORIGIN is example.org without it
//! --- zone              the same, with SOA, NS and an address of ns put before it; its lines count from 1
//! --- signed FILE       a zone of `zones/`, changed: `drop OWNER TYPE [COVERED]` (`*`: any owner), `add RECORD`,
//!                       `replace TEXT -> TEXT`
//! --- findings          all that we find, each as LINE severity: beginning of the message; lines not for `signed`
//! --- verdicts          what the three say: NAME ok, warning or error
//! --- because           why they do not say the same
//! ```
//!
//! named-checkzone (bind9-utils) and kzonecheck (knot-dnssecutils) run on every case. A verdict that differs from the
//! script fails, and so does a disagreement without a reason, or a reason without a disagreement. `repeat N TEXT`
//! writes a line N times, with its number for `#`.

use std::path::Path;
use std::process::{Command, Output};

use zonebeat::model::Name;
use zonebeat::zone::{Checks, parse_zone_with};

const TTL: &str = "$TTL 300\n";
const APEX: &str = "@ SOA ns h 1 3600 900 604800 300\n@ NS ns\nns A 192.0.2.1\n";
/// 2026-12-01, within the time of the signatures of `zones/`.
const NOW: u32 = 1_796_083_200;

#[derive(Debug, Default)]
struct Case {
    title: String,
    sections: Vec<(String, String)>,
}

fn cases(script: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in script.lines() {
        if let Some(title) = line.strip_prefix("=== ") {
            cases.push(Case { title: title.to_owned(), sections: Vec::new() });
        } else if let Some(head) = line.strip_prefix("--- ") {
            cases.last_mut().expect("a title first").sections.push((head.to_owned(), String::new()));
        } else if let Some((_, text)) = cases.last_mut().and_then(|case| case.sections.last_mut()) {
            text.push_str(line);
            text.push('\n');
        }
    }
    cases
}

/// The zone of a case.
struct Zone {
    origin: String,
    text: String,
    /// Lines that the script does not count; `None` if it counts none.
    before: Option<u32>,
}

impl Case {
    fn section(&self, name: &str) -> Option<(&str, &str)> {
        self.sections.iter().find_map(|(head, text)| {
            let rest = head.strip_prefix(name)?;
            (rest.is_empty() || rest.starts_with(' ')).then_some((rest.trim(), text.trim_end()))
        })
    }

    fn lines(&self, name: &str) -> Vec<&str> {
        self.section(name).map_or(Vec::new(), |(_, text)| text.lines().filter(|line| !line.is_empty()).collect())
    }

    fn zone(&self) -> Zone {
        if let Some((file, edits)) = self.section("signed") {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("zones").join(format!("{file}.zone"));
            let text = std::fs::read_to_string(path).expect(file);
            return Zone { origin: file.to_owned(), text: edits.lines().fold(text, edit), before: None };
        }
        let (origin, text, apex) = match (self.section("zone"), self.section("whole")) {
            (Some((origin, text)), _) => (origin, text, APEX),
            (None, whole) => whole.map(|(origin, text)| (origin, text, "")).expect("a zone"),
        };
        let origin = if origin.is_empty() { "example.org" } else { origin };
        let head = format!("{TTL}{apex}");
        let before = Some(head.lines().count() as u32);
        Zone { origin: origin.to_owned(), text: head + &repeated(text), before }
    }
}

fn repeated(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix("repeat ").and_then(|rest| rest.split_once(' ')) {
        Some((count, line)) => {
            let count: usize = count.parse().expect("a number");
            (0..count).map(|number| line.replace('#', &number.to_string()) + "\n").collect()
        }
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// Signed zones have one record a line, all fields written out.
fn edit(text: String, edit: &str) -> String {
    let words: Vec<&str> = edit.split_whitespace().collect();
    if let ["drop", owner, rtype, covered @ ..] = &words[..] {
        let kept = |line: &&str| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let is_it = (*owner == "*" || fields.first() == Some(owner))
                && fields.get(3) == Some(rtype)
                && covered.iter().all(|covered| fields.get(4) == Some(covered));
            !is_it
        };
        let after: String = text.lines().filter(kept).map(|line| format!("{line}\n")).collect();
        assert_ne!(after, text, "{edit}: there is no such record");
        return after;
    }
    if let Some((from, to)) = edit.strip_prefix("replace ").and_then(|rest| rest.split_once(" -> ")) {
        assert!(text.contains(from), "{edit}: there is no such text");
        return text.replace(from, to);
    }
    text + edit.strip_prefix("add ").expect("drop, replace or add") + "\n"
}

fn ours(zone: &Zone) -> Vec<String> {
    let sources = |_: &str| Ok(zone.text.clone().into_bytes());
    let checks = Checks { now: Some(NOW), ..Checks::default() };
    let origin = Name::parse_absolute(&zone.origin).expect("origin");
    let findings = match parse_zone_with(&checks, &sources, "zone", &origin) {
        Ok((_, findings)) => findings,
        Err(findings) => findings,
    };
    let line = |finding: &zonebeat::model::Finding| {
        let said = format!("{}: {}", finding.severity.as_str(), finding.message);
        match zone.before {
            Some(before) => format!("{} {said}", i64::from(finding.place.line) - i64::from(before)),
            None => said,
        }
    };
    findings.iter().map(line).collect()
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].concat().iter().map(|octet| char::from(*octet)).collect()
}

/// The verdict of named-checkzone with all its checks, except those that ask the network.
fn named(folder: &Path, origin: &str) -> (&'static str, String) {
    let mut command = Command::new("named-checkzone");
    command.args(["-i", "local", origin, "zone"]).current_dir(folder);
    let output = command.output().expect("named-checkzone runs (Debian: bind9-utils)");
    let text = said(&output);
    let lines = text.lines().filter(|line| *line != "OK" && !line.contains("loaded serial"));
    match (output.status.success(), lines.count()) {
        (false, _) => ("error", text),
        (true, 0) => ("ok", text),
        (true, _) => ("warning", text),
    }
}

/// The verdict of kzonecheck: what it calls serious, or cannot read, is an error.
fn knot(folder: &Path, origin: &str) -> (&'static str, String) {
    let mut command = Command::new("kzonecheck");
    command.args(["-t", &NOW.to_string(), "-o", origin, "zone"]).current_dir(folder);
    let output = command.output().expect("kzonecheck runs (Debian: knot-dnssecutils)");
    let text = said(&output);
    let serious = text.contains("Serious") || text.contains("error: ");
    match (output.status.success(), serious) {
        (true, _) => ("ok", text),
        (false, true) => ("error", text),
        (false, false) => ("warning", text),
    }
}

/// Says what is not as the script has it.
fn judge(case: &Case) -> Result<(), String> {
    let zone = case.zone();
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    std::fs::write(folder.path().join("zone"), &zone.text).map_err(|error| error.to_string())?;
    let found = ours(&zone);
    let wanted = case.lines("findings");
    let mut faults = Vec::new();
    if found.len() != wanted.len() || !found.iter().zip(&wanted).all(|(found, wanted)| found.starts_with(wanted)) {
        faults.push(format!("found {found:#?}\nwanted {wanted:#?}"));
    }
    let verdict = match &found {
        found if found.is_empty() => "ok",
        found if found.iter().any(|line| line.contains("error: ")) => "error",
        _ => "warning",
    };
    let (named, knot) = (named(folder.path(), &zone.origin), knot(folder.path(), &zone.origin));
    let verdicts = format!("named {}, knot {}, ours {verdict}", named.0, knot.0);
    if case.lines("verdicts") != [verdicts.as_str()] {
        faults.push(format!("verdicts: {verdicts}\nnamed: {}\nknot: {}", named.1.trim_end(), knot.1.trim_end()));
    }
    let agree = named.0 == verdict && knot.0 == verdict;
    if agree == case.section("because").is_some() {
        faults.push(format!("agreement is {agree}, and the reason is {:?}", case.section("because")));
    }
    if faults.is_empty() { Ok(()) } else { Err(format!("{}\n{}\n", case.title, faults.join("\n"))) }
}

#[test]
fn every_verdict_is_as_written_and_every_disagreement_has_its_reason() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/verdicts");
    let (mut ran, mut failures) = (0, Vec::new());
    for entry in std::fs::read_dir(folder).expect("tests/verdicts") {
        let path = entry.expect("entry").path();
        for case in cases(&std::fs::read_to_string(&path).expect("script")) {
            failures.extend(judge(&case).err());
            ran += 1;
        }
    }
    assert!(failures.is_empty(), "{} of {ran} failed\n{}", failures.len(), failures.join("\n"));
    assert!(ran >= 100, "only {ran} cases ran");
}
