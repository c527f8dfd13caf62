//! Bad input: each with its word, and nothing changed.

use std::collections::BTreeMap;

use zonebeat::model::Word;
use zonebeat::model::api::Registration;
use zonebeat::model::naming::Naming;
use zonebeat::registry::Options;
use zonebeat::security::Policy;

use super::support::*;

fn refused(registration: Registration) -> Word {
    World::new().refused(register("search", "a1", registration))
}

fn addresses(texts: &[&str]) -> Registration {
    Registration { addresses: Some(texts.iter().map(|&text| text.to_owned()).collect()), ..facts() }
}

#[test]
fn labels() {
    let mut world = World::new();
    for bad in ["", "_dmarc", "a.b", "*", "a b", "-a", "search.", "å"] {
        assert_eq!(world.refused(register(bad, "a1", facts())), Word::BadLabel, "{bad}");
        assert_eq!(world.refused(register("search", bad, facts())), Word::BadLabel, "{bad}");
        assert_eq!(world.refused(register("search", "a1", at_site(bad))), Word::BadLabel, "{bad}");
        let tagged = Registration { tags: vec![bad.into()], ..facts() };
        assert_eq!(world.refused(register("search", "a1", tagged)), Word::BadLabel, "{bad}");
        let proto = Registration { proto: Some(bad.into()), ..facts() };
        assert_eq!(world.refused(register("search", "a1", proto)), Word::BadLabel, "{bad}");
    }
    for reserved in ["localhost", "WPAD", "isatap", "all"] {
        assert_eq!(world.refused(register(reserved, "a1", facts())), Word::ReservedName, "{reserved}");
        assert_eq!(world.refused(register("search", reserved, facts())), Word::ReservedName, "{reserved}");
        assert_eq!(world.refused(register("search", "a1", at_site(reserved))), Word::ReservedName, "{reserved}");
    }
}

#[test]
fn an_allowed_label_is_not_reserved() {
    let policy = Policy { allow_labels: vec!["wpad".into()], ..Policy::default() };
    let mut world = World::with(Options { policy, ..options() });
    world.register("wpad", "a1", facts());
}

#[test]
fn numbers() {
    for port in [0, 65_536, -1, i64::MAX] {
        assert_eq!(refused(Registration { port, ..facts() }), Word::BadPort, "{port}");
    }
    for lease in [0, 1, -15, 86_401, 31_536_000, i64::MAX] {
        assert_eq!(refused(Registration { lease_seconds: Some(lease), ..facts() }), Word::BadLease, "{lease}");
    }
    for value in [-1, 65_536] {
        assert_eq!(refused(Registration { priority: Some(value), ..facts() }), Word::BadValue, "{value}");
        assert_eq!(refused(Registration { weight: Some(value), ..facts() }), Word::BadValue, "{value}");
    }
    let mut world = World::new();
    let extremes = Registration { port: 65_535, priority: Some(0), weight: Some(65_535), ..facts() };
    world.register("search", "a1", Registration { lease_seconds: Some(2), ..extremes.clone() });
    world.register("search", "a2", Registration { lease_seconds: Some(86_400), ..extremes });
}

#[test]
fn where_it_is_reached() {
    assert_eq!(refused(addresses(&["127.0.0.1"])), Word::AddressRefused);
    assert_eq!(refused(addresses(&["192.0.2.1", "::ffff:192.0.2.1"])), Word::AddressRefused);
    assert_eq!(refused(addresses(&["host"])), Word::BadValue);
    assert_eq!(refused(addresses(&["192.0.2.1/32"])), Word::BadValue);
    assert_eq!(refused(addresses(&[])), Word::BadValue);
    let many: Vec<String> = (1..=17).map(|n| format!("192.0.2.{n}")).collect();
    assert_eq!(refused(Registration { addresses: Some(many), ..facts() }), Word::BadValue);
    let both = Registration { target: Some("db.example.org".into()), ..facts() };
    assert_eq!(refused(both), Word::BadValue);
    for target in ["192.0.2.1", "2001:db8::1", ".", "", "a..b", "_x.example.org", "*.example.org", "a b", "1.2.3.999"] {
        let bad = Registration { target: Some(target.into()), addresses: None, ..facts() };
        assert_eq!(refused(bad), Word::BadValue, "{target}");
    }
    let local = Registration { target: Some("localhost".into()), addresses: None, ..facts() };
    assert_eq!(refused(local), Word::AddressRefused);
    let mut world = World::new();
    let host = Registration { target: Some("DB.example.org.".into()), addresses: None, ..facts() };
    let instance = world.register("search", "a1", host);
    assert_eq!(serde_json::to_value(&instance.endpoint).unwrap()["host"], "db.example.org.");
    let sorted = world.register("search", "a2", addresses(&["2001:db8::2", "192.0.2.9", "192.0.2.10", "192.0.2.9"]));
    let endpoint = serde_json::to_value(&sorted.endpoint).unwrap();
    assert_eq!(endpoint["addresses"], serde_json::json!(["192.0.2.9", "192.0.2.10", "2001:db8::2"]));
}

