//! The leader: one server brings frames into rows.
//!
//! Its key is under a lease of its own, so another one takes over when it has gone. Every transaction compares that the
//! key is still the one that it has made: a leader that was frozen writes nothing when it wakes up. It also compares
//! that `folded` is what the group began with: a transaction that was held up on its way, and was sent again meanwhile,
//! must not bring a row back to what it was groups ago. Frames are taken in groups, the last write of each row; rows go
//! first, then `folded` says how far they go. So a row may be newer than `folded`, never older, whatever is
//! interrupted. Keys per second are bounded, because etcd has others to serve.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Compare, CompareOp, PutOptions, Txn, TxnOp};
use tokio::time::{Instant, sleep, sleep_until};

use super::super::entry;
use super::fault::{Fault, Result};
use super::head::Head;
use super::shared::Shared;
use super::{fill, frame};

/// Operations of one transaction; etcd takes 128.
const OPERATIONS: usize = 100;

/// The key of a leader, as it was made.
struct Office {
    lease: i64,
    /// The revision that made the key.
    created: i64,
    renewed: Instant,
}

/// Leads whenever nobody else does, for ever.
pub(super) async fn lead(shared: Arc<Shared>) {
    if shared.options.keys_per_second == 0 {
        return;
    }
    let timings = &shared.options.timings;
    loop {
        if shared.state().trouble().is_none()
            && let Ok(Some(mut office)) = take_office(&shared).await
        {
            // Whatever ended it, it is tried again.
            while work(&shared, &mut office).await.is_ok() {
                sleep(timings.fold).await;
            }
        }
        sleep(timings.lease / 2).await;
    }
}

/// Makes the key; none if another server has it.
async fn take_office(shared: &Shared) -> Result<Option<Office>> {
    let renewed = Instant::now();
    let seconds = i64::try_from(shared.options.timings.lease.as_secs().max(1)).unwrap_or(i64::MAX);
    let key = shared.keys.leader();
    let response = shared.cluster.get(key.clone(), None).await?;
    if !response.kvs().is_empty() {
        return Ok(None);
    }
    let grant = shared.cluster.lease(|mut client| async move { client.grant(seconds, None).await }).await?;
    let lease = grant.id();
    let put = TxnOp::put(key.clone(), shared.options.server.clone(), Some(PutOptions::new().with_lease(lease)));
    let absent = Compare::create_revision(key, CompareOp::Equal, 0);
    let response = shared.cluster.transact(&Txn::new().when([absent]).and_then([put])).await?;
    let created = response.header().map_or(0, |header| header.revision());
    Ok(response.succeeded().then_some(Office { lease, created, renewed }))
}

/// Brings into rows what is in none yet, and keeps the lease.
async fn work(shared: &Shared, office: &mut Office) -> Result<()> {
    loop {
        renew(shared, office).await?;
        let begun = fill::folded(shared).await?;
        let folded = begun.clone().unwrap_or_default();
        let page = shared.frames(folded.number + 1).await?;
        let mut rows = BTreeMap::new();
        let mut place = folded.clone();
        for found in &page.frames {
            let (entries, head) = frame::open(&place, &found.octets)?;
            gather(shared, &entries, &mut rows)?;
            place = head;
        }
        if place == folded {
            return Ok(());
        }
        write(shared, office, begun.as_ref(), rows, &place).await?;
    }
}

/// The last write of each row; none: the row goes.
fn gather(shared: &Shared, entries: &[u8], rows: &mut BTreeMap<Vec<u8>, Option<Vec<u8>>>) -> Result<()> {
    let mut parsed = Vec::new();
    entry::parse(entries, &mut parsed)
        .ok_or_else(|| Fault::Strange("a batch is not what this server writes".into()))?;
    for entry in parsed {
        if let Some(key) = shared.keys.row(&entry.key) {
            rows.insert(key, entry.value.map(<[u8]>::to_vec));
        }
    }
    Ok(())
}

async fn write(
    shared: &Shared,
    office: &mut Office,
    begun: Option<&Head>,
    rows: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    place: &Head,
) -> Result<()> {
    let begin = Instant::now();
    let mut written = 0;
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let (mut operations, mut octets) = (Vec::new(), 0);
        while let Some((key, value)) = rows.next_if(|_| operations.len() < OPERATIONS && octets < frame::MOST / 2) {
            octets += key.len() + value.as_ref().map_or(0, Vec::len);
            operations.push(match value {
                Some(value) => TxnOp::put(key, value, None),
                None => TxnOp::delete(key, None),
            });
        }
        written += operations.len();
        put(shared, office, begun, operations).await?;
        renew(shared, office).await?;
        let due = Duration::from_secs_f64(written as f64 / f64::from(shared.options.keys_per_second));
        sleep_until(begin + due).await;
    }
    put(shared, office, begun, vec![TxnOp::put(shared.keys.folded(), place.to_json(), None)]).await
}

/// Does something that only the leader may do.
async fn put(shared: &Shared, office: &Office, begun: Option<&Head>, operations: Vec<TxnOp>) -> Result<()> {
    let is_own = Compare::create_revision(shared.keys.leader(), CompareOp::Equal, office.created);
    let folded = shared.keys.folded();
    let is_next = match begun {
        Some(head) => Compare::value(folded, CompareOp::Equal, head.to_json()),
        None => Compare::create_revision(folded, CompareOp::Equal, 0),
    };
    let response = shared.cluster.transact(&Txn::new().when([is_own, is_next]).and_then(operations)).await?;
    if response.succeeded() { Ok(()) } else { Err(Fault::Refused("another server leads".into())) }
}

/// Renews the lease when a third of it is over. Each time by a stream of its own: one that broke never heals.
async fn renew(shared: &Shared, office: &mut Office) -> Result<()> {
    let now = Instant::now();
    if now - office.renewed < shared.options.timings.lease / 3 {
        return Ok(());
    }
    let lease = office.lease;
    // The call has its first answer when it returns, and fails if the lease is over.
    shared.cluster.lease(|mut client| async move { client.keep_alive(lease).await.map(drop) }).await?;
    office.renewed = now;
    Ok(())
}
