//! One test per rule, named by the section that has it. Packets are built octet by octet: what is tested here is what
//! no library would write.

use std::net::Ipv4Addr;

use super::*;
use crate::answer::Cookie;
use crate::wire::error::{MAX_ERROR, write_error};

const APEX: &[u8] = b"\x02sd\x07example\x03org\x00";
const OPT: &[u8] = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00";
const SOA_IN: &[u8] = b"\x00\x06\x00\x01";
const QUERY: u16 = 0;

/// A header: flags and the four counts.
fn header(flags: u16, counts: [u16; 4]) -> Vec<u8> {
    let words = [0x1234, flags, counts[0], counts[1], counts[2], counts[3]];
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// A query for the SOA of the apex with `additional` records behind it.
fn query(additional: u16, records: &[u8]) -> Vec<u8> {
    [&header(QUERY, [1, 0, 0, additional]), APEX, SOA_IN, records].concat()
}

/// A query with an OPT record that has these options.
fn with_options(options: &[u8]) -> Vec<u8> {
    let length = (options.len() as u16).to_be_bytes();
    query(1, &[&OPT[..9], &length, options].concat())
}

fn ask(rtype: u16) -> Vec<u8> {
    [&header(QUERY, [1, 0, 0, 0]), APEX, &rtype.to_be_bytes(), &[0, 1]].concat()
}

fn origin(transport: Transport) -> Origin {
    Origin { transport, client: Ipv4Addr::LOCALHOST.into() }
}

fn read(packet: &[u8], transport: Transport) -> Decoded<'_> {
    decode(packet, origin(transport))
}

/// The response code of a packet that is answered without a view; `None` if it is a query.
fn rcode(packet: &[u8]) -> Option<Rcode> {
    match read(packet, Transport::Udp) {
        Decoded::Error(error) => Some(error.rcode),
        Decoded::Query(_) => None,
        Decoded::Drop(reason) => panic!("dropped: {reason:?}"),
        Decoded::Signed(_) => panic!("signed"),
    }
}

fn query_of(packet: &[u8]) -> Query<'_> {
    match read(packet, Transport::Udp) {
        Decoded::Query(query) => query,
        Decoded::Error(error) => panic!("{:?}", error.rcode),
        Decoded::Drop(reason) => panic!("dropped: {reason:?}"),
        Decoded::Signed(_) => panic!("signed"),
    }
}

/// The response to a packet that needs no view.
fn response(packet: &[u8]) -> Vec<u8> {
    let Decoded::Error(error) = read(packet, Transport::Udp) else { panic!("needs a view, or no answer") };
    let mut out = vec![0xAA; MAX_ERROR];
    let len = write_error(&error, 1232, &mut out);
    out.truncate(len);
    out
}

const FORMERR: Option<Rcode> = Some(Rcode::FORMERR);
const NOTIMP: Option<Rcode> = Some(Rcode::NOTIMP);

#[test]
fn rfc1035_4_1_a_query_is_read_whole() {
    let packet = [&header(0x0110, [1, 0, 0, 0]), &b"\x03wEb"[..], APEX, b"\x00\x21\x00\x01"].concat();
    let query = query_of(&packet);
    assert_eq!((query.id, query.flags, query.class), (0x1234, 0x0110, 1));
    assert_eq!(query.rtype, Rtype::SRV);
    assert_eq!(query.name.as_wire(), b"\x03web\x02sd\x07example\x03org\x00", "folded");
    assert_eq!(query.question, &packet[12..], "as sent");
    assert!(query.edns.is_none());
}

#[test]
fn rfc1035_4_1_1_no_header_and_no_query_are_dropped() {
    let short = header(QUERY, [1, 0, 0, 0]);
    assert!(matches!(read(&short[..11], Transport::Udp), Decoded::Drop(DropReason::Short)));
    assert!(matches!(read(&[], Transport::Udp), Decoded::Drop(DropReason::Short)));
    for flags in [FLAG_QR, FLAG_QR | 4 << 11, FLAG_QR | 5 << 11] {
        let packet = [&header(flags, [1, 0, 0, 0]), APEX, SOA_IN].concat();
        assert!(matches!(read(&packet, Transport::Udp), Decoded::Drop(DropReason::Response)));
    }
}

