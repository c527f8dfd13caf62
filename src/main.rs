//! The `zonebeat` binary: parses arguments, calls the command, maps its failure to an exit code. It chooses the
//! allocator too, because that is the program's choice and not the library's.

use std::process::ExitCode;

use clap::Parser;
use tikv_jemallocator::Jemalloc;
use zonebeat::cli::Cli;

/// Many small blocks live long, and blocks of some kilobytes come and go all the time (docs/decisions/0032).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// What jemalloc reads at its start, before `_RJEM_MALLOC_CONF` in the environment, which wins. Two arenas, because
/// each keeps room of its own and one thread does most of the work; what was freed goes back to the system after a
/// tenth of a second, so that a start with a million instances needs hardly more memory than what is left of it.
#[allow(unsafe_code)] // the symbol is jemalloc's, and has the type that it reads: `const char *`
#[unsafe(export_name = "_rjem_malloc_conf")]
static TUNING: &[u8; 46] = b"narenas:2,dirty_decay_ms:100,muzzy_decay_ms:0\0";

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            ExitCode::from(failure.exit_code())
        }
    }
}
