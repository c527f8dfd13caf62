//! Declarations: what the owner of a service says about it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::Outcome;
use super::super::draft::Draft;
use super::super::names::check_service_names;
use super::Caller;
use super::place::{check_service_label, check_site_label};
use super::validate::label;
use crate::model::api::Amendment;
use crate::model::label::LabelKind;
use crate::model::{Declaration, Refusal, Transition, Word};
use crate::security::Want;

const LONGEST_TEXT: usize = 200;
const MOST_DEPENDENCIES: usize = 64;
/// What becomes a string of a TXT record with `deps=` before it.
const LONGEST_DEPENDENCIES: usize = 250;
const MOST_TIERS: usize = 16;
const MOST_SITES: usize = 64;
/// The least important a service can be.
const LAST_TIER: u32 = 9;
const LONGEST_TTL: u32 = 86_400;
const LONGEST_HOLD: u32 = 86_400;
/// More records than a message holds; above it no limit would ever be felt.
const MOST_ANSWERS: u32 = 65_535;

/// Changes some of what was said about a service; leaves the rest as it is.
pub(super) fn amend(
    draft: &mut Draft,
    caller: &Caller<'_>,
    service: &str,
    amendment: &Amendment,
) -> Result<Outcome, Refusal> {
    let name = label(LabelKind::Service, service)?;
    let declared = draft.state.service(&name).and_then(|entry| entry.row.declaration.as_deref());
    let declaration = amendment.amend(declared.cloned().unwrap_or_default());
    declare(draft, caller, &name, &declaration)
}

/// Says something about a service, which need not have instances.
pub(super) fn declare(
    draft: &mut Draft,
    caller: &Caller<'_>,
    service: &str,
    declaration: &Declaration,
) -> Result<Outcome, Refusal> {
    let service: Arc<str> = label(LabelKind::Service, service)?.into();
    let entry = draft.state.service(&service).cloned();
    let owned_by = entry.as_ref().and_then(|entry| entry.row.owned_by.as_deref());
    caller.may(draft, Want::Service { service: &service, row: entry.as_ref().map(|entry| &entry.row) })?;
    let declaration = parse(draft, &service, declaration)?;
    check_service_label(draft, &service)?;
    check_service_names(draft.options(), draft.taken(), &service)?;
    let claim = caller.claim().filter(|_| owned_by.is_none()).cloned();
    let declared = entry.as_ref().and_then(|entry| entry.row.declaration.as_deref());
    if declared == Some(&declaration) && claim.is_none() {
        return Ok(Outcome::Applied { revision: draft.state.snapshot.revision, changed: false });
    }
    draft.step_service(&caller.by, Transition::Declare, &service, |row| {
        row.declaration = Some(declaration.into());
        row.owned_by = row.owned_by.take().or(claim);
    });
    Ok(Outcome::Applied { revision: draft.state.snapshot.revision, changed: true })
}

/// Takes a declaration back and gives the name up.
pub(super) fn undeclare(draft: &mut Draft, caller: &Caller<'_>, service: &str) -> Result<Outcome, Refusal> {
    let name = label(LabelKind::Service, service)?;
    let unknown =
        || Refusal::new(Word::UnknownService, format!("no service {name}; declare it or register an instance"));
    let entry = draft.state.service(&name).cloned().ok_or_else(unknown)?;
    let (service, row) = (name.as_str(), Some(&entry.row));
    caller.may(draft, Want::Service { service, row })?;
    if entry.row.owned_by.is_some() {
        caller.may(draft, Want::Govern { service, row })?;
    }
    if !entry.instances.is_empty() {
        let detail = format!("service {name} still has {} instances; deregister them first", entry.instances.len());
        return Err(Refusal::new(Word::InUse, detail));
    }
    let changed = entry.row.declaration.is_some() || entry.row.owned_by.is_some();
    if changed {
        draft.step_service(&caller.by, Transition::Undeclare, &entry.name, |row| {
            row.declaration = None;
            row.owned_by = None;
            row.grants = Default::default();
        });
    }
    Ok(Outcome::Applied { revision: draft.state.snapshot.revision, changed })
}

