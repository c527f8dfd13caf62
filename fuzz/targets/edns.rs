//! EDNS options of a well-formed query: cookies, NSID, padding, keepalive, client subnet, unknown ones, of every length
//! and in any number. What is answered is readable and only what was asked for; a response has OPT if the query had.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zonebeat::answer::Transport;
use zonebeat_fuzz::{VIEW, VIEW_NSEC3, answer};

/// Options with a meaning: NSID, client subnet, EXPIRE, cookie, keepalive, padding, CHAIN, key tag, EDE, ZONEVERSION.
const CODES: &[u16] = &[3, 8, 9, 10, 11, 12, 13, 14, 15, 19, 65_001];
const NAMES: &[&[u8]] = &[
    b"\x07_search\x04_tcp\x02sd\x07example\x03org\0",
    b"\x04_big\x04_tcp\x02sd\x07example\x03org\0",
    b"\x07nothing\x06signed\x07example\x03org\0",
    b"\x01x\x03sub\x06signed\x07example\x03org\0",
    b"\x06signed\x07example\x03org\0",
    b"\x05other\x07example\x03net\0",
];
const TRANSPORTS: &[Transport] = &[Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Https, Transport::Quic];

fuzz_target!(|data: &[u8]| {
    let [transport, name, rtype, size_high, size_low, version, flags, options @ ..] = data else { return };
    let name = NAMES[usize::from(*name) % NAMES.len()];
    let rtype = [1, 33, 255, 6, 43, 16][usize::from(*rtype) % 6];
    let mut packet = vec![0xAB, 0xCD, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    packet.extend_from_slice(name);
    packet.extend([0, rtype, 0, 1, 0, 0, 41, *size_high, *size_low, 0, *version / 200, flags & 0x80, 0]);
    let options = options_of(options);
    packet.extend((options.len() as u16).to_be_bytes());
    packet.extend(options);
    let view = if flags & 1 == 0 { &VIEW } else { &VIEW_NSEC3 };
    let transport = TRANSPORTS[usize::from(*transport) % TRANSPORTS.len()];
    let response = answer(view, &packet, transport, 0);
    if let Some(response) = response {
        assert!(response.edns.is_some(), "a query with OPT gets OPT (RFC 6891 section 6.1.1)");
    }
});

/// Options from octets: which code, how long, and whether the length that is written is the true one.
fn options_of(mut rest: &[u8]) -> Vec<u8> {
    let mut options = Vec::new();
    while let [code, length, tail @ ..] = rest {
        if options.len() > 4096 {
            break;
        }
        let number = match usize::from(*code) {
            known if known < 128 => CODES[known % CODES.len()],
            other => other as u16,
        };
        let (data, left) = tail.split_at(tail.len().min(usize::from(*length)));
        let lies = if *length > 250 { 1 } else { 0 };
        options.extend(number.to_be_bytes());
        options.extend((data.len() as u16 + lies).to_be_bytes());
        options.extend(data);
        rest = left;
    }
    options
}
