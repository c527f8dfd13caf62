//! Zone file syntax as scripts: each file in `tests/zones/*.script` holds cases named by RFC section.
//!
//! ```text
//! === title of the case
//! --- whole [ORIGIN]         the text of the zone file; ORIGIN is example.org without it
//! --- zone                   the same, with `$TTL 300`, SOA, NS and an address of ns put before it
//! --- file NAME              another file, for $INCLUDE
//! --- records                what is read, one record a line in the form that `zone::print` writes
//! --- findings               all findings, each as LINE:COLUMN severity: beginning of the message
//! ```
//!
//! Without `records` the zone must be refused; without `findings` there must be none. Scripts of syntax say nothing
//! about the warnings of the checks (`*-checks.script` does, and lists them all). A carriage return is written `<CR>`.

use std::collections::HashMap;
use std::fmt::Write as _;

use zonebeat::model::Name;
use zonebeat::zone::parse_zone;

/// Put before zones that say nothing about their apex; their lines are counted without it.
const APEX: &str = "$TTL 300\n@ SOA ns h 1 3 2 5 5\n@ NS ns\nns A 192.0.2.1\n";
const APEX_LINES: u32 = 4;

#[derive(Default)]
struct Case {
    title: String,
    sections: HashMap<String, String>,
}

fn cases(script: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut section = String::new();
    for line in script.lines() {
        if let Some(title) = line.strip_prefix("=== ") {
            cases.push(Case { title: title.to_owned(), ..Case::default() });
            section.clear();
        } else if let Some(name) = line.strip_prefix("--- ") {
            section = name.to_owned();
            cases.last_mut().expect("a title first").sections.insert(section.clone(), String::new());
        } else if !section.is_empty() {
            let text = cases.last_mut().expect("a title first").sections.get_mut(&section).expect("inserted");
            writeln!(text, "{}", line.replace("<CR>", "\r")).expect("a String takes everything");
        }
    }
    for case in &mut cases {
        for text in case.sections.values_mut() {
            text.truncate(text.trim_end_matches('\n').len() + 1);
        }
    }
    cases
}

impl Case {
    fn section(&self, name: &str) -> Option<(&str, &str)> {
        self.sections.iter().find_map(|(head, text)| {
            let rest = head.strip_prefix(name)?;
            (rest.is_empty() || rest.starts_with(' ')).then_some((rest.trim(), text.as_str()))
        })
    }

    /// Says what is not as the script wants it.
    fn run(&self, of_syntax: bool) -> Result<(), String> {
        let short = self.section("zone");
        let (origin, zone) = short.or_else(|| self.section("whole")).expect("a zone");
        let short = short.is_some();
        let shift = if short { APEX_LINES } else { 0 };
        let zone = if short { format!("{APEX}{zone}") } else { zone.to_owned() };
        let origin = if origin.is_empty() { "example.org" } else { origin };
        let sources = |path: &str| match path {
            "zone" => Ok(zone.clone().into_bytes()),
            other => {
                let text = self.sections.get(&format!("file {other}"));
                text.map(|text| text.clone().into_bytes()).ok_or_else(|| "no such file".to_owned())
            }
        };
        let outcome = parse_zone(&sources, "zone", &Name::parse_absolute(origin).expect("origin"));
        let (records, findings) = match outcome {
            Ok((zone, findings)) => (Some(zone.records), findings),
            Err(findings) => (None, findings),
        };
        let skipped = if short { 3 } else { 0 };
        let records = records.map(|records| {
            let lines = records.iter().skip(skipped).map(|record| format!("{record}\n"));
            lines.collect::<String>()
        });
        let findings: Vec<String> = findings
            .iter()
            .map(|finding| {
                let file = if &*finding.place.file == "zone" { "" } else { &finding.place.file };
                let line = finding.place.line.saturating_sub(shift);
                format!("{file}{line}:{} {}: {}", finding.place.column, finding.severity.as_str(), finding.message)
            })
            .collect();
        let wanted: Vec<&str> = self.section("findings").map_or("", |(_, text)| text).lines().collect();
        let counts = |found: &String| {
            !of_syntax || !found.contains(" warning: ") || wanted.iter().any(|wanted| found.starts_with(wanted))
        };
        let findings: Vec<String> = findings.into_iter().filter(counts).collect();
        let as_wanted = |(found, wanted): (&String, &&str)| found.starts_with(wanted);
        if findings.len() != wanted.len() || !findings.iter().zip(&wanted).all(as_wanted) {
            return Err(format!("{}:\n found {findings:#?}\nwanted {wanted:#?}", self.title));
        }
        let wanted = self.section("records").map(|(_, text)| text);
        match records.as_deref() == wanted {
            true => Ok(()),
            false => {
                let [found, wanted] = [records.as_deref(), wanted].map(Option::unwrap_or_default);
                Err(format!("{}:\n--- found\n{found}--- wanted\n{wanted}", self.title))
            }
        }
    }
}

#[test]
fn every_script_holds() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/zones");
    let (mut ran, mut failures) = (0, Vec::new());
    for entry in std::fs::read_dir(folder).expect("tests/zones") {
        let path = entry.expect("entry").path();
        if path.extension().is_some_and(|extension| extension == "script") {
            for case in cases(&std::fs::read_to_string(&path).expect("script")) {
                failures.extend(case.run(!path.ends_with("rfc1035-6-checks.script")).err());
                ran += 1;
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(ran >= 30, "only {ran} cases ran");
}
