//! One batch, written as one transaction: the frame and the head, if the head is the one that this handle stands at.
//!
//! A refused transaction brings the frames that were committed in between. A transaction that got no answer is sent
//! again as it is, to the next member: it can be taken only once, because of what it compares, and if it was, the frame
//! that comes back with the refusal is the one that was sent. If nobody answers for long, nobody knows; then the store
//! has failed until `reopen`, and the frame, if it is there, is news like those of others.

use etcd_client::{Compare, CompareOp, GetOptions, Txn, TxnOp, TxnOpResponse, TxnResponse};
use tokio::time::Instant;

use super::super::{Batch, StoreError};
use super::fault::{Fault, Result};
use super::frame::{self, Made};
use super::head::Head;
use super::shared::{PAGE, Shared};
use crate::model::Revision;

impl Shared {
    /// Commits a batch; blocks its caller's task until it is durable, refused, or in doubt.
    pub(super) async fn commit(&self, batch: &Batch) -> std::result::Result<(), StoreError> {
        let place = self.begin(batch)?;
        let outcome = self.write(batch, &place).await;
        let mut state = self.state();
        state.committing = false;
        let result = match outcome {
            Ok(Outcome::Taken(head)) => {
                state.move_to(head);
                Ok(())
            }
            Ok(Outcome::Overtaken(found)) => Err(StoreError::Conflict { expected: batch.expected, found }),
            Ok(Outcome::TooLarge(octets)) => {
                Err(StoreError::TooLarge { path: self.place.clone(), octets, most: frame::MOST })
            }
            Err(fault) => {
                state.fail(fault.clone(), true);
                Err(fault.writing(&self.place))
            }
        };
        drop(state);
        self.tell();
        result
    }

    /// Where the batch goes, unless it is known that it cannot go there.
    fn begin(&self, batch: &Batch) -> std::result::Result<Head, StoreError> {
        let mut state = self.state();
        if let Some(fault) = state.trouble() {
            return Err(fault.clone().writing(&self.place));
        }
        let found = state.overtaken().unwrap_or(state.place.revision);
        if batch.expected != state.place.revision || state.overtaken().is_some() {
            return Err(StoreError::Conflict { expected: batch.expected, found });
        }
        state.committing = true;
        Ok(state.place.clone())
    }

    async fn write(&self, batch: &Batch, place: &Head) -> Result<Outcome> {
        let made = match frame::encode(batch, place, &self.options.server)? {
            Ok(made) => made,
            Err(octets) => return Ok(Outcome::TooLarge(octets)),
        };
        let txn = self.transaction(place, &made);
        let deadline = Instant::now() + self.options.timings.commit;
        let response = loop {
            match self.cluster.transact(&txn).await {
                Err(Fault::Away(_)) if Instant::now() < deadline => {
                    tokio::time::sleep(self.options.timings.call / 20).await;
                }
                other => break other?,
            }
        };
        if response.succeeded() { Ok(Outcome::Taken(made.head)) } else { self.refused(place, made, &response) }
    }

    fn transaction(&self, place: &Head, made: &Made) -> Txn {
        let head = self.keys.head();
        let is_there = match place.number {
            0 => Compare::create_revision(head.clone(), CompareOp::Equal, 0),
            _ => Compare::value(head.clone(), CompareOp::Equal, place.to_json()),
        };
        let frame = self.keys.frame(made.head.number, made.head.revision);
        let missing = GetOptions::new().with_range(self.keys.frames_end()).with_limit(PAGE);
        Txn::new()
            .when([is_there])
            .and_then([
                TxnOp::put(head.clone(), made.head.to_json(), None),
                TxnOp::put(frame, made.octets.clone(), None),
            ])
            .or_else([TxnOp::get(head, None), TxnOp::get(self.keys.frames_from(made.head.number), Some(missing))])
    }

    /// The head was another one: because this batch was taken before, or another.
    fn refused(&self, place: &Head, made: Made, response: &TxnResponse) -> Result<Outcome> {
        let mut found = response.op_responses().into_iter().filter_map(|response| match response {
            TxnOpResponse::Get(response) => Some(response),
            _ => None,
        });
        let (head, frames) = (found.next(), found.next());
        let head = head.as_ref().and_then(|response| response.kvs().first()).map(|pair| Head::parse(pair.value()));
        let head = head.transpose()?;
        place.check_leads_to(head.as_ref())?;
        let mut is_own = false;
        let mut state = self.state();
        for frame in frames.iter().flat_map(|response| response.kvs()).filter_map(|pair| self.found(pair)) {
            is_own |= frame.number == made.head.number && frame.octets == made.octets;
            let _ = state.put(frame); // what finds no room comes with the watch
        }
        match head {
            _ if is_own => Ok(Outcome::Taken(made.head)),
            Some(head) if head.number > place.number => Ok(Outcome::Overtaken(head.revision)),
            _ => Err(Fault::Strange("its head is gone, or is not the one of the batches before".into())),
        }
    }
}

enum Outcome {
    Taken(Head),
    /// By somebody whose last change has this revision.
    Overtaken(Revision),
    /// So many octets.
    TooLarge(usize),
}
