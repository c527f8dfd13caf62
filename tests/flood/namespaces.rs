//! Three network namespaces: the server in the middle, the flood and the client beside it. Their addresses exist
//! nowhere else, and dropping the lab removes everything.

#![allow(unreachable_pub)] // `pub` is what the tests may use; there is no crate around it

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::roles;

/// Where the server is, the flood, and the client.
pub const MIDDLE: &str = "m";
pub const FLOOD: &str = "f";
pub const CLIENT: &str = "c";
/// What the server listens on.
pub const SERVER: &str = "192.0.2.1:5300";

static LABS: AtomicU32 = AtomicU32::new(0);

/// The namespaces of one test.
pub struct Lab {
    prefix: String,
}

/// Octets of an interface, as the server sees them.
#[derive(Debug, Clone, Copy)]
pub struct Octets {
    pub received: u64,
    pub sent: u64,
}

impl Lab {
    pub fn new() -> Self {
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let lab = Self { prefix: format!("zb{}-{number}", std::process::id()) };
        [MIDDLE, FLOOD, CLIENT].iter().for_each(|part| ip(&["netns", "add", &lab.name(part)]));
        lab.inside(MIDDLE, &["link", "set", "lo", "up"]);
        lab.inside(MIDDLE, &["address", "add", "192.0.2.1/32", "dev", "lo"]);
        for (part, network) in [(FLOOD, "198.51.100"), (CLIENT, "203.0.113")] {
            lab.connect(part, network);
        }
        let addresses: String = (3..=254).map(|n| format!("address add 198.51.100.{n}/24 dev peer\n")).collect();
        lab.batch(FLOOD, &addresses);
        lab
    }

    /// A pair of interfaces between the server and one of the others: `f` or `c` in the middle, `peer` there.
    fn connect(&self, part: &str, network: &str) {
        let (middle, other) = (self.name(MIDDLE), self.name(part));
        ip(&["link", "add", part, "netns", &middle, "type", "veth", "peer", "name", "peer", "netns", &other]);
        self.inside(MIDDLE, &["address", "add", &format!("{network}.1/24"), "dev", part]);
        self.inside(MIDDLE, &["link", "set", part, "up"]);
        self.inside(part, &["address", "add", &format!("{network}.2/24"), "dev", "peer"]);
        self.inside(part, &["link", "set", "peer", "up"]);
        self.inside(part, &["route", "add", "default", "via", &format!("{network}.1")]);
    }

    fn name(&self, part: &str) -> String {
        format!("{}{part}", self.prefix)
    }

    fn inside(&self, part: &str, arguments: &[&str]) {
        ip(&[&["-n", &self.name(part)], arguments].concat());
    }

    fn batch(&self, part: &str, lines: &str) {
        let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        std::fs::write(file.path(), lines).expect("file can be written");
        ip(&["-n", &self.name(part), "-batch", &file.path().display().to_string()]);
    }

    /// The same command in a namespace.
    pub fn command(&self, part: &str, plain: &Command) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(part)]).arg(plain.get_program()).args(plain.get_args());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// Starts a role of this binary in a namespace.
    pub fn play(&self, part: &str, role: &str) -> Part {
        let mut plain = Command::new(std::env::current_exe().expect("this binary has a path"));
        plain.args(["--exact", "--nocapture", "plays_its_part"]).env(roles::ROLE, role);
        let mut command = self.command(part, &plain);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("this binary starts again");
        Part(child)
    }

    /// What the server's interface to a part has counted.
    pub fn octets(&self, part: &str) -> Octets {
        let count = |name: &str| {
            let path = format!("/sys/class/net/{part}/statistics/{name}");
            let mut command = Command::new("ip");
            let output = command.args(["netns", "exec", &self.name(MIDDLE), "cat", &path]).output();
            let output = output.expect("ip is installed");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            text.trim().parse().unwrap_or_else(|_| panic!("{path} has a number: {output:?}"))
        };
        Octets { received: count("rx_bytes"), sent: count("tx_bytes") }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for part in [FLOOD, CLIENT, MIDDLE] {
            // The test may have failed before it was there.
            let _ = Command::new("ip").args(["netns", "delete", &self.name(part)]).status();
        }
    }
}

/// A role that runs.
pub struct Part(Child);

impl Part {
    /// Waits for its end: the numbers that it tells.
    pub fn result(self) -> Vec<u64> {
        let output = self.0.wait_with_output().expect("the child can be waited for");
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find_map(|line| line.split_once(roles::RESULT));
        let (_, numbers) = line.unwrap_or_else(|| panic!("no result in:\n{text}"));
        numbers.split_whitespace().map(|number| number.parse().expect("a number")).collect()
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("ip (Debian package iproute2) is missing");
    let text = String::from_utf8_lossy(&output.stderr);
    let hint = "network namespaces are needed: run it as root, in a container with CAP_NET_ADMIN and CAP_SYS_ADMIN";
    assert!(output.status.success(), "ip {arguments:?}: {text}\n{hint}");
}
