//! Checks: whether an instance may be in the answers.
//!
//! `spec` is what a check is, as a file or a flag says it; `standing` counts passes and failures until a verdict turns;
//! `watch` probes again and again. One file for each kind of probe: `tcp`, `http` (and `tls` below it), `grpc`, `exec`,
//! `process`, `report` (a service that reports itself). A probe comes to an end within its timeout, whatever happens,
//! and leaves nothing behind when it is dropped.

mod exec;
mod grpc;
mod http;
mod process;
mod report;
mod spec;
mod standing;
mod tcp;
mod tls;
mod watch;

pub use report::Report;
pub use spec::{Probe, Spec, Target};
pub use standing::{Standing, Verdict};
pub use watch::{Seen, Subject, watch};

/// What one probe found: what is right, or what is wrong, in a few words.
pub type Outcome = Result<String, String>;
