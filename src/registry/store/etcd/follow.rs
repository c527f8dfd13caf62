//! Following: one watch on all frames and canaries, and ranges where it may have left something out.
//!
//! A watch ends without a word in many ways: its member is frozen or cut off, etcd has no leader, what it was to start
//! from is compacted, or the member was put back to an earlier state and its revisions are used again. So each handle
//! writes a canary in an interval of its own, and reads the head in the same transaction. The canary has to come back
//! through the watch within a time-out, and when it does, every frame up to that head must have come before it. If not,
//! the frames behind the last known one are read as ranges, and the next member is watched from there. Frames come
//! once, however often they are seen.
//!
//! If no member takes canaries for as long as the time-out, the store is lost until `reopen`.

use std::sync::Arc;

use etcd_client::{
    Event, EventType, Txn, TxnOp, TxnOpResponse, WatchFilterType, WatchOptions, WatchResponse, WatchStream,
};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::fault::{Fault, Result};
use super::head::Head;
use super::keys::behind;
use super::shared::Shared;

/// The last canary that was written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sent {
    canary: u64,
    /// The number of the head at that moment.
    head: u64,
}

/// Follows for ever.
pub(super) async fn follow(shared: Arc<Shared>) {
    let (sender, mut sent) = tokio::sync::watch::channel(Sent::default());
    let canary = write_canaries(&shared, sender);
    let watch = async {
        for member in 0.. {
            if let Err(fault @ Fault::Strange(_)) = follow_at(&shared, member, &mut sent).await {
                shared.fail(fault);
            }
            let pause = shared.options.timings.canary / 4;
            let _ = timeout(pause, shared.again.notified()).await; // by either it is watched again
        }
    };
    tokio::join!(canary, watch);
}

/// Writes a canary per interval.
async fn write_canaries(shared: &Shared, sender: tokio::sync::watch::Sender<Sent>) {
    let timings = &shared.options.timings;
    let mut ticks = interval(timings.canary);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Instant::now();
    for canary in 1.. {
        ticks.tick().await;
        match write_canary(shared, canary).await {
            Ok(head) => {
                last = Instant::now();
                sender.send_replace(Sent { canary, head });
            }
            Err(fault @ Fault::Strange(_)) => shared.fail(fault),
            Err(fault) if last.elapsed() >= timings.silent => shared.fail(fault),
            Err(_) => {}
        }
    }
}

/// Writes one, and returns the number of the head, which must be one that may follow the known one.
async fn write_canary(shared: &Shared, canary: u64) -> Result<u64> {
    let known = shared.state().place.clone();
    let value = format!("{} {canary}", shared.id);
    let put = TxnOp::put(shared.keys.canary(&shared.options.server), value, None);
    let txn = Txn::new().and_then([put, TxnOp::get(shared.keys.head(), None)]);
    let response = shared.cluster.transact(&txn).await?;
    let mut head = None;
    for response in response.op_responses() {
        if let TxnOpResponse::Get(response) = response {
            head = response.kvs().first().map(|pair| Head::parse(pair.value())).transpose()?;
        }
    }
    known.check_leads_to(head.as_ref())?;
    Ok(head.map_or(0, |head| head.number))
}

/// Follows with the watch of one member until it fails.
async fn follow_at(shared: &Shared, member: usize, sent: &mut tokio::sync::watch::Receiver<Sent>) -> Result<()> {
    let timings = &shared.options.timings;
    let revision = catch_up(shared).await?;
    let mut watch = timeout(timings.call, start(shared, member, revision + 1))
        .await
        .map_err(|_| Fault::Away("the watch does not begin".into()))??;
    let mut checks = interval(timings.silent / 8);
    // Canaries from before the watch do not come.
    let first = sent.borrow().canary;
    let (mut echoed, mut silent) = (first, None);
    loop {
        let response = tokio::select! {
            response = watch.message() => response,
            () = shared.again.notified() => return Ok(()),
            _ = checks.tick() => {
                let is_waiting = sent.borrow().canary > echoed;
                let since = *silent.get_or_insert_with(Instant::now);
                if !is_waiting {
                    silent = None;
                } else if since.elapsed() >= timings.silent {
                    return Err(Fault::Away("the watch brings nothing".into()));
                }
                continue;
            }
        };
        let response = response.map_err(|error| Fault::Away(super::cluster::words(&error)))?;
        let response = response.ok_or_else(|| Fault::Away("the watch ended".into()))?;
        check(shared, &response)?;
        for event in response.events() {
            if let Some(canary) = take(shared, event).await? {
                (echoed, silent) = (echoed.max(canary), None);
                let Sent { canary: last, head } = *sent.borrow();
                if canary == last && canary > first && shared.state().known() < head {
                    return Err(Fault::Away("the watch left something out".into()));
                }
            }
        }
        shared.tell();
    }
}

