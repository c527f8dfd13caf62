//! Properties of the zone file reader: what is printed is read back, and no text of any kind makes it fall over.

use proptest::prelude::*;

use zonebeat::model::{Finding, Name, Record, Rtype};
use zonebeat::zone::{StaticRecord, parse_text, print};

fn origin() -> Name {
    Name::parse_absolute("example.org").expect("a name")
}

fn label() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => proptest::collection::vec(prop_oneof![b'a'..=b'z', b'0'..=b'9', Just(b'-'), Just(b'_')], 1..12),
        1 => proptest::collection::vec(any::<u8>().prop_map(|octet| octet.to_ascii_lowercase()), 1..=63),
    ]
}

/// A name in the zone that is none of the names that the head of the zone uses.
fn owner() -> impl Strategy<Value = Name> {
    proptest::collection::vec(label(), 1..3).prop_filter_map("too long, or the apex twice", |labels| {
        let name = labels.iter().try_fold(origin(), |name, label| name.child(label)).ok()?;
        (!name.to_string().contains("example.org.example.org.")).then_some(name)
    })
}

/// A name with upper and lower case, as it may stand in data.
fn wire_name() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..20), 0..4).prop_map(|labels| {
        let mut wire: Vec<u8> =
            labels.iter().flat_map(|label| std::iter::once(label.len() as u8).chain(label.iter().copied())).collect();
        wire.push(0);
        wire
    })
}

fn string() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..=255).prop_map(|octets| [vec![octets.len() as u8], octets].concat())
}

fn concat(parts: (Vec<u8>, Vec<u8>)) -> Vec<u8> {
    [parts.0, parts.1].concat()
}

/// Type and wire format data; only types of which a name may have several.
fn data() -> impl Strategy<Value = (u16, Vec<u8>)> {
    let octets = |range: std::ops::RangeInclusive<usize>| proptest::collection::vec(any::<u8>(), range);
    prop_oneof![
        octets(4..=4).prop_map(|data| (1, data)),
        octets(16..=16).prop_map(|data| (28, data)),
        proptest::collection::vec(string(), 1..4).prop_map(|strings| (16, strings.concat())),
        (string(), string()).prop_map(|parts| (13, concat(parts))),
        wire_name().prop_map(|name| (12, name)),
        (octets(2..=2), wire_name()).prop_map(|parts| (15, concat(parts))),
        (octets(6..=6), wire_name()).prop_map(|parts| (33, concat(parts))),
        (octets(3..=3), octets(1..=80)).prop_map(|parts| (52, concat(parts))),
        (octets(4..=4), octets(0..=300)).prop_map(|parts| (256, concat(parts))),
        (octets(1..=1), octets(0..=40)).prop_map(|(flags, value)| (257, [&flags, &b"\x05issue"[..], &value].concat())),
        (1u8..=9, 1u8..=9).prop_map(|(digit, power)| (
            29,
            vec![0, digit << 4 | power, 0x16, 0x13, 0x80, 0, 1, 2, 0x7f, 0xff, 3, 4, 0, 0x98, 0x96, 0x80]
        )),
        octets(0..=100).prop_map(|data| (65_280, data)),
    ]
}

/// Records of a zone, none twice.
fn records() -> impl Strategy<Value = Vec<Record>> {
    proptest::collection::vec((owner(), data()), 0..20).prop_map(|rows| {
        let mut seen = std::collections::HashSet::new();
        let fresh = rows
            .into_iter()
            .filter(|(owner, (number, data))| seen.insert((owner.clone(), *number, data.to_ascii_lowercase())));
        let record = |(owner, (number, data)): (Name, (u16, Vec<u8>))| Record {
            owner,
            rtype: Rtype(number),
            ttl: 300,
            rdata: data.into(),
        };
        fresh.map(record).collect()
    })
}

