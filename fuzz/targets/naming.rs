//! Names, labels and templates as people write them: what is read prints as what is read again, and every name that a
//! template makes lies in its zone.

#![no_main]

use std::cmp::Ordering;

use libfuzzer_sys::fuzz_target;
use zonebeat::model::Name;
use zonebeat::model::label::{LabelKind, parse_label};
use zonebeat::model::name::{MAX_NAME, canonical_cmp};
use zonebeat::model::naming::{Naming, Template, Values};

const KINDS: &[LabelKind] =
    &[LabelKind::Service, LabelKind::Instance, LabelKind::Site, LabelKind::Tag, LabelKind::Proto];

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    match kind % 4 {
        0 => wire(rest),
        1 => text(rest),
        2 => label(KINDS[usize::from(kind / 4) % KINDS.len()], rest),
        _ => template(rest),
    }
});

fn wire(octets: &[u8]) {
    let Ok(name) = Name::from_wire(octets) else { return };
    assert!(name.as_wire().len() <= MAX_NAME);
    assert!(octets.eq_ignore_ascii_case(name.as_wire()), "a whole name is read");
    round_trip(&name);
    let parent = name.parent();
    assert_eq!(parent.is_none(), name == Name::root(), "only the root has no parent");
    if let Some(parent) = parent {
        assert!(name.is_within(&parent) && !parent.is_within(&name));
        let first = name.labels().next().expect("the root alone has no label");
        assert_eq!(parent.child(first).expect("it was that long before"), name);
        assert_eq!(canonical_cmp(parent.as_wire(), name.as_wire()), Ordering::Less);
        assert_eq!(canonical_cmp(name.as_wire(), parent.as_wire()), Ordering::Greater);
    }
}

fn text(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    let origin = Name::parse_absolute("sd.example.org").expect("a name");
    for name in [Name::parse(text, Some(&origin)), Name::parse(text, None), Name::parse_absolute(text)].iter().flatten()
    {
        round_trip(name);
    }
}

fn round_trip(name: &Name) {
    let text = name.to_string();
    assert_eq!(Name::parse_absolute(&text).as_ref(), Ok(name), "{text}");
    assert_eq!(Name::from_wire(name.as_wire()).as_ref(), Ok(name), "{text}");
}

fn label(kind: LabelKind, octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    match parse_label(kind, text) {
        Ok(label) => {
            assert!(label.len() <= kind.limit() && label.eq_ignore_ascii_case(text));
            assert_eq!(parse_label(kind, &label).as_ref(), Ok(&label), "folding is done once");
            assert!(Name::root().child(label.as_bytes()).is_ok(), "a label fits into a name");
        }
        Err(refusal) => assert!(!refusal.detail.is_empty()),
    }
}

fn template(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    let Ok(template) = serde_json::from_str::<Template>(text) else { return };
    let Ok(naming) = Naming::new(&["plain".to_owned()], &[template]) else { return };
    let domain = Name::parse_absolute("sd.example.org").expect("a name");
    let values = Values {
        service: "search",
        proto: Some("tcp"),
        site: Some("lon"),
        instance: Some("a1"),
        tag: Some("canary"),
        domain: &domain,
    };
    for name in naming.templates().iter().filter_map(|template| template.name(&values)?.ok()) {
        assert!(name.is_within(&domain), "{name}");
    }
}
