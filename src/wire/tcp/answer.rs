//! Answers the messages of all TCP connections.

use std::sync::Arc;
use std::time::Instant;

use ipnet::IpNet;

use super::explanation::Explanation;
use super::transfer::{Unsendable, ZoneStream};
use super::{Action, Respond};
use crate::answer::access::may_ask;
use crate::answer::explain::asked;
use crate::answer::{Ede, Query, Rcode};
use crate::metrics::dns::{DnsCounters, TransferOutcome};
use crate::model::Rtype;
use crate::view::{Published, View, Zone};
use crate::wire::count::{Blocks, count_cookie, count_drop, count_reply};
use crate::wire::decode::{Decoded, ErrorReply, Origin};
use crate::wire::explain::Explainer;
use crate::wire::respond::respond;
use crate::wire::rotation::Rotation;
use crate::wire::rules::Rules;

/// What TCP needs to answer.
pub(in crate::wire) struct Answerer {
    /// The data.
    pub published: Published,
    /// What every response keeps.
    pub rules: Arc<Rules>,
    /// Who may transfer zones.
    pub transfer_from: Vec<IpNet>,
    /// The counters of transfers.
    pub counters: Arc<DnsCounters>,
    /// The counters of answers.
    pub blocks: Blocks,
    /// The record for which a transfer failed last.
    pub unsendable: Unsendable,
    /// Who explains names.
    pub explainer: Explainer,
    /// Where the sets of the next answer start.
    pub rotation: Arc<Rotation>,
}

impl Respond for Answerer {
    #[allow(clippy::disallowed_methods)] // because latency is measured, not decided on
    fn respond(&self, message: &[u8], origin: Origin, out: &mut [u8]) -> Action {
        let started = Instant::now();
        let (mut decoded, cookie) = self.rules.decode(message, origin);
        count_cookie(self.blocks.of(origin.transport), cookie);
        let view = self.published.load();
        if let Decoded::Query(query) = &mut decoded {
            self.rotation.turn(query, view.table.hash(query.name.as_wire()));
        }
        if let Decoded::Query(query) = &decoded
            && matches!(query.rtype, Rtype::AXFR | Rtype::IXFR)
        {
            match self.transfer(query, message) {
                Ok(stream) => return stream,
                Err(refusal) => decoded = Decoded::Error(refusal),
            }
        }
        if let Decoded::Query(query) = &decoded
            && asked(&view, query).is_some()
        {
            return self.explain(&view, origin, message);
        }
        match respond(&view, &decoded, &self.rules, out) {
            Ok(reply) => {
                let block = self.blocks.of(origin.transport);
                count_reply(block, &reply);
                block.observe(started.elapsed(), 1);
                Action::Reply(reply.len)
            }
            Err(reason) => {
                count_drop(self.blocks.of(origin.transport), reason);
                Action::Close
            }
        }
    }
}

impl Answerer {
    fn explain(&self, view: &Arc<View>, origin: Origin, message: &[u8]) -> Action {
        Action::Stream(Box::new(Explanation {
            view: view.clone(),
            rules: self.rules.clone(),
            explainer: self.explainer.clone(),
            block: self.blocks.of(origin.transport).clone(),
            origin,
            message: Some(message.into()),
        }))
    }

    /// Starts a transfer. IXFR gets the whole zone, as a server without the differences may
    /// answer (RFC 1995 section 4).
    fn transfer<'p>(&self, query: &Query<'p>, message: &[u8]) -> Result<Action, ErrorReply<'p>> {
        let view = self.published.load();
        let is_asked = |zone: &&Arc<Zone>| zone.apex.as_wire() == query.name.as_wire();
        let may_ask = view.zones.iter().find(is_asked).is_none_or(|zone| may_ask(zone, query.client));
        if !may_ask || !self.transfer_from.iter().any(|prefix| prefix.contains(&query.client)) {
            self.counters.transferred(TransferOutcome::Refused);
            let text = "zone transfers are not allowed from this address";
            let extended = Some(Ede { code: Ede::PROHIBITED, text });
            return Err(ErrorReply { extended, ..ErrorReply::new(query, Rcode::REFUSED) });
        }
        Ok(Action::Stream(Box::new(ZoneStream::new(self, message, query))))
    }
}
