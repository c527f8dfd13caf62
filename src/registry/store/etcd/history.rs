//! History: the changes in the frames.
//!
//! Frames are in the order of their numbers and of their revisions, and the key of each has both, so the frame that has
//! a change is found by halving the numbers, without reading one. A frame may have a thousand changes, so forgetting is
//! a key of its own, `pruned`; frames that are forgotten altogether are removed when their rows are written, but for
//! the last [`KEPT`], from which servers that were away for a moment go on.

use etcd_client::{Compare, CompareOp, DeleteOptions, GetOptions, Txn, TxnOp};

use super::super::Page;
use super::super::entry::{self, RowKey};
use super::fault::{Fault, Result};
use super::shared::Shared;
use super::{fill, frame};
use crate::model::{Change, Revision, Timestamp};

/// Frames that stay although their changes are forgotten.
const KEPT: u64 = 1000;
/// Changes that are looked at at once.
const CHANGES: usize = 256;

/// Changes after `since`, oldest first, at most `limit`.
pub(super) async fn history(shared: &Shared, since: Revision, limit: usize) -> Result<Page> {
    let pruned = pruned(shared).await?;
    let since = since.max(pruned);
    let mut page = Page { oldest: pruned.next(), ..Page::default() };
    let Some(mut from) = first_behind(shared, since).await? else { return Ok(page) };
    loop {
        let found = shared.frames(from).await?;
        for found in &found.frames {
            if !push_changes(&mut page, since, limit, &frame::entries(&found.octets)?)? {
                page.more = true;
                return Ok(page);
            }
            from = found.number + 1;
        }
        if !found.more {
            return Ok(page);
        }
    }
}

/// Adds what a frame has; false if there is more than the page takes.
fn push_changes(page: &mut Page, since: Revision, limit: usize, entries: &[u8]) -> Result<bool> {
    let strange = || Fault::Strange("a batch has a change that does not decode".into());
    let mut parsed = Vec::new();
    entry::parse(entries, &mut parsed).ok_or_else(strange)?;
    for entry in parsed {
        let (RowKey::Change(revision), Some(json)) = (entry.key, entry.value) else { continue };
        if revision <= since.0 {
            continue;
        }
        if page.changes.len() == limit {
            return Ok(false);
        }
        page.changes.push(serde_json::from_slice(json).map_err(|_| strange())?);
    }
    Ok(true)
}

/// One change, if it is still kept.
pub(super) async fn change(shared: &Shared, revision: Revision) -> Result<Option<Change>> {
    let Some(before) = revision.0.checked_sub(1) else { return Ok(None) };
    let page = history(shared, Revision(before), 1).await?;
    Ok(page.changes.into_iter().next().filter(|change| change.revision == revision))
}

/// Up to where history is forgotten.
async fn pruned(shared: &Shared) -> Result<Revision> {
    let response = shared.cluster.get(shared.keys.pruned(), None).await?;
    let text = response.kvs().first().map(|pair| String::from_utf8_lossy(pair.value()).into_owned());
    let Some(text) = text else { return Ok(Revision(0)) };
    text.parse().map(Revision).map_err(|_| Fault::Strange(format!("its pruned is {}, no number", text.escape_debug())))
}

/// The number of the first frame that is kept and has changes behind a revision; none if there are none.
async fn first_behind(shared: &Shared, revision: Revision) -> Result<Option<u64>> {
    let Some(head) = shared.head().await?.filter(|head| head.revision > revision) else { return Ok(None) };
    let Some((mut low, first)) = key_at(shared, 0).await? else { return Ok(None) };
    if first > revision {
        return Ok(Some(low));
    }
    // The frame `low` ends at the revision or before it, the frame `high` behind it.
    let mut high = head.number;
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        match key_at(shared, middle).await? {
            Some((_, found)) if found > revision => high = middle,
            Some(_) => low = middle,
            None => return Err(Fault::Strange(format!("batch {middle} is not there"))),
        }
    }
    Ok(Some(high))
}

/// Number and revision of the first frame from a number on.
async fn key_at(shared: &Shared, number: u64) -> Result<Option<(u64, Revision)>> {
    let options = GetOptions::new().with_range(shared.keys.frames_end()).with_limit(1).with_keys_only();
    let response = shared.cluster.get(shared.keys.frames_from(number), Some(options)).await?;
    Ok(response.kvs().first().and_then(|pair| shared.keys.parse_frame(pair.key())))
}

/// Forgets changes made before `before`, as the contract says.
pub(super) async fn prune(shared: &Shared, before: Timestamp, now: Timestamp, limit: usize) -> Result<usize> {
    let from = pruned(shared).await?;
    let (mut looked_at, mut last) = (0, None);
    let mut since = from;
    'pages: while looked_at < limit {
        let page = history(shared, since, CHANGES.min(limit - looked_at)).await?;
        for change in &page.changes {
            looked_at += 1;
            since = change.revision;
            if (before..=now).contains(&change.time) {
                break 'pages;
            }
            if change.time < before {
                last = Some((change.revision, looked_at));
            }
        }
        if !page.more {
            break;
        }
    }
    let Some((last, count)) = last else { return Ok(0) };
    let key = shared.keys.pruned();
    let same = match from {
        Revision(0) => Compare::create_revision(key.clone(), CompareOp::Equal, 0),
        from => Compare::value(key.clone(), CompareOp::Equal, from.to_string()),
    };
    let txn = Txn::new().when([same]).and_then([TxnOp::put(key, last.to_string(), None)]);
    // Refused: somebody else has just done it, or this one, by an attempt whose answer was lost.
    let done = shared.cluster.transact(&txn).await?.succeeded();
    remove(shared, last).await?;
    Ok(if done { count } else { 0 })
}

/// Removes the frames that nobody needs any more.
async fn remove(shared: &Shared, pruned: Revision) -> Result<()> {
    let (folded, head) = (fill::folded(shared).await?, shared.head().await?);
    let (Some(folded), Some(head)) = (folded, head) else { return Ok(()) };
    let forgotten = first_behind(shared, pruned).await?.unwrap_or(head.number);
    let end = forgotten.min(folded.number + 1).min(head.number.saturating_sub(KEPT));
    let options = DeleteOptions::new().with_range(shared.keys.frames_from(end));
    let txn = Txn::new().and_then([TxnOp::delete(shared.keys.frames_from(0), Some(options))]);
    shared.cluster.transact(&txn).await.map(drop)
}
