//! A zone transfer as a stream of messages.

use std::sync::Arc;

use hickory_proto::op::ResponseCode;

use super::MakeMessages;
use crate::answer::query::CLASS_IN;
use crate::answer::{Query, Transport};
use crate::metrics::dns::{Block, DnsCounters, TransferOutcome};
use crate::transfer::Transfer;
use crate::view::View;
use crate::wire::decode::{Decoded, ErrorReply, Origin, decode};
use crate::wire::error::{MAX_ERROR, write_error};

/// The transfer of one zone from one view, started with its first message: ordering a large zone takes time, and this
/// runs where that disturbs nobody.
pub(super) struct ZoneStream {
    view: Arc<View>,
    query: Box<[u8]>,
    origin: Origin,
    counters: Arc<DnsCounters>,
    block: Arc<Block>,
    state: State,
    outcome: TransferOutcome,
}

enum State {
    Asked,
    Sending(Transfer),
    Ended,
}

impl ZoneStream {
    /// A transfer as `query` asks for, which was decoded from `message`.
    pub(super) fn new(
        view: Arc<View>,
        message: &[u8],
        query: &Query<'_>,
        counters: Arc<DnsCounters>,
        block: Arc<Block>,
    ) -> Self {
        let origin = Origin { transport: Transport::Tcp, client: query.client, rotation: query.rotation };
        Self {
            view,
            query: message.into(),
            origin,
            counters,
            block,
            state: State::Asked,
            outcome: TransferOutcome::Aborted,
        }
    }

    /// Looks for the zone; without one the only message says so (RFC 5936 section 2.2.1).
    fn start(&mut self, message: &mut Vec<u8>) -> bool {
        let Decoded::Query(query) = decode(&self.query, self.origin) else { return false };
        let transfer = (query.class == CLASS_IN).then(|| Transfer::start(self.view.clone(), &query)).flatten();
        if let Some(mut transfer) = transfer {
            self.block.answered(ResponseCode::NoError.into(), query.rtype.0);
            let more = transfer.next_message(message);
            self.state = State::Sending(transfer);
            return more;
        }
        self.block.answered(ResponseCode::NotAuth.into(), query.rtype.0);
        self.outcome = TransferOutcome::NotAuthoritative;
        self.state = State::Ended;
        message.resize(MAX_ERROR, 0);
        let len = write_error(&ErrorReply::new(&query, ResponseCode::NotAuth), message);
        message.truncate(len);
        true
    }
}

impl MakeMessages for ZoneStream {
    fn next_message(&mut self, message: &mut Vec<u8>) -> bool {
        match &mut self.state {
            State::Asked => self.start(message),
            State::Sending(transfer) => transfer.next_message(message),
            State::Ended => false,
        }
    }

    fn all_taken(&mut self) {
        if let State::Sending(_) = self.state {
            self.outcome = TransferOutcome::Done;
        }
    }
}

impl Drop for ZoneStream {
    fn drop(&mut self) {
        self.counters.transferred(self.outcome);
        if std::thread::panicking() {
            self.block.panicked();
        }
    }
}
