//! Signatures that dnspython 2.9.2 made, not by our code, and everything that can be wrong with one.
//!
//! The vectors are `Message.to_wire` with `use_tsig(Key("Key.example.org.", b"secret of the example", algorithm))` and
//! `time.time` held at [`NOW`]: queries with each algorithm, and three messages of one stream (`multi=True`).

use std::net::Ipv4Addr;

use data_encoding::HEXLOWER;
use proptest::prelude::*;

use super::*;
use crate::answer::Transport;
use crate::model::{Name, TsigAlgorithm};
use crate::wire::decode::decode;

const NOW: u64 = 1_700_000_000;
const SECRET: &[u8] = b"secret of the example";

const QUERY_SHA1: &str = "12340000000100000000000103777777076578616d706c65036f72670000010001034b6579c01000fa00ff00000000002f09686d61632d736861310000006553f100012c0014986c114061179ddb87dfcea4d41c9b7dd86b6ef2123400000000";
const QUERY_SHA256: &str = "12340000000100000000000103777777076578616d706c65036f72670000010001034b6579c01000fa00ff00000000003d0b686d61632d7368613235360000006553f100012c002091a788b55d3114c7f5070c35109a6c48d7377a53b8883ef17dc5134f9ec57050123400000000";
const QUERY_SHA384: &str = "12340000000100000000000103777777076578616d706c65036f72670000010001034b6579c01000fa00ff00000000004d0b686d61632d7368613338340000006553f100012c0030f3bea104f78809a440ff20853bf3930f88638e3dc1989e445f457cdc8a5348058cd5ccb97adc0f9e06a162710d2f204f123400000000";
const QUERY_SHA512: &str = "12340000000100000000000103777777076578616d706c65036f72670000010001034b6579c01000fa00ff00000000005d0b686d61632d7368613531320000006553f100012c00409d48be02528b1b3a8e037891a71ab63cf4174ff69e5996400a93e7ece692cd8170abf5c455e61d1269717ef6021a5c99a13225df3c1440c17273c12b13757710123400000000";
const PLAIN_1: &str =
    "12348400000100010000000003777777076578616d706c65036f72670000010001c00c000100010000001e0004c0000201";
const SIGNED_1: &str = "12348400000100010000000103777777076578616d706c65036f72670000010001c00c000100010000001e0004c0000201034b6579c01000fa00ff00000000003d0b686d61632d7368613235360000006553f100012c00203c9476e6bcc45447cd83fb9fc943b474f42a2bd081a7df1ad446c5260518e417123400000000";
const PLAIN_2: &str =
    "12348400000100010000000003777777076578616d706c65036f72670000010001c00c000100010000001e0004c0000202";
const SIGNED_2: &str = "12348400000100010000000103777777076578616d706c65036f72670000010001c00c000100010000001e0004c0000202034b6579c01000fa00ff00000000003d0b686d61632d7368613235360000006553f100012c0020ab420c4b7fffcbe435f4eca8bcdf9b06c22e047e566e1be58cd78036b0f263e2123400000000";
const PLAIN_3: &str =
    "12348400000100010000000003777777076578616d706c65036f72670000010001c00c000100010000001e0004c0000203";
const SIGNED_3: &str = "12348400000100010000000103777777076578616d706c65036f72670000010001c00c000100010000001e0004c0000203034b6579c01000fa00ff00000000003d0b686d61632d7368613235360000006553f100012c0020fe48c7feac8e89d9582d4c28d8b1d9f14c9c540b302f1a9bee4a22c15bc891f2123400000000";

fn octets(hex: &str) -> Vec<u8> {
    HEXLOWER.decode(hex.as_bytes()).expect("hexadecimal")
}

fn name(text: &str) -> Name {
    Name::parse_absolute(text).expect("a name")
}

fn key(algorithm: TsigAlgorithm, secret: &[u8]) -> Keys {
    Keys::new([Key::new(name("other"), algorithm, SECRET), Key::new(name("key.example.org"), algorithm, secret)])
}

fn usual() -> Keys {
    key(TsigAlgorithm::HmacSha256, SECRET)
}

fn origin() -> Origin {
    Origin { transport: Transport::Udp, client: Ipv4Addr::LOCALHOST.into() }
}

/// Opens a packet as it came; `None` if it is not even recognised as signed.
fn open(packet: &[u8], keys: &Keys, now: u64) -> Option<Opened> {
    match decode(packet, origin()) {
        Decoded::Signed(signed) => Some(signed.open(keys, now)),
        _ => None,
    }
}

fn fault(packet: &[u8], keys: &Keys, now: u64) -> Result<(), Refused> {
    open(packet, keys, now).expect("it is signed").verdict.map(drop)
}

/// The record at the end of a message.
fn record(message: &[u8]) -> Record<'_> {
    let Decoded::Signed(signed) = decode(message, origin()) else { panic!("not signed: {message:02x?}") };
    Record::read(message, signed.at).expect("a TSIG record")
}

/// A response of ours as a request, so that the decoder takes it.
fn as_request(message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    message[2] &= 0x7F;
    message
}

