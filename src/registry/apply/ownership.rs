//! Who may write a service beside the token that owns it, and whose it is from now on.

use std::sync::Arc;

use super::super::Outcome;
use super::super::draft::Draft;
use super::Caller;
use super::token::find;
use super::validate::label;
use crate::model::label::LabelKind;
use crate::model::{Refusal, Service, Token, Transition, Word};
use crate::security::Want;
use crate::security::scope::check_service;

/// The most tokens that a service is granted to.
const MOST_GRANTS: usize = 64;

/// Lets another token write a service; its scope counts on.
pub(super) fn grant(draft: &mut Draft, caller: &Caller<'_>, service: &str, wanted: &str) -> Result<Outcome, Refusal> {
    let entry = governed(draft, caller, service)?;
    if entry.row.owned_by.is_none() {
        let detail = format!(
            "service {0} belongs to no token, so whoever may write it by its scope does, and the first one owns it; \
             transfer it first: zonebeat transfer {0} TOKEN",
            entry.name
        );
        return Err(Refusal::new(Word::NoOwner, detail));
    }
    let token = heir(draft, &entry, wanted)?;
    let may_already = token.scope.admin || entry.row.owned_by.as_ref() == Some(&token.id);
    if may_already || entry.row.grants.contains(&token.id) {
        return Ok(unchanged(draft));
    }
    if entry.row.grants.len() >= MOST_GRANTS {
        let detail = format!(
            "service {} is granted to {MOST_GRANTS} tokens already, which is the most; revoke one first",
            entry.name
        );
        return Err(Refusal::new(Word::BadValue, detail));
    }
    let id = token.id.clone();
    draft.step_service(&caller.by, Transition::Grant, &entry.name, |row| {
        row.grants.insert(id);
    });
    Ok(done(draft, &token))
}

/// Takes a grant back. What the token registered stays until its lease runs out.
pub(super) fn revoke(draft: &mut Draft, caller: &Caller<'_>, service: &str, wanted: &str) -> Result<Outcome, Refusal> {
    let entry = governed(draft, caller, service)?;
    let token = find(draft, wanted)?;
    if entry.row.owned_by.as_ref() == Some(&token.id) {
        let detail = format!(
            "service {0} belongs to token {1}, which needs no grant; transfer it: zonebeat transfer {0} TOKEN",
            entry.name, token.name
        );
        return Err(Refusal::new(Word::BadValue, detail));
    }
    if !entry.row.grants.contains(&token.id) {
        return Ok(unchanged(draft));
    }
    draft.step_service(&caller.by, Transition::Revoke, &entry.name, |row| {
        row.grants.remove(&token.id);
    });
    Ok(done(draft, &token))
}

/// Makes a service another token's. The one that owned it is granted it, so that nothing it beats for lapses.
pub(super) fn transfer(
    draft: &mut Draft,
    caller: &Caller<'_>,
    service: &str,
    wanted: &str,
) -> Result<Outcome, Refusal> {
    let entry = governed(draft, caller, service)?;
    let token = heir(draft, &entry, wanted)?;
    if entry.row.owned_by.as_ref() == Some(&token.id) {
        return Ok(unchanged(draft));
    }
    let id = token.id.clone();
    draft.step_service(&caller.by, Transition::Transfer, &entry.name, |row| {
        row.grants.remove(&id);
        if let Some(former) = row.owned_by.replace(id) {
            row.grants.insert(former);
        }
    });
    Ok(done(draft, &token))
}

/// The service, if the caller may decide who writes it.
fn governed(draft: &Draft, caller: &Caller<'_>, service: &str) -> Result<Arc<Service>, Refusal> {
    let name = label(LabelKind::Service, service)?;
    let entry = draft.state.service(&name).cloned().ok_or_else(|| {
        Refusal::new(Word::UnknownService, format!("no service {name}; declare it or register an instance"))
    })?;
    caller.may(draft, Want::Govern { service: &name, row: Some(&entry.row) })?;
    Ok(entry)
}

/// The token that is to write the service; one whose scope does not reach it could not.
fn heir(draft: &Draft, entry: &Service, wanted: &str) -> Result<Arc<Token>, Refusal> {
    let token = find(draft, wanted)?;
    if !token.scope.admin {
        check_service(&token.name, &token.scope, &entry.name)?;
    }
    Ok(token)
}

fn unchanged(draft: &Draft) -> Outcome {
    Outcome::Applied { revision: draft.state.snapshot.revision, changed: false }
}

fn done(draft: &mut Draft, token: &Token) -> Outcome {
    draft.name_token(&token.name);
    Outcome::Applied { revision: draft.state.snapshot.revision, changed: true }
}
