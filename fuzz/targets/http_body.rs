//! Bodies of the HTTP interface: whatever comes, parsing ends with a value or an error; a value survives being written
//! and read again.

#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use serde_json::{from_slice, to_vec};
use zonebeat::model::Declaration;
use zonebeat::model::api::{Beat, Registration, SessionBeat, SessionSet, TokenRequest};

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

fn round_trip<T>(body: &[u8])
where
    T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + Debug,
{
    let Ok(value) = from_slice::<T>(body) else { return };
    let written = to_vec(&value).expect("a body that was read can be written");
    assert_eq!(from_slice::<T>(&written).expect("what we write we can read"), value);
}
