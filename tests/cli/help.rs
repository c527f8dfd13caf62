//! What needs no server: help, usage errors, completion scripts, manual pages.

use clap::{Command, CommandFactory};
use zonebeat::cli::Cli;

use super::program::{finish, run, zonebeat};

/// Every subcommand, nested ones too, as the words that call it.
pub(crate) fn commands() -> Vec<(Vec<String>, Command)> {
    fn walk(path: &[String], command: &Command, all: &mut Vec<(Vec<String>, Command)>) {
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let path = [path, &[sub.get_name().to_owned()]].concat();
            all.push((path.clone(), sub.clone()));
            walk(&path, sub, all);
        }
    }
    let mut all = Vec::new();
    walk(&[], &Cli::command(), &mut all);
    all
}

/// The tuning in `main.rs` is a symbol that the allocator looks for: under another name it would be ignored silently.
#[tokio::test]
async fn the_allocator_is_tuned() {
    let ended = finish(zonebeat(&["--version"]).env("_RJEM_MALLOC_CONF", "stats_print:true")).await;
    for setting in ["opt.narenas: 2", "opt.dirty_decay_ms: 100", "opt.muzzy_decay_ms: 0"] {
        assert!(ended.stderr.contains(setting), "{setting}: {}", ended.stderr);
    }
}

#[test]
fn the_definitions_are_consistent() {
    Cli::command().debug_assert();
}

#[tokio::test]
async fn help_of_every_command_teaches() {
    for (path, command) in commands() {
        let words: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
        let ended = run(&words).await;
        let name = path.join(" ");
        assert_eq!(ended.code, Some(0), "{name}: {}", ended.stderr);
        assert!(ended.stdout.contains(&format!("Examples:\n  zonebeat {name}")), "{name} has no example of itself");
        assert!(ended.stdout.contains("Exit codes: 0 done"), "{name} does not say its exit codes");
        assert!(command.get_about().is_some(), "{name} has no description");
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            assert!(argument.get_help().is_some(), "{name} does not explain {}", argument.get_id());
        }
        assert!(!ended.stdout.contains('\u{1b}'), "{name} is coloured in a pipe");
    }
}

#[tokio::test]
async fn help_of_run_has_the_exit_codes_of_a_shell() {
    let ended = run(&["run", "--help"]).await;
    for part in ["128 and the number of the signal", "126 the command cannot be run", "127 there is no such command"] {
        assert!(ended.stdout.contains(part), "{part}: {}", ended.stdout);
    }
}

#[tokio::test]
async fn wrong_usage_is_exit_code_2_and_says_what_would_be_right() {
    let cases: [(&[&str], &str); 19] = [
        (&["serve", "--config", "missing.toml"], "missing.toml"),
        (&["frobnicate"], "unrecognized subcommand"),
        (&["register", "search"], "--port <N>"),
        (&["register", "search", "--port", "0"], "1..=65535"),
        (&["register", "search", "--port", "65536"], "1..=65535"),
        (&["register", "se.arch", "--port", "1"], "letters, digits and hyphens"),
        (&["register", "search", "--port", "1", "--lease", "soon"], "15s, 2m, 1h"),
        (&["register", "search", "--port", "1", "--meta", "version"], "KEY=VALUE"),
        (&["register", "search", "--port", "1", "--address", "x"], "invalid IP address"),
        (&["register", "search", "--port", "1", "--address", "192.0.2.7", "--target", "a.example.org"], "--target"),
        (&["register", "search", "--port", "1", "--dns", "127.0.0.1:53"], "--wait"),
        (&["services", "--server", "https://192.0.2.1"], "http://192.0.2.1:8053"),
        (&["services", "--token", "a\nb"], "characters that no token has"),
        (&["token", "create", "ops", "--address", "192.0.2.0/33"], "192.0.2.0/24"),
        (&["man", "frobnicate"], "there is: serve, register"),
        (&["drain"], "--site <SITE>"),
        (&["undrain", "search"], "--site <SITE>"),
        (&["release"], "--fleet"),
        (&["weight", "search", "a1", "10", "--for", "1d"], "90s, 20m, 1h"),
    ];
    for (args, hint) in cases {
        let ended = run(args).await;
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(hint), "{args:?}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{args:?}");
    }
}

#[tokio::test]
async fn completion_knows_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = run(&["completion", shell]).await;
        assert_eq!(ended.code, Some(0), "{shell}: {}", ended.stderr);
        for (path, _) in commands() {
            let word = path.last().expect("path");
            assert!(ended.stdout.contains(word.as_str()), "{shell} does not know {word}");
        }
    }
}

#[tokio::test]
async fn manual_pages_are_printed_or_written() {
    let ended = run(&["man", "token", "create"]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains(".TH zonebeat-token-create 1"), "{}", ended.stdout);
    assert!(ended.stdout.contains("token create ops"), "the page has no examples");

    let dir = tempfile::tempdir().expect("directory");
    let target = dir.path().join("man1");
    let ended = run(&["man", "--dir", target.to_str().expect("UTF-8")]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(target.join("zonebeat.1").exists());
    for (path, _) in commands() {
        let page = target.join(format!("zonebeat-{}.1", path.join("-")));
        assert!(page.exists(), "{} is missing", page.display());
    }
}
