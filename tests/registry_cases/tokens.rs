//! Tokens, scopes and who owns a name.

use std::sync::Arc;

use zonebeat::model::{Item, Principal, Scope, Token, Transition, Word};
use zonebeat::registry::Action;

use super::support::*;

fn create(token: &Arc<Token>) -> Action {
    Action::CreateToken((**token).clone())
}

fn revoke(token: &str) -> Action {
    Action::RevokeToken { token: token.into() }
}

/// A registry with an admin token and two squads, the first limited to what its name says.
struct Squads {
    world: World,
    admin: Principal,
    search: Principal,
    web: Principal,
}

fn squads() -> Squads {
    let mut world = World::new();
    let root = token("admin", admin());
    let scope = Scope {
        services: vec!["Search*".into()],
        sites: vec!["LON".into()],
        addresses: vec!["192.0.2.0/24".parse().unwrap()],
        admin: false,
    };
    let (search, web) = (token("search", scope), token("web", Scope::default()));
    world.run(create(&root)).expect("first token");
    let admin = with(&root);
    for token in [&search, &web] {
        world.run_as(&admin, create(token)).expect("token");
    }
    Squads { world, admin, search: with(&search), web: with(&web) }
}

fn word(result: Result<zonebeat::registry::Outcome, zonebeat::model::Refusal>) -> Word {
    result.expect_err("refused").word
}

#[test]
fn the_first_token_must_be_an_admin_one() {
    let mut world = World::new();
    assert_eq!(world.refused(create(&token("1", Scope::default()))), Word::BadValue);
    let stranger = Principal::Anonymous("192.0.2.9:1".parse().unwrap());
    assert_eq!(word(world.run_as(&stranger, create(&token("1", admin())))), Word::Unauthorized);
    assert_eq!(word(world.run_as(&stranger, register("search", "a1", facts()))), Word::Unauthorized);
    world.run(create(&token("1", admin()))).expect("first token");
    assert_eq!(world.refused(register("search", "a1", facts())), Word::Unauthorized);
    assert_eq!(world.refused(create(&token("2", admin()))), Word::Unauthorized);
    assert_eq!(world.registry.census().tokens, 1);
    let change = serde_json::to_string(&world.store.history_now().pop().unwrap()).unwrap();
    assert!(!change.contains("hash"), "{change}");
    world.assert_consistent();
}

#[test]
fn a_scope_limits_services_sites_and_addresses() {
    let Squads { mut world, search, .. } = squads();
    world.run_as(&search, register("search-api", "a1", at_site("lon"))).expect("in scope");
    assert_eq!(word(world.run_as(&search, register("web", "a1", at_site("lon")))), Word::Forbidden);
    assert_eq!(word(world.run_as(&search, register("search", "a1", at_site("sto")))), Word::Forbidden);
    assert_eq!(word(world.run_as(&search, register("search", "a1", facts()))), Word::Forbidden);
    let mut elsewhere = at_site("lon");
    elsewhere.addresses = Some(vec!["192.0.2.7".into(), "198.51.100.7".into()]);
    assert_eq!(word(world.run_as(&search, register("search", "a1", elsewhere))), Word::Forbidden);
    assert_eq!(word(world.run_as(&search, declare("web"))), Word::Forbidden);
    assert_eq!(word(world.run_as(&search, create(&token("x", Scope::default())))), Word::Forbidden);
    assert_eq!(word(world.run_as(&search, revoke("squad-web"))), Word::Forbidden);
    assert_eq!(word(world.run_as(&search, Action::ReloadStatics)), Word::Forbidden);
}

#[test]
fn a_name_belongs_to_the_first_token_that_registers_it() {
    let Squads { mut world, admin, search, web } = squads();
    world.run_as(&web, register("search", "w1", at_site("lon"))).expect("first");
    let refusal = world.run_as(&search, register("Search", "a1", at_site("lon"))).expect_err("owned");
    assert_eq!(refusal.word, Word::NameOwned);
    assert!(refusal.detail.contains("squad-web"), "{refusal}");
    assert_eq!(word(world.run_as(&search, declare("search"))), Word::NameOwned);
    assert_eq!(word(world.run_as(&search, deregister("search", "w1", None))), Word::NameOwned);
    let taking = session_set("agent", "e", &[("search", "w1", at_site("lon"))]);
    assert_eq!(word(world.run_as(&search, taking)), Word::NameOwned);
    world.run_as(&admin, register("search", "x1", facts())).expect("an admin may");
    assert_eq!(world.service("search").unwrap().row.owned_by.as_deref(), Some("web"));
    world.assert_consistent();
}

