//! Resource records as data: owner, type, TTL and the RDATA in uncompressed wire format.

use std::fmt;

use hickory_proto::rr::RecordType;

use super::Name;

/// A resource record type; any of the 65,536 (RFC 3597).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rtype(pub u16);

impl Rtype {
    /// IPv4 address (RFC 1035).
    pub const A: Self = Self(1);
    /// Name server (RFC 1035).
    pub const NS: Self = Self(2);
    /// Alias (RFC 1035).
    pub const CNAME: Self = Self(5);
    /// Start of authority (RFC 1035).
    pub const SOA: Self = Self(6);
    /// Pointer (RFC 1035).
    pub const PTR: Self = Self(12);
    /// Mailbox host (RFC 1035).
    pub const MB: Self = Self(7);
    /// Host information; the answer to ANY (RFC 8482).
    pub const HINFO: Self = Self(13);
    /// Mail exchange (RFC 1035).
    pub const MX: Self = Self(15);
    /// Text (RFC 1035).
    pub const TXT: Self = Self(16);
    /// Route through (RFC 1183).
    pub const RT: Self = Self(21);
    /// IPv6 address (RFC 3596).
    pub const AAAA: Self = Self(28);
    /// Service location (RFC 2782).
    pub const SRV: Self = Self(33);
    /// Key exchanger (RFC 2230).
    pub const KX: Self = Self(36);
    /// Redirection of a subtree (RFC 6672).
    pub const DNAME: Self = Self(39);
    /// EDNS (RFC 6891).
    pub const OPT: Self = Self(41);
    /// Delegation signer (RFC 4034).
    pub const DS: Self = Self(43);
    /// Signature (RFC 4034).
    pub const RRSIG: Self = Self(46);
    /// The next name of a signed zone (RFC 4034).
    pub const NSEC: Self = Self(47);
    /// The next hashed name of a signed zone (RFC 5155).
    pub const NSEC3: Self = Self(50);
    /// How the names of a signed zone are hashed (RFC 5155).
    pub const NSEC3PARAM: Self = Self(51);
    /// Service binding (RFC 9460).
    pub const SVCB: Self = Self(64);
    /// Service binding of HTTPS (RFC 9460).
    pub const HTTPS: Self = Self(65);
    /// Transaction signature (RFC 8945).
    pub const TSIG: Self = Self(250);
    /// Incremental transfer (RFC 1995).
    pub const IXFR: Self = Self(251);
    /// Transfer of a whole zone (RFC 5936).
    pub const AXFR: Self = Self(252);
    /// Obsolete mail queries (RFC 1035).
    pub const MAILB: Self = Self(253);
    /// Obsolete mail queries (RFC 1035).
    pub const MAILA: Self = Self(254);
    /// Any type (RFC 8482).
    pub const ANY: Self = Self(255);
}

impl fmt::Display for Rtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match RecordType::from(self.0) {
            RecordType::Unknown(number) => write!(f, "TYPE{number}"),
            known => write!(f, "{known}"),
        }
    }
}

impl fmt::Debug for Rtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl std::str::FromStr for Rtype {
    type Err = String;

    /// Parses a mnemonic or `TYPEnnn`, in any case.
    fn from_str(text: &str) -> Result<Self, String> {
        let upper = text.to_ascii_uppercase();
        if let Some(number) = upper.strip_prefix("TYPE").and_then(|digits| digits.parse().ok()) {
            return Ok(Self(number));
        }
        match upper.parse::<RecordType>() {
            Ok(known) => Ok(Self(known.into())),
            Err(_) => Err(format!("\"{text}\" is not a record type; use a mnemonic such as SRV, or TYPEnnn")),
        }
    }
}

/// One resource record of class IN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The name it belongs to.
    pub owner: Name,
    /// Its type.
    pub rtype: Rtype,
    /// How long a cache may keep it, in seconds.
    pub ttl: u32,
    /// Its data: wire format, names uncompressed, case as written.
    pub rdata: Box<[u8]>,
}
