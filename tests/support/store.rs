//! Rows, changes and batches for tests of stores.

use std::sync::Arc;

use zonebeat::model::service::ServiceRow;
use zonebeat::model::{
    Change, Declaration, Endpoint, Instance, Item, Name, Revision, Rtype, Scope, State, Timestamp, Token, Transition,
    Written, WrittenData, WrittenSet,
};
use zonebeat::registry::store::{Batch, Loaded, Store, Write, ZoneRow};

/// The wall clock that change 1 was made at; each revision is a second later.
pub const START: u64 = 1_790_000_000_000;

pub fn time(revision: u64) -> Timestamp {
    Timestamp(START + revision * 1000)
}

pub fn instance(id: &str, revision: u64) -> Instance {
    Instance {
        id: id.into(),
        proto: "tcp".into(),
        port: 8080,
        priority: 10,
        weight: 100,
        site: Some("lon".into()),
        endpoint: Endpoint::Addresses(["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()].into()),
        tags: ["canary".into()].into(),
        metadata: [("version".into(), "2.4.1 \"\u{e9}\"".into())].into(),
        lease_seconds: 15,
        session: None,
        epoch: None,
        owner: Default::default(),
        out: None,
        orders: None,
        incarnation: Revision(revision),
        state: State::Serving,
        site_only: false,
        since: time(revision),
        revision: Revision(revision),
    }
}

pub fn service(revision: u64) -> ServiceRow {
    ServiceRow {
        declaration: Some(
            Declaration { owner: Some("squad-search".into()), min: Some(2), ..Declaration::default() }.into(),
        ),
        owned_by: Some("t1".into()),
        grants: ["t2".into()].into_iter().collect(),
        remembered: [("tcp/lon".into(), time(revision))].into_iter().collect(),
        orders: Default::default(),
        empty_reason: Some("a1 left".into()),
        revision: Revision(revision),
    }
}

pub fn token(id: &str) -> Token {
    let scope = Scope {
        services: vec!["search*".into()],
        addresses: vec!["192.0.2.0/24".parse().unwrap()],
        ..Scope::default()
    };
    Token { id: id.into(), name: format!("ops-{id}"), hash: "ab".repeat(32), scope, created: time(0) }
}

pub fn zone(name: &str, changed: u64) -> (Name, ZoneRow) {
    let name = Name::parse_absolute(name).unwrap();
    (name, ZoneRow { changed: Revision(changed), static_hash: "cd".repeat(32) })
}

/// What UPDATE wrote at a name: an address and an alias of another case.
pub fn written(revision: u64) -> Written {
    let data = |octets: &[u8], folded: Option<&[u8]>, text: &str| WrittenData {
        data: octets.into(),
        folded: folded.map(Into::into),
        text: text.into(),
    };
    let set = |rtype, data| WrittenSet { rtype, ttl: 30, records: vec![data] };
    let sets = vec![
        set(Rtype::A, data(&[192, 0, 2, 9], None, "192.0.2.9")),
        set(Rtype::PTR, data(b"\x01A\0", Some(b"\x01a\0"), "A.")),
    ];
    Written { sets, revision: Revision(revision) }
}

pub fn change(revision: u64, id: &str) -> Change {
    Change {
        revision: Revision(revision),
        time: time(revision),
        author: "token ops-t1".into(),
        source: "192.0.2.1".into(),
        reason: "kernel".into(),
        transition: Transition::Register,
        subject: "search".into(),
        instance: Some(id.into()),
        token: None,
        before: None,
        after: Some(Item::Instance(Arc::new(instance(id, revision)))),
    }
}

/// One registration of `search`'s instance `i<revision>`, at the revision after `expected`.
pub fn register(expected: u64) -> Batch {
    let (revision, id) = (expected + 1, format!("i{}", expected + 1));
    let write = Write::Instance("search".into(), Arc::new(instance(&id, revision)));
    Batch { expected: Revision(expected), writes: vec![write], changes: vec![change(revision, &id)] }
}

/// Commits registrations until the store is at `revision`.
pub fn fill(store: &dyn Store, revision: u64) {
    let from = store.load().unwrap().revision.0;
    (from..revision).for_each(|expected| store.commit(&register(expected)).unwrap());
}

/// Everything in a store, in a form that compares.
pub fn content(store: &dyn Store) -> String {
    let Loaded { revision, services, instances, tokens, zones, records, sessions } = store.load().unwrap();
    let page = store.history(Revision(0), usize::MAX).unwrap();
    format!("{revision} {services:?}\n{instances:?}\n{tokens:?}\n{zones:?}\n{records:?}\n{sessions:?}\n{page:?}")
}
