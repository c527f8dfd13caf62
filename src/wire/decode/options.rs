//! The options of an OPT record: those that we answer are read, all others do not count (RFC 6891 section 6.1.2).
//!
//! CLIENT-SUBNET is one of the others: what we answer does not depend on the client's network, and an echo would say
//! that it does.

use crate::answer::{Cookie, Edns, Transport};
use crate::wire::opt::code;

/// Octets of the client's part of a cookie, and of a server's part of ours.
const CLIENT_PART: usize = 8;
const SERVER_PART: usize = 16;
/// How long a server's part may be (RFC 7873 section 4).
const ANY_SERVER_PART: std::ops::RangeInclusive<usize> = 8..=32;

/// Reads all options into `edns`; `None` if they are malformed.
pub(super) fn read(mut rest: &[u8], transport: Transport, edns: &mut Edns) -> Option<()> {
    while !rest.is_empty() {
        let &[c0, c1, l0, l1] = rest.first_chunk::<4>()?;
        let (data, after) = rest[4..].split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
        rest = after;
        match u16::from_be_bytes([c0, c1]) {
            code::NSID => edns.nsid = true,
            code::EXPIRE => edns.expire = true,
            code::COOKIE if edns.cookie.is_none() => edns.cookie = Some(cookie(data)?),
            code::KEEPALIVE if has_idle_timeout(transport) => edns.keepalive = is_question(data)?,
            code::PADDING => edns.padding = transport.is_encrypted(),
            code::ZONE_VERSION => edns.zone_version = is_question(data)?,
            _ => {}
        }
    }
    Some(())
}

/// Reads a COOKIE option (RFC 7873 section 5.2.2). A second one does not count (section 5.2).
fn cookie(data: &[u8]) -> Option<Cookie> {
    let (client, server) = data.split_first_chunk::<CLIENT_PART>()?;
    let server = match server.len() {
        0 => None,
        SERVER_PART => server.try_into().ok(),
        length => ANY_SERVER_PART.contains(&length).then_some(Some([0; SERVER_PART]))?,
    };
    Some(Cookie { client: *client, server })
}

/// Options that ask are empty (RFC 7828 section 3.2.1, RFC 9660 section 3.1).
fn is_question(data: &[u8]) -> Option<bool> {
    data.is_empty().then_some(true)
}

/// Over UDP there is no connection (RFC 7828 section 3.3.1), and HTTP and QUIC tell their idle timeouts themselves.
fn has_idle_timeout(transport: Transport) -> bool {
    matches!(transport, Transport::Tcp | Transport::Tls)
}
