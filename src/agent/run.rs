//! `zonebeat run`: a command and its registration, which live and end together.
//!
//! ```text
//!   start the command --> its checks pass --> registered ... beats
//!      SIGTERM, SIGINT --> out of the answers --> caches forget it --> deregistered --> the signal goes to the command
//!      the command ends --> deregistered at once --> its exit code is ours
//! ```
//!
//! The command runs in a process group of its own, so that a Ctrl-C in a terminal reaches us alone and takes it out of
//! the answers first. It never depends on us: without a server it runs on, and so it does when we are killed.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::children::keep_secrets;
use super::session::CarrySession;
use super::supervise::{Agent, Controls};

/// What a shell says for a command that is not there, and for one that cannot be run.
const NOT_FOUND: u8 = 127;
const NOT_RUN: u8 = 126;

/// Why a command has not been run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not be started.
    #[error("cannot start {command}: {source}")]
    Start {
        /// What was to be started.
        command: String,
        /// Why not.
        source: io::Error,
    },
    /// Signals cannot be caught.
    #[error("cannot catch signals: {0}")]
    Signals(io::Error),
    /// It runs, and nobody knows how it ended.
    #[error("cannot wait for the command: {0}")]
    Wait(io::Error),
}

impl RunError {
    /// The exit code that says so, as a shell does.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Start { source, .. } if source.kind() == io::ErrorKind::NotFound => NOT_FOUND,
            Self::Start { .. } => NOT_RUN,
            Self::Signals(_) | Self::Wait(_) => 1,
        }
    }
}

/// Runs the command beside its agent until it has ended; its exit code, or 128 and the number of the signal that killed
/// it.
pub async fn run<C: CarrySession + 'static>(agent: Agent<C>, command: &[OsString]) -> Result<u8, RunError> {
    let mut signals = Signals::catch().map_err(RunError::Signals)?;
    let mut child = start(command)?;
    let controls = Controls::default();
    let agent = agent.run(controls.clone());
    tokio::pin!(agent);
    let (mut left, mut last_signal) = (false, None);
    let status = loop {
        tokio::select! {
            biased;
            status = child.wait() => break status.map_err(RunError::Wait)?,
            () = &mut agent, if !left => {
                left = true;
                last_signal.into_iter().for_each(|signal| send(&child, signal));
            }
            signal = signals.next() => match signal {
                Signal::TERM | Signal::INT if last_signal.is_none() && !left => {
                    last_signal = Some(signal);
                    controls.stop.cancel();
                }
                Signal::TERM | Signal::INT => {
                    controls.leave.cancel();
                    send(&child, signal);
                }
                other => send(&child, other),
            }
        }
    };
    tracing::info!("the command has ended: {status}");
    controls.leave.cancel();
    if !left {
        agent.await;
    }
    Ok(code(status))
}

fn start(command: &[OsString]) -> Result<Child, RunError> {
    let (program, arguments) = command.split_first().expect("the command line requires a command");
    let mut start = Command::new(program);
    keep_secrets(&mut start);
    start.args(arguments).process_group(0);
    let failed = |source| RunError::Start { command: program.to_string_lossy().into_owned(), source };
    start.spawn().map_err(failed)
}

/// Sends a signal to the command, unless it has been waited for.
fn send(child: &Child, signal: Signal) {
    if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
        // It may have ended this moment.
        let _ = kill_process(pid, signal);
    }
}

fn code(status: ExitStatus) -> u8 {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    u8::try_from(code).unwrap_or(u8::MAX)
}

/// The signals that are passed on.
struct Signals {
    caught: [(Signal, tokio::signal::unix::Signal); 7],
}

impl Signals {
    fn catch() -> io::Result<Self> {
        let caught = [
            (Signal::TERM, signal(SignalKind::terminate())?),
            (Signal::INT, signal(SignalKind::interrupt())?),
            (Signal::HUP, signal(SignalKind::hangup())?),
            (Signal::QUIT, signal(SignalKind::quit())?),
            (Signal::USR1, signal(SignalKind::user_defined1())?),
            (Signal::USR2, signal(SignalKind::user_defined2())?),
            (Signal::WINCH, signal(SignalKind::window_change())?),
        ];
        Ok(Self { caught })
    }

    /// The next of them.
    async fn next(&mut self) -> Signal {
        std::future::poll_fn(|context| {
            for (signal, stream) in &mut self.caught {
                if stream.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*signal);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}
