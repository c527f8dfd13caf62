//! What integration tests share: a real server process, the programs that operators use, and hand-made DNS packets.
//!
//! A test binary says `mod support;` and takes what it needs. `Server::start()` runs the binary of this build on ports
//! of its own choice with a data directory of its own; dropping it kills exactly that process.

#![allow(dead_code)] // every test binary compiles this module and uses another part of it
#![allow(unreachable_pub)] // `pub` is what a test binary may use; there is no crate around it
#![allow(clippy::disallowed_methods)] // real processes live in real time
#![allow(clippy::print_stderr)] // the test runner shows the server's output with the failed test

pub mod dns;
pub mod faults;
pub mod mounts;
pub mod http;
pub mod writer;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub use http::Reply;

/// How long a server may take to say that it is ready, and any other single step may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The zone of a server that was started without other wishes.
pub const ZONE: &str = "sd.example.org";

/// How to start a server.
#[derive(Debug, Clone)]
pub struct Setup {
    args: Vec<String>,
    env: Vec<(String, String)>,
    data: Arc<TempDir>,
    data_dir: Option<PathBuf>,
}

impl Setup {
    /// A server with the zone [`ZONE`], ports of its own and an empty data directory.
    pub fn new() -> Self {
        Self::bare().arg("--zone").arg(ZONE)
    }

    /// The same without a zone.
    pub fn bare() -> Self {
        let data = Arc::new(tempfile::tempdir().expect("a temporary directory can be made"));
        Self { args: Vec::new(), env: Vec::new(), data, data_dir: None }
    }

    /// One more argument of `zonebeat serve`.
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// One more variable of the environment.
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.env.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Writes `toml` into a configuration file and uses it. Listeners and data directory still come from flags.
    pub fn config(self, toml: &str) -> Self {
        let path = self.file("zonebeat.toml", toml);
        self.arg("--config").arg(path.display().to_string())
    }

    /// Writes a file of zones, `NAME.zone`, into the zones directory and uses that directory.
    pub fn zone_file(self, name: &str, text: &str) -> Self {
        let path = self.file(&format!("zones/{name}.zone"), text);
        let dir = path.parent().expect("the file has a directory").display().to_string();
        if self.args.contains(&dir) { self } else { self.arg("--zones-dir").arg(dir) }
    }

    /// Uses this data directory instead of a temporary one.
    pub fn data_dir(mut self, dir: &Path) -> Self {
        self.data_dir = Some(dir.to_owned());
        self
    }

    /// Where the server keeps its data.
    pub fn data_path(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| self.data.path().join("data"))
    }

    /// Writes a file beside the data directory; it goes away with the test.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.data.path().join(name);
        std::fs::create_dir_all(path.parent().expect("the path has a directory")).expect("directory can be made");
        std::fs::write(&path, text).expect("file can be written");
        path
    }

    /// The command that starts it.
    pub fn command(&self) -> Command {
        let mut command = zonebeat();
        command.args(["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data-dir"]);
        command.arg(self.data_path()).args(&self.args);
        command.envs(self.env.iter().map(|(key, value)| (key, value)));
        command
    }

    /// Starts it and waits until it is ready.
    pub fn start(self) -> Server {
        let mut server = self.spawn();
        server.await_ready();
        server
    }

    /// Starts it without waiting: for servers that are meant to fail.
    pub fn spawn(self) -> Server {
        let command = self.command();
        self.spawn_by(command)
    }

    /// The same by another command, which has to become the server: it is the process that is watched and ended.
    pub fn spawn_by(self, mut command: Command) -> Server {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary of this build starts");
        let log = Log::default();
        log.follow(child.stdout.take().expect("standard output is piped"));
        log.follow(child.stderr.take().expect("standard error is piped"));
        Server { child, log, setup: self, dns: Vec::new(), http: Vec::new() }
    }
}

/// The binary of this build, without anything of the caller's environment that would change what it does.
pub fn zonebeat() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zonebeat"));
    for variable in ["ZONEBEAT_SERVER", "ZONEBEAT_TOKEN", "RUST_LOG", "NOTIFY_SOCKET", "WATCHDOG_USEC"] {
        command.env_remove(variable);
    }
    command
}

/// A running server process.
pub struct Server {
    child: Child,
    log: Log,
    setup: Setup,
    /// Where it answers DNS, UDP and TCP.
    pub dns: Vec<SocketAddr>,
    /// Where it answers HTTP.
    pub http: Vec<SocketAddr>,
}

