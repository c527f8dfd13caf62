//! The apex: one SOA with numbers that make sense, NS records, nothing that belongs elsewhere.

use super::draft::{CDNSKEY, CDS, DNSKEY, NSEC3PARAM, ZONEMD};
use super::index::Zone;
use crate::model::{Finding, Place, Rtype};
use crate::zone::File;
use crate::zone::parse::Draft;

/// A day, the longest negative TTL that makes sense (RFC 2308 section 5).
const DAY: u32 = 86_400;

/// Serial and timers of an SOA record.
struct Timers {
    serial: u32,
    refresh: u32,
    retry: u32,
    expire: u32,
    minimum: u32,
}

impl Timers {
    fn of(soa: &Draft) -> Option<Self> {
        let octets = soa.record().rdata.last_chunk::<20>()?;
        let at = |index: usize| u32::from_be_bytes([0, 1, 2, 3].map(|octet| octets[index * 4 + octet]));
        Some(Self { serial: at(0), refresh: at(1), retry: at(2), expire: at(3), minimum: at(4) })
    }

    /// What makes no sense in them, with what would.
    fn faults(&self) -> Vec<(String, &'static str)> {
        let Self { serial, refresh, retry, expire, minimum } = *self;
        let mut faults = Vec::new();
        if serial == 0 {
            faults.push(("the serial is 0, which some secondaries take for none".to_owned(), "begin with 1"));
        }
        if u64::from(expire) < u64::from(refresh) + u64::from(retry) {
            let message =
                format!("expire ({expire} s) is less than refresh and retry together ({refresh} s, {retry} s)");
            faults.push((message, "a secondary gives the zone up before it has asked twice; use days or weeks"));
        }
        if retry > refresh {
            let message = format!("retry ({retry} s) is longer than refresh ({refresh} s)");
            faults.push((message, "retry is how soon a secondary asks again after it got no answer"));
        }
        if minimum > DAY {
            let message =
                format!("the minimum ({minimum} s) is over a day: so long is remembered that a name does not exist");
            faults.push((message, "it is the TTL of negative answers (RFC 2308); use minutes or hours"));
        }
        faults
    }
}

/// The SOA: one, at the apex, with numbers that make sense.
pub(super) fn soa(zone: &Zone<'_>, file: &File, broken: bool, remarks: &mut Vec<Finding>) {
    let mut all = zone.drafts.iter().filter(|draft| draft.rtype() == Rtype::SOA);
    let Some(first) = all.next() else {
        if !broken {
            let message = format!("the zone {} has no SOA record", zone.apex);
            remarks.push(Finding::error(Place::whole(file), message));
        }
        return;
    };
    for other in all {
        let message = match other.owner() == zone.apex {
            true => format!("a zone has one SOA record; another stands at {}", first.place()),
            false => format!("an SOA record stands only at the apex, which is {} ({})", zone.apex, first.place()),
        };
        remarks.push(other.error(message));
    }
    if first.names().get(1).is_some_and(|name| name.labels().next().is_some_and(|label| label.contains(&b'@'))) {
        let message = "the mail address in the SOA record has an @; write a dot in its place".to_owned();
        remarks.push(first.warning(message));
    }
    for (message, help) in Timers::of(first).map(|timers| timers.faults()).unwrap_or_default() {
        remarks.push(first.warning(message).with_help(help));
    }
}

/// The apex needs NS records.
pub(super) fn name_servers(zone: &Zone<'_>, file: &File, remarks: &mut Vec<Finding>) {
    if zone.at_apex(Rtype::NS).next().is_none() {
        let message = format!("the zone {} has no NS record at its apex", zone.apex);
        remarks.push(match zone.at_apex(Rtype::SOA).next() {
            Some(soa) => soa.error(message),
            None => Finding::error(Place::whole(file), message),
        });
    }
}

/// Records that belong only at the apex, and DS, which never does.
pub(super) fn apex_only(zone: &Zone<'_>, remarks: &mut Vec<Finding>) {
    for draft in zone.drafts {
        let at_apex = draft.owner() == zone.apex;
        match draft.rtype() {
            Rtype::DS if at_apex => {
                let message = "a DS record stands in the zone above, not at the apex".to_owned();
                remarks.push(draft.error(message));
            }
            rtype @ (DNSKEY | NSEC3PARAM | CDS | CDNSKEY | ZONEMD) if !at_apex => {
                let name = crate::zone::types::mnemonic(rtype);
                remarks.push(draft.warning(format!("{name} records mean something only at the apex, {}", zone.apex)));
            }
            _ => {}
        }
    }
}
