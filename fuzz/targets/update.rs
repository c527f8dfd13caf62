//! UPDATE messages: whatever comes, it is malformed or a command whose records fit their types.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zonebeat::registry::update::{Edit, Prerequisite};
use zonebeat::update::{parse, zone};
use zonebeat::zone::{canonical, check_rdata};

fuzz_target!(|data: &[u8]| {
    let Ok(update) = parse(data) else { return };
    assert_eq!(zone(data).as_ref(), Ok(&update.zone));
    for prerequisite in &update.prerequisites {
        let (Prerequisite::InUse(name)
        | Prerequisite::NotInUse(name)
        | Prerequisite::Exists(name, _)
        | Prerequisite::Absent(name, _)
        | Prerequisite::Equals(name, ..)) = prerequisite;
        assert!(name.is_within(&update.zone));
        if let Prerequisite::Equals(_, rtype, data) = prerequisite {
            assert!(data.is_sorted() && data.iter().all(|data| check_rdata(*rtype, data)));
        }
    }
    for edit in &update.edits {
        assert!(edit.name().is_within(&update.zone));
        if let Edit::Add(_, rtype, _, record) = edit {
            assert!(check_rdata(*rtype, &record.data));
            assert_eq!(record.key(), canonical(*rtype, &record.data));
        }
    }
});
