//! A directory of zone files becomes zones: one file each, named `NAME.zone`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::{Checks, Place, Sources, StaticZone, check, parse_zone_with};
use crate::model::{Finding, Name};

/// What reading a set of zone files gave. A broken file is left out whole and does not keep the others out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The zones whose files have no error.
    pub zones: Vec<StaticZone>,
    /// The files with an error.
    pub broken: Vec<Broken>,
    /// Everything that was found, warnings among it.
    pub findings: Vec<Finding>,
}

/// A file that is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The file as it was named.
    pub file: String,
    /// The zone that its name stands for, if it stands for one.
    pub origin: Option<Name>,
}

impl Loaded {
    /// The zones, with the last good data in place of what is broken now. `last` is what was used before.
    pub fn or_keep(self, last: &[StaticZone]) -> Vec<StaticZone> {
        let Self { mut zones, broken, .. } = self;
        let is_broken = |old: &StaticZone| {
            broken.iter().any(|now| {
                now.origin.as_ref() == Some(&old.origin) || old.records.iter().any(|r| *r.place.file == *now.file)
            })
        };
        let fresh = |old: &StaticZone, zones: &[StaticZone]| zones.iter().any(|zone| zone.origin == old.origin);
        for old in last.iter().filter(|old| is_broken(old)) {
            if !fresh(old, &zones) {
                zones.push(old.clone());
            }
        }
        zones
    }
}

/// Reads and checks zone files. Two files of one zone are an error of the second.
pub fn load(sources: &dyn Sources, files: &[String]) -> Loaded {
    load_with(&Checks::default(), sources, files)
}

/// The same, with what a check needs besides the files.
pub fn load_with(checks: &Checks, sources: &dyn Sources, files: &[String]) -> Loaded {
    let mut loaded = Loaded::default();
    let mut taken: Vec<(Name, &str)> = Vec::new();
    for file in files {
        let origin = origin_of(file);
        let outcome = match &origin {
            Ok(origin) => parse_zone_with(checks, sources, file, origin),
            Err(finding) => Err(vec![finding.clone()]),
        };
        let outcome = outcome.and_then(|(zone, findings)| match taken.iter().find(|(name, _)| *name == zone.origin) {
            Some((name, first)) => {
                let message = format!("the zone {name} stands in \"{first}\" already");
                Err([findings, vec![Finding::error(Place::whole(file), message)]].concat())
            }
            None => Ok((zone, findings)),
        });
        match outcome {
            Ok((zone, findings)) => {
                taken.push((zone.origin.clone(), file));
                loaded.zones.push(zone);
                loaded.findings.extend(findings);
            }
            Err(findings) => {
                loaded.broken.push(Broken { file: file.clone(), origin: origin.ok() });
                loaded.findings.extend(findings);
            }
        }
    }
    let remarks = check::family(&loaded.zones);
    let files: BTreeSet<Arc<str>> = remarks.iter().map(|remark| Arc::clone(&remark.place.file)).collect();
    let texts = files.into_iter().filter_map(|file| sources.read(&file).ok().map(|text| (file, text)));
    loaded.findings.extend(check::show(remarks, &texts.collect::<Vec<_>>()));
    loaded
}

/// The zone that a file's name stands for: `sd.example.org.zone` is `sd.example.org.`
pub fn origin_of(file: &str) -> Result<Name, Finding> {
    let refuse = |why: String| {
        let message = format!("the file's name does not stand for a zone: {why}");
        Finding::error(Place::whole(file), message).with_help("name it after its zone, as in sd.example.org.zone")
    };
    let name = Path::new(file).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match name.strip_suffix(".zone") {
        Some(stem) if !stem.is_empty() => Name::parse_absolute(stem).map_err(|error| refuse(error.to_string())),
        _ => Err(refuse(format!("\"{name}\" is not NAME.zone"))),
    }
}
