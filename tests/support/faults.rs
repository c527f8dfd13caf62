//! What tests of faults need: seeded chance, kept HTTP connections, mounts of their own, zone transfers, processor
//! time.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hickory_proto::op::Message;
use hickory_proto::rr::{Record, RecordType};
use socket2::{Domain, Socket, Type};

use super::dns::{Packet, Tcp, rtype};
use super::{PATIENCE, Reply, Server, Setup};

/// Set to repeat a run: the number that a failed test printed.
const SEED: &str = "ZONEBEAT_TEST_SEED";

/// Set in a test that runs in mounts of its own.
const OWN_MOUNTS: &str = "ZONEBEAT_TEST_OWN_MOUNTS";

/// Numbers that look random and repeat with their seed (splitmix64).
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// A seed from the clock, or the one of the environment. The test runner shows it with a failure.
    pub fn seeded() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_nanos() as u64;
        let seed = std::env::var(SEED).map_or(now, |text| text.parse().expect("the seed is a number"));
        eprintln!("to repeat this run: {SEED}={seed}");
        Self(seed)
    }

    /// Chance of its own for somebody else, such as a thread.
    pub fn split(&mut self) -> Self {
        Self(self.next())
    }

    /// A number from 0 to `end`, without `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A time from 0 to `most`.
    pub fn up_to(&mut self, most: Duration) -> Duration {
        Duration::from_micros(self.below(most.as_micros() as u64 + 1))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}

/// An HTTP connection that is kept between calls.
pub struct Kept {
    reader: BufReader<TcpStream>,
    host: SocketAddr,
}

impl Kept {
    /// Connects.
    pub fn connect(server: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&server, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { reader: BufReader::new(stream), host: server })
    }

    /// One call.
    pub fn call(&mut self, method: &str, path: &str, body: Option<&serde_json::Value>) -> io::Result<Reply> {
        self.send(method, path, body)?;
        self.receive()
    }

    /// Sends a request in one segment and does not wait.
    pub fn send(&mut self, method: &str, path: &str, body: Option<&serde_json::Value>) -> io::Result<()> {
        let body = body.map(serde_json::Value::to_string).unwrap_or_default();
        let (host, length) = (self.host, body.len());
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n");
        let request = format!("{head}content-length: {length}\r\n\r\n{body}");
        self.reader.get_mut().write_all(request.as_bytes())
    }

    /// Reads a whole reply. `UnexpectedEof` when the server closed before its first octet, `InvalidData` when in the
    /// middle of it.
    pub fn receive(&mut self) -> io::Result<Reply> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.rest_of_reply(&line).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::new(io::ErrorKind::InvalidData, "the reply is cut off"),
            _ => error,
        })
    }

    fn rest_of_reply(&mut self, first: &str) -> io::Result<Reply> {
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, first.to_owned()))?;
        let mut reply = Reply { status, headers: Vec::new(), body: Vec::new() };
        let mut line = String::new();
        loop {
            line.clear();
            if self.reader.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            reply.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let length = reply.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        reply.body = vec![0; length];
        self.reader.read_exact(&mut reply.body)?;
        Ok(reply)
    }
}

/// The records of a zone by AXFR, without what the transfer adds. Fails unless it is whole.
pub fn transfer(server: SocketAddr, zone: &str) -> Vec<Record> {
    let mut connection = Tcp::connect(server);
    connection.send(&Packet::query(1, zone, rtype::AXFR).0).expect("the server reads");
    let mut records: Vec<Record> = Vec::new();
    let is_soa = |record: &Record| record.record_type() == RecordType::SOA;
    while records.len() < 2 || !records.last().is_some_and(is_soa) {
        let message = connection.receive().expect("the transfer goes on to its last SOA").message();
        assert!(!message.answers.is_empty(), "the transfer was refused: {message}");
        records.extend(message.answers);
    }
    assert_eq!(records.pop().as_ref(), records.first(), "the first and the last SOA are the same");
    records
}

/// The SRV records at a name, each as `target:port`, from a zone transfer.
pub fn srv_of(records: &[Record], owner: &str) -> BTreeSet<String> {
    let owner = hickory_proto::rr::Name::from_ascii(owner).expect("a name");
    let at_owner = records.iter().filter(|record| record.name == owner);
    at_owner.filter_map(srv).collect()
}

/// The SRV records in the answer section, each as `target:port`.
pub fn srv_in(message: &Message) -> BTreeSet<String> {
    message.answers.iter().filter_map(srv).collect()
}

fn srv(record: &Record) -> Option<String> {
    match &record.data {
        hickory_proto::rr::RData::SRV(srv) => Some(format!("{}:{}", srv.target, srv.port)),
        _ => None,
    }
}

