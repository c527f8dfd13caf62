//! The `zonebeat` binary: parses arguments, calls the command, maps its failure to an exit code.

use std::process::ExitCode;

use clap::Parser;
use zonebeat::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            ExitCode::from(failure.exit_code())
        }
    }
}
