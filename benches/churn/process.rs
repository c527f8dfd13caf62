//! The server as a process: started, pinned, and what it uses.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Options, Place, ZONE, ask};

/// A server with a data directory of its own.
pub(crate) struct Server {
    child: Child,
    directory: tempfile::TempDir,
    place: Place,
}

impl Server {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(options: &Options) -> Self {
        let directory = tempfile::Builder::new().prefix("churn").tempdir_in("target").expect("a directory");
        let data = directory.path().join("data");
        if let Some(from) = &options.data {
            let status = Command::new("cp").arg("-r").arg(from).arg(&data).status().expect("cp runs");
            assert!(status.success(), "{} cannot be copied", from.display());
            forget_pages(&data.join("registry.redb"));
        }
        let config = directory.path().join("zonebeat.toml");
        std::fs::write(&config, "[dns]\nworkers = 1\n").expect("the configuration can be written");
        let own = PathBuf::from(env!("CARGO_BIN_EXE_zonebeat"));
        let mut command = Command::new(options.server.as_ref().unwrap_or(&own));
        command.args(["serve", "--zone", ZONE, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--config"]);
        command.arg(&config).arg("--data-dir").arg(&data).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the server starts");
        let place = await_ready(&mut child);
        Self { child, directory, place }
    }

    pub(crate) fn dns(&self) -> SocketAddr {
        self.place.dns
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.place.http
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// `split` puts the UDP worker on core 0, the other threads, and us, on core 1.
    pub(crate) fn pin(&self, how: &str) {
        if how != "split" {
            return;
        }
        taskset(1, std::process::id(), "-apc");
        for (thread, name) in self.threads() {
            taskset(usize::from(!is_query_thread(&name)), thread, "-pc");
        }
    }

    fn threads(&self) -> Vec<(u32, String)> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("the server runs");
        let named = tasks.flatten().filter_map(|task| {
            let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
            Some((task.file_name().to_string_lossy().parse().ok()?, name.trim().to_owned()))
        });
        named.collect()
    }

    /// Processor time by kind of thread, in seconds.
    pub(crate) fn usage(&self) -> Usage {
        let mut used = BTreeMap::new();
        for (thread, name) in self.threads() {
            let path = format!("/proc/{}/task/{thread}/schedstat", self.child.id());
            let Ok(text) = std::fs::read_to_string(path) else { continue };
            let nanoseconds: f64 = text.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0.0);
            let kind = if is_query_thread(&name) { "udp".to_owned() } else { name };
            *used.entry(kind).or_insert(0.0) += nanoseconds / 1e9;
        }
        Usage(used)
    }

    /// The registry's revision.
    pub(crate) fn revision(&self) -> u64 {
        let text = ask::http(self.place.http, "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let line = text.lines().find(|line| line.starts_with("zonebeat_registry_revision "));
        line.and_then(|line| line.split(' ').nth(1)?.parse::<f64>().ok()).expect("a revision") as u64
    }

    /// Octets that went to the disk.
    pub(crate) fn written(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/io", self.child.id())).expect("the server runs");
        text.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn resident_mib(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the server runs");
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
        line.split_whitespace().next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0) / 1024
    }

    pub(crate) fn file_mib(&self) -> u64 {
        std::fs::metadata(self.directory.path().join("data/registry.redb")).map_or(0, |found| found.len() >> 20)
    }

    pub(crate) fn perf(&self, seconds: u64) -> Child {
        let mut command = Command::new("perf");
        command.args([
            "record",
            "-q",
            "--call-graph",
            "dwarf,16384",
            "-F",
            "299",
            "-o",
            "perf.data",
            "-p",
            &self.child.id().to_string(),
        ]);
        command.args(["--", "sleep", &seconds.to_string()]).spawn().expect("perf starts")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait(); // nothing to be learnt from its status
    }
}

/// Processor time by kind of thread, in seconds.
pub(crate) struct Usage(BTreeMap<String, f64>);

impl Usage {
    pub(crate) fn total(&self) -> f64 {
        self.0.values().sum()
    }

    pub(crate) fn queries(&self) -> f64 {
        self.0.get("udp").copied().unwrap_or(0.0)
    }

    pub(crate) fn since(&self, before: &Self) -> BTreeMap<String, f64> {
        self.0.iter().map(|(name, used)| (name.clone(), used - before.0.get(name).unwrap_or(&0.0))).collect()
    }
}

fn is_query_thread(name: &str) -> bool {
    name.starts_with("dns") && name != "dns-watch"
}

/// Lets the system forget what it holds of a file in memory, as after a boot: `cp` leaves it in large pieces there,
/// which each later write of a page has to walk (docs/decisions/0031).
fn forget_pages(path: &Path) {
    let file = std::fs::File::open(path).expect("a store has this file");
    file.sync_all().expect("the disk takes it");
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).expect("a regular file");
}

fn taskset(core: usize, id: u32, how: &str) {
    let mut command = Command::new("taskset");
    // Without taskset everything shares the cores, which the report shows.
    let _ = command.args([how, &core.to_string(), &id.to_string()]).stdout(Stdio::null()).status();
}

/// Reads the log until it says where the server listens; then somebody goes on reading it.
fn await_ready(child: &mut Child) -> Place {
    let mut log = BufReader::new(child.stderr.take().expect("standard error is piped"));
    let until = Instant::now() + Duration::from_secs(120);
    let mut line = String::new();
    while Instant::now() < until && log.read_line(&mut line).is_ok_and(|read| read > 0) {
        let said: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        let find = |key: &str| said[key].as_str()?.split(',').next()?.trim().parse().ok();
        if let (true, Some(dns), Some(http)) = (said["message"] == "ready", find("dns"), find("http")) {
            std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::stderr()));
            return Place { dns, http };
        }
        eprint!("{line}");
        line.clear();
    }
    panic!("the server is not ready");
}
