//! What records point to: hosts with addresses, not aliases, not addresses written as names.
//!
//! Each target is told once for each type of record that names it: a thousand MX records that lead to one host which
//! does not exist have one cause.

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use super::hosts;
use super::index::{Target, Zone};
use crate::model::{Finding, Name, Rtype};
use crate::zone::parse::Draft;

/// Why a target is no good, as one text; `None` if nothing is wrong.
struct Fault {
    message: String,
    help: Option<&'static str>,
    /// Whether named refuses a zone whose own name servers are so.
    refused: bool,
}

/// Targets of NS, MX and SRV records should be hosts with addresses (RFC 2181 section 10.3, RFC 2782).
pub(super) fn targets(zone: &Zone<'_>, broken: bool, remarks: &mut Vec<Finding>) {
    let mut told: HashSet<(Rtype, bool, Name)> = HashSet::new();
    let doubled = hosts::doubled(zone.apex);
    for draft in zone.drafts.iter().filter(|draft| matches!(draft.rtype(), Rtype::NS | Rtype::MX | Rtype::SRV)) {
        let Some(target) = draft.target().filter(|name| *name != Name::root()) else { continue };
        let at_apex = draft.rtype() == Rtype::NS && draft.owner() == zone.apex;
        let needs_glue = draft.rtype() == Rtype::NS && zone.cut(target.as_wire(), true).is_some();
        if told.contains(&(draft.rtype(), at_apex, target.clone())) {
            continue;
        }
        let fault = address(zone, draft.rtype(), &target).or_else(|| {
            let forgotten = doubled.as_ref().is_some_and(|doubled| target.is_within(doubled));
            let missing = reach(zone, draft, &target, needs_glue).filter(|_| !broken)?;
            (!forgotten || (at_apex && missing.refused)).then_some(missing)
        });
        let Some(Fault { message, help, refused }) = fault else { continue };
        let finding = if at_apex && refused { draft.error(message) } else { draft.warning(message) };
        remarks.push(match help {
            Some(help) => finding.with_help(help),
            None => finding,
        });
        told.insert((draft.rtype(), at_apex, target));
    }
    null_mx(zone, remarks);
}

/// Whether the target can be reached by what this zone says.
fn reach(zone: &Zone<'_>, draft: &Draft, target: &Name, needs_glue: bool) -> Option<Fault> {
    let rtype = draft.rtype();
    let (message, refused) = match zone.target(target) {
        Target::Alias => (format!("{rtype} target {target} is an alias; it should be a host with addresses"), true),
        Target::Nothing => (format!("{rtype} target {target} has no A or AAAA record"), true),
        Target::Delegated if needs_glue => {
            (format!("{rtype} target {target} has no glue: no A or AAAA record in this zone"), false)
        }
        Target::Delegated | Target::Elsewhere | Target::Addresses => return None,
    };
    Some(Fault { message, help: None, refused })
}

/// A target such as `192.0.2.1`, which is a name and not an address.
fn address(zone: &Zone<'_>, rtype: Rtype, target: &Name) -> Option<Fault> {
    let written = written_address(zone, target)?;
    Some(Fault {
        message: format!("{rtype} target \"{written}\" is an address; it is read as the name {target}"),
        help: Some("give the host a name with an A or AAAA record, and name it here"),
        refused: matches!(zone.target(target), Target::Nothing | Target::Alias),
    })
}

/// The address that somebody wrote where a name belongs: as written, without the zone's name.
pub(super) fn written_address(zone: &Zone<'_>, target: &Name) -> Option<String> {
    let (text, apex) = (target.to_string(), zone.apex.to_string());
    let relative = text.strip_suffix(&apex).filter(|_| target.is_within(zone.apex) && apex != ".").unwrap_or(&text);
    let written = relative.trim_end_matches('.');
    let is_address = written.parse::<Ipv4Addr>().is_ok() || written.parse::<Ipv6Addr>().is_ok();
    is_address.then(|| written.to_owned())
}

/// `MX 0 .` says that there is no mail here, and so stands alone (RFC 7505 section 3).
fn null_mx(zone: &Zone<'_>, remarks: &mut Vec<Finding>) {
    let mut exchanges: HashMap<&Name, (Option<&Draft>, usize)> = HashMap::new();
    for draft in zone.drafts.iter().filter(|draft| draft.rtype() == Rtype::MX) {
        let (null, count) = exchanges.entry(draft.owner()).or_default();
        *count += 1;
        if draft.record().rdata.get(2..) == Some(&[0]) {
            *null = Some(draft);
        }
    }
    for (owner, (null, count)) in exchanges {
        if let Some(null) = null.filter(|_| count > 1) {
            remarks.push(
                null.warning(format!("{owner} says with this record that it takes no mail, and has other MX records")),
            );
        }
    }
}
