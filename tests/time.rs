//! What time may do to those who beat, and must not: the server restarts and stalls, clocks jump, everybody is gone.
//!
//! Real servers, real agents: some processes, and many more in this one. `fleet` has the agents and the network that
//! can be cut, `faked` a wall clock that jumps, `restarts`, `stalls`, `jumps` and `absence` the stories.

#![allow(clippy::disallowed_methods)] // real processes live in real time
#![allow(clippy::print_stderr)] // the test runner shows how long things took with a failed test

#[path = "time/absence.rs"]
mod absence;
#[path = "time/faked.rs"]
mod faked;
#[path = "time/fleet.rs"]
mod fleet;
#[path = "time/jumps.rs"]
mod jumps;
#[path = "time/restarts.rs"]
mod restarts;
#[path = "time/stalls.rs"]
mod stalls;
mod support;