async fn start(shared: &Shared, member: usize, revision: i64) -> Result<WatchStream> {
    let (mut client, endpoint) = shared.cluster.watcher(member);
    let frames = shared.keys.frames();
    let options = WatchOptions::new()
        .with_range(behind(&frames))
        .with_start_revision(revision)
        .with_filters([WatchFilterType::NoDelete])
        .with_fragment();
    let watch = client.watch(frames, Some(options)).await;
    watch.map_err(|error| Fault::Away(format!("{endpoint}: {}", super::cluster::words(&error))))
}

/// Fails if the watch has ended, which etcd says in an ordinary message.
fn check(shared: &Shared, response: &WatchResponse) -> Result<()> {
    shared.cluster.check(response.header())?;
    match (response.canceled(), response.compact_revision()) {
        (_, revision @ 1..) => Err(Fault::Away(format!("the watch is behind the compaction at {revision}"))),
        (true, _) => Err(Fault::Away(format!("the watch was cancelled: {}", response.cancel_reason()))),
        _ => Ok(()),
    }
}

/// Takes a frame, or says which canary of this handle it is.
async fn take(shared: &Shared, event: &Event) -> Result<Option<u64>> {
    let Some(pair) = event.kv().filter(|_| event.event_type() == EventType::Put) else { return Ok(None) };
    if let Some(found) = shared.found(pair) {
        let known = shared.state().known();
        if found.number > known + 1 {
            return Err(Fault::Away(format!("batch {} came behind batch {known}", found.number)));
        }
        put(shared, found).await;
        return Ok(None);
    }
    let value = std::str::from_utf8(pair.value()).ok().and_then(|value| value.split_once(' '));
    let own = value.filter(|(id, _)| *id == shared.id);
    Ok(own.and_then(|(_, canary)| canary.parse().ok()))
}

/// Waits until there is room for a frame.
async fn put(shared: &Shared, found: super::state::Found) {
    let mut waiting = Some(found);
    while let Some(found) = waiting {
        waiting = shared.state().put(found);
        if waiting.is_some() {
            shared.tell();
            // The time-out is for a notice that came just before.
            let _ = timeout(shared.options.timings.canary, shared.room.notified()).await;
        }
    }
}

/// Reads the frames that are not known; returns the revision of etcd that the watch goes on behind.
pub(super) async fn catch_up(shared: &Shared) -> Result<i64> {
    let head = shared.head().await?.map_or(0, |head| head.number);
    loop {
        let known = shared.state().known();
        let page = shared.frames(known + 1).await?;
        for found in page.frames {
            let known = shared.state().known();
            if found.number > known + 1 {
                return Err(gone(known + 1, found.number));
            }
            put(shared, found).await;
        }
        shared.tell();
        if !page.more {
            let known = shared.state().known();
            return if known < head && is_followed(shared) {
                Err(gone(known + 1, head + 1))
            } else {
                Ok(page.revision)
            };
        }
    }
}

/// Whether etcd is still what it was, so that what it does not have is missing.
fn is_followed(shared: &Shared) -> bool {
    !matches!(shared.state().trouble(), Some(Fault::Strange(_)))
}

/// Batches were forgotten before they were read.
pub(super) fn gone(first: u64, found: u64) -> Fault {
    Fault::Strange(format!(
        "batches from {first} on are no longer kept, the next one is {found}; this server was away for longer than \
         history goes back: start it again"
    ))
}
