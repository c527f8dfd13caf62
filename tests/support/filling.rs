//! What every store must do when it comes to be by filling, and when everything of it is read: stories against the
//! contract, as those of `battery`. Each gets a function that opens the store of a place, which makes an empty one
//! where there is none, and one that begins to fill the place, which has no store yet.

use std::sync::Arc;

use zonebeat::model::service::ServiceRow;
use zonebeat::model::{Change, Name, PackedInstance, Revision, SessionRow, Token, Written};
use zonebeat::registry::store::whole::{Counts, move_all};
use zonebeat::registry::store::{Batch, Fill, Load, LoadAll, Loaded, Store, StoreError, Write, ZoneRow};

use super::battery::Open;
use super::support::{change, content, fill, instance, register, service, time, token, written, zone};

/// Begins to fill the place.
pub type Begin<'a> = &'a dyn Fn() -> Result<Box<dyn Fill>, StoreError>;

fn name(text: &str) -> Name {
    Name::parse_absolute(text).unwrap()
}

/// Every kind of row, and changes 5 and 7.
fn pieces() -> [Batch; 3] {
    let rows = vec![
        Write::Service("search".into(), service(1)),
        Write::Instance("search".into(), Arc::new(instance("a1", 5))),
        Write::Instance("search".into(), Arc::new(instance("a2", 7))),
    ];
    let others = vec![
        Write::Token(Arc::new(token("t1"))),
        Write::Zone(zone("sd.example.org", 7).0, zone("sd.example.org", 7).1),
        Write::Records(name("sd.example.org"), name("www.sd.example.org"), Some(Arc::new(written(5)))),
    ];
    [
        Batch { expected: Revision(0), writes: rows, changes: Vec::new() },
        Batch { expected: Revision(0), writes: others, changes: vec![change(5, "a1")] },
        Batch { expected: Revision(5), writes: Vec::new(), changes: vec![change(7, "a2")] },
    ]
}

fn filled(begin: Begin, revision: u64) {
    let mut filling = begin().unwrap();
    pieces().iter().for_each(|piece| filling.write(piece).unwrap());
    filling.finish(Revision(revision)).unwrap();
}

pub fn a_store_comes_to_be_with_everything(open: Open, begin: Begin) {
    filled(begin, 7);
    let store = open();
    let loaded = store.load().unwrap();
    assert_eq!(loaded.revision, Revision(7));
    assert_eq!(loaded.services, [("search".into(), service(1))]);
    let instances = [("search".into(), instance("a1", 5)), ("search".into(), instance("a2", 7))];
    assert_eq!(loaded.instances, instances);
    assert_eq!((loaded.tokens, loaded.zones), (vec![token("t1")], vec![zone("sd.example.org", 7)]));
    assert_eq!(loaded.records, [(name("sd.example.org"), name("www.sd.example.org"), written(5))]);
    let page = store.history(Revision(0), 10).unwrap();
    assert_eq!((page.changes, page.oldest), (vec![change(5, "a1"), change(7, "a2")], Revision(5)));
    assert_eq!(store.trouble(), None);
    store.commit(&register(7)).unwrap();
    drop(store);
    assert_eq!(open().load().unwrap().revision, Revision(8));
}

pub fn the_revision_may_be_behind_the_last_change(open: Open, begin: Begin) {
    filled(begin, 1000);
    let store = open();
    assert_eq!(store.load().unwrap().revision, Revision(1000));
    let refused = store.commit(&register(7)).unwrap_err();
    assert!(matches!(refused, StoreError::Conflict { .. }), "{refused}");
    store.commit(&register(1000)).unwrap();
    let changes = store.history(Revision(7), 10).unwrap().changes;
    assert_eq!(changes, [change(1001, "i1001")]);
}

pub fn without_history_there_is_none(open: Open, begin: Begin) {
    let mut filling = begin().unwrap();
    filling.write(&pieces()[0]).unwrap();
    filling.finish(Revision(40)).unwrap();
    let page = open().history(Revision(0), 10).unwrap();
    assert_eq!((page.changes.len(), page.oldest), (0, Revision(41)));
}

pub fn what_is_not_finished_is_no_store(open: Open, begin: Begin) {
    let mut filling = begin().unwrap();
    filling.write(&pieces()[0]).unwrap();
    drop(filling);
    let loaded = open().load().unwrap();
    assert_eq!((loaded.revision, loaded.instances.len()), (Revision(0), 0));
}

