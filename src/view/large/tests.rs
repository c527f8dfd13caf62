//! Large sets against a model, and what clients get of them: counts, no times.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

/// An A record as it goes into a message.
fn a(address: u32) -> Vec<u8> {
    [&[0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4][..], &address.to_be_bytes()].concat()
}

/// An SRV record of an instance.
fn srv(priority: u16, id: u32) -> Vec<u8> {
    let target = format!("\x07i{id:06}\x02sd\x00");
    let head = [0xC0, 12, 0, 33, 0, 1, 0, 0, 0, 30, 0, 6 + target.len() as u8];
    [&head[..], &priority.to_be_bytes(), &[0, 1, 31, 144], target.as_bytes()].concat()
}

fn key(id: u32) -> u32 {
    stable_hash(format!("service a{id}").as_bytes()) as u32
}

fn hold(id: u32) -> Edit {
    Edit::new(Op::Hold, key(id), a(id), Vec::new())
}

fn client(number: u32) -> ClientPrefix {
    ClientPrefix::of(Ipv4Addr::from(number << 8 | 7).into())
}

fn set(ids: impl Iterator<Item = u32>) -> LargeSet {
    let mut set = LargeSet::new(Rtype::A, None);
    set.apply(&ids.map(hold).collect::<Vec<_>>());
    set
}

/// The addresses that a client gets, the best one first.
fn part(set: &LargeSet, client: ClientPrefix, want: usize) -> Vec<u32> {
    let address = |record: Record<'_>| u32::from_be_bytes(record.rdata().try_into().expect("an address"));
    set.choose(client, want, |picks| picks.iter().map(|pick| address(set.record(*pick))).collect())
}

#[test]
fn parts_are_the_same_whatever_the_history_and_another_for_another_prefix() {
    let (one, mut two) = (set(0..1000), set(500..3000));
    let gone: Vec<Edit> = (1000..3000).map(|id| hold(id).with(Op::Release)).collect();
    gone.chunks(7).for_each(|edits| two.apply(edits));
    (0..500).rev().for_each(|id| two.apply(&[hold(id)]));
    assert_eq!(one, two);
    assert_eq!(part(&one, client(1), 50), part(&two, client(1), 50));
    assert_ne!(part(&one, client(1), 50), part(&two, client(2), 50));
    let same = |octet| ClientPrefix::of(Ipv4Addr::new(192, 0, 2, octet).into());
    assert_eq!(same(1), same(254), "a /24 is one client");
}

#[test]
fn a_change_alters_a_part_only_if_it_concerns_a_record_of_it() {
    let whole = set(0..5000);
    for number in 0..40 {
        let (before, id) = (part(&whole, client(number), 100), number * 17);
        let mut less = whole.clone();
        less.apply(&[hold(id).with(Op::Release)]);
        let after = part(&less, client(number), 100);
        let kept: Vec<u32> = before.iter().copied().filter(|address| *address != id).collect();
        assert_eq!(after[..kept.len()], kept, "who stays keeps its rank");
        less.apply(&[hold(id)]);
        assert_eq!(part(&less, client(number), 100), before);
    }
}

#[test]
fn every_record_gets_its_share_of_the_clients() {
    let (count, want, clients) = (2000, 10, 8000);
    let whole = set(0..count);
    let mut shares = BTreeMap::new();
    (0..clients).for_each(|number| {
        part(&whole, client(number), want).into_iter().for_each(|address| *shares.entry(address).or_insert(0u32) += 1);
    });
    let mean = clients as usize * want / count as usize; // 40; the standard deviation of each is its root
    let (least, most) = (shares.values().min().expect("some"), shares.values().max().expect("some"));
    assert_eq!(shares.len(), count as usize);
    assert!(*least >= mean as u32 / 3 && *most <= mean as u32 * 2, "{least} to {most}, {mean} in the mean");
}

#[test]
fn parts_of_different_clients_overlap_no_more_than_by_chance() {
    let whole = set(0..2000);
    let parts: Vec<BTreeSet<u32>> =
        (0..60).map(|number| part(&whole, client(number), 200).into_iter().collect()).collect();
    let pairs =
        parts.iter().enumerate().flat_map(|(at, one)| parts[..at].iter().map(move |two| one.intersection(two).count()));
    let (sum, pairs) = pairs.fold((0, 0), |(sum, pairs), common| (sum + common, pairs + 1));
    let mean = sum as f64 / f64::from(pairs); // 20 by chance
    assert!((17.0..23.0).contains(&mean), "{mean} of 200 in common");
}

#[test]
fn of_very_many_records_a_part_is_considered_and_parts_stay_fair_and_stable() {
    let count = 60_000u32;
    let mut whole = set(0..count);
    let parts: Vec<Vec<u32>> = (0..64).map(|number| part(&whole, client(number), 1000)).collect();
    let seen: BTreeSet<u32> = parts.iter().flatten().copied().collect();
    assert!(seen.len() > 35_000, "{} of {count}: 39,000 by chance", seen.len());
    let mut altered = 0;
    for id in count..count + 200 {
        whole.apply(&[hold(id)]);
    }
    for (number, before) in parts.iter().enumerate() {
        let after: BTreeSet<u32> = part(&whole, client(number as u32), 1000).into_iter().collect();
        altered += before.iter().filter(|address| !after.contains(address)).count();
    }
    assert!(
        altered < 64 * 14,
        "{altered} of 64,000 records left a part; 3.3 of each by rank, about as many by the pool"
    );
}

