//! Messages made by hand: what they ask, and what is wrong with others.

use proptest::prelude::*;

use super::*;

/// `example.org.` in the zone section; names in it are pointed to with C00C.
const ZONE: &[u8] = b"\x07example\x03org\0\0\x06\0\x01";
/// The pointer to it.
const APEX: &[u8] = b"\xc0\x0c";

fn message(prerequisites: &[Vec<u8>], updates: &[Vec<u8>]) -> Vec<u8> {
    let counts = [1, prerequisites.len() as u16, updates.len() as u16, 0];
    let header: Vec<u8> = [0x1234, 0x2800].into_iter().chain(counts).flat_map(u16::to_be_bytes).collect();
    [&header, ZONE, &prerequisites.concat(), &updates.concat()].concat()
}

/// A record of `label`.example.org.
fn record(label: &str, rtype: u16, class: u16, ttl: u32, rdata: &[u8]) -> Vec<u8> {
    let owner = [&[label.len() as u8], label.as_bytes(), APEX].concat();
    let fixed = [rtype.to_be_bytes(), class.to_be_bytes()].concat();
    [&owner, &fixed, &ttl.to_be_bytes()[..], &(rdata.len() as u16).to_be_bytes(), rdata].concat()
}

fn name(label: &str) -> Name {
    format!("{label}.example.org").parse().expect("a name")
}

fn malformed(prerequisites: &[Vec<u8>], updates: &[Vec<u8>]) -> bool {
    matches!(parse(&message(prerequisites, updates)), Err(Fault::Malformed(_)))
}

#[test]
fn rfc2136_2_4_the_five_prerequisites() {
    let prerequisites = [
        record("a", 255, 255, 0, &[]),
        record("b", 255, 254, 0, &[]),
        record("c", 1, 255, 0, &[]),
        record("d", 1, 254, 0, &[]),
        record("e", 1, 1, 0, &[192, 0, 2, 2]),
        record("f", 12, 1, 0, b"\x01X\xc0\x0c"),
        record("e", 1, 1, 0, &[192, 0, 2, 1]),
        record("e", 1, 1, 0, &[192, 0, 2, 2]),
    ];
    let parsed = parse(&message(&prerequisites, &[])).expect("it is well-formed");
    let addresses = vec![[192, 0, 2, 1].into(), [192, 0, 2, 2].into()];
    assert_eq!(
        parsed.prerequisites,
        [
            Prerequisite::InUse(name("a")),
            Prerequisite::NotInUse(name("b")),
            Prerequisite::Exists(name("c"), Rtype::A),
            Prerequisite::Absent(name("d"), Rtype::A),
            Prerequisite::Equals(name("e"), Rtype::A, addresses),
            Prerequisite::Equals(name("f"), Rtype::PTR, vec![name("x").as_wire().into()]),
        ]
    );
}

#[test]
fn rfc2136_2_5_the_four_changes() {
    let updates = [
        record("a", 33, 1, 30, b"\0\x01\0\x02\0\x03\x01X\xc0\x0c"),
        record("b", 1, 255, 0, &[]),
        record("c", 255, 255, 0, &[]),
        record("d", 16, 254, 0, b"\x01t"),
    ];
    let edits = parse(&message(&[], &updates)).expect("it is well-formed").edits;
    let Edit::Add(owner, Rtype::SRV, 30, data) = &edits[0] else { panic!("{:?}", edits[0]) };
    assert_eq!((owner, &*data.text), (&name("a"), "1 2 3 X.example.org."));
    assert_eq!(*data.data, *b"\0\x01\0\x02\0\x03\x01X\x07example\x03org\0");
    assert_eq!(*data.key(), *b"\0\x01\0\x02\0\x03\x01x\x07example\x03org\0");
    let deletions = [
        Edit::DeleteSet(name("b"), Rtype::A),
        Edit::DeleteName(name("c")),
        Edit::DeleteRecord(name("d"), Rtype::TXT, b"\x01t"[..].into()),
    ];
    assert_eq!(edits[1..], deletions);
}

