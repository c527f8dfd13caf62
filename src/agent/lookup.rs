//! Whether DNS answers with an instance: an SRV query by hand (RFC 1035, RFC 2782).
//!
//! Asks over UDP, and over TCP when the answer was truncated. Written out because it is a query of one kind and a
//! reader of one type; the server's own decoder belongs to another edge.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, sleep, timeout};

use super::jitter::full_jitter;
use crate::model::name::MAX_NAME;
use crate::model::{Name, Rtype};

/// How long one query may take.
const PATIENCE: Duration = Duration::from_millis(500);
/// The first and the longest wait between two rounds of queries.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// How often [`until_answered`] says that it is still waiting.
const REPORT_EVERY: Duration = Duration::from_secs(10);
/// The size of UDP answers that is asked for.
const UDP_SIZE: u16 = 1232;
const CLASS_IN: u16 = 1;

/// The instance that an answer must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its port.
    pub port: u16,
    /// The host names that its SRV record may point to.
    pub targets: Vec<Name>,
}

/// What a server said to an SRV query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The RCODE (RFC 1035 section 4.1.1).
    pub rcode: u8,
    /// Whether the answer was cut off.
    pub truncated: bool,
    /// Port and target of every SRV record in the answer section.
    pub endpoints: Vec<(u16, Name)>,
}

impl Seen {
    /// Whether the wanted instance is among the answers.
    pub fn has(&self, wanted: &Wanted) -> bool {
        self.endpoints.iter().any(|(port, target)| *port == wanted.port && wanted.targets.contains(target))
    }
}

/// What to ask for and what to look for, from the names that a registration is answered under: SRV of every
/// `_service._proto` name and, because an answer may be a part of a large service, of the instance's own name below it;
/// the instance's own host names, or the host it names, as target.
pub fn plan(names: &[String], id: &str, port: u16, proto: &str, host: Option<&Name>) -> (Vec<Name>, Wanted) {
    let all: Vec<Name> = names.iter().filter_map(|text| Name::parse_absolute(text).ok()).collect();
    let is_set = |name: &Name| {
        let mut labels = name.labels();
        let service = labels.next().is_some_and(|label| label.starts_with(b"_"));
        service && labels.next().is_some_and(|label| label.strip_prefix(b"_") == Some(proto.as_bytes()))
    };
    let is_own = |name: &Name| {
        let set = name.parent().filter(|_| name.labels().next() == Some(id.as_bytes()));
        set.is_some_and(|set| is_set(&set))
    };
    let is_host = |name: &Name| name.labels().next() == Some(id.as_bytes());
    let targets = match host {
        Some(host) => vec![host.clone()],
        None => all.iter().filter(|name| is_host(name)).cloned().collect(),
    };
    let (sets, own) = (all.iter().filter(|name| is_set(name)), all.iter().filter(|name| is_own(name)));
    (sets.chain(own).cloned().collect(), Wanted { port, targets })
}

/// Asks every server for every name until one answer has the instance; returns that name. Says about every ten
/// seconds what the last answer was.
pub async fn until_answered(
    servers: &[SocketAddr],
    names: &[Name],
    wanted: &Wanted,
    mut still_waiting: impl FnMut(String),
) -> Name {
    let mut reported = Instant::now();
    let mut attempt = 0;
    loop {
        let last = match ask_all(servers, names, wanted).await {
            Ok(name) => return name,
            Err(last) => last,
        };
        if reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            still_waiting(last);
        }
        sleep(full_jitter(attempt, PAUSES.0, PAUSES.1)).await;
        attempt += 1;
    }
}

/// The first name that an answer had the instance under, or in words what the last answer was.
async fn ask_all(servers: &[SocketAddr], names: &[Name], wanted: &Wanted) -> Result<Name, String> {
    let mut last = String::new();
    for server in servers {
        for name in names {
            match ask(*server, name).await {
                Ok(seen) if seen.has(wanted) => return Ok(name.clone()),
                Ok(seen) => last = format!("{server} answers {name} SRV with {}", describe(&seen)),
                Err(error) => last = format!("{server} does not answer: {error}"),
            }
        }
    }
    Err(last)
}

fn describe(seen: &Seen) -> String {
    match (seen.rcode, seen.endpoints.len()) {
        (0, 0) => "no record".to_owned(),
        (0, 1) => "one record, of another instance".to_owned(),
        (0, several) => format!("{several} records, all of other instances"),
        (2, _) => "SERVFAIL".to_owned(),
        (3, _) => "NXDOMAIN".to_owned(),
        (5, _) => "REFUSED".to_owned(),
        (other, _) => format!("RCODE {other}"),
    }
}

