//! Zone files on disk: where they are, and their octets. Reading what they say is `zone`'s work.
//!
//! A directory of BIND can be used as it is. Files are taken by their names (`NAME.zone`, `db.NAME`, `NAME.db`) or
//! because a `[[zone]]` names them; what stands for no zone is left alone, and a warning says so when it may have been
//! meant: other names, a signed copy beside the file, a journal with updates that the file does not have yet.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Config, ConfigError, ZoneSettings};
use crate::model::{Finding, Name, Place, ZoneFile, zone_file};

/// How many names of files a warning lists.
const LISTED: usize = 8;

/// Ends of names of files that hold no zone, or a copy of one.
const NO_ZONE: [&str; 23] = [
    "~", ".bak", ".conf", ".gz", ".inc", ".include", ".jbk", ".jnl", ".key", ".keys", ".md", ".mkeys", ".new", ".nzd",
    ".nzf", ".old", ".orig", ".private", ".sh", ".signed", ".state", ".tmp", ".txt",
];

/// Beginnings of names of files that hold no zone.
const NO_ZONE_BEFORE: [&str; 11] = [
    "README",
    "LICENSE",
    "Makefile",
    "dsset-",
    "keyset-",
    "named.conf",
    "named.ca",
    "named.root",
    "managed-keys.",
    "rndc.",
    "db.root",
];

/// The zone files that are to be read, and what lies beside them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ZoneFiles {
    /// Those that a `[[zone]]` names, in its order, then those of the directory by name.
    pub files: Vec<ZoneFile>,
    findings: Vec<Finding>,
    folder: Option<PathBuf>,
    others: Vec<String>,
}

impl Config {
    /// The zone files that the configuration names, and those of its directory.
    pub fn zone_files(&self) -> Result<ZoneFiles, ConfigError> {
        choose(self.zones_dir.as_deref(), &self.zone)
    }
}

/// The zone files of a directory, sorted by name. Other files, hidden ones and directories are left alone.
pub fn zone_files(folder: &Path) -> Result<Vec<String>, ConfigError> {
    Ok(choose(Some(folder), &[])?.files.into_iter().map(|file| file.path).collect())
}

impl ZoneFiles {
    /// Those of a directory, sorted by name.
    pub fn of(folder: &Path) -> Result<Self, ConfigError> {
        choose(Some(folder), &[])
    }

    /// What somebody should look at. Files that the zone files include are no zone files that were overlooked.
    pub fn remarks(&self, included: &[String]) -> Vec<Finding> {
        let mut remarks = self.findings.clone();
        let overlooked: Vec<&str> = self
            .others
            .iter()
            .map(String::as_str)
            .filter(|name| {
                let path = self.folder.as_deref().unwrap_or(Path::new("")).join(name);
                !included.iter().any(|included| *included == path.to_string_lossy())
            })
            .collect();
        if let (Some(folder), false) = (&self.folder, overlooked.is_empty()) {
            let more = overlooked.len().saturating_sub(LISTED);
            let listed = overlooked[..overlooked.len() - more].join(", ");
            let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
            let message = format!("not read, because their names stand for no zone: {listed}{rest}");
            let help = "name a zone file NAME.zone, db.NAME or NAME.db, or name it as the file of a [[zone]]";
            remarks.push(Finding::warning(Place::whole(&folder.to_string_lossy()), message).with_help(help));
        }
        remarks
    }

    /// A file that is not read because another stands for its zone.
    fn pass_over(&mut self, path: &str, zone: &Name, other: &str) {
        let message = format!("not read: the zone {zone} stands in \"{other}\"");
        self.findings.push(Finding::warning(Place::whole(path), message).with_help("remove one of the two"));
    }

