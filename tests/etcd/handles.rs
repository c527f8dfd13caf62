//! Several handles on one registry: one order, news, conflicts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use zonebeat::model::Revision;
use zonebeat::registry::store::etcd::EtcdStore;
use zonebeat::registry::store::{Batch, News, Store, StoreError, Write};

use super::battery::registrations;
use super::support::{content, fill, instance, register, service, token, written, zone};
use super::{await_batch, await_news, place};

/// A registration of an instance of this name.
pub(super) fn register_as(id: &str, expected: u64) -> Batch {
    let mut batch = register(expected);
    batch.writes = vec![Write::Instance("search".into(), Arc::new(instance(id, expected + 1)))];
    batch
}

/// Commits a registration, judging again on what others have committed, as long as it takes.
fn insist(store: &EtcdStore, id: &str, seen: &mut Vec<Revision>) {
    let take = |batch: Batch, seen: &mut Vec<Revision>| {
        assert_eq!(batch.expected, seen.last().copied().unwrap_or_default(), "each batch follows the one before it");
        seen.extend(batch.changes.iter().map(|change| change.revision));
    };
    loop {
        while let Some(news) = store.news() {
            let News::Batch(batch) = news else { panic!("{news:?}") };
            take(batch, seen);
        }
        let expected = seen.last().map_or(0, |revision| revision.0);
        match store.commit(&register_as(id, expected)) {
            Ok(()) => {
                seen.push(Revision(expected + 1));
                return;
            }
            Err(StoreError::Conflict { .. }) => take(await_batch(store), seen),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn what_one_commits_is_news_to_the_other_and_not_to_itself() {
    let place = place();
    let (one, other) = (place.open("a"), place.open("b"));
    let woken = Arc::new(AtomicUsize::new(0));
    let count = woken.clone();
    other.listen(Box::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
    }));
    let (name, row) = zone("sd.example.org", 1);
    let writes = vec![
        Write::Instance("search".into(), Arc::new(instance("a1", 1))),
        Write::RemoveInstance("search".into(), "a0".into()),
        Write::Service("search".into(), service(1)),
        Write::RemoveService("gone".into()),
        Write::Token(Arc::new(token("t1"))),
        Write::RemoveToken("t0".into()),
        Write::Zone(name.clone(), row),
        Write::Records(name.clone(), name.clone(), Some(Arc::new(written(1)))),
        Write::Records(name.clone(), name, None),
    ];
    let batch = Batch { writes, ..register(0) };
    one.commit(&batch).unwrap();
    one.commit(&register(1)).unwrap();
    assert_eq!(format!("{:?}", await_batch(&*other)), format!("{batch:?}"));
    assert_eq!(format!("{:?}", await_batch(&*other)), format!("{:?}", register(1)));
    assert!(woken.load(Ordering::Relaxed) > 0, "the listener was woken");
    other.commit(&register(2)).unwrap();
    await_batch(&*one);
    let more = await_news(&*other, Duration::from_millis(500)).or_else(|| one.news());
    assert!(more.is_none(), "told twice, or to its own writer: {more:?}");
    assert!(content(&*one) == content(&*other));
}

#[test]
fn a_commit_that_comes_too_late_is_a_conflict_and_what_was_in_between_is_news() {
    let place = place();
    let (one, other) = (place.open("a"), place.open("b"));
    fill(&*one, 3);
    let error = other.commit(&register_as("late", 0)).unwrap_err();
    let StoreError::Conflict { expected, found } = error else { panic!("{error}") };
    assert!(expected == Revision(0) && found > expected, "{error}");
    assert_eq!(other.trouble(), None);
    for revision in 0..3 {
        assert_eq!(await_batch(&*other).expected, Revision(revision));
    }
    other.commit(&register_as("late", 3)).unwrap();
    assert_eq!(one.load().unwrap().instances.len(), 4);
}

#[test]
fn a_batch_without_changes_has_its_place_in_the_order() {
    let place = place();
    let (one, other) = (place.open("a"), place.open("b"));
    fill(&*one, 1);
    await_batch(&*other);
    let (name, row) = zone("sd.example.org", 1);
    let claim = Batch { expected: Revision(1), writes: vec![Write::Zone(name, row)], changes: Vec::new() };
    one.commit(&claim).unwrap();
    let error = other.commit(&register(1)).unwrap_err();
    assert!(matches!(error, StoreError::Conflict { .. }), "it was not judged on the claim: {error}");
    assert_eq!(await_batch(&*other).writes.len(), 1);
    other.commit(&register(1)).unwrap();
}

#[test]
fn handles_that_commit_at_the_same_time_lose_nothing_and_see_one_order() {
    const EACH: usize = 25;
    let place = place();
    let stores = ["a", "b", "c"].map(|server| place.open(server));
    std::thread::scope(|scope| {
        for (number, store) in stores.iter().enumerate() {
            scope.spawn(move || {
                let mut seen = Vec::new();
                (0..EACH).for_each(|count| insist(store, &format!("i{number}-{count}"), &mut seen));
                while seen.len() < 3 * EACH {
                    seen.extend(await_batch(&**store).changes.iter().map(|change| change.revision));
                }
                assert!(seen.iter().map(|revision| revision.0).eq(1..=3 * EACH as u64));
            });
        }
    });
    let all = content(&*stores[0]);
    assert_eq!(stores[0].load().unwrap().instances.len(), 3 * EACH);
    assert!(stores.iter().all(|store| content(&**store) == all));
}

#[test]
fn a_batch_that_is_too_large_is_refused_before_anything_is_sent() {
    let place = place();
    let store = place.open("a");
    let error = store.commit(&registrations(30_000)).unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { .. }), "{error}");
    assert_eq!((store.trouble(), store.load().unwrap().revision), (None, Revision(0)));
    fill(&*store, 1);
}

#[test]
fn registries_with_different_prefixes_do_not_meet() {
    let (one, other) = (place(), place());
    let (first, second) = (one.open("a"), other.open("a"));
    fill(&*first, 2);
    fill(&*second, 1);
    assert!(await_news(&*second, Duration::from_millis(300)).is_none());
    assert_eq!((first.load().unwrap().revision, second.load().unwrap().revision), (Revision(2), Revision(1)));
}
