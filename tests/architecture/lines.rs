//! Lines that people read are no longer than the code's: comments, and the prose of the docs. Tables, code and the
//! definitions of links are as long as they have to be.

use crate::assert_none;
use crate::source::{files, root, sources};

/// As in rustfmt.toml.
const MAX_LINE: usize = 120;

fn is_too_long(line: &str) -> bool {
    line.chars().count() > MAX_LINE
}

#[test]
fn comments_are_no_longer_than_a_line_of_code() {
    let mut faults = Vec::new();
    for source in ["src", "tests", "benches", "examples", "fuzz"].into_iter().flat_map(sources) {
        let comments = source.text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with("//"));
        let long = comments.filter(|(_, line)| is_too_long(line)).map(|(at, _)| format!("{}:{}", source.path, at + 1));
        faults.extend(long);
    }
    assert_none("comments over 120 columns", faults);
}

#[test]
fn prose_is_no_longer_than_a_line_of_code() {
    let top = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root().join(name));
    let below = ["docs", "benches", "config", "fuzz"].into_iter().flat_map(|folder| files(folder, "md"));
    let mut faults = Vec::new();
    for path in top.into_iter().chain(below) {
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let long = long_prose(&text);
        faults.extend(long.into_iter().map(|line| format!("{}:{line}", path.display())));
    }
    assert_none("prose over 120 columns", faults);
}

/// The numbers of the lines of a Markdown text that are too long.
fn long_prose(text: &str) -> Vec<usize> {
    let mut fenced = false;
    let mut long = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let words = line.trim_start();
        let fence = words.starts_with("```");
        fenced ^= fence;
        let is_definition = words.starts_with('[') && words.contains("]:");
        let is_prose = !fenced && !fence && !line.starts_with("    ") && !words.starts_with('|') && !is_definition;
        if is_prose && is_too_long(line) {
            long.push(at + 1);
        }
    }
    long
}

#[test]
fn tables_and_code_may_be_longer() {
    let words = "word ".repeat(30);
    let text = format!("{words}\n| {words} |\n    {words}\n```\n{words}\n```\n[a]: {words}\n- {words}\n");
    assert_eq!(long_prose(&text), [1, 8]);
}
