//! A tiny DNS client for packets that no ordinary client would send.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use hickory_proto::op::Message;

use super::PATIENCE;

/// How long to wait for an answer that must not come.
pub const SILENCE: Duration = Duration::from_millis(400);

/// Types that tests ask for.
pub mod rtype {
    #![allow(missing_docs)] // the names are those of the RFCs
    pub const A: u16 = 1;
    pub const NS: u16 = 2;
    pub const SOA: u16 = 6;
    pub const PTR: u16 = 12;
    pub const TXT: u16 = 16;
    pub const AAAA: u16 = 28;
    pub const SRV: u16 = 33;
    pub const AXFR: u16 = 252;
    pub const ANY: u16 = 255;
}

/// A query that is put together octet by octet.
#[derive(Debug, Clone)]
pub struct Packet(pub Vec<u8>);

impl Packet {
    /// One question of class IN, recursion not desired. The case of `name` is sent as it is written.
    pub fn query(id: u16, name: &str, rtype: u16) -> Self {
        let mut octets = Vec::with_capacity(64);
        octets.extend(id.to_be_bytes());
        octets.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        octets.extend(wire_name(name));
        octets.extend(rtype.to_be_bytes());
        octets.extend([0, 1]);
        Self(octets)
    }

    /// Sets the second word of the header: QR, opcode, AA, TC, RD, RA, Z, AD, CD, rcode.
    pub fn flags(mut self, flags: u16) -> Self {
        self.0[2..4].copy_from_slice(&flags.to_be_bytes());
        self
    }

    /// Sets one of the four counts: 0 questions, 1 answers, 2 authority, 3 additional.
    pub fn count(mut self, section: usize, count: u16) -> Self {
        self.0[4 + 2 * section..6 + 2 * section].copy_from_slice(&count.to_be_bytes());
        self
    }

    /// Appends an OPT record and counts it.
    pub fn edns(mut self, udp_size: u16, version: u8, options: &[u8]) -> Self {
        let additional = u16::from_be_bytes([self.0[10], self.0[11]]) + 1;
        self.0.extend([0, 0, 41]);
        self.0.extend(udp_size.to_be_bytes());
        self.0.extend([0, version, 0, 0]);
        self.0.extend((options.len() as u16).to_be_bytes());
        self.0.extend(options);
        self.count(3, additional)
    }

    /// Appends octets that nothing counts.
    pub fn raw(mut self, octets: &[u8]) -> Self {
        self.0.extend(octets);
        self
    }
}

/// The uncompressed wire form of a name without escapes, its case kept.
pub fn wire_name(name: &str) -> Vec<u8> {
    let mut octets = Vec::with_capacity(name.len() + 2);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        octets.push(label.len() as u8);
        octets.extend(label.as_bytes());
    }
    octets.push(0);
    octets
}

/// An answer as it came.
#[derive(Debug, Clone)]
pub struct Response(pub Vec<u8>);

impl Response {
    /// Message id.
    pub fn id(&self) -> u16 {
        self.word(0)
    }

    /// The second word of the header.
    pub fn flags(&self) -> u16 {
        self.word(1)
    }

    /// The rcode of the header, without the part that EDNS adds.
    pub fn rcode(&self) -> u8 {
        self.0[3] & 0x0f
    }

    /// Whether AA is set.
    pub fn authoritative(&self) -> bool {
        self.flags() & 0x0400 != 0
    }

    /// Whether TC is set.
    pub fn truncated(&self) -> bool {
        self.flags() & 0x0200 != 0
    }

    /// One of the four counts: 0 questions, 1 answers, 2 authority, 3 additional.
    pub fn count(&self, section: usize) -> u16 {
        self.word(2 + section)
    }

    /// The whole message, decoded by a library that is not ours.
    pub fn message(&self) -> Message {
        Message::from_vec(&self.0).unwrap_or_else(|error| panic!("{error} in {:02x?}", self.0))
    }

    fn word(&self, index: usize) -> u16 {
        u16::from_be_bytes([self.0[2 * index], self.0[2 * index + 1]])
    }
}

/// Sends one datagram and waits for the answer.
pub fn udp(server: SocketAddr, packet: &[u8]) -> Response {
    try_udp(server, packet, PATIENCE).expect("the server answers")
}

/// Sends one datagram; `None` if nothing comes back within `patience`.
pub fn try_udp(server: SocketAddr, packet: &[u8], patience: Duration) -> Option<Response> {
    let local = if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
    let socket = UdpSocket::bind(local).expect("a local port is free");
    socket.set_read_timeout(Some(patience)).expect("the timeout is not zero");
    socket.send_to(packet, server).expect("loopback takes a datagram");
    let mut buffer = vec![0; 65_535];
    let (len, _) = socket.recv_from(&mut buffer).ok()?;
    buffer.truncate(len);
    Some(Response(buffer))
}

/// A TCP connection with the length prefix of RFC 1035 section 4.2.2.
pub struct Tcp(pub TcpStream);

impl Tcp {
    /// Connects.
    pub fn connect(server: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&server, PATIENCE).expect("the server takes a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("the timeout is not zero");
        Self(stream)
    }

    /// Sends one message.
    pub fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        let mut framed = (packet.len() as u16).to_be_bytes().to_vec();
        framed.extend(packet);
        self.0.write_all(&framed)
    }

    /// Reads one message; an error when the server has closed the connection.
    pub fn receive(&mut self) -> io::Result<Response> {
        let mut length = [0; 2];
        self.0.read_exact(&mut length)?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        self.0.read_exact(&mut message)?;
        Ok(Response(message))
    }
}

/// Sends one message over a connection of its own and reads the answer.
pub fn tcp(server: SocketAddr, packet: &[u8]) -> Response {
    let mut connection = Tcp::connect(server);
    connection.send(packet).expect("the server reads");
    connection.receive().expect("the server answers")
}