/// Checks a declaration and folds its labels.
fn parse(draft: &Draft, service: &str, declaration: &Declaration) -> Result<Declaration, Refusal> {
    let Declaration { proto, owner, contact, runbook, dependencies, tier, min, hold, ttl, tiers, answer_limit } =
        declaration;
    let proto = proto.as_deref().map(|proto| label(LabelKind::Proto, proto)).transpose()?;
    for (field, text) in [("owner", owner), ("contact", contact), ("runbook", runbook)] {
        text.as_deref().map_or(Ok(()), |text| check_text(field, text))?;
    }
    at_most("dependencies", dependencies.len(), MOST_DEPENDENCIES)?;
    let dependencies: BTreeSet<String> =
        dependencies.iter().map(|needed| label(LabelKind::Service, needed)).collect::<Result<_, _>>()?;
    let length = dependencies.iter().map(|needed| needed.len() + 1).sum::<usize>().saturating_sub(1);
    if length > LONGEST_DEPENDENCIES {
        return Err(bad(format!(
            "dependencies have {length} octets with the commas between them; at most {LONGEST_DEPENDENCIES} fit into a \
             TXT record, so name only the direct ones"
        )));
    }
    if let Some(tier) = tier.filter(|tier| *tier > LAST_TIER) {
        return Err(bad(format!(
            "tier {tier} is out of range; use 0 (the most important) to {LAST_TIER}; sites in order of preference are \
             \"tiers\""
        )));
    }
    if let Some(ttl) = ttl.filter(|ttl| *ttl > LONGEST_TTL) {
        return Err(bad(format!("ttl {ttl} is longer than {LONGEST_TTL} seconds, a day; use 0 to {LONGEST_TTL}")));
    }
    if let Some(hold) = hold.filter(|hold| *hold > LONGEST_HOLD) {
        return Err(bad(format!("hold {hold} is longer than {LONGEST_HOLD} seconds, a day; use 0 to {LONGEST_HOLD}")));
    }
    if let Some(limit) = answer_limit.filter(|limit| !(1..=MOST_ANSWERS).contains(limit)) {
        let help = format!("use 1 to {MOST_ANSWERS}, or leave it out to answer with all instances");
        return Err(bad(format!("answer_limit {limit} is out of range; {help}")));
    }
    let (owner, contact, runbook) = (owner.clone(), contact.clone(), runbook.clone());
    let dependencies = dependencies.into_iter().collect();
    let tiers = parse_tiers(draft, service, tiers)?;
    Ok(Declaration {
        proto,
        owner,
        contact,
        runbook,
        dependencies,
        tier: *tier,
        min: *min,
        hold: *hold,
        ttl: *ttl,
        tiers,
        answer_limit: *answer_limit,
    })
}

fn parse_tiers(draft: &Draft, service: &str, tiers: &[Vec<String>]) -> Result<Vec<Vec<String>>, Refusal> {
    at_most("tiers", tiers.len(), MOST_TIERS)?;
    at_most("tiers with their sites", tiers.iter().map(Vec::len).sum(), MOST_SITES)?;
    let mut seen = BTreeSet::new();
    let mut parsed = Vec::with_capacity(tiers.len());
    for tier in tiers {
        let sites = tier.iter().map(|site| label(LabelKind::Site, site)).collect::<Result<Vec<_>, _>>()?;
        if sites.is_empty() {
            return Err(bad("a tier has no site; leave it out".into()));
        }
        for site in &sites {
            check_site_label(draft, site)?;
            if *site == *service {
                return Err(Refusal::new(Word::SiteLabel, format!("tier site \"{site}\" is the service itself")));
            }
            if !seen.insert(site.clone()) {
                return Err(bad(format!("site \"{site}\" stands in the tiers twice; name it once")));
            }
        }
        parsed.push(sites);
    }
    Ok(parsed)
}

/// These texts become strings of a TXT record.
fn check_text(field: &str, text: &str) -> Result<(), Refusal> {
    if text.is_empty() || text.len() > LONGEST_TEXT {
        return Err(bad(format!("{field} has {} octets; use 1 to {LONGEST_TEXT}, or leave it out", text.len())));
    }
    match text.chars().find(|c| c.is_control()) {
        Some(control) => {
            Err(bad(format!("{field} has the control character \"{}\"; leave it out", control.escape_debug())))
        }
        None => Ok(()),
    }
}

fn at_most(what: &str, count: usize, most: usize) -> Result<(), Refusal> {
    if count <= most { Ok(()) } else { Err(bad(format!("{what}: {count} entries; at most {most} are allowed"))) }
}

fn bad(detail: String) -> Refusal {
    Refusal::new(Word::BadValue, detail)
}
