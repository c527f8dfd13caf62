//! Backups as operators take them: from a server that runs and changes, out of a data directory, into a store again;
//! with damage, kills and connections that break. `story` has the real server and dig, `broken` what goes wrong,
//! `status` the page that says how a server is.

#![allow(clippy::unwrap_used, unreachable_pub)] // a test may panic; `pub` is what the tests may use
#![allow(clippy::disallowed_methods)] // real processes live in real time

#[path = "backup/broken.rs"]
mod broken;
#[path = "backup/status.rs"]
mod status;
#[path = "support/store.rs"]
#[allow(dead_code)] // rows are taken from it, and no stories
mod store;
#[path = "backup/story.rs"]
mod story;
mod support;

use std::path::Path;
use std::process::{Output, Stdio};

/// Runs a command that needs no server.
fn run(args: &[&str]) -> Output {
    support::zonebeat().args(args).stdin(Stdio::null()).output().unwrap()
}

/// The same, which has to work; its output.
fn done(args: &[&str]) -> String {
    text(run(args), 0)
}

/// Everything that it printed, if it ended so.
fn text(output: Output, code: i32) -> String {
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The files of a directory, sorted.
fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A backup without its first line, which has the identity of the store, and without the last one, which has a hash of
/// it.
fn rows(backup: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(backup).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines[1..lines.len() - 1].to_vec()
}
