//! The zone-file parser: whatever comes, it ends with a zone or with findings; a zone that was read can be printed and
//! read again. Texts that ask for very many records are left out: they take seconds each and show nothing more.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zonebeat::model::Name;
use zonebeat::zone::{parse_text, print};

/// Most `$GENERATE` lines of a text that is tried, and most digits in a row on them.
const LINES: usize = 16;
const DIGITS: usize = 3;

fuzz_target!(|text: &[u8]| {
    if asks_for_too_much(text) {
        return;
    }
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

fn asks_for_too_much(text: &[u8]) -> bool {
    let text = text.to_ascii_lowercase();
    let word = b"$generate";
    let lines: Vec<&[u8]> = (0..text.len()).filter(|at| text[*at..].starts_with(word)).map(|at| &text[at..]).collect();
    let is_long = |line: &&[u8]| {
        let line = line.split(|octet| matches!(octet, b'\n' | b'\r')).next().unwrap_or_default();
        line.split(|octet| !octet.is_ascii_digit()).any(|digits| digits.len() > DIGITS)
    };
    lines.len() > LINES || lines.iter().any(is_long)
}
