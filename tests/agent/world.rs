//! An agent with a folder and a socket of its own, and a small HTTP service that can be made ill.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread::JoinHandle;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Server, Staying, eventually, zonebeat};

/// The name that the tests' service is answered at.
pub(crate) const SRV: &str = "_search._tcp.sd.example.org";

/// Where an agent lives.
pub(crate) struct Home {
    dir: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        std::fs::create_dir(dir.path().join("services.d")).expect("a folder can be made");
        Self { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Writes a file of services, at once, as a configuration management does.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let draft = self.path("draft");
        std::fs::write(&draft, text).expect("a file can be written");
        std::fs::rename(&draft, self.path("services.d").join(name)).expect("a file can be moved");
    }

    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.path("services.d").join(name)).expect("a file can be removed");
    }

    /// Starts an agent with a lease of 2 s.
    pub(crate) fn agent(&self, servers: &[&str], more: &[&str]) -> Staying {
        self.agent_of(servers, more, "2s")
    }

    /// Starts an agent with a lease that outlasts its own end and the next one's start.
    pub(crate) fn lasting_agent(&self, servers: &[&str], more: &[&str]) -> Staying {
        self.agent_of(servers, more, "60s")
    }

    fn agent_of(&self, servers: &[&str], more: &[&str], lease: &str) -> Staying {
        std::fs::write(self.path("agent.toml"), format!("lease = \"{lease}\"\n")).expect("a file can be written");
        let (config, folder, socket) = (self.text("agent.toml"), self.text("services.d"), self.text("sock"));
        let own = ["agent", "--config", &config, "--services-dir", &folder, "--socket", &socket];
        let session: &[&str] = if more.contains(&"--session") { &[] } else { &["--session", "host-17"] };
        Staying::start(servers, &[&own[..], session, more].concat())
    }

    /// The agent's status; `null` while it does not answer.
    pub(crate) fn status(&self) -> Value {
        let mut command = zonebeat();
        let output = command.args(["agent", "status", "--json", "--socket", &self.text("sock")]).output();
        serde_json::from_slice(&output.expect("the binary starts").stdout).unwrap_or_default()
    }

    /// The exit code and the page of its status for people.
    pub(crate) fn status_page(&self) -> (Option<i32>, String) {
        let mut command = zonebeat();
        let output = command.args(["agent", "status", "--socket", &self.text("sock")]).output();
        let output = output.expect("the binary starts");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Reports an instance over the socket.
    pub(crate) fn report(&self, id: &str, verdict: &str, note: &str) {
        let mut command = zonebeat();
        command.args(["agent", "report", "search", id, verdict, "--note", note, "--socket", &self.text("sock")]);
        let output = command.output().expect("the binary starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn await_in_sync(&self) {
        eventually("the agent is in sync", || self.status()["in_sync"] == true);
    }

    /// Waits until an instance is in this state.
    pub(crate) fn await_state(&self, id: &str, state: &str) {
        eventually(&format!("{id} is {state}"), || self.instance(id)["state"] == state);
    }

    pub(crate) fn instance(&self, id: &str) -> Value {
        let status = self.status();
        let instances = status["instances"].as_array().cloned().unwrap_or_default();
        instances.into_iter().find(|one| one["id"] == id).unwrap_or_default()
    }
}

/// A file of one instance `a1` on a port, with a check.
pub(crate) fn service(port: u16, check: &str) -> String {
    format!("service = \"search\"\nid = \"a1\"\nport = {port}\naddresses = [\"192.0.2.7\"]\n{check}")
}

/// A check that asks often.
pub(crate) fn quick(probe: &str, more: &str) -> String {
    format!("[[check]]\nprobe = \"{probe}\"\ninterval = \"100ms\"\ntimeout = \"500ms\"\nfall = 2\n{more}\n")
}

/// How many instances DNS answers with.
pub(crate) fn answered(server: &Server) -> usize {
    server.dig_short(&[SRV, "SRV"]).len()
}

/// The transitions of the tests' service in history, as `register a1`.
pub(crate) fn transitions(server: &Server) -> Vec<String> {
    transitions_of(server, "search")
}

/// Those of another service.
pub(crate) fn transitions_of(server: &Server, service: &str) -> Vec<String> {
    let (_, changes) = server.http_json("GET", "/v1/changes?limit=1000", None);
    let changes = changes["changes"].as_array().cloned().unwrap_or_default();
    let of_service = changes.iter().filter(|change| change["subject"] == service);
    let words = |change: &Value| format!("{} {}", text(&change["transition"]), text(&change["instance"]));
    of_service.map(words).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// An HTTP service on a port of its own.
pub(crate) struct Web {
    pub(crate) port: u16,
    status: Arc<AtomicU16>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Web {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        let (status, stop) = (Arc::new(AtomicU16::new(200)), Arc::new(AtomicBool::new(false)));
        let (of_thread, stopped) = (status.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                // A client that hangs up is its own affair.
                let _ = answer(stream, of_thread.load(Ordering::SeqCst));
            }
        });
        Self { port, status, stop, thread: Some(thread) }
    }

    /// Answers with this status from now on.
    pub(crate) fn answer_with(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // The connection wakes the thread.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        self.thread.take().map(JoinHandle::join);
    }
}

fn answer(mut stream: TcpStream, status: u16) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: 8\r\nconnection: close\r\n\r\nall fine")
}

/// A port of this machine that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it has an address").port()
}