    /// Warns of what BIND leaves beside a zone file: a journal, and a signed copy.
    fn look_beside(&mut self, file: &ZoneFile, names: &BTreeSet<PathBuf>) {
        let beside = |end: &str| Some(PathBuf::from(format!("{}{end}", file.path))).filter(|path| names.contains(path));
        let warn = |path: &Path, message: &str| Finding::warning(Place::whole(&path.to_string_lossy()), message);
        if let Some(journal) = beside(".jnl") {
            let message = "this is a journal of BIND; dynamic updates in it are not read";
            let help = "let BIND write them into the zone file before: rndc sync -clean";
            self.findings.push(warn(&journal, message).with_help(help));
        }
        if let Some(signed) =
            beside(".signed").filter(|path| !self.files.iter().any(|file| Path::new(&file.path) == path))
        {
            let message = "not read: this is a signed copy; the zone is served without its signatures";
            let help = "to serve it, name it as the file of a [[zone]]; if BIND signed it inline, write it as text before \
                        with named-compilezone -f raw -F text";
            self.findings.push(warn(&signed, message).with_help(help));
        }
    }
}

/// Chooses the files that are read: those that zones name, and of the directory those whose names stand for a zone.
fn choose(folder: Option<&Path>, zones: &[ZoneSettings]) -> Result<ZoneFiles, ConfigError> {
    let mut chosen = ZoneFiles { folder: folder.map(Path::to_owned), ..ZoneFiles::default() };
    let base = folder.unwrap_or(Path::new(""));
    let file_of = |path: &Path, zone: Option<&Name>| ZoneFile {
        path: path.to_string_lossy().into_owned(),
        zone: zone.cloned(),
        folder: Some(base.to_owned()),
    };
    let mut names = folder.map(list).transpose()?.unwrap_or_default();
    let mut taken: BTreeMap<Name, String> = BTreeMap::new();
    for zone in zones {
        let Some(path) = zone.file.as_ref().map(|file| base.join(file)) else { continue };
        taken.entry(zone.name.clone()).or_insert_with(|| path.to_string_lossy().into_owned());
        chosen.files.push(file_of(&path, Some(&zone.name)));
    }
    let configured: BTreeSet<PathBuf> = chosen.files.iter().map(|file| PathBuf::from(&file.path)).collect();
    let all = names.clone();
    names.retain(|path| !configured.contains(path));
    let (named, others): (Vec<_>, Vec<_>) =
        names.into_iter().partition(|path| path.extension().is_some_and(|e| e == "zone"));
    for path in named.into_iter().chain(others) {
        let shown = path.to_string_lossy().into_owned();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match zone_file::zone_of(&shown) {
            Err(_) if name.ends_with(".zone") => chosen.files.push(file_of(&path, None)),
            _ if holds_no_zone(&name) => {}
            Err(_) => chosen.others.push(name),
            Ok(zone) => match taken.get(&zone) {
                Some(other) if !name.ends_with(".zone") || configured.contains(Path::new(other)) => {
                    chosen.pass_over(&shown, &zone, other);
                }
                _ => {
                    taken.insert(zone, shown);
                    chosen.files.push(file_of(&path, None));
                }
            },
        }
    }
    for file in chosen.files.clone() {
        chosen.look_beside(&file, &all);
    }
    chosen.files[configured_count(zones)..].sort_by(|a, b| a.path.cmp(&b.path));
    Ok(chosen)
}

/// How many zones name a file.
fn configured_count(zones: &[ZoneSettings]) -> usize {
    zones.iter().filter(|zone| zone.file.is_some()).count()
}

/// The files of a directory, without hidden ones and directories.
fn list(folder: &Path) -> Result<BTreeSet<PathBuf>, ConfigError> {
    let failed = |source| ConfigError::Read { path: folder.to_owned(), source };
    let mut files = BTreeSet::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if !hidden && !entry.path().is_dir() {
            files.insert(entry.path());
        }
    }
    Ok(files)
}

/// Whether a file's name says that it holds no zone, or that it is a copy or a companion of a zone file.
fn holds_no_zone(name: &str) -> bool {
    let zone = name.ends_with(".zone");
    !zone
        && (NO_ZONE.iter().any(|end| name.ends_with(end)) || NO_ZONE_BEFORE.iter().any(|start| name.starts_with(start)))
}

/// The octets of a zone file or of a file that it includes: the sources of `zone::load`.
pub fn read_file(path: &str) -> Result<Vec<u8>, String> {
    let text = |error: std::io::Error| error.to_string();
    let is_file = std::fs::metadata(path).map_err(text)?.is_file();
    if !is_file {
        return Err("it is not a file".to_owned());
    }
    std::fs::read(path).map_err(text)
}

/// The name of this host, if the system tells it.
pub fn hostname() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}
