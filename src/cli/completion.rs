//! `zonebeat completion` and `zonebeat man`: made from the definitions that parse, so that they cannot drift.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::output::print;
use super::{Cli, Failure, examples};

/// Print the completion script of a shell
#[derive(Debug, Clone, Args)]
#[command(after_help = examples![
    "zonebeat completion bash > /usr/share/bash-completion/completions/zonebeat",
    "zonebeat completion zsh > ~/.zfunc/_zonebeat",
    "zonebeat completion fish > ~/.config/fish/completions/zonebeat.fish",
])]
pub struct CompletionArgs {
    /// Shell to print it for
    shell: Shell,
}

/// Print a manual page, or write all of them into a directory
#[derive(Debug, Clone, Args)]
#[command(after_help = examples![
    "zonebeat man | man -l -",
    "zonebeat man register | man -l -",
    "zonebeat man token create | man -l -",
    "zonebeat man --dir /usr/local/share/man/man1",
])]
pub struct ManArgs {
    /// Subcommand to print the page of; without it the page of zonebeat itself
    command: Vec<String>,

    /// Write one page per command into this directory instead
    #[arg(long, conflicts_with = "command")]
    dir: Option<PathBuf>,
}

/// Prints the completion script.
pub fn completion(args: &CompletionArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "zonebeat", &mut script);
    Ok(print(&String::from_utf8_lossy(&script))?)
}

/// Prints one manual page or writes all.
pub fn man(args: &ManArgs) -> Result<(), Failure> {
    match &args.dir {
        Some(dir) => write_pages(dir),
        None => Ok(print(&page(&args.command)?)?),
    }
}

fn page(path: &[String]) -> Result<String, Failure> {
    let root = root();
    let mut command = &root;
    for word in path {
        command = command.find_subcommand(word).ok_or_else(|| {
            let known: Vec<_> = command.get_subcommands().map(Command::get_name).collect();
            Failure::Usage(match known.as_slice() {
                [] => format!("\"{}\" has no command \"{word}\"", command.get_name()),
                known => format!("there is no command \"{word}\" here; there is: {}", known.join(", ")),
            })
        })?;
    }
    let roff = render(command, &file_stem(path))?;
    Ok(String::from_utf8_lossy(&roff).into_owned())
}

/// All commands, without the generated `help`, which is no page.
fn root() -> Command {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    root
}

fn render(command: &Command, title: &str) -> io::Result<Vec<u8>> {
    let mut roff = Vec::new();
    let source = concat!("zonebeat ", env!("CARGO_PKG_VERSION"));
    Man::new(command.clone()).title(title).source(source).manual("zonebeat").render(&mut roff)?;
    Ok(roff)
}

/// `zonebeat-token-create` for `token create`.
fn file_stem(path: &[String]) -> String {
    ["zonebeat"].into_iter().chain(path.iter().map(String::as_str)).collect::<Vec<_>>().join("-")
}

fn write_pages(dir: &Path) -> Result<(), Failure> {
    let failed = |error| Failure::Failed(format!("cannot write manual pages into {}: {error}", dir.display()));
    std::fs::create_dir_all(dir).map_err(failed)?;
    write_below(dir, &root(), &[]).map_err(failed)
}

fn write_below(dir: &Path, command: &Command, path: &[String]) -> io::Result<()> {
    let stem = file_stem(path);
    std::fs::write(dir.join(format!("{stem}.1")), render(command, &stem)?)?;
    command.get_subcommands().try_for_each(|sub| write_below(dir, sub, &[path, &[sub.get_name().to_owned()]].concat()))
}
