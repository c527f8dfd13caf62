//! Zones that were signed elsewhere (RFC 4034): they are served as they are, so nothing may change them here.

use super::load::Broken;
use super::{Loaded, StaticRecord, StaticZone, origin_of};
use crate::model::{Finding, Name, Rtype};

impl StaticZone {
    /// Whether its records are signed.
    pub fn is_signed(&self) -> bool {
        self.signature().is_some()
    }

    fn signature(&self) -> Option<&StaticRecord> {
        self.records.iter().find(|entry| entry.record.rtype == Rtype::RRSIG)
    }
}

impl Loaded {
    /// Refuses signed files of zones that follow the registry: every registration would change the zone's serial and
    /// names, which its signatures and proofs of absence then contradict, and nothing here can sign them again. `files`
    /// are those that were loaded.
    pub fn refuse_signed(&mut self, files: &[String], follows_registry: impl Fn(&Name) -> bool) {
        let zones = std::mem::take(&mut self.zones);
        for zone in zones {
            match zone.signature().filter(|_| follows_registry(&zone.origin)) {
                Some(signature) => {
                    self.findings.push(finding(&zone.origin, signature));
                    self.broken.push(Broken { file: main_file(&zone, files), origin: Some(zone.origin) });
                }
                None => self.zones.push(zone),
            }
        }
    }
}

/// The file that a zone was loaded from; its signatures may stand in one that it includes.
fn main_file(zone: &StaticZone, files: &[String]) -> String {
    let named = files.iter().find(|file| origin_of(file).is_ok_and(|origin| origin == zone.origin));
    let mut places = zone.records.iter().map(|entry| &entry.place.file);
    let read = || files.iter().find(|file| places.any(|place| **place == ***file));
    named.or_else(read).cloned().unwrap_or_default()
}

fn finding(zone: &Name, signature: &StaticRecord) -> Finding {
    let message = format!("the zone {zone} takes registrations and is signed here: they would break its signatures");
    Finding::error(signature.place.clone(), message).with_help(
        "set registrations = false for it (or take it out of reverse) and declare a [[zone]] below it for registrations, \
         or use the file without signatures",
    )
}
