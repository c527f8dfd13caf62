//! Names: host name syntax where hosts are meant (RFC 952, RFC 1123), forgotten dots, asterisks in the wrong place.

use std::collections::HashSet;

use super::draft::DNSKEY;
use super::index::Zone;
use super::targets::written_address;
use crate::model::{Finding, Name, Rtype};
use crate::zone::parse::Draft;

/// AFSDB and RT name hosts, as MX does.
const HOST_TARGETS: [Rtype; 5] = [Rtype::NS, Rtype::MX, Rtype::SRV, Rtype(18), Rtype(21)];

/// Labels below which SPF macros expect address records (RFC 7208 appendix D.1).
const SPF_LABELS: [&[u8]; 3] = [b"_spf", b"_spf_rate", b"_spf_verify"];

/// The zone's name twice, as a forgotten final dot makes it; `None` for the root.
pub(super) fn doubled(apex: &Name) -> Option<Name> {
    let apex = apex.as_wire();
    let doubled = [&apex[..apex.len() - 1], apex].concat();
    Name::from_wire(&doubled).ok().filter(|_| apex.len() > 1)
}

/// Names that look as if a final dot had been forgotten, each once.
pub(super) fn forgotten_dots(zone: &Zone<'_>, remarks: &mut Vec<Finding>) {
    let Some(doubled) = doubled(zone.apex) else { return };
    let mut told: HashSet<Name> = HashSet::new();
    for draft in zone.drafts {
        let names = std::iter::once(draft.owner().clone()).chain(draft.names());
        for name in names.filter(|name| name.is_within(&doubled)) {
            if told.insert(name.clone()) {
                let message = format!("{name} has the name of the zone twice");
                remarks.push(draft.warning(message).with_help("end a complete name with a dot"));
            }
        }
    }
}

/// Owners and targets that should be host names and are not, each once.
pub(super) fn host_names(zone: &Zone<'_>, remarks: &mut Vec<Finding>) {
    let (mut owners, mut targets) = (HashSet::new(), HashSet::new());
    let in_reverse = is_reverse(zone.apex);
    for draft in zone.drafts {
        let (owner, rtype) = (draft.owner(), draft.rtype());
        let is_address = matches!(rtype, Rtype::A | Rtype::AAAA);
        if (is_address || rtype == Rtype::MX)
            && !is_host(owner, true)
            && !(is_address && is_exempt(owner))
            && owners.insert(owner)
        {
            let message = format!("{owner} has {rtype} records and is no host name");
            remarks.push(draft.warning(message).with_help("a host name has letters, digits and hyphens (RFC 1123)"));
        }
        let names_host = HOST_TARGETS.contains(&rtype) || (rtype == Rtype::PTR && in_reverse && !is_dns_sd(owner));
        let target = match rtype {
            Rtype::SOA => draft.names().into_iter().next(),
            _ => draft.target().filter(|_| names_host),
        };
        let target = target.filter(|name| *name != Name::root() && !is_host(name, false));
        let target = target.filter(|name| written_address(zone, name).is_none());
        if let Some(target) = target.filter(|target| targets.insert((rtype, target.clone()))) {
            remarks.push(draft.warning(format!("{rtype} target {target} is no host name")));
        }
    }
}

/// Asterisks that are no wildcard, and wildcards that cannot be used.
pub(super) fn wildcards(zone: &Zone<'_>, owners: &[(&Name, Vec<&Draft>)], remarks: &mut Vec<Finding>) {
    let mut told = HashSet::new();
    for (owner, all) in owners {
        let within = owner.parent().filter(|parent| parent.labels().any(|label| label == b"*"));
        let within = within.filter(|parent| parent.is_within(zone.apex) && parent != zone.apex);
        if within.is_some_and(|parent| told.insert(parent)) {
            let message = format!("{owner} has the label * inside, where it is no wildcard (RFC 4592 section 4.2)");
            remarks.push(all[0].warning(message));
        }
        let is_wildcard = owner.as_wire().starts_with(b"\x01*");
        for draft in all.iter().filter(|_| is_wildcard) {
            match draft.rtype() {
                Rtype::NS => {
                    let message = format!("a wildcard cannot be delegated, and {owner} has an NS record");
                    remarks.push(draft.error(message).with_help("RFC 4592 section 4.2 leaves it undefined"));
                }
                Rtype::DS | DNSKEY => {
                    remarks.push(
                        draft.warning(format!("{owner} is a wildcard and has a record of type {}", draft.rtype())),
                    );
                }
                _ => {}
            }
        }
    }
}

/// Letters, digits and inner hyphens in each label; the first may be an asterisk where wildcards may stand.
fn is_host(name: &Name, wildcard: bool) -> bool {
    let mut labels = name.labels().peekable();
    if wildcard && labels.peek() == Some(&&b"*"[..]) {
        labels.next();
    }
    labels.all(|label| {
        let ends = [label.first(), label.last()];
        let ends = ends.iter().all(|octet| octet.is_some_and(u8::is_ascii_alphanumeric));
        ends && label.iter().all(|octet| octet.is_ascii_alphanumeric() || *octet == b'-')
    })
}

/// Names of addresses that are no hosts by design: of Active Directory and of SPF macros.
fn is_exempt(owner: &Name) -> bool {
    let mut labels = owner.labels();
    let first = [labels.next(), labels.next()];
    let directory = first == [Some(&b"gc"[..]), Some(&b"_msdcs"[..])];
    directory || owner.labels().any(|label| SPF_LABELS.contains(&label))
}

/// PTR records there name hosts.
fn is_reverse(apex: &Name) -> bool {
    let mut labels: Vec<&[u8]> = apex.labels().collect();
    let top = labels.pop();
    top == Some(b"arpa") && matches!(labels.pop(), Some(b"in-addr" | b"ip6"))
}

/// PTR records of DNS-SD name services, also in reverse zones (RFC 6763 section 11).
fn is_dns_sd(owner: &Name) -> bool {
    owner.labels().any(|label| label.starts_with(b"_"))
}