#[test]
fn an_address_of_several_instances_is_held_once() {
    let mut set = LargeSet::new(Rtype::A, None);
    let common = |id| Edit::new(Op::Hold, key(id), a(7), Vec::new());
    (0..500).for_each(|id| set.apply(&[common(id)]));
    assert_eq!((set.len(), set.octets()), (1, 16));
    (1..500).for_each(|id| set.apply(&[common(id).with(Op::Release)]));
    let mut alone = LargeSet::new(Rtype::A, None);
    alone.apply(&[common(0)]);
    assert_eq!(set, alone, "with one holder it is its own record again");
    set.apply(&[common(0).with(Op::Release)]);
    assert!(set.is_empty() && set == LargeSet::new(Rtype::A, None));
}

#[test]
fn rfc2782_a_lower_priority_comes_first() {
    let mut set = LargeSet::new(Rtype::SRV, None);
    let edits =
        (0..1000).map(|id| Edit::new(Op::Hold, key(id), srv(if id % 100 == 3 { 1 } else { 20 }, id), Vec::new()));
    set.apply(&edits.collect::<Vec<_>>());
    for number in 0..20 {
        let priorities = |want| {
            let of = |pick: &Pick| u16_at(set.record(*pick).rdata(), 0);
            set.choose(client(number), want, |picks| picks.iter().map(of).collect::<Vec<_>>())
        };
        assert_eq!(priorities(5), [1; 5]);
        assert_eq!(priorities(30), [&[1; 10][..], &[20; 20]].concat());
    }
    assert_eq!(set.choose(client(1), 4000, <[Pick]>::len), 1000);
}

#[test]
fn srv_records_and_addresses_of_one_instance_are_chosen_together() {
    let addresses = set(0..1000);
    let mut services = LargeSet::new(Rtype::SRV, None);
    services.apply(&(0..1000).map(|id| Edit::new(Op::Hold, key(id), srv(10, id), Vec::new())).collect::<Vec<_>>());
    let ids: Vec<u32> = services.choose(client(5), 40, |picks| {
        let id = |pick: &Pick| String::from_utf8_lossy(&services.record(*pick).rdata()[8..14]).parse().expect("an id");
        picks.iter().map(id).collect()
    });
    assert_eq!(part(&addresses, client(5), 40), ids);
}

#[test]
fn names_that_were_chosen_to_collide_are_answered() {
    let mut set = LargeSet::new(Rtype::A, None);
    let edits = (0..5000).map(|id| Edit { place: 8, key: 9, ..hold(id) });
    set.apply(&edits.collect::<Vec<_>>());
    assert_eq!((set.len(), set.records().count()), (5000, 5000));
    assert_eq!(part(&set, client(1), 4096).into_iter().collect::<BTreeSet<_>>().len(), 4096);
}

/// A step of the model: who, which record, and whether it comes or goes.
fn steps() -> impl Strategy<Value = Vec<Vec<(u32, u32, bool)>>> {
    let step = (0u32..400, 0u32..3, any::<bool>());
    prop::collection::vec(prop::collection::vec(step, 1..120), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_large_set_is_its_model(batches in steps()) {
        let mut set = LargeSet::new(Rtype::A, None);
        let mut model: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for batch in batches {
            let mut edits = Vec::new();
            for (address, id, comes) in batch {
                let holders = model.entry(address).or_default();
                let edit = |op| Edit::new(op, key(1000 * id + address), a(address), Vec::new());
                match comes {
                    true if holders.insert(id) => edits.push(edit(Op::Hold)),
                    false if holders.remove(&id) => edits.push(edit(Op::Release)),
                    _ => {}
                }
            }
            model.retain(|_, holders| !holders.is_empty());
            set.apply(&edits);
            let stored: BTreeSet<Vec<u8>> = set.records().map(|record| record.answer.to_vec()).collect();
            prop_assert_eq!(stored, model.keys().map(|address| a(*address)).collect::<BTreeSet<_>>());
            prop_assert_eq!((set.len(), set.octets()), (model.len(), 16 * model.len()));
            let holds = model.iter().flat_map(|(address, ids)| {
                ids.iter().map(move |id| Edit::new(Op::Hold, key(1000 * id + address), a(*address), Vec::new()))
            });
            let mut afresh = LargeSet::new(Rtype::A, None);
            afresh.apply(&holds.collect::<Vec<_>>());
            prop_assert_eq!(&afresh, &set);
            prop_assert_eq!(afresh.records().collect::<Vec<_>>(), set.records().collect::<Vec<_>>());
        }
    }

    /// The part is the first of all records in the client's order.
    #[test]
    fn a_part_begins_the_order_of_all(count in 1u32..3000, want in 1usize..600, number: u16) {
        let set = set(0..count);
        let all = part(&set, client(number.into()), count as usize);
        prop_assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), count as usize);
        prop_assert_eq!(&part(&set, client(number.into()), want)[..], &all[..want.min(all.len())]);
    }
}