#[test]
fn rfc7873_5_4_without_a_question_only_a_cookie_can_be_asked_for() {
    let without = |record: &[u8]| [&header(QUERY, [0, 0, 0, 1]), record].concat();
    let with_cookie = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x0c\x00\x0a\x00\x08abcdefgh";
    assert_eq!(rcode(&without(with_cookie)), Some(Rcode::NOERROR));
    assert_eq!(rcode(&[&header(QUERY, [0, 0, 0, 1]), &with_cookie[..], b"x"].concat()), FORMERR);
    assert_eq!(rcode(&without(b"\x00\x00\x29\x04\xd0\x00\x01\x00\x00\x00\x00")), Some(Rcode::BADVERS));
    assert_eq!(rcode(&without(OPT)), FORMERR);
    assert_eq!(response(&without(OPT))[11], 1, "RFC 6891 section 7");
}

#[test]
fn rfc9619_exactly_one_question() {
    assert_eq!(rcode(&header(QUERY, [1, 0, 0, 0])), FORMERR);
    assert_eq!(rcode(&header(QUERY, [0, 0, 0, 0])), FORMERR);
    assert_eq!(rcode(&[&header(QUERY, [2, 0, 0, 0]), APEX, SOA_IN, APEX, SOA_IN].concat()), FORMERR);
    assert_eq!(rcode(&[&header(QUERY, [u16::MAX; 4]), APEX, SOA_IN].concat()), FORMERR);
}

#[test]
fn rfc1035_4_1_4_a_question_is_not_compressed() {
    for name in [&b"\xc0\x0c"[..], b"\xc0\x20", b"\xc0\x00", b"\x01a\xc0\x0e", b"\x41abc\x00", b"\x81abc\x00"] {
        assert_eq!(rcode(&[&header(QUERY, [1, 0, 0, 0]), name, SOA_IN].concat()), FORMERR, "{name:?}");
    }
}

#[test]
fn rfc1035_2_3_4_a_name_has_255_octets_at_most() {
    let label = |len: usize| [vec![len as u8], vec![b'a'; len]].concat();
    let name = |last: usize| [label(63), label(63), label(63), label(last), vec![0]].concat();
    let packet = |name: Vec<u8>| [header(QUERY, [1, 0, 0, 0]), name, SOA_IN.to_vec()].concat();
    assert_eq!(query_of(&packet(name(61))).name.as_wire().len(), 255);
    assert_eq!(rcode(&packet(name(62))), FORMERR);
    assert_eq!(rcode(&packet(b"\x03abc".to_vec())), FORMERR, "not terminated");
    assert_eq!(query_of(&packet(b"\x03a\x00b\x00".to_vec())).name.as_wire(), b"\x03a\x00b\x00", "any octet is allowed");
}

#[test]
fn rfc1035_4_1_what_is_announced_is_there_and_nothing_else() {
    assert_eq!(rcode(&[&header(QUERY, [1, 0, 0, 0]), APEX].concat()), FORMERR, "no type");
    assert_eq!(rcode(&query(1, &[])), FORMERR, "no record");
    assert_eq!(rcode(&query(0, b"garbage!")), FORMERR, "octets behind the end");
    let a_record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\xc0\x00\x02\x01";
    assert_eq!(rcode(&query(1, a_record)), None, "other records do not matter");
    assert_eq!(rcode(&query(1, &a_record[..15])), FORMERR);
    assert_eq!(rcode(&query(1, &[b"\xc0\xff", &a_record[2..]].concat())), FORMERR, "a pointer points back");
}

#[test]
fn every_prefix_of_a_query_is_malformed() {
    let packet = with_options(b"\x00\x0a\x00\x08abcdefgh");
    query_of(&packet);
    for len in HEADER..packet.len() {
        assert_eq!(rcode(&packet[..len]), FORMERR, "{len} octets");
    }
}

#[test]
fn rfc8906_3_1_3_other_opcodes_are_not_implemented_and_nothing_is_echoed_but_the_header() {
    for opcode in [1u16, 2, 3, 4, 6, 15] {
        let flags = opcode << 11 | 0x07F0;
        for packet in [header(flags, [0; 4]), [&header(flags, [1, 0, 1, 0]), APEX, SOA_IN, b"junk"].concat()] {
            assert_eq!(rcode(&packet), NOTIMP, "opcode {opcode}");
            assert_eq!(response(&packet), header_with_rcode(FLAG_QR | opcode << 11, 4));
        }
    }
}

