//! An explanation of a name as a stream of one message.

use std::sync::Arc;

use super::{Made, MakeMessages};
use crate::answer::explain::asked;
use crate::metrics::dns::Block;
use crate::view::View;
use crate::wire::decode::{Decoded, Origin};
use crate::wire::explain::Explainer;
use crate::wire::respond::MAX_TCP;
use crate::wire::rules::Rules;
use crate::wire::tsig::{Signer, now};

/// The explanation that one query asks for.
pub(super) struct Explanation {
    pub(super) view: Arc<View>,
    pub(super) rules: Arc<Rules>,
    pub(super) explainer: Explainer,
    pub(super) block: Arc<Block>,
    pub(super) origin: Origin,
    /// The query; none once it has been answered.
    pub(super) message: Option<Box<[u8]>>,
    /// Signs the explanation, if the query was signed.
    pub(super) signer: Option<Signer>,
}

impl Explanation {
    fn write(&mut self, query: &[u8], out: &mut Vec<u8>) -> Made {
        let (Decoded::Query(query), _) = self.rules.decode(query, self.origin) else { return Made::Broken };
        let Some(name) = asked(&self.view, &query) else { return Made::Broken };
        out.resize(MAX_TCP - self.signer.as_ref().map_or(0, Signer::length), 0);
        let (length, rcode) = self.explainer.respond(&self.view, &query, &name, out);
        out.truncate(length);
        if let Some(signer) = &mut self.signer {
            signer.sign_message(out, now());
        }
        self.block.answered(rcode.0, query.rtype.0);
        Made::Message
    }
}

impl MakeMessages for Explanation {
    fn next_message(&mut self, message: &mut Vec<u8>) -> Made {
        let Some(query) = self.message.take() else { return Made::End };
        self.write(&query, message)
    }
}

impl Drop for Explanation {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.block.panicked();
        }
    }
}
