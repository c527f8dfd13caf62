//! The numbers of the options that we read or write (IANA, "DNS EDNS0 Option Codes").

/// Name server identifier (RFC 5001).
pub(in crate::wire) const NSID: u16 = 3;
/// How long a secondary may use a zone (RFC 7314).
pub(in crate::wire) const EXPIRE: u16 = 9;
/// Cookies (RFC 7873).
pub(in crate::wire) const COOKIE: u16 = 10;
/// The idle timeout of a connection (RFC 7828).
pub(in crate::wire) const KEEPALIVE: u16 = 11;
/// Octets that mean nothing (RFC 7830).
pub(in crate::wire) const PADDING: u16 = 12;
/// Extended error (RFC 8914).
pub(in crate::wire) const EDE: u16 = 15;
/// The version of a zone (RFC 9660).
pub(in crate::wire) const ZONE_VERSION: u16 = 19;
