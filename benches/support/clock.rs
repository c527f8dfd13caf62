//! The processor time of this process, which says what work costs also while others use the machine.
//!
//! `unsafe`, because the standard library does not have this clock: one call that fills a value of our own.
#![allow(unsafe_code)]

use std::time::Duration;

/// User and system time of all threads.
pub(crate) fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time lives, and the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec.cast_unsigned().try_into().unwrap_or(0))
}
