//! EDNS options as clients and other servers see them, each test named by the RFC section that it keeps: cookies, also
//! those of BIND and Knot, the version and the expiry of zones, idle timeouts, padding.
//!
//! What an OPT record may be at all stands in `tests/answers/edns.script`, how options are read beside their code.

mod support;

#[path = "edns/cookies.rs"]
mod cookies;
#[path = "edns/others.rs"]
mod others;
#[path = "edns/padding.rs"]
mod padding;
#[allow(dead_code)] // what only other tests of programs need
#[path = "clients/program.rs"]
mod program;
#[path = "edns/zones.rs"]
mod zones;

use std::collections::BTreeMap;

use support::dns::{Packet, Response};

const NSID: u16 = 3;
const EXPIRE: u16 = 9;
const COOKIE: u16 = 10;
const KEEPALIVE: u16 = 11;
const PADDING: u16 = 12;
const EDE: u16 = 15;
const ZONE_VERSION: u16 = 19;

const NOERROR: u16 = 0;
const FORMERR: u16 = 1;
const REFUSED: u16 = 5;
const BADCOOKIE: u16 = 23;

/// One option in wire form.
fn option(code: u16, data: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes(), &(data.len() as u16).to_be_bytes(), data].concat()
}

/// A query with one option.
fn ask(name: &str, rtype: u16, code: u16, data: &[u8]) -> Vec<u8> {
    Packet::query(1, name, rtype).edns(1232, 0, &option(code, data)).0
}

/// The rcode with the part in OPT, and the options, of a message that has nothing behind its OPT.
fn options(response: &Response) -> (u16, BTreeMap<u16, Vec<u8>>) {
    let octets = &response.0;
    let opt = octets.windows(5).rposition(|window| window == [0, 0, 41, 4, 208]).expect("there is an OPT record");
    let rcode = u16::from(octets[opt + 5]) << 4 | u16::from(response.rcode());
    assert_eq!(octets[opt + 6], 0, "the version");
    let length = u16::from_be_bytes([octets[opt + 9], octets[opt + 10]]);
    let mut rest = &octets[opt + 11..];
    assert_eq!(usize::from(length), rest.len(), "OPT is the last record");
    let mut options = BTreeMap::new();
    while let [c0, c1, l0, l1, behind @ ..] = rest {
        let (data, after) = behind.split_at(usize::from(u16::from_be_bytes([*l0, *l1])));
        let twice = options.insert(u16::from_be_bytes([*c0, *c1]), data.to_vec());
        assert!(twice.is_none(), "every option stands there once");
        rest = after;
    }
    (rcode, options)
}
