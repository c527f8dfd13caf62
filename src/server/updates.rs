//! UPDATE messages from the DNS side to the registry: the two edges do not know each other.
//!
//! DNS is served before the registry has started; until then updates are answered with SERVFAIL.

use std::sync::{Arc, OnceLock};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::answer::{Ede, Rcode};
use crate::registry::Registry;
use crate::update::Updater;
use crate::view::Published;
use crate::wire::{AnswerUpdates, Answered, SignedUpdate};

/// The handler of updates, once there is one.
#[derive(Clone, Default)]
pub(super) struct Updates(Arc<OnceLock<Updater>>);

impl Updates {
    /// From now on updates reach the registry.
    pub(super) fn start(&self, registry: Registry, published: Published) {
        let _ = self.0.set(Updater { registry, published }); // there is one registry
    }
}

impl std::fmt::Debug for Updates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Updates").field("started", &self.0.get().is_some()).finish()
    }
}

impl AnswerUpdates for Updates {
    fn answer(&self, update: SignedUpdate) -> BoxFuture<'static, Answered> {
        let Some(updater) = self.0.get().cloned() else {
            let extended = Some((Ede::NOT_READY, "the server is starting".to_owned()));
            return std::future::ready(Answered { rcode: Rcode::SERVFAIL, extended }).boxed();
        };
        let answer = async move {
            let SignedUpdate { message, key, client } = update;
            let answer = updater.answer(&message, &key, client).await;
            Answered { rcode: answer.rcode, extended: answer.extended }
        };
        answer.boxed()
    }
}
