//! May this principal do this?
//!
//! While no token exists, a caller on this machine may do everything, and its first token must be an admin one. From
//! then on every write needs a token. An admin token may do everything. Another token may write what its scope covers
//! and no other token owns.

use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use super::scope::{check_place, check_service, forbidden};
use crate::model::service::ServiceRow;
use crate::model::{Instance, Principal, Refusal, Scope, Token, Word};

pub use crate::model::service::OWN_SERVICE;

/// Tokens by id, as a snapshot of the registry has them.
pub type Tokens = RedBlackTreeMapSync<Arc<str>, Arc<Token>>;

/// What a principal wants to do.
#[derive(Debug, Clone, Copy)]
pub enum Want<'a> {
    /// Write something that belongs to nobody in particular, such as a beat: any valid writer may.
    Write,
    /// Write a service or its declaration.
    Service {
        /// Its label.
        service: &'a str,
        /// Its row, if it has one: who owns it and who was granted it.
        row: Option<&'a ServiceRow>,
    },
    /// Decide who may write a service: grant, revoke, transfer, give it up.
    Govern {
        /// Its label.
        service: &'a str,
        /// Its row, if it has one.
        row: Option<&'a ServiceRow>,
    },
    /// Write an instance, as it is or as it would be.
    Instance {
        /// Its service.
        service: &'a str,
        /// The row of the service, if it has one.
        row: Option<&'a ServiceRow>,
        /// The instance.
        instance: &'a Instance,
    },
    /// Create a token with this scope.
    CreateToken(&'a Scope),
    /// Change static records with an UPDATE message.
    Update,
    /// Revoke tokens, reload zone files.
    Administer,
}

impl Want<'_> {
    fn is_about_ourselves(&self) -> bool {
        match self {
            Self::Service { service, .. } | Self::Govern { service, .. } | Self::Instance { service, .. } => {
                *service == OWN_SERVICE
            }
            Self::Write | Self::CreateToken(_) | Self::Update | Self::Administer => false,
        }
    }
}

/// Decides; a refusal says what would be accepted.
pub fn authorize(tokens: &Tokens, principal: &Principal, want: Want<'_>) -> Result<(), Refusal> {
    let token = match principal {
        Principal::Server => return Ok(()),
        Principal::Key { name, .. } => return key(name, want),
        Principal::Anonymous(peer) => return anonymous(tokens, peer.ip().to_canonical().is_loopback(), want),
        Principal::Token { token, .. } => tokens.get(&token.id).ok_or_else(|| revoked(token))?,
    };
    if matches!(want, Want::Update) {
        return Err(forbidden("a token does not sign UPDATE messages; use a TSIG key that may update the zone".into()));
    }
    if token.scope.admin {
        return Ok(());
    }
    match want {
        _ if want.is_about_ourselves() => Err(ourselves()),
        Want::Write => Ok(()),
        Want::Service { service, row } => may_write(tokens, token, service, row),
        Want::Govern { service, row } => may_govern(tokens, token, service, row),
        Want::Instance { service, row, instance } => {
            may_write(tokens, token, service, row)?;
            check_place(&token.name, &token.scope, instance.site.as_deref(), &instance.endpoint)
        }
        Want::CreateToken(_) | Want::Update | Want::Administer => {
            Err(forbidden(format!("token {} may not administer; use a token whose scope has admin", token.name)))
        }
    }
}

/// A key updates the zones that the configuration gives it, which was looked up with its secret, and nothing else.
fn key(name: &str, want: Want<'_>) -> Result<(), Refusal> {
    match want {
        Want::Update => Ok(()),
        _ => Err(forbidden(format!("TSIG key {name} may update zones and nothing else; use a token"))),
    }
}

fn anonymous(tokens: &Tokens, loopback: bool, want: Want<'_>) -> Result<(), Refusal> {
    let refuse = |detail: &str| Err(Refusal::new(Word::Unauthorized, detail));
    if matches!(want, Want::Update) {
        return refuse("an UPDATE message needs the signature of a TSIG key that may update the zone");
    }
    if !tokens.is_empty() {
        return refuse("this call needs a token; send it as \"Authorization: Bearer zb_...\"");
    }
    if !loopback {
        return refuse(
            "without a token only callers on the server's own machine may write; create one there with \
             \"zonebeat token create\" and send it as \"Authorization: Bearer zb_...\"",
        );
    }
    match want {
        Want::CreateToken(scope) if !scope.admin => Err(Refusal::new(
            Word::BadValue,
            "the first token must be an admin token (scope.admin true): from then on every write needs a token, and \
             with only a scoped one nobody could create or revoke tokens any more",
        )),
        _ if want.is_about_ourselves() => Err(ourselves()),
        _ => Ok(()),
    }
}

fn may_write(tokens: &Tokens, token: &Token, service: &str, row: Option<&ServiceRow>) -> Result<(), Refusal> {
    check_service(&token.name, &token.scope, service)?;
    match row.and_then(|row| row.owned_by.as_deref()) {
        Some(owner) if *owner != *token.id && !row.is_some_and(|row| row.grants.contains(&token.id)) => {
            let owner = tokens.get(owner).map_or(owner, |owner| &owner.name);
            let detail = format!(
                "service {service} belongs to token {owner}; use that token or an admin token, or have it granted: \
                 zonebeat grant {service} {}",
                token.name
            );
            Err(Refusal::new(Word::NameOwned, detail))
        }
        _ => Ok(()),
    }
}

