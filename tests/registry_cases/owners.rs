//! Who answers for a service and who may write it: amendments, grants, transfers, and services without an owner.

use zonebeat::model::api::Amendment;
use zonebeat::model::{Declaration, Principal, Scope, Word};
use zonebeat::registry::{Action, Outcome};

use super::support::*;

fn grant(service: &str, token: &str) -> Action {
    Action::Grant { service: service.into(), token: token.into() }
}

fn revoke(service: &str, token: &str) -> Action {
    Action::Revoke { service: service.into(), token: token.into() }
}

fn transfer(service: &str, token: &str) -> Action {
    Action::Transfer { service: service.into(), token: token.into() }
}

fn amend(service: &str, text: &str) -> Action {
    let amendment: Amendment = serde_json::from_str(text).unwrap();
    Action::Amend { service: service.into(), amendment }
}

fn undeclare(service: &str) -> Action {
    Action::Undeclare { service: service.into() }
}

fn word(result: Result<Outcome, zonebeat::model::Refusal>) -> Word {
    result.expect_err("refused").word
}

/// A registry with an admin token and three squads, the last of which may write services named web only.
struct Squads {
    world: World,
    admin: Principal,
    first: Principal,
    second: Principal,
}

fn squads() -> Squads {
    let mut world = World::new();
    let root = token("admin", admin());
    world.run(Action::CreateToken((*root).clone())).expect("first token");
    let narrow = Scope { services: vec!["web*".into()], ..Scope::default() };
    let tokens = [token("1", Scope::default()), token("2", Scope::default()), token("narrow", narrow)];
    for token in &tokens {
        world.run_as(&with(&root), Action::CreateToken((**token).clone())).expect("token");
    }
    world.run_as(&with(&tokens[0]), register("search", "a1", facts())).expect("owned by the first");
    Squads { world, admin: with(&root), first: with(&tokens[0]), second: with(&tokens[1]) }
}

