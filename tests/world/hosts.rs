//! Real processes: hosts with `zonebeat agent`, a folder of services and the processes that it watches, and commands
//! beside `zonebeat run`.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::LEASE;
use crate::ledger::{Key, Shown};
use crate::namespaces::{HOSTS, Lab};
use crate::support::{eventually, signal, zonebeat};

/// How commands reach the server.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) lab: Lab,
    pub(crate) server: String,
    pub(crate) token: String,
}

impl Access {
    /// Starts a command of ours in the namespace of the hosts.
    fn start(&self, args: &[&str], log: &PathBuf) -> Child {
        let mut plain = zonebeat();
        plain.args(args).env("ZONEBEAT_SERVER", &self.server).env("ZONEBEAT_TOKEN", &self.token);
        let log = File::options().create(true).append(true).open(log).expect("a log can be made");
        let mut command = self.lab.enter(HOSTS, &plain);
        command.stdout(log.try_clone().expect("a file can be opened twice")).stderr(log);
        command.spawn().expect("ip (Debian package iproute2) is missing")
    }
}

/// An instance that a host has, and its process.
pub(crate) struct Local {
    pub(crate) key: Key,
    pub(crate) shown: Shown,
    address: String,
    process: Option<Child>,
}

impl Local {
    pub(crate) fn new(key: Key, shown: Shown, address: String) -> Self {
        Self { key, shown, address, process: None }
    }

    pub(crate) fn lives(&self) -> bool {
        self.process.is_some()
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("the process can be killed");
            process.wait().expect("the child can be waited for");
        }
    }
}

/// A host: an agent and what it watches.
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) locals: Vec<Local>,
    access: Access,
    dir: TempDir,
    agent: Option<Child>,
}

impl Host {
    pub(crate) fn new(name: String, access: Access, locals: Vec<Local>) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        fs::create_dir(dir.path().join("services.d")).expect("a folder can be made");
        let config = format!("lease = \"{}s\"\n", LEASE.as_secs());
        fs::write(dir.path().join("agent.toml"), config).expect("a file can be written");
        Self { name, locals, access, dir, agent: None }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// Starts the processes, and the agent.
    pub(crate) fn boot(&mut self) {
        for local in 0..self.locals.len() {
            self.start_process(local);
            self.write(local);
        }
        let (config, folder, socket) = (self.path("agent.toml"), self.path("services.d"), self.path("sock"));
        let args =
            ["agent", "--config", &config, "--services-dir", &folder, "--socket", &socket, "--session", &self.name];
        self.agent = Some(self.access.start(&args, &self.dir.path().join("log")));
    }

    pub(crate) fn is_up(&self) -> bool {
        self.agent.is_some()
    }

    /// Starts the process of an instance, and writes its number where the agent looks.
    pub(crate) fn start_process(&mut self, local: usize) {
        let process = Command::new("sleep").arg("100000").stdin(Stdio::null()).spawn().expect("sleep starts");
        let file = self.dir.path().join(format!("{}.pid", self.locals[local].key.1));
        let draft = file.with_extension("draft");
        fs::write(&draft, process.id().to_string()).expect("a file can be written");
        fs::rename(draft, file).expect("a file can be moved");
        self.locals[local].process = Some(process);
    }

    /// `kill -9` of the process of an instance.
    pub(crate) fn kill_process(&mut self, local: usize) {
        self.locals[local].kill();
    }

    /// Writes the file of an instance as it is to be.
    pub(crate) fn write(&self, local: usize) {
        let Local { key: (service, id), shown, address, .. } = &self.locals[local];
        let Shown { port, weight, version } = shown;
        let text = format!(
            "service = \"{service}\"\nid = \"{id}\"\nport = {port}\nweight = {weight}\naddresses = [\"{address}\"]\n\
             metadata = {{ v = \"{version}\" }}\n[[check]]\nprobe = \"process:{}\"\n",
            self.path(&format!("{id}.pid"))
        );
        let draft = self.dir.path().join("draft");
        fs::write(&draft, text).expect("a file can be written");
        fs::rename(draft, self.dir.path().join("services.d").join(format!("{id}.toml"))).expect("it can be moved");
    }

    /// `kill -9` of the agent, and of all processes.
    pub(crate) fn die(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            agent.kill().expect("the agent can be killed");
            agent.wait().expect("the child can be waited for");
        }
        self.locals.iter_mut().for_each(Local::kill);
    }

    /// Sends the agent a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        self.agent.iter().for_each(|agent| signal(agent.id(), name));
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.signal("CONT");
        self.die();
    }
}

/// A command beside `zonebeat run`.
pub(crate) struct Run {
    pub(crate) key: Key,
    pub(crate) shown: Shown,
    address: String,
    access: Access,
    dir: TempDir,
    program: Option<Child>,
}

impl Run {
    pub(crate) fn new(key: Key, shown: Shown, address: String, access: Access) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        Self { key, shown, address, access, dir, program: None }
    }

    pub(crate) fn lives(&self) -> bool {
        self.program.is_some()
    }

    fn number_file(&self) -> PathBuf {
        self.dir.path().join("number")
    }

    /// Starts it; it registers.
    pub(crate) fn start(&mut self) {
        // There is none at the first time.
        let _ = fs::remove_file(self.number_file());
        let command = format!("echo $$ > {}; exec sleep 100000", self.number_file().display());
        let Shown { port, weight, version } = self.shown;
        let (port, weight, version) = (port.to_string(), weight.to_string(), format!("v={version}"));
        let lease = format!("{}s", LEASE.as_secs());
        let args = ["run", "--service", &self.key.0, "--id", &self.key.1, "--port", &port, "--weight", &weight];
        let more = ["--address", &self.address, "--meta", &version, "--lease", &lease, "--", "sh", "-c", &command];
        self.program = Some(self.access.start(&[&args[..], &more].concat(), &self.dir.path().join("log")));
    }

    /// The number of the command, once it runs.
    pub(crate) fn command_number(&self) -> u32 {
        let mut number = None;
        eventually("the command runs", || {
            number = fs::read_to_string(self.number_file()).ok().and_then(|text| text.trim().parse().ok());
            number.is_some()
        });
        number.expect("it was read")
    }

    /// Waits for the end of `zonebeat run`, whose command was killed.
    pub(crate) fn await_end(&mut self) {
        let Some(mut program) = self.program.take() else { return };
        eventually("run ends with its command", || program.try_wait().expect("it can be waited for").is_some());
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let Some(mut program) = self.program.take() else { return };
        signal(self.command_number(), "KILL");
        // It may have ended by itself.
        let _ = program.kill();
        let _ = program.wait();
    }
}
