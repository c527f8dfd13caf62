//! Starts the binary, in bounds.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// No command of these tests takes longer.
pub(crate) const BOUND: Duration = Duration::from_secs(20);

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The binary with an environment that holds no server and no token.
pub(crate) fn zonebeat(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zonebeat"));
    command.args(args).env_remove("ZONEBEAT_SERVER").env_remove("ZONEBEAT_TOKEN").env("NO_COLOR", "1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Runs a command to its end.
pub(crate) async fn run(args: &[&str]) -> Ended {
    finish(&mut zonebeat(args)).await
}

/// Runs a prepared command to its end.
pub(crate) async fn finish(command: &mut Command) -> Ended {
    let output = timeout(BOUND, command.output()).await.expect("ends in time").expect("starts");
    let text = |octets| String::from_utf8(octets).expect("UTF-8");
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A command that stays, line by line.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut child = zonebeat(args).spawn().expect("starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, lines }
    }

    /// The next line of its log that contains the text.
    pub(crate) async fn line_with(&mut self, text: &str) -> String {
        let mut seen = Vec::new();
        let found = timeout(BOUND, async {
            while let Some(line) = self.lines.next_line().await.expect("UTF-8") {
                if line.contains(text) {
                    return Some(line);
                }
                seen.push(line);
            }
            None
        });
        let found = found.await.ok().flatten();
        found.unwrap_or_else(|| panic!("no line with \"{text}\" after {seen:#?}"))
    }

    /// Sends a signal to this process alone.
    pub(crate) async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("runs").to_string();
        let script = format!("kill -s {name} {pid}");
        let status = Command::new("sh").args(["-c", &script]).status().await.expect("sh");
        assert!(status.success(), "{script}");
    }

    /// The exit code and what it wrote to standard error.
    pub(crate) async fn end(mut self) -> (Option<i32>, String) {
        let output = timeout(BOUND, async move {
            while self.lines.next_line().await.expect("UTF-8").is_some() {}
            self.child.wait_with_output().await.expect("waits")
        });
        let output = output.await.expect("ends in time");
        (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
    }
}
