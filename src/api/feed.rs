//! A feed of changes: history first, then live, without gap or repetition.
//!
//! Live changes come through a bounded channel that forgets the oldest when a reader is slow. So the channel is only
//! the bell: whenever the next change is not the one after the last given, the feed reads history from there on. A
//! change is durable before it is live, so history always has what the channel skipped.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::model::{Change, Refusal, Revision};
use crate::registry::{Page, Registry};

/// Changes that are read from history at once.
pub(super) const PAGE: usize = 256;

/// Reads pages of history; a trait, so that the feed can be tested without a registry.
pub(super) trait ReadHistory: Send + 'static {
    /// Changes after `since`, oldest first, at most `limit`.
    fn page(&self, since: Revision, limit: usize) -> impl Future<Output = Result<Page, Refusal>> + Send;
}

impl ReadHistory for Registry {
    async fn page(&self, since: Revision, limit: usize) -> Result<Page, Refusal> {
        self.history(since, limit).await
    }
}

/// Changes after a revision, for as long as the reader wants.
pub(super) struct Feed<H> {
    history: H,
    live: broadcast::Receiver<Arc<Change>>,
    shutdown: CancellationToken,
    last: Revision,
    ready: VecDeque<Arc<Change>>,
    behind: bool,
}

impl<H: ReadHistory> Feed<H> {
    /// A feed of what follows `last`. `live` must have been subscribed before `last` or `first` was read.
    pub(super) fn new(
        history: H,
        live: broadcast::Receiver<Arc<Change>>,
        shutdown: CancellationToken,
        last: Revision,
        first: Page,
    ) -> Self {
        let behind = first.more;
        let ready = first.changes.into_iter().map(Arc::new).collect();
        Self { history, live, shutdown, last, ready, behind }
    }

    /// The next change. `None`: the server stops, or history no longer reaches back to the last one given; the reader
    /// comes back with the last revision it saw.
    pub(super) async fn next(&mut self) -> Option<Arc<Change>> {
        loop {
            while let Some(change) = self.ready.pop_front() {
                if change.revision > self.last {
                    self.last = change.revision;
                    return Some(change);
                }
            }
            if self.shutdown.is_cancelled() {
                return None;
            }
            if self.behind { self.refill().await? } else { self.listen().await? }
        }
    }

    /// Waits for a live change.
    async fn listen(&mut self) -> Option<()> {
        let received = tokio::select! {
            biased;
            () = self.shutdown.cancelled() => return None,
            received = self.live.recv() => received,
        };
        match received {
            Ok(change) if change.revision > self.last.next() => self.behind = true,
            Ok(change) => self.ready.push_back(change),
            Err(RecvError::Lagged(_)) => self.behind = true,
            Err(RecvError::Closed) => return None,
        }
        Some(())
    }

    /// Reads a page of history after the last change given.
    async fn refill(&mut self) -> Option<()> {
        let page = self.history.page(self.last, PAGE).await.ok()?;
        if page.oldest > self.last.next() {
            return None;
        }
        self.behind = page.more;
        self.ready.extend(page.changes.into_iter().map(Arc::new));
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::model::{Timestamp, Transition};

    fn change(revision: u64) -> Change {
        Change {
            revision: Revision(revision),
            time: Timestamp(0),
            author: "anonymous".into(),
            source: "127.0.0.1".into(),
            reason: "".into(),
            transition: Transition::Update,
            subject: "search".into(),
            instance: Some("a1".into()),
            token: None,
            before: None,
            after: None,
        }
    }

    /// A history that tests write, with the channel of live changes.
    #[derive(Clone)]
    struct Log {
        kept: Arc<Mutex<Vec<Change>>>,
        live: broadcast::Sender<Arc<Change>>,
        oldest: u64,
    }

    impl Log {
        fn new(kept: u64, channel: usize) -> Self {
            let changes = (1..=kept).map(change).collect();
            Self { kept: Arc::new(Mutex::new(changes)), live: broadcast::channel(channel).0, oldest: 1 }
        }

        fn commit(&self, count: u64) {
            let mut kept = self.kept.lock().expect("lock");
            for _ in 0..count {
                let next = change(kept.len() as u64 + 1);
                kept.push(next.clone());
                let _ = self.live.send(Arc::new(next)); // nobody may be listening yet
            }
        }

        async fn feed(&self, since: u64) -> (Feed<Self>, CancellationToken) {
            let (live, shutdown) = (self.live.subscribe(), CancellationToken::new());
            let first = self.page(Revision(since), 3).await.expect("page");
            (Feed::new(self.clone(), live, shutdown.clone(), Revision(since), first), shutdown)
        }
    }

    impl ReadHistory for Log {
        async fn page(&self, since: Revision, limit: usize) -> Result<Page, Refusal> {
            let kept = self.kept.lock().expect("lock");
            let after: Vec<Change> = kept.iter().filter(|change| change.revision > since).cloned().collect();
            let more = after.len() > limit;
            let changes = after.into_iter().take(limit).collect();
            Ok(Page { changes, more, oldest: Revision(self.oldest) })
        }
    }

    async fn take(feed: &mut Feed<Log>, count: usize) -> Vec<u64> {
        let mut revisions = Vec::new();
        for _ in 0..count {
            revisions.push(feed.next().await.expect("a change").revision.0);
        }
        revisions
    }

    #[tokio::test]
    async fn history_goes_over_into_live_changes() {
        let log = Log::new(10, 64);
        let (mut feed, shutdown) = log.feed(2).await;
        log.commit(5);
        assert_eq!(take(&mut feed, 13).await, (3..=15).collect::<Vec<u64>>());
        log.commit(1);
        assert_eq!(take(&mut feed, 1).await, [16]);
        shutdown.cancel();
        assert!(feed.next().await.is_none());
    }

    #[tokio::test]
    async fn a_slow_reader_misses_nothing() {
        let log = Log::new(0, 4);
        let (mut feed, _shutdown) = log.feed(0).await;
        log.commit(1000);
        assert_eq!(take(&mut feed, 500).await, (1..=500).collect::<Vec<u64>>());
        log.commit(1000);
        assert_eq!(take(&mut feed, 1500).await, (501..=2000).collect::<Vec<u64>>());
    }

    #[tokio::test]
    async fn a_gap_in_the_channel_is_filled() {
        let log = Log::new(5, 64);
        let (mut feed, _shutdown) = log.feed(5).await;
        log.kept.lock().expect("lock").push(change(6));
        log.commit(1);
        assert_eq!(take(&mut feed, 2).await, [6, 7]);
    }

    #[tokio::test]
    async fn it_ends_rather_than_leave_something_out() {
        let mut log = Log::new(10, 4);
        let (mut feed, _shutdown) = log.feed(10).await;
        log.commit(20);
        log.oldest = 25;
        feed.history.oldest = 25;
        assert!(feed.next().await.is_none());
    }

    #[tokio::test]
    async fn the_end_of_the_server_ends_a_waiting_feed() {
        let log = Log::new(0, 4);
        let (mut feed, shutdown) = log.feed(0).await;
        let waiting = tokio::spawn(async move { feed.next().await });
        tokio::task::yield_now().await;
        shutdown.cancel();
        assert!(waiting.await.expect("task").is_none());
    }
}