impl Server {
    /// A server with the zone [`ZONE`].
    pub fn start() -> Self {
        Setup::new().start()
    }

    /// Its first DNS address.
    pub fn dns(&self) -> SocketAddr {
        self.dns[0]
    }

    /// Its first HTTP address.
    pub fn http(&self) -> SocketAddr {
        self.http[0]
    }

    /// The URL for client commands.
    pub fn url(&self) -> String {
        format!("http://{}", self.http())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it was started.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Everything that it has printed.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Waits for a line of its output that contains `part`.
    pub fn await_log(&self, part: &str) -> String {
        let found = self.log.await_line(PATIENCE, |line| line.contains(part));
        found.unwrap_or_else(|| panic!("no line with {part:?} within {PATIENCE:?} in:\n{}", self.log()))
    }

    /// Runs dig against it; one try, three seconds.
    pub fn dig(&self, args: &[&str]) -> String {
        run_dig("dig", self.dns(), &["+tries=1", "+time=3"], args)
    }

    /// Runs `dig +short`: one line per record.
    pub fn dig_short(&self, args: &[&str]) -> Vec<String> {
        run_dig("dig", self.dns(), &["+tries=1", "+time=3", "+short"], args).lines().map(str::to_owned).collect()
    }

    /// Runs kdig against it.
    pub fn kdig(&self, args: &[&str]) -> String {
        run_dig("kdig", self.dns(), &["+retry=0", "+time=3"], args)
    }

    /// One HTTP request; `body` is sent as JSON.
    pub fn call(&self, method: &str, path: &str, body: Option<&str>) -> Reply {
        http::request(self.http(), method, path, &[], body.map(str::as_bytes)).expect("the server answers HTTP")
    }

    /// One HTTP request: its status and its JSON body (`null` if it has none).
    pub fn http_json(&self, method: &str, path: &str, body: Option<serde_json::Value>) -> (u16, serde_json::Value) {
        let reply = self.call(method, path, body.map(|body| body.to_string()).as_deref());
        (reply.status, reply.json())
    }

    /// One HTTP request with a bearer token.
    pub fn call_as(&self, token: &str, method: &str, path: &str, body: Option<&str>) -> Reply {
        let header = ("authorization", format!("Bearer {token}"));
        http::request(self.http(), method, path, &[header], body.map(str::as_bytes)).expect("the server answers HTTP")
    }

    /// Runs a client command against it and waits for its end.
    pub fn client(&self, args: &[&str]) -> std::process::Output {
        let mut command = zonebeat();
        command.args(args).env("ZONEBEAT_SERVER", self.url()).stdin(Stdio::null());
        command.output().expect("the binary of this build starts")
    }

    /// Sends a signal by its name, as in `TERM`.
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("the child can be waited for") {
                return status;
            }
            assert!(Instant::now() < deadline, "the server did not end within {PATIENCE:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGTERM, and waits for its end.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// SIGKILL: no chance to finish anything. Returns what is needed to start again on the same data directory.
    pub fn kill(mut self) -> Setup {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("the child can be waited for");
        self.setup.clone()
    }

    /// SIGTERM, then a new process on the same data directory; its ports are other ones.
    pub fn restart(mut self) -> Server {
        assert!(self.stop().success(), "the server did not stop cleanly:\n{}", self.log());
        self.setup.clone().start()
    }

    /// Waits until it says that it is ready.
    pub fn await_ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.log.await_line(Duration::from_millis(100), |line| ready(line).is_some()) {
                (self.dns, self.http) = ready(&line).expect("the line was recognised before");
                return;
            }
            if let Some(status) = self.child.try_wait().expect("the child can be waited for") {
                panic!("the server ended with {status} before it was ready:\n{}", self.log());
            }
            assert!(Instant::now() < deadline, "the server was not ready within {PATIENCE:?}:\n{}", self.log());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the server's output ---\n{}", self.log());
        }
    }
}

/// A client command that stays, such as `zonebeat register`, with what it prints.
pub struct Staying {
    child: Child,
    log: Log,
}

impl Staying {
    /// Starts it; `servers` are the URLs that it may try.
    pub fn start(servers: &[&str], args: &[&str]) -> Self {
        Self::start_by(zonebeat(), servers, args)
    }

