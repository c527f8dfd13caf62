//! Rows of the store's file: whatever a damaged file holds, reading ends with a value or an error; a value survives
//! being written and read again.

#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use serde_json::{from_slice, to_vec};
use zonebeat::model::service::ServiceRow;
use zonebeat::model::{Change, Instance, Token};
use zonebeat::registry::ZoneRow;

fuzz_target!(|data: &[u8]| {
    let Some((kind, row)) = data.split_first() else { return };
    match kind % 5 {
        0 => round_trip::<Instance>(row),
        1 => round_trip::<ServiceRow>(row),
        2 => round_trip::<Token>(row),
        3 => round_trip::<ZoneRow>(row),
        _ => round_trip::<Change>(row),
    }
});

fn round_trip<T>(row: &[u8])
where
    T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + Debug,
{
    let Ok(value) = from_slice::<T>(row) else { return };
    let written = to_vec(&value).expect("a row that was read can be written");
    assert_eq!(from_slice::<T>(&written).expect("what we write we can read"), value);
}
