//! Zone files become zones, one file each: named after their zone, or configured for it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::{Checks, Place, Sources, StaticZone, check, parse};
use crate::model::{Finding, Name, ZoneFile, zone_file};

/// What reading a set of zone files gave. A broken file is left out whole and does not keep the others out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The zones whose files have no error.
    pub zones: Vec<StaticZone>,
    /// The files with an error.
    pub broken: Vec<Broken>,
    /// Everything that was found, warnings among it.
    pub findings: Vec<Finding>,
    /// The files that were included, as they were named.
    pub included: Vec<String>,
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

/// Reads and checks zone files that are named after their zones. Two files of one zone are an error of the second.
pub fn load(sources: &dyn Sources, files: &[String]) -> Loaded {
    let files: Vec<ZoneFile> = files.iter().map(ZoneFile::new).collect();
    load_files(&Checks::default(), sources, &files)
}

/// Reads and checks zone files, with what the checks need besides them. Two files of one zone are an error of the
/// second.
pub fn load_files(checks: &Checks, sources: &dyn Sources, files: &[ZoneFile]) -> Loaded {
    let mut loaded = Loaded::default();
    let mut taken: HashMap<Name, &str> = HashMap::new();
    for file in files {
        let origin = file.zone.clone().map_or_else(|| origin_of(&file.path), Ok);
        let outcome = match &origin {
            Ok(origin) => {
                let (parsed, included) = parse::parse_file(checks, sources, file, origin);
                loaded.included.extend(included.iter().map(|file| file.to_string()));
                parsed
            }
            Err(finding) => Err(vec![finding.clone()]),
        };
        let outcome = outcome.and_then(|(zone, findings)| match taken.get(&zone.origin) {
            Some(first) => {
                let message = format!("the zone {} stands in \"{first}\" already", zone.origin);
                Err([findings, vec![Finding::error(Place::whole(&file.path), message)]].concat())
            }
            None => Ok((zone, findings)),
        });
        match outcome {
            Ok((zone, findings)) => {
                taken.insert(zone.origin.clone(), &file.path);
                loaded.zones.push(zone);
                loaded.findings.extend(findings);
            }
            Err(findings) => {
                loaded.broken.push(Broken { file: file.path.clone(), origin: origin.ok() });
                loaded.findings.extend(findings);
            }
        }
    }
    let remarks = check::family(&loaded.zones, loaded.broken.is_empty());
    let files: BTreeSet<Arc<str>> = remarks.iter().map(|remark| Arc::clone(&remark.place.file)).collect();
    let texts = files.into_iter().filter_map(|file| sources.read(&file).ok().map(|text| (file, text)));
    loaded.findings.extend(check::show(remarks, &texts.collect::<Vec<_>>()));
    loaded
}

/// The zone that a file's name stands for: `sd.example.org.zone` is `sd.example.org.`
pub fn origin_of(file: &str) -> Result<Name, Finding> {
    zone_file::zone_of(file).map_err(|why| {
        let message = format!("the file's name does not stand for a zone: {why}");
        let help = "name it after its zone, as in sd.example.org.zone, or name it as the file of a [[zone]]";
        Finding::error(Place::whole(file), message).with_help(help)
    })
}
