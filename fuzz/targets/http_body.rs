//! Bodies of the HTTP interface: whatever comes, parsing ends with a value or an error; a value survives being written
//! and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zonebeat::model::Declaration;
use zonebeat::model::api::{Beat, Registration, SessionBeat, SessionSet, TokenRequest};
use zonebeat_fuzz::round_trip;

fuzz_target!(|data: &[u8]| {
    // The first octet chooses the body, so that the fuzzer needs to learn only one grammar at a time.
    let Some((kind, body)) = data.split_first() else { return };
    match kind % 6 {
        0 => round_trip::<Registration>(body),
        1 => round_trip::<SessionSet>(body),
        2 => round_trip::<Declaration>(body),
        3 => round_trip::<TokenRequest>(body),
        4 => round_trip::<SessionBeat>(body),
        _ => round_trip::<Beat>(body),
    }
});
