//! The zone-file parser: whatever comes, it ends with a zone or with findings; a zone that was read can be printed and
//! read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zonebeat::model::Name;
use zonebeat::zone::{parse_text, print};

fuzz_target!(|text: &[u8]| {
    let origin = Name::parse_absolute("example.org").expect("a name");
    let Ok((zone, _)) = parse_text("fuzz.zone", text, &origin) else { return };
    let printed: String = zone.records.iter().map(|stated| print::record(&stated.record) + "\n").collect();
    let (again, _) = parse_text("printed.zone", printed.as_bytes(), &zone.origin)
        .unwrap_or_else(|findings| panic!("{findings:?} in\n{printed}"));
    let records = |zone: &zonebeat::zone::StaticZone| -> Vec<_> {
        zone.records.iter().map(|stated| stated.record.clone()).collect()
    };
    assert_eq!(records(&again), records(&zone), "printed:\n{printed}");
});
