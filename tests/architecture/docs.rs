//! What stands beside the code: reasons in the manifests, and links in the docs.

use std::path::Path;

use crate::assert_none;
use crate::source::{files, root};

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn every_dependency_carries_its_reason() {
    let mut faults = Vec::new();
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        let text = read(manifest);
        let mut in_dependencies = false;
        let mut before = "";
        for (number, line) in text.lines().enumerate() {
            if line.starts_with('[') {
                in_dependencies = line.ends_with("dependencies]");
            }
            let reason_above = before.starts_with("# ") && !before.starts_with("# ---");
            let is_entry = line.split_once(" = ").is_some_and(|(name, _)| !name.starts_with('#'));
            if in_dependencies && is_entry && !line.contains(" # ") && !reason_above {
                faults.push(format!("{manifest}:{}: no reason for: {line}", number + 1));
            }
            before = line;
        }
    }
    assert_none("say why a dependency is here, in a comment behind it or above it", faults);
}

#[test]
fn every_ban_carries_its_reason() {
    let deny: toml::Table = read("deny.toml").parse().expect("deny.toml is TOML");
    let clippy: toml::Table = read("clippy.toml").parse().expect("clippy.toml is TOML");
    let lists = [&deny["bans"]["deny"], &clippy["disallowed-methods"]];
    let entries = lists.into_iter().flat_map(|list| list.as_array().expect("bans are a list"));
    let silent = entries.filter(|entry| entry.get("reason").and_then(toml::Value::as_str).is_none_or(str::is_empty));
    assert_none("bans without a reason", silent.map(toml::Value::to_string).collect());
}

#[test]
fn docs_point_to_files_that_exist() {
    let top = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root().join(name));
    let below = ["docs", "benches", "config", "fuzz"].into_iter().flat_map(|folder| files(folder, "md"));
    let mut faults = Vec::new();
    for path in top.into_iter().chain(below) {
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let folder = path.parent().expect("a file lies in a folder");
        let broken = text.lines().enumerate().flat_map(|(number, line)| {
            let links = links(line).filter(|link| !folder.join(link).exists());
            let paths = quoted_paths(line).filter(|path| !root().join(path).exists());
            links.chain(paths).map(move |target| (number + 1, target))
        });
        let shown = path.strip_prefix(root()).unwrap_or(Path::new("")).display();
        faults.extend(broken.map(|(line, target)| format!("{shown}:{line}: there is no {target}")));
    }
    assert_none("docs that point to nothing", faults);
}

/// Targets of Markdown links to files.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let files = targets.map(|target| target.split('#').next().unwrap_or(target));
    files.filter(|target| !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:"))
}

/// Paths of this repository between backticks, as in `docs/index.md`.
fn quoted_paths(line: &str) -> impl Iterator<Item = &str> {
    let folders = ["src/", "tests/", "docs/", "config/", "benches/", "fuzz/", "zones/"];
    let quoted = line.split('`').skip(1).step_by(2);
    let plain = |text: &&str| text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    quoted.filter(plain).filter(move |text| folders.iter().any(|folder| text.starts_with(folder)))
}
