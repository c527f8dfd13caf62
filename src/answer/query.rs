//! A query as the answer path reads it: decoded by `wire::decode`, borrowed from the packet.

use std::net::IpAddr;

use crate::model::Rtype;
use crate::model::name::MAX_NAME;

/// How the query came; decides the size limit and what may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Plain UDP.
    Udp,
    /// Plain TCP.
    Tcp,
    /// DNS over TLS (RFC 7858).
    Tls,
    /// DNS over HTTPS (RFC 8484).
    Https,
    /// DNS over QUIC (RFC 9250).
    Quic,
}

impl Transport {
    /// The word for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Https => "https",
            Self::Quic => "quic",
        }
    }

    /// Whether answers have to fit into a datagram, and the client's address may be a forgery.
    pub fn is_datagram(self) -> bool {
        self == Self::Udp
    }

    /// Whether nobody on the way can read along: answers are padded when the query was (RFC 8467).
    pub fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::Https | Self::Quic)
    }

    /// Whether a response may be a stream of messages: zone transfers (RFC 9103; RFC 9250 section 5.1).
    pub fn can_stream(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls | Self::Quic)
    }
}

/// The name asked for, lower-cased, in uncompressed wire format.
#[derive(Clone, Copy)]
pub struct QueryName {
    octets: [u8; MAX_NAME],
    len: u8,
}

impl QueryName {
    /// Takes a whole, valid name of at most 255 octets and folds its case.
    pub fn new(wire: &[u8]) -> Self {
        let mut name = Self::ROOM;
        name.set(wire);
        name
    }

    /// Room for a name.
    pub const ROOM: Self = Self { octets: [0; MAX_NAME], len: 0 };

    /// Becomes another name, as [`Self::new`] takes it: what stands behind a name is not touched.
    pub fn set(&mut self, wire: &[u8]) {
        let octets = &mut self.octets[..wire.len()];
        octets.copy_from_slice(wire);
        octets.make_ascii_lowercase();
        self.len = wire.len() as u8;
    }

    /// The octets with the root's zero.
    pub fn as_wire(&self) -> &[u8] {
        &self.octets[..self.len as usize]
    }
}

/// What an OPT record asked for (RFC 6891).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Edns {
    /// The largest UDP answer that the client takes, as sent.
    pub udp_size: u16,
    /// EDNS version; only 0 is answered.
    pub version: u8,
    /// The DO bit (RFC 3225).
    pub dnssec_ok: bool,
    /// Whether NSID was asked for (RFC 5001).
    pub nsid: bool,
    /// Whether the zone's expiry was asked for (RFC 7314).
    pub expire: bool,
    /// The cookies that were sent (RFC 7873).
    pub cookie: Option<Cookie>,
    /// Whether the idle timeout was asked for, over a transport that has one to tell (RFC 7828).
    pub keepalive: bool,
    /// Whether the response is to be padded, over a transport where that hides anything (RFC 7830).
    pub padding: bool,
    /// Whether the version of the zone was asked for (RFC 9660).
    pub zone_version: bool,
    /// What the response tells besides the answer: `wire` settles it before the query is answered.
    pub told: Told,
}

/// The COOKIE option of a query (RFC 7873 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cookie {
    /// The client's part.
    pub client: [u8; 8],
    /// The server's part, if one was sent. One of another length than ours is all zeroes here, which ours never is.
    pub server: Option<[u8; 16]>,
}

/// Options of a response that do not depend on the answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Told {
    /// The server's part of the cookie; the client's part is the one that was sent.
    pub cookie: Option<[u8; 16]>,
    /// How long the connection may be idle, in units of 100 milliseconds (RFC 7828 section 3.1).
    pub keepalive: Option<u16>,
}

/// One question, ready to be answered.
#[derive(Clone, Copy)]
pub struct Query<'p> {
    /// Message id.
    pub id: u16,
    /// The second header word as sent: opcode, RD, CD and so on.
    pub flags: u16,
    /// The question section as sent: QNAME, QTYPE, QCLASS; echoed octet by octet (0x20).
    pub question: &'p [u8],
    /// QNAME folded.
    pub name: QueryName,
    /// QTYPE.
    pub rtype: Rtype,
    /// QCLASS.
    pub class: u16,
    /// EDNS, if there was an OPT record.
    pub edns: Option<Edns>,
    /// How it came.
    pub transport: Transport,
    /// Who asked.
    pub client: IpAddr,
    /// Whether the address is known to be the client's own: a handshake or a cookie has shown it.
    pub verified: bool,
    /// A number that differs from answer to answer: where a set starts.
    pub rotation: u32,
}

impl Query<'_> {
    /// Whether signatures and proofs of absence are wanted (RFC 4035 section 3.1).
    pub fn wants_signatures(&self) -> bool {
        self.edns.is_some_and(|edns| edns.dnssec_ok)
    }
}

/// Class IN.
pub const CLASS_IN: u16 = 1;
/// Class CHAOS, for questions about the server.
pub const CLASS_CH: u16 = 3;
/// Class ANY.
pub const CLASS_ANY: u16 = 255;