/// A query signed with our own code, for what dnspython would not sign.
fn signed(change: impl FnOnce(&mut Record<'_>), mac: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let query = octets(QUERY_SHA256);
    let at = open(&query, &usual(), NOW).expect("it is signed").message.len();
    let mut record = record(&query);
    change(&mut record);
    let mut message = query[..at].to_vec();
    message[11] = 0;
    let whole =
        usual().find(name("key.example.org").as_wire()).expect("it is there").sign(&[&message, &record.variables()]);
    let mac = mac(whole.as_slice());
    record.mac = &mac;
    message[11] = 1;
    [message, record.write()].concat()
}

#[test]
fn rfc8945_5_2_queries_of_another_implementation_are_verified() {
    for (algorithm, query) in TsigAlgorithm::ALL.into_iter().zip([QUERY_SHA256, QUERY_SHA384, QUERY_SHA512, QUERY_SHA1])
    {
        let packet = octets(query);
        let opened = open(&packet, &key(algorithm, SECRET), NOW).expect("it is signed");
        let key = opened.verdict.as_ref().expect("the signature is good");
        assert_eq!((key.name(), key.algorithm()), (&name("key.example.org"), algorithm));
        assert_eq!(opened.message, [&packet[..11], b"\0", &packet[12..33]].concat(), "what was signed");
        let (decoded, _) = opened.decode(&Rules::default(), origin());
        assert!(matches!(decoded, Decoded::Query(query) if query.name.as_wire() == b"\x03www\x07example\x03org\0"));
    }
}

#[test]
fn rfc8945_5_3_1_a_stream_is_signed_as_another_implementation_signs_it() {
    let opened = open(&octets(QUERY_SHA256), &usual(), NOW).expect("it is signed");
    let mut signer = opened.signer.expect("it is answered with one");
    for (plain, expected) in [(PLAIN_1, SIGNED_1), (PLAIN_2, SIGNED_2), (PLAIN_3, SIGNED_3)] {
        let (mut message, expected) = (octets(plain), octets(expected));
        let length = message.len() + signer.length();
        signer.sign_message(&mut message, NOW);
        assert_eq!(message.len(), length);
        let (ours, theirs) = (as_request(&message), as_request(&expected));
        assert_eq!(format!("{:?}", record(&ours)), format!("{:?}", record(&theirs)));
    }
}

#[test]
fn rfc8945_5_2_1_a_key_is_known_by_its_name_and_its_algorithm() {
    let packet = octets(QUERY_SHA256);
    let bad_key = Err(Refused::NotAuth(Fault::Key));
    assert_eq!(fault(&packet, &Keys::default(), NOW), bad_key);
    assert_eq!(fault(&packet, &key(TsigAlgorithm::HmacSha512, SECRET), NOW), bad_key);
    let other = Keys::new([Key::new(name("example.org"), TsigAlgorithm::HmacSha256, SECRET)]);
    assert_eq!(fault(&packet, &other, NOW), bad_key);
}

#[test]
fn rfc8945_5_3_2_what_cannot_be_verified_is_not_answered_with_a_signature() {
    let packet = octets(QUERY_SHA256);
    for (keys, fault) in [(Keys::default(), Fault::Key), (key(TsigAlgorithm::HmacSha256, b"x"), Fault::Signature)] {
        let opened = open(&packet, &keys, NOW).expect("it is signed");
        assert_eq!(opened.verdict.clone().map(drop), Err(Refused::NotAuth(fault)));
        let (decoded, _) = opened.decode(&Rules::default(), origin());
        assert!(matches!(decoded, Decoded::Error(error) if error.rcode == Rcode::NOTAUTH));
        let mut signer = opened.signer.expect("it is answered with a record");
        assert!(signer.key().is_none());
        let mut message = octets(PLAIN_1);
        signer.sign_message(&mut message, NOW);
        let message = as_request(&message);
        let record = record(&message);
        assert_eq!((record.mac, record.error, record.other), (&[][..], fault.code(), &[][..]));
        assert_eq!(record.name, name("key.example.org"));
    }
}

#[test]
fn rfc8945_5_2_3_clocks_may_differ_by_the_fudge_and_the_answer_tells_our_time() {
    let packet = octets(QUERY_SHA256);
    let late = NOW + 301;
    for now in [NOW - 300, NOW, NOW + 300] {
        assert_eq!(fault(&packet, &usual(), now), Ok(()));
    }
    for now in [0, NOW - 301, late] {
        assert_eq!(fault(&packet, &usual(), now), Err(Refused::NotAuth(Fault::Time)));
    }
    let generous = signed(|record| record.fudge = u16::MAX, <[u8]>::to_vec);
    assert_eq!(fault(&generous, &usual(), NOW + 300), Ok(()));
    assert_eq!(fault(&generous, &usual(), late), Err(Refused::NotAuth(Fault::Time)), "18 hours are too long");
    let strict = signed(|record| record.fudge = 5, <[u8]>::to_vec);
    assert_eq!(fault(&strict, &usual(), NOW + 6), Err(Refused::NotAuth(Fault::Time)));
    assert_eq!(fault(&packet, &key(TsigAlgorithm::HmacSha256, b"x"), late), Err(Refused::NotAuth(Fault::Signature)));

    let mut signer = open(&packet, &usual(), late).and_then(|opened| opened.signer).expect("it is signed");
    assert!(signer.key().is_none(), "nobody may do anything with it");
    let mut message = octets(PLAIN_1);
    signer.sign_message(&mut message, late);
    let plain = octets(PLAIN_1);
    let message = as_request(&message);
    let answered = record(&message);
    assert_eq!((answered.time, answered.fudge, answered.error), (NOW, 300, 18), "as the client knows them");
    assert_eq!(answered.other, &late.to_be_bytes()[2..]);
    let request = record(&packet).mac;
    let key = usual().find(name("key.example.org").as_wire()).expect("it is there").clone();
    assert!(key.verify(&[&[0, 32], request, &plain, &answered.variables()], answered.mac), "and it is signed");
}

#[test]
fn rfc8945_5_2_2_1_a_mac_may_be_cut_to_half_and_to_128_bits() {
    for length in [32, 31, 16] {
        assert_eq!(fault(&signed(|_| {}, |mac| mac[..length].to_vec()), &usual(), NOW), Ok(()), "{length} octets");
    }
    for length in [15, 10, 9, 1, 0] {
        let cut = open(&signed(|_| {}, |mac| mac[..length].to_vec()), &usual(), NOW).expect("it is signed");
        assert_eq!(cut.verdict.map(drop), Err(Refused::Malformed), "{length} octets");
        assert!(cut.signer.is_none());
    }
    let long = signed(|_| {}, |mac| [mac, b"\0"].concat());
    assert_eq!(fault(&long, &usual(), NOW), Err(Refused::Malformed));

    let keys = key(TsigAlgorithm::HmacSha1, SECRET);
    let packet = octets(QUERY_SHA1);
    let at = open(&packet, &keys, NOW).expect("it is signed").message.len();
    let cut = |length: usize| {
        let mut record = record(&packet);
        record.mac = &record.mac[..length];
        [&packet[..at], &record.write()].concat()
    };
    assert_eq!(fault(&cut(16), &keys, NOW), Ok(()));
    assert_eq!(fault(&cut(10), &keys, NOW), Err(Refused::NotAuth(Fault::Truncation)));
    assert_eq!(fault(&cut(9), &keys, NOW), Err(Refused::Malformed));
    let signer = open(&cut(12), &keys, NOW).and_then(|opened| opened.signer).expect("it is answered");
    assert_eq!(signer.length(), record(&packet).write().len(), "by a whole signature");
}

#[test]
fn rfc8945_5_1_forwarders_may_change_the_id_and_the_response_has_theirs() {
    let mut packet = octets(QUERY_SHA256);
    packet[..2].copy_from_slice(&[0xAB, 0xCD]);
    let opened = open(&packet, &usual(), NOW).expect("it is signed");
    assert!(opened.verdict.is_ok());
    assert_eq!(opened.message[..2], [0xAB, 0xCD]);
}

#[test]
fn rfc8945_5_1_a_signature_stands_once_and_last_in_a_message_of_any_opcode() {
    let packet = octets(QUERY_SHA256);
    let record = &packet[33..];
    let twice = [&packet[..11], b"\x02", &packet[12..], record].concat();
    assert!(matches!(decode(&twice, origin()), Decoded::Error(error) if error.rcode == Rcode::FORMERR));
    for opcode in [1, 2, 4, 5, 15] {
        let mut packet = packet.clone();
        packet[2] = opcode << 3;
        assert_eq!(fault(&packet, &usual(), NOW), Err(Refused::NotAuth(Fault::Signature)), "opcode {opcode}");
    }
}

proptest! {
    #[test]
    fn any_octets_are_opened_or_turned_away(
        tail in proptest::collection::vec(any::<u8>(), 0..80), cut in 0..120usize, now in any::<u64>(),
    ) {
        let packet = octets(QUERY_SHA256);
        let changed = [&packet[..cut.min(packet.len())], &tail[..]].concat();
        if let Some(opened) = open(&changed, &usual(), now) {
            prop_assert!(opened.verdict.is_err() || changed == packet);
        }
    }
}

#[test]
fn every_bit_counts() {
    let packet = octets(QUERY_SHA256);
    let (at, algorithm) = (33, 33 + 6 + 10);
    let letter = |octet: usize| (at + 1..at + 4).contains(&octet) || (algorithm + 1..algorithm + 12).contains(&octet);
    for bit in 0..packet.len() * 8 {
        let (octet, mask) = (bit / 8, 1 << (bit % 8));
        let mut changed = packet.clone();
        changed[octet] ^= mask;
        let good = open(&changed, &usual(), NOW).is_some_and(|opened| opened.verdict.is_ok());
        let means_nothing = octet < 2 || letter(octet) && mask == 0x20 && packet[octet].is_ascii_alphabetic();
        assert_eq!(good, means_nothing, "bit {bit}");
    }
}