    /// The same by another command for the binary.
    pub fn start_by(mut command: Command, servers: &[&str], args: &[&str]) -> Self {
        command.args(args).env("ZONEBEAT_SERVER", servers.join(",")).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let log = Log::default();
        log.follow(child.stdout.take().expect("standard output is piped"));
        log.follow(child.stderr.take().expect("standard error is piped"));
        Self { child, log }
    }

    /// Waits for a line of its output that contains `part`.
    pub fn await_log(&self, part: &str) -> String {
        let found = self.log.await_line(PATIENCE, |line| line.contains(part));
        found.unwrap_or_else(|| panic!("no line with {part:?} within {PATIENCE:?} in:\n{}", self.log.text()))
    }

    /// Everything that it has printed.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let mut ended = None;
        eventually("the command ends", || {
            ended = self.child.try_wait().expect("the child can be waited for");
            ended.is_some()
        });
        ended.expect("it has ended")
    }
}

impl Drop for Staying {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the command's output ---\n{}", self.log.text());
        }
    }
}

/// The addresses in the log line that says `ready`: `dns` and `http`, each a list of `ip:port` separated by commas.
fn ready(line: &str) -> Option<(Vec<SocketAddr>, Vec<SocketAddr>)> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    let fields = event.get("fields").unwrap_or(&event);
    if fields.get("message")?.as_str()? != "ready" {
        return None;
    }
    let addresses = |key| -> Option<Vec<SocketAddr>> {
        let list = fields.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
        list.split(',').map(str::trim).filter(|part| !part.is_empty()).map(|part| part.parse().ok()).collect()
    };
    Some((addresses("dns")?, addresses("http")?))
}

/// Lines that a process prints, kept as they come.
#[derive(Debug, Clone, Default)]
struct Log(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Log {
    fn follow(&self, stream: impl std::io::Read + Send + 'static) {
        let log = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                log.0.0.lock().expect("no reader panics").push(line);
                log.0.1.notify_all();
            }
        });
    }

    fn text(&self) -> String {
        self.0.0.lock().expect("no reader panics").join("\n")
    }

    fn await_line(&self, patience: Duration, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let lines = self.0.0.lock().expect("no reader panics");
        let found = |lines: &Vec<String>| lines.iter().find(|line| wanted(line)).cloned();
        let (lines, _) =
            self.0.1.wait_timeout_while(lines, patience, |lines| found(lines).is_none()).expect("no reader panics");
        found(&lines)
    }
}

/// Sends a signal by its name to one process.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args(["-s", name, &pid.to_string()]).status().expect("`kill` is installed");
    assert!(status.success(), "kill -s {name} {pid} failed");
}

/// Lets real time pass: for leases of other processes, and for what must not happen meanwhile.
pub fn pass(time: Duration) {
    std::thread::sleep(time);
}

/// Asks until `done` is true; panics with `what` when it takes too long.
pub fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A server that the tests of one binary share: the first that wants it starts it, the last that has it stops it. (What
/// stands in a `static` is never dropped, so its process would outlive the tests.)
pub struct Shared {
    make: fn() -> Server,
    running: Mutex<Weak<Server>>,
}

impl Shared {
    /// A server that `make` starts when somebody wants it.
    pub const fn new(make: fn() -> Server) -> Self {
        Self { make, running: Mutex::new(Weak::new()) }
    }

    /// The running server.
    pub fn get(&self) -> Arc<Server> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.upgrade().unwrap_or_else(|| {
            let server = Arc::new((self.make)());
            *running = Arc::downgrade(&server);
            server
        })
    }
}

/// Runs dig or kdig against a server and returns what it prints.
#[allow(dead_code)] // not every test asks with dig
pub fn run_dig(program: &str, server: SocketAddr, options: &[&str], args: &[&str]) -> String {
    let mut command = Command::new(program);
    command.arg(format!("@{}", server.ip())).args(["-p", &server.port().to_string()]);
    let output = output_of_dig(command.args(options).args(args).stdin(Stdio::null()));
    String::from_utf8(output.stdout).expect("the output is text")
}

/// Runs dig or a program like it.
///
/// dig shares its port with others of the same user, so the kernel may give it that of the server, which is an
/// ephemeral one too: dig then gets its own query back, and is asked once more.
#[allow(dead_code)] // not every test asks with dig
pub fn output_of_dig(command: &mut Command) -> Output {
    loop {
        let output = command.output();
        let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}; run `make setup`"));
        if !String::from_utf8_lossy(&output.stdout).contains("query response not set") {
            return output;
        }
    }
}