/// Runs the named test of this binary again, in mounts of its own, so that it can mount what it likes and nothing is
/// left behind. `true` in that run; `false` afterwards in the first one, which has nothing left to do.
pub fn own_mounts(test: &str) -> bool {
    if std::env::var_os(OWN_MOUNTS).is_some() {
        return true;
    }
    let binary = std::env::current_exe().expect("this binary has a path");
    let mut command = super::mounts::unshare_mounts();
    command.arg(binary).args(["--exact", "--nocapture", test]).env(OWN_MOUNTS, "1");
    let output = command.output().expect("unshare (Debian package util-linux) is missing; run `make setup`");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let hint = "this test needs a mount namespace: run it as root, in a container with CAP_SYS_ADMIN";
    assert!(text.contains("running 1 test"), "{hint}\n{text}");
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    false
}

/// Mounts a file system; only in [`own_mounts`].
pub fn mount(arguments: &[&str], place: &Path) {
    let output = Command::new("mount").args(arguments).arg(place).output().expect("mount is installed");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "mount is not permitted here, run the tests as root: {text}");
}

/// Fills a disk to its last octet; removing the returned file makes room again. May be called again for what has come
/// free since.
pub fn fill(directory: &Path) -> PathBuf {
    let path = directory.join("ballast");
    let mut file = std::fs::File::options().create(true).append(true).open(&path).expect("an empty file fits");
    while file.write_all(&[1; 4096]).is_ok() {}
    while file.write_all(&[1]).is_ok() {}
    path
}

/// Processor time that a process has used, user and system.
pub fn cpu_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    let after_name = stat.rsplit(')').next().expect("the name is in parentheses");
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime");
    Duration::from_millis(ticks * 10) // USER_HZ is 100 on every Linux
}

impl Setup {
    /// Starts a server that may open so many files.
    pub fn start_with_files(self, limit: usize) -> Server {
        let plain = self.command();
        let mut command = Command::new("prlimit");
        command.arg(format!("--nofile={limit}:{limit}")).arg(plain.get_program()).args(plain.get_args());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let mut server = self.spawn_by(command);
        server.await_ready();
        server
    }
}

/// Connects from one of the many addresses of the loopback interface: 127.0.x.y.
pub fn connect_from(client: [u8; 2], server: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket_of(client)?;
    socket.connect_timeout(&server.into(), Duration::from_secs(2))?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The same with little room for what the server sends, and never waits, not even for the connection.
pub fn hurry_from(client: [u8; 2], server: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket_of(client)?;
    socket.set_recv_buffer_size(4096)?;
    socket.set_nonblocking(true)?;
    let _ = socket.connect(&server.into()); // is in progress
    Ok(socket.into())
}

fn socket_of(client: [u8; 2]) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, client[0], client[1]], 0)).into())?;
    Ok(socket)
}

impl Server {
    /// Registers an instance; panics unless it was taken.
    pub fn register(&self, service: &str, id: &str, body: &serde_json::Value) -> serde_json::Value {
        let (status, reply) =
            self.http_json("PUT", &format!("/v1/services/{service}/instances/{id}"), Some(body.clone()));
        assert!(matches!(status, 200 | 201), "{status} {reply}");
        reply
    }

    /// What `/metrics` says of a series.
    pub fn metric(&self, series: &str) -> String {
        let text = self.call("GET", "/metrics", None).text().to_owned();
        let of_series = |line: &&str| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' '));
        let line = text.lines().find(of_series).unwrap_or_else(|| panic!("{series} is not shown"));
        line.rsplit(' ').next().expect("a value").to_owned()
    }

    /// What `/readyz` says, whatever its status.
    pub fn readiness(&self) -> serde_json::Value {
        self.http_json("GET", "/readyz", None).1
    }

    /// The answer to a UDP query with EDNS.
    pub fn ask(&self, name: &str, rtype: u16) -> Message {
        super::dns::udp(self.dns(), &Packet::query(9, name, rtype).edns(1232, 0, &[]).0).message()
    }
}

/// The codes of extended DNS errors (RFC 8914) in a message.
pub fn ede(message: &Message) -> Vec<u16> {
    use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
    let Some(edns) = &message.edns else { return Vec::new() };
    let errors = edns.options().as_ref().iter().filter(|(code, _)| *code == EdnsCode::Unknown(15));
    let code = |option: &EdnsOption| match option {
        EdnsOption::Unknown(_, octets) => Some(u16::from_be_bytes([octets[0], octets[1]])),
        _ => None,
    };
    errors.filter_map(|(_, option)| code(option)).collect()
}
