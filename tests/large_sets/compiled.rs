//! What is compiled incrementally is what compiling everything gives, large sets included, on
//! both sides of the threshold.

use std::sync::Arc;

use proptest::prelude::*;
use zonebeat::model::naming::{Publishes, Template};
use zonebeat::model::{Declaration, Endpoint, Instance, Revision, Service, State};
use zonebeat::registry::{Snapshot, Touched};
use zonebeat::view::Spare;
use zonebeat::view::large::BIG;

use crate::dump::dump;
use crate::{ZONE, compiler, compiler_with, name, numbered, put, remove, service, snapshot};

#[derive(Debug, Clone)]
struct Step {
    number: u32,
    action: u8,
    site: usize,
    tag: usize,
    priority: u16,
}

fn step() -> impl Strategy<Value = Step> {
    (0u32..330, 0u8..20, 0usize..4, 0usize..3, 0u16..3).prop_map(|(number, action, site, tag, priority)| Step {
        number,
        action,
        site,
        tag,
        priority,
    })
}

/// Applies a step to the service; says which instance was touched.
fn apply(service: &mut Service, step: &Step) -> Option<Box<str>> {
    let mut instance = numbered(step.number);
    // A site with the label of a pattern: only `policy.allow_labels` lets it in.
    instance.site = ["lon", "sto", "service"].get(step.site).map(|site| Arc::from(*site));
    instance.tags = ["blue", "lon"].get(step.tag).map(|tag| Box::from(*tag)).into_iter().collect();
    instance.priority = step.priority;
    let id = instance.id.clone();
    match step.action {
        0..5 => drop(remove(service, &id)),
        5..8 => {
            if let Some(mut lapsed) = remove(service, &id) {
                lapsed.state = [State::Lapsed, State::Held, State::Drained][step.tag % 3];
                lapsed.site_only = lapsed.state == State::Held && lapsed.site.is_some() && step.priority == 0;
                put(service, lapsed);
            }
        }
        8 => {
            service.row.declaration = Some(Arc::new(Declaration {
                answer_limit: (step.site == 0).then_some(7),
                tiers: if step.tag == 0 { vec![vec!["lon".into()]] } else { vec![] },
                owner: (step.priority == 0).then(|| "squad".into()),
                ..Declaration::default()
            }));
            return None;
        }
        9 => {
            instance.endpoint =
                Endpoint::Host(name(if step.tag == 0 { "www.example.net" } else { "host.sd.example.org" }));
            put(service, instance);
        }
        10 => {
            service.row.remembered.insert(if step.site == 0 { "tcp/lon" } else { "udp" }.into(), service_time());
            return None;
        }
        11 => {
            service.row.remembered.clear();
            instance.proto = "udp".into();
            put(service, instance);
        }
        12 => {
            let reason = ["a1 left", "nobody came back"].get(step.tag).map(|reason| Box::from(*reason));
            service.row.empty_reason = reason;
            return None;
        }
        _ => put(service, instance),
    }
    Some(id)
}

fn service_time() -> zonebeat::model::Timestamp {
    zonebeat::model::Timestamp(1)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn incremental_compilation_equals_full_around_the_threshold(
        start in 225u32..300,
        batches in prop::collection::vec(prop::collection::vec(step(), 1..24), 1..9),
        presets in prop_oneof![Just(&["plain"][..]), Just(&["plain", "consul"][..]), Just(&["consul", "plain"][..])],
        meets in prop::bool::weighted(0.3),
        asleep: bool,
    ) {
        // One of sites and one of tags that may meet; one that a preset has too.
        let extra = ["{service}.x.{site}.{domain}", "{service}.x.{tag}.{domain}", "{service}.service.{domain}"];
        let template = |pattern: &str| Template { pattern: pattern.into(), publishes: Publishes::Addresses };
        let extra: Vec<_> = extra.into_iter().filter(|_| meets).map(template).collect();
        let compiler = compiler_with(presets, &extra).with_answer_limits(&[(name(ZONE), 100)]);
        let state = if asleep { State::Lapsed } else { State::Serving };
        let all = (0..start).map(|number| Instance { state, ..numbered(number) });
        let mut state = snapshot(1, [service("big", all), service("few", (0..40).map(numbered))]);
        let mut view = compiler.full(&state, &[]);
        // What is published while others are made from it, in place as far as it does not share them.
        let (mut published, mut spare) = ((view.clone(), dump(&view)), Spare::default());
        for (number, batch) in batches.into_iter().enumerate() {
            if number % 3 == 0 {
                published = (view.clone(), dump(&view));
            }
            let before = state.clone();
            let mut touched = Vec::new();
            for (at, step) in batch.iter().enumerate() {
                state.revision = state.revision.next();
                let label: Arc<str> = if at % 5 == 4 { "few".into() } else { "big".into() };
                let mut changed = Service::clone(state.service(&label).expect("it is there"));
                let instance = apply(&mut changed, step);
                state.services.insert(Arc::new(changed));
                touched.push(Touched { service: label, instance, revision: state.revision });
            }
            (view, _) = compiler.update_own(view, &before, &state, (&touched, &[]), &mut spare);
            prop_assert_eq!(dump(&view), dump(&compiler.full(&state, &[])));
            prop_assert_eq!(dump(&published.0), &published.1[..]);
        }
    }
}

