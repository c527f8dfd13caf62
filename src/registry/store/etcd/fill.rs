//! A copy made anew: rows and the frames behind them, all as they were at one revision of etcd.
//!
//! Rows have every frame up to `folded`, and may have some of later ones. All frames behind `folded` are written again,
//! in their order, so the last one of each row wins and everything is as it was after the last frame.

use etcd_client::GetOptions;
use tokio::runtime::Handle;

use super::super::entry::{self, RowKey};
use super::copy::{BLOCK, Copy, Mark, UNFINISHED};
use super::fault::{Fault, Result};
use super::follow::gone;
use super::frame;
use super::head::Head;
use super::keys::{KINDS, Keys, behind};
use super::shared::{PAGE, Shared};

/// Rows that are read at once.
const ROWS: i64 = 1000;

/// The place up to which rows have everything; none if there are no rows yet.
pub(super) async fn folded(shared: &Shared) -> Result<Option<Head>> {
    let response = shared.cluster.get(shared.keys.folded(), None).await?;
    response.kvs().first().map(|pair| Head::parse(pair.value())).transpose()
}

/// Makes the copy anew.
pub(super) fn fill(copy: &mut Copy, shared: &Shared, runtime: &Handle) -> Result<()> {
    copy.empty().map_err(|error| Fault::Copy(error.to_string()))?;
    let response = runtime.block_on(shared.cluster.get(shared.keys.folded(), None))?;
    let revision = response.header().map_or(0, |header| header.revision());
    let Some(pair) = response.kvs().first() else { return Err(gone(1, 0)) };
    let folded = Head::parse(pair.value())?;
    for kind in KINDS {
        runtime.block_on(rows(copy, shared, kind, revision))?;
    }
    let place = runtime.block_on(frames(copy, shared, folded, revision))?;
    let mark = Mark { cluster: shared.cluster.id(), head: place };
    let text = serde_json::to_string(&mark).map_err(std::io::Error::from)?;
    copy.commit(&[], mark.head.revision, &text)?;
    copy.filled(mark);
    Ok(())
}

/// Copies the rows of one kind.
async fn rows(copy: &Copy, shared: &Shared, kind: &str, revision: i64) -> Result<()> {
    let prefix = shared.keys.rows(kind);
    let (mut from, end) = (prefix.clone(), behind(&prefix));
    let mut entries = Vec::new();
    loop {
        let options = GetOptions::new().with_range(end.clone()).with_limit(ROWS).with_revision(revision);
        let response = shared.cluster.get(from, Some(options)).await?;
        for pair in response.kvs() {
            let parts = Keys::parse_row(&pair.key()[prefix.len()..]);
            let strange = || Fault::Strange(format!("the key {} is no row's", pair.key().escape_ascii()));
            let parts = parts.ok_or_else(strange)?;
            entry::push_raw(&mut entries, &row_key(kind, &parts).ok_or_else(strange)?, pair.value())?;
        }
        let last = response.kvs().last().filter(|_| response.more()).map(|pair| [pair.key(), &[0]].concat());
        if entries.len() >= BLOCK || last.is_none() && !entries.is_empty() {
            copy.commit(&entries, crate::model::Revision(0), UNFINISHED)?;
            entries.clear();
        }
        let Some(next) = last else { return Ok(()) };
        from = next;
    }
}

fn row_key<'k>(kind: &str, parts: &'k [String]) -> Option<RowKey<'k>> {
    Some(match (kind, parts) {
        ("instances", [service, id]) => RowKey::Instance(service, id),
        ("services", [service]) => RowKey::Service(service),
        ("tokens", [id]) => RowKey::Token(id),
        ("zones", [name]) => RowKey::Zone(name),
        ("sessions", [name]) => RowKey::Session(name),
        ("records", [zone, name]) => RowKey::Records(zone, name),
        _ => return None,
    })
}

/// Copies the frames behind `place`; returns the place behind them.
async fn frames(copy: &Copy, shared: &Shared, mut place: Head, revision: i64) -> Result<Head> {
    loop {
        let options = GetOptions::new().with_range(shared.keys.frames_end()).with_limit(PAGE).with_revision(revision);
        let response = shared.cluster.get(shared.keys.frames_from(place.number + 1), Some(options)).await?;
        for pair in response.kvs() {
            let (entries, head) = frame::open(&place, pair.value())?;
            copy.commit(&entries, head.revision, UNFINISHED)?;
            place = head;
        }
        if !response.more() {
            return Ok(place);
        }
    }
}