#[test]
fn an_amendment_leaves_the_rest_as_it_was() {
    let mut world = World::new();
    assert!(changed(&world.run(amend("Search", r#"{"owner":"squad-search","tier":1}"#)).expect("declares")));
    assert!(changed(&world.run(amend("search", r#"{"tier":0,"dependencies":["Index"]}"#)).expect("amended")));
    assert!(!changed(&world.run(amend("search", r#"{"tier":0}"#)).expect("was so")));
    let declared = world.service("search").unwrap().row.declaration.clone().unwrap();
    assert_eq!((declared.owner.as_deref(), declared.tier), (Some("squad-search"), Some(0)));
    assert_eq!(declared.dependencies, ["index"]);
    let refusal = world.run(amend("search", r#"{"tier":10}"#)).expect_err("out of range");
    assert!(refusal.word == Word::BadValue && refusal.detail.contains("\"tiers\""), "{refusal}");
    world.run(amend("search", r#"{"owner":null}"#)).expect("taken back");
    assert_eq!(world.service("search").unwrap().owner(), None);
    world.assert_consistent();
}

#[test]
fn a_grant_lets_another_token_write_and_no_more() {
    let Squads { mut world, first, second, .. } = squads();
    let refusal = world.run_as(&second, register("search", "b1", facts())).expect_err("not granted");
    assert!(refusal.detail.contains("zonebeat grant search squad-2"), "{refusal}");
    assert_eq!(word(world.run_as(&second, grant("search", "squad-2"))), Word::NameOwned);
    assert!(changed(&world.run_as(&first, grant("Search", "squad-2")).expect("granted")));
    assert!(!changed(&world.run_as(&first, grant("search", "2")).expect("by its id, again")));
    assert!(!changed(&world.run_as(&first, grant("search", "squad-1")).expect("the owner may anyway")));
    assert!(!changed(&world.run_as(&first, grant("search", "squad-admin")).expect("an admin may anyway")));
    world.run_as(&second, register("search", "b1", facts())).expect("granted");
    world.run_as(&second, deregister("search", "a1", None)).expect("granted");
    world.run_as(&second, amend("search", r#"{"owner":"both"}"#)).expect("granted");
    world.run_as(&second, deregister("search", "b1", None)).expect("granted");
    for action in [grant("search", "squad-narrow"), transfer("search", "squad-2"), undeclare("search")] {
        assert_eq!(word(world.run_as(&second, action)), Word::NameOwned);
    }
    assert_eq!(world.service("search").unwrap().row.owned_by.as_deref(), Some("1"));
    world.assert_consistent();
    assert!(changed(&world.run_as(&first, revoke("search", "squad-2")).expect("revoked")));
    assert!(!changed(&world.run_as(&first, revoke("search", "squad-2")).expect("again")));
    assert_eq!(word(world.run_as(&second, register("search", "b1", facts()))), Word::NameOwned);
    world.assert_consistent();
}

#[test]
fn grants_have_history_with_author_and_token_and_touch_no_name() {
    let Squads { mut world, first, .. } = squads();
    let published = world.store.zone().changed;
    world.run_as(&first, grant("search", "squad-2")).expect("granted");
    let change = world.store.history_now().pop().unwrap();
    assert_eq!((change.transition.as_str(), change.token.as_deref()), ("grant", Some("squad-2")));
    assert_eq!((&*change.author, &*change.subject), ("token squad-1", "search"));
    assert_ne!(change.before, change.after);
    world.run_as(&first, revoke("search", "squad-2")).expect("revoked");
    world.run_as(&first, transfer("search", "squad-2")).expect("transferred");
    let words: Vec<_> = world.store.history_now().iter().rev().take(3).map(|c| c.transition.as_str()).collect();
    assert_eq!(words, ["transfer", "revoke", "grant"]);
    assert_eq!(world.store.zone().changed, published, "the serial stays");
}

#[test]
fn what_cannot_be_granted_is_refused_with_what_would_be_right() {
    let Squads { mut world, admin, first, second } = squads();
    assert_eq!(word(world.run_as(&first, grant("search", "squad-9"))), Word::UnknownToken);
    assert_eq!(word(world.run_as(&first, grant("nothing", "squad-2"))), Word::UnknownService);
    let refusal = world.run_as(&first, grant("search", "squad-narrow")).expect_err("out of its scope");
    assert!(refusal.word == Word::Forbidden && refusal.detail.contains("web*"), "{refusal}");
    let refusal = world.run_as(&first, revoke("search", "squad-1")).expect_err("its own");
    assert!(refusal.word == Word::BadValue && refusal.detail.contains("transfer"), "{refusal}");
    world.run_as(&admin, declare("web")).expect("declared");
    world.run_as(&admin, transfer("web", "squad-narrow")).expect("an admin's may go to anybody");
    let old = register("legacy", "a1", facts());
    let mut before = World::new();
    before.run(old).expect("without a token");
    let root = token("admin", zonebeat::model::Scope { admin: true, ..Scope::default() });
    before.run(Action::CreateToken((*root).clone())).expect("first token");
    before.run_as(&with(&root), Action::CreateToken((*token("1", Scope::default())).clone())).expect("token");
    assert_eq!(word(before.run_as(&with(&root), grant("legacy", "squad-1"))), Word::NoOwner);
    let squad = with(&token("1", Scope::default()));
    assert_eq!(word(before.run_as(&squad, transfer("legacy", "squad-1"))), Word::NoOwner);
    assert!(changed(&before.run_as(&with(&root), transfer("legacy", "squad-1")).expect("an admin may")));
    assert!(before.service("legacy").unwrap().row.grants.is_empty());
    drop(second);
}

#[test]
fn a_transfer_leaves_the_former_owner_a_grant() {
    let Squads { mut world, first, second, .. } = squads();
    world.run_as(&first, grant("search", "squad-2")).expect("granted");
    assert!(changed(&world.run_as(&first, transfer("search", "squad-2")).expect("transferred")));
    let row = world.service("search").unwrap().row.clone();
    assert_eq!(row.owned_by.as_deref(), Some("2"));
    assert_eq!(row.grants.iter().map(|id| &**id).collect::<Vec<_>>(), ["1"]);
    world.run_as(&first, register("search", "a1", facts())).expect("what beats lives on");
    assert_eq!(word(world.run_as(&first, transfer("search", "squad-1"))), Word::NameOwned);
    world.assert_consistent();
    world.run_as(&second, revoke("search", "squad-1")).expect("revoked");
    assert_eq!(word(world.run_as(&first, register("search", "a1", facts()))), Word::NameOwned);
    assert!(!changed(&world.run_as(&second, transfer("search", "squad-2")).expect("its own already")));
    world.assert_consistent();
}

#[test]
fn tokens_that_are_revoked_leave_no_grant_behind() {
    let Squads { mut world, admin, first, second } = squads();
    world.run_as(&first, grant("search", "squad-2")).expect("granted");
    world.run_as(&second, declare("other")).expect("declared");
    world.run_as(&second, grant("other", "squad-1")).expect("granted");
    world.run_as(&admin, Action::RevokeToken { token: "squad-2".into() }).expect("revoked");
    let (search, other) = (world.service("search").unwrap(), world.service("other").unwrap());
    assert!(search.row.grants.is_empty() && search.row.owned_by.as_deref() == Some("1"));
    assert!(other.row.grants.is_empty() && other.row.owned_by.is_none(), "what it granted ends with it");
    world.run_as(&first, declare("other")).expect("free");
    world.assert_consistent();
    world.run_as(&first, undeclare("other")).expect("given up");
    assert!(world.service("other").is_none());
}

#[test]
fn services_without_a_declared_owner_are_counted() {
    let mut world = World::new();
    world.register("search", "a1", facts());
    let declaration = Declaration { contact: Some("#index".into()), ..Declaration::default() };
    world.run(Action::Declare { service: "index".into(), declaration }).expect("declared without an owner");
    assert_eq!(world.registry.census().unowned, 2);
    world.run(declare("search")).expect("declared with one");
    assert_eq!(world.registry.census().unowned, 1);
    world.assert_consistent();
    world.run(undeclare("index")).expect("given up");
    assert_eq!(world.registry.census().unowned, 0);
    world.run(amend("search", r#"{"owner":null}"#)).expect("taken back");
    assert_eq!(world.registry.census().unowned, 1);
    world.assert_consistent();
}