#[test]
fn rfc2136_3_3_an_update_without_a_signature_is_refused_with_its_zone() {
    let packet = [&header(5 << 11, [1, 0, 0, 0]), APEX, SOA_IN].concat();
    assert_eq!(rcode(&packet), Some(Rcode::REFUSED));
    let mut refused = packet.clone();
    (refused[2], refused[3]) = (0xA8, 5);
    assert_eq!(response(&packet), refused);
    assert_eq!(rcode(&header(5 << 11, [0; 4])), Some(Rcode::REFUSED), "malformed ones too");
}

fn header_with_rcode(flags: u16, rcode: u16) -> Vec<u8> {
    header(flags | rcode, [0; 4])
}

#[test]
fn rfc6891_6_1_1_there_is_at_most_one_opt_and_it_is_additional() {
    assert_eq!(query_of(&query(1, OPT)).edns, Some(Edns { udp_size: 1232, ..Edns::default() }));
    assert_eq!(rcode(&query(2, &[OPT, OPT].concat())), FORMERR);
    assert_eq!(rcode(&query(1, &[b"\x01a", OPT].concat())), FORMERR, "its owner is the root");
    for counts in [[1, 1, 0, 0], [1, 0, 1, 0]] {
        assert_eq!(rcode(&[&header(QUERY, counts), APEX, SOA_IN, OPT].concat()), FORMERR);
    }
}

#[test]
fn rfc6891_6_1_2_options_are_walked() {
    let query = with_options(b"\x00\x03\x00\x00\xff\x01\x00\x02ab");
    assert!(query_of(&query).edns.is_some_and(|edns| edns.nsid));
    assert_eq!(rcode(&with_options(&b"\xff\x01\x00\x00".repeat(200))), None);
    assert_eq!(rcode(&with_options(b"\x00\x03\xff\xff")), FORMERR, "past the end");
    assert_eq!(rcode(&with_options(b"\x00\x03")), FORMERR, "half an option");
    let broken = with_options(b"\x00\x0a\x00\x08abcdefgh\x00\x03");
    let Decoded::Error(error) = read(&broken, Transport::Udp) else { panic!("half an option") };
    let edns = error.edns.expect("RFC 6891 section 6.1.1: a query with OPT gets OPT");
    assert_eq!(edns.cookie, None, "no option of a malformed record counts");
}

#[test]
fn rfc7873_5_2_2_a_cookie_has_8_or_16_to_40_octets() {
    let cookie = |len: u8| with_options(&[vec![0, 10, 0, len], vec![7; usize::from(len)]].concat());
    for good in [8, 16, 40] {
        assert_eq!(rcode(&cookie(good)), None, "{good}");
    }
    for bad in [0, 1, 7, 9, 15, 41] {
        assert_eq!(rcode(&cookie(bad)), FORMERR, "{bad}");
    }
}

#[test]
fn rfc7873_4_a_cookie_has_a_clients_part_and_perhaps_one_of_a_server() {
    let read = |octets: &[u8]| {
        let packet = with_options(&[&[0, 10, 0, octets.len() as u8], octets].concat());
        query_of(&packet).edns.and_then(|edns| edns.cookie).expect("there is a cookie")
    };
    assert_eq!(read(b"abcdefgh"), Cookie { client: *b"abcdefgh", server: None });
    assert_eq!(read(b"abcdefgh0123456789abcdef").server, Some(*b"0123456789abcdef"));
    assert_eq!(read(b"abcdefgh0123456789abcde").server, Some([0; 16]), "none of ours");
    let two = with_options(b"\x00\x0a\x00\x08abcdefgh\x00\x0a\x00\x08ABCDEFGH");
    assert_eq!(query_of(&two).edns.and_then(|edns| edns.cookie), Some(read(b"abcdefgh")), "the first counts");
}