const HEAD: &str = "$TTL 300\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n";
const HEAD_RECORDS: usize = 3;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn data_of_every_type_are_read_back_from_what_is_printed((rtype, data) in mutated()) {
        if let Ok(read) = read_one(&in_hexadecimal(rtype, &data)) {
            prop_assert_eq!(&read, &(rtype, data.clone()));
            let text = format!("{} {}", zonebeat::zone::mnemonic(rtype), print::rdata(rtype, &data));
            prop_assert_eq!(read_one(&text), Ok(read), "{}", text);
        }
    }

    #[test]
    fn files_of_every_shape_are_read_back_from_what_is_printed(text in mutated_file()) {
        if let Ok((zone, _)) = parse_text("zone", &text, &origin()) {
            let printed: String = zone.records.iter().map(|record| format!("{record}\n")).collect();
            let again = parse_text("printed", printed.as_bytes(), &zone.origin);
            let records = |zone: zonebeat::zone::StaticZone| -> Vec<Record> {
                zone.records.into_iter().map(|stated| stated.record).collect()
            };
            prop_assert_eq!(again.map(|(zone, _)| records(zone)), Ok(records(zone)), "{}", printed);
        }
    }
}

proptest! {
    #[test]
    fn printed_records_are_read_back(records in records()) {
        let lines: String = records.iter().map(|record| print::record(record) + "\n").collect();
        let outcome = parse_text("zone", format!("{HEAD}{lines}").as_bytes(), &origin());
        let zone = match outcome {
            Ok((zone, _)) => zone,
            Err(findings) => return Err(TestCaseError::fail(format!("{findings:#?}\n{lines}"))),
        };
        let read: Vec<Record> = zone.records.into_iter().skip(HEAD_RECORDS).map(|stated| stated.record).collect();
        prop_assert_eq!(read, records);
    }

    #[test]
    fn any_octets_are_read_or_refused(text in proptest::collection::vec(any::<u8>(), 0..400)) {
        shows_itself(parse_text("zone", &text, &origin()));
    }

    #[test]
    fn any_words_are_read_or_refused(words in proptest::collection::vec(word(), 0..60)) {
        shows_itself(parse_text("zone", format!("{HEAD}{}", words.concat()).as_bytes(), &origin()));
    }
}

/// Records of every type, as `tests/zone_named.rs` compares them with BIND.
const TYPES: &str = include_str!("zones/bind-types.records");

/// Type and data of every record that BIND takes.
fn samples() -> &'static [(Rtype, Vec<u8>)] {
    static SAMPLES: std::sync::LazyLock<Vec<(Rtype, Vec<u8>)>> = std::sync::LazyLock::new(|| {
        let records = TYPES.lines().filter_map(|line| line.strip_prefix("+ ")).map(|line| read_one(line).expect(line));
        records.collect()
    });
    &SAMPLES
}

/// Reads the type and data of one record.
fn read_one(text: &str) -> Result<(Rtype, Vec<u8>), String> {
    let (zone, _) = parse_text("zone", format!("{HEAD}x {text}\n").as_bytes(), &origin())
        .map_err(|findings| zonebeat::model::finding::render_all(&findings, false))?;
    let record = zone.records.into_iter().next_back().expect("records").record;
    Ok((record.rtype, record.rdata.into()))
}

/// Data with some octets changed, taken out or put in.
fn mutated() -> impl Strategy<Value = (Rtype, Vec<u8>)> {
    let change = (any::<u16>(), any::<u8>(), 0..4u8);
    (0..samples().len(), proptest::collection::vec(change, 0..4)).prop_map(|(sample, changes)| {
        let (rtype, mut data) = samples()[sample].clone();
        for (at, octet, kind) in changes {
            let at = usize::from(at) % (data.len() + 1);
            match kind {
                0 => data.insert(at, octet),
                1 if at < data.len() => drop(data.remove(at)),
                2 if at < data.len() => data[at] ^= 1 << (octet % 8),
                3 if at < data.len() => data[at] = octet,
                _ => {}
            }
        }
        (rtype, data)
    })
}