#[test]
fn ownership_outlives_the_instances_until_it_is_given_up() {
    let Squads { mut world, search, web, .. } = squads();
    world.run_as(&web, register("search", "w1", facts())).expect("first");
    world.run_as(&web, deregister("search", "w1", None)).expect("left");
    world.wait_long(3700);
    assert!(world.service("search").is_some_and(|service| !service.is_known()));
    assert_eq!(word(world.run_as(&search, register("search", "a1", at_site("lon")))), Word::NameOwned);
    world.assert_consistent();
    world.run_as(&web, Action::Undeclare { service: "search".into() }).expect("given up");
    assert!(world.service("search").is_none());
    world.run_as(&search, register("search", "a1", at_site("lon"))).expect("free");
    world.assert_consistent();
}

#[test]
fn revoking_a_token_frees_its_names_and_stops_its_commands() {
    let Squads { mut world, admin, search, web } = squads();
    world.run_as(&web, register("search", "w1", facts())).expect("first");
    world.run_as(&web, declare("empty")).expect("declared");
    world.run_as(&admin, revoke("squad-web")).expect("revoked");
    assert_eq!(word(world.run_as(&web, register("search", "w1", facts()))), Word::Unauthorized);
    assert_eq!(world.service("search").unwrap().row.owned_by, None);
    world.assert_consistent();
    world.run_as(&search, register("search", "a1", at_site("lon"))).expect("free");
    assert_eq!(word(world.run_as(&admin, revoke("squad-web"))), Word::UnknownToken);
}

#[test]
fn the_history_of_each_name_tells_that_its_owner_went() {
    let Squads { mut world, admin, search, web } = squads();
    world.run_as(&web, register("search", "w1", facts())).expect("first");
    world.run_as(&search, register("search-index", "b1", at_site("lon"))).expect("first");
    let grant = Action::Grant { service: "search-index".into(), token: "squad-web".into() };
    world.run_as(&search, grant).expect("granted");
    world.run_as(&admin, revoke("squad-web")).expect("revoked");
    let history = world.store.history_now();
    let of = |name: &str| history.iter().rfind(|change| &*change.subject == name).expect("a change").clone();
    let owned = of("search");
    assert_eq!((owned.transition, owned.token.as_deref()), (Transition::Revoke, Some("squad-web")));
    assert!(owned.reason.starts_with("token squad-web was revoked"), "{owned:?}");
    assert!(matches!(&owned.before, Some(Item::Service(row)) if row.owned_by.is_some()), "{owned:?}");
    assert!(matches!(&owned.after, Some(Item::Service(row)) if row.owned_by.is_none()), "{owned:?}");
    assert_eq!(of("search-index").transition, Transition::Revoke);
    assert_eq!(history.last().expect("a change").transition, Transition::TokenRevoke);
    world.assert_consistent();
}

#[test]
fn the_last_admin_token_stays_while_others_exist() {
    let Squads { mut world, admin, .. } = squads();
    assert_eq!(word(world.run_as(&admin, revoke("admin"))), Word::InUse);
    for name in ["squad-search", "web", "squad-admin"] {
        world.run_as(&admin, revoke(name)).expect("revoked");
    }
    assert_eq!(world.registry.census().tokens, 0);
    world.register("search", "a1", facts());
}

#[test]
fn the_first_token_that_beats_for_an_unowned_service_claims_it() {
    let mut world = World::new();
    world.register("search", "a1", facts());
    let root = token("admin", admin());
    world.run(create(&root)).expect("first token");
    let squad = token("search", Scope::default());
    world.run_as(&with(&root), create(&squad)).expect("token");
    assert!(changed(&world.run_as(&with(&squad), register("search", "a1", facts())).expect("claimed")));
    assert_eq!(world.service("search").unwrap().row.owned_by.as_deref(), Some("search"));
    assert!(!changed(&world.run_as(&with(&squad), register("search", "a1", facts())).expect("beaten")));
    assert!(world.story().contains(&"declare search".to_owned()));
    world.assert_consistent();
}

#[test]
fn token_names_are_unique_and_plain() {
    let Squads { mut world, admin, .. } = squads();
    let named = |id: &str, name: &str| Arc::new(Token { name: name.into(), ..(*token(id, Scope::default())).clone() });
    for (id, name) in [("9", "squad-web"), ("9", ""), ("9", "a b"), ("9", "web"), ("web", "other")] {
        assert_eq!(word(world.run_as(&admin, create(&named(id, name)))), Word::BadValue, "{id} {name}");
    }
    let patterned = Scope { services: vec!["se arch".into()], ..Scope::default() };
    assert_eq!(word(world.run_as(&admin, create(&token("9", patterned)))), Word::BadValue);
}
