//! A shell command exits with 0.
//!
//! It runs as `/bin/sh -c` in a process group of its own, which is killed as a whole when the probe is dropped before
//! the command has ended: after its timeout, or because the check went away. The last line of what it wrote is its
//! reason; no more than [`OUTPUT_LIMIT`] octets are kept, the rest is read and thrown away.

use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

use super::super::children::keep_secrets;
use super::Outcome;
use super::watch::Subject;

/// The most output that is kept.
const OUTPUT_LIMIT: usize = 4096;
/// How long output is waited for after the end of the command: a child that it left behind may hold the pipe.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// Runs it once.
pub(super) async fn probe(command: &str, subject: &Subject) -> Outcome {
    let failed = |error: std::io::Error| format!("cannot run it: {error}");
    let (reader, writer) = std::io::pipe().map_err(failed)?;
    let second = writer.try_clone().map_err(failed)?;
    let mut shell = Command::new("/bin/sh");
    keep_secrets(&mut shell);
    shell.arg("-c").arg(command).process_group(0).kill_on_drop(true);
    shell.env("ZONEBEAT_SERVICE", &subject.key.service).env("ZONEBEAT_ID", &subject.key.id);
    shell.env("ZONEBEAT_PORT", subject.port.to_string());
    shell.stdin(Stdio::null()).stdout(writer).stderr(second);
    let child = shell.spawn().map_err(failed)?;
    drop(shell); // it holds our ends of the pipe for writing
    let mut output = pipe::Receiver::from_owned_fd(OwnedFd::from(reader)).map_err(failed)?;
    let mut group = Group { child };
    let mut text = Vec::new();
    let status = tokio::select! {
        status = group.child.wait() => status.map_err(failed)?,
        () = read(&mut output, &mut text) => group.child.wait().await.map_err(failed)?,
    };
    // What is missing then is missing in the words only.
    let _ = tokio::time::timeout(LAST_WORDS, read(&mut output, &mut text)).await;
    judge(status, &text)
}

/// Reads until the end; may be given up and called again.
async fn read(output: &mut pipe::Receiver, text: &mut Vec<u8>) {
    let mut part = [0; 1024];
    while let Ok(count @ 1..) = output.read(&mut part).await {
        let room = OUTPUT_LIMIT.saturating_sub(text.len());
        text.extend_from_slice(&part[..count.min(room)]);
    }
}

fn judge(status: ExitStatus, text: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(text);
    let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    let said = last.map_or_else(String::new, |line| format!(": {line}"));
    match (status.success(), status.code()) {
        (true, _) => Ok(format!("exited with 0{said}")),
        (false, Some(code)) => Err(format!("exited with {code}{said}")),
        (false, None) => Err(format!("was killed ({status}){said}")),
    }
}

/// The command and everything that it started.
struct Group {
    child: Child,
}

impl Drop for Group {
    fn drop(&mut self) {
        // Only while the leader has not been waited for its number is certainly its own.
        let leader = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(leader) = leader {
            // It may have ended this moment.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}