#[test]
fn rfc2136_3_1_to_3_4_1_what_is_malformed() {
    let address = &[192, 0, 2, 1];
    for prerequisite in [
        record("a", 1, 255, 1, &[]),
        record("a", 1, 255, 0, address),
        record("a", 1, 254, 0, address),
        record("a", 255, 1, 0, &[]),
        record("a", 1, 1, 0, &[192, 0, 2]),
        record("a", 1, 3, 0, &[]),
        record("a", 252, 255, 0, &[]),
    ] {
        assert!(malformed(std::slice::from_ref(&prerequisite), &[]), "{prerequisite:?}");
    }
    for update in [
        record("a", 255, 1, 30, &[]),
        record("a", 252, 1, 30, &[]),
        record("a", 250, 1, 30, &[]),
        record("a", 0, 1, 30, &[]),
        record("a", 1, 1, 30, &[]),
        record("a", 33, 1, 30, b"\0\x01\0\x02\0\x03\xc0\xff"),
        record("a", 1, 255, 1, &[]),
        record("a", 1, 255, 0, address),
        record("a", 252, 255, 0, &[]),
        record("a", 1, 254, 1, address),
        record("a", 255, 254, 0, &[]),
        record("a", 1, 4, 0, address),
    ] {
        assert!(malformed(&[], std::slice::from_ref(&update)), "{update:?}");
    }
    let sound = message(&[record("a", 255, 255, 0, &[])], &[record("a", 1, 1, 30, address)]);
    assert!((0..sound.len()).all(|len| matches!(parse(&sound[..len]), Err(Fault::Malformed(_)))), "each octet counts");
}

#[test]
fn the_zone_is_one_of_class_in_and_has_every_name() {
    let mut other = message(&[], &[]);
    other[28] = 3;
    assert_eq!(zone(&other), Err(Fault::OtherClass));
    let mut query = message(&[], &[]);
    query[26] = 1;
    assert!(matches!(zone(&query), Err(Fault::Malformed(_))), "its type is SOA");
    let mut none = message(&[], &[]);
    none[5] = 0;
    assert!(matches!(zone(&none), Err(Fault::Malformed(_))));
    let outside = [b"\x03org\0", &record("", 255, 255, 0, &[])[3..]].concat();
    let org: Name = "org".parse().expect("a name");
    assert_eq!(parse(&message(std::slice::from_ref(&outside), &[])), Err(Fault::OutOfZone(org.clone())));
    assert_eq!(parse(&message(&[], &[outside])), Err(Fault::OutOfZone(org)));
}

proptest! {
    /// Whatever octets change, the message is malformed or asks for something in the zone whose records fit their
    /// types.
    #[test]
    fn nothing_that_comes_is_taken_for_more_than_it_is(
        changes in prop::collection::vec((12usize..160, any::<u8>()), 0..6), cut in 0usize..200
    ) {
        let prerequisites = [record("a", 255, 255, 0, &[]), record("e", 15, 1, 0, b"\0\x0a\xc0\x0c")];
        let updates = [record("a", 33, 1, 30, b"\0\x01\0\x02\0\x03\x01X\xc0\x0c"), record("d", 16, 254, 0, b"\x01t")];
        let mut octets = message(&prerequisites, &updates);
        changes.iter().for_each(|(at, octet)| if let Some(place) = octets.get_mut(*at) { *place = *octet });
        octets.truncate(cut.max(12));
        let Ok(update) = parse(&octets) else { return Ok(()) };
        prop_assert!(update.edits.iter().all(|edit| edit.name().is_within(&update.zone)));
        for edit in &update.edits {
            let Edit::Add(_, rtype, _, data) = edit else { continue };
            prop_assert!(crate::zone::check_rdata(*rtype, &data.data));
        }
    }
}
