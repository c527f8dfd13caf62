//! Answers the messages of all TCP connections.

use std::sync::Arc;
use std::time::Instant;

use ipnet::IpNet;

use super::explanation::Explanation;
use super::transfer::{Unsendable, ZoneStream};
use super::{Action, Respond};
use crate::answer::access::may_ask;
use crate::answer::explain;
use crate::answer::{Ede, Query, Rcode};
use crate::metrics::dns::{DnsCounters, TransferOutcome};
use crate::model::Rtype;
use crate::view::{Published, View, Zone};
use crate::wire::count::{Blocks, count_cookie, count_drop, count_reply};
use crate::wire::decode::{Decoded, ErrorReply, Origin};
use crate::wire::explain::Explainer;
use crate::wire::respond::Silence;
use crate::wire::rotation::Rotation;
use crate::wire::rules::Rules;
use crate::wire::tsig::{Signer, now, respond_to};
use crate::wire::updates;

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
        let Decoded::Signed(signed) = &decoded else {
            count_cookie(self.blocks.of(origin.transport), cookie);
            return self.answer(Asked { message, decoded: &mut decoded, signer: None, origin, started }, out);
        };
        if let Some(pending) = updates::take(&self.rules, signed) {
            let block = self.blocks.of(origin.transport).clone();
            return Action::Later(Box::pin(async move {
                let (response, rcode) = pending.response().await;
                block.answered(rcode.0, Rtype::SOA.0);
                response
            }));
        }
        let mut opened = signed.open(&self.rules.keys.load(), now());
        let signer = opened.signer.take();
        let (mut decoded, cookie) = opened.decode(&self.rules, origin);
        count_cookie(self.blocks.of(origin.transport), cookie);
        self.answer(Asked { message: &opened.message, decoded: &mut decoded, signer, origin, started }, out)
    }
}

/// A message to be answered: without its signature, if it had one.
struct Asked<'a, 'p> {
    message: &'p [u8],
    decoded: &'a mut Decoded<'p>,
    signer: Option<Signer>,
    origin: Origin,
    started: Instant,
}

impl Answerer {
    fn answer(&self, asked: Asked<'_, '_>, out: &mut [u8]) -> Action {
        let Asked { message, decoded, signer, origin, started } = asked;
        let view = self.published.load();
        if let Decoded::Query(query) = decoded {
            self.rotation.turn(query, view.table.hash(query.name.as_wire()));
        }
        if let Decoded::Query(query) = decoded
            && matches!(query.rtype, Rtype::AXFR | Rtype::IXFR)
        {
            match self.transfer(query, message, signer.as_ref()) {
                Ok(stream) => return stream,
                Err(refusal) => *decoded = Decoded::Error(refusal),
            }
        }
        if let Decoded::Query(query) = decoded
            && explain::asked(&view, query).is_some()
        {
            return self.explain(&view, origin, message, signer);
        }
        let block = self.blocks.of(origin.transport);
        match respond_to(&view, decoded, signer, &self.rules, None, out) {
            Ok(reply) => {
                count_reply(block, &reply);
                block.observe(started.elapsed(), 1);
                Action::Reply(reply.len)
            }
            Err(Silence::Dropped(reason)) => {
                count_drop(block, reason);
                Action::Close
            }
            Err(Silence::Limited) => Action::Close, // only datagrams are limited
        }
    }

    fn explain(&self, view: &Arc<View>, origin: Origin, message: &[u8], signer: Option<Signer>) -> Action {
        Action::Stream(Box::new(Explanation {
            view: view.clone(),
            rules: self.rules.clone(),
            explainer: self.explainer.clone(),
            block: self.blocks.of(origin.transport).clone(),
            origin,
            message: Some(message.into()),
            signer,
        }))
    }

    /// Starts a transfer. IXFR gets the whole zone, as a server without the differences may
    /// answer (RFC 1995 section 4).
    fn transfer<'p>(
        &self,
        query: &Query<'p>,
        message: &[u8],
        signer: Option<&Signer>,
    ) -> Result<Action, ErrorReply<'p>> {
        let view = self.published.load();
        let is_asked = |zone: &&Arc<Zone>| zone.apex.as_wire() == query.name.as_wire();
        let may_ask = view.zones.iter().find(is_asked).is_none_or(|zone| may_ask(zone, query.client));
        let key = signer.and_then(Signer::key);
        let by_key = key.is_some_and(|key| key.may_transfer(query.name.as_wire()));
        let by_address = || self.transfer_from.iter().any(|prefix| prefix.contains(&query.client));
        if !may_ask || !(by_key || by_address()) {
            self.counters.transferred(TransferOutcome::Refused);
            let text = match key {
                Some(_) if may_ask => "zone transfers are not allowed from this address, nor this zone's with this key",
                _ => "zone transfers are not allowed from this address",
            };
            let extended = Some(Ede { code: Ede::PROHIBITED, text });
            return Err(ErrorReply { extended, ..ErrorReply::new(query, Rcode::REFUSED) });
        }
        Ok(Action::Stream(Box::new(ZoneStream::new(self, message, query, signer.cloned()))))
    }
}
