//! Rows of the store's file: whatever a damaged file holds, reading ends with a value or an error; a value survives
//! being written and read again, and the view can be compiled with it.

#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use serde_json::{from_slice, to_vec};
use zonebeat::model::service::ServiceRow;
use zonebeat::model::{Change, Instance, Token};
use zonebeat::registry::ZoneRow;
use zonebeat_fuzz::compile;

fuzz_target!(|data: &[u8]| {
    let Some((kind, row)) = data.split_first() else { return };
    match kind % 5 {
        0 => {
            if let Some(instance) = round_trip::<Instance>(row) {
                compile(ServiceRow::default(), instance);
            }
        }
        1 => {
            if let Some(row) = round_trip::<ServiceRow>(row) {
                compile(row, zonebeat_fuzz::instance(1));
            }
        }
        2 => drop(round_trip::<Token>(row)),
        3 => drop(round_trip::<ZoneRow>(row)),
        _ => drop(round_trip::<Change>(row)),
    }
});

fn round_trip<T>(row: &[u8]) -> Option<T>
where
    T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + Debug,
{
    let value = from_slice::<T>(row).ok()?;
    let written = to_vec(&value).expect("a row that was read can be written");
    assert_eq!(from_slice::<T>(&written).expect("what we write we can read"), value);
    Some(value)
}
