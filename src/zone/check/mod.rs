//! What a whole zone must and should be: what named-checkzone and kzonecheck find, and what they do not.
//!
//! ```text
//! records in the zone, one TTL per set (`settle`) --tidy--> without repetitions --index--> by owner
//!    apex        SOA, NS, timers                exclusive   CNAME, DNAME
//!    delegation  hidden data, glue, DS          targets     of NS, MX, SRV
//!    hosts       names of hosts, wildcards      size, text  large sets, SPF
//!    dnssec      keys, signatures, NSEC, NSEC3
//! family: zones beside each other, when all have been read
//! ```
//!
//! An error is what BIND refuses to load; everything else is a warning and the zone is used
//! (`docs/decisions/0016-errors-and-warnings.md`). One cause is told once. Runs on the records of all files of a zone.
//! When lines could not be read, nothing is said about what is missing, because it may stand in one of them. Every pass
//! is linear in the records, or sorts them once.

mod apex;
mod delegation;
mod dnssec;
mod draft;
mod exclusive;
mod family;
mod hosts;
mod index;
mod show;
mod size;
mod targets;
mod text;
mod tidy;

use super::parse::Draft;
use super::{File, StaticRecord};
use crate::model::{Finding, Name, Rtype};
use index::Zone;

pub(super) use family::family;
pub(super) use show::show;

/// What a check needs besides the files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checks {
    /// Seconds since 1970, to compare signatures with; without it their times are not looked at.
    pub now: Option<u32>,
    /// The largest TTL that is allowed; a larger one is an error.
    pub max_ttl: Option<u32>,
}

/// The zone as it is used, and what was found.
pub(super) struct Outcome {
    pub(super) apex: Name,
    pub(super) records: Vec<StaticRecord>,
    pub(super) remarks: Vec<Finding>,
}

/// Checks the records, which lie in the zone and have one TTL in each RRset, and drops those that are repeated.
pub(super) fn check(
    file: &File,
    mut drafts: Vec<Draft>,
    default_origin: &Name,
    broken: bool,
    checks: &Checks,
) -> Outcome {
    let mut remarks = Vec::new();
    let soa = drafts.iter().find(|draft| draft.rtype() == Rtype::SOA);
    let apex = soa.map_or_else(|| default_origin.clone(), |draft| draft.owner().clone());
    tidy::drop_repeated(&mut drafts, &mut remarks);
    let zone = Zone::new(&apex, &drafts);
    let owners = zone.owners();
    apex::soa(&zone, file, broken, &mut remarks);
    apex::apex_only(&zone, &mut remarks);
    hosts::forgotten_dots(&zone, &mut remarks);
    hosts::host_names(&zone, &mut remarks);
    hosts::wildcards(&zone, &owners, &mut remarks);
    exclusive::exclusive(&zone, &owners, &mut remarks);
    delegation::delegations(&zone, &owners, &mut remarks);
    targets::targets(&zone, broken, &mut remarks);
    size::sizes(&owners, &mut remarks);
    if !broken {
        apex::name_servers(&zone, file, &mut remarks);
        text::policies(&owners, &mut remarks);
        dnssec::dnssec(&zone, &owners, checks.now, &mut remarks);
    }
    drop(owners);
    Outcome { records: drafts.into_iter().map(|draft| draft.stated).collect(), apex, remarks }
}
