//! Zone files beside a running server: whether the serials move as secondaries need it (RFC 1982).
//!
//! What is compared is the serial of the file with the serial that the server read from its own file. A static zone is
//! answered with just that; a zone that takes registrations adds the revision of its last change to it, and counts on
//! by itself when its records change.

use crate::model::api::ZoneInfo;
use crate::model::{Finding, Rtype, Severity};
use crate::zone::{StaticRecord, StaticZone, digest};

/// How two serials follow each other (RFC 1982 section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    Same,
    On,
    Back,
    /// On by more than 2^31-1, which secondaries take for back.
    TooFar,
}

impl Move {
    fn of(from: u32, to: u32) -> Self {
        match to.wrapping_sub(from) {
            0 => Self::Same,
            1..=0x7fff_ffff => Self::On,
            _ if to > from => Self::TooFar,
            _ => Self::Back,
        }
    }
}

/// What stands on the line of the file, and what is wrong.
pub(super) fn compare(zone: &StaticZone, served: &[ZoneInfo], server: &str) -> (String, Option<Finding>) {
    let name = zone.origin.to_string();
    let Some(info) = served.iter().find(|info| info.name == name) else {
        return (format!("new to {server}"), None);
    };
    let Some((soa, serial)) = soa(zone) else { return (String::new(), None) };
    let same = info.digest.as_ref() == Some(&digest(&zone.origin, zone.records.iter().map(|stated| &stated.record)));
    let counts_on = info.kind != "static";
    let base = info.base_serial;
    let finding = |severity, message: String, help: String| {
        let help = if counts_on { format!("{help}; {}", explain(info)) } else { help };
        Some(Finding::new(severity, soa.place.clone(), message).with_help(help))
    };
    match Move::of(base, serial) {
        Move::Same if same => ("unchanged".to_owned(), None),
        Move::Same if !info.readable => ("the server could not read its own file".to_owned(), None),
        Move::Same if counts_on => ("changed; the server counts the serial on".to_owned(), None),
        Move::Same => {
            let message = format!("the records differ from those of {server}, and the serial is {serial} in both");
            let help = format!("secondaries do not notice the change; write {}", serial.wrapping_add(1));
            ("changed with the same serial".to_owned(), finding(Severity::Warning, message, help))
        }
        Move::On => (format!("serial moves on from {base}"), None),
        Move::Back => {
            let message = format!("serial {serial} is lower than {base}, which {server} has");
            let help = format!("secondaries would keep the old zone; write {} or more", base.wrapping_add(1));
            ("serial goes back".to_owned(), finding(Severity::Error, message, help))
        }
        Move::TooFar => {
            let message = format!("serial {serial} is more than 2147483647 over {base}, which {server} has");
            let help = format!(
                "secondaries take it for older (RFC 1982); go by {} first, and wait until all have it",
                base.wrapping_add(0x7fff_ffff)
            );
            ("serial goes too far".to_owned(), finding(Severity::Error, message, help))
        }
    }
}

fn explain(info: &ZoneInfo) -> String {
    format!("the file holds the base, and the server answers base and revision, {} now", info.serial)
}

fn soa(zone: &StaticZone) -> Option<(&StaticRecord, u32)> {
    let soa = zone.records.iter().find(|stated| stated.record.rtype == Rtype::SOA)?;
    let octets = soa.record.rdata.last_chunk::<20>()?;
    Some((soa, u32::from_be_bytes([octets[0], octets[1], octets[2], octets[3]])))
}

/// The serial of a zone's SOA.
pub(super) fn serial(zone: &StaticZone) -> u32 {
    soa(zone).map_or(0, |(_, serial)| serial)
}

#[cfg(test)]
mod tests {
    use super::Move;

    #[test]
    fn serials_follow_as_rfc_1982_says() {
        for (from, to, expected) in [
            (7, 7, Move::Same),
            (7, 8, Move::On),
            (0, 0x7fff_ffff, Move::On),
            (0xffff_ffff, 0, Move::On),
            (7, 6, Move::Back),
            (0, 0x8000_0000, Move::TooFar),
            (0, 0xffff_ffff, Move::TooFar),
            (2_026_112_301, 1, Move::Back),
        ] {
            assert_eq!(Move::of(from, to), expected, "{from} -> {to}");
        }
    }
}