fn in_hexadecimal(rtype: Rtype, data: &[u8]) -> String {
    let digits: String = data.iter().map(|octet| format!("{octet:02x}")).collect();
    format!("TYPE{} \\# {} {digits}", rtype.0, data.len())
}

/// Zone files of every shape, as `tests/zone_named.rs` compares them with BIND, with some octets changed, taken out or
/// put in; without those that could make a million records.
fn mutated_file() -> impl Strategy<Value = Vec<u8>> {
    let octet = prop_oneof![any::<u8>(), proptest::sample::select(b" \t\n\r()\"\\;@$.0129aIN".to_vec())];
    let change = (any::<u16>(), octet, 0..3u8);
    let text = |case: &'static str| case.split_once('\n').map_or("", |(_, text)| text).replace("<CR>", "\r");
    let texts: Vec<String> = include_str!("zones/bind-syntax.cases").split("=== ").skip(1).map(text).collect();
    let texts: Vec<String> = texts.into_iter().filter(|text| !text.contains("2147483")).collect();
    (proptest::sample::select(texts), proptest::collection::vec(change, 0..4)).prop_map(|(text, changes)| {
        let mut text = text.replace("<WHOLE>\n", "").replace("<END>\n", "").into_bytes();
        for (at, octet, kind) in changes {
            let at = usize::from(at) % (text.len() + 1);
            match kind {
                0 => text.insert(at, octet),
                1 if at < text.len() => drop(text.remove(at)),
                2 if at < text.len() => text[at] = octet,
                _ => {}
            }
        }
        [HEAD.as_bytes(), &text].concat()
    })
}

/// Pieces of zone files.
const WORDS: &[&str] = &[
    "\n",
    "\n ",
    " ",
    " ",
    " ",
    "(",
    ")",
    "\"",
    "\\",
    ";",
    "@",
    "a",
    "*",
    "a.b.",
    "\\# 4 ",
    "c0000201",
    "300",
    "1h",
    "IN",
    "A",
    "192.0.2.1",
    "AAAA",
    "2001:db8::1",
    "TXT",
    "\"x y\"",
    "SOA",
    "NS",
    "MX",
    "SRV",
    "LOC",
    "52 22 23.000 N",
    "-24m",
    "HTTPS",
    "1 . ",
    "alpn=",
    "key9=\"a\"",
    "mandatory=alpn",
    "NSEC3",
    "APL",
    "!2:2001:db8::/32",
    "DS",
    "0",
    "65535",
    "4294967296",
    "$TTL ",
    "$ORIGIN ",
    "$INCLUDE x",
    "$GENERATE 1-9/4 a${0,2,n} ",
    "$DATE ",
    "TYPE65280",
    "\\255",
    "\\300",
    "é",
    "\t",
    "\r\n",
    "CNAME",
    "DNAME",
    "CSYNC",
    "RRSIG",
    "20300131235959",
    "-",
    "NID",
    "1:2:3:4",
    "EUI48",
    "CAA",
    "NAPTR",
    "SVCB",
];

/// Pieces of zone files in no order.
fn word() -> impl Strategy<Value = String> {
    proptest::sample::select(WORDS.to_vec()).prop_map(|text| format!("{text} "))
}

/// Every outcome can be shown, with its caret on its line.
fn shows_itself(outcome: Result<(zonebeat::zone::StaticZone, Vec<Finding>), Vec<Finding>>) {
    let (records, findings): (Vec<StaticRecord>, _) = match outcome {
        Ok((zone, findings)) => (zone.records, findings),
        Err(findings) => {
            assert!(findings.iter().any(Finding::is_error));
            (Vec::new(), findings)
        }
    };
    for finding in findings {
        assert!(finding.render(true).contains(finding.severity.as_str()));
        assert!(finding.place.line == 0 || finding.source.is_some(), "{finding}");
    }
    for record in records {
        assert!(record.record.rdata.len() <= usize::from(u16::MAX));
        assert!(!record.to_string().is_empty());
    }
}
