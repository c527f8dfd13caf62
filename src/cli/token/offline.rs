//! A token made in the data directory of a stopped server: the way back in when every admin token is lost.
//!
//! Whoever may write the directory may do anything to the server's data already, so this opens no door. The store is
//! locked by a running server, so the two cannot meet.

use std::path::Path;
use std::sync::Arc;

use crate::cli::Failure;
use crate::model::api::TokenCreated;
use crate::model::clock::SystemClock;
use crate::model::{Change, Clock, Item, Scope, Token, Transition};
use crate::registry::store::embedded::{EmbeddedStore, FILE};
use crate::registry::store::{Batch, Loaded, Store, Write};
use crate::security::{check_token_name, create_token};

/// Creates the token and commits it, with its entry in history.
pub(super) fn create(data_dir: &Path, name: &str, scope: Scope) -> Result<TokenCreated, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
    check_token_name(name).map_err(|refusal| Failure::Usage(refusal.detail))?;
    if !data_dir.join(FILE).is_file() {
        let dir = data_dir.display();
        return Err(Failure::Failed(format!("{dir} has no {FILE}; name the data directory of a stopped server")));
    }
    let store = EmbeddedStore::open(data_dir).map_err(|error| failed(&error))?;
    let loaded = store.load().map_err(|error| failed(&error))?;
    if loaded.tokens.iter().any(|known| known.name == name) {
        return Err(Failure::Failed(format!("there is a token {name} already; choose another name")));
    }
    let (token, secret) = create_token(name, scope, SystemClock::new().wall()).map_err(|error| failed(&error))?;
    store.commit(&batch(&loaded, &token)).map_err(|error| failed(&error))?;
    Ok(TokenCreated { id: token.id.to_string(), name: token.name, scope: token.scope, secret })
}

fn batch(loaded: &Loaded, token: &Token) -> Batch {
    let (id, scope) = (Arc::clone(&token.id), token.scope.clone());
    let change = Change {
        revision: loaded.revision.next(),
        time: token.created,
        author: "operator".into(),
        source: "data directory".into(),
        reason: "created while the server was stopped".into(),
        transition: Transition::TokenCreate,
        subject: token.name.as_str().into(),
        instance: None,
        token: None,
        before: None,
        after: Some(Item::Token { id, name: token.name.clone(), scope }),
    };
    Batch { expected: loaded.revision, writes: vec![Write::Token(Arc::new(token.clone()))], changes: vec![change] }
}
