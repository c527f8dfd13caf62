//! A process lives: a pidfd says when it ends, at that moment and without asking.
//!
//! Its number stands in a file, as daemons write it; the file is read again at each interval, because a service that
//! was started again has another number. A number that the system has given to another program since is not noticed.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;

use super::super::ready::watched;

/// A process that is watched.
#[derive(Debug)]
pub(super) struct Watched {
    /// Its number.
    pub(super) number: i32,
    descriptor: AsyncFd<OwnedFd>,
}

impl Watched {
    /// The process whose number stands in the file.
    pub(super) async fn of_file(path: &Path) -> Result<Self, String> {
        let number = number_in(path).await?;
        let pid = Pid::from_raw(number).ok_or_else(|| format!("{} has no process number", path.display()))?;
        let descriptor = pidfd_open(pid, PidfdFlags::NONBLOCK).map_err(io::Error::from);
        let descriptor = descriptor.and_then(watched);
        let descriptor = descriptor.map_err(|error| match error.raw_os_error() {
            Some(libc::ESRCH) => format!("there is no process {number}"),
            _ => format!("process {number} cannot be watched: {error}"),
        })?;
        Ok(Self { number, descriptor })
    }

    /// Waits for its end.
    pub(super) async fn ended(&self) {
        // An error would be one of the runtime, which is going away then.
        let _ = self.descriptor.readable().await;
    }

    /// Whether the file names another process now.
    pub(super) async fn is_replaced(&self, path: &Path) -> bool {
        number_in(path).await.is_ok_and(|number| number != self.number)
    }
}

async fn number_in(path: &Path) -> Result<i32, String> {
    let text = tokio::fs::read_to_string(path).await;
    let text = text.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    match text.trim().parse() {
        Ok(number @ 1..) => Ok(number),
        _ => Err(format!("{} has no process number", path.display())),
    }
}
