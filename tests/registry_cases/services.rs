//! Services: declarations, names that nobody serves, labels.

use zonebeat::model::api::Registration;
use zonebeat::model::{Declaration, Word};
use zonebeat::registry::{Action, Options};
use zonebeat::security::Policy;

use super::support::*;

fn undeclare(service: &str) -> Action {
    Action::Undeclare { service: service.into() }
}

fn declared(declaration: Declaration) -> Action {
    Action::Declare { service: "search".into(), declaration }
}

#[test]
fn a_service_may_be_declared_before_anybody_serves() {
    let mut world = World::new();
    assert!(changed(&world.run(declare("Search")).expect("declared")));
    assert!(!changed(&world.run(declare("search")).expect("again")));
    assert!(world.service("search").unwrap().is_known());
    assert_eq!(world.registry.census().services, 1);
    world.register("search", "a1", facts());
    assert_eq!(world.refused(undeclare("search")), Word::InUse);
    world.run(deregister("search", "a1", None)).expect("left");
    world.run(undeclare("search")).expect("undeclared");
    assert!(!changed(&world.run(undeclare("search")).expect("was so already")));
    assert!(world.service("search").unwrap().is_known(), "remembered for an hour");
    world.wait_long(3601);
    assert_eq!(world.refused(undeclare("search")), Word::UnknownService);
    assert_eq!(
        world.story(),
        ["declare search", "register search/a1", "deregister search/a1", "undeclare search", "forget search"]
    );
    world.assert_consistent();
}

#[test]
fn a_declaration_without_anything_left_is_gone_at_once() {
    let mut world = World::new();
    world.run(declare("search")).expect("declared");
    world.run(undeclare("search")).expect("undeclared");
    assert!(world.service("search").is_none());
    world.assert_consistent();
}

#[test]
fn a_name_that_nobody_serves_is_remembered_with_the_reason() {
    let mut world = World::new();
    world.register("search", "a1", at_site("lon"));
    world.register("search", "a2", at_site("sto"));
    world.run(deregister("search", "a1", None)).expect("left");
    let row = world.service("search").unwrap().row.clone();
    assert_eq!(row.remembered.keys().map(|key| &**key).collect::<Vec<_>>(), ["tcp/lon"]);
    assert_eq!(row.empty_reason, None);
    world.run(deregister("search", "a2", None)).expect("left");
    let row = world.service("search").unwrap().row.clone();
    assert_eq!(row.remembered.len(), 3);
    let reason = row.empty_reason.unwrap();
    let now = world.now();
    assert_eq!(*reason, *format!("nobody serves search: a2 deregistered at {now}"));
    world.assert_consistent();
    world.register("search", "a3", at_site("sto"));
    let row = world.service("search").unwrap().row.clone();
    assert_eq!(row.remembered.keys().map(|key| &**key).collect::<Vec<_>>(), ["tcp/lon"]);
    assert_eq!(row.empty_reason, None);
    world.assert_consistent();
}

#[test]
fn a_move_to_another_protocol_or_site_leaves_a_memory() {
    let mut world = World::new();
    world.register("search", "a1", at_site("lon"));
    world.register("search", "a1", Registration { proto: Some("udp".into()), ..at_site("sto") });
    let row = world.service("search").unwrap().row.clone();
    assert_eq!(row.remembered.keys().map(|key| &**key).collect::<Vec<_>>(), ["tcp", "tcp/lon"]);
    world.wait_beating(10.0, &[("search", "a1")]);
    for _ in 0..360 {
        world.wait_long(10);
        world.registry.beat("search", "a1", None);
    }
    assert!(world.service("search").unwrap().row.remembered.is_empty());
    assert_eq!(world.story().last().unwrap(), "forget search");
}

#[test]
fn the_reason_of_a_lapse_says_so() {
    let mut world = World::new();
    world.register("search", "a1", facts());
    world.wait(15.3);
    let reason = world.service("search").unwrap().row.empty_reason.clone().unwrap();
    assert!(reason.starts_with("nobody serves search: a1 lapsed at 20"), "{reason}");
    assert!(reason.ends_with("Z, no beat for its lease of 15 s"), "{reason}");
}

