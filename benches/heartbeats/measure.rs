//! What the modes share: requests, replies, and what the system says of the server.

use std::io::ErrorKind;
use std::process::{Command, Stdio};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A POST with a body.
pub(crate) fn request(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: zonebeat\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Sends a request and reads its reply, which has to be a success, into the buffer.
pub(crate) async fn exchange(stream: &mut TcpStream, request: &[u8], buffer: &mut Vec<u8>) -> std::io::Result<()> {
    stream.write_all(request).await?;
    buffer.clear();
    while !whole(buffer) {
        if stream.read_buf(buffer).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    assert!(buffer.starts_with(b"HTTP/1.1 20"), "{}", String::from_utf8_lossy(buffer));
    Ok(())
}

/// Whether the reply has its head and as much body as the head says.
fn whole(reply: &[u8]) -> bool {
    let Some(end) = reply.windows(4).position(|octets| octets == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&reply[..end]);
    let length = head.lines().filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().expect("a number"))
    });
    reply.len() >= end + 4 + length.unwrap_or(0)
}

/// Moves every thread of a process to one core; false where that cannot be done.
pub(crate) fn pin(pid: u32, core: usize) -> bool {
    let mut command = Command::new("taskset");
    command.args(["-apc", &core.to_string(), &pid.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// User and system time of a process, in seconds.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0; // what Linux shows in /proc, whatever the kernel's own clock is
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the server runs");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("the name ends").split_whitespace().collect();
    let ticks = |field: &str| field.parse::<f64>().expect("a number");
    (ticks(fields[11]) + ticks(fields[12])) / TICKS_PER_SECOND
}

/// Resident octets of a process.
pub(crate) fn resident(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the server runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux says it");
    line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<f64>().ok()).expect("a number") * 1024.0
}
