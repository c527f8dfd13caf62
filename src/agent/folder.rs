//! The folder `services.d`: what its files say, and when they change.
//!
//! What it holds: for each `*.toml` file the instances that it said when it was last right, and what is wrong with it
//! now. A file that is broken keeps what it said before; a folder that cannot be read keeps everything. Only the
//! supervisor reads it again; `watcher` says when.

mod watcher;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

pub use watcher::Watcher;

use super::services::{Key, Planned, parse};
use crate::model::{Finding, Place};

/// The largest file that is read.
const LARGEST: u64 = 1 << 20;

/// The files of one folder.
#[derive(Debug, Default)]
pub struct Folder {
    path: PathBuf,
    host: String,
    files: BTreeMap<PathBuf, File>,
    /// It need not be there.
    optional: bool,
    /// It has been read at some time, or need not be there.
    listed: bool,
    /// Why the folder cannot be read.
    trouble: Option<Finding>,
}

/// One file.
#[derive(Debug, Default)]
struct File {
    planned: Vec<Planned>,
    findings: Vec<Finding>,
    /// It has been right at some time.
    known: bool,
}

impl Folder {
    /// A folder that has not been read yet. `host` makes the ids of instances that have none.
    pub fn new(path: PathBuf, host: String) -> Self {
        Self { path, host, ..Self::default() }
    }

    /// The same, which need not be there.
    pub fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads all files again; returns what they plan, each key once.
    pub fn read(&mut self) -> Vec<Planned> {
        match files_of(&self.path) {
            Ok(paths) => {
                (self.trouble, self.listed) = (None, true);
                self.files.retain(|path, _| paths.contains(path));
                for path in paths {
                    let file = self.files.entry(path.clone()).or_default();
                    match read_file(&path, &self.host) {
                        Ok(planned) => *file = File { planned, findings: Vec::new(), known: true },
                        Err(findings) => file.findings = findings,
                    }
                }
            }
            Err(error) if self.optional && self.files.is_empty() && error.kind() == io::ErrorKind::NotFound => {
                (self.trouble, self.listed) = (None, true);
            }
            Err(error) => {
                let message = format!("cannot be read: {error}");
                self.trouble = Some(Finding::error(Place::whole(&self.path.to_string_lossy()), message));
            }
        }
        self.planned()
    }

    /// What the files plan. Of two that name the same instance the first one counts, and the other one is told so.
    fn planned(&mut self) -> Vec<Planned> {
        let mut owners: BTreeMap<Key, PathBuf> = BTreeMap::new();
        let mut all = Vec::new();
        for (path, file) in &mut self.files {
            for planned in &file.planned {
                match owners.get(&planned.key) {
                    Some(owner) => {
                        let message = format!("instance {} stands in {} already", planned.key, owner.display());
                        let finding = Finding::error(Place::whole(&path.to_string_lossy()), message);
                        if !file.findings.contains(&finding) {
                            file.findings.push(finding);
                        }
                    }
                    None => {
                        owners.insert(planned.key.clone(), path.clone());
                        all.push(planned.clone());
                    }
                }
            }
        }
        all
    }

    /// Everything that is wrong now.
    pub fn findings(&self) -> Vec<Finding> {
        let of_files = self.files.values().flat_map(|file| &file.findings);
        self.trouble.iter().chain(of_files).cloned().collect()
    }

    /// Whether it has ever been read: before that nobody knows whether there are files.
    pub fn is_listed(&self) -> bool {
        self.listed
    }

    /// Whether it is known what each file says, or said when it was last right.
    pub fn is_known(&self) -> bool {
        self.trouble.is_none() && self.files.values().all(|file| file.known)
    }

    /// The files that are there, and how many instances each plans.
    pub fn files(&self) -> impl Iterator<Item = (&Path, usize)> {
        self.files.iter().map(|(path, file)| (path.as_path(), file.planned.len()))
    }
}

/// The files whose name ends in `.toml`; hidden ones are what editors leave behind.
fn files_of(folder: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut paths = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        if !hidden && path.extension().is_some_and(|extension| extension == "toml") {
            paths.insert(path);
        }
    }
    Ok(paths)
}

/// Reads one file of services.
pub fn read_file(path: &Path, host: &str) -> Result<Vec<Planned>, Vec<Finding>> {
    let name = path.to_string_lossy();
    let unreadable = |why: String| vec![Finding::error(Place::whole(&name), format!("cannot be read: {why}"))];
    let size = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
    if size > LARGEST {
        return Err(unreadable(format!("it has {size} octets; at most {LARGEST} are read")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    parse(&name, &stem, host, &text)
}