#[test]
fn a_label_is_a_service_or_a_site() {
    let mut world = World::new();
    world.register("search", "a1", at_site("lon"));
    assert_eq!(world.refused(register("lon", "a1", facts())), Word::SiteLabel);
    assert_eq!(world.refused(declare("lon")), Word::SiteLabel);
    assert_eq!(world.refused(register("web", "a1", at_site("search"))), Word::SiteLabel);
    assert_eq!(world.refused(register("par", "a1", at_site("par"))), Word::SiteLabel);
    world.run(deregister("search", "a1", None)).expect("left");
    world.register("lon", "a1", facts());
}

#[test]
fn a_list_of_sites_is_closed() {
    let policy = Policy { sites: vec!["lon".into(), "sto".into()], ..Policy::default() };
    let mut world = World::with(Options { policy, ..options() });
    world.register("search", "a1", at_site("LON"));
    assert_eq!(world.refused(register("search", "a2", at_site("par"))), Word::SiteLabel);
    assert_eq!(world.refused(register("sto", "a2", facts())), Word::SiteLabel);
    let tiers = vec![vec!["lon".into()], vec!["par".into()]];
    assert_eq!(world.refused(declared(Declaration { tiers, ..Declaration::default() })), Word::SiteLabel);
}

#[test]
fn a_declaration_is_checked_and_folded() {
    let mut world = World::new();
    let good = Declaration {
        dependencies: vec!["Web".into(), "db".into(), "web".into()],
        tiers: vec![vec!["LON".into()], vec!["sto".into(), "par".into()]],
        ttl: Some(60),
        ..Declaration::default()
    };
    world.run(declared(good)).expect("declared");
    let stored = world.service("search").unwrap().row.declaration.clone().unwrap();
    assert_eq!(stored.dependencies, ["db", "web"]);
    assert_eq!(stored.tiers[0], ["lon"]);
    let bad = [
        Declaration { owner: Some("x".repeat(201)), ..Declaration::default() },
        Declaration { contact: Some("line\nbreak".into()), ..Declaration::default() },
        Declaration { ttl: Some(86_401), ..Declaration::default() },
        Declaration { tiers: vec![vec![]], ..Declaration::default() },
        Declaration { tiers: vec![vec!["lon".into()], vec!["lon".into()]], ..Declaration::default() },
        Declaration { dependencies: (0..65).map(|n| format!("s{n}")).collect(), ..Declaration::default() },
    ];
    for declaration in bad {
        assert_eq!(world.refused(declared(declaration)), Word::BadValue);
    }
    let dependencies = vec!["not a label".into()];
    assert_eq!(world.refused(declared(Declaration { dependencies, ..Declaration::default() })), Word::BadLabel);
}

#[test]
fn a_site_of_a_tier_is_no_service_while_it_is_declared() {
    let mut world = World::new();
    let tiers = vec![vec!["lon".into()]];
    world.run(declared(Declaration { tiers, ..Declaration::default() })).expect("declared");
    assert_eq!(world.refused(register("lon", "a1", facts())), Word::SiteLabel);
    assert_eq!(world.refused(declare("lon")), Word::SiteLabel);
    world.register("web", "a1", at_site("lon"));
    world.run(deregister("web", "a1", None)).expect("left");
    assert_eq!(world.refused(register("lon", "a1", facts())), Word::SiteLabel);
    world.run(declare("search")).expect("without tiers");
    world.register("lon", "a1", facts());
}

#[test]
fn dependencies_have_to_fit_into_a_text() {
    let mut world = World::new();
    let of = |lengths: &[usize]| {
        let label = |(at, length): (usize, &usize)| format!("{at}{}", "d".repeat(length - 1));
        let dependencies = lengths.iter().enumerate().map(label).collect();
        declared(Declaration { dependencies, ..Declaration::default() })
    };
    let refusal = world.run(of(&[62, 62, 62, 62])).expect_err("251 octets");
    assert_eq!(refusal.word, Word::BadValue);
    assert!(refusal.detail.contains("251 octets"), "{refusal}");
    world.run(of(&[62, 62, 62, 61])).expect("250 octets");
}