/// Nobody of a big service serves: the words change while only one of its instances does, which has another protocol.
#[test]
fn a_new_reason_reaches_every_name_that_nobody_serves() {
    let compiler = compiler(&["plain", "consul"]);
    let lapsed = |number| Instance { state: State::Lapsed, ..numbered(number) };
    let mut all = service("big", (0..BIG as u32 + 50).map(lapsed));
    put(&mut all, Instance { proto: "udp".into(), ..numbered(7) });
    all.row.remembered.insert("sctp".into(), service_time());
    let before = snapshot(1, [all.clone()]);
    put(&mut all, Instance { proto: "udp".into(), ..lapsed(7) });
    all.row.empty_reason = Some("i00007 lapsed".into());
    let lapse = snapshot(2, [all.clone()]);
    remove(&mut all, &crate::id(8));
    all.row.empty_reason = Some("i00008 left".into());
    let leave = snapshot(3, [all]);
    let mut view = compiler.full(&before, &[]);
    for (old, new, number) in [(&before, &lapse, 7), (&lapse, &leave, 8)] {
        let instance = Some(crate::id(number).into());
        let touched = Touched { service: "big".into(), instance, revision: new.revision };
        (view, _) = compiler.update(&view, old, new, &[touched]);
        assert_eq!(dump(&view), dump(&compiler.full(new, &[])));
    }
    let told = dump(&view).iter().filter(|line| line.ends_with("note \"i00008 left\"")).count();
    assert_eq!(told, 8, "three protocols and the addresses, in both presets");
}

/// With `policy.allow_labels` a site may have the label that stands in a pattern: the pattern that comes last has the
/// name, as long as it gives it.
#[test]
fn the_last_of_two_patterns_has_a_name_whichever_instance_changes() {
    for presets in [["plain", "consul"], ["consul", "plain"]] {
        let compiler = compiler(&presets);
        let at = |number, site: &str| Instance { site: Some(site.into()), ..numbered(number) };
        let mut state = snapshot(1, [service("big", (0..BIG as u32 + 9).map(|number| at(number, "lon")))]);
        let mut view = compiler.full(&state, &[]);
        for instance in [at(3, "service"), at(4, "lon"), at(5, "service"), at(400, "lon"), at(3, "lon"), at(5, "sto")] {
            let mut after = Service::clone(state.service("big").expect("it is there"));
            put(&mut after, instance.clone());
            let next = snapshot(state.revision.0 + 1, [after]);
            let touched =
                Touched { service: "big".into(), instance: Some(instance.id.clone()), revision: next.revision };
            (view, _) = compiler.update(&view, &state, &next, &[touched]);
            assert_eq!(
                dump(&view),
                dump(&compiler.full(&next, &[])),
                "{presets:?} {} {:?}",
                instance.id,
                instance.site
            );
            state = next;
        }
    }
}

/// An instance may have the name that all instances share, if its label and that of its service stand in a pattern.
#[test]
fn a_name_of_an_instance_alone_counts_before_one_that_all_share() {
    let compiler = compiler(&["plain", "consul"]);
    let same = Instance { id: "service".into(), ..numbered(9999) };
    let mut all = service("service", (0..BIG as u32 + 9).map(numbered));
    let mut state = snapshot(1, [all.clone()]);
    let mut view = compiler.full(&state, &[]);
    for (instance, stays) in [(&same, true), (&numbered(4), false), (&numbered(4), true), (&same, false)] {
        match stays {
            true => put(&mut all, instance.clone()),
            false => drop(remove(&mut all, &instance.id)),
        }
        let next = snapshot(state.revision.0 + 1, [all.clone()]);
        let touched =
            Touched { service: "service".into(), instance: Some(instance.id.clone()), revision: next.revision };
        (view, _) = compiler.update(&view, &state, &next, &[touched]);
        assert_eq!(dump(&view), dump(&compiler.full(&next, &[])), "{} {stays}", instance.id);
        state = next;
    }
}

#[test]
fn crossing_the_threshold_either_way_keeps_every_record() {
    let compiler = compiler(&["plain"]);
    let mut state = snapshot(1, [service("big", (0..BIG as u32 - 3).map(numbered))]);
    let mut view = compiler.full(&state, &[]);
    let up = BIG as u32 - 3..BIG as u32 + 4;
    for (number, comes) in up.clone().map(|number| (number, true)).chain(up.rev().map(|number| (number, false))) {
        let mut after = Service::clone(state.service("big").expect("it is there"));
        match comes {
            true => put(&mut after, numbered(number)),
            false => drop(remove(&mut after, &crate::id(number))),
        }
        let next = snapshot(state.revision.0 + 1, [after]);
        let touched = Touched {
            service: "big".into(),
            instance: Some(crate::id(number).into()),
            revision: Revision(next.revision.0),
        };
        (view, _) = compiler.update(&view, &state, &next, &[touched]);
        assert_eq!(dump(&view), dump(&compiler.full(&next, &[])));
        state = next;
    }
}

/// Types of services stand in one set to which all services contribute.
#[test]
fn common_sets_of_very_many_services_grow_and_shrink_by_their_changes() {
    let compiler = compiler(&["plain"]);
    let label = |number: u32| format!("s{number}");
    let mut state = snapshot(1, (0..250).map(|number| service(&label(number), [numbered(number)])));
    let mut view = compiler.full(&state, &[]);
    for number in (250..270).chain(245..262) {
        let mut next: Snapshot = state.clone();
        next.revision = state.revision.next();
        let label: Arc<str> = label(number).into();
        match state.service(&label) {
            Some(_) => drop(next.services.remove(&label)),
            None => next.services.insert(Arc::new(service(&label, [numbered(number)]))),
        }
        let touched = Touched { service: label, instance: Some(crate::id(number).into()), revision: next.revision };
        let (after, moved) = compiler.update(&view, &state, &next, &[touched]);
        assert_eq!(dump(&after), dump(&compiler.full(&next, &[])), "{number}");
        assert_eq!(moved.len(), 2, "the zone and its reverse zone");
        (view, state) = (after, next);
    }
}
