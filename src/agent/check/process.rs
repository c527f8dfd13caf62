//! A process lives: a pidfd says when it ends, at that moment and without asking.
//!
//! Its number stands in a file, as daemons write it; the file is read again at each interval, because a service that
//! was started again has another number. Once a process has ended, its number counts only when the file has been
//! written anew, whoever the system gives it to meanwhile. A number that had been given to another program before this
//! check began is not told from the right one: when a file was written and when a process began are times of two
//! clocks.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::AsyncReadExt;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

use super::super::ready::watched;

/// How long it takes at most until a pidfd says of a process that it has ended already.
const ALREADY: Duration = Duration::from_millis(10);

/// What a file says, and which writing of it said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    number: i32,
    /// Inode, and when it was written and changed, in seconds and nanoseconds.
    writing: (u64, [i64; 4]),
}

/// A process that is watched.
#[derive(Debug)]
pub(super) struct Watched {
    /// What the file said of it.
    pub(super) told: Told,
    descriptor: AsyncFd<OwnedFd>,
}

impl Told {
    async fn by(path: &Path) -> Result<Self, String> {
        let wrong = |error: io::Error| format!("cannot read {}: {error}", path.display());
        let mut file = tokio::fs::File::open(path).await.map_err(wrong)?;
        let facts = file.metadata().await.map_err(wrong)?;
        let mut text = String::new();
        file.read_to_string(&mut text).await.map_err(wrong)?;
        let times = [facts.mtime(), facts.mtime_nsec(), facts.ctime(), facts.ctime_nsec()];
        match text.trim().parse() {
            Ok(number @ 1..) => Ok(Self { number, writing: (facts.ino(), times) }),
            _ => Err(format!("{} has no process number", path.display())),
        }
    }
}

impl Watched {
    /// The process whose number stands in the file, unless that is the one that `ended`.
    pub(super) async fn of_file(path: &Path, ended: Option<&Told>) -> Result<Self, String> {
        let told = Told::by(path).await?;
        let number = told.number;
        if ended == Some(&told) {
            return Err(format!("process {number} has ended"));
        }
        let pid = Pid::from_raw(number).ok_or_else(|| format!("{} has no process number", path.display()))?;
        let descriptor = pidfd_open(pid, PidfdFlags::NONBLOCK).map_err(io::Error::from);
        let descriptor = descriptor.and_then(watched);
        let descriptor = descriptor.map_err(|error| match error.raw_os_error() {
            Some(libc::ESRCH) => format!("there is no process {number}"),
            _ => format!("process {number} cannot be watched: {error}"),
        })?;
        let found = Self { told, descriptor };
        match timeout(ALREADY, found.ended()).await {
            Ok(()) => Err(format!("process {number} has ended")), // and nobody has waited for it
            Err(_) => Ok(found),
        }
    }

    /// Its number.
    pub(super) fn number(&self) -> i32 {
        self.told.number
    }

    /// Waits for its end.
    pub(super) async fn ended(&self) {
        // An error would be one of the runtime, which is going away then.
        let _ = self.descriptor.readable().await;
    }

    /// Whether the file has been written anew.
    pub(super) async fn is_replaced(&self, path: &Path) -> bool {
        Told::by(path).await.is_ok_and(|told| told != self.told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_number_of_a_process_that_ended_counts_only_when_it_is_written_anew() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("pid");
        let write = || std::fs::write(&file, format!("{}\n", std::process::id())).expect("a file can be written");
        write();
        let first = Watched::of_file(&file, None).await.expect("this process lives").told;
        let reused = Watched::of_file(&file, Some(&first)).await.expect_err("the number is somebody else's");
        assert!(reused.ends_with("has ended"), "{reused}");
        std::fs::remove_file(&file).expect("it is there");
        tokio::time::sleep(Duration::from_millis(20)).await; // a clock of files may stand still so long
        write();
        assert!(Watched::of_file(&file, Some(&first)).await.is_ok());
    }

    #[tokio::test]
    async fn a_process_that_nobody_has_waited_for_does_not_live() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("pid");
        let mut child = std::process::Command::new("true").spawn().expect("it starts");
        std::fs::write(&file, child.id().to_string()).expect("a file can be written");
        let stat = format!("/proc/{}/stat", child.id());
        while !std::fs::read_to_string(&stat).expect("it is there").contains(") Z ") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let ended = Watched::of_file(&file, None).await.expect_err("it is a zombie");
        assert!(ended.ends_with("has ended"), "{ended}");
        child.wait().expect("it can be waited for");
    }
}
