//! Tokens: create and revoke.

use std::sync::Arc;

use super::super::Outcome;
use super::super::draft::Draft;
use super::super::store::Write;
use super::Caller;
use super::validate::label;
use crate::model::label::LabelKind;
use crate::model::service::ServiceRow;
use crate::model::{Item, Refusal, Scope, Token, Transition, Word};
use crate::security::check_token_name;

const MOST_LIMITS: usize = 64;
/// Names that a token leaves of which history tells one by one: of a token for everything it would tell nothing else.
const MOST_TOLD: usize = 1000;

/// Stores a token whose secret the caller has made.
pub(super) fn create(draft: &mut Draft, caller: &Caller<'_>, token: &Token) -> Result<Outcome, Refusal> {
    check_token_name(&token.name)?;
    let tokens = &draft.state.snapshot.tokens;
    if tokens.values().any(|known| known.name == token.name || *known.id == *token.name) {
        return Err(bad(format!("there is a token {} already; choose another name or revoke that one", token.name)));
    }
    if tokens.contains_key(&token.id) {
        return Err(bad(format!("there is a token with the id {} already; create it again", token.id)));
    }
    let token = Arc::new(Token { scope: parse_scope(&token.scope)?, ..token.clone() });
    draft.state.snapshot.tokens.insert_mut(token.id.clone(), token.clone());
    draft.writes.push(Write::Token(token.clone()));
    draft.record(&caller.by, Transition::TokenCreate, subject(&token), None, None, Some(item(&token)));
    Ok(Outcome::Applied { revision: draft.state.snapshot.revision, changed: true })
}

/// Forgets a token; names it owned are free again, and what was granted to it is granted no more.
pub(super) fn revoke(draft: &mut Draft, caller: &Caller<'_>, wanted: &str) -> Result<Outcome, Refusal> {
    let token = find(draft, wanted)?;
    let tokens = &draft.state.snapshot.tokens;
    let other_admin = tokens.values().any(|other| other.scope.admin && other.id != token.id);
    if token.scope.admin && !other_admin && tokens.size() > 1 {
        let detail = format!(
            "{} is the last admin token: without it nobody could create or revoke tokens; create another admin token \
             first, or revoke the other tokens before it",
            token.name
        );
        return Err(Refusal::new(Word::InUse, detail));
    }
    draft.state.snapshot.tokens.remove_mut(&token.id);
    draft.writes.push(Write::RemoveToken(token.id.clone()));
    free_names(draft, caller, &token);
    draft.record(&caller.by, Transition::TokenRevoke, subject(&token), None, Some(item(&token)), None);
    Ok(Outcome::Applied { revision: draft.state.snapshot.revision, changed: true })
}

/// The token of that id or name.
pub(super) fn find(draft: &Draft, wanted: &str) -> Result<Arc<Token>, Refusal> {
    let tokens = &draft.state.snapshot.tokens;
    let by_name = || tokens.values().find(|token| token.name == wanted);
    tokens.get(wanted).or_else(by_name).cloned().ok_or_else(|| {
        let detail = format!("no token has the id or name \"{}\"", wanted.escape_debug());
        Refusal::new(Word::UnknownToken, detail)
    })
}

/// Looks at every service; revoking is rare. History tells it of each name, as far as they are not too many: a reader
/// of the history of one must see that its owner went.
fn free_names(draft: &mut Draft, caller: &Caller<'_>, token: &Token) {
    let concerned = |row: &ServiceRow| row.owned_by.as_ref() == Some(&token.id) || row.grants.contains(&token.id);
    let services = draft.state.snapshot.services.values().filter(|service| concerned(&service.row));
    let names: Vec<Arc<str>> = services.map(|service| service.name.clone()).collect();
    let by = caller.by.because(format!("token {} was revoked", token.name));
    let (told, untold) = names.split_at(names.len().min(MOST_TOLD));
    for name in told {
        draft.step_service(&by, Transition::Revoke, name, |row| free(row, token));
        draft.name_token(&token.name);
    }
    let revision = draft.next();
    for name in untold {
        let is_left = draft.state.change_service(name, |service| {
            free(&mut service.row, token);
            service.row.revision = revision;
        });
        draft.write_service(name, is_left, true);
    }
}

fn free(row: &mut ServiceRow, token: &Token) {
    if row.owned_by.as_ref() == Some(&token.id) {
        row.owned_by = None;
        row.grants = Default::default();
    } else {
        row.grants.remove(&token.id);
    }
}

fn subject(token: &Token) -> Arc<str> {
    token.name.as_str().into()
}

fn item(token: &Token) -> Item {
    Item::Token { id: token.id.clone(), name: token.name.clone(), scope: token.scope.clone() }
}

/// Checks a scope and folds its labels.
fn parse_scope(scope: &Scope) -> Result<Scope, Refusal> {
    let Scope { services, sites, addresses, admin } = scope;
    let longest = services.len().max(sites.len()).max(addresses.len());
    if longest > MOST_LIMITS {
        return Err(bad(format!("a list of the scope has {longest} entries; at most {MOST_LIMITS} are allowed")));
    }
    let services = services.iter().map(|pattern| parse_pattern(pattern)).collect::<Result<_, _>>()?;
    let sites = sites.iter().map(|site| label(LabelKind::Site, site)).collect::<Result<_, _>>()?;
    Ok(Scope { services, sites, addresses: addresses.clone(), admin: *admin })
}

fn parse_pattern(pattern: &str) -> Result<String, Refusal> {
    let right = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'*';
    if (1..=LabelKind::Service.limit()).contains(&pattern.len()) && pattern.bytes().all(right) {
        return Ok(pattern.to_ascii_lowercase());
    }
    let detail = format!(
        "service pattern \"{}\" of the scope is not 1 to {} letters, digits, hyphens and \"*\"",
        pattern.escape_debug(),
        LabelKind::Service.limit()
    );
    Err(bad(detail))
}

fn bad(detail: String) -> Refusal {
    Refusal::new(Word::BadValue, detail)
}