#[test]
fn facts_for_the_txt_record() {
    let with = |pairs: Vec<(String, String)>| Registration { metadata: BTreeMap::from_iter(pairs), ..facts() };
    let one = |key: &str, value: &str| with(vec![(key.into(), value.into())]);
    for bad in [one("", "x"), one("a=b", "x"), one("a\n", "x"), one("é", "x"), one(&"k".repeat(64), "x")] {
        assert_eq!(refused(bad), Word::BadValue);
    }
    assert_eq!(refused(one("key", &"v".repeat(252))), Word::BadValue);
    assert_eq!(refused(with((0..65).map(|n| (format!("k{n}"), String::new())).collect())), Word::BadValue);
    assert_eq!(refused(with((0..20).map(|n| (format!("k{n}"), "v".repeat(240))).collect())), Word::BadValue);
    assert_eq!(refused(Registration { tags: (0..33).map(|n| format!("t{n}")).collect(), ..facts() }), Word::BadValue);
    let mut world = World::new();
    world.register("search", "a1", one("key", &"v".repeat(251)));
    let tagged = Registration { tags: vec!["Canary".into(), "blue".into(), "canary".into()], ..facts() };
    let tags = world.register("search", "a2", tagged).tags.clone();
    assert_eq!(tags.iter().map(|tag| &**tag).collect::<Vec<_>>(), ["blue", "canary"]);
}

#[test]
fn names_that_do_not_fit() {
    let zone = format!("{}.{}.{}.example.org", "x".repeat(60), "y".repeat(60), "z".repeat(60));
    let mut world = World::with(Options { zones: vec![zone.parse().unwrap()], ..options() });
    assert_eq!(world.refused(register(&"s".repeat(60), "a1", facts())), Word::BadLabel);
    world.register("s", "a1", facts());
}

#[test]
fn no_zone() {
    let mut world = World::with(Options { zones: Vec::new(), ..options() });
    assert_eq!(world.refused(register("search", "a1", facts())), Word::NoZone);
    assert_eq!(world.refused(declare("search")), Word::NoZone);
}

#[test]
fn a_static_record_keeps_its_name_and_no_other() {
    let mut world = World::new();
    let place = "zones/sd.example.org.zone:12".to_owned();
    world.statics.0.lock().unwrap().insert("search.sd.example.org".parse().unwrap(), place.clone());
    let refusal = world.run(register("search", "a1", facts())).expect_err("static");
    assert_eq!(refusal.word, Word::StaticName);
    assert!(refusal.detail.contains(&place), "{refusal}");
    assert_eq!(world.refused(declare("search")), Word::StaticName);
    world.statics.0.lock().unwrap().insert("lon.sd.example.org".parse().unwrap(), place);
    world.register("web", "a1", at_site("lon"));
    world.statics.0.lock().unwrap().insert("db.lon.sd.example.org".parse().unwrap(), "f:1".into());
    assert_eq!(world.refused(register("db", "a1", at_site("lon"))), Word::StaticName);
    world.register("db", "a1", at_site("sto"));
}

#[test]
fn an_instance_without_a_name_is_refused() {
    let naming = Naming::new(&["spotify".into()], &[]).expect("a preset");
    let mut world = World::with(Options { naming, ..options() });
    let refusal = world.run(register("search", "a1", facts())).expect_err("no name");
    assert_eq!(refusal.word, Word::BadValue);
    assert!(refusal.detail.starts_with("needs a site"), "{refusal}");
    world.register("search", "a1", at_site("lon"));
}

#[test]
fn a_name_that_becomes_static_does_not_stop_the_beats_of_who_has_it() {
    let mut world = World::new();
    world.register("search", "a1", facts());
    world.statics.0.lock().unwrap().insert("search.sd.example.org".parse().unwrap(), "f:1".into());
    assert!(!changed(&world.run(register("search", "a1", facts())).expect("beaten")));
    assert_eq!(world.refused(register("search", "a1", at_site("lon"))), Word::StaticName);
}