#[test]
fn rfc7828_3_3_1_the_idle_timeout_is_asked_for_over_connections() {
    let asked = |option: &[u8], transport| match decode(&with_options(option), origin(transport)) {
        Decoded::Query(query) => query.edns.map(|edns| edns.keepalive),
        _ => None,
    };
    for (transport, told) in [
        (Transport::Udp, false),
        (Transport::Tcp, true),
        (Transport::Tls, true),
        (Transport::Https, false),
        (Transport::Quic, false),
    ] {
        assert_eq!(asked(b"\x00\x0b\x00\x00", transport), Some(told), "{transport:?}");
        let with_timeout = asked(b"\x00\x0b\x00\x02\x00\x64", transport);
        assert_eq!(with_timeout, (!told).then_some(false), "{transport:?}: a client does not say how long");
    }
}

#[test]
fn rfc7830_6_padding_is_asked_for_where_nobody_reads_along() {
    let packet = with_options(b"\x00\x0c\x00\x03abc");
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Https, Transport::Quic] {
        let Decoded::Query(query) = read(&packet, transport) else { panic!("any padding will do") };
        assert_eq!(query.edns.map(|edns| edns.padding), Some(transport.is_encrypted()), "{transport:?}");
    }
}

#[test]
fn rfc9660_3_the_version_of_a_zone_is_asked_for_with_an_empty_option() {
    assert!(query_of(&with_options(b"\x00\x13\x00\x00")).edns.is_some_and(|edns| edns.zone_version));
    assert_eq!(rcode(&with_options(b"\x00\x13\x00\x02\x00\x00")), FORMERR);
}

#[test]
fn rfc6891_6_1_3_an_unknown_version_is_badvers_with_version_0() {
    let mut packet = query(1, b"\x00\x00\x29\x04\xd0\x00\xff\x80\x00\x00\x04\x00\x64\x00\x00");
    packet[2] = 1; // RD
    let response = response(&packet);
    let question = &packet[12..][..APEX.len() + 4];
    let opt = b"\x00\x00\x29\x04\xd0\x01\x00\x80\x00\x00\x00"; // 1 << 4: BADVERS; version 0, DO
    assert_eq!(response, [&header(FLAG_QR | FLAG_RD, [1, 0, 0, 1]), question, &opt[..]].concat());
}

#[test]
fn rfc6891_7_an_error_has_an_opt_if_the_query_had_one() {
    let mut packet = query(1, OPT);
    let rtype = HEADER + APEX.len() + 1;
    packet[rtype] = 41;
    assert_eq!(response(&packet)[11], 1);
    let mut packet = query(0, &[]);
    packet[rtype] = 41;
    assert_eq!(response(&packet)[11], 0);
    assert_eq!(response(&query(2, &[OPT, OPT].concat()))[11], 0, "which of the two?");
}

#[test]
fn rfc8914_a_reason_is_sent_to_clients_with_edns_only() {
    let axfr = [&header(QUERY, [1, 0, 0, 1]), APEX, b"\x00\xfc\x00\x01", OPT].concat();
    let text = b"a zone transfer needs TCP";
    let response = response(&axfr);
    assert!(response.ends_with(text));
    let option = [0, 15, 0, 2 + text.len() as u8, 0, 0];
    assert_eq!(
        response[response.len() - text.len() - 8..][..8],
        [&[0, 4 + 2 + text.len() as u8], &option[..]].concat()
    );
    assert_eq!(self::response(&ask(252)).len(), HEADER + APEX.len() + 4);
}

#[test]
fn rfc8945_5_2_a_signature_is_last_and_whole() {
    let rdata = [&b"\x0bhmac-sha256\x00"[..], &[0; 6], b"\x01\x2c", &[0, 2, 1, 2], &[0; 6]].concat();
    let record = |rdata: &[u8]| {
        let length = (rdata.len() as u16).to_be_bytes();
        [b"\x01k\x00\x00\xfa\x00\xff\x00\x00\x00\x00", &length[..], rdata].concat()
    };
    let signed = record(&rdata);
    for (before, packet) in [(0, query(1, &signed)), (OPT.len(), query(2, &[OPT, &signed].concat()))] {
        let Decoded::Signed(found) = read(&packet, Transport::Udp) else { panic!("it is signed") };
        assert_eq!(found.at, HEADER + APEX.len() + 4 + before);
    }
    assert_eq!(rcode(&query(2, &[&signed, OPT].concat())), FORMERR, "not last");
    assert_eq!(rcode(&query(1, &record(b""))), FORMERR);
    assert_eq!(rcode(&query(1, &record(&rdata[..rdata.len() - 1]))), FORMERR);
    assert_eq!(rcode(&query(1, &record(&[&rdata[..], b"x"].concat()))), FORMERR);
    assert_eq!(rcode(&[&header(QUERY, [1, 1, 0, 0]), APEX, SOA_IN, &signed].concat()), FORMERR);
}

