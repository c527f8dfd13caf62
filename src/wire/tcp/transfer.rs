//! A zone transfer as a stream of messages.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::answer::Answerer;
use super::{Made, MakeMessages};
use crate::answer::{Ede, Query, Rcode};
use crate::metrics::dns::{Block, DnsCounters, TransferOutcome};
use crate::model::{Name, Rtype};
use crate::transfer::{Next, Start, Transfer};
use crate::view::View;
use crate::wire::decode::{Decoded, ErrorReply, Origin, decode};
use crate::wire::error::{MAX_ERROR, write_error};
use crate::wire::tsig::{Signer, now};

/// The record for which a transfer failed last: secondaries try again and again, and the log says it once.
pub(in crate::wire) type Unsendable = Arc<Mutex<Option<(Name, Rtype)>>>;

/// The transfer of one zone from one view, started with its first message: ordering a large zone takes time, and this
/// runs where that disturbs nobody.
pub(super) struct ZoneStream {
    view: Arc<View>,
    query: Box<[u8]>,
    origin: Origin,
    counters: Arc<DnsCounters>,
    block: Arc<Block>,
    unsendable: Unsendable,
    /// Signs each message, if the request was signed.
    signer: Option<Signer>,
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
    pub(super) fn new(answerer: &Answerer, message: &[u8], query: &Query<'_>, signer: Option<Signer>) -> Self {
        Self {
            view: answerer.published.load_full(),
            query: message.into(),
            origin: Origin { transport: query.transport, client: query.client },
            counters: answerer.counters.clone(),
            block: answerer.blocks.of(query.transport).clone(),
            unsendable: answerer.unsendable.clone(),
            signer,
            state: State::Asked,
            outcome: TransferOutcome::Aborted,
        }
    }

    /// Looks for the zone; without one the only message says so (RFC 5936 section 2.2.1).
    fn start(&mut self, message: &mut Vec<u8>) -> Made {
        let request = self.query.clone();
        let Decoded::Query(query) = decode(&request, self.origin) else { return Made::Broken };
        let signature = self.signer.as_ref().map_or(0, Signer::length);
        match Transfer::start(self.view.clone(), &query) {
            Start::Transfer(transfer) => {
                let transfer = transfer.leaving(signature);
                self.block.answered(Rcode::NOERROR.0, query.rtype.0);
                self.send(transfer, message)
            }
            Start::NotReady => {
                self.outcome = TransferOutcome::NotReady;
                let text = "the content of this zone is not known yet";
                let extended = Some(Ede { code: Ede::NOT_READY, text });
                self.fail(&ErrorReply { extended, ..ErrorReply::new(&query, Rcode::SERVFAIL) }, query.rtype, message)
            }
            Start::NotOurs => {
                self.outcome = TransferOutcome::NotAuthoritative;
                self.fail(&ErrorReply::new(&query, Rcode::NOTAUTH), query.rtype, message)
            }
        }
    }

    fn fail(&mut self, reply: &ErrorReply<'_>, rtype: Rtype, message: &mut Vec<u8>) -> Made {
        self.block.answered(reply.rcode.0, rtype.0);
        self.state = State::Ended;
        message.resize(MAX_ERROR, 0);
        let len = write_error(reply, self.view.server.udp_size, message);
        message.truncate(len);
        Made::Message
    }

    fn send(&mut self, mut transfer: Transfer, message: &mut Vec<u8>) -> Made {
        let made = match transfer.next_message(message) {
            Next::Message => Made::Message,
            Next::End => Made::End,
            Next::TooLong { owner, rtype } => {
                self.outcome = TransferOutcome::TooLong;
                warn_once(&self.unsendable, &transfer, self.origin.client, (owner, rtype));
                Made::Broken
            }
        };
        self.state = State::Sending(transfer);
        made
    }
}

/// Logs a record that cannot be sent, unless it was the last that could not.
fn warn_once(last: &Unsendable, transfer: &Transfer, client: IpAddr, record: (Name, Rtype)) {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    if last.as_ref() != Some(&record) {
        let (owner, rtype) = &record;
        tracing::warn!(
            zone = %transfer.zone(), %owner, %rtype, %client,
            "the zone cannot be transferred: this record does not fit a DNS message of 65535 octets; shorten or remove it"
        );
        *last = Some(record);
    }
}

impl MakeMessages for ZoneStream {
    fn next_message(&mut self, message: &mut Vec<u8>) -> Made {
        let made = match std::mem::replace(&mut self.state, State::Ended) {
            State::Asked => self.start(message),
            State::Sending(transfer) => self.send(transfer, message),
            State::Ended => Made::End,
        };
        if let (Made::Message, Some(signer)) = (made, &mut self.signer) {
            signer.sign_message(message, now());
        }
        made
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
