//! Two network namespaces: the server's, in which the test itself runs too, and that of the hosts. Between them packets
//! may be lost by chance, in both directions. Their addresses exist nowhere else.

use std::io::Write;
use std::process::{Command, Stdio};

/// Where the server is, with all that asks it, and where the hosts are.
pub(crate) const SERVER: &str = "s";
pub(crate) const HOSTS: &str = "h";
/// Of the server, as the hosts see it.
pub(crate) const ADDRESS: &str = "192.0.2.1";

/// What drops packets: nothing until [`Lab::lose`] says so.
const RULES: &str = "table inet world {\n counter lost { }\n\
    chain in { type filter hook input priority 0; }\n chain out { type filter hook output priority 0; }\n}\n";

/// The names of the namespaces.
#[derive(Debug, Clone)]
pub(crate) struct Lab(String);

impl Lab {
    /// That of a prefix, which somebody else has made.
    pub(crate) fn of(prefix: String) -> Self {
        Self(prefix)
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.0
    }

    fn name(&self, part: &str) -> String {
        format!("{}{part}", self.0)
    }

    /// The same command in a namespace.
    pub(crate) fn enter(&self, part: &str, plain: &Command) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(part)]).arg(plain.get_program()).args(plain.get_args());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(Stdio::null());
        command
    }

    /// Drops so many per cent of the packets between hosts and server, in each direction, from now on.
    pub(crate) fn lose(&self, percent: u32) {
        let mut rules = "flush chain inet world in\nflush chain inet world out\n".to_owned();
        for (chain, device) in [("in", "iifname"), ("out", "oifname")].iter().filter(|_| percent > 0) {
            let chance = format!("numgen random mod 100 < {percent}");
            rules += &format!("add rule inet world {chain} {device} \"server\" {chance} counter name lost drop\n");
        }
        self.nft(&rules);
    }

    /// How many packets were dropped so far.
    pub(crate) fn lost(&self) -> u64 {
        let text = self.nft("list counter inet world lost\n");
        let mut words = text.split_whitespace().skip_while(|word| *word != "packets");
        words.nth(1).and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no counter in {text}"))
    }

    fn nft(&self, rules: &str) -> String {
        let mut plain = Command::new("nft");
        plain.args(["-f", "-"]);
        let mut command = self.enter(HOSTS, &plain);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("ip (Debian package iproute2) is missing");
        let mut input = child.stdin.take().expect("standard input is piped");
        input.write_all(rules.as_bytes()).expect("nft reads");
        drop(input);
        let output = child.wait_with_output().expect("the child can be waited for");
        let (text, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "nft (Debian package nftables, and a kernel with it): {error}\n{rules}");
        text.into_owned()
    }
}

/// The namespaces themselves: dropping them ends what runs in them, and removes them.
pub(crate) struct Made(pub(crate) Lab);

impl Made {
    pub(crate) fn new() -> Self {
        let made = Self(Lab(format!("zbw{}", std::process::id())));
        let (server, hosts) = (made.0.name(SERVER), made.0.name(HOSTS));
        [&server, &hosts].iter().for_each(|name| ip(&["netns", "add", name]));
        ip(&["link", "add", "hosts", "netns", &server, "type", "veth", "peer", "name", "server", "netns", &hosts]);
        for (name, device, address) in [(&server, "hosts", "192.0.2.1/24"), (&hosts, "server", "192.0.2.2/24")] {
            ip(&["-n", name, "address", "add", address, "dev", device]);
            ip(&["-n", name, "link", "set", device, "up"]);
            ip(&["-n", name, "link", "set", "lo", "up"]);
        }
        made.0.nft(RULES);
        made
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for part in [SERVER, HOSTS] {
            let name = self.0.name(part);
            let inside = Command::new("ip").args(["netns", "pids", &name]).output();
            let inside = inside.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
            for process in inside.split_whitespace() {
                // It may have ended by itself.
                let _ = Command::new("kill").args(["-s", "KILL", process]).stderr(Stdio::null()).status();
            }
            let _ = Command::new("ip").args(["netns", "delete", &name]).status();
        }
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("ip (Debian package iproute2) is missing");
    let text = String::from_utf8_lossy(&output.stderr);
    let hint = "network namespaces are needed: run it as root, in a container with CAP_NET_ADMIN and CAP_SYS_ADMIN";
    assert!(output.status.success(), "ip {arguments:?}: {text}\n{hint}");
}
