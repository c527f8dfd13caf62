//! A wall clock that jumps, for one process: libfaketime, with the monotonic clock as it is, as when an operator or NTP
//! sets the clock of a host.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::support::{Server, Setup};

/// The wall clock of some processes.
pub(crate) struct Clock {
    dir: TempDir,
    library: PathBuf,
}

impl Clock {
    /// Shows the real time until it is set.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let clock = Self { dir, library: library() };
        clock.set(0);
        clock
    }

    /// Jumps to so many seconds from the real time.
    pub(crate) fn set(&self, seconds: i64) {
        let (draft, offset) = (self.dir.path().join("draft"), self.dir.path().join("offset"));
        std::fs::write(&draft, format!("{seconds:+}")).expect("a file can be written");
        std::fs::rename(draft, offset).expect("a file can be moved");
    }

    fn env(&self) -> [(&'static str, String); 4] {
        let text = |path: &Path| path.display().to_string();
        [
            ("LD_PRELOAD", text(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", text(&self.dir.path().join("offset"))),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }

    /// A server that lives by this clock.
    pub(crate) fn start(&self, setup: Setup) -> Server {
        self.env().iter().fold(setup, |setup, (name, value)| setup.env(name, value)).start()
    }

    /// A command that lives by this clock.
    pub(crate) fn of(&self, mut command: Command) -> Command {
        command.envs(self.env());
        command
    }
}

/// Where the Debian package libfaketime has it.
fn library() -> PathBuf {
    let triple = format!("{}-linux-gnu", std::env::consts::ARCH);
    let path = Path::new("/usr/lib").join(triple).join("faketime/libfaketimeMT.so.1");
    assert!(path.exists(), "{} is missing (Debian package libfaketime); run `make setup`", path.display());
    path
}