#[test]
fn rfc6891_6_2_3_an_error_announces_what_the_server_takes() {
    let future = query(1, b"\x00\x00\x29\x04\xd0\x00\x01\x80\x00\x00\x00");
    let Decoded::Error(error) = read(&future, Transport::Udp) else { panic!("version 1 is answered") };
    let mut out = [0xAA; MAX_ERROR];
    let len = write_error(&error, 4096, &mut out);
    assert!(out[..len].ends_with(b"\x00\x00\x29\x10\x00\x01\x00\x80\x00\x00\x00"), "BADVERS: {:02x?}", &out[..len]);
}

#[test]
fn rfc6895_3_1_types_that_are_no_questions() {
    assert_eq!(rcode(&ask(41)), FORMERR, "OPT");
    assert_eq!(rcode(&ask(250)), FORMERR, "TSIG");
    for meta in [249, 253, 254] {
        assert_eq!(rcode(&ask(meta)), NOTIMP, "TYPE{meta}");
    }
    for rtype in [0, 1, 46, 255, 666, 65_280] {
        assert_eq!(query_of(&ask(rtype)).rtype.0, rtype);
    }
}

#[test]
fn rfc5936_4_2_a_transfer_needs_tcp() {
    let axfr = ask(252);
    assert_eq!(rcode(&axfr), FORMERR);
    assert!(matches!(read(&axfr, Transport::Tcp), Decoded::Query(query) if query.rtype == Rtype::AXFR));
}

#[test]
fn rfc1995_2_ixfr_over_udp_asks_for_the_soa_alone() {
    let soa = b"\xc0\x0c\x00\x06\x00\x01\x00\x00\x00\x00\x00\x02\x00\x00";
    let ixfr = [&header(QUERY, [1, 0, 1, 0]), APEX, b"\x00\xfb\x00\x01", soa].concat();
    assert_eq!(query_of(&ixfr).rtype, Rtype::SOA);
    assert!(query_of(&ixfr).question.ends_with(b"\x00\xfb\x00\x01"), "the question is echoed as sent");
    assert!(matches!(read(&ixfr, Transport::Tcp), Decoded::Query(query) if query.rtype == Rtype::IXFR));
}

#[test]
fn classes_are_for_the_view_to_judge() {
    for class in [0u16, 1, 3, 255] {
        let packet = [&header(QUERY, [1, 0, 0, 0]), APEX, b"\x00\x06", &class.to_be_bytes()].concat();
        assert_eq!(query_of(&packet).class, class);
    }
}

proptest::proptest! {
    /// Whatever comes is dropped, answered or a query; an error response fits its buffer and echoes id and opcode.
    #[test]
    fn any_octets_are_survived(
        start in proptest::collection::vec(proptest::num::u8::ANY, 0..16),
        flips in proptest::collection::vec((0..80usize, proptest::num::u8::ANY), 0..6),
        cut in 0..90usize,
    ) {
        let mut mutated = with_options(b"\x00\x03\x00\x00\x00\x0a\x00\x08abcdefgh");
        for (at, octet) in flips {
            let at = at % mutated.len();
            mutated[at] = octet;
        }
        mutated.truncate(cut.max(1));
        for packet in [start, mutated] {
            if let Decoded::Error(error) = read(&packet, Transport::Udp) {
                let mut out = [0; MAX_ERROR];
                let len = write_error(&error, 1232, &mut out);
                assert!(len >= HEADER);
                assert_eq!(out[..2], packet[..2]);
                assert_eq!(out[2] & 0x78, packet[2] & 0x78);
            }
        }
    }
}
