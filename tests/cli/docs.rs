//! What docs/cli.md and the help promise, the program takes.

use clap::{Arg, Command, CommandFactory, Parser};
use zonebeat::cli::Cli;

use super::help::commands;

const DOCS: &str = include_str!("../../docs/cli.md");
/// The section that explains what client commands share.
const SHARED: &str = "Client options";

/// The text below a heading, up to the next heading of its level or a higher one.
fn section(title: &str) -> Option<String> {
    let is_heading = |line: &str| line.starts_with('#');
    let level = |line: &str| line.chars().take_while(|c| *c == '#').count();
    let mut lines = DOCS.lines().skip_while(|line| !is_heading(line) || line.trim_start_matches('#').trim() != title);
    let top = level(lines.next()?);
    Some(lines.take_while(|line| !is_heading(line) || level(line) > top).collect::<Vec<_>>().join("\n"))
}

/// How an argument is written: its flag, or its value's name.
fn written(argument: &Arg) -> String {
    let value = || argument.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
    match argument.get_long() {
        Some(long) => format!("`--{long}"),
        None => value().unwrap_or_else(|| argument.get_id().to_string().to_uppercase()),
    }
}

#[test]
fn every_command_and_flag_stands_in_the_docs() {
    let shared = section(SHARED).expect("section of shared options");
    let own = |argument: &&Arg| argument.get_help_heading() != Some(SHARED) && argument.get_id() != "help";
    for (path, command) in commands() {
        let name = format!("zonebeat {}", path.join(" "));
        let text = section(&format!("`{name}`")).unwrap_or_else(|| panic!("docs/cli.md has no heading `{name}`"));
        assert!(text.contains(&format!("$ {name}")), "docs/cli.md has no example of {name}");
        for argument in command.get_arguments().filter(own) {
            let written = written(argument);
            assert!(text.contains(&written), "docs/cli.md does not explain {written} of {name}");
        }
        for argument in command.get_arguments().filter(|argument| !own(argument) && argument.get_id() != "help") {
            assert!(shared.contains(&written(argument)), "docs/cli.md does not explain {}", written(argument));
        }
    }
}

/// The words of a shell line up to a pipe, redirection or end.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => words.last_mut().expect("never empty").push(c),
            (None, '\'' | '"') => quote = Some(c),
            (None, '|' | '>' | '&' | ';') => break,
            (None, ' ') => words.push(String::new()),
            (None, c) => words.last_mut().expect("never empty").push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn assert_parses(line: &str) {
    if let Err(error) = Cli::try_parse_from(words(line)) {
        panic!("{line}\n{error}");
    }
}

#[test]
fn examples_of_the_docs_are_accepted() {
    let lines =
        DOCS.lines().filter_map(|line| line.trim_start().strip_prefix("$ ")).filter(|l| l.starts_with("zonebeat "));
    let mut count = 0;
    for line in lines {
        assert_parses(line);
        count += 1;
    }
    assert!(count > 10, "only {count} examples found");
}

#[test]
fn examples_of_the_help_are_accepted() {
    let all: Vec<Command> = commands().into_iter().map(|(_, command)| command).chain([Cli::command()]).collect();
    for command in all {
        let help = command.get_after_help().expect("every command has examples").to_string();
        for line in help.lines().map(str::trim).filter(|line| line.starts_with("zonebeat ")) {
            assert_parses(line);
            assert!(line.len() <= 98, "wraps on a terminal of 100 columns: {line}");
        }
    }
}