/// Who was granted a service writes it, and decides nothing about it.
fn may_govern(tokens: &Tokens, token: &Token, service: &str, row: Option<&ServiceRow>) -> Result<(), Refusal> {
    match row.and_then(|row| row.owned_by.as_deref()) {
        Some(owner) if *owner == *token.id => Ok(()),
        Some(owner) => {
            let owner = tokens.get(owner).map_or(owner, |owner| &owner.name);
            let detail = format!(
                "service {service} belongs to token {owner}, which alone grants, revokes, transfers and gives it up; use \
                 that token or an admin token"
            );
            Err(Refusal::new(Word::NameOwned, detail))
        }
        None => {
            let detail = format!(
                "service {service} belongs to no token; register or declare it with token {} and it belongs to it, or \
                 have an admin token transfer it",
                token.name
            );
            Err(Refusal::new(Word::NoOwner, detail))
        }
    }
}

fn ourselves() -> Refusal {
    let detail = format!("service {OWN_SERVICE} is where servers register themselves; choose another label");
    Refusal::new(Word::ReservedName, detail)
}

fn revoked(token: &Token) -> Refusal {
    Refusal::new(Word::Unauthorized, format!("token {} has been revoked; use another one", token.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn token(id: &str, scope: Scope) -> Arc<Token> {
        let name = format!("squad-{id}");
        Arc::new(Token { id: id.into(), name, hash: String::new(), scope, created: Timestamp(0) })
    }

    fn known(tokens: &[&Arc<Token>]) -> Tokens {
        tokens.iter().map(|&token| (token.id.clone(), token.clone())).collect()
    }

    fn with(token: &Arc<Token>) -> Principal {
        Principal::Token { token: token.clone(), peer: "192.0.2.1:4000".parse().expect("address") }
    }

    fn word(result: Result<(), Refusal>) -> Option<Word> {
        result.err().map(|refusal| refusal.word)
    }

    const SEARCH: Want<'static> = Want::Service { service: "search", row: None };

    #[test]
    fn without_tokens_only_this_machine_writes() {
        let none = Tokens::new_sync();
        for peer in ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            let caller = Principal::Anonymous(peer.parse().expect("address"));
            assert_eq!(word(authorize(&none, &caller, SEARCH)), None, "{peer}");
            assert_eq!(word(authorize(&none, &caller, Want::CreateToken(&Scope::default()))), Some(Word::BadValue));
            let admin = Scope { admin: true, ..Scope::default() };
            assert_eq!(word(authorize(&none, &caller, Want::CreateToken(&admin))), None);
        }
        let stranger = Principal::Anonymous("192.0.2.7:1".parse().expect("address"));
        assert_eq!(word(authorize(&none, &stranger, SEARCH)), Some(Word::Unauthorized));
    }

    #[test]
    fn with_a_token_nobody_writes_without_one() {
        let admin = token("a", Scope { admin: true, ..Scope::default() });
        let tokens = known(&[&admin]);
        let caller = Principal::Anonymous("127.0.0.1:1".parse().expect("address"));
        assert_eq!(word(authorize(&tokens, &caller, SEARCH)), Some(Word::Unauthorized));
        assert_eq!(word(authorize(&tokens, &with(&admin), Want::Administer)), None);
        assert_eq!(word(authorize(&Tokens::new_sync(), &with(&admin), SEARCH)), Some(Word::Unauthorized));
    }

    #[test]
    fn a_name_of_another_token_is_refused_by_the_owners_name() {
        let (first, second) = (token("1", Scope::default()), token("2", Scope::default()));
        let tokens = known(&[&first, &second]);
        let row = ServiceRow { owned_by: Some("1".into()), ..ServiceRow::default() };
        let owned = Want::Service { service: "search", row: Some(&row) };
        assert_eq!(word(authorize(&tokens, &with(&first), owned)), None);
        let refusal = authorize(&tokens, &with(&second), owned).expect_err("owned");
        assert_eq!(refusal.word, Word::NameOwned);
        assert!(refusal.detail.contains("squad-1"), "{}", refusal.detail);
        assert_eq!(word(authorize(&tokens, &with(&second), Want::Administer)), Some(Word::Forbidden));
    }

    #[test]
    fn a_grant_is_for_writing_and_not_for_deciding() {
        let (first, second) = (token("1", Scope::default()), token("2", Scope::default()));
        let narrow = token("3", Scope { services: vec!["web".into()], ..Scope::default() });
        let tokens = known(&[&first, &second, &narrow]);
        let grants = ["2".into(), "3".into()].into_iter().collect();
        let row = ServiceRow { owned_by: Some("1".into()), grants, ..ServiceRow::default() };
        let (write, govern) =
            (Want::Service { service: "search", row: Some(&row) }, Want::Govern { service: "search", row: Some(&row) });
        assert_eq!(word(authorize(&tokens, &with(&second), write)), None);
        assert_eq!(word(authorize(&tokens, &with(&second), govern)), Some(Word::NameOwned));
        assert_eq!(word(authorize(&tokens, &with(&first), govern)), None);
        assert_eq!(word(authorize(&tokens, &with(&narrow), write)), Some(Word::Forbidden), "its scope counts on");
        let free = Want::Govern { service: "search", row: None };
        assert_eq!(word(authorize(&tokens, &with(&first), free)), Some(Word::NoOwner));
    }
}
