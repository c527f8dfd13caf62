//! A program of the system, started on ports of its own and killed by its id.

#![allow(clippy::print_stderr)] // the test runner shows a program's output with the failed test

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::run_dig;

/// A port that is free for UDP and TCP.
pub(crate) fn free_port() -> u16 {
    for _ in 0..100 {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a local port is free");
        let port = tcp.local_addr().expect("it is bound").port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free for UDP and TCP alike");
}

/// A folder for a program that is about to start.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory can be made"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Starts `name`; in its arguments `{dir}` is this folder. `config` is written to `{dir}/config` before.
    ///
    /// What runs is a copy of the program: Debian confines some, by their path, to the folders of their packages. `cp`
    /// makes it, because a file that we wrote ourselves is busy while any other test forks.
    pub(crate) fn start(self, name: &str, args: &[&str], config: &str) -> Program {
        let dir = self.path().display().to_string();
        fs::write(self.path().join("config"), config.replace("{dir}", &dir)).expect("file can be written");
        let copy = self.path().join(name);
        let copied = Command::new("cp").arg(find(name)).arg(&copy).status().expect("cp starts");
        assert!(copied.success(), "{name} can be copied");
        let log = File::create(self.path().join("log")).expect("file can be made");
        let mut command = Command::new(copy);
        command.args(args.iter().map(|arg| arg.replace("{dir}", &dir))).current_dir(self.path()).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a file can be opened twice")).stderr(log);
        Program { child: command.spawn().unwrap_or_else(|error| panic!("{name}: {error}")), place: self }
    }
}

/// Where a program of the system is: servers are often not in the search path of users.
fn find(name: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/local/sbin:/usr/sbin:/sbin";
    let found = path.split(':').map(|folder| Path::new(folder).join(name)).find(|program| program.is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed; run `make setup`"))
}

/// A running program. Dropping it kills exactly this process.
pub(crate) struct Program {
    child: Child,
    place: Place,
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = fs::read(self.place.path().join("log")).unwrap_or_default();
            eprintln!("--- the program's output ---\n{}", String::from_utf8_lossy(&log));
        }
    }
}

/// Runs dig against a server that may not be up yet, and returns the lines of its output,
/// sorted and with single spaces.
#[allow(dead_code)] // not every test that starts programs asks with dig
pub(crate) fn dig(server: SocketAddr, args: &[&str]) -> Vec<String> {
    let text = run_dig("dig", server, &["+tries=1", "+time=2"], args);
    let mut lines: Vec<String> =
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    lines.sort();
    lines
}
