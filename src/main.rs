//! The `zonebeat` binary: parses arguments, calls the command, maps its failure to an exit code. It chooses the
//! allocator too, because that is the program's choice and not the library's.

use std::process::ExitCode;
use std::ptr::null_mut;

use clap::Parser;
use tikv_jemallocator::Jemalloc;
use zonebeat::cli::Cli;

/// Many small blocks live long, and blocks of some kilobytes come and go all the time (docs/decisions/0032).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// What jemalloc reads at its start, before `_RJEM_MALLOC_CONF` in the environment, which wins. Two arenas, because
/// each keeps room of its own and one thread does most of the work; what was freed goes back to the system after a
/// tenth of a second, so that a start with a million instances needs hardly more memory than what is left of it.
/// [`keep_pages`] makes that longer when the start is over.
#[allow(unsafe_code)] // the symbol is jemalloc's, and has the type that it reads: `const char *`
#[unsafe(export_name = "_rjem_malloc_conf")]
static TUNING: &[u8; 46] = b"narenas:2,dirty_decay_ms:100,muzzy_decay_ms:0\0";

/// Milliseconds after which a server that has its data gives back what was freed. Each page that goes back interrupts
/// the other processors, and costs a fault when it is needed again: a tenth of the writer's time under churn.
const KEEP: isize = 1000;

/// Has the arenas keep what was freed for [`KEEP`].
#[allow(unsafe_code)] // the names are jemalloc's and end with a zero, the value has the type that they have: `ssize_t`
fn keep_pages() {
    for name in [c"arena.0.dirty_decay_ms", c"arena.1.dirty_decay_ms"] {
        let mut keep = KEEP;
        let value = (&raw mut keep).cast();
        let refused =
            unsafe { tikv_jemalloc_sys::mallctl(name.as_ptr(), null_mut(), null_mut(), value, size_of::<isize>()) };
        debug_assert_eq!(refused, 0, "the allocator has {name:?}");
    }
}

fn main() -> ExitCode {
    match Cli::parse().run(keep_pages) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            ExitCode::from(failure.exit_code())
        }
    }
}