/// One SRV query, again over TCP when the answer was truncated.
pub async fn ask(server: SocketAddr, name: &Name) -> io::Result<Seen> {
    let id = getrandom::u32().map_or(0, |number| number as u16);
    let query = encode(id, name);
    let reply = timeout(PATIENCE, over_udp(server, &query)).await??;
    let seen = decode(id, &reply).ok_or_else(malformed)?;
    if !seen.truncated {
        return Ok(seen);
    }
    let reply = timeout(PATIENCE, over_tcp(server, &query)).await??;
    decode(id, &reply).ok_or_else(malformed)
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "its reply is not an answer to the query")
}

async fn over_udp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut reply = vec![0; usize::from(UDP_SIZE)];
    let len = socket.recv(&mut reply).await?;
    reply.truncate(len);
    Ok(reply)
}

async fn over_tcp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let len = u16::try_from(query.len()).expect("a query of one name has less than 300 octets");
    stream.write_all(&[&len.to_be_bytes(), query].concat()).await?;
    let mut reply = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut reply).await?;
    Ok(reply)
}

/// A query of class IN and type SRV with an empty OPT record (RFC 6891) that names the UDP size.
fn encode(id: u16, name: &Name) -> Vec<u8> {
    let mut query = Vec::with_capacity(12 + MAX_NAME + 4 + 11);
    for field in [id, 0, 1, 0, 0, 1] {
        query.extend_from_slice(&field.to_be_bytes());
    }
    query.extend_from_slice(name.as_wire());
    for field in [Rtype::SRV.0, CLASS_IN] {
        query.extend_from_slice(&field.to_be_bytes());
    }
    query.push(0);
    for field in [Rtype::OPT.0, UDP_SIZE, 0, 0, 0] {
        query.extend_from_slice(&field.to_be_bytes());
    }
    query
}

/// Reads header, question and answer section; `None` when it is not a reply to `id` or is broken.
fn decode(id: u16, message: &[u8]) -> Option<Seen> {
    let mut reader = Reader { message, at: 0 };
    let (reply_id, flags) = (reader.u16()?, reader.u16()?);
    let (questions, answers) = (reader.u16()?, reader.u16()?);
    reader.skip(4)?;
    if reply_id != id || flags & 0x8000 == 0 {
        return None;
    }
    for _ in 0..questions {
        reader.name()?;
        reader.skip(4)?;
    }
    let mut endpoints = Vec::new();
    for _ in 0..answers {
        endpoints.extend(reader.record()?);
    }
    Some(Seen { rcode: (flags & 0xf) as u8, truncated: flags & 0x0200 != 0, endpoints })
}

/// Reads a reply as it comes from a server, for the fuzz target.
#[cfg(feature = "fuzzing")]
pub fn read_reply(id: u16, message: &[u8]) -> Option<Seen> {
    decode(id, message)
}

/// Reads a message from the front.
struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn u16(&mut self) -> Option<u16> {
        let octets = self.message.get(self.at..self.at + 2)?;
        self.at += 2;
        Some(u16::from_be_bytes([octets[0], octets[1]]))
    }

    fn skip(&mut self, octets: usize) -> Option<()> {
        self.at += octets;
        (self.at <= self.message.len()).then_some(())
    }

    /// One resource record; its port and target if it is SRV.
    fn record(&mut self) -> Option<Option<(u16, Name)>> {
        self.name()?;
        let rtype = self.u16()?;
        self.skip(6)?;
        let end = usize::from(self.u16()?) + self.at;
        let endpoint = match rtype {
            srv if srv == Rtype::SRV.0 => {
                self.skip(4)?;
                Some((self.u16()?, self.name()?))
            }
            _ => None,
        };
        self.at = end;
        (end <= self.message.len()).then_some(endpoint)
    }

    /// A name, compressed or not. Pointers must go backwards, so that none goes round.
    fn name(&mut self) -> Option<Name> {
        let mut wire = Vec::new();
        let (mut at, mut after) = (self.at, None);
        loop {
            let len = *self.message.get(at)?;
            match len {
                0 => break wire.push(0),
                1..=63 => {
                    wire.extend_from_slice(self.message.get(at..at + 1 + usize::from(len))?);
                    at += 1 + usize::from(len);
                }
                0xc0.. => {
                    let to = usize::from(len & 0x3f) << 8 | usize::from(*self.message.get(at + 1)?);
                    after.get_or_insert(at + 2);
                    at = Some(to).filter(|to| *to < at)?;
                }
                _ => return None,
            }
            if wire.len() > MAX_NAME {
                return None;
            }
        }
        self.at = after.unwrap_or(at + 1);
        Name::from_wire(&wire).ok()
    }
}

#[cfg(test)]
mod tests;
