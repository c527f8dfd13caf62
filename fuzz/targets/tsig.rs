//! Signed messages: whatever comes, it is opened without a good signature, and answered with a TSIG record that says
//! why.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use libfuzzer_sys::fuzz_target;
use zonebeat::answer::Transport;
use zonebeat::model::{Name, TsigAlgorithm};
use zonebeat::security::{Key, Keys};
use zonebeat::wire::decode::{Decoded, HEADER, Origin, decode};
use zonebeat::wire::tsig::Refused;

/// The time at which the seeds were signed, with another secret.
const NOW: u64 = 1_700_000_000;

fuzz_target!(|packet: &[u8]| {
    let origin = Origin { transport: Transport::Udp, client: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)) };
    let Decoded::Signed(signed) = decode(packet, origin) else { return };
    let name = Name::parse_absolute("key.example.org").expect("a name");
    let keys = Keys::new([Key::new(name, TsigAlgorithm::HmacSha256, b"nobody's")]);
    let opened = signed.open(&keys, NOW);
    let refused = opened.verdict.expect_err("nobody has the secret");
    assert!(opened.message.len() >= HEADER && opened.message.len() < packet.len());
    assert_eq!(opened.message[..2], packet[..2], "the id is that of the header");
    assert_eq!(opened.signer.is_none(), refused == Refused::Malformed);
    let Some(mut signer) = opened.signer else { return };
    let mut message = opened.message.clone();
    signer.sign_message(&mut message, NOW);
    assert_eq!(message.len(), opened.message.len() + signer.length());
    assert_eq!(message[10..12], packet[10..12], "one record more");
});