pub fn filling_begins_again_after_one_that_was_not_finished(open: Open, begin: Begin) {
    let mut filling = begin().unwrap();
    let stray = Write::Instance("stray".into(), Arc::new(instance("x", 1)));
    filling.write(&Batch { expected: Revision(0), writes: vec![stray], changes: Vec::new() }).unwrap();
    std::mem::drop(filling);
    filled(begin, 7);
    assert_eq!(open().load().unwrap().instances.len(), 2);
}

pub fn pieces_that_do_not_follow_each_other_are_refused(open: Open, begin: Begin) {
    let [rows, first, second] = pieces();
    let mut filling = begin().unwrap();
    filling.write(&rows).unwrap();
    filling.write(&first).unwrap();
    assert!(filling.write(&first).is_err());
    drop(filling);
    let mut filling = begin().unwrap();
    filling.write(&first).unwrap();
    filling.write(&second).unwrap();
    assert!(filling.finish(Revision(6)).is_err(), "a change is behind that");
    assert_eq!(open().load().unwrap().revision, Revision(0));
}

pub fn a_store_that_is_there_is_not_filled(open: Open, begin: Begin) {
    fill(&*open(), 3);
    let before = content(&*open());
    let refused = begin().map(drop).unwrap_err();
    assert!(matches!(refused, StoreError::NotEmpty { .. }) && refused.to_string().contains("revision 3"), "{refused}");
    assert_eq!(content(&*open()), before);
}

/// Rows, and the revisions of the changes.
#[derive(Default)]
struct Everything(Loaded, Vec<u64>);

impl Load for Everything {
    fn revision(&mut self, revision: Revision) {
        self.0.revision(revision);
    }
    fn service(&mut self, name: &str, row: ServiceRow) {
        self.0.service(name, row);
    }
    fn instance(&mut self, service: &str, instance: PackedInstance<'_>) {
        self.0.instance(service, instance);
    }
    fn token(&mut self, token: Token) {
        self.0.token(token);
    }
    fn zone(&mut self, name: Name, row: ZoneRow) {
        self.0.zone(name, row);
    }
    fn records(&mut self, zone: Name, name: Name, row: Written) {
        self.0.records(zone, name, row);
    }
    fn session(&mut self, name: &str, row: SessionRow) {
        self.0.session(name, row);
    }
}

impl LoadAll for Everything {
    fn change(&mut self, change: Change) {
        self.1.push(change.revision.0);
    }
}

pub fn everything_is_read_at_one_revision_while_the_writer_writes(open: Open, _: Begin) {
    let store = open();
    fill(&*store, 20);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| fill(&*store, 80));
        while !writer.is_finished() {
            let mut all = Everything::default();
            store.read_all(&mut all).unwrap();
            let Everything(rows, changes) = all;
            assert_eq!(rows.instances.len() as u64, rows.revision.0);
            assert_eq!(changes, (1..=rows.revision.0).collect::<Vec<_>>());
        }
    });
    store.prune(time(60), time(100), 100).unwrap();
    let mut all = Everything::default();
    store.read_all(&mut all).unwrap();
    assert_eq!((all.0.instances.len(), all.1), (80, (60..=80).collect()));
}

pub fn everything_moves_into_another_store(open: Open, begin: Begin) {
    const COUNT: u64 = 2_500;
    let directory = tempfile::tempdir().unwrap();
    let from = super::open(directory.path()).unwrap();
    let mut batch = Batch::default();
    for revision in 1..=COUNT {
        let id = format!("i{revision}");
        batch.changes.push(change(revision, &id));
        batch.writes.push(Write::Instance(format!("s{}", revision % 7).into(), Arc::new(instance(&id, revision))));
    }
    from.commit(&batch).unwrap();
    let mut told = 0;
    let mut progress = |counts: Counts| told = told.max(counts.all());
    let (revision, counts) = move_all(&from, begin().unwrap(), &mut progress).unwrap();
    assert_eq!((revision, counts.instances, counts.changes), (Revision(COUNT), COUNT, COUNT));
    assert_eq!(told, 2 * COUNT);
    let to = open();
    assert_eq!(content(&*to), content(&from));
    let about = to.about();
    assert!(!about.kind.is_empty() && !about.identity.is_empty());
    assert_ne!(about.identity, from.about().identity, "it is another store from now on");
}
