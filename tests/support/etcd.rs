//! Real etcd members on loopback, with ports and directories of their own.
//!
//! A test breaks them as the world does: stopped, killed, frozen, emptied, put back to what they were. Dropping the
//! cluster kills exactly its members. A restarted member has the ports and, unless they were wiped, the data it had.

#![allow(dead_code)] // every test binary compiles this module and uses another part of it
#![allow(unreachable_pub)] // `pub` is what a test binary may use; there is no crate around it
#![allow(clippy::disallowed_methods)] // real processes live in real time

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long members may take to elect a leader on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Members of one cluster.
pub struct Etcd {
    pub members: Vec<Member>,
    home: TempDir,
    /// Tells clusters apart that were made of the same members.
    token: u32,
}

/// One member; none runs before it is started.
pub struct Member {
    name: String,
    client: u16,
    peer: u16,
    child: Option<Child>,
}

impl Etcd {
    /// A cluster of `count` members that has a leader.
    pub fn start(count: usize) -> Self {
        let ports = free_ports(2 * count);
        let member = |index: usize| Member {
            name: format!("e{index}"),
            client: ports[2 * index],
            peer: ports[2 * index + 1],
            child: None,
        };
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        let mut cluster = Self { members: (0..count).map(member).collect(), home, token: 1 };
        cluster.start_all();
        cluster
    }

    /// Where clients find the members.
    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(Member::endpoint).collect()
    }

    /// Starts every member that does not run, and waits until each of them has a leader.
    pub fn start_all(&mut self) {
        (0..self.members.len()).for_each(|index| self.spawn(index));
        (0..self.members.len()).for_each(|index| self.members[index].await_health());
    }

    /// Starts a member again and waits until it has a leader.
    pub fn start_member(&mut self, index: usize) {
        self.spawn(index);
        self.members[index].await_health();
    }

    /// Starts a member without waiting.
    pub fn spawn(&mut self, index: usize) {
        if self.members[index].child.is_some() {
            return;
        }
        let peers = self.members.iter().map(|member| format!("{}=http://127.0.0.1:{}", member.name, member.peer));
        let peers = peers.collect::<Vec<_>>().join(",");
        let data = self.data(index);
        let log = fs::File::create(self.home.path().join(format!("{}.log", self.members[index].name)));
        let member = &mut self.members[index];
        let (clients, peer) = (member.endpoint(), format!("http://127.0.0.1:{}", member.peer));
        let mut command = Command::new("etcd");
        command.arg("--data-dir").arg(data).args(["--logger=zap", "--name", &member.name]);
        command.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &peers, "--initial-cluster-token", &format!("t{}", self.token)]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.expect("a log can be made"));
        member.child = Some(command.spawn().expect("etcd is missing; run `make setup`"));
    }

    /// Kills a member as a power cut does.
    pub fn kill(&mut self, index: usize) {
        self.members[index].kill();
    }

    /// Kills all of them.
    pub fn kill_all(&mut self) {
        self.members.iter_mut().for_each(Member::kill);
    }

    /// Kills all of them, and what they had is gone; when they start they are another cluster.
    pub fn wipe(&mut self) {
        self.kill_all();
        self.token += 1;
        (0..self.members.len()).for_each(|index| fs::remove_dir_all(self.data(index)).expect("it can be removed"));
    }

    /// Kills all of them and copies what they have, to be put back by [`Etcd::put_back`].
    pub fn copy_data(&mut self) -> TempDir {
        self.kill_all();
        let copy = tempfile::tempdir().expect("a temporary directory can be made");
        copy_directory(&self.home.path().join("data"), copy.path());
        copy
    }

    /// Kills all of them and gives them data that they once had.
    pub fn put_back(&mut self, copy: &TempDir) {
        self.kill_all();
        let data = self.home.path().join("data");
        fs::remove_dir_all(&data).expect("it can be removed");
        copy_directory(copy.path(), &data);
    }

    /// Forgets all revisions before the newest one.
    pub fn compact(&self, index: usize) {
        let found = self.members[index].call("range", &format!(r#"{{"key":"{}"}}"#, BASE64.encode(b"x")));
        let revision = found.split(r#""revision":""#).nth(1).and_then(|rest| rest.split('"').next());
        let body = format!(r#"{{"revision":"{}","physical":true}}"#, revision.expect("answers have a revision"));
        self.members[index].call("compaction", &body);
    }

    /// Whether a key is there.
    pub fn has(&self, key: &str) -> bool {
        self.count(key, &format!("{key}\0")) > 0
    }

    /// The value of a key.
    pub fn value(&self, key: &str) -> Option<String> {
        let text = self.members[0].call("range", &format!(r#"{{"key":"{}"}}"#, BASE64.encode(key.as_bytes())));
        let value = text.split(r#""value":""#).nth(1)?.split('"').next()?;
        let octets = BASE64.decode(value.as_bytes()).expect("values come in base 64");
        Some(String::from_utf8(octets).expect("it is text"))
    }

    /// How many keys there are from one up to another.
    pub fn count(&self, from: &str, end: &str) -> u64 {
        let [from, end] = [from, end].map(|key| BASE64.encode(key.as_bytes()));
        let body = format!(r#"{{"key":"{from}","range_end":"{end}","count_only":true}}"#);
        let text = self.members[0].call("range", &body);
        let count = text.split(r#""count":""#).nth(1).and_then(|rest| rest.split('"').next());
        count.map_or(0, |count| count.parse().expect("it is a number"))
    }

    /// Removes the keys from one up to another.
    pub fn remove(&self, from: &str, end: &str) {
        let [from, end] = [from, end].map(|key| BASE64.encode(key.as_bytes()));
        self.members[0].call("deleterange", &format!(r#"{{"key":"{from}","range_end":"{end}"}}"#));
    }

    fn data(&self, index: usize) -> PathBuf {
        let data = self.home.path().join("data").join(&self.members[index].name);
        fs::create_dir_all(data.parent().expect("it is in a directory")).expect("a directory can be made");
        data
    }
}

impl Member {
    /// Where clients find it.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.client)
    }

    /// Stops it in the middle of whatever it does; its connections stay open.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        let pid = Pid::from_raw(child.id().cast_signed()).expect("a process has a number");
        kill_process(pid, signal).expect("the process takes a signal");
    }

    fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        child.kill().expect("the process can be killed");
        child.wait().expect("it was killed");
    }

    /// Waits until it says that it has a leader.
    pub fn await_health(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.is_healthy() {
            assert!(Instant::now() < deadline, "the etcd member {} has no leader", self.endpoint());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Calls etcd's HTTP interface; returns the answer.
    fn call(&self, what: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.client)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time is set");
        let head = format!("POST /v3/kv/{what} HTTP/1.0\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all((head + body).as_bytes()).expect("it takes a request");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("it answers");
        assert!(text.contains(" 200 OK"), "{text}");
        text
    }

    fn is_healthy(&self) -> bool {
        let asked = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.client))?;
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        };
        asked().is_ok_and(|text| text.contains(r#""health":"true""#))
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill_all();
    }
}

/// Ports that nobody listens on, all different.
fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port is free")).collect();
    listeners.iter().map(|listener| listener.local_addr().expect("it is bound").port()).collect()
}

fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory can be made");
    for entry in fs::read_dir(from).expect("it is there") {
        let entry = entry.expect("it can be read");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("it has a type").is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).expect("it can be copied");
        }
    }
}
